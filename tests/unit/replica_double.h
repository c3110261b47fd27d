/* Two or three cores with nothing but replicas, trees and disks: the view is a constant, a request
 * travels by a queue. What the rest of the core would do for replica*.c, tree*.c and sync.c. */
#ifndef TOYSTORE_TEST_REPLICA_DOUBLE_H
#define TOYSTORE_TEST_REPLICA_DOUBLE_H

#include "core/replica/hint.h"
#include "core/replica/replica_priv.h"
#include "core/replica/sync.h"
#include "core/replica/tree.h"
#include "core/replica/tree_priv.h"
#include "core/retire/retire.h"
#include "core/retire/retire_priv.h"
#include "core/view/holders.h"
#include "core/view/view.h"
#include "rules/key.h"

#include "disk_double.h"

#include <stdio.h>

enum { CORES = 3, PARTITIONS = 2, MESSAGES_MAX = 4096 };

struct message {
    bool reply;
    node_id from, to;
    enum wire_method method;
    struct blob *bytes;
    enum toystore_status status;
    rpc_done_fn *done;
    uint64_t handle, index;
};

static struct {
    struct core cores[CORES + 1]; /* by id, from 1 */
    struct partition partitions[CORES + 1][PARTITIONS];
    struct view view;
    unsigned owners;                       /* cores 1 .. owners */
    struct message messages[MESSAGES_MAX]; /* by rpc_origin.id */
    uint32_t sent, delivered;
    unsigned damages, hints;
    bool down[CORES + 1]; /* answers nothing */
    bool busy[CORES + 1];
    bool older[CORES + 1];  /* knows no COMPARE */
    node_id unheld;         /* this one has taken nothing yet in the present layout */
    size_t bytes;           /* of what was delivered */
    struct rpc_answer last; /* of world_ask */
    struct blob *last_frame;
    struct actions actions; /* log lines; nobody reads them */
} world;

struct view view_of(const struct core *core, uint32_t partition)
{
    struct view view = world.view;
    view.epoch = world.partitions[core->id][partition].epoch;
    return view;
}

struct era view_collected(const struct core *core, struct slice key)
{
    (void)core;
    (void)key;
    return (struct era){0};
}

struct partition *view_partition(struct core *core, uint32_t partition)
{
    return &world.partitions[core->id][partition];
}

bool view_mute(const struct core *core, uint32_t partition)
{
    return world.partitions[core->id][partition].mute;
}

bool holder_unheld(const struct core *core, struct slice key, node_id id,
                   const struct record *record, const struct record *own)
{
    (void)core;
    (void)key;
    (void)own;
    return record->has_register && id == world.unheld;
}

bool view_holds(const struct core *core, uint32_t partition)
{
    (void)core;
    (void)partition;
    return true;
}

uint32_t view_partition_count(const struct core *core)
{
    (void)core;
    return PARTITIONS;
}

uint32_t view_partition_of(const struct core *core, struct slice key)
{
    (void)core;
    struct hash128 token = key_token(key);
    return partition_of(&token, PARTITIONS);
}

void view_electorate_key(const struct core *core, struct slice key, unsigned w, unsigned r,
                         struct electorate *ret)
{
    (void)core;
    (void)key;
    (void)w;
    (void)r;
    *ret = (struct electorate){.layout_count = 1, .member_count = world.owners};
    ret->layouts[0].number = 1;
    ret->layouts[0].n = world.owners;
    for (unsigned i = 0; i < world.owners; i++)
        ret->members[i] = i + 1;
}

enum admit view_admit(struct core *core, uint32_t partition, const struct view *theirs,
                      const struct rpc_request *request)
{
    (void)request;
    struct view mine = view_of(core, partition);
    return view_at_least(theirs, &mine) ? ADMIT_OK : ADMIT_STALE;
}

void view_adopt(struct core *core, uint32_t partition, const struct view *theirs, node_id from,
                unsigned timeout_ms, view_done_fn *done, uint64_t handle)
{
    (void)from;
    (void)timeout_ms;
    world.partitions[core->id][partition].epoch = theirs->epoch;
    done(core, handle);
}

static void world_damaged(struct core *core, struct slice key)
{
    (void)core;
    (void)key;
    world.damages++;
}

static void world_collected(struct core *core, uint32_t partition, struct era era)
{
    (void)core;
    (void)partition;
    (void)era;
}

static const struct core_hooks world_hooks = {.damaged = world_damaged,
                                              .collected = world_collected};

/* retire.c is the real one; who tells it to whom is not looked at here. */
void retire_tell_init(struct retire *retire)
{
    (void)retire;
}

void retire_tell_free(struct retire *retire)
{
    (void)retire;
}

void retire_propose_free(struct retire *retire)
{
    (void)retire;
}

void retire_sweep_free(struct retire *retire)
{
    (void)retire;
}

void retire_wake(struct core *core)
{
    (void)core;
}

void retire_heard(struct core *core, node_id from, const struct hash128 *digest)
{
    (void)core;
    (void)from;
    (void)digest;
}

#ifndef TEST_HINTS
void hint_add(struct core *core, struct batch *batch, node_id owner, struct slice key)
{
    (void)core;
    (void)owner;
    batch_put(batch, TOYSTORE_HINTS, key, slice_str("1"));
    world.hints++;
}
#endif

void timer_set(struct core *core, struct timer *timer, uint64_t at_us,
               void (*fire)(struct core *core, struct timer *timer))
{
    timer->fire = fire;
    heap_set(&core->timers, &timer->node, at_us);
}

void timer_set_after_ms(struct core *core, struct timer *timer, uint64_t ms,
                        void (*fire)(struct core *core, struct timer *timer))
{
    timer_set(core, timer, core->now_us + ms * 1000, fire);
}

/* ---- the network ---- */

static struct message *message_new(void)
{
    assert(world.sent < MESSAGES_MAX - 1);
    return &world.messages[++world.sent];
}

void rpc_call(struct core *core, node_id to, enum wire_method method, struct blob *params,
              unsigned timeout_ms, rpc_done_fn *done, uint64_t handle, uint64_t index)
{
    (void)timeout_ms;
    *message_new() = (struct message){.from = core->id,
                                      .to = to,
                                      .method = method,
                                      .bytes = params,
                                      .done = done,
                                      .handle = handle,
                                      .index = index};
}

static void answer(const struct rpc_origin *origin, enum toystore_status status, struct blob *bytes)
{
    struct message asked = world.messages[origin->id];
    struct message *reply = message_new();
    *reply = asked;
    reply->reply = true;
    reply->from = asked.to;
    reply->to = asked.from;
    reply->status = status;
    reply->bytes = bytes;
}

void rpc_reply(struct core *core, const struct rpc_origin *origin, struct buf *result)
{
    (void)core;
    answer(origin, TOYSTORE_OK, buf_take(result));
}

void rpc_fail(struct core *core, const struct rpc_origin *origin, enum toystore_status status,
              const char *message)
{
    (void)core;
    answer(origin, status, blob_copy(slice_str(message)));
}

static void deliver(struct message *message)
{
    struct core *core = &world.cores[message->to];
    struct blob *bytes = message->bytes;
    world.bytes += bytes->size;
    if (!message->reply && (world.down[message->to] || world.busy[message->to])) {
        answer(&(struct rpc_origin){.id = (uint32_t)(message - world.messages)},
               world.down[message->to] ? TOYSTORE_TIMEOUT : TOYSTORE_BUSY, blob_new(0));
        blob_unref(&message->bytes);
        return;
    }
    message->bytes = NULL;
    if (message->reply) {
        message->done(core, message->handle, message->index,
                      &(struct rpc_answer){.status = message->status,
                                           .sent = true,
                                           .result = blob_slice(bytes),
                                           .frame = bytes,
                                           .from = message->from});
    } else {
        struct rpc_request request = {
            .origin = {.conn = 1, .id = (uint32_t)(message - world.messages)},
            .from = message->from,
            .method = message->method,
            .params = blob_slice(bytes),
            .frame = bytes};
        if (world.older[message->to] && message->method == METHOD_COMPARE)
            rpc_fail(core, &request.origin, TOYSTORE_NO_METHOD, "no such method");
        else if (message->method == METHOD_TREE || message->method == METHOD_COMPARE ||
                 message->method == METHOD_FETCH)
            tree_handle(core, &request);
        else
            replica_handle(core, &request);
    }
    blob_unref(&bytes);
}

static bool world_step(void)
{
    for (node_id id = 1; id <= CORES; id++) {
        struct heap_node *first = heap_first(&world.cores[id].timers);
        if (first != NULL && first->at <= world.cores[id].now_us) {
            struct timer *timer = container_of(first, struct timer, node);
            heap_remove(&world.cores[id].timers, first);
            timer->fire(&world.cores[id], timer);
            return true;
        }
        if (disks_step(&world.cores[id]))
            return true;
    }
    if (world.delivered == world.sent)
        return false;
    deliver(&world.messages[++world.delivered]);
    return true;
}

static void world_run(void)
{
    while (world_step()) {
    }
}

/* What is freed before the world is closed may have timers still. */
static void world_stop_timers(void)
{
    for (node_id id = 1; id <= CORES; id++) {
        while (heap_first(&world.cores[id].timers) != NULL)
            heap_remove(&world.cores[id].timers, heap_first(&world.cores[id].timers));
    }
}

static void world_open(unsigned owners)
{
    memset(&world, 0, sizeof world);
    world.view = (struct view){.oldest = 1, .newest = 1};
    world.owners = owners;
    for (node_id id = 1; id <= CORES; id++) {
        struct core *core = &world.cores[id];
        core->id = id;
        core->out = &world.actions;
        core->config.storing = true;
        core->hooks = &world_hooks;
        core->replica = replica_new(core);
        core->trees = trees_new();
        core->syncs = syncs_new();
        core->graves = graves_new();
        core->retire = retire_new();
        trees_size(core, PARTITIONS);
    }
}

static void world_close(void)
{
    world_stop_timers();
    world_run();
    for (node_id id = 1; id <= CORES; id++) {
        replica_free(world.cores[id].replica);
        syncs_free(world.cores[id].syncs);
        trees_free(world.cores[id].trees);
        graves_free(world.cores[id].graves);
        retire_free(world.cores[id].retire);
        heap_free(&world.cores[id].timers);
    }
    blob_unref(&world.last_frame);
    actions_free(&world.actions);
    disks_free();
}

static void world_answered(struct core *core, uint64_t handle, uint64_t index,
                           const struct rpc_answer *answered)
{
    (void)core;
    (void)handle;
    (void)index;
    blob_unref(&world.last_frame);
    world.last = *answered;
    world.last_frame = blob_ref(answered->frame);
}

/* Asks replica `to` in the name of node `from` and runs until it has answered. */
static struct replica_reply world_ask(node_id from, node_id to, enum wire_method method,
                                      struct blob *params)
{
    rpc_call(&world.cores[from], to, method, params, 0, world_answered, 0, 0);
    world_run();
    struct replica_reply reply = {.status = world.last.status};
    if (world.last.status == TOYSTORE_OK && !replica_reply_decode(world.last.result, &reply))
        reply.status = TOYSTORE_INVALID;
    return reply;
}

#endif
