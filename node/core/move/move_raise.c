/* move_raise: RAISE at an owner (PROTOCOL 7): the epochs are noted, fsynced, before it answers what
 * it has noted; epoch 0 only asks. It says, too, where it is mute.
 * Enters from core.c; leaves to view_raise.c and back to the one who recovers. */
#include <stdlib.h>

#include "core/move/move_priv.h"

struct raise_parked {
    struct rpc_origin origin;
    struct view_epoch *asked;
    uint32_t count;
};

static void raises_noted(struct core *core, const struct core_event *event, struct resume resume)
{
    struct raise_parked *parked = pool_get(&core->move->raises, resume.handle);
    struct buf items = {0};
    (void)event;
    for (uint32_t i = 0; i < parked->count; i++) {
        uint32_t partition = parked->asked[i].partition;
        raise_item_encode(&items,
                          &(struct raise_item){.partition = partition,
                                               .epoch = view_of(core, partition).epoch,
                                               .mute = view_partition(core, partition)->mute});
    }
    RPC_REPLY(core, &parked->origin, raise_reply,
              {.status = TOYSTORE_OK, .items = {parked->count, buf_slice(&items)}});
    buf_free(&items);
    free(parked->asked);
    pool_delete(&core->move->raises, resume.handle);
}

void move_handle_raise(struct core *core, const struct rpc_request *request)
{
    struct raise_request in;
    pool_handle handle;
    const struct layout *newest = view_newest(core);
    if (!raise_request_decode(request->params, &in) || in.items.count > PARTITIONS_MAX) {
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "malformed Raise");
        return;
    }
    struct raise_parked *parked = NULL;
    if (newest && newest->number >= in.layout)
        parked = pool_new(&core->move->raises, &handle);
    else
        view_fetch(core, request->from);
    if (!parked) {
        rpc_fail(core, &request->origin, TOYSTORE_BUSY, "not now");
        return;
    }
    parked->origin = request->origin;
    parked->asked = base_alloc((in.items.count + 1) * sizeof *parked->asked);
    struct cursor cursor = cursor_of(in.items.items);
    struct raise_item item;
    for (uint32_t i = 0; i < in.items.count && raise_item_read(&cursor, &item); i++)
        if (item.partition < newest->partitions)
            parked->asked[parked->count++] = (struct view_epoch){item.partition, item.epoch};
    view_raise_many(core, parked->asked, parked->count, resume_to(raises_noted, handle, 0));
}

void move_raises_init(struct move *move)
{
    pool_init(&move->raises, sizeof(struct raise_parked), RAISES_MAX);
}

void move_raises_free(struct move *move)
{
    for (size_t i = 0; i < move->raises.capacity; i++)
        if (move->raises.objects[i])
            free(((struct raise_parked *)move->raises.objects[i])->asked);
    pool_free(&move->raises);
}
