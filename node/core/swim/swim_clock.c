/* swim_clock: how far the wall clocks of others stand ahead of this node's. They decide nothing but
 * the order in which true conflicts are shown, but what they stamp is shown to people: a
 * clock far ahead is told in the log, in `members` and in `status`, until somebody sets it.
 * Enters from swim.c with every datagram; each carries its sender's clock. */
#include "core/swim/swim_priv.h"

/* Datagrams take their time, and those that waited for a paused process come late: a clock seems
 * behind by that, never ahead. So ahead is what is told. */
enum { CLOCK_AHEAD_US = HYBRID_AHEAD_US_MAX, CLOCK_WELL_US = CLOCK_AHEAD_US / 2 };

void swim_clock_heard(struct core *core, struct member_entry *m, uint64_t wall_us)
{
    if (wall_us == 0 || wall_us > INT64_MAX || core->wall_us <= 0)
        return; /* of an older version, or before 1970 */
    m->clock_ahead_us = (int64_t)wall_us - core->wall_us;
    if (!m->clock_told && m->clock_ahead_us > CLOCK_AHEAD_US)
        core_log(core, LOG_WARNING,
                 "the clock of %s is %lld s ahead of this node's: one of them is wrong",
                 m->member->name, (long long)(m->clock_ahead_us / 1000000));
    else if (m->clock_told && m->clock_ahead_us < CLOCK_WELL_US)
        core_log(core, LOG_INFO, "the clock of %s is not ahead any more", m->member->name);
    else
        return;
    m->clock_told = !m->clock_told;
}

int64_t swim_clock_ahead_us(const struct core *core, size_t position)
{
    return core->members->list[position]->clock_ahead_us;
}

bool swim_clock_wrong(const struct core *core, size_t position)
{
    return core->members->list[position]->clock_told;
}
