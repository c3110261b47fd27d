/* timer: deadlines of the core. Embed one per object; a zeroed timer is not set. */
#ifndef TOYSTORE_CORE_TIMER_H
#define TOYSTORE_CORE_TIMER_H

#include "base/heap.h"
#include "core/state/event.h"

struct timer {
    struct heap_node node;
    void (*fire)(struct core *core, struct timer *timer);
    uint64_t handle; /* the owner's */
};

void timer_set(struct core *core, struct timer *timer, uint64_t at_us,
               void (*fire)(struct core *core, struct timer *timer));
void timer_set_after_ms(struct core *core, struct timer *timer, uint64_t ms,
                        void (*fire)(struct core *core, struct timer *timer));
void timer_cancel(struct core *core, struct timer *timer);

#endif
