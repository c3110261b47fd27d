/* coord_room: how much the cluster can hold, for statfs: the storing members of the newest layout
 * are asked for the room on their disks, and what they say is added up and shared by N copies. Who
 * does not answer counts for nothing: its room cannot be used either.
 *
 * Enters from: ask.c. Leaves to: ROOM (here, at each member), the disk. */
#include "core/coord/coord_priv.h"
#include "core/view/view.h"

#include <stdlib.h>

struct coord_room {
    struct operation op;
    ask_done_fn *done;
    uint64_t done_handle;
    size_t open, answered;
    uint64_t size, free;
    uint32_t copies;
};

struct room_serve {
    struct rpc_origin origin;
};

enum { ROOM_NEW, ROOM_ASK, ROOM_DONE };

#define STATE(name) ROOM_##name
#define TO(name)    (1u << ROOM_##name)

static void room_ask(struct core *core, struct operation *operation);
static void room_end(struct core *core, struct operation *operation);

#define ROOM_STATES(S)                                                                             \
    S(NEW, NULL, TO(ASK))                                                                          \
    S(ASK, room_ask, TO(DONE))                                                                     \
    S(DONE, room_end, 0)

OPERATION_TABLE(room_table, "room", ROOM_STATES)

static void room_end(struct core *core, struct operation *operation)
{
    pool_delete(&core->coord->rooms, operation->handle);
}

static void finish(struct core *core, struct coord_room *room)
{
    struct toystore_result result = {.status = TOYSTORE_OK, .message = ""};
    if (room->answered == 0)
        result.status = TOYSTORE_UNAVAILABLE;
    result.room_size = room->size / room->copies;
    result.room_free = room->free / room->copies;
    operation_answer(core, &room->op, toystore_status_word(result.status));
    room->done(core, room->done_handle, &result);
    operation_move(core, &room->op, ROOM_DONE);
}

static void on_answer(struct core *core, uint64_t handle, uint64_t index,
                      const struct rpc_answer *answer)
{
    struct coord_room *room = pool_get(&core->coord->rooms, handle);
    struct room_reply reply;
    (void)index;
    room->open--;
    if (answer->status == TOYSTORE_OK && room_reply_decode(answer->result, &reply) &&
        reply.status == TOYSTORE_OK) {
        room->answered++;
        room->size += min_u64(reply.size, UINT64_MAX - room->size);
        room->free += min_u64(reply.free, UINT64_MAX - room->free);
    }
    if (room->open == 0)
        finish(core, room);
}

static void room_ask(struct core *core, struct operation *operation)
{
    struct coord_room *room = container_of(operation, struct coord_room, op);
    const struct layout *layout = view_newest(core);
    room->copies = (uint32_t)max_size(layout_owner_count(layout), 1);
    room->open = layout->member_count;
    for (size_t i = 0; i < layout->member_count; i++)
        rpc_call(core, layout->members[i].id, METHOD_ROOM,
                 RPC_PARAMS(room_request, {.asker = core->id}), REPLICA_TIMEOUT_MS, on_answer,
                 room->op.handle, i);
}

void coord_room(struct core *core, const struct toystore_request *request, ask_done_fn *done,
                uint64_t handle)
{
    pool_handle own;
    (void)request;
    struct coord_room *room = pool_new(&core->coord->rooms, &own);
    if (room == NULL) {
        ask_refuse(core, done, handle, TOYSTORE_BUSY, "too many requests");
        return;
    }
    room->op = (struct operation){.table = &room_table, .handle = own};
    room->done = done;
    room->done_handle = handle;
    operation_move(core, &room->op, ROOM_ASK);
}

/* ---- at a member ---- */

static void on_room(struct core *core, const struct core_event *event, struct resume resume)
{
    struct room_serve *serve = pool_get(&core->coord->room_serves, resume.handle);
    enum toystore_status status = event->status == 0 ? TOYSTORE_OK : TOYSTORE_IO;
    RPC_REPLY(core, &serve->origin, room_reply,
              {.status = status, .size = event->room_size, .free = event->room_free});
    pool_delete(&core->coord->room_serves, resume.handle);
}

void room_handle(struct core *core, const struct rpc_request *request)
{
    pool_handle handle;
    struct room_serve *serve = pool_new(&core->coord->room_serves, &handle);
    if (serve == NULL) {
        rpc_fail(core, &request->origin, TOYSTORE_BUSY, "too many requests");
        return;
    }
    serve->origin = request->origin;
    disk_room(core, resume_to(on_room, handle, 0));
}

void coord_room_init(struct coord *coord)
{
    pool_init(&coord->rooms, sizeof(struct coord_room), COORD_OPS_MAX);
    pool_init(&coord->room_serves, sizeof(struct room_serve), COORD_OPS_MAX);
}

void coord_room_free_all(struct coord *coord)
{
    pool_free(&coord->rooms);
    pool_free(&coord->room_serves);
}
