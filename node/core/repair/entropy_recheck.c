/* The second look at a key that a promise refused: ask the other owner what it has now, compare
 * with ours, and settle what still differs by a round (PROTOCOL 3 REFUSED). The first time a put
 * may have been between its two accepts, and a round then would only depose who makes it.
 * Enters from entropy_key.c; leaves to rpc (GET), the key's queue, and coord_settle. */
#include "core/coord/coord.h"
#include "core/repair/entropy_priv.h"
#include "core/replica/replica_priv.h"
#include "core/view/view.h"

struct entropy_recheck {
    pool_handle handle;
    struct timer pause;
    struct blob *key;
    node_id peer;
    struct blob *frame; /* the answer */
    struct slice theirs;
    bool differs;
};

const size_t entropy_recheck_size = sizeof(struct entropy_recheck);

void entropy_recheck_clear(struct entropy_recheck *recheck)
{
    if (recheck == NULL)
        return;
    blob_unref(&recheck->key);
    blob_unref(&recheck->frame);
}

static void recheck_end(struct core *core, struct entropy_recheck *recheck)
{
    entropy_recheck_clear(recheck);
    pool_delete(&core->entropy->rechecks, recheck->handle);
}

static void settled(struct core *core, uint64_t handle, uint64_t index, enum toystore_status status)
{
    (void)index;
    (void)status; /* if it failed, the trees still differ */
    recheck_end(core, pool_get(&core->entropy->rechecks, handle));
}

static void own_work(struct core *core, struct replica_work *work)
{
    struct entropy_recheck *recheck = pool_get(&core->entropy->rechecks, work->handle);
    recheck->differs = !work->damaged && !slice_equal(work->entry.record, recheck->theirs);
}

static void own_read(struct core *core, struct replica_work *work)
{
    struct entropy_recheck *recheck = pool_get(&core->entropy->rechecks, work->handle);
    if (work->status == 0 && recheck->differs)
        coord_settle(core, blob_slice(recheck->key), settled, recheck->handle, 0);
    else
        recheck_end(core, recheck);
}

static void peer_read(struct core *core, uint64_t handle, uint64_t index,
                      const struct rpc_answer *answer)
{
    (void)index;
    struct entropy_recheck *recheck = pool_get(&core->entropy->rechecks, handle);
    struct replica_reply reply;
    if (answer->status != TOYSTORE_OK || !replica_reply_decode(answer->result, &reply) ||
        reply.status != TOYSTORE_OK) {
        recheck_end(core, recheck);
        return;
    }
    recheck->frame = blob_ref(answer->frame);
    recheck->theirs = reply.record;
    replica_run_raw(core, blob_slice(recheck->key), own_work, own_read, handle, 0);
}

static void pause_fire(struct core *core, struct timer *timer)
{
    struct entropy_recheck *recheck = pool_get(&core->entropy->rechecks, timer->handle);
    struct slice key = blob_slice(recheck->key);
    struct view view = view_of(core, view_partition_of(core, key));
    rpc_call(core, recheck->peer, METHOD_GET, RPC_PARAMS(get_request, {.view = view, .key = key}),
             REPLICA_TIMEOUT_MS, peer_read, recheck->handle, 0);
}

void entropy_recheck(struct core *core, struct slice key, node_id peer)
{
    pool_handle handle;
    if (BROKEN(core, refused_left))
        return;
    struct entropy_recheck *recheck = pool_new(&core->entropy->rechecks, &handle);
    if (recheck == NULL)
        return; /* the trees still differ, and are compared again */
    recheck->handle = handle;
    recheck->key = blob_copy(key);
    recheck->peer = peer;
    recheck->pause.handle = handle;
    /* jittered: the other owner may have found the same */
    uint64_t pause = ENTROPY_PAUSE_MS + prng_below(&core->prng, 2 * ENTROPY_PAUSE_MS);
    timer_set_after_ms(core, &recheck->pause, pause, pause_fire);
}
