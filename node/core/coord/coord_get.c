/* coord_get: a quorum get (PROTOCOL 5): r owners of every live layout, the others after a while;
 * what they show is answered when it is chosen, settled first when it is not.
 *
 * Enters from: ask.c. Leaves to: GET at the owners (replica.c), coord_get_settle.c,
 * coord_get_sloppy.c. */
#include "core/coord/coord_own.h"
#include "core/view/view.h"

#define STATE(name) GET_##name
#define TO(name)    (1u << GET_##name)
#define AGAIN       (TO(PAUSE) | TO(STALE) | TO(SLOPPY) | TO(DONE))

static void get_ask(struct core *core, struct operation *operation);
static void get_rest(struct core *core, struct operation *operation);
static void get_pause(struct core *core, struct operation *operation);
static void get_stale(struct core *core, struct operation *operation);
static void get_end(struct core *core, struct operation *operation);

#define GET_STATES(S)                                                                              \
    S(NEW, NULL, TO(ASK) | TO(DONE))                                                               \
    S(ASK, get_ask, TO(REST) | TO(SETTLE) | TO(OWN) | TO(SPREAD) | AGAIN)                          \
    S(REST, get_rest, TO(SETTLE) | TO(OWN) | TO(SPREAD) | AGAIN)                                   \
    S(SETTLE, get_settle, TO(OWN) | TO(SPREAD) | AGAIN)                                            \
    S(OWN, get_own, TO(ASK) | AGAIN)                                                               \
    S(SPREAD, get_spread, AGAIN)                                                                   \
    S(PAUSE, get_pause, TO(ASK) | TO(DONE))                                                        \
    S(STALE, get_stale, TO(ASK) | TO(DONE))                                                        \
    S(SLOPPY, get_sloppy, TO(PAUSE) | TO(DONE))                                                    \
    S(DONE, get_end, 0)

OPERATION_TABLE(get_table, "get", GET_STATES)

struct coord_get *get_find(struct core *core, uint64_t handle)
{
    return pool_get(&core->coord->gets, handle);
}

void get_move(struct core *core, struct coord_get *get, unsigned state)
{
    operation_move(core, &get->op, state);
}

static void get_release(struct coord_get *get)
{
    tally_clear(&get->tally);
    blob_unref(&get->key_bytes);
    blob_unref(&get->params);
}

static void get_end(struct core *core, struct operation *operation)
{
    struct coord_get *get = get_of(operation);
    assert(get->op.answered);
    timer_cancel(core, &get->timer);
    timer_cancel(core, &get->deadline);
    get_release(get);
    pool_delete(&core->coord->gets, get->op.handle);
}

/* ---- the answer ---- */

void get_answer(struct core *core, struct coord_get *get, bool sloppy)
{
    struct toystore_result result = {.message = "", .sloppy = sloppy};
    result_versions(&get->tally.arena, &get->tally.base, &result);
    if (get->tally.base.has_register)
        result.op = op_to_public(get->tally.base.reg.version.op);
    result.status = result.version_count > 0 ? TOYSTORE_OK : TOYSTORE_NOT_FOUND;
    if (result.version_count == 0)
        result_tombstone(&get->tally.arena, &get->tally.base, &result);
    operation_answer(core, &get->op, toystore_status_word(result.status));
    if (get->done)
        get->done(core, get->done_handle, &result);
    if (!sloppy) {
        get_repair(core, get);
        own_learn(core, get);
    }
    get_move(core, get, GET_DONE);
}

void get_fail(struct core *core, struct coord_get *get, enum toystore_status status)
{
    struct toystore_result result = {.status = status,
                                     .message = status == TOYSTORE_IO
                                                    ? "the only copy is damaged"
                                                    : "too few replicas answered"};
    operation_answer(core, &get->op, toystore_status_word(status));
    if (get->done)
        get->done(core, get->done_handle, &result);
    get_move(core, get, GET_DONE);
}

static void on_deadline(struct core *core, struct timer *timer)
{
    get_fail(core, get_find(core, timer->handle), TOYSTORE_UNAVAILABLE);
}

/* ---- what the answers say ---- */

static uint32_t owners_reachable(const struct core *core, const struct coord_get *get)
{
    return electorate_reachable(core, get->partition, &get->tally.electorate);
}

void get_chosen(struct core *core, struct coord_get *get)
{
    get->settled = true;
    if (own_unshown(core, get)) {
        get_move(core, get, GET_OWN);
        return;
    }
    uint32_t held = tally_sloppy_held(&get->tally);
    if (electorate_has(&get->tally.electorate, held, QUORUM_SHOW))
        get_answer(core, get, false);
    else
        get_move(core, get, GET_SPREAD);
}

/* Enough shown to answer, to settle, or is it time to ask others? */
static void check(struct core *core, struct coord_get *get)
{
    struct tally *tally = &get->tally;
    const struct electorate *electorate = &tally->electorate;
    uint32_t open = tally_open(tally);
    if (get->done == NULL && open != 0)
        return; /* a repair wants to see them all */
    bool first = BROKEN(core, get_quorum) && tally->shown;
    if (first || electorate_has(electorate, tally->shown, QUORUM_READ)) {
        tally_merge(tally);
        if (first || BROKEN(core, get_settles) || coord_chosen(core, tally)) {
            bool held = electorate_has(electorate, tally_sloppy_held(tally), QUORUM_SHOW);
            if (held || open == 0 || get->hedged)
                get_chosen(core, get);
            else if (get->op.state == GET_ASK)
                get_move(core, get, GET_REST);
            return;
        }
        if (get->op.state == GET_ASK)
            get_move(core, get, GET_REST);
        else if (open == 0 || get->hedged)
            get_move(core, get, GET_SETTLE);
        return;
    }
    if (electorate_can(electorate, tally->shown, open, QUORUM_READ))
        return;
    if (get->op.state == GET_ASK)
        get_move(core, get, GET_REST);
    else if (open == 0)
        get_no_quorum(core, get);
}

static void refused(struct core *core, struct coord_get *get, unsigned member,
                    const struct replica_reply *reply)
{
    node_id from = get->tally.electorate.members[member];
    get->tally.failed |= 1u << member;
    if (reply->status == TOYSTORE_STALE)
        get_take_view(core, get, &reply->view, from);
    else if (reply->status == TOYSTORE_MUTE)
        view_note_mute(core, get->partition, from);
    else if (reply->status == TOYSTORE_UNKNOWN && get->tally.electorate.member_count == 1)
        get_fail(core, get, TOYSTORE_IO); /* nobody has another to mend it with */
}

static void on_shown(struct core *core, uint64_t handle, uint64_t index,
                     const struct rpc_answer *answer)
{
    struct coord_get *get = get_find(core, handle);
    if (!get || index >> 8 != get->attempt ||
        (get->op.state != GET_ASK && get->op.state != GET_REST))
        return;
    unsigned member = index & 0xff;
    struct replica_reply reply = {.status = TOYSTORE_UNAVAILABLE};
    if (answer->status == TOYSTORE_OK && !replica_reply_decode(answer->result, &reply))
        reply.status = TOYSTORE_INVALID;
    unsigned state = get->op.state;
    if (reply.status == TOYSTORE_OK)
        tally_show(&get->tally, member, reply.record, reply.settled, answer->frame);
    else
        refused(core, get, member, &reply);
    if (get_find(core, handle) == get && get->op.state == state)
        check(core, get);
}

/* ---- asking ---- */

static void ask_members(struct core *core, struct coord_get *get, uint32_t mask)
{
    const struct electorate *electorate = &get->tally.electorate;
    mask &= ~get->tally.asked;
    get->tally.asked |= mask;
    for (unsigned i = 0; i < electorate->member_count; i++)
        if (mask & 1u << i)
            rpc_call(core, electorate->members[i], METHOD_GET, blob_ref(get->params),
                     until_ms(core, get->deadline_us, REPLICA_TIMEOUT_MS), on_shown, get->op.handle,
                     get_index(get, i));
}

/* The fewest that make a quorum: this node first, then by rank those that can be reached. */
static uint32_t choose(const struct core *core, const struct coord_get *get)
{
    const struct electorate *electorate = &get->tally.electorate;
    uint32_t reachable = owners_reachable(core, get);
    int self = electorate_index(electorate, core->id);
    uint32_t mask = self >= 0 ? 1u << self : 0;
    for (unsigned i = 0; i < electorate->member_count; i++) {
        if (electorate_has(electorate, mask, QUORUM_READ))
            break;
        uint32_t bit = 1u << i;
        for (unsigned l = 0; l < electorate->layout_count; l++) {
            uint32_t in = electorate->layouts[l].mask;
            if ((reachable & bit & in) &&
                (unsigned)__builtin_popcount(mask & in) < electorate->layouts[l].r)
                mask |= bit;
        }
    }
    return mask;
}

static void hedge(struct core *core, struct timer *timer)
{
    struct coord_get *get = get_find(core, timer->handle);
    if (get->op.state == GET_ASK) {
        get_move(core, get, GET_REST);
        return;
    }
    get->hedged = true;
    check(core, get);
}

static void set_hedge(struct core *core, struct coord_get *get)
{
    unsigned ms = 2 * rpc_p95_ms(core);
    get->timer.handle = get->op.handle;
    timer_set_after_ms(core, &get->timer, max_size(ms, HEDGE_MS_MIN), hedge);
}

static void get_ask(struct core *core, struct operation *operation)
{
    struct coord_get *get = get_of(operation);
    tally_clear(&get->tally);
    get->attempt++;
    get->hedged = get->settled = get->spread_failed = false;
    get->repair_tried = get->spread = get->spread_open = 0;
    get->view = view_of(core, get->partition);
    struct electorate *electorate = &get->tally.electorate;
    view_electorate_key(core, get->key, 0, get->r, electorate);
    get->tally.collected = view_collected(core, get->key);
    if (BROKEN(core, get_one_layout) && electorate->layout_count == 2) {
        electorate->layouts[0] = electorate->layouts[1];
        electorate->layout_count = 1;
    }
    blob_unref(&get->params);
    get->params = RPC_PARAMS(get_request, {.view = get->view, .key = get->key});
    if (get->done == NULL) {
        ask_members(core, get, electorate_all(&get->tally.electorate));
        return;
    }
    uint32_t mask = choose(core, get);
    ask_members(core, get, mask);
    if (electorate_has(&get->tally.electorate, mask, QUORUM_READ))
        set_hedge(core, get);
    else
        get_move(core, get, GET_REST);
}

/* Those that can be reached, and the others only where these are too few. */
static void get_rest(struct core *core, struct operation *operation)
{
    struct coord_get *get = get_of(operation);
    const struct electorate *electorate = &get->tally.electorate;
    uint32_t mask = get->tally.shown | owners_reachable(core, get);
    ask_members(core, get, mask);
    if (!electorate_has(electorate, mask & ~get->tally.failed, QUORUM_READ))
        ask_members(core, get, electorate_all(electorate));
    set_hedge(core, get);
    check(core, get);
}

/* ---- attempts that came to nothing ---- */

static void again(struct core *core, struct timer *timer)
{
    get_move(core, get_find(core, timer->handle), GET_ASK);
}

static void get_pause(struct core *core, struct operation *operation)
{
    struct coord_get *get = get_of(operation);
    get->timer.handle = get->op.handle;
    timer_set_after_ms(core, &get->timer, COORD_PAUSE_MS, again);
}

static void view_taken(struct core *core, uint64_t handle)
{
    struct coord_get *get = get_find(core, handle);
    if (get && get->op.state == GET_STALE)
        get_move(core, get, GET_ASK);
}

static void get_stale(struct core *core, struct operation *operation)
{
    struct coord_get *get = get_of(operation);
    timer_cancel(core, &get->timer);
    view_adopt(core, get->partition, &get->stale_view, get->stale_from,
               until_ms(core, get->deadline_us, REPLICA_TIMEOUT_MS), view_taken, get->op.handle);
}

void get_take_view(struct core *core, struct coord_get *get, const struct view *view, node_id from)
{
    get->stale_view = *view;
    get->stale_from = from;
    get_move(core, get, GET_STALE);
}

void get_no_quorum(struct core *core, struct coord_get *get)
{
    uint64_t patience_us = 1000ull * COORD_PATIENCE_MS;
    uint32_t reachable = owners_reachable(core, get);
    bool lost = !electorate_has(&get->tally.electorate, reachable, QUORUM_READ);
    if (get->done == NULL)
        get_fail(core, get, TOYSTORE_UNAVAILABLE);
    else if (!get->strict && (lost || core->now_us - get->begun_us >= patience_us))
        get_move(core, get, GET_SLOPPY);
    else
        get_move(core, get, GET_PAUSE);
}

/* ---- the doors ---- */

static struct coord_get *get_start(struct core *core, struct slice key, unsigned deadline_ms)
{
    pool_handle handle;
    struct coord_get *get = pool_new(&core->coord->gets, &handle);
    if (!get)
        return NULL;
    get->op = (struct operation){.table = &get_table, .handle = handle};
    get->key_bytes = blob_copy(key);
    get->key = blob_slice(get->key_bytes);
    get->partition = view_partition_of(core, key);
    get->begun_us = core->now_us;
    get->deadline_us = core->now_us + 1000ull * deadline_ms;
    get->deadline.handle = handle;
    timer_set(core, &get->deadline, get->deadline_us, on_deadline);
    return get;
}

void coord_get(struct core *core, const struct toystore_request *request, ask_done_fn *done,
               uint64_t handle)
{
    struct coord_get *get =
        get_start(core, slice_public(request->key),
                  request->deadline_ms ? request->deadline_ms : GET_DEADLINE_MS);
    if (!get) {
        ask_refuse(core, done, handle, TOYSTORE_BUSY, "too many requests");
        return;
    }
    get->done = done;
    get->done_handle = handle;
    get->r = request->r;
    if (get->r == 0 && core->config.read_quorum_given)
        get->r = core->config.read_quorum;
    get->strict = request_strict(core, request);
    get_move(core, get, GET_ASK);
}

void coord_get_repair(struct core *core, struct slice key)
{
    struct coord_get *get = get_start(core, key, REPLICA_TIMEOUT_MS);
    if (get)
        get_move(core, get, GET_ASK);
}

void coord_get_init(struct coord *coord)
{
    pool_init(&coord->gets, sizeof(struct coord_get), COORD_OPS_MAX);
}

void coord_get_free_all(struct coord *coord)
{
    for (size_t i = 0; i < coord->gets.capacity; i++)
        if (coord->gets.objects[i])
            get_release(coord->gets.objects[i]);
    pool_free(&coord->gets);
}
