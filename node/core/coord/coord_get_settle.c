/* coord_get_settle: what a get does before and behind its answer so that later gets do not go back
 * (PROTOCOL 5): a register that is not chosen is settled by an owner; siblings go to n - r + 1
 * owners; stale and absent owners are repaired by an owner.
 *
 * Enters from: coord_get.c. Leaves to: REPAIR (coord_put.c), TRANSFER (replica_transfer.c). */
#include "core/coord/coord_get.h"
#include "core/view/view.h"

#include "wire/pack.h"

/* ---- settling ---- */

static void settle_next(struct core *core, struct coord_get *get);

static bool same_attempt(const struct coord_get *get, uint64_t index, unsigned state)
{
    return get && index >> 8 == get->attempt && get->op.state == state;
}

/* The owner's record is chosen, and at or above what was shown. */
static bool take_settled(const struct core *core, struct coord_get *get,
                         const struct replica_reply *reply, struct blob *frame)
{
    struct record record = {0};
    if (reply->record.size > 0) {
        struct slice bytes = arena_copy(&get->tally.arena, reply->record);
        if (record_take(&get->tally.arena, bytes, view_collected(core, get->key), &record) != 0)
            return false;
    }
    (void)frame;
    if (get->tally.base.has_register &&
        (!record.has_register ||
         ballot_compare(&record.reg.ballot, &get->tally.base.reg.ballot) < 0))
        return false;
    record_merge(&get->tally.arena, &get->tally.base, &record, &get->tally.base);
    return true;
}

static void on_settled(struct core *core, uint64_t handle, uint64_t index,
                       const struct rpc_answer *answer)
{
    struct coord_get *get = get_find(core, handle);
    if (!same_attempt(get, index, GET_SETTLE))
        return;
    struct replica_reply reply = {.status = TOYSTORE_UNAVAILABLE};
    if (answer->status == TOYSTORE_OK && !replica_reply_decode(answer->result, &reply))
        reply.status = TOYSTORE_INVALID;
    if (reply.status == TOYSTORE_OK && take_settled(core, get, &reply, answer->frame))
        get_chosen(core, get);
    else if (reply.status == TOYSTORE_STALE)
        get_take_view(core, get, &reply.view, answer->from);
    else
        settle_next(core, get);
}

static void settle_next(struct core *core, struct coord_get *get)
{
    const struct electorate *electorate = &get->tally.electorate;
    for (unsigned i = 0; i < electorate->member_count; i++) {
        if ((get->repair_tried & 1u << i) ||
            !view_reachable(core, get->partition, electorate->members[i]))
            continue;
        get->repair_tried |= 1u << i;
        rpc_call(
            core, electorate->members[i], METHOD_REPAIR,
            RPC_PARAMS(repair_request,
                       {.view = get->view, .key = get->key, .seen = get->tally.base.reg.ballot}),
            until_ms(core, get->deadline_us, REPLICA_TIMEOUT_MS), on_settled, get->op.handle,
            get_index(get, i));
        return;
    }
    get_no_quorum(core, get);
}

void get_settle(struct core *core, struct operation *operation)
{
    struct coord_get *get = get_of(operation);
    timer_cancel(core, &get->timer);
    settle_next(core, get);
}

/* ---- siblings ---- */

/* The records are the last field: an empty list of them is one byte, and makes room for one item,
 * which is so encoded where it stays. */
void transfer_pack_head(struct buf *out, struct transfer_request head)
{
    head.records = (struct wire_list){0};
    transfer_request_encode(out, &head);
    out->size--;
    pack_array(out, 1);
}

struct blob *transfer_pack(struct transfer_request head, const struct transfer_item *item)
{
    struct buf out = {0};
    buf_reserve(&out, item->record.size + item->key.size + 256);
    transfer_pack_head(&out, head);
    transfer_item_encode(&out, item);
    return buf_take(&out);
}

static struct transfer_request repair_head(const struct coord_get *get)
{
    return (struct transfer_request){
        .view = get->view, .partition = get->partition, .reason = TRANSFER_REPAIR};
}

static struct blob *pack_record(const struct record *record)
{
    struct buf bytes = {0};
    record_encode(&bytes, record);
    return buf_take(&bytes);
}

static void spread_check(struct core *core, struct coord_get *get)
{
    const struct electorate *electorate = &get->tally.electorate;
    if (electorate_has(electorate, get->spread, QUORUM_SHOW))
        get_answer(core, get, false);
    else if (!electorate_can(electorate, get->spread, get->spread_open, QUORUM_SHOW))
        get_no_quorum(core, get);
}

static void on_spread(struct core *core, uint64_t handle, uint64_t index,
                      const struct rpc_answer *answer)
{
    struct coord_get *get = get_find(core, handle);
    if (!same_attempt(get, index, GET_SPREAD))
        return;
    unsigned member = index & 0xff;
    get->spread_open &= ~(1u << member);
    struct transfer_reply reply = {.status = TOYSTORE_UNAVAILABLE};
    uint32_t result = TOYSTORE_IO;
    if (answer->status == TOYSTORE_OK && transfer_reply_decode(answer->result, &reply) &&
        reply.status == TOYSTORE_OK && reply.results.count == 1) {
        struct cursor cursor = cursor_of(reply.results.items);
        if (!wire_get_U32(&cursor, &result))
            result = TOYSTORE_INVALID;
    }
    if (reply.status == TOYSTORE_STALE) {
        get_take_view(core, get, &reply.view, answer->from);
        return;
    }
    if (result == TOYSTORE_OK)
        get->spread |= 1u << member;
    spread_check(core, get);
}

/* Siblings alone: anybody may store them, while a register is taken only from an owner. */
void get_spread(struct core *core, struct operation *operation)
{
    struct coord_get *get = get_of(operation);
    const struct electorate *electorate = &get->tally.electorate;
    struct record siblings = get->tally.base;
    siblings.has_register = false;
    siblings.reg = (struct reg){0};
    struct blob *record = pack_record(&siblings);
    struct blob *params = transfer_pack(
        repair_head(get), &(struct transfer_item){.key = get->key, .record = blob_slice(record)});
    get->spread = tally_sloppy_held(&get->tally);
    get->spread_open = electorate_all(electorate) & ~get->spread;
    timer_cancel(core, &get->timer);
    for (unsigned i = 0; i < electorate->member_count; i++)
        if (get->spread_open & 1u << i)
            rpc_call(core, electorate->members[i], METHOD_TRANSFER, blob_ref(params),
                     until_ms(core, get->deadline_us, REPLICA_TIMEOUT_MS), on_spread,
                     get->op.handle, get_index(get, i));
    blob_unref(&params);
    blob_unref(&record);
    spread_check(core, get);
}

/* ---- repair behind the answer ---- */

/* Those that showed an older register than the base's, or none, or not all visible siblings. */
static uint32_t stale_owners(const struct coord_get *get)
{
    const struct tally *tally = &get->tally;
    uint32_t mask = tally->shown & ~tally_sloppy_held(tally);
    for (unsigned i = 0; i < tally->electorate.member_count; i++) {
        const struct record *record = tally->votes[i].record;
        if (record && tally->base.has_register &&
            (!record->has_register ||
             ballot_compare(&record->reg.ballot, &tally->base.reg.ballot) < 0))
            mask |= 1u << i;
    }
    return mask;
}

static void hand_to_owner(struct core *core, struct coord_get *get)
{
    const struct electorate *electorate = &get->tally.electorate;
    for (unsigned i = 0; i < electorate->member_count; i++) {
        if (!view_reachable(core, get->partition, electorate->members[i]))
            continue;
        rpc_call(core, electorate->members[i], METHOD_REPAIR,
                 RPC_PARAMS(repair_request, {.view = get->view, .key = get->key, .behind = true}),
                 REPLICA_TIMEOUT_MS, NULL, 0, 0);
        return;
    }
}

void get_repair(struct core *core, struct coord_get *get)
{
    const struct electorate *electorate = &get->tally.electorate;
    uint32_t stale = stale_owners(get);
    if (!stale)
        return;
    if (electorate_index(electorate, core->id) < 0) {
        hand_to_owner(core, get);
        return;
    }
    struct blob *record = pack_record(&get->tally.base);
    struct blob *params =
        transfer_pack(repair_head(get), &(struct transfer_item){.key = get->key,
                                                                .record = blob_slice(record),
                                                                .settled = get->settled});
    for (unsigned i = 0; i < electorate->member_count; i++)
        if (stale & 1u << i)
            rpc_call(core, electorate->members[i], METHOD_TRANSFER, blob_ref(params),
                     REPLICA_TIMEOUT_MS, NULL, 0, 0);
    blob_unref(&params);
    blob_unref(&record);
}
