/* One key that differs between this owner and another: what they have is stored here, then what
 * they lack is sent to them, both by store() (PROTOCOL 3). What a promise refuses is looked at once
 * more later, since a put may be on its way to one of the two.
 * Enters from sync; leaves to the key's queue, rpc (TRANSFER), entropy_recheck.c, and sync_next. */
#include "core/coord/lead.h"
#include "core/repair/entropy_priv.h"
#include "core/replica/replica_priv.h"
#include "core/replica/sync.h"
#include "core/view/holders.h"
#include "core/view/view.h"
#include "rules/key.h"
#include "rules/version.h"

struct entropy_key {
    struct list link; /* in entropy->waiting, until it may begin */
    pool_handle handle;
    uint64_t began_us;
    uint64_t sync;
    node_id peer;
    uint32_t partition;
    struct slice name, theirs; /* they live until sync_next */
    bool theirs_settled;
    enum toystore_status status; /* of storing here */
    struct blob *ours;           /* to be sent; NULL: they have all that we have */
    bool ours_settled;
};

const size_t entropy_key_size = sizeof(struct entropy_key);

void entropy_key_clear(struct entropy_key *key)
{
    if (key != NULL)
        blob_unref(&key->ours);
}

static void keys_begin(struct core *core);

static void key_end(struct core *core, struct entropy_key *key)
{
    struct entropy *entropy = core->entropy;
    uint64_t sync = key->sync;
    pace_took(&entropy->pace, core->now_us, core->now_us - key->began_us, ENTROPY_KEYS_MAX);
    entropy->busy--;
    entropy_key_clear(key);
    pool_delete(&entropy->keys, key->handle);
    sync_next(core, sync);
    keys_begin(core);
}

/* ---- here ---- */

static void take_immutable(struct core *core, struct replica_work *work, struct entropy_key *key)
{
    if (key->theirs.size > 0 && !replica_gone_immutable(core, key->partition, work, key->theirs))
        key->status = replica_immutable(work, key->theirs, NULL);
    if (!work->damaged && work->entry.record.size > 0 &&
        !slice_equal(work->entry.record, key->theirs))
        key->ours = blob_copy(work->entry.record);
}

static void take_record(struct core *core, struct replica_work *work, struct entropy_key *key)
{
    struct record theirs = {0};
    if (work->damaged)
        return; /* the key recovers by a move */
    if (key->theirs.size > 0 &&
        record_take(&work->arena, key->theirs, view_collected(core, work->key), &theirs) != 0)
        return;
    if (replica_gone(core, key->partition, work, &theirs))
        return;
    bool doubt =
        !key->theirs_settled && holder_unheld(core, key->name, key->peer, &theirs, &work->record);
    key->status = replica_store(work, &view_partition(core, key->partition)->promised, &theirs,
                                key->theirs_settled, !doubt);
    if (doubt)
        key->status = TOYSTORE_REFUSED;
    if (work->entry.settled)
        record_prune(&work->arena, &work->record);
    struct buf ours = {0};
    record_encode(&ours, &work->record);
    if (ours.size == 0 || slice_equal(buf_slice(&ours), key->theirs)) {
        buf_free(&ours);
        return;
    }
    key->ours = buf_take(&ours);
    const struct reg *reg = &work->record.reg;
    key->ours_settled =
        work->entry.settled || (work->record.has_register &&
                                lead_knows_chosen(core, key->partition, work->key, &reg->ballot));
}

static void key_work(struct core *core, struct replica_work *work)
{
    struct entropy_key *key = pool_get(&core->entropy->keys, work->handle);
    if (view_partition(core, key->partition)->mute || !view_holds(core, key->partition))
        return;
    if (key_is_immutable(work->key))
        take_immutable(core, work, key);
    else
        take_record(core, work, key);
}

/* ---- there ---- */

static void sent(struct core *core, uint64_t handle, uint64_t index,
                 const struct rpc_answer *answer)
{
    (void)index;
    struct entropy_key *key = pool_get(&core->entropy->keys, handle);
    struct transfer_reply reply;
    uint32_t result;
    if (answer->status == TOYSTORE_OK && transfer_reply_decode(answer->result, &reply) &&
        reply.status == TOYSTORE_OK) {
        struct cursor cursor = cursor_of(reply.results.items);
        if (wire_get_U32(&cursor, &result) && result == TOYSTORE_REFUSED)
            entropy_recheck(core, key->name, key->peer);
    }
    key_end(core, key);
}

static void key_done(struct core *core, struct replica_work *work)
{
    struct entropy_key *key = pool_get(&core->entropy->keys, work->handle);
    if (work->status == 0 && key->status == TOYSTORE_REFUSED)
        entropy_recheck(core, key->name, key->peer);
    if (work->status != 0 || key->ours == NULL) {
        key_end(core, key);
        return;
    }
    struct buf items = {0};
    transfer_item_encode(
        &items, &(struct transfer_item){key->name, blob_slice(key->ours), key->ours_settled});
    struct blob *params = RPC_PARAMS(transfer_request, {.view = view_of(core, key->partition),
                                                        .partition = key->partition,
                                                        .reason = TRANSFER_REPAIR,
                                                        .records = {1, buf_slice(&items)}});
    buf_free(&items);
    rpc_call(core, key->peer, METHOD_TRANSFER, params, REPLICA_TIMEOUT_MS, sent, key->handle, 0);
}

static void pause_over(struct core *core, struct timer *timer)
{
    (void)timer;
    keys_begin(core);
}

/* As many at once as those who cannot wait do not feel (pace.h). */
static void keys_begin(struct core *core)
{
    struct entropy *entropy = core->entropy;
    while (entropy->busy < pace_window(&entropy->pace, ENTROPY_KEYS_MAX) &&
           !list_empty(&entropy->waiting)) {
        if (core->now_us < entropy->pace.not_before_us) {
            timer_set(core, &entropy->pause, entropy->pace.not_before_us, pause_over);
            return;
        }
        struct entropy_key *key =
            container_of(list_pop_front(&entropy->waiting), struct entropy_key, link);
        key->began_us = core->now_us;
        entropy->busy++;
        if (key_is_immutable(key->name))
            replica_run_raw(core, key->name, key_work, key_done, key->handle, 0);
        else
            replica_run(core, key->name, key_work, key_done, key->handle, 0);
    }
}

static node_id peer_of(struct core *core, const struct entropy_sync *sync)
{
    struct electorate electorate;
    view_electorate(core, sync->partition, 0, 0, &electorate);
    unsigned place = (unsigned)__builtin_ctz(sync->peer);
    return place < electorate.member_count ? electorate.members[place] : 0;
}

void entropy_differs(struct core *core, uint64_t sync_handle, uint64_t handle, struct slice name,
                     struct slice theirs, bool theirs_settled)
{
    struct entropy_sync *sync = pool_get(&core->entropy->syncs, handle);
    pool_handle own;
    struct entropy_key *key = pool_new(&core->entropy->keys, &own);
    sync->differed = true;
    if (key != NULL && sync_unknown(theirs)) { /* it recovers that by a move */
        pool_delete(&core->entropy->keys, own);
        key = NULL;
    }
    if (key == NULL) {
        sync_next(core, sync_handle);
        return;
    }
    *key = (struct entropy_key){.handle = own,
                                .sync = sync_handle,
                                .peer = peer_of(core, sync),
                                .partition = sync->partition,
                                .name = name,
                                .theirs = theirs,
                                .theirs_settled = theirs_settled};
    list_push_back(&core->entropy->waiting, &key->link);
    keys_begin(core);
}
