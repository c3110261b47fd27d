/* TRANSFER: store() of many records of one partition, for hints, repair and moves; SYNC: what was
 * acknowledged before is made durable (PROTOCOL 3 and 5). */
#include "core/replica/replica_priv.h"
#include "core/view/holders.h"
#include "core/view/view.h"
#include "rules/key.h"
#include "rules/version.h"

static enum toystore_status transfer_one(struct core *core, struct replica_request *request,
                                         struct replica_work *work)
{
    const struct transfer_item *item = &request->items[work->index];
    enum toystore_status status = replica_still(core, request);
    if (status != TOYSTORE_OK)
        return status;
    work->durable = request->transfer.durable;
    if (key_is_immutable(item->key)) {
        if (replica_gone_immutable(core, request->partition, work, item->record))
            return TOYSTORE_OK;
        return replica_immutable(work, item->record, request->frame);
    }
    struct record incoming;
    if (record_take(&work->arena, item->record, view_collected(core, item->key), &incoming) != 0 ||
        (incoming.has_register && ballot_none(&incoming.reg.ballot)))
        return TOYSTORE_INVALID;
    if (work->damaged)
        return TOYSTORE_UNKNOWN;
    if (replica_gone(core, request->partition, work, &incoming))
        return TOYSTORE_OK;
    bool owner = replica_from_owner(core, item->key, request->from);
    bool doubt = owner && !item->settled &&
                 holder_unheld(core, item->key, request->from, &incoming, &work->record);
    status = replica_store(work, &view_partition(core, request->partition)->promised, &incoming,
                           item->settled || BROKEN(core, promise_ignored), owner && !doubt);
    return doubt && status == TOYSTORE_OK ? TOYSTORE_REFUSED : status;
}

static void transfer_work(struct core *core, struct replica_work *work)
{
    struct replica_request *request = pool_get(&core->replica->requests, work->handle);
    request->results[work->index] = transfer_one(core, request, work);
}

/* A result of STALE or MUTE: it became so while the request waited, so for all that came later. */
static void transfer_reply_send(struct core *core, struct replica_request *request)
{
    struct buf results = {0};
    enum toystore_status status = TOYSTORE_OK;
    for (uint32_t i = 0; i < request->transfer.records.count; i++) {
        if (request->results[i] == TOYSTORE_STALE || request->results[i] == TOYSTORE_MUTE)
            status = request->results[i];
        wire_put_U32(&results, request->results[i]);
    }
    RPC_REPLY(core, &request->origin, transfer_reply,
              {.status = status,
               .view = view_of(core, request->partition),
               .results = {request->transfer.records.count, buf_slice(&results)}});
    buf_free(&results);
    replica_request_free(core, request);
}

static void transfer_done(struct core *core, struct replica_work *work)
{
    struct replica_request *request = pool_get(&core->replica->requests, work->handle);
    if (work->status != 0)
        request->results[work->index] = replica_status(work->status);
    if (--request->open == 0)
        transfer_reply_send(core, request);
}

static bool transfer_decode(struct core *core, const struct rpc_request *request,
                            struct replica_request *own)
{
    struct transfer_request *transfer = &own->transfer;
    if (!transfer_request_decode(request->params, transfer) || transfer->records.count == 0 ||
        transfer->records.count > TRANSFER_RECORDS_MAX ||
        transfer->partition >= view_partition_count(core))
        return false;
    own->partition = transfer->partition;
    own->view = transfer->view;
    own->items = base_alloc(transfer->records.count * sizeof *own->items);
    own->results = base_alloc(transfer->records.count * sizeof *own->results);
    struct cursor cursor = cursor_of(transfer->records.items);
    char error[160];
    for (uint32_t i = 0; i < transfer->records.count; i++) {
        if (!transfer_item_read(&cursor, &own->items[i]) ||
            key_check(own->items[i].key, error, sizeof error) != TOYSTORE_OK ||
            view_partition_of(core, own->items[i].key) != own->partition)
            return false;
    }
    return true;
}

void replica_transfer(struct core *core, const struct rpc_request *request)
{
    struct replica_request *own = replica_request_new(core, request);
    if (own == NULL)
        return;
    if (!transfer_decode(core, request, own)) {
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "malformed transfer");
        replica_request_free(core, own);
        return;
    }
    if (!replica_admit(core, request, own->partition, &own->view)) {
        replica_request_free(core, own);
        return;
    }
    uint32_t count = own->transfer.records.count;
    own->open = count;
    for (uint32_t i = 0; i < count; i++) {
        struct slice key = own->items[i].key;
        if (key_is_immutable(key))
            replica_run_raw(core, key, transfer_work, transfer_done, own->handle, i);
        else
            replica_run(core, key, transfer_work, transfer_done, own->handle, i);
    }
}

/* ---- SYNC ---- */

static void sync_committed(struct core *core, const struct core_event *event, struct resume resume)
{
    struct replica_request *request = pool_get(&core->replica->requests, resume.handle);
    RPC_REPLY(core, &request->origin, sync_reply, {.status = replica_status(event->status)});
    replica_request_free(core, request);
}

/* Commits are made in order, so one empty durable commit makes all before it durable. */
static void sync_commit(struct core *core, struct replica_request *request)
{
    struct batch nothing = {0};
    disk_commit(core, &nothing, true, resume_to(sync_committed, request->handle, 0));
}

/* What this owner has missed would count as durable here without being here. */
static void sync_missed(struct core *core, struct replica_request *request)
{
    RPC_REPLY(core, &request->origin, sync_reply, {.status = TOYSTORE_UNKNOWN});
    replica_request_free(core, request);
}

static void sync_next_key(struct core *core, struct replica_request *request);

static void sync_token(struct core *core, const struct core_event *event, struct resume resume)
{
    struct replica_request *request = pool_get(&core->replica->requests, resume.handle);
    if (event->status == 0)
        sync_next_key(core, request);
    else
        sync_missed(core, request);
}

static bool sync_holds(struct slice bytes, const struct op_id *op)
{
    struct entry entry;
    struct record record = {0};
    struct arena arena = {0};
    bool holds = entry_decode(bytes, &entry) == 0 &&
                 record_decode(&arena, entry.record, &record) == 0 && record_has(&record, op);
    arena_free(&arena);
    return holds;
}

static void sync_record(struct core *core, const struct core_event *event, struct resume resume)
{
    struct replica_request *request = pool_get(&core->replica->requests, resume.handle);
    bool here = event->status == 0 &&
                (sync_holds(blob_slice(event->bytes), &request->op) || BROKEN(core, sync_unread));
    if (here)
        sync_next_key(core, request);
    else
        sync_missed(core, request);
}

/* What was acknowledged before stands in the store or on its way to it, where a load sees it. */
static void sync_next_key(struct core *core, struct replica_request *request)
{
    struct slice key;
    while (request->open > 0 && wire_get_BYTES(&request->keys, &key) &&
           wire_get_OPID(&request->ops, &request->op)) {
        request->open--;
        if (key_is_immutable(key)) {
            struct hash128 token = key_token(key);
            disk_load(core, TOYSTORE_TOKENS, slice_of(token.bytes, sizeof token.bytes),
                      resume_to(sync_token, request->handle, 0));
            return;
        }
        if (request->op.sequence != 0) {
            disk_load(core, TOYSTORE_RECORDS, key, resume_to(sync_record, request->handle, 0));
            return;
        }
    }
    sync_commit(core, request);
}

/* A mute owner may have lost what it acknowledged and must not say otherwise. */
static enum toystore_status sync_check(struct core *core, const struct sync_request *sync)
{
    struct cursor cursor = cursor_of(sync->keys.items), ops = cursor_of(sync->ops.items);
    if (sync->ops.count != sync->keys.count)
        return TOYSTORE_INVALID;
    for (uint32_t i = 0; i < sync->keys.count; i++) {
        struct slice key;
        struct op_id op;
        if (!wire_get_BYTES(&cursor, &key) || !wire_get_OPID(&ops, &op))
            return TOYSTORE_INVALID;
        if (view_partition(core, view_partition_of(core, key))->mute)
            return TOYSTORE_MUTE;
    }
    return TOYSTORE_OK;
}

void replica_sync(struct core *core, const struct rpc_request *request)
{
    struct sync_request sync;
    enum toystore_status status = TOYSTORE_INVALID;
    if (sync_request_decode(request->params, &sync))
        status = sync_check(core, &sync);
    if (status == TOYSTORE_INVALID) {
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "malformed sync");
        return;
    }
    if (status != TOYSTORE_OK) {
        RPC_REPLY(core, &request->origin, sync_reply, {.status = status});
        return;
    }
    struct replica_request *own = replica_request_new(core, request);
    if (own == NULL)
        return;
    own->keys = cursor_of(sync.keys.items);
    own->ops = cursor_of(sync.ops.items);
    own->open = sync.keys.count;
    sync_next_key(core, own);
}
