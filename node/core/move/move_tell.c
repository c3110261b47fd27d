/* move_tell: everybody tells everybody which partitions it holds, as a bitmap (PROTOCOL 7 hold),
 * again until each member has acknowledged the newest state.
 * Enters from the step of move and HOLDING; leaves to METHOD_HOLDING and move_finish.c. */
#include <stdlib.h>

#include "core/members/members.h"
#include "core/move/move_priv.h"

/* ---- telling ---- */

static void told(struct core *core, uint64_t id, uint64_t version, const struct rpc_answer *answer)
{
    struct holder *holder = holder_of(core, id);
    struct holding_reply reply;
    holder->telling = false;
    if (answer->status == TOYSTORE_OK && holding_reply_decode(answer->result, &reply) &&
        reply.status == TOYSTORE_OK)
        holder->told = version;
}

static struct blob *holding_params(struct core *core)
{
    uint32_t count = view_partition_count(core), epoch_count = 0, change_count;
    size_t size = (count + 7) / 8;
    uint8_t *bitmap = base_alloc(size);
    struct buf epochs = {0}, changes = {0};
    struct view view = {0};
    for (uint32_t i = 0; i < count; i++) {
        view = view_of(core, i);
        if (view_holds(core, i))
            bitmap[i / 8] = (uint8_t)(bitmap[i / 8] | 1u << i % 8);
        if (view.epoch == 0)
            continue;
        raise_item_encode(&epochs, &(struct raise_item){.partition = i, .epoch = view.epoch});
        epoch_count++;
    }
    move_wishes_encode(core, &changes, &change_count);
    struct blob *params =
        RPC_PARAMS(holding_request, {.node = core->id,
                                     .oldest = view.oldest,
                                     .newest = view.newest,
                                     .bitmap = slice_of(bitmap, size),
                                     .epochs = {epoch_count, buf_slice(&epochs)},
                                     .changes = {change_count, buf_slice(&changes)},
                                     .version = core->move->version});
    buf_free(&changes);
    buf_free(&epochs);
    free(bitmap);
    return params;
}

void move_tell(struct core *core)
{
    struct move *move = core->move;
    struct blob *params = NULL;
    if (!core->config.storing || !view_newest(core))
        return;
    for (size_t i = 1; i < members_count(core); i++) {
        const struct member *member = members_at(core, i);
        if (!rpc_reachable(core, member->id))
            continue;
        struct holder *holder = holder_of(core, member->id);
        if (session_compare(&holder->session, &member->session) != 0) {
            holder->session = member->session; /* a new process has heard nothing yet */
            holder->told = 0;
        }
        if (holder->telling || holder->told == move->version)
            continue;
        if (!params)
            params = holding_params(core);
        holder->telling = true;
        rpc_call(core, member->id, METHOD_HOLDING, blob_ref(params), REPLICA_TIMEOUT_MS, told,
                 member->id, move->version);
    }
    blob_unref(&params);
}

/* ---- hearing ---- */

static void hear(struct core *core, struct holder *holder, const struct holding_request *in)
{
    uint32_t count = view_partition_count(core);
    if (!holder->bitmap) {
        holder->bitmap = base_alloc((count + 7) / 8);
        holder->epochs = base_alloc(count * sizeof *holder->epochs);
    }
    holder->oldest = in->oldest;
    holder->newest = in->newest;
    memcpy(holder->bitmap, in->bitmap.data, in->bitmap.size);
    memset(holder->epochs, 0, count * sizeof *holder->epochs);
    struct cursor cursor = cursor_of(in->epochs.items);
    struct raise_item item;
    for (uint32_t i = 0; i < in->epochs.count && raise_item_read(&cursor, &item); i++)
        if (item.partition < count)
            holder->epochs[item.partition] = item.epoch;
    move_wishes_hear(core, holder, &in->changes);
}

/* What was said before something that is known already: it waited in another connection. */
static bool overtaken(struct core *core, struct holder *holder, const struct session *session,
                      uint64_t version)
{
    const struct member *member = members_find(core, holder->id);
    bool same = session_compare(&holder->heard, session) == 0;
    bool of_the_living = member && session_compare(&holder->heard, &member->session) == 0;
    if (same ? version < holder->heard_version : of_the_living)
        return true;
    holder->heard = *session;
    holder->heard_version = version;
    return false;
}

void move_handle_holding(struct core *core, const struct rpc_request *request)
{
    struct holding_request in;
    uint32_t count = view_partition_count(core);
    enum toystore_status status = TOYSTORE_OK;
    if (!holding_request_decode(request->params, &in) || request->from == 0) {
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "malformed Holding");
        return;
    }
    const struct layout *newest = view_newest(core), *oldest = view_oldest(core);
    bool behind = !newest || in.newest > newest->number || in.oldest > oldest->number;
    if (behind) {
        view_fetch(core, request->from);
        status = TOYSTORE_BUSY; /* tell it again, until the layout is known here */
    }
    struct holder *holder = holder_of(core, request->from);
    if (core->config.storing && count != 0 && in.bitmap.size != (count + 7) / 8)
        status = TOYSTORE_INVALID;
    else if (overtaken(core, holder, &request->session, in.version))
        status = TOYSTORE_BUSY; /* or it is gossip that comes late: then it is told again */
    else if (!core->config.storing || count == 0)
        move_wishes_hear(core, holder, &in.changes); /* of the rest a client needs the numbers */
    else
        hear(core, holder, &in);
    RPC_REPLY(core, &request->origin, holding_reply, {.status = status});
    move_check_finish(core);
}
