/* lead_handle: LEAD at an owner (PROTOCOL 3 lead): one promise for all keys of a partition.
 * Enters from core.c; leaves to the disk (the promises, fsynced: they stand for sessions and
 * other keys whose promises must be), then to the one who seeks. */
#include <stdlib.h>

#include "core/coord/lead.h"
#include "core/coord/lead_priv.h"
#include "core/replica/tree.h"
#include "core/view/holders.h"
#include "core/view/view.h"

struct lead_parked {
    struct rpc_request request;
    struct lead_item *items; /* while the promises are committed */
    uint32_t count;
};

static struct lead_parked *park(struct core *core, const struct rpc_request *request,
                                pool_handle *ret_handle)
{
    struct lead_parked *parked = pool_new(&core->lead->parked, ret_handle);
    if (!parked) {
        rpc_fail(core, &request->origin, TOYSTORE_BUSY, "too many Lead requests");
        return NULL;
    }
    parked->request = *request;
    blob_ref(request->frame);
    return parked;
}

static void unpark(struct core *core, pool_handle handle)
{
    struct lead_parked *parked = pool_get(&core->lead->parked, handle);
    blob_unref(&parked->request.frame);
    free(parked->items);
    pool_delete(&core->lead->parked, handle);
}

static void epochs_noted(struct core *core, const struct core_event *event, struct resume resume)
{
    struct lead_parked *parked = pool_get(&core->lead->parked, resume.handle);
    struct rpc_request request = parked->request;
    (void)event;
    blob_ref(request.frame);
    unpark(core, resume.handle);
    core->hooks->request(core, &request);
    blob_unref(&request.frame);
}

/* Notes their epoch wherever it is above ours, in one commit. True: not before that. */
static bool behind(struct core *core, const struct lead_request *in,
                   const struct rpc_request *request)
{
    struct cursor cursor = cursor_of(in->partitions.items);
    struct view_epoch epochs[LEAD_PARTITIONS_MAX];
    size_t count = 0;
    uint32_t partition;
    for (uint32_t i = 0; i < in->partitions.count && wire_get_U32(&cursor, &partition); i++) {
        if (partition < view_partition_count(core) &&
            view_of(core, partition).epoch < in->view.epoch)
            epochs[count++] = (struct view_epoch){partition, in->view.epoch};
    }
    pool_handle handle;
    if (count == 0)
        return false;
    if (park(core, request, &handle))
        view_raise_many(core, epochs, count, resume_to(epochs_noted, handle, 0));
    return true;
}

/* Where maj others can, an owner holds before it answers: else what it has not taken yet would be
 * missing from what a leader compares. */
static bool others_can(struct core *core, uint32_t partition)
{
    struct electorate electorate;
    view_electorate(core, partition, 0, 0, &electorate);
    unsigned count = 0;
    for (unsigned i = 0; i < electorate.member_count; i++)
        count += electorate.members[i] != core->id &&
                 holder_holds(core, electorate.members[i], partition);
    return count >= electorate.layouts[0].maj;
}

static bool same_view(const struct view *a, const struct view *b)
{
    return a->oldest == b->oldest && a->newest == b->newest && a->epoch == b->epoch;
}

static void judge(struct core *core, const struct lead_request *in, struct lead_item *item,
                  struct batch *batch)
{
    uint32_t number = item->partition;
    item->view = view_of(core, number);
    if (number >= view_partition_count(core) || !view_owner(core, number, core->id)) {
        item->status = TOYSTORE_STALE;
        return;
    }
    struct partition *partition = view_partition(core, number);
    item->promised = partition->promised;
    if (!same_view(&item->view, &in->view))
        item->status = TOYSTORE_STALE;
    else if (partition->mute)
        item->status = TOYSTORE_MUTE;
    else if (!view_holds(core, number) && others_can(core, number))
        item->status = TOYSTORE_BUSY;
    else if (ballot_compare(&in->ballot, &partition->promised) <= 0)
        item->status = TOYSTORE_NACK;
    else {
        item->status = TOYSTORE_OK;
        partition->promised = in->ballot;
        lead_saw_counter(core, &in->ballot);
        view_save_partition(core, number, batch);
        led_depose(core, number);
    }
}

static void promises_committed(struct core *core, const struct core_event *event,
                               struct resume resume)
{
    struct lead_parked *parked = pool_get(&core->lead->parked, resume.handle);
    struct buf items = {0};
    if (event->status != 0) {
        rpc_fail(core, &parked->request.origin, TOYSTORE_IO, "a promise could not be written");
        unpark(core, resume.handle);
        return;
    }
    for (uint32_t i = 0; i < parked->count; i++) {
        struct lead_item *item = &parked->items[i];
        if (item->status == TOYSTORE_OK)
            item->root = tree_root(core, item->partition);
        lead_item_encode(&items, item);
    }
    RPC_REPLY(core, &parked->request.origin, lead_reply,
              {.status = TOYSTORE_OK, .items = {parked->count, buf_slice(&items)}});
    buf_free(&items);
    unpark(core, resume.handle);
}

void lead_handle(struct core *core, const struct rpc_request *request)
{
    struct lead_request in;
    uint32_t first = 0;
    pool_handle handle;
    if (!lead_request_decode(request->params, &in) || in.partitions.count == 0 ||
        in.partitions.count > LEAD_PARTITIONS_MAX) {
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "malformed Lead");
        return;
    }
    struct cursor cursor = cursor_of(in.partitions.items);
    wire_get_U32(&cursor, &first);
    struct view mine = view_of(core, first);
    in.view.collected = mine.collected; /* it speaks of many partitions: of none in particular */
    if ((mine.oldest < in.view.oldest || mine.newest < in.view.newest) &&
        view_admit(core, first, &in.view, request) == ADMIT_PARKED)
        return;
    if (behind(core, &in, request))
        return;
    struct lead_parked *parked = park(core, request, &handle);
    if (!parked)
        return;
    struct batch batch = {0};
    cursor = cursor_of(in.partitions.items);
    parked->items = base_alloc(in.partitions.count * sizeof *parked->items);
    for (uint32_t i = 0; i < in.partitions.count; i++) {
        struct lead_item *item = &parked->items[parked->count];
        if (!wire_get_U32(&cursor, &item->partition))
            break;
        parked->count++;
        judge(core, &in, item, &batch);
    }
    disk_commit(core, &batch, true, resume_to(promises_committed, handle, 0));
}

void lead_handle_init(struct lead *lead)
{
    pool_init(&lead->parked, sizeof(struct lead_parked), LEAD_PARKED_MAX);
}

void lead_handle_free(struct lead *lead)
{
    for (size_t i = 0; i < lead->parked.capacity; i++) {
        struct lead_parked *parked = lead->parked.objects[i];
        if (!parked)
            continue;
        blob_unref(&parked->request.frame);
        free(parked->items);
    }
    pool_free(&lead->parked);
}
