/* coord_put: a coordinator's tasks on one key (PROTOCOL 4): the door, the queue, the answer.
 *
 * Enters from: FORWARD and REPAIR (core.c), coord_settle, coord_reaccept.
 * Leaves to: coord_leader.c and coord_round.c, which run it; then rpc_reply or the caller's done.
 */
#include "core/coord/coord_put.h"
#include "core/coord/coord_own.h"
#include "core/coord/lead.h"
#include "core/view/view.h"

#include <stdlib.h>

#define STATE(name) PUT_##name
#define TO(name)    (1u << PUT_##name)
#define RUN         (TO(LEAD) | TO(PROMISE))
#define END         (TO(BEHIND) | TO(DONE))

static void put_queued(struct core *core, struct operation *operation);
static void put_pause(struct core *core, struct operation *operation);
static void put_take_view(struct core *core, struct operation *operation);
static void put_done(struct core *core, struct operation *operation);

#define PUT_STATES(S)                                                                              \
    S(NEW, NULL, TO(QUEUED) | TO(DONE))                                                            \
    S(QUEUED, put_queued, RUN | END)                                                               \
    S(LEAD, put_lead, TO(ACCEPT) | TO(PROMISE) | TO(STALE) | END)                                  \
    S(PROMISE, put_promise, TO(PREPARE) | TO(PAUSE) | TO(STALE) | END)                             \
    S(PREPARE, put_prepare, TO(ADOPT) | TO(PAUSE) | TO(STALE) | END)                               \
    S(ADOPT, put_adopt, TO(ACCEPT) | TO(PAUSE) | TO(STALE) | END)                                  \
    S(ACCEPT, put_accept, TO(PROMISE) | TO(PAUSE) | TO(STALE) | END)                               \
    S(PAUSE, put_pause, TO(PROMISE) | END)                                                         \
    S(STALE, put_take_view, TO(PROMISE) | END)                                                     \
    S(BEHIND, put_behind, TO(DONE))                                                                \
    S(DONE, put_done, 0)

OPERATION_TABLE(put_table, "put", PUT_STATES)

struct coord_put *put_find(struct core *core, uint64_t handle)
{
    return pool_get(&core->coord->puts, handle);
}

void put_move(struct core *core, struct coord_put *put, unsigned state)
{
    operation_move(core, &put->op, state);
}

static void put_release(struct coord_put *put)
{
    tally_clear(&put->tally);
    arena_free(&put->request_arena);
    blob_unref(&put->frame);
    blob_unref(&put->key_bytes);
    blob_unref(&put->base_bytes);
    blob_unref(&put->record);
    blob_unref(&put->accept);
}

static void put_free(struct core *core, struct coord_put *put)
{
    timer_cancel(core, &put->timer);
    timer_cancel(core, &put->deadline);
    put_release(put);
    pool_delete(&core->coord->puts, put->op.handle);
}

static void put_done(struct core *core, struct operation *operation)
{
    struct coord_put *put = put_of(operation);
    assert(put->op.answered && !put->at);
    put_free(core, put);
}

/* ---- the queue of a key ---- */

static void run_first(struct core *core, struct coord_key *at)
{
    struct coord_put *put = container_of(at->queue.next, struct coord_put, link);
    if (put->op.state == PUT_QUEUED)
        put_move(core, put, put_may_lead(core, put) ? PUT_LEAD : PUT_PROMISE);
}

static bool enqueue(struct core *core, struct coord_put *put)
{
    struct coord_key *at = map_get(&core->coord->keys, put->key);
    if (!at) {
        at = base_alloc(sizeof *at + put->key.size);
        list_init(&at->queue);
        at->name_size = put->key.size;
        memcpy(at->name, put->key.data, put->key.size);
        map_put(&core->coord->keys, put->key, at);
    }
    if (at->count >= KEY_QUEUE_MAX)
        return false;
    at->count++;
    list_push_back(&at->queue, &put->link);
    put->at = at;
    return true;
}

/* The task leaves its key's queue, and the next one runs when it was the first. */
static void leave_queue(struct core *core, struct coord_put *put)
{
    struct coord_key *at = put->at;
    put->at = NULL;
    bool first = at->queue.next == &put->link;
    list_remove(&put->link);
    at->count--;
    if (at->count == 0) {
        map_remove(&core->coord->keys, slice_of(at->name, at->name_size));
        free(at);
    } else if (first) {
        run_first(core, at);
    }
}

static void on_deadline(struct core *core, struct timer *timer)
{
    struct coord_put *put = put_find(core, timer->handle);
    assert(put && !put->op.answered);
    if (put->kind != TASK_PUT)
        put_answer(core, put, TOYSTORE_TIMEOUT);
    else
        put_answer(core, put, put->sent ? TOYSTORE_INDETERMINATE : TOYSTORE_NOT_APPLIED);
}

static void put_queued(struct core *core, struct operation *operation)
{
    struct coord_put *put = put_of(operation);
    put->deadline.handle = put->op.handle;
    timer_set(core, &put->deadline, put->deadline_us, on_deadline);
    if (!enqueue(core, put))
        put_answer(core, put, TOYSTORE_BUSY);
    else if (put->at->count == 1)
        run_first(core, put->at);
}

/* ---- the answer ---- */

/* The version that the put replaced, as the record of a key that has nothing else. */
static void encode_replaced(const struct coord_put *put, struct buf *out)
{
    struct record record = {.has_register = true, .reg.version = put->judgement.replaced};
    record_encode(out, &record);
}

static void reply_forward(struct core *core, struct coord_put *put, enum toystore_status status)
{
    bool show = put->record && status != TOYSTORE_OK;
    struct buf replaced = {0};
    if (status == TOYSTORE_OK && put->judgement.replaced.kind != TOYSTORE_TOMBSTONE)
        encode_replaced(put, &replaced);
    RPC_REPLY(core, &put->origin, forward_reply,
              {.status = status,
               .view = view_of(core, put->partition),
               .floor_us = put->judgement.floor_us,
               .era = put->judgement.born,
               .record = show ? blob_slice(put->record) : buf_slice(&replaced),
               .created = status == TOYSTORE_OK && put->judgement.created});
    buf_free(&replaced);
}

static void reply_repair(struct core *core, struct coord_put *put, enum toystore_status status)
{
    RPC_REPLY(core, &put->origin, replica_reply,
              {.status = status,
               .view = view_of(core, put->partition),
               .promised = put->ballot,
               .settled = status == TOYSTORE_OK,
               .record = status == TOYSTORE_OK ? blob_slice(put->record) : slice_of(NULL, 0)});
}

void put_answer(struct core *core, struct coord_put *put, enum toystore_status status)
{
    operation_answer(core, &put->op, toystore_status_word(status));
    timer_cancel(core, &put->deadline);
    timer_cancel(core, &put->timer);
    if (put->kind == TASK_PUT)
        reply_forward(core, put, status);
    else if (put->kind == TASK_REPAIR)
        reply_repair(core, put, status);
    else if (put->done)
        put->done(core, put->done_handle, put->done_index, status);
    bool accepting = put->op.state == PUT_ACCEPT;
    if (put->at)
        leave_queue(core, put);
    put_move(core, put, accepting ? PUT_BEHIND : PUT_DONE);
}

/* ---- attempts ---- */

static void no_owner(struct core *core, struct timer *timer)
{
    struct coord_put *put = put_find(core, timer->handle);
    put_answer(core, put, put->sent ? TOYSTORE_INDETERMINATE : TOYSTORE_NOT_LEADER);
}

bool put_begin(struct core *core, struct coord_put *put)
{
    tally_clear(&put->tally);
    put->attempt++;
    put->others = put->accepted = put->refused = 0;
    put->leading = put->holds_op = put->chosen = false;
    put->sent_before = put->sent; /* what a failed commit of this attempt goes back to */
    put->view = view_of(core, put->partition);
    view_electorate_key(core, put->key, 0, 0, &put->tally.electorate);
    if (BROKEN(core, put_one_layout))
        put->tally.electorate.layout_count = 1;
    put->put.era = view_era(put->view);
    put->put.collected = put->tally.collected = put->view.collected;
    if (BROKEN(core, collect_unviewed) && core->config.storing)
        put->put.collected = view_partition(core, put->partition)->collected;
    /* Some of it may have been collected since the last attempt. */
    if (put->own_items.count > 0)
        own_read(core, put->partition, &put->own_items, &put->request_arena, &put->own);
    if (electorate_index(&put->tally.electorate, core->id) >= 0)
        return true;
    put->timer.handle = put->op.handle; /* not at once: a whole queue may answer so, in turn */
    timer_set(core, &put->timer, core->now_us, no_owner);
    return false;
}

/* A round without a majority in reach would only raise the own promise, commit by commit. */
static bool majority_in_reach(struct core *core, const struct coord_put *put)
{
    struct electorate electorate;
    uint32_t reached = 0;
    view_electorate_key(core, put->key, 0, 0, &electorate);
    for (unsigned i = 0; i < electorate.member_count; i++)
        if (view_reachable(core, put->partition, electorate.members[i]))
            reached |= 1u << i;
    return electorate_has(&electorate, reached, QUORUM_MAJORITY);
}

static void again(struct core *core, struct timer *timer)
{
    struct coord_put *put = put_find(core, timer->handle);
    if (majority_in_reach(core, put))
        put_move(core, put, PUT_PROMISE);
    else
        timer_set_after_ms(core, timer, COORD_PAUSE_MS, again);
}

static void put_pause(struct core *core, struct operation *operation)
{
    struct coord_put *put = put_of(operation);
    uint64_t most = (uint64_t)NACK_PAUSE_MS << (put->tries < 6 ? put->tries : 6);
    if (put->tries == 0)
        most = COORD_PAUSE_MS;
    most = min_u64(most, COORD_PAUSE_MS_MAX);
    put->timer.handle = put->op.handle;
    timer_set(core, &put->timer,
              core->now_us + 1000 * (most / 2) +
                  prng_below(&core->prng, 1000 * (most - most / 2) + 1),
              again);
}

void put_nacked(struct core *core, struct coord_put *put, const struct ballot *promised)
{
    struct ballot led;
    put->counter_seen = max_u64(put->counter_seen, promised->counter);
    if (lead_leads(core, put->partition, &led))
        lead_on_nack(core, put->partition, put->key, promised, false);
    if (put->leading) {
        put->rounds_only = true;
        if (put->kind == TASK_REACCEPT)
            put_answer(core, put, TOYSTORE_NACK);
        else
            put_move(core, put, PUT_PROMISE);
        return;
    }
    if (++put->tries >= ROUNDS_MAX)
        on_deadline(core, &put->deadline);
    else
        put_move(core, put, PUT_PAUSE);
}

void put_short(struct core *core, struct coord_put *put)
{
    put->rounds_only = true;
    if (put->kind == TASK_REACCEPT) {
        put_answer(core, put, TOYSTORE_TIMEOUT);
        return;
    }
    put_move(core, put, PUT_PAUSE);
}

/* What this node has accepted already, or another one that had the op before, may be finished: a
 * round without the op's name accepts the base unchanged, and if the op is in its chain, that is
 * its answer. Any other put has certainly not happened. */
void put_retired(struct core *core, struct coord_put *put)
{
    put->rounds_only = true;
    if (put->finishing || (!put->sent && !put->put.again)) {
        put_answer(core, put, put->sent ? TOYSTORE_INDETERMINATE : TOYSTORE_RETIRED);
        return;
    }
    put->finishing = true;
    put_move(core, put, PUT_PAUSE);
}

static void view_taken(struct core *core, uint64_t handle)
{
    struct coord_put *put = put_find(core, handle);
    if (put && put->op.state == PUT_STALE)
        put_move(core, put, PUT_PROMISE);
}

static void put_take_view(struct core *core, struct operation *operation)
{
    struct coord_put *put = put_of(operation);
    view_adopt(core, put->partition, &put->stale_view, put->stale_from,
               until_ms(core, put->deadline_us, REPLICA_TIMEOUT_MS), view_taken, put->op.handle);
}

void put_stale(struct core *core, struct coord_put *put, const struct view *view, node_id from)
{
    put->rounds_only = true;
    if (put->kind == TASK_REACCEPT) {
        put_answer(core, put, TOYSTORE_STALE);
        return;
    }
    put->stale_view = *view;
    put->stale_from = from;
    put_move(core, put, PUT_STALE);
}

/* ---- the doors ---- */

static struct coord_put *put_new(struct core *core, enum task_kind kind, uint32_t partition,
                                 unsigned deadline_ms)
{
    pool_handle handle;
    struct coord_put *put = pool_new(&core->coord->puts, &handle);
    if (!put)
        return NULL;
    put->op = (struct operation){.table = &put_table, .handle = handle};
    put->kind = kind;
    put->partition = partition;
    put->deadline_us = core->now_us + 1000ull * deadline_ms;
    return put;
}

/* Is this node the one to ask? OK, or why not. */
static enum toystore_status can_coordinate(struct core *core, struct slice key, uint32_t partition)
{
    struct electorate electorate;
    view_electorate_key(core, key, 0, 0, &electorate);
    if (electorate_index(&electorate, core->id) < 0)
        return TOYSTORE_NOT_LEADER;
    return view_mute(core, partition) ? TOYSTORE_MUTE : TOYSTORE_OK;
}

static bool read_match(struct coord_put *put, const struct wire_list *list)
{
    struct cursor cursor = cursor_of(list->items);
    if (list->count > MATCH_MAX)
        return false;
    struct op_id *match = arena_alloc(&put->request_arena, list->count * sizeof *match + 1);
    for (uint32_t i = 0; i < list->count; i++)
        if (!wire_get_OPID(&cursor, &match[i]))
            return false;
    put->put.match = match;
    put->put.match_count = list->count;
    return true;
}

static void forward_fail(struct core *core, const struct rpc_request *request, uint32_t partition,
                         enum toystore_status status)
{
    RPC_REPLY(core, &request->origin, forward_reply,
              {.status = status, .view = view_of(core, partition)});
}

static bool known_words(const struct forward_request *forward)
{
    return forward->condition <= TOYSTORE_IF_MATCH && forward->change <= TOYSTORE_TOUCH &&
           forward->kind <= TOYSTORE_INTERNAL && forward->op.id.sequence != 0;
}

static void forward_start(struct core *core, const struct rpc_request *request,
                          const struct forward_request *forward, uint32_t partition)
{
    unsigned deadline_ms = forward->deadline_ms ? forward->deadline_ms : PUT_DEADLINE_MS;
    struct coord_put *put = put_new(core, TASK_PUT, partition, deadline_ms);
    if (!put) {
        forward_fail(core, request, partition, TOYSTORE_BUSY);
        return;
    }
    put->origin = request->origin;
    put->frame = blob_ref(request->frame);
    put->key = forward->key;
    put->w = forward->w;
    put->durable = forward->durable;
    put->put = (struct judge_put){.op = forward->op,
                                  .again = forward->again,
                                  .condition = (enum toystore_condition)forward->condition,
                                  .change = (enum toystore_change)forward->change,
                                  .kind = (enum toystore_kind)forward->kind,
                                  .attributes = forward->attributes,
                                  .value = forward->value,
                                  .extra = forward->extra,
                                  .node = core->id};
    if (BROKEN(core, if_absent))
        put->put.condition = TOYSTORE_ALWAYS;
    put->put.forgetful = BROKEN(core, op_once);
    put->put.ageless = BROKEN(core, floor_ignored);
    put->put.heedless = BROKEN(core, own_sibling);
    if (!read_match(put, &forward->match) ||
        !own_read(core, partition, &forward->own, &put->request_arena, &put->own)) {
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "match or own");
        put_free(core, put);
        return;
    }
    put->own_items = forward->own;
    put_move(core, put, PUT_QUEUED);
}

void coord_put_handle(struct core *core, const struct rpc_request *request)
{
    struct forward_request forward;
    if (!forward_request_decode(request->params, &forward) || !known_words(&forward)) {
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "Forward");
        return;
    }
    if (view_partition_count(core) == 0) {
        rpc_fail(core, &request->origin, TOYSTORE_UNAVAILABLE, "not in a cluster yet");
        return;
    }
    uint32_t partition = view_partition_of(core, forward.key);
    enum admit admit = view_admit(core, partition, &forward.view, request);
    if (admit == ADMIT_PARKED)
        return;
    enum toystore_status status =
        admit == ADMIT_STALE ? TOYSTORE_STALE : can_coordinate(core, forward.key, partition);
    if (status != TOYSTORE_OK)
        forward_fail(core, request, partition, status);
    else
        forward_start(core, request, &forward, partition);
}

static void repair_fail(struct core *core, const struct rpc_request *request, uint32_t partition,
                        enum toystore_status status)
{
    RPC_REPLY(core, &request->origin, replica_reply,
              {.status = status, .view = view_of(core, partition)});
}

void coord_repair_handle(struct core *core, const struct rpc_request *request)
{
    struct repair_request repair;
    if (!repair_request_decode(request->params, &repair)) {
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "Repair");
        return;
    }
    if (view_partition_count(core) == 0) {
        rpc_fail(core, &request->origin, TOYSTORE_UNAVAILABLE, "not in a cluster yet");
        return;
    }
    uint32_t partition = view_partition_of(core, repair.key);
    enum admit admit = view_admit(core, partition, &repair.view, request);
    if (admit == ADMIT_PARKED)
        return;
    enum toystore_status status =
        admit == ADMIT_STALE ? TOYSTORE_STALE : can_coordinate(core, repair.key, partition);
    if (status == TOYSTORE_OK && repair.behind) {
        if (!map_get(&core->coord->keys, repair.key)) /* a put under way brings it to all */
            coord_get_repair(core, repair.key);
        repair_fail(core, request, partition, TOYSTORE_OK);
        return;
    }
    struct coord_put *put =
        status == TOYSTORE_OK ? put_new(core, TASK_REPAIR, partition, GET_DEADLINE_MS) : NULL;
    if (!put) {
        repair_fail(core, request, partition, status == TOYSTORE_OK ? TOYSTORE_BUSY : status);
        return;
    }
    put->origin = request->origin;
    put->frame = blob_ref(request->frame);
    put->key = repair.key;
    put->seen = repair.seen;
    put_move(core, put, PUT_QUEUED);
}

/* ---- for this node's other modules: they are called back from outside ---- */

static void start_task(struct core *core, struct timer *timer)
{
    struct coord_put *put = put_find(core, timer->handle);
    put_move(core, put, PUT_QUEUED);
}

struct settle_call {
    enum task_kind kind;
    settle_done_fn *done;
    uint64_t handle, index;
};

static void start_settle(struct core *core, struct slice key, struct slice base,
                         const struct settle_call *call)
{
    struct coord_put *put =
        put_new(core, call->kind, view_partition_of(core, key), PUT_DEADLINE_MS);
    if (!put) {
        settle_refuse(core, call->done, call->handle, call->index, TOYSTORE_BUSY);
        return;
    }
    put->key_bytes = blob_copy(key);
    put->key = blob_slice(put->key_bytes);
    put->base_bytes = blob_copy(base);
    put->done = call->done;
    put->done_handle = call->handle;
    put->done_index = call->index;
    put->timer.handle = put->op.handle;
    timer_set(core, &put->timer, core->now_us, start_task);
}

void coord_settle(struct core *core, struct slice key, settle_done_fn *done, uint64_t handle,
                  uint64_t index)
{
    start_settle(core, key, slice_of(NULL, 0),
                 &(struct settle_call){TASK_SETTLE, done, handle, index});
}

void coord_reaccept(struct core *core, struct slice key, struct slice base, settle_done_fn *done,
                    uint64_t handle, uint64_t index)
{
    start_settle(core, key, base, &(struct settle_call){TASK_REACCEPT, done, handle, index});
}

void coord_put_free_all(struct coord *coord)
{
    for (size_t i = 0; i < coord->puts.capacity; i++)
        if (coord->puts.objects[i])
            put_release(coord->puts.objects[i]);
    MAP_EACH(entry, &coord->keys)
    free(entry->value);
    map_free(&coord->keys);
    pool_free(&coord->puts);
}

void coord_put_init(struct coord *coord)
{
    pool_init(&coord->puts, sizeof(struct coord_put), COORD_OPS_MAX);
}
