/* ask_put: a put as seen by who asks (PROTOCOL 4): names the op, gives it to the first reachable
 * owner, to the next one when that is silent or fails, and tells "has not happened" from "may yet
 * appear" (ask_answer.c). What reached no majority becomes a sloppy put where that is allowed
 * (PROTOCOL 6).
 *
 * Enters from: ask.c. Leaves to: FORWARD at an owner (coord_put.c), coord_sloppy.c. */
#include "core/ask/ask_put.h"
#include "core/coord/coord_own.h"
#include "core/view/view.h"

#include <stdlib.h>

#define STATE(name) ASK_##name
#define TO(name)    (1u << ASK_##name)
#define ON          (TO(WAITING) | TO(ROUTE) | TO(PAUSE) | TO(STALE) | TO(SLOPPY) | TO(DONE))

static void ask_waiting(struct core *core, struct operation *operation);
static void ask_route(struct core *core, struct operation *operation);
static void ask_given(struct core *core, struct operation *operation);
static void ask_pause(struct core *core, struct operation *operation);
static void ask_stale(struct core *core, struct operation *operation);
static void ask_sloppy(struct core *core, struct operation *operation);
static void ask_end(struct core *core, struct operation *operation);

#define ASK_STATES(S)                                                                              \
    S(NEW, NULL, TO(WAITING))                                                                      \
    S(WAITING, ask_waiting, TO(ROUTE) | TO(DONE))                                                  \
    S(ROUTE, ask_route, TO(GIVEN) | ON)                                                            \
    S(GIVEN, ask_given, ON)                                                                        \
    S(PAUSE, ask_pause, ON)                                                                        \
    S(STALE, ask_stale, ON)                                                                        \
    S(SLOPPY, ask_sloppy, TO(WAITING) | TO(PAUSE) | TO(DONE))                                      \
    S(DONE, ask_end, 0)

OPERATION_TABLE(ask_table, "ask", ASK_STATES)

static struct ask_put *ask_of(struct operation *operation)
{
    return container_of(operation, struct ask_put, op);
}

struct ask_put *ask_find(struct core *core, uint64_t handle)
{
    return pool_get(&core->asks->puts, handle);
}

void ask_move(struct core *core, struct ask_put *put, unsigned state)
{
    operation_move(core, &put->op, state);
}

bool ask_any_open(const struct ask_put *put)
{
    for (unsigned i = 0; i < put->given_count; i++)
        if (put->given[i].open)
            return true;
    return false;
}

/* ---- the end ---- */

static struct slice line_name(const struct ask_put *put)
{
    return slice_of(put->line->name, put->line->name_size);
}

void ask_leave_line(struct core *core, struct ask_put *put)
{
    struct ask_line *line = put->line;
    put->line = NULL;
    if (!line)
        return;
    bool first = line->waiting.next == &put->link;
    list_remove(&put->link);
    if (--line->count == 0) {
        map_remove(&core->asks->lines, slice_of(line->name, line->name_size));
        free(line);
    } else if (first) {
        ask_move(core, container_of(line->waiting.next, struct ask_put, link), ASK_ROUTE);
    }
}

static void ask_free(struct core *core, struct ask_put *put)
{
    timer_cancel(core, &put->timer);
    timer_cancel(core, &put->deadline);
    arena_free(&put->arena);
    pool_delete(&core->asks->puts, put->op.handle);
}

static void ask_end(struct core *core, struct operation *operation)
{
    struct ask_put *put = ask_of(operation);
    assert(put->op.answered);
    ask_leave_line(core, put);
    ask_free(core, put);
}

static struct retry retry_of(const struct ask_put *put)
{
    return (struct retry){.op = put->name,
                          .stored = put->stored,
                          .refused = put->refused,
                          .unsure = put->unsure,
                          .asks_only = put->asks_only,
                          .before = put->before};
}

void ask_finish(struct core *core, struct ask_put *put, struct toystore_result *result)
{
    operation_answer(core, &put->op, toystore_status_word(result->status));
    if (put->caller_op.sequence &&
        (result->status == TOYSTORE_INDETERMINATE || result->status == TOYSTORE_NOT_APPLIED)) {
        struct retry retry = retry_of(put);
        retry_remember(core->coord, &put->caller_op, &retry);
        if (!op_id_equal(&put->caller_op, &put->name.id))
            retry_remember(core->coord, &put->name.id, &retry);
    }
    if (put->line && (result->status == TOYSTORE_OK || result->status == TOYSTORE_INDETERMINATE))
        last_put_note(core, line_name(put), put->name.id.sequence);
    result->op = op_to_public(put->name.id);
    result->message = "";
    put->done(core, put->done_handle, result);
    ask_move(core, put, ASK_DONE);
}

void ask_finish_status(struct core *core, struct ask_put *put, enum toystore_status status)
{
    ask_finish(core, put, &(struct toystore_result){.status = status});
}

/* Nobody has applied it, or somebody may. */
void ask_finish_failed(struct core *core, struct ask_put *put)
{
    if (put->op.state == ASK_SLOPPY) /* a sloppy put is under way */
        put->stored = true;
    if (put->maybe || put->taken > 1 || ask_any_open(put) || put->stored)
        ask_finish_status(core, put, TOYSTORE_INDETERMINATE);
    else if (put->last == TOYSTORE_NO_SPACE || put->last == TOYSTORE_IO)
        ask_finish_status(core, put, put->last);
    else
        ask_finish_status(core, put, TOYSTORE_NOT_APPLIED);
}

static void on_deadline(struct core *core, struct timer *timer)
{
    ask_finish_failed(core, ask_find(core, timer->handle));
}

/* ---- the line of one session and key ---- */

static void ask_waiting(struct core *core, struct operation *operation)
{
    struct ask_put *put = ask_of(operation);
    put->deadline.handle = put->op.handle;
    timer_set(core, &put->deadline, put->deadline_us, on_deadline);
    size_t size = SESSION_SIZE + put->key.size;
    uint8_t name[SESSION_SIZE + TOYSTORE_KEY_SIZE_MAX];
    memcpy(name, put->name.id.session.bytes, SESSION_SIZE);
    if (put->key.size > 0)
        memcpy(name + SESSION_SIZE, put->key.data, put->key.size);
    struct ask_line *line = map_get(&core->asks->lines, slice_of(name, size));
    if (!line) {
        line = base_alloc(sizeof *line + size);
        list_init(&line->waiting);
        line->name_size = size;
        memcpy(line->name, name, size);
        map_put(&core->asks->lines, slice_of(name, size), line);
    }
    put->line = line;
    line->count++;
    list_push_back(&line->waiting, &put->link);
    if (line->count == 1)
        ask_move(core, put, ASK_ROUTE);
}

/* ---- routing ---- */

static void name_op(struct core *core, struct ask_put *put)
{
    if (!put->foreign_op) /* of the session in which it was asked for, also when that has changed */
        put->name.id.sequence = core_op_new(core).sequence;
    put->name.time_us = core_hybrid_us(core);
    /* Where a clock far ahead has written, this put follows it there, but not this node's clock. */
    if (put->floor_us != 0 && put->name.time_us <= put->floor_us)
        put->name.time_us = put->floor_us < UINT64_MAX ? put->floor_us + 1 : UINT64_MAX;
    put->name.era = view_era(view_of(core, put->partition));
    put->before = last_put(core, line_name(put));
}

/* The view has changed, and nobody has seen the op: named anew, no member refuses it for its era.
 */
static bool is_outdated(const struct core *core, const struct ask_put *put)
{
    return put->taken == 0 && !put->maybe && !put->stored &&
           era_compare(put->name.era, view_era(view_of(core, put->partition))) < 0;
}

static struct given *given_of(struct ask_put *put, node_id id)
{
    for (unsigned i = 0; i < put->given_count; i++)
        if (put->given[i].id == id)
            return &put->given[i];
    if (put->given_count == ARRAY_COUNT(put->given))
        return NULL;
    struct given *given = &put->given[put->given_count++];
    *given = (struct given){.id = id};
    return given;
}

static struct given *next_owner(struct core *core, struct ask_put *put,
                                const struct electorate *electorate)
{
    for (unsigned i = 0; i < electorate->member_count; i++) {
        node_id id = electorate->members[i];
        if (!view_reachable(core, put->partition, id))
            continue;
        struct given *given = given_of(put, id);
        if (given && !given->open && !given->tried)
            return given;
    }
    return NULL;
}

/* How long a coordinator may try: all that is left, but where the put may go on without a
 * majority, that must have its time too. */
static unsigned forward_ms(struct core *core, const struct ask_put *put,
                           const struct electorate *electorate)
{
    unsigned left = until_ms(core, put->deadline_us, 60000);
    uint32_t mask = electorate_reachable(core, put->partition, electorate);
    if (put->sloppy_may && !electorate_has(electorate, mask, QUORUM_ACCEPT))
        return (unsigned)min_u64(left, COORD_LOST_FORWARD_MS);
    if (put->sloppy_may)
        return (unsigned)min_u64(left / 2 + 1, COORD_SLOPPY_AFTER_MS);
    return left > 400 ? left - 100 : left;
}

static struct blob *pack_forward(struct core *core, const struct ask_put *put, bool again,
                                 unsigned deadline_ms)
{
    const struct toystore_request *request = &put->request;
    struct buf match = {0}, own = {0};
    for (size_t i = 0; i < request->match_count; i++)
        wire_put_OPID(&match, op_from_public(request->match[i]));
    struct blob *params =
        RPC_PARAMS(forward_request, {.view = view_of(core, put->partition),
                                     .op = put->name,
                                     .key = put->key,
                                     .condition = request->condition,
                                     .match = {(uint32_t)request->match_count, buf_slice(&match)},
                                     .change = request->change,
                                     .kind = request->kind,
                                     .attributes = request->attributes,
                                     .value = slice_public(request->value),
                                     .extra = slice_public(request->extra),
                                     .w = request->w,
                                     .durable = request->durable,
                                     .deadline_ms = deadline_ms,
                                     .again = again,
                                     .own = own_pack(core, put->key, &own)});
    buf_free(&own);
    buf_free(&match);
    return params;
}

/* None can be asked, for as long as one may take that reaches no majority: others stand in for them
 * where that is allowed (PROTOCOL 6). */
static bool no_owner_left(struct core *core, struct ask_put *put,
                          const struct electorate *electorate)
{
    if (electorate_reachable(core, put->partition, electorate) != 0) {
        put->alone_us = 0;
        return false;
    }
    if (put->alone_us == 0)
        put->alone_us = core->now_us;
    return put->sloppy_may && !ask_any_open(put) &&
           core->now_us - put->alone_us >= COORD_LOST_FORWARD_MS * 1000ull;
}

static void ask_route(struct core *core, struct operation *operation)
{
    struct ask_put *put = ask_of(operation);
    if (!put->asks_only && (put->name.era.layout == 0 || is_outdated(core, put)))
        name_op(core, put);
    struct electorate electorate;
    view_electorate_key(core, put->key, 0, 0, &electorate);
    struct given *given = next_owner(core, put, &electorate);
    if (!given && no_owner_left(core, put, &electorate)) {
        ask_move(core, put, ASK_SLOPPY);
        return;
    }
    if (!given) {
        ask_move(core, put, ask_any_open(put) ? ASK_GIVEN : ASK_PAUSE);
        return;
    }
    unsigned ms = forward_ms(core, put, &electorate);
    given->open = given->tried = true;
    given->again = put->taken > 0;
    put->taken++;
    rpc_call(core, given->id, METHOD_FORWARD, pack_forward(core, put, given->again, ms), ms + 100,
             ask_answer, put->op.handle, (uint64_t)(given - put->given));
    put->coordinator = given->id;
    ask_move(core, put, ASK_GIVEN);
}

static void on_silence(struct core *core, struct timer *timer)
{
    struct ask_put *put = ask_find(core, timer->handle);
    if (put->op.state == ASK_GIVEN)
        ask_move(core, put, ASK_ROUTE);
}

static void ask_given(struct core *core, struct operation *operation)
{
    struct ask_put *put = ask_of(operation);
    timer_cancel(core, &put->timer);
    if (put->coordinator == core->id) /* is not silent, and asks for as long as there is time */
        return;
    put->timer.handle = put->op.handle;
    timer_set_after_ms(core, &put->timer, SILENT_MS, on_silence);
}

/* ---- when this pass over the owners is over ---- */

static void next_pass(struct core *core, struct timer *timer)
{
    struct ask_put *put = ask_find(core, timer->handle);
    for (unsigned i = 0; i < put->given_count; i++)
        put->given[i].tried = false;
    ask_move(core, put, ASK_ROUTE);
}

static void ask_pause(struct core *core, struct operation *operation)
{
    struct ask_put *put = ask_of(operation);
    if (put->taken == 0 && (put->last == TOYSTORE_NO_SPACE || put->last == TOYSTORE_IO)) {
        ask_finish_status(core, put, put->last);
        return;
    }
    put->timer.handle = put->op.handle;
    timer_set_after_ms(core, &put->timer, COORD_PAUSE_MS, next_pass);
}

static void view_taken(struct core *core, uint64_t handle)
{
    struct ask_put *put = ask_find(core, handle);
    if (put && put->op.state == ASK_STALE)
        ask_move(core, put, ASK_ROUTE);
}

static void ask_stale(struct core *core, struct operation *operation)
{
    struct ask_put *put = ask_of(operation);
    timer_cancel(core, &put->timer);
    view_adopt(core, put->partition, &put->stale_view, put->stale_from,
               until_ms(core, put->deadline_us, REPLICA_TIMEOUT_MS), view_taken, put->op.handle);
}

/* No majority yet: a sloppy put, or another pass while there is time for one. */
void ask_without_majority(struct core *core, struct ask_put *put)
{
    if (ask_any_open(put))
        return;
    if (!put->sloppy_may && until_ms(core, put->deadline_us, SILENT_MS) < SILENT_MS) {
        ask_finish_failed(core, put);
        return;
    }
    ask_move(core, put, put->sloppy_may ? ASK_SLOPPY : ASK_PAUSE);
}

static void sloppy_done(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct ask_put *put = ask_find(core, handle);
    if (!put || put->op.state != ASK_SLOPPY)
        return;
    if (result->status == TOYSTORE_INDETERMINATE)
        put->maybe = put->stored = true;
    if (result->status == TOYSTORE_INDETERMINATE || result->status == TOYSTORE_NOT_APPLIED) {
        ask_move(core, put, ASK_PAUSE);
    } else if (result->status != TOYSTORE_OK && (put->maybe || put->taken > 1)) {
        ask_finish_status(core, put, TOYSTORE_INDETERMINATE);
    } else if (result->status == TOYSTORE_RETIRED) {
        ask_retired(core, put);
    } else {
        struct toystore_result copy = *result;
        ask_finish(core, put, &copy);
    }
}

static void ask_sloppy(struct core *core, struct operation *operation)
{
    struct ask_put *put = ask_of(operation);
    timer_cancel(core, &put->timer);
    uint64_t last = last_put(core, line_name(put));
    if (last != LAST_UNKNOWN && last > put->name.id.sequence && !put->stored) {
        /* Its caller names ops, and has asked for a later one first: that would hide this one. */
        ask_retired(core, put);
        return;
    }
    struct retry retry = retry_of(put);
    coord_sloppy(core, &put->request, &retry, put->deadline_us, sloppy_done, put->op.handle);
}

/* ---- the door ---- */

/* An op of another process was asked of that one before: it may be anywhere. */
static bool first_try(const struct core *core, const struct ask_put *put,
                      const struct session *session)
{
    static const struct session none;
    if (!session || session_compare(session, &none) == 0)
        session = &core->session;
    return session_compare(&put->name.id.session, session) == 0;
}

/* An op keeps the time and the era with which it was first asked for (PROTOCOL 1): with later ones
 * it could be applied a second time, to a chain that has forgotten it. Where they are not known it
 * is older than every chain, and stays so: to have asked once what became of it makes no first try
 * of the next one. */
static void find_earlier_try(struct core *core, struct ask_put *put)
{
    const struct retry *tried = retry_find(core->coord, &put->name.id);
    put->taken = 1;
    put->maybe = true;
    if (tried) {
        put->name = tried->op;
        put->stored = tried->stored;
        put->refused = tried->refused;
        put->unsure = tried->unsure;
        put->asks_only = tried->asks_only;
        put->before = tried->before;
    } else {
        put->unsure = put->sloppy_may;
        put->asks_only = put->request.retry;
    }
    put->sloppy_may = put->sloppy_may && !put->asks_only;
}

void ask_put(struct core *core, const struct toystore_request *request,
             const struct session *session, ask_done_fn *done, uint64_t handle)
{
    pool_handle own;
    static const struct session none;
    struct op_id asked = op_from_public(request->op);
    /* Of others' sessions, which no member has, nothing is known here. */
    bool api = !session || session_compare(session, &none) == 0;
    bool bound = api && asked.sequence == 0 && session_compare(&asked.session, &none) != 0;
    if (bound && session_compare(&asked.session, &core->session) != 0) {
        ask_refuse(core, done, handle, TOYSTORE_RETIRED, "this node has another session now");
        return;
    }
    struct ask_put *put = pool_new(&core->asks->puts, &own);
    if (!put) {
        ask_refuse(core, done, handle, TOYSTORE_BUSY, "too many requests");
        return;
    }
    put->op = (struct operation){.table = &ask_table, .handle = own};
    put->done = done;
    put->done_handle = handle;
    put->bound = bound;
    request_copy(&put->arena, request, &put->request);
    put->key = slice_public(put->request.key);
    put->partition = view_partition_of(core, put->key);
    unsigned deadline_ms = request->deadline_ms ? request->deadline_ms : PUT_DEADLINE_MS;
    put->deadline_us = core->now_us + 1000ull * deadline_ms;
    if (put->request.w == 0 && core->config.write_quorum_given)
        put->request.w = core->config.write_quorum;
    put->sloppy_may = !request->exclusive && request->condition != TOYSTORE_IF_ABSENT &&
                      !request_strict(core, request) && !key_is_durable(put->key);
    put->name.id.session = core->session;
    if (request->op.sequence) {
        put->foreign_op = true;
        put->name.id = put->caller_op = op_from_public(request->op);
        if (request->retry || retry_find(core->coord, &put->name.id) ||
            !first_try(core, put, session))
            find_earlier_try(core, put);
    }
    ask_move(core, put, ASK_WAITING);
}

void ask_puts_free(struct asks *asks)
{
    for (size_t i = 0; i < asks->puts.capacity; i++) {
        struct ask_put *put = asks->puts.objects[i];
        if (put)
            arena_free(&put->arena);
    }
    MAP_EACH(entry, &asks->lines)
    free(entry->value);
    map_free(&asks->lines);
    pool_free(&asks->puts);
}

void ask_puts_init(struct asks *asks)
{
    pool_init(&asks->puts, sizeof(struct ask_put), COORD_OPS_MAX);
}
