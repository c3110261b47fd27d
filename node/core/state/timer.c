/* timer: deadlines of the core, in one heap; core_step fires those that have passed. */
#include "core/state/state.h"

void timer_set(struct core *core, struct timer *timer, uint64_t at_us,
               void (*fire)(struct core *core, struct timer *timer))
{
    timer->fire = fire;
    heap_set(&core->timers, &timer->node, at_us);
}

void timer_set_after_ms(struct core *core, struct timer *timer, uint64_t ms,
                        void (*fire)(struct core *core, struct timer *timer))
{
    timer_set(core, timer, core->now_us + ms * 1000, fire);
}

void timer_cancel(struct core *core, struct timer *timer)
{
    heap_remove(&core->timers, &timer->node);
}

bool timers_run_one(struct core *core)
{
    struct heap_node *first = heap_first(&core->timers);
    if (first == NULL || first->at > core->now_us)
        return false;
    heap_remove(&core->timers, first);
    struct timer *timer = container_of(first, struct timer, node);
    timer->fire(core, timer);
    return true;
}
