/* The whole core behind its one door: a cluster of one on a disk in memory, to which a member, a
 * raw client and the network say anything. The input is a row of steps: what, how long (two bytes),
 * bytes. Nothing that comes from outside may trip an assertion. */
#include "fuzz.h"

#include "core/rpc/rpc.h"
#include "core/swim/swim_priv.h"
#include "record_random.h"
#include "sim/disk.h"
#include "wire/frame.h"

#include <stdio.h>
#include <stdlib.h>

enum step { STEP_MEMBER, STEP_CLIENT, STEP_DATAGRAM, STEP_TIME, STEP_ANSWER, STEP_COUNT };
enum { STEPS_MAX = 64, ACTIONS_MAX = 100000, MS = 1000 };

static const uint64_t member_conn = CONN_INBOUND | 1, client_conn = CONN_INBOUND | 2;
static const node_id member_id = 4242;
static uint8_t founded[CLUSTER_ID_SIZE]; /* the id of the cluster: always the same */

struct world {
    struct core *core;
    struct disk disk;
    struct actions out;
    uint64_t now_us, outbound; /* the last connection that the core opened and is open */
    bool ready, stopped;
};

static void deliver(struct world *world, struct core_event *event)
{
    if (world->stopped)
        return;
    event->now_us = ++world->now_us;
    event->wall_us = 1700000000000000 + (int64_t)world->now_us;
    core_step(world->core, event, &world->out);
}

static void act_scan(struct world *world, const struct action *action)
{
    const struct disk_space *space = &world->disk.spaces[action->space];
    struct core_event event = {.type = EVENT_SCANNED, .resume = action->resume};
    struct scan_pair *pairs = base_alloc((action->limit + 1) * sizeof *pairs);
    struct slice end = blob_slice(action->end);
    size_t at = disk_find(&world->disk, action->space, blob_slice(action->key));
    for (; at < space->count; at++) {
        struct slice key = blob_slice(space->pairs[at].key);
        if (end.size != 0 && slice_compare(key, end) >= 0)
            break;
        event.more = event.pair_count == action->limit;
        if (event.more)
            break;
        pairs[event.pair_count++] = (struct scan_pair){key, blob_slice(space->pairs[at].value)};
    }
    event.pairs = pairs;
    deliver(world, &event);
    free(pairs);
}

static void act(struct world *world, struct action *action)
{
    struct core_event event = {.resume = action->resume, .conn = action->conn};
    switch (action->type) {
    case ACTION_CONNECT:
        world->outbound = action->conn;
        event.type = EVENT_OPENED;
        deliver(world, &event);
        break;
    case ACTION_CLOSE:
        if (action->conn == world->outbound)
            world->outbound = 0;
        break;
    case ACTION_RESOLVE:
        event.type = EVENT_RESOLVED;
        event.status = -ENOENT;
        deliver(world, &event);
        break;
    case ACTION_LOAD:
        event.type = EVENT_LOADED;
        event.bytes = blob_ref(disk_get(&world->disk, action->space, blob_slice(action->key)));
        event.status = event.bytes ? 0 : -ENOENT;
        deliver(world, &event);
        blob_unref(&event.bytes);
        break;
    case ACTION_COMMIT:
        disk_write(&world->disk, &action->batch);
        disk_sync(&world->disk, world->disk.writes);
        event.type = EVENT_COMMITTED;
        deliver(world, &event);
        break;
    case ACTION_SCAN:
        act_scan(world, action);
        break;
    case ACTION_ROOM:
        event.type = EVENT_ROOM;
        event.room_size = event.room_free = 1 << 30;
        deliver(world, &event);
        break;
    case ACTION_READY:
        world->ready = true;
        break;
    case ACTION_STOP:
        world->stopped = true;
        break;
    case ACTION_SEND:
    case ACTION_DATAGRAM:
    case ACTION_REPLY:
    case ACTION_MEMBER:
    case ACTION_LOG:
        break;
    }
}

/* Until the core waits for the world. */
static void pump(struct world *world)
{
    struct action action;
    for (size_t done = 0; actions_take(&world->out, &action); done++) {
        assert(done < ACTIONS_MAX);
        act(world, &action);
        action_free(&action);
    }
}

static void pass_time(struct world *world, uint64_t us)
{
    uint64_t end = world->now_us + us;
    while (!world->stopped && core_deadline(world->core) <= end) {
        world->now_us = max_u64(world->now_us, core_deadline(world->core));
        deliver(world, &(struct core_event){.type = EVENT_TICK});
        pump(world);
    }
    world->now_us = max_u64(world->now_us, end);
}

static void say(struct world *world, enum event_type type, uint64_t conn, struct slice bytes)
{
    struct core_event event = {.type = type, .conn = conn, .bytes = blob_copy(bytes)};
    snprintf(event.from.host, sizeof event.from.host, "10.0.0.9");
    event.from.port = 7946;
    deliver(world, &event);
    blob_unref(&event.bytes);
    pump(world);
}

static void say_request(struct world *world, uint64_t conn, enum wire_method method,
                        struct slice params)
{
    struct buf frame = {0};
    frame_request_head(&frame, 1, method);
    buf_append(&frame, params.data, params.size);
    say(world, EVENT_FRAME, conn, buf_slice(&frame));
    buf_free(&frame);
}

static void say_hello(struct world *world)
{
    struct buf params = {0};
    hello_request_encode(&params, &(struct hello_request){.version_low = PROTOCOL_VERSION_LOW,
                                                          .version_high = PROTOCOL_VERSION_HIGH,
                                                          .cluster_name = slice_str("fuzz"),
                                                          .node = member_id,
                                                          .session = {{7}},
                                                          .member = 2});
    say_request(world, member_conn, METHOD_HELLO, buf_slice(&params));
    buf_free(&params);
}

static void world_begin(struct world *world)
{
    struct core_config config = {.storing = true,
                                 .rpc = {"10.0.0.1", 3001},
                                 .gossip = {"10.0.0.1", 7946},
                                 .name = "fuzz",
                                 .cluster_name = "fuzz",
                                 .weight = 100,
                                 .replicas = 3,
                                 .write_quorum = 2,
                                 .read_quorum = 2,
                                 .partitions = 4,
                                 .handoff_interval_ms = 1000,
                                 .probe_interval_ms = 1000,
                                 .boot_id = "boot",
                                 .random_seed = 1};
    *world = (struct world){.core = core_new(&config), .now_us = 1};
    core_start(world->core, world->now_us, 1700000000000000, &world->out);
    pump(world);
    pass_time(world, 5000 * MS);
    assert(world->ready);
    memcpy(founded, world->core->self.cluster, CLUSTER_ID_SIZE);
    say(world, EVENT_OPENED, member_conn, slice_of(NULL, 0));
    say(world, EVENT_OPENED, client_conn, slice_of(NULL, 0));
    say_hello(world);
}

static void world_end(struct world *world)
{
    actions_free(&world->out);
    core_free(world->core);
    disk_wipe(&world->disk);
    free(world->disk.undos);
}

/* The driver hands over whole frames only. */
static bool is_frame(struct slice bytes)
{
    struct frame_scanner scanner = {0};
    return frame_scan(&scanner, bytes) == (ssize_t)bytes.size && bytes.size > 0;
}

static bool is_value(struct slice bytes)
{
    struct cursor cursor = cursor_of(bytes);
    return cursor_skip(&cursor, NULL) && cursor.at == cursor.end;
}

static void take_step(struct world *world, uint8_t what, struct slice bytes)
{
    struct slice rest = slice_of(bytes.data + 1, bytes.size > 0 ? bytes.size - 1 : 0);
    switch (what % STEP_COUNT) {
    case STEP_MEMBER:
        if (is_value(rest))
            say_request(world, member_conn,
                        (enum wire_method)(1 + bytes.data[0] % (METHOD_COUNT - 1)), rest);
        break;
    case STEP_CLIENT:
        if (is_frame(bytes))
            say(world, EVENT_FRAME, client_conn, bytes);
        break;
    case STEP_DATAGRAM:
        say(world, EVENT_DATAGRAM, 0, bytes);
        break;
    case STEP_TIME:
        pass_time(world, bytes.size * 100 * MS);
        break;
    case STEP_ANSWER:
        if (world->outbound != 0 && is_frame(bytes))
            say(world, EVENT_FRAME, world->outbound, bytes);
        break;
    }
}

void fuzz_one(struct slice bytes)
{
    struct world world;
    struct cursor at = cursor_of(bytes);
    world_begin(&world);
    for (int steps = 0; steps < STEPS_MAX && at.end - at.at >= 3; steps++) {
        uint8_t what = at.at[0];
        size_t size = (size_t)at.at[1] << 8 | at.at[2];
        at.at += 3;
        size = min_size(size, (size_t)(at.end - at.at));
        take_step(&world, what, slice_of(at.at, size));
        at.at += size;
    }
    pass_time(&world, 10000 * MS);
    world_end(&world);
}

/* ---- examples: messages that could be meant ---- */

static void likely_U32(struct prng *prng, struct arena *arena, wire_U32 *ret)
{
    (void)arena;
    *ret = (uint32_t)prng_below(prng, 5);
}

static void likely_VIEW(struct prng *prng, struct arena *arena, wire_VIEW *ret)
{
    (void)arena;
    *ret = (struct view){.oldest = 1,
                         .newest = 1,
                         .epoch = prng_chance(prng, 1, 8) ? (uint32_t)prng_below(prng, 4) : 0};
    if (prng_chance(prng, 1, 8))
        ret->collected = (struct era){1, (uint32_t)prng_below(prng, 4)};
    if (prng_chance(prng, 1, 12))
        ret->newest = 2;
}

static void likely_BALLOT(struct prng *prng, struct arena *arena, wire_BALLOT *ret)
{
    (void)arena;
    *ret = (struct ballot){.era = {1, 0},
                           .counter = prng_below(prng, 4),
                           .node = prng_chance(prng, 1, 2) ? member_id : 7,
                           .turn = prng_below(prng, 3)};
}

static void likely_OPID(struct prng *prng, struct arena *arena, wire_OPID *ret)
{
    (void)arena;
    *ret = (struct op_id){.session = {{(uint8_t)prng_below(prng, 3)}},
                          .sequence = prng_below(prng, 4)};
}

static void likely_OP(struct prng *prng, struct arena *arena, wire_OP *ret)
{
    likely_OPID(prng, arena, &ret->id);
    ret->time_us = 1700000000000000 + prng_below(prng, 1000000);
    ret->era = (struct era){1, 0};
}

static void likely_NODE(struct prng *prng, struct arena *arena, wire_NODE *ret)
{
    (void)arena;
    *ret = prng_below(prng, 3) * member_id;
}

static struct slice likely_record(struct prng *prng, struct arena *arena)
{
    struct record record;
    struct buf out = {0};
    random_record(prng, arena, &record);
    likely_BALLOT(prng, arena, &record.reg.ballot);
    likely_OPID(prng, arena, &record.reg.version.op);
    record_encode(&out, &record);
    struct slice copy = arena_copy(arena, buf_slice(&out));
    buf_free(&out);
    return copy;
}

static void put_news(struct prng *prng, struct buf *out)
{
    struct member member = {.id = 1 + prng_below(prng, 3) * (member_id - 1),
                            .incarnation = prng_below(prng, 3),
                            .state = (enum toystore_member_state)prng_below(prng, 4),
                            .storing = prng_chance(prng, 1, 2),
                            .rpc = {"10.0.0.9", 3001},
                            .gossip = {"10.0.0.9", 7946},
                            .name = "another",
                            .weight = 100,
                            .nonces = {prng_below(prng, 3), prng_below(prng, 3)},
                            .layout_newest = (uint32_t)prng_below(prng, 3)};
    if (prng_chance(prng, 1, 2))
        memcpy(member.cluster, founded, CLUSTER_ID_SIZE);
    news_encode(out, &member, member_id);
}

static void example_datagram(struct prng *prng, struct buf *out)
{
    pack_array(out, 7);
    pack_u64(out, 1);
    pack_text(out, slice_str("fuzz"));
    pack_bytes(out, slice_of(founded, CLUSTER_ID_SIZE));
    pack_u64(out, prng_below(prng, SWIM_TYPES));
    pack_u64(out, prng_below(prng, 4));
    pack_u64(out, member_id);
    pack_u64(out, prng_below(prng, 3));
    for (uint64_t news = prng_below(prng, 3); news > 0; news--)
        put_news(prng, out);
}

static struct slice likely_news(struct prng *prng, struct arena *arena)
{
    struct buf out = {0};
    put_news(prng, &out);
    struct slice copy = arena_copy(arena, buf_slice(&out));
    buf_free(&out);
    return copy;
}

/* One type for keys, records, names and values: each is tried in the place of the others. */
static void likely_BYTES(struct prng *prng, struct arena *arena, wire_BYTES *ret)
{
    static const char *const keys[] = {
        "a", "a/b", "d", "", ".toystore/layouts/2", ".toystore/chunks/x/y", "status", "fuzz"};
    if (prng_chance(prng, 1, 3))
        *ret = likely_record(prng, arena);
    else if (prng_chance(prng, 1, 6))
        *ret = likely_news(prng, arena);
    else
        *ret = slice_str(keys[prng_below(prng, ARRAY_COUNT(keys))]);
}

static void likely_LIST(struct prng *prng, struct arena *arena, wire_LIST *ret);

#define likely_U64        random_U64
#define likely_BOOL       random_BOOL
#define likely_SESSION    random_SESSION
#define likely_ERA        random_ERA
#define likely_HASH       random_HASH
#define likely_ATTRIBUTES random_ATTRIBUTES

#define LIKELY_FIELD(type, name) likely_##type(prng, arena, &message.name);
#define WIRE_STRUCT(name)                                                                          \
    static void example_##name(struct prng *prng, struct arena *arena, struct buf *out)            \
    {                                                                                              \
        struct name message = {0};                                                                 \
        FIELDS_##name(LIKELY_FIELD);                                                               \
        name##_encode(out, &message);                                                              \
    }
STRUCTS(WIRE_STRUCT)
#undef WIRE_STRUCT

static void likely_LIST(struct prng *prng, struct arena *arena, wire_LIST *ret)
{
    struct buf items = {0};
    wire_U32 number;
    wire_OPID op;
    wire_BYTES bytes;
    uint64_t kind = prng_below(prng, 5);
    ret->count = (uint32_t)prng_below(prng, 4);
    for (uint32_t i = 0; i < ret->count; i++) {
        likely_U32(prng, arena, &number);
        likely_OPID(prng, arena, &op);
        likely_BYTES(prng, arena, &bytes);
        if (kind == 0)
            wire_put_U32(&items, number);
        else if (kind == 1)
            wire_put_BYTES(&items, bytes);
        else if (kind == 2)
            wire_put_OPID(&items, op);
        else if (kind == 3)
            example_transfer_item(prng, arena, &items);
        else
            example_raise_item(prng, arena, &items);
    }
    ret->items = arena_copy(arena, buf_slice(&items));
    buf_free(&items);
}

static void example_params(struct prng *prng, struct arena *arena, struct buf *out,
                           enum wire_method method)
{
    switch (method) {
#define M(constant, name, request, reply, who)                                                     \
    case METHOD_##constant:                                                                        \
        example_##request(prng, arena, out);                                                       \
        return;
        METHODS(M)
#undef M
    default:
        pack_array(out, 2);
        pack_text(out, slice_str("a/b"));
        pack_bytes(out, slice_str("value"));
    }
}

/* Any message at all: those that answer what the core asked are among them. */
static void (*const any_message[])(struct prng *prng, struct arena *arena, struct buf *out) = {
#define WIRE_STRUCT(name) example_##name,
    STRUCTS(WIRE_STRUCT)
#undef WIRE_STRUCT
};

static void example_answer(struct prng *prng, struct arena *arena, struct buf *out)
{
    frame_answer_head(out, (uint32_t)(1 + prng_below(prng, 4)));
    if (prng_chance(prng, 1, 2))
        example_hello_reply(prng, arena, out);
    else
        any_message[prng_below(prng, ARRAY_COUNT(any_message))](prng, arena, out);
}

static void put_step(struct buf *out, uint8_t what, const struct buf *bytes)
{
    uint8_t head[3] = {what, (uint8_t)(bytes->size >> 8), (uint8_t)bytes->size};
    buf_append(out, head, sizeof head);
    buf_append(out, buf_slice(bytes).data, bytes->size);
}

void fuzz_example(struct prng *prng, struct buf *out)
{
    if (founded[0] == 0) {
        struct world world;
        world_begin(&world);
        world_end(&world);
    }
    for (uint64_t steps = 1 + prng_below(prng, 12); steps > 0; steps--) {
        struct arena arena = {0};
        struct buf bytes = {0};
        uint8_t what = (uint8_t)prng_below(prng, STEP_COUNT);
        uint8_t method = (uint8_t)prng_below(prng, METHOD_COUNT - 1);
        if (prng_chance(prng, 1, 2))
            what = STEP_MEMBER;
        if (what == STEP_CLIENT)
            frame_request_head(&bytes, 1, (enum wire_method)(1 + method));
        else if (what == STEP_MEMBER)
            buf_append(&bytes, &method, 1);
        if (what == STEP_DATAGRAM)
            example_datagram(prng, &bytes);
        else if (what == STEP_ANSWER)
            example_answer(prng, &arena, &bytes);
        else
            example_params(prng, &arena, &bytes, (enum wire_method)(1 + method));
        if (bytes.size <= UINT16_MAX)
            put_step(out, what, &bytes);
        buf_free(&bytes);
        arena_free(&arena);
    }
}
