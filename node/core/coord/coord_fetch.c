/* coord_fetch: reads an immutable key: any one owner's copy whose checksum fits; all others and
 * the hint holders when it is missing (PROTOCOL 8).
 *
 * Enters from: ask.c. Leaves to: GET (replica_request.c). */
#include "core/coord/coord_chunk.h"
#include "core/view/view.h"

struct coord_fetch {
    struct operation op;
    ask_done_fn *done;
    uint64_t done_handle;
    struct blob *key_bytes, *params;
    struct slice key;
    unsigned r;
    uint32_t partition, attempt;
    struct view view, stale_view;
    node_id stale_from;
    struct electorate electorate;
    uint32_t asked, lacking, failed;
    node_id fallbacks[CHUNK_FALLBACKS_MAX];
    unsigned fallback_count, fallback_open;
    struct timer timer, deadline;
    uint64_t deadline_us;
};

enum { FETCH_NEW, FETCH_ONE, FETCH_ALL, FETCH_PAUSE, FETCH_STALE, FETCH_DONE };

#define STATE(name) FETCH_##name
#define TO(name)    (1u << FETCH_##name)

static void fetch_one(struct core *core, struct operation *operation);
static void fetch_all(struct core *core, struct operation *operation);
static void fetch_pause(struct core *core, struct operation *operation);
static void fetch_stale(struct core *core, struct operation *operation);
static void fetch_end(struct core *core, struct operation *operation);

#define FETCH_STATES(S)                                                                            \
    S(NEW, NULL, TO(ONE))                                                                          \
    S(ONE, fetch_one, TO(ALL) | TO(STALE) | TO(DONE))                                              \
    S(ALL, fetch_all, TO(PAUSE) | TO(STALE) | TO(DONE))                                            \
    S(PAUSE, fetch_pause, TO(ONE) | TO(DONE))                                                      \
    S(STALE, fetch_stale, TO(ONE) | TO(DONE))                                                      \
    S(DONE, fetch_end, 0)

OPERATION_TABLE(fetch_table, "fetch", FETCH_STATES)

static struct coord_fetch *fetch_of(struct operation *operation)
{
    return container_of(operation, struct coord_fetch, op);
}

static struct coord_fetch *fetch_find(struct core *core, uint64_t handle)
{
    return pool_get(&core->coord->fetches, handle);
}

static void fetch_move(struct core *core, struct coord_fetch *fetch, unsigned state)
{
    operation_move(core, &fetch->op, state);
}

static void fetch_release(struct coord_fetch *fetch)
{
    blob_unref(&fetch->key_bytes);
    blob_unref(&fetch->params);
}

static void fetch_end(struct core *core, struct operation *operation)
{
    struct coord_fetch *fetch = fetch_of(operation);
    assert(fetch->op.answered);
    timer_cancel(core, &fetch->timer);
    timer_cancel(core, &fetch->deadline);
    fetch_release(fetch);
    pool_delete(&core->coord->fetches, fetch->op.handle);
}

static void answer(struct core *core, struct coord_fetch *fetch, struct toystore_result *result)
{
    result->message = "";
    operation_answer(core, &fetch->op, toystore_status_word(result->status));
    fetch->done(core, fetch->done_handle, result);
    fetch_move(core, fetch, FETCH_DONE);
}

static void on_deadline(struct core *core, struct timer *timer)
{
    answer(core, fetch_find(core, timer->handle),
           &(struct toystore_result){.status = TOYSTORE_UNAVAILABLE});
}

/* True: the reply had the value, and the fetch is over. */
static bool take(struct core *core, struct coord_fetch *fetch, const struct replica_reply *reply)
{
    struct arena arena = {0};
    struct record record = {0};
    struct toystore_result result = {.status = TOYSTORE_OK};
    bool good = reply->record.size > 0 && record_decode(&arena, reply->record, &record) == 0;
    if (good) {
        result_versions(&arena, &record, &result);
        good = result.version_count == 1;
    }
    bool gone = record.has_register && record.reg.version.kind == TOYSTORE_TOMBSTONE;
    if (gone)
        result = (struct toystore_result){.status = TOYSTORE_NOT_FOUND};
    if (good || gone)
        answer(core, fetch, &result);
    arena_free(&arena);
    return good || gone;
}

/* Nobody is left to be asked: the key is not there, or it could not be learnt. */
static void check(struct core *core, struct coord_fetch *fetch)
{
    if ((fetch->asked & ~fetch->lacking & ~fetch->failed) || fetch->fallback_open)
        return;
    if (fetch->op.state == FETCH_ONE)
        fetch_move(core, fetch, FETCH_ALL);
    else if (electorate_has(&fetch->electorate, fetch->lacking, QUORUM_READ))
        answer(core, fetch, &(struct toystore_result){.status = TOYSTORE_NOT_FOUND});
    else
        fetch_move(core, fetch, FETCH_PAUSE);
}

static void on_shown(struct core *core, uint64_t handle, uint64_t index,
                     const struct rpc_answer *answer)
{
    struct coord_fetch *fetch = fetch_find(core, handle);
    if (!fetch || index >> 8 != fetch->attempt ||
        (fetch->op.state != FETCH_ONE && fetch->op.state != FETCH_ALL))
        return;
    unsigned member = index & 0xff;
    struct replica_reply reply = {.status = TOYSTORE_UNAVAILABLE};
    if (answer->status == TOYSTORE_OK && !replica_reply_decode(answer->result, &reply))
        reply.status = TOYSTORE_INVALID;
    bool owner = member < fetch->electorate.member_count;
    if (!owner)
        fetch->fallback_open--;
    if (reply.status == TOYSTORE_OK && reply.record.size > 0) {
        if (take(core, fetch, &reply))
            return;
        reply.status = TOYSTORE_UNKNOWN;
    }
    if (owner && reply.status == TOYSTORE_OK)
        fetch->lacking |= 1u << member;
    else if (owner)
        fetch->failed |= 1u << member;
    if (owner && reply.status == TOYSTORE_STALE) {
        fetch->stale_view = reply.view;
        fetch->stale_from = answer->from;
        fetch_move(core, fetch, FETCH_STALE);
        return;
    }
    if (owner && reply.status == TOYSTORE_MUTE)
        view_note_mute(core, fetch->partition, fetch->electorate.members[member]);
    check(core, fetch);
}

static void ask_member(struct core *core, struct coord_fetch *fetch, unsigned member)
{
    fetch->asked |= 1u << member;
    rpc_call(core, fetch->electorate.members[member], METHOD_GET, blob_ref(fetch->params),
             until_ms(core, fetch->deadline_us, REPLICA_TIMEOUT_MS), on_shown, fetch->op.handle,
             (uint64_t)fetch->attempt << 8 | member);
}

/* A slow owner: the others are asked too. */
static void hedge(struct core *core, struct timer *timer)
{
    struct coord_fetch *fetch = fetch_find(core, timer->handle);
    if (fetch->op.state == FETCH_ONE)
        fetch_move(core, fetch, FETCH_ALL);
}

/* This node's own copy, else that of the first owner that can be reached. */
static void fetch_one(struct core *core, struct operation *operation)
{
    struct coord_fetch *fetch = fetch_of(operation);
    struct electorate *electorate = &fetch->electorate;
    fetch->attempt++;
    fetch->asked = fetch->lacking = fetch->failed = 0;
    fetch->fallback_open = 0;
    fetch->view = view_of(core, fetch->partition);
    view_electorate_key(core, fetch->key, 0, fetch->r, electorate);
    blob_unref(&fetch->params);
    fetch->params = RPC_PARAMS(get_request, {.view = fetch->view, .key = fetch->key});
    int self = electorate_index(electorate, core->id);
    uint32_t reachable = electorate_reachable(core, fetch->partition, electorate);
    if (self < 0 && reachable == 0) {
        fetch_move(core, fetch, FETCH_ALL);
        return;
    }
    ask_member(core, fetch, self >= 0 ? (unsigned)self : (unsigned)__builtin_ctz(reachable));
    fetch->timer.handle = fetch->op.handle;
    timer_set_after_ms(core, &fetch->timer, max_size(4 * rpc_p95_ms(core), 4 * HEDGE_MS_MIN),
                       hedge);
}

static void fetch_all(struct core *core, struct operation *operation)
{
    struct coord_fetch *fetch = fetch_of(operation);
    const struct electorate *electorate = &fetch->electorate;
    timer_cancel(core, &fetch->timer);
    for (unsigned i = 0; i < electorate->member_count; i++)
        if (!(fetch->asked & 1u << i))
            ask_member(core, fetch, i);
    unsigned count = chunk_fallbacks(core, fetch->partition, electorate, fetch->fallbacks);
    fetch->fallback_open = count;
    for (unsigned i = 0; i < count; i++)
        rpc_call(core, fetch->fallbacks[i], METHOD_GET, blob_ref(fetch->params),
                 until_ms(core, fetch->deadline_us, REPLICA_TIMEOUT_MS), on_shown, fetch->op.handle,
                 (uint64_t)fetch->attempt << 8 | (GET_FALLBACK_INDEX + i));
    check(core, fetch); /* of a single owner there is nobody else */
}

static void again(struct core *core, struct timer *timer)
{
    fetch_move(core, fetch_find(core, timer->handle), FETCH_ONE);
}

static void fetch_pause(struct core *core, struct operation *operation)
{
    struct coord_fetch *fetch = fetch_of(operation);
    fetch->timer.handle = fetch->op.handle;
    timer_set_after_ms(core, &fetch->timer, COORD_PAUSE_MS, again);
}

static void view_taken(struct core *core, uint64_t handle)
{
    struct coord_fetch *fetch = fetch_find(core, handle);
    if (fetch && fetch->op.state == FETCH_STALE)
        fetch_move(core, fetch, FETCH_ONE);
}

static void fetch_stale(struct core *core, struct operation *operation)
{
    struct coord_fetch *fetch = fetch_of(operation);
    timer_cancel(core, &fetch->timer);
    view_adopt(core, fetch->partition, &fetch->stale_view, fetch->stale_from,
               until_ms(core, fetch->deadline_us, REPLICA_TIMEOUT_MS), view_taken,
               fetch->op.handle);
}

void coord_fetch(struct core *core, const struct toystore_request *request, ask_done_fn *done,
                 uint64_t handle)
{
    pool_handle own;
    struct coord_fetch *fetch = pool_new(&core->coord->fetches, &own);
    if (!fetch) {
        ask_refuse(core, done, handle, TOYSTORE_BUSY, "too many requests");
        return;
    }
    fetch->op = (struct operation){.table = &fetch_table, .handle = own};
    fetch->done = done;
    fetch->done_handle = handle;
    fetch->key_bytes = blob_copy(slice_public(request->key));
    fetch->key = blob_slice(fetch->key_bytes);
    fetch->partition = view_partition_of(core, fetch->key);
    fetch->r = request->r;
    unsigned deadline_ms = request->deadline_ms ? request->deadline_ms : GET_DEADLINE_MS;
    fetch->deadline_us = core->now_us + 1000ull * deadline_ms;
    fetch->deadline.handle = own;
    timer_set(core, &fetch->deadline, fetch->deadline_us, on_deadline);
    fetch_move(core, fetch, FETCH_ONE);
}

void coord_fetch_init(struct coord *coord)
{
    pool_init(&coord->fetches, sizeof(struct coord_fetch), COORD_OPS_MAX);
}

void coord_fetch_free_all(struct coord *coord)
{
    for (size_t i = 0; i < coord->fetches.capacity; i++)
        if (coord->fetches.objects[i])
            fetch_release(coord->fetches.objects[i]);
    pool_free(&coord->fetches);
}
