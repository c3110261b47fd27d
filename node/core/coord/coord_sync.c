/* coord_sync: what these keys hold becomes durable at q owners of every live layout:
 * each owner of any of them is asked once, with its keys and the version of each that must be
 * there. An owner that has missed it, and nothing that replaced it, does not count. Which one that
 * is the caller says, or a get: also where too few owners have what the caller said. The get
 * settles the key and mends who has missed it; and what it shows stands for the caller's version,
 * where that may have been replaced, and forgotten with a collection, since.
 *
 * Of an op that this process has made since the last collection nobody has forgotten anything. When
 * a get does not show it, and the owners do not have it afterwards, it is lost: to a power loss of
 * all that had it, before it was durable. That is INDETERMINATE, at the deadline, never OK.
 *
 * Enters from: ask.c. Leaves to: coord_get.c, SYNC (replica_transfer.c). */
#include "core/coord/coord_priv.h"
#include "core/view/view.h"

#include <stdlib.h>

enum { SYNC_MEMBERS_MAX = 256 };

struct sync_member {
    node_id id;
    bool synced;
};

/* What must be at the owners of a key. */
struct sync_key {
    struct op_id op; /* sequence 0: nothing */
    bool known;      /* else a get tells */
    bool unseen;     /* a get did not show it, and nobody can have forgotten it */
};

struct coord_sync {
    struct operation op;
    ask_done_fn *done;
    uint64_t done_handle;
    struct arena arena;
    struct toystore_request request;
    struct sync_key *keys;
    size_t read; /* the key that a get is under way for */
    bool missed; /* an owner has not what it should have */
    struct sync_member members[SYNC_MEMBERS_MAX];
    unsigned member_count, open;
    uint32_t attempt;
    struct timer timer, deadline;
    uint64_t deadline_us;
};

enum { SYNC_NEW, SYNC_READ, SYNC_ASK, SYNC_PAUSE, SYNC_DONE };

#define STATE(name) SYNC_##name
#define TO(name)    (1u << SYNC_##name)

static void sync_read(struct core *core, struct operation *operation);
static void sync_ask(struct core *core, struct operation *operation);
static void sync_pause(struct core *core, struct operation *operation);
static void sync_end(struct core *core, struct operation *operation);

#define SYNC_STATES(S)                                                                             \
    S(NEW, NULL, TO(READ))                                                                         \
    S(READ, sync_read, TO(READ) | TO(ASK) | TO(PAUSE) | TO(DONE))                                  \
    S(ASK, sync_ask, TO(PAUSE) | TO(DONE))                                                         \
    S(PAUSE, sync_pause, TO(READ) | TO(DONE))                                                      \
    S(DONE, sync_end, 0)

OPERATION_TABLE(sync_table, "sync", SYNC_STATES)

static struct coord_sync *sync_of(struct operation *operation)
{
    return container_of(operation, struct coord_sync, op);
}

static struct coord_sync *sync_find(struct core *core, uint64_t handle)
{
    return pool_get(&core->coord->syncs, handle);
}

static void sync_end(struct core *core, struct operation *operation)
{
    struct coord_sync *sync = sync_of(operation);
    timer_cancel(core, &sync->timer);
    timer_cancel(core, &sync->deadline);
    arena_free(&sync->arena);
    pool_delete(&core->coord->syncs, sync->op.handle);
}

static void finish(struct core *core, struct coord_sync *sync, enum toystore_status status)
{
    bool lost = status == TOYSTORE_INDETERMINATE;
    struct toystore_result result = {
        .status = status,
        .message = lost ? "what was put last is not there, nor anything that replaced it" : ""};
    operation_answer(core, &sync->op, toystore_status_word(status));
    sync->done(core, sync->done_handle, &result);
    operation_move(core, &sync->op, SYNC_DONE);
}

static void on_deadline(struct core *core, struct timer *timer)
{
    struct coord_sync *sync = sync_find(core, timer->handle);
    bool unseen = false;
    for (size_t k = 0; k < sync->request.key_count; k++)
        unseen = unseen || sync->keys[k].unseen;
    finish(core, sync, unseen ? TOYSTORE_INDETERMINATE : TOYSTORE_UNAVAILABLE);
}

/* ---- what must be there ---- */

static bool shows(const struct toystore_result *result, const struct op_id *op)
{
    for (size_t i = 0; i < result->version_count; i++) {
        struct op_id shown = op_from_public(result->versions[i].op);
        if (op_id_equal(&shown, op))
            return true;
    }
    return false;
}

static void take_read(struct core *core, struct slice name, struct sync_key *key,
                      const struct toystore_result *result)
{
    bool shown = shows(result, &key->op);
    key->unseen = !shown && view_uncollected(core, name, &key->op);
    if (shown || key->unseen)
        return;
    key->op = op_from_public(result->op);
    if (key->op.sequence == 0 && result->version_count > 0) /* sloppy puts alone */
        key->op = op_from_public(result->versions[0].op);
}

static void on_read(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct coord_sync *sync = sync_find(core, handle);
    if (!sync || sync->op.state != SYNC_READ)
        return;
    struct sync_key *key = &sync->keys[sync->read];
    if (result->status != TOYSTORE_OK && result->status != TOYSTORE_NOT_FOUND) {
        operation_move(core, &sync->op, SYNC_PAUSE);
        return;
    }
    key->known = true;
    take_read(core, slice_public(sync->request.keys[sync->read]), key, result);
    operation_move(core, &sync->op, SYNC_READ);
}

static void sync_read(struct core *core, struct operation *operation)
{
    struct coord_sync *sync = sync_of(operation);
    for (sync->read = 0; sync->read < sync->request.key_count; sync->read++)
        if (!sync->keys[sync->read].known)
            break;
    if (sync->read == sync->request.key_count) {
        operation_move(core, &sync->op, SYNC_ASK);
        return;
    }
    struct toystore_request get = {.type = TOYSTORE_GET,
                                   .key = sync->request.keys[sync->read],
                                   .strict = 1,
                                   .deadline_ms = until_ms(core, sync->deadline_us, 60000)};
    coord_get(core, &get, on_read, sync->op.handle);
}

static void read_again(struct coord_sync *sync)
{
    for (size_t k = 0; k < sync->request.key_count; k++)
        sync->keys[k].known = key_is_immutable(slice_public(sync->request.keys[k]));
}

/* ---- the owners ---- */

static const struct sync_member *member_of(const struct coord_sync *sync, node_id id)
{
    for (unsigned i = 0; i < sync->member_count; i++)
        if (sync->members[i].id == id)
            return &sync->members[i];
    return NULL;
}

/* Have q owners of every key, in every live layout as it is now, said that it is durable? */
static bool all_synced(struct core *core, const struct coord_sync *sync)
{
    for (size_t k = 0; k < sync->request.key_count; k++) {
        struct electorate electorate;
        uint32_t mask = 0;
        view_electorate_key(core, slice_public(sync->request.keys[k]), 0, 0, &electorate);
        for (unsigned i = 0; i < electorate.member_count; i++) {
            const struct sync_member *member = member_of(sync, electorate.members[i]);
            if (member && member->synced)
                mask |= 1u << i;
        }
        if (!electorate_has(&electorate, mask, QUORUM_ACCEPT))
            return false;
    }
    return true;
}

static void on_synced(struct core *core, uint64_t handle, uint64_t index,
                      const struct rpc_answer *answer)
{
    struct coord_sync *sync = sync_find(core, handle);
    if (!sync || index >> 16 != sync->attempt || sync->op.state != SYNC_ASK)
        return;
    struct sync_member *member = &sync->members[index & 0xffff];
    struct sync_reply reply;
    bool good = answer->status == TOYSTORE_OK && sync_reply_decode(answer->result, &reply);
    sync->open--;
    member->synced = good && reply.status == TOYSTORE_OK;
    sync->missed = sync->missed || (good && reply.status == TOYSTORE_UNKNOWN);
    if (all_synced(core, sync))
        finish(core, sync, TOYSTORE_OK);
    else if (sync->open == 0)
        operation_move(core, &sync->op, SYNC_PAUSE);
}

static void add_owner(struct coord_sync *sync, node_id id)
{
    if (!member_of(sync, id) && sync->member_count < SYNC_MEMBERS_MAX)
        sync->members[sync->member_count++] = (struct sync_member){.id = id};
}

static struct blob *keys_of(struct core *core, const struct coord_sync *sync, node_id id)
{
    struct buf keys = {0}, ops = {0};
    uint32_t count = 0;
    for (size_t k = 0; k < sync->request.key_count; k++) {
        struct electorate electorate;
        view_electorate_key(core, slice_public(sync->request.keys[k]), 0, 0, &electorate);
        if (electorate_index(&electorate, id) < 0)
            continue;
        wire_put_BYTES(&keys, slice_public(sync->request.keys[k]));
        wire_put_OPID(&ops, sync->keys[k].op);
        count++;
    }
    struct blob *params = RPC_PARAMS(
        sync_request, {.keys = {count, buf_slice(&keys)}, .ops = {count, buf_slice(&ops)}});
    buf_free(&keys);
    buf_free(&ops);
    return params;
}

static void sync_ask(struct core *core, struct operation *operation)
{
    struct coord_sync *sync = sync_of(operation);
    sync->attempt++;
    sync->member_count = 0;
    sync->missed = false;
    for (size_t k = 0; k < sync->request.key_count; k++) {
        struct electorate electorate;
        view_electorate_key(core, slice_public(sync->request.keys[k]), 0, 0, &electorate);
        for (unsigned i = 0; i < electorate.member_count; i++)
            add_owner(sync, electorate.members[i]);
    }
    sync->open = sync->member_count;
    for (unsigned i = 0; i < sync->member_count; i++)
        rpc_call(core, sync->members[i].id, METHOD_SYNC, keys_of(core, sync, sync->members[i].id),
                 until_ms(core, sync->deadline_us, 2 * REPLICA_TIMEOUT_MS), on_synced,
                 sync->op.handle, (uint64_t)sync->attempt << 16 | i);
    if (sync->open == 0) /* no keys */
        operation_move(core, &sync->op, SYNC_PAUSE);
}

static void again(struct core *core, struct timer *timer)
{
    struct coord_sync *sync = sync_find(core, timer->handle);
    if (sync->request.key_count == 0) {
        finish(core, sync, TOYSTORE_OK);
        return;
    }
    if (sync->missed)
        read_again(sync);
    operation_move(core, &sync->op, SYNC_READ);
}

static void sync_pause(struct core *core, struct operation *operation)
{
    struct coord_sync *sync = sync_of(operation);
    sync->timer.handle = sync->op.handle;
    timer_set_after_ms(core, &sync->timer, sync->request.key_count ? COORD_PAUSE_MS : 0, again);
}

static void name_keys(struct coord_sync *sync)
{
    const struct toystore_request *request = &sync->request;
    sync->keys = arena_alloc(&sync->arena, request->key_count * sizeof *sync->keys + 1);
    for (size_t k = 0; k < request->key_count; k++) {
        struct sync_key *key = &sync->keys[k];
        if (request->key_ops)
            key->op = op_from_public(request->key_ops[k]);
        key->known = key->op.sequence != 0 || key_is_immutable(slice_public(request->keys[k]));
    }
}

void coord_sync(struct core *core, const struct toystore_request *request, ask_done_fn *done,
                uint64_t handle)
{
    pool_handle own;
    struct coord_sync *sync = pool_new(&core->coord->syncs, &own);
    if (!sync) {
        ask_refuse(core, done, handle, TOYSTORE_BUSY, "too many requests");
        return;
    }
    sync->op = (struct operation){.table = &sync_table, .handle = own};
    sync->done = done;
    sync->done_handle = handle;
    request_copy(&sync->arena, request, &sync->request);
    name_keys(sync);
    unsigned deadline_ms = request->deadline_ms ? request->deadline_ms : PUT_DEADLINE_MS;
    sync->deadline_us = core->now_us + 1000ull * deadline_ms;
    sync->deadline.handle = own;
    timer_set(core, &sync->deadline, sync->deadline_us, on_deadline);
    operation_move(core, &sync->op, SYNC_READ);
}

void coord_sync_init(struct coord *coord)
{
    pool_init(&coord->syncs, sizeof(struct coord_sync), COORD_OPS_MAX);
}

void coord_sync_free_all(struct coord *coord)
{
    for (size_t i = 0; i < coord->syncs.capacity; i++) {
        struct coord_sync *sync = coord->syncs.objects[i];
        if (sync)
            arena_free(&sync->arena);
    }
    pool_free(&coord->syncs);
}
