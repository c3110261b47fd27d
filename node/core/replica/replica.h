/* replica: what a member does with a key it keeps (PROTOCOL 3): one operation at a time per key,
 * load, compare, commit, answer. */
#ifndef TOYSTORE_CORE_REPLICA_H
#define TOYSTORE_CORE_REPLICA_H

#include "core/rpc/rpc.h"
#include "wire/record.h"

/* GET PREPARE PUT SETTLED HINT_PUT TRANSFER SYNC */
void replica_handle(struct core *core, const struct rpc_request *request);

struct replica;
struct replica *replica_new(struct core *core);
void replica_free(struct replica *replica);

/* The same for a caller in this core, without a message: waits for its turn with the key, loads
 * its entry, lets `work` change it, commits what changed (record, promise, listing, token, tree),
 * calls `done`. work and done are never called from inside; done exactly once. */
struct replica_work {
    struct slice key;
    struct entry entry;   /* as stored; entry.record borrowed */
    struct record record; /* decoded, in `arena` */
    bool damaged; /* the stored copy does not fit its checksum: UNKNOWN. It then looks empty here;
                     work that writes in its place all that others show clears this */
    struct blob *record_in; /* work may set: what its entry.record lies in, so that it is not
                               copied; borrowed, and kept by the caller until `done` */
    struct arena arena;
    bool write;  /* work sets: entry.promised, entry.settled, record are to be stored. When settled,
                    sloppy puts that the register covers leave the disk with it */
    bool forgot; /* of `record` sloppy puts were left out whose covers were collected */
    bool drop;   /* work sets: the key leaves the disk altogether */
    bool durable;
    struct batch batch; /* more writes that go with it (hints) */
    int status;   /* for done: 0; -EBUSY: work was never called, the queue was full; -EIO: nor here,
                     the entry could not be read; -ENOSPC, -EIO: the commit failed */
    bool written; /* for done, when the commit failed: it stands in the store all the same */
    uint64_t handle, index;
};
typedef void replica_work_fn(struct core *core, struct replica_work *work);
void replica_run(struct core *core, struct slice key, replica_work_fn *work, replica_work_fn *done,
                 uint64_t handle, uint64_t index);

/* PROTOCOL 3 store(): merges `incoming` into work->record as the promise allows.
 * OK: taken or already there (work->write says which); REFUSED: settle the key. */
enum toystore_status replica_store(struct replica_work *work, const struct ballot *promised,
                                   const struct record *incoming, bool settled, bool from_owner);

/* Immutable keys (chunks, pages, rules/key.h): the record is a register with a zero ballot and no
 * siblings, stored by Transfer with reason TRANSFER_IMMUTABLE; OK also when it is already there. */

#endif
