/* sync: compares this node's copy of a partition with another's (Dynamo 4.7). */
#ifndef TOYSTORE_CORE_SYNC_H
#define TOYSTORE_CORE_SYNC_H

#include "core/state/state.h"

struct syncs;
struct syncs *syncs_new(void);
void syncs_free(struct syncs *syncs);
size_t syncs_open(const struct core *core); /* comparisons under way */

/* Makes this node's copy of a partition contain what `from` has and reports what differs.
 * For each differing key `differ` is called with both records (either may be absent) and whether
 * `from` says settled; it stores or settles as its purpose wants and calls sync_next, from inside
 * or later. `key` and `theirs` live until then. Both directions are reported: a key that only this
 * node has comes with theirs empty, one that is damaged there with SYNC_UNKNOWN. When all are done
 * or the peer fails: done(status): OK, STALE (the newer view is known by then), MUTE (with purpose
 * 1 after everything: it gave what it has), TIMEOUT, UNAVAILABLE, BUSY ...; never while keys are
 * open, maybe from inside sync_next. At most SYNC_OPEN_MAX keys are open at once. `purpose` as in
 * tree_request. 0: too many are under way, nothing is called. */
#define SYNC_UNKNOWN slice_of("", 0)
static inline bool sync_unknown(struct slice theirs)
{
    return theirs.size == 0 && theirs.data != NULL;
}
typedef void sync_differ_fn(struct core *core, uint64_t sync, uint64_t handle, struct slice key,
                            struct slice theirs, bool theirs_settled);
typedef void sync_done_fn(struct core *core, uint64_t handle, node_id from,
                          enum toystore_status status);
uint64_t sync_start(struct core *core, uint32_t partition, node_id from, uint32_t purpose,
                    sync_differ_fn *differ, sync_done_fn *done, uint64_t handle);
void sync_next(struct core *core, uint64_t sync);   /* one key that differed is dealt with */
void sync_cancel(struct core *core, uint64_t sync); /* done is not called any more */

#endif
