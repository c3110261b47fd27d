/* op_name: what names a new operation, and its time: the wall clock, but above all that
 * was given or told. */
#include "core/state/state.h"

struct op_id core_op_new(struct core *core)
{
    if (BROKEN(core, op_reused) && core->sequence > 1 && prng_chance(&core->prng, 1, 20))
        core->sequence -= 2;
    return (struct op_id){core->session, ++core->sequence};
}

uint64_t core_hybrid_us(struct core *core)
{
    uint64_t wall = core->wall_us > 0 ? (uint64_t)core->wall_us : 0;
    core->hybrid_us = max_u64(wall, core->hybrid_us + 1);
    return core->hybrid_us;
}

/* Who has heard of a time far ahead does not follow it there: one broken clock would spoil all. */
void core_hybrid_told(struct core *core, uint64_t time_us)
{
    uint64_t wall = core->wall_us > 0 ? (uint64_t)core->wall_us : 0;
    core->hybrid_us = max_u64(core->hybrid_us, min_u64(time_us, wall + HYBRID_AHEAD_US_MAX));
}
