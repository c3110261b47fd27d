/* Requests of members about one key: GET PREPARE PUT SETTLED HINT_PUT (PROTOCOL 3 and 6).
 * Enters from core.c; leaves to the key's queue (replica.c), and from its commit to the
 * reply. TRANSFER and SYNC are next door (replica_transfer.c). */
#include "core/replica/hint.h"
#include "core/replica/replica_priv.h"
#include "core/retire/retire.h"
#include "core/view/view.h"
#include "rules/key.h"
#include "rules/version.h"

#include <stdlib.h>

enum toystore_status replica_status(int error)
{
    switch (error) {
    case 0:
        return TOYSTORE_OK;
    case -EBUSY:
        return TOYSTORE_BUSY;
    case -ENOSPC:
        return TOYSTORE_NO_SPACE;
    default:
        return TOYSTORE_IO;
    }
}

/* ---- before everything ---- */

static void reply_status(struct core *core, const struct rpc_request *request, uint32_t partition,
                         enum toystore_status status)
{
    struct view view = view_of(core, partition);
    if (request->method == METHOD_TRANSFER)
        RPC_REPLY(core, &request->origin, transfer_reply, {.status = status, .view = view});
    else
        RPC_REPLY(core, &request->origin, replica_reply, {.status = status, .view = view});
}

bool replica_admit(struct core *core, const struct rpc_request *request, uint32_t partition,
                   const struct view *view)
{
    switch (view_admit(core, partition, view, request)) {
    case ADMIT_PARKED:
        return false;
    case ADMIT_STALE:
        reply_status(core, request, partition, TOYSTORE_STALE);
        return false;
    case ADMIT_OK:
        break;
    }
    if (view_mute(core, partition)) {
        reply_status(core, request, partition, TOYSTORE_MUTE);
        return false;
    }
    return true;
}

/* The era may have changed while the request waited for its turn: what it then did would be in
 * nobody's copy of the partition. */
enum toystore_status replica_still(struct core *core, const struct replica_request *request)
{
    struct view now = view_of(core, request->partition);
    if (!view_at_least(&request->view, &now) && !BROKEN(core, views_ignored))
        return TOYSTORE_STALE;
    return view_mute(core, request->partition) ? TOYSTORE_MUTE : TOYSTORE_OK;
}

bool replica_from_owner(struct core *core, struct slice key, node_id from)
{
    struct electorate electorate;
    view_electorate_key(core, key, 0, 0, &electorate);
    return electorate_index(&electorate, from) >= 0 || BROKEN(core, store_from_anyone);
}

struct replica_request *replica_request_new(struct core *core, const struct rpc_request *request)
{
    pool_handle handle;
    struct replica_request *own = pool_new(&core->replica->requests, &handle);
    if (own == NULL) {
        rpc_fail(core, &request->origin, TOYSTORE_BUSY, "too many requests are being served");
        return NULL;
    }
    own->handle = handle;
    own->origin = request->origin;
    own->from = request->origin.conn == 0 ? core->id : request->from;
    own->method = request->method;
    own->frame = blob_ref(request->frame);
    return own;
}

void replica_request_free(struct core *core, struct replica_request *request)
{
    blob_unref(&request->frame);
    free(request->items);
    free(request->results);
    request->items = NULL;
    request->results = NULL;
    if (BROKEN(core, queue_kept) && request->method == METHOD_TRANSFER)
        return;
    pool_delete(&core->replica->requests, request->handle);
}

/* ---- when the key's turn has come ---- */

/* With one owner a damaged record has no other copy: a put takes its place (PROTOCOL 7). */
static bool sole_owner(const struct electorate *electorate)
{
    return electorate->layout_count == 1 && electorate->layouts[0].n == 1;
}

/* While one layout is live and the ballot's node is an owner: with one owner its own accept makes
 * the register chosen; with two the other's does, since the coordinator commits its own first. */
static enum replica_accept decides(const struct core *core, const struct electorate *electorate,
                                   const struct ballot *ballot)
{
    if (electorate->layout_count != 1 && !BROKEN(core, settles_joint))
        return ACCEPT_ONE_OF_MANY;
    if (electorate_index(electorate, ballot->node) < 0)
        return ACCEPT_ONE_OF_MANY;
    unsigned n = electorate->layouts[0].n;
    return n == 1 || (n == 2 && ballot->node != core->id) ? ACCEPT_DECIDES : ACCEPT_ONE_OF_MANY;
}

/* An attempt under an old era is never gone on with, one under a future era was never begun. */
static enum toystore_status check_era(const struct core *core,
                                      const struct replica_request *request,
                                      const struct ballot *ballot)
{
    int order = era_compare(ballot->era, view_era(view_of(core, request->partition)));
    if (order == 0 || BROKEN(core, views_ignored))
        return TOYSTORE_OK;
    return order < 0 ? TOYSTORE_STALE : TOYSTORE_INVALID;
}

static enum toystore_status work_prepare(struct core *core, struct replica_request *request,
                                         struct replica_work *work)
{
    const struct prepare_request *prepare = &request->prepare;
    enum toystore_status status = check_era(core, request, &prepare->ballot);
    if (status != TOYSTORE_OK)
        return status;
    if (retire_refuses(core, &prepare->on_behalf))
        return TOYSTORE_RETIRED;
    if (work->damaged)
        return TOYSTORE_UNKNOWN;
    return replica_prepare(work, &view_partition(core, request->partition)->promised,
                           &prepare->ballot);
}

static enum toystore_status work_put(struct core *core, struct replica_request *request,
                                     struct replica_work *work)
{
    const struct put_request *put = &request->put;
    struct record incoming;
    if (record_take(&work->arena, put->record, view_collected(core, put->key), &incoming) != 0 ||
        !incoming.has_register || ballot_none(&incoming.reg.ballot))
        return TOYSTORE_INVALID;
    enum toystore_status status = check_era(core, request, &incoming.reg.ballot);
    if (status != TOYSTORE_OK)
        return status;
    if (put->leader && retire_refuses(core, &put->on_behalf))
        return TOYSTORE_RETIRED;
    struct electorate electorate;
    view_electorate_key(core, put->key, 0, 0, &electorate);
    if (work->damaged && !sole_owner(&electorate))
        return TOYSTORE_UNKNOWN;
    work->damaged = false;
    work->durable = put->durable && !BROKEN(core, durable_unsynced);
    bool plain = incoming.sloppy_count == 0 && work->record.sloppy_count == 0;
    if (BROKEN(core, promise_ignored))
        work->entry.promised = (struct ballot){0};
    status = replica_accept(work, &view_partition(core, request->partition)->promised, &incoming,
                            decides(core, &electorate, &incoming.reg.ballot));
    if (BROKEN(core, settled_kept))
        work->entry.settled = true;
    if (BROKEN(core, sloppy_dropped))
        record_prune(&work->arena, &work->record);
    if (plain && work->write)
        replica_op_of(work)->encoded = put->record;
    return status;
}

static enum toystore_status work_settled(struct core *core, struct replica_request *request,
                                         struct replica_work *work)
{
    (void)core;
    if (work->damaged)
        return TOYSTORE_UNKNOWN;
    replica_settled(work, &request->settled.ballot);
    return TOYSTORE_OK;
}

/* PROTOCOL 6: a sloppy put, at an owner or at a fallback that keeps a hint for one. */
static enum toystore_status work_hint_put(struct core *core, struct replica_request *request,
                                          struct replica_work *work)
{
    const struct hint_put_request *put = &request->hint_put;
    if (put->first && retire_refuses(core, &put->op.id))
        return TOYSTORE_RETIRED;
    if (put->first && era_compare(put->op.era, view_era(view_of(core, request->partition))) < 0)
        return TOYSTORE_TOO_LATE;
    /* An asker's, once more: it was at all owners, and was replaced, before it was collected. */
    const struct partition *partition = view_partition(core, request->partition);
    if (!put->first && !key_is_immutable(put->key) &&
        era_compare(put->op.era, partition->collected) < 0)
        return TOYSTORE_TOO_LATE;
    enum toystore_status status;
    if (key_is_immutable(put->key)) {
        status = replica_immutable(work, put->record, request->frame);
    } else {
        struct record incoming;
        if (record_decode(&work->arena, put->record, &incoming) != 0)
            return TOYSTORE_INVALID;
        if (work->damaged)
            return TOYSTORE_UNKNOWN;
        static const struct ballot none;
        status = replica_store(work, &none, &incoming, false, false);
    }
    work->durable = put->durable;
    if (status == TOYSTORE_OK && put->owner != 0 && put->owner != core->id)
        hint_add(core, &work->batch, put->owner, put->key);
    return status;
}

static void request_work(struct core *core, struct replica_work *work)
{
    struct replica_request *request = pool_get(&core->replica->requests, work->handle);
    request->status = replica_still(core, request);
    if (request->status != TOYSTORE_OK)
        return;
    switch (request->method) {
    case METHOD_GET:
        request->status = work->damaged ? TOYSTORE_UNKNOWN : TOYSTORE_OK;
        break;
    case METHOD_PREPARE:
        request->status = work_prepare(core, request, work);
        break;
    case METHOD_PUT:
        request->status = work_put(core, request, work);
        break;
    case METHOD_SETTLED:
        request->status = work_settled(core, request, work);
        break;
    default:
        request->status = work_hint_put(core, request, work);
        break;
    }
}

/* READ and PROMISE show the record as it was stored; an accept's answer needs none. */
static void request_done(struct core *core, struct replica_work *work)
{
    struct replica_request *request = pool_get(&core->replica->requests, work->handle);
    enum toystore_status status = request->status;
    if (work->status != 0)
        status = replica_status(work->status);
    if (status == TOYSTORE_BUSY) {
        rpc_fail(core, &request->origin, status, "too many operations wait for this key");
    } else {
        bool shows = status == TOYSTORE_OK &&
                     (request->method == METHOD_GET || request->method == METHOD_PREPARE);
        const struct ballot *partition = &view_partition(core, request->partition)->promised;
        RPC_REPLY(core, &request->origin, replica_reply,
                  {.status = status,
                   .view = view_of(core, request->partition),
                   .promised = replica_promised(work, partition),
                   .settled = work->entry.settled,
                   .record = shows ? work->entry.record : slice_of(NULL, 0)});
    }
    replica_request_free(core, request);
}

/* ---- arrival ---- */

static bool decode(const struct rpc_request *request, struct replica_request *own,
                   struct slice *ret_key)
{
    switch (request->method) {
    case METHOD_GET:
        if (!get_request_decode(request->params, &own->get))
            return false;
        own->view = own->get.view;
        *ret_key = own->get.key;
        return true;
    case METHOD_PREPARE:
        if (!prepare_request_decode(request->params, &own->prepare))
            return false;
        own->view = own->prepare.view;
        *ret_key = own->prepare.key;
        return !key_is_immutable(*ret_key);
    case METHOD_PUT:
        if (!put_request_decode(request->params, &own->put))
            return false;
        own->view = own->put.view;
        *ret_key = own->put.key;
        return !key_is_immutable(*ret_key);
    case METHOD_SETTLED:
        if (!settled_request_decode(request->params, &own->settled))
            return false;
        own->view = own->settled.view;
        *ret_key = own->settled.key;
        return !key_is_immutable(*ret_key);
    case METHOD_HINT_PUT:
        if (!hint_put_request_decode(request->params, &own->hint_put))
            return false;
        own->view = own->hint_put.view;
        *ret_key = own->hint_put.key;
        return true;
    default:
        return false;
    }
}

/* Reads, promises and immutable keys leave the record's bytes as they are. */
static bool runs_raw(enum wire_method method, struct slice key)
{
    return method == METHOD_GET || method == METHOD_PREPARE || key_is_immutable(key);
}

void replica_handle(struct core *core, const struct rpc_request *request)
{
    if (!core->config.storing || view_partition_count(core) == 0) {
        rpc_fail(core, &request->origin, TOYSTORE_UNAVAILABLE, "this member stores nothing");
        return;
    }
    if (request->method == METHOD_TRANSFER) {
        replica_transfer(core, request);
        return;
    }
    if (request->method == METHOD_SYNC) {
        replica_sync(core, request);
        return;
    }
    struct replica_request *own = replica_request_new(core, request);
    if (own == NULL)
        return;
    struct slice key;
    char error[160];
    if (!decode(request, own, &key) || key_check(key, error, sizeof error) != TOYSTORE_OK) {
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "malformed request to a replica");
        replica_request_free(core, own);
        return;
    }
    own->partition = view_partition_of(core, key);
    if (!replica_admit(core, request, own->partition, &own->view)) {
        replica_request_free(core, own);
        return;
    }
    if (runs_raw(request->method, key))
        replica_run_raw(core, key, request_work, request_done, own->handle, 0);
    else
        replica_run(core, key, request_work, request_done, own->handle, 0);
}
