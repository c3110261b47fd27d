/* disk: the core's way to its store: loads, commits and scans as actions, results as calls. */
#ifndef TOYSTORE_CORE_DISK_H
#define TOYSTORE_CORE_DISK_H

#include "core/state/event.h"
#include "core/state/timer.h"

static inline struct resume resume_to(void (*fn)(struct core *, const struct core_event *,
                                                 struct resume),
                                      uint64_t handle, uint64_t index)
{
    return (struct resume){fn, handle, index};
}

void disk_load(struct core *core, enum toystore_space space, struct slice key,
               struct resume resume);
/* Takes the batch's contents; *batch is empty after. resume.fn may be NULL: nobody waits. */
void disk_commit(struct core *core, struct batch *batch, bool durable, struct resume resume);
/* For what a member cannot go on without (epochs, layouts): did that commit fail on a disk that may
 * be well again? Then `fire` is called in a while, to write what stands by then. */
bool disk_again(struct core *core, int status, struct timer *again,
                void (*fire)(struct core *core, struct timer *timer));
void disk_scan(struct core *core, enum toystore_space space, struct slice from, struct slice to,
               size_t limit, struct resume resume);

/* How large the store's disk is: EVENT_ROOM. */
void disk_room(struct core *core, struct resume resume);

#endif
