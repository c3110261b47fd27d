/* hint_round: when the hints of an owner are gone through: every so often, when it is back, and
 * after a change of the view. Enters from gossip and the view; leaves to hint_deliver.c. */
#include "core/replica/hint.h"
#include "core/replica/hint_priv.h"

static void round_fire(struct core *core, struct timer *timer)
{
    for (size_t i = 0; i < core->hints->owner_count; i++)
        hint_pass(core, core->hints->owners[i]);
    timer_set_after_ms(core, timer, max_u64(core->config.handoff_interval_ms, 1), round_fire);
}

void hints_start(struct core *core)
{
    struct hints *hints = core->hints;
    hints->started = true;
    for (size_t i = 0; i < hints->owner_count; i++) /* the last process may have ended before */
        hints->owners[i]->sweep = true;
    round_fire(core, &core->hints->round);
}

void hints_on_member(struct core *core, node_id id)
{
    struct hint_owner *owner = hint_owner_find(core->hints, id);
    if (owner != NULL && core->hints->started)
        hint_pass(core, owner);
}

void hints_view_changed(struct core *core)
{
    struct hints *hints = core->hints;
    for (size_t i = 0; i < hints->owner_count; i++)
        hints->owners[i]->sweep = true;
    if (hints->started)
        timer_set(core, &hints->round, core->now_us, round_fire);
}
