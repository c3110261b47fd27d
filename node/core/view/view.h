/* view: which layouts are live, each partition's epoch, and what this node knows of both
 * (PROTOCOL 1 and 7). Every request between members passes view_admit before anything else. */
#ifndef TOYSTORE_CORE_VIEW_H
#define TOYSTORE_CORE_VIEW_H

#include "core/rpc/rpc.h"
#include "rules/electorate.h"

/* What this node keeps for each partition of the newest layout, whether it owns it or not. */
struct partition {
    uint32_t epoch;         /* noted, fsynced */
    struct ballot promised; /* for all keys of it at once; committed */
    bool mute;              /* forgot something here, until it has recovered: see view_mute */
    struct era held;        /* the newest era in which it has taken it (PROTOCOL 7); fsynced */
    struct era collected;   /* tombstones of older eras were collected (PROTOCOL 8) */
    bool forgets;           /* just heard of it, with covered sloppy puts here; not written */
    uint64_t collected_at;  /* this session's last op by then (core->sequence); not written */
};

/* Is this node an owner that has forgotten something of the partition? What it had when it was an
 * owner last does not matter to what it is asked as a member or a fallback. */
bool view_mute(const struct core *core, uint32_t partition);
/* Has this node taken the partition in the present era? */
bool view_holds(const struct core *core, uint32_t partition);

struct views;
struct views *views_new(struct core *core);
void views_free(struct views *views);
/* Reads back "layout/N", "layouts" and "partition/P" of TOYSTORE_META. */
void views_restore(struct core *core, struct slice key, struct slice value);

const struct layout *view_oldest(const struct core *core); /* NULL: not in a cluster yet */
const struct layout *view_newest(const struct core *core);
uint32_t view_partition_count(const struct core *core); /* Q; 0: not in a cluster yet */
uint32_t view_partition_of(const struct core *core, struct slice key);
struct view view_of(const struct core *core, uint32_t partition);
/* The era in which the key's partition was collected last, as far as it is known here. */
struct era view_collected(const struct core *core, struct slice key);
/* Was this op made here since? Then nobody has forgotten it, whatever has replaced it. */
bool view_uncollected(const struct core *core, struct slice key, const struct op_id *op);
struct partition *view_partition(struct core *core, uint32_t partition);
/* Does this view know as much as that in every part? */
static inline bool view_at_least(const struct view *mine, const struct view *theirs)
{
    return mine->oldest >= theirs->oldest && mine->newest >= theirs->newest &&
           mine->epoch >= theirs->epoch && era_compare(mine->collected, theirs->collected) >= 0;
}
/* Adds what struct partition says now to a batch; a promise is answered once that is committed. */
void view_save_partition(struct core *core, uint32_t partition, struct batch *batch);
/* The owners and quorums under the present view. request_w, request_r as in electorate_init. */
void view_electorate(const struct core *core, uint32_t partition, unsigned request_w,
                     unsigned request_r, struct electorate *ret);
/* The same for a key: as view_electorate of its partition, except for .toystore/layouts/K, whose
 * owners are the members of layout K-1 alone (the first ELECTORATE_MAX by rank when there are
 * more): what everybody who coordinates or routes a key must use. */
void view_electorate_key(const struct core *core, struct slice key, unsigned request_w,
                         unsigned request_r, struct electorate *ret);
/* .toystore/layouts/K: K, or 0 for any other key. */
uint32_t view_layout_of_key(struct slice key);
bool view_owner(const struct core *core, uint32_t partition, node_id id); /* in any live layout */

/* At a replica. ADMIT_OK: go on. ADMIT_STALE: the sender knows less; answer STALE with view_of.
 * ADMIT_PARKED: this node knows less; it notes the sender's view, fsynced (fetching layouts from
 * the sender when it must), and then core.c runs the request again: return at once. */
enum admit { ADMIT_OK, ADMIT_STALE, ADMIT_PARKED };
enum admit view_admit(struct core *core, uint32_t partition, const struct view *theirs,
                      const struct rpc_request *request);

/* At an asker: somebody answered STALE with `theirs`. Calls `done` (never from inside) when this
 * node's view of the partition is at least that, or after `timeout_ms` with what it has. `done` may
 * be NULL: nobody waits. */
typedef void view_done_fn(struct core *core, uint64_t handle);
void view_adopt(struct core *core, uint32_t partition, const struct view *theirs, node_id from,
                unsigned timeout_ms, view_done_fn *done, uint64_t handle);

/* A newer layout became live here, or one was finished, or an epoch rose: everybody who keeps
 * something per view hears it (leads drop, holds begin, operations start again by STALE). */
void view_changed(struct core *core);
/* A layout became live, an epoch rose or a partition was collected: who waits may go on
 * (view_admit.c). */
void view_wake(struct core *core);
/* Notes an epoch, fsynced; `resume` when done. Lower or equal ones are answered at once. */
void view_raise(struct core *core, uint32_t partition, uint32_t epoch, struct resume resume);
struct view_epoch {
    uint32_t partition, epoch;
};
/* Many with one fsync; copies what it needs. */
void view_raise_many(struct core *core, const struct view_epoch *epochs, size_t count,
                     struct resume resume);

/* This node has taken the partitions, each in its era: fsynced, with all that was committed before.
 * Whoever was mute there speaks again. Copies what it needs. */
struct view_held {
    uint32_t partition;
    struct era era;
    bool recovered; /* what it had forgotten: only so a mute one speaks again */
};
void view_note_held(struct core *core, const struct view_held *held, size_t count,
                    struct resume resume);

/* Can this owner be asked for the partition: rpc_reachable and not known to be mute for it. */
bool view_reachable(const struct core *core, uint32_t partition, node_id id);
void view_note_mute(struct core *core, uint32_t partition, node_id id);

/* Has a newer view been heard of that is not in force here yet? */
bool view_learning(const struct core *core);

/* This member will never come back; and after some of these: there are fewer. */
void view_on_gone(struct core *core, node_id id);
void view_on_fewer(struct core *core);

/* Layout N by number, when this node knows it. */
const struct layout *view_layout(const struct core *core, uint32_t number);
/* Is it in any layout that is live, or was, as far as they are known here? */
bool view_was_in(const struct core *core, node_id id);
/* Everybody who may have records or hints: the members of the newest layout, and those outside of
 * it that store, unless they are gone, or stopped and said that nothing stayed behind. To be freed.
 */
node_id *view_everybody(const struct core *core, size_t *ret_count);
/* The founder's: layout 1 is chosen by being written, and held. */
void view_found(struct core *core, struct layout *layout);
/* All before `newest` is finished (PROTOCOL 7). */
void view_finish(struct core *core, uint32_t newest, struct resume resume);
/* Makes a layout known (chosen as .toystore/layouts/N); fsynced, then view_changed. */
void view_learn_layout(struct core *core, struct layout *layout, uint32_t oldest,
                       struct resume resume);
/* A member knows a newer layout (gossip, STALE): asks it; one question is under way at a time. */
void view_fetch(struct core *core, node_id from);
void view_handle_layout(struct core *core, const struct rpc_request *request);

#endif
