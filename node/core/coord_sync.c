/* coord_sync: what these keys hold becomes durable at q owners of every live layout (DESIGN 6):
 * each owner of any of them is asked once, with its keys.
 *
 * Enters from: ask.c. Leaves to: SYNC (replica_transfer.c). */
#include "core/coord_priv.h"

#include <stdlib.h>

enum { SYNC_MEMBERS_MAX = 256 };

struct sync_member {
    node_id id;
    bool synced, failed;
};

struct coord_sync {
    struct operation op;
    ask_done_fn *done;
    uint64_t done_handle;
    struct arena arena;
    struct toystore_request request;
    struct sync_member members[SYNC_MEMBERS_MAX];
    unsigned member_count, open;
    uint32_t attempt;
    struct timer timer, deadline;
    uint64_t deadline_us;
};

enum { SYNC_NEW, SYNC_ASK, SYNC_PAUSE, SYNC_DONE };

#define STATE(name) SYNC_##name
#define TO(name)    (1u << SYNC_##name)

static void sync_ask(struct core *core, struct operation *operation);
static void sync_pause(struct core *core, struct operation *operation);
static void sync_end(struct core *core, struct operation *operation);

#define SYNC_STATES(S)                                                                             \
    S(NEW, NULL, TO(ASK))                                                                          \
    S(ASK, sync_ask, TO(PAUSE) | TO(DONE))                                                         \
    S(PAUSE, sync_pause, TO(ASK) | TO(DONE))                                                       \
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
    struct toystore_result result = {.status = status, .message = ""};
    operation_answer(core, &sync->op, toystore_status_word(status));
    sync->done(core, sync->done_handle, &result);
    operation_move(core, &sync->op, SYNC_DONE);
}

static void on_deadline(struct core *core, struct timer *timer)
{
    finish(core, sync_find(core, timer->handle), TOYSTORE_UNAVAILABLE);
}

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
    sync->open--;
    member->synced = answer->status == TOYSTORE_OK && sync_reply_decode(answer->result, &reply) &&
                     reply.status == TOYSTORE_OK;
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
    struct buf keys = {0};
    uint32_t count = 0;
    for (size_t k = 0; k < sync->request.key_count; k++) {
        struct electorate electorate;
        view_electorate_key(core, slice_public(sync->request.keys[k]), 0, 0, &electorate);
        if (electorate_index(&electorate, id) < 0)
            continue;
        wire_put_BYTES(&keys, slice_public(sync->request.keys[k]));
        count++;
    }
    struct blob *params = RPC_PARAMS(sync_request, {.keys = {count, buf_slice(&keys)}});
    buf_free(&keys);
    return params;
}

static void sync_ask(struct core *core, struct operation *operation)
{
    struct coord_sync *sync = sync_of(operation);
    sync->attempt++;
    sync->member_count = 0;
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
    if (sync->request.key_count == 0)
        finish(core, sync, TOYSTORE_OK);
    else
        operation_move(core, &sync->op, SYNC_ASK);
}

static void sync_pause(struct core *core, struct operation *operation)
{
    struct coord_sync *sync = sync_of(operation);
    sync->timer.handle = sync->op.handle;
    timer_set_after_ms(core, &sync->timer, sync->request.key_count ? COORD_PAUSE_MS : 0, again);
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
    unsigned deadline_ms = request->deadline_ms ? request->deadline_ms : PUT_DEADLINE_MS;
    sync->deadline_us = core->now_us + 1000ull * deadline_ms;
    sync->deadline.handle = own;
    timer_set(core, &sync->deadline, sync->deadline_us, on_deadline);
    operation_move(core, &sync->op, SYNC_ASK);
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
