/* A pass over the hints of one owner: read some, send each with the key's current record, at most
 * HINT_WINDOW unacknowledged and fewer where that makes the owner slow (pace.h), and take out what
 * was acknowledged (PROTOCOL 6). An owner sends its record, a fallback the sloppy puts alone.
 * Whatever says that the receiver cannot take more now ends the pass; the next round begins again.
 * Enters from hint_round.c (rounds, news of members); leaves to the key's queue (the record), rpc
 * (TRANSFER), coord_settle (what was refused). */
#include "core/coord/coord.h"
#include "core/coord/lead.h"
#include "core/replica/hint.h"
#include "core/replica/hint_priv.h"
#include "core/replica/replica_priv.h"
#include "core/view/view.h"
#include "rules/key.h"

static void pass_pump(struct core *core, struct hint_owner *owner);

/* ---- one hint ---- */

static void send_end(struct core *core, struct hint_send *send)
{
    struct hint_owner *owner = send->owner;
    list_remove(&send->link);
    blob_unref(&send->key);
    pool_delete(&core->hints->sends, send->handle);
    owner->open--;
    pass_pump(core, owner);
}

static void send_clear(struct core *core, struct hint_send *send, struct batch *batch)
{
    hint_remove(core, send->owner, blob_slice(send->key), batch);
    disk_commit(core, batch, false, (struct resume){0});
}

/* A fallback keeps its copy only as long as somebody misses it. */
static void drop_work(struct core *core, struct replica_work *work)
{
    struct hint_send *send = pool_get(&core->hints->sends, work->handle);
    struct hash128 now = hash128(work->entry.record);
    work->drop = !work->damaged && work->entry.record.size > 0 && !hint_kept(core, work->key) &&
                 memcmp(&now, &send->sent, sizeof now) == 0 &&
                 !replica_from_owner(core, work->key, core->id);
}

static void drop_done(struct core *core, struct replica_work *work)
{
    send_end(core, pool_get(&core->hints->sends, work->handle));
}

static void acknowledged(struct core *core, struct hint_send *send)
{
    if (send->again) {
        send_end(core, send);
        return;
    }
    struct batch batch = {0};
    send_clear(core, send, &batch);
    if (send->fallback)
        replica_run_raw(core, blob_slice(send->key), drop_work, drop_done, send->handle, 0);
    else
        send_end(core, send);
}

static void refused_settled(struct core *core, uint64_t handle, uint64_t index,
                            enum toystore_status status)
{
    (void)index;
    (void)status; /* whether it was settled or not: the hint stays, and is sent again */
    struct hint_send *send = pool_get(&core->hints->sends, handle);
    if (send != NULL)
        send_end(core, send);
}

static void adopted(struct core *core, uint64_t handle)
{
    (void)core;
    (void)handle;
}

/* What the owner made of it: its result, or the status of the whole answer. */
static enum toystore_status send_result(const struct rpc_answer *answer,
                                        struct transfer_reply *ret_reply)
{
    uint32_t result;
    *ret_reply = (struct transfer_reply){0};
    if (answer->status != TOYSTORE_OK)
        return answer->status;
    if (!transfer_reply_decode(answer->result, ret_reply))
        return TOYSTORE_INVALID;
    if (ret_reply->status != TOYSTORE_OK)
        return ret_reply->status;
    struct cursor cursor = cursor_of(ret_reply->results.items);
    return wire_get_U32(&cursor, &result) ? result : TOYSTORE_INVALID;
}

static void send_answered(struct core *core, uint64_t handle, uint64_t index,
                          const struct rpc_answer *answer)
{
    (void)index;
    struct hint_send *send = pool_get(&core->hints->sends, handle);
    struct transfer_reply reply;
    enum toystore_status status = send_result(answer, &reply);
    pace_took(&send->owner->pace, core->now_us, core->now_us - send->sent_us, HINT_WINDOW);
    if (BROKEN(core, hint_early))
        status = TOYSTORE_OK;
    switch (status) {
    case TOYSTORE_OK:
        acknowledged(core, send);
        return;
    case TOYSTORE_REFUSED:
        if (BROKEN(core, refused_left)) {
            acknowledged(core, send);
            return;
        }
        coord_settle(core, blob_slice(send->key), refused_settled, handle, 0);
        return;
    case TOYSTORE_UNKNOWN: /* its copy is damaged: it takes the key from others first */
        break;
    case TOYSTORE_INVALID:
        core_log(core, LOG_WARNING, "%.*s: hinted to %016llx and refused as malformed: %s",
                 (int)min_size(blob_slice(send->key).size, 200),
                 (const char *)blob_slice(send->key).data, (unsigned long long)send->owner->id,
                 answer->status == TOYSTORE_OK ? "the record" : "the message");
        break;
    case TOYSTORE_STALE:
        view_adopt(core, view_partition_of(core, blob_slice(send->key)), &reply.view,
                   send->owner->id, REPLICA_TIMEOUT_MS, adopted, 0);
        send->owner->stop = true;
        break;
    default: /* silent, busy, mute, full: not now */
        send->owner->stop = true;
        break;
    }
    send_end(core, send);
}

/* A sloppy put whose owner is none any more goes to those that are (PROTOCOL 6). */
static void move_on(struct core *core, struct hint_send *send, const struct electorate *owners)
{
    struct batch batch = {0};
    for (unsigned i = 0; i < owners->member_count; i++)
        hint_add(core, &batch, owners->members[i], blob_slice(send->key));
    send_clear(core, send, &batch);
}

/* What this hint is worth sending: all that an owner has, the sloppy puts of a fallback. */
static struct slice payload_of(struct replica_work *work, struct buf *sloppy, bool whole)
{
    struct record record;
    if (whole)
        return work->entry.record;
    if (record_decode(&work->arena, work->entry.record, &record) != 0)
        return slice_of(NULL, 0);
    record.has_register = false;
    record_encode(sloppy, &record);
    return buf_slice(sloppy);
}

/* What is known to be chosen is taken below a promise: the owner may have promised a leader that
 * came after the put (PROTOCOL 3). */
static bool known_chosen(struct core *core, struct replica_work *work)
{
    struct record record;
    if (work->entry.settled)
        return true;
    return record_decode(&work->arena, work->entry.record, &record) == 0 && record.has_register &&
           lead_knows_chosen(core, view_partition_of(core, work->key), work->key,
                             &record.reg.ballot);
}

static void send_record(struct core *core, struct hint_send *send, struct slice payload,
                        bool settled)
{
    struct slice key = blob_slice(send->key);
    uint32_t partition = view_partition_of(core, key);
    struct buf items = {0};
    send->sent = hash128(payload);
    send->sent_us = core->now_us;
    transfer_item_encode(&items, &(struct transfer_item){key, payload, settled});
    struct blob *params =
        RPC_PARAMS(transfer_request, {.view = view_of(core, partition),
                                      .partition = partition,
                                      .reason = TRANSFER_HINT,
                                      .durable = send->fallback, /* ours goes for it */
                                      .records = {1, buf_slice(&items)}});
    buf_free(&items);
    rpc_call(core, send->owner->id, METHOD_TRANSFER, params, REPLICA_TIMEOUT_MS, send_answered,
             send->handle, 0);
}

static void read_work(struct core *core, struct replica_work *work)
{
    (void)core;
    (void)work;
}

static void read_done(struct core *core, struct replica_work *work)
{
    struct hint_send *send = pool_get(&core->hints->sends, work->handle);
    struct hint_owner *owner = send->owner;
    struct electorate electorate;
    uint32_t layout = view_layout_of_key(work->key);
    if (layout != 0 && layout <= view_of(core, view_partition_of(core, work->key)).newest) {
        struct batch decided = {0}; /* nobody asks for it any more */
        send_clear(core, send, &decided);
        send_end(core, send);
        return;
    }
    view_electorate_key(core, work->key, 0, 0, &electorate);
    bool own = electorate_index(&electorate, core->id) >= 0 || BROKEN(core, store_from_anyone);
    bool theirs = electorate_index(&electorate, owner->id) >= 0;
    if (work->status != 0 || work->damaged) {
        if (work->damaged && !own) { /* and it will not be mended: this node owns it no more */
            struct batch lost = {0};
            send_clear(core, send, &lost);
        }
        send_end(core, send);
        return;
    }
    struct buf sloppy = {0};
    struct batch batch = {0};
    struct slice payload = payload_of(work, &sloppy, own || key_is_immutable(work->key));
    send->fallback = !own;
    if (payload.size == 0 || (own && !theirs)) {
        if (!send->again)
            send_clear(core, send, &batch);
        send_end(core, send);
    } else if (!theirs) {
        move_on(core, send, &electorate);
        send_end(core, send);
    } else if (!rpc_reachable(core, owner->id)) {
        owner->stop = !owner->sweep;
        send_end(core, send);
    } else {
        send_record(core, send, payload, own && known_chosen(core, work));
    }
    buf_free(&sloppy);
}

/* ---- a pass ---- */

static void pass_scan(struct core *core, struct hint_owner *owner);

static void pass_end(struct core *core, struct hint_owner *owner)
{
    /* a commit that failed may have left a key in the set that is not on the disk */
    if (!owner->stop && owner->found == 0 && !owner->added)
        hint_set_free(&owner->keys);
    owner->sweep = owner->sweep && (owner->stop || owner->added);
    owner->passing = false;
    blob_unref(&owner->after);
    if (owner->wanted && !owner->stop)
        hint_pass(core, owner);
}

static void send_start(struct core *core, struct hint_owner *owner, struct blob *key)
{
    pool_handle handle;
    struct hint_send *send = pool_new(&core->hints->sends, &handle);
    if (send == NULL) {
        blob_unref(&key);
        owner->stop = true;
        return;
    }
    send->handle = handle;
    send->owner = owner;
    send->key = key;
    list_push_back(&owner->sends, &send->link);
    owner->open++;
    replica_run_raw(core, blob_slice(key), read_work, read_done, handle, 0);
}

static void pause_over(struct core *core, struct timer *timer)
{
    pass_pump(core, container_of(timer, struct hint_owner, pause));
}

/* May another one be sent now? If not yet, the timer goes on. */
static bool may_send(struct core *core, struct hint_owner *owner)
{
    if (owner->open >= pace_window(&owner->pace, HINT_WINDOW) && !BROKEN(core, queue_flood))
        return false;
    if (core->now_us >= owner->pace.not_before_us)
        return true;
    timer_set(core, &owner->pause, owner->pace.not_before_us, pause_over);
    return false;
}

static void pass_pump(struct core *core, struct hint_owner *owner)
{
    if (!owner->passing)
        return;
    if (core->stopping)
        owner->stop = true;
    if (owner->stop)
        hint_queue_drop(owner);
    while (owner->queue_first < owner->queue_count && !owner->stop && may_send(core, owner)) {
        struct blob *key = owner->queue[owner->queue_first];
        owner->queue[owner->queue_first++] = NULL;
        send_start(core, owner, key);
    }
    if (owner->open > 0 || owner->queue_first < owner->queue_count)
        return;
    if (owner->more && !owner->stop)
        pass_scan(core, owner);
    else
        pass_end(core, owner);
}

static void pass_scanned(struct core *core, const struct core_event *event, struct resume resume)
{
    struct hint_owner *owner = hint_owner_find(core->hints, resume.handle);
    owner->queue_first = owner->queue_count = 0;
    owner->more = event->more;
    if (event->status != 0) {
        owner->stop = true;
        core_log(core, LOG_ERROR, "the hints could not be read: %s", strerror(-event->status));
    }
    for (size_t i = 0; i < event->pair_count; i++) {
        node_id id;
        struct slice key;
        if (!hint_pair_key(event->pairs[i].key, &id, &key))
            continue;
        owner->queue[owner->queue_count++] = blob_copy(key);
        blob_unref(&owner->after);
        owner->after = blob_copy(key);
    }
    owner->found += event->pair_count;
    pass_pump(core, owner);
}

static void pass_scan(struct core *core, struct hint_owner *owner)
{
    struct buf from = {0};
    struct blob *first = hint_pair(owner->id, blob_slice(owner->after));
    struct blob *end = hint_pair(owner->id + 1, slice_of(NULL, 0));
    buf_append(&from, first->data, first->size);
    if (owner->after != NULL)
        buf_append(&from, "", 1); /* the next key there could be */
    bool last = owner->id == UINT64_MAX;
    disk_scan(core, TOYSTORE_HINTS, buf_slice(&from), last ? slice_of(NULL, 0) : blob_slice(end),
              HINT_SCAN_MAX, resume_to(pass_scanned, owner->id, 0));
    buf_free(&from);
    blob_unref(&first);
    blob_unref(&end);
}

void hint_pass(struct core *core, struct hint_owner *owner)
{
    if (owner->passing) {
        owner->wanted = true;
        return;
    }
    owner->wanted = false;
    if (owner->keys.count == 0 || view_partition_count(core) == 0 ||
        (!owner->sweep && !rpc_reachable(core, owner->id)))
        return;
    owner->passing = true;
    owner->stop = owner->more = owner->added = false;
    owner->found = 0;
    pass_scan(core, owner);
}
