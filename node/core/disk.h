/* disk: the core's way to its store: loads, commits and scans as actions, results as calls. */
#ifndef TOYSTORE_CORE_DISK_H
#define TOYSTORE_CORE_DISK_H

#include "core/core.h"

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
void disk_scan(struct core *core, enum toystore_space space, struct slice from, struct slice to,
               size_t limit, struct resume resume);

/* How large the store's disk is: EVENT_ROOM. */
void disk_room(struct core *core, struct resume resume);

#endif
