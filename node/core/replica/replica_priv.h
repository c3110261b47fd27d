/* replica_priv: what the files of the replica share. */
#ifndef TOYSTORE_CORE_REPLICA_PRIV_H
#define TOYSTORE_CORE_REPLICA_PRIV_H

#include "core/replica/grave.h"
#include "core/replica/replica.h"
#include "core/rpc/rpc.h"
#include "core/state/state.h"

/* Everything that waits for one key; exists while there is anything. */
struct replica_key {
    struct blob *name;
    struct list waiting; /* replica_op.link; the first is the one that runs */
    size_t count;
};

/* RAW: the record is neither decoded nor encoded; entry.record goes to the disk as work leaves it.
 */
enum replica_depth { REPLICA_DECODED, REPLICA_RAW };

struct replica_op {
    struct list link;
    struct replica_key *queue;
    pool_handle handle;
    enum replica_depth depth;
    replica_work_fn *work_fn, *done_fn;
    struct replica_work work;
    struct slice encoded;     /* work may give the record's canonical bytes, to save encoding */
    struct slice before;      /* the record as stored */
    struct blob *stored;      /* what was loaded */
    bool was_damaged, marked; /* marked: TOKENS says so already */
    bool had, has;            /* a digest before, after */
    bool digest_changed;      /* or the mark of damage was made or taken back */
    struct hash128 token_id, digest_before, digest_after;
    struct ballot promised_before;
    struct grave grave_before, grave_after; /* what the index of graves says of the key */
};

struct replica {
    struct pool ops;          /* struct replica_op */
    struct map keys;          /* key -> struct replica_key */
    struct list refused;      /* struct refusal */
    struct timer refuse;      /* to refuse them from outside */
    struct pool requests;     /* struct replica_request */
    uint64_t damaged, mended; /* copies found damaged since the start; others' in their place */
};

static inline struct replica_op *replica_op_of(struct replica_work *work)
{
    return container_of(work, struct replica_op, work);
}

void replica_run_raw(struct core *core, struct slice key, replica_work_fn *work,
                     replica_work_fn *done, uint64_t handle, uint64_t index);

/* replica_commit.c: the writes that belong to what work has decided. */
void replica_grave_before(struct replica_op *op);
void replica_collect(struct core *core, struct replica_op *op);
void replica_tree_follow(struct core *core, const struct replica_op *op);
void replica_tree_undo(struct core *core, const struct replica_op *op);

/* replica_rules.c: PROTOCOL 3, on one key's entry. `promised` in: the partition's. */
struct ballot replica_promised(const struct replica_work *work, const struct ballot *partition);
enum toystore_status replica_prepare(struct replica_work *work, const struct ballot *partition,
                                     const struct ballot *ballot);
/* What an accept says of itself: whether it makes its register chosen (n = 1, n = 2). */
enum replica_accept { ACCEPT_ONE_OF_MANY, ACCEPT_DECIDES };
enum toystore_status replica_accept(struct replica_work *work, const struct ballot *partition,
                                    const struct record *incoming, enum replica_accept decides);
void replica_settled(struct replica_work *work, const struct ballot *ballot);
/* PROTOCOL 8: `bytes` are the record's, canonical, and lie in `in`; for REPLICA_RAW. */
enum toystore_status replica_immutable(struct replica_work *work, struct slice bytes,
                                       struct blob *in);

/* What others show was collected, and nothing is here: it is not taken any more (PROTOCOL 8). */
static inline bool replica_gone(struct core *core, uint32_t partition,
                                const struct replica_work *work, const struct record *incoming)
{
    return !work->damaged && work->entry.record.size == 0 &&
           grave_collected(core, partition, incoming);
}

/* The same of an immutable key. */
static inline bool replica_gone_immutable(struct core *core, uint32_t partition,
                                          struct replica_work *work, struct slice bytes)
{
    struct record record;
    return bytes.size <= 1024 && record_decode(&work->arena, bytes, &record) == 0 &&
           replica_gone(core, partition, work, &record);
}

/* replica_request.c: a member's request, from its arrival to its one reply. */
struct replica_request {
    pool_handle handle;
    struct rpc_origin origin;
    node_id from;
    enum wire_method method;
    struct blob *frame; /* what the decoded message borrows from */
    uint32_t partition;
    struct view view;
    union {
        struct get_request get;
        struct prepare_request prepare;
        struct put_request put;
        struct settled_request settled;
        struct hint_put_request hint_put;
        struct transfer_request transfer;
    };
    enum toystore_status status;
    struct transfer_item *items; /* of a transfer */
    uint32_t *results;
    struct cursor keys, ops; /* of a sync: not looked at yet */
    struct op_id op;         /* what must be at the one that is looked at */
    uint32_t open;           /* records or keys to come */
};

/* The view check, and mute, before everything. False: it was answered, or is parked. */
bool replica_admit(struct core *core, const struct rpc_request *request, uint32_t partition,
                   const struct view *view);
/* The same once more when the key's turn has come. */
enum toystore_status replica_still(struct core *core, const struct replica_request *request);
struct replica_request *replica_request_new(struct core *core, const struct rpc_request *request);
void replica_request_free(struct core *core, struct replica_request *request);
void replica_transfer(struct core *core, const struct rpc_request *request);
void replica_sync(struct core *core, const struct rpc_request *request);
bool replica_from_owner(struct core *core, struct slice key, node_id from);
enum toystore_status replica_status(int error); /* of a load or commit */

#endif
