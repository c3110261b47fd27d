/* core: the one door: events in, each to the module that it is for, actions out.
 *
 * enters from: io/driver.c or the simulator; leaves to: every module of this room. */
#include "core/core.h"
#include "core/ask/ask.h"
#include "core/collect/collect.h"
#include "core/coord/lead.h"
#include "core/members/members.h"
#include "core/move/move.h"
#include "core/repair/entropy.h"
#include "core/replica/grave.h"
#include "core/replica/hint.h"
#include "core/replica/replica.h"
#include "core/replica/sync.h"
#include "core/replica/tree.h"
#include "core/report/report.h"
#include "core/retire/retire.h"
#include "core/state/state.h"
#include "core/swim/swim.h"
#include "core/view/holders.h"
#include "core/view/view.h"

#include <stdio.h>
#include <stdlib.h>

/* Timers that one step may fire: what is due beyond them waits for the driver's next tick. */
enum { TIMERS_PER_STEP_MAX = 256, SLEPT_US = 50000, HEAR_US = 5000 };

static const struct core_hooks hooks;

struct core *core_new(const struct core_config *config)
{
    struct core *core = base_alloc(sizeof *core);
    core->config = *config;
    core->hooks = &hooks;
#ifdef TOYSTORE_BREAKABLE
    version_shallow = BROKEN(core, covers_shallow);
    version_hidden = BROKEN(core, hidden_hides);
    ballot_era_minor = BROKEN(core, era_minor);
#endif
    prng_seed(&core->prng, config->random_seed);
    list_init(&core->disk_answers);
    prng_bytes(&core->prng, core->session.bytes, SESSION_SIZE);
    core->members = members_new();
    core->rpc = rpc_new(core);
    core->views = views_new(core);
    core->holders = holders_new();
    core->swim = swim_new(core);
    core->replica = replica_new(core);
    core->trees = trees_new();
    core->syncs = syncs_new();
    core->coord = coord_new(core);
    core->asks = asks_new();
    core->hints = hints_new(core);
    core->entropy = entropy_new();
    core->lead = lead_new(core);
    leading_init(core->lead);
    core->move = move_new(core);
    core->graves = graves_new();
    core->collect = collect_new();
    core->reports = reports_new();
    core->retire = retire_new();
    retiring_init(core->retire);
    return core;
}

void core_free(struct core *core)
{
    if (core == NULL)
        return;
    boot_free(core);
    retiring_free(core->retire);
    retire_free(core->retire);
    reports_free(core->reports);
    collect_free(core->collect);
    graves_free(core->graves);
    move_free(core->move);
    leading_free(core->lead);
    lead_free(core->lead);
    entropy_free(core->entropy);
    hints_free(core->hints);
    asks_free(core->asks);
    coord_free(core->coord);
    syncs_free(core->syncs);
    trees_free(core->trees);
    replica_free(core->replica);
    swim_free(core->swim);
    holders_free(core->holders);
    views_free(core->views);
    rpc_free(core->rpc);
    members_free(core->members);
    disk_free(core);
    heap_free(&core->timers);
    free(core->nonces);
    free(core->past);
    free(core);
}

/* ---- calls of the embedding API ---- */

static void reply(struct core *core, uint64_t call, const struct toystore_result *result)
{
    struct action *action = core_act(core, ACTION_REPLY);
    action->call = call;
    action->result = result_copy(result);
}

static void reply_failed(struct core *core, uint64_t call, enum toystore_status status,
                         const char *message)
{
    reply(core, call, &(struct toystore_result){.status = status, .message = message});
}

static void leave_when_idle(struct core *core);

static void call_done(struct core *core, uint64_t call, const struct toystore_result *result)
{
    assert(core->calls_open > 0);
    core->calls_open--;
    if (BROKEN(core, reply_never) && prng_chance(&core->prng, 1, 50))
        return;
    if (BROKEN(core, reply_twice) && prng_chance(&core->prng, 1, 50))
        reply(core, call, result);
    reply(core, call, result);
    leave_when_idle(core);
}

static void on_call(struct core *core, const struct core_event *event)
{
    if (core->stopping)
        reply_failed(core, event->call, TOYSTORE_STOPPING, "the node is shutting down");
    else if (!core->ready)
        reply_failed(core, event->call, TOYSTORE_UNAVAILABLE,
                     "this node has not joined its cluster yet");
    else if (core->calls_open >= CALLS_MAX)
        reply_failed(core, event->call, TOYSTORE_BUSY, "too many requests under way");
    else {
        core->calls_open++;
        ask_any(core, event->request, &(struct session){{0}}, call_done, event->call);
    }
}

/* ---- leaving ---- */

/* Of partitions and owners of any time; what comes between this and the end was promised nobody. */
static bool keeps_anything(const struct core *core)
{
    if (hints_count(core, 0) != 0)
        return true;
    for (uint32_t p = 0; p < view_partition_count(core); p++)
        if (tree_key_count(core, p) != 0)
            return true;
    return false;
}

static void leave_now(struct core *core, struct timer *timer)
{
    (void)timer;
    timer_cancel(core, &core->leave_timer);
    if (core->started)
        swim_leave(core, keeps_anything(core));
    boot_mark_clean(core);
}

static void leave_when_idle(struct core *core)
{
    if (core->stopping && core->calls_open == 0 && !core->clean_marked)
        leave_now(core, NULL);
}

static void on_leave(struct core *core)
{
    if (core->stopping)
        return;
    core->stopping = true;
    timer_set_after_ms(core, &core->leave_timer, PUT_DEADLINE_MS, leave_now);
    leave_when_idle(core);
}

/* ---- events ---- */

static void on_event(struct core *core, const struct core_event *event)
{
    switch (event->type) {
    case EVENT_TICK:
        break;
    case EVENT_OPENED:
        rpc_on_opened(core, event->conn, &event->from);
        break;
    case EVENT_CLOSED:
        rpc_on_closed(core, event->conn);
        break;
    case EVENT_FRAME:
        rpc_on_frame(core, event->conn, event->bytes);
        break;
    case EVENT_DATAGRAM:
        if (core->started)
            swim_on_datagram(core, &event->from, blob_slice(event->bytes));
        break;
    case EVENT_RESOLVED:
    case EVENT_LOADED:
    case EVENT_COMMITTED:
    case EVENT_SCANNED:
    case EVENT_ROOM:
        if (event->resume.fn != NULL)
            event->resume.fn(core, event, event->resume);
        if (event->type == EVENT_COMMITTED && event->status == -EUCLEAN && !core->stopped)
            core_stop(core, -EUCLEAN,
                      "the store is damaged and takes no more writes: started again, it saves what "
                      "can be saved, and takes the rest from the other replicas");
        break;
    case EVENT_CALL:
        on_call(core, event);
        break;
    case EVENT_CHANGE:
        move_change(core, event->call, event->change);
        break;
    case EVENT_LEAVE:
        on_leave(core);
        break;
    }
}

static void enter(struct core *core, uint64_t now_us, int64_t wall_us, struct actions *out)
{
    core->now_us = max_u64(core->now_us, now_us);
    core->wall_us = wall_us;
    core->out = out;
}

/* A process that was stopped, or starved, first hears what arrived meanwhile: else every answer
 * that waits in a socket would count as missing, and every peer as silent. */
static void hear_before_judging(struct core *core)
{
    const struct heap_node *first = heap_first(&core->timers);
    if (first != NULL && first->at + SLEPT_US < core->now_us &&
        core->stepped_us + SLEPT_US < core->now_us)
        core->timers_from_us = core->now_us + HEAR_US;
    core->stepped_us = core->now_us;
}

/* What the event set going inside this node. */
static void settle_down(struct core *core)
{
    hear_before_judging(core);
    for (unsigned fired = 0;;) {
        if (rpc_run_local(core) || disk_run_one(core))
            continue;
        if (core->now_us < core->timers_from_us || fired++ >= TIMERS_PER_STEP_MAX ||
            !timers_run_one(core))
            break;
    }
    core->out = NULL;
}

void core_start(struct core *core, uint64_t now_us, int64_t wall_us, struct actions *out)
{
    enter(core, now_us, wall_us, out);
    boot_begin(core);
    settle_down(core);
}

void core_step(struct core *core, const struct core_event *event, struct actions *out)
{
    enter(core, event->now_us, event->wall_us, out);
    if (!core->stopped)
        on_event(core, event);
    settle_down(core);
}

uint64_t core_deadline(const struct core *core)
{
    struct heap_node *first = heap_first(&core->timers);
    return first ? max_u64(first->at, core->timers_from_us) : UINT64_MAX;
}

/* ---- members' requests ---- */

/* Methods that read or write what a storing member keeps. */
static bool needs_store(enum wire_method method)
{
    switch (method) {
    case METHOD_GET:
    case METHOD_PREPARE:
    case METHOD_PUT:
    case METHOD_SETTLED:
    case METHOD_HINT_PUT:
    case METHOD_TRANSFER:
    case METHOD_LEAD:
    case METHOD_TREE:
    case METHOD_COMPARE:
    case METHOD_FETCH:
    case METHOD_RAISE:
    case METHOD_COLLECT:
    case METHOD_REPAIR:
    case METHOD_SYNC:
    case METHOD_ROOM:
    case METHOD_FORWARD:
    case METHOD_LIST:
    case METHOD_ROUND:
    case METHOD_LOOK:
    case METHOD_SIZES:
        return true;
    default:
        return false;
    }
}

/* Who serves what; a method that is not here is none of a member's. */
typedef void handler(struct core *core, const struct rpc_request *request);
static handler *const handlers[METHOD_COUNT] = {
    [METHOD_EXCHANGE] = swim_handle_exchange,
    [METHOD_GET] = replica_handle,
    [METHOD_PREPARE] = replica_handle,
    [METHOD_PUT] = replica_handle,
    [METHOD_SETTLED] = replica_handle,
    [METHOD_HINT_PUT] = replica_handle,
    [METHOD_TRANSFER] = replica_handle,
    [METHOD_SYNC] = replica_handle,
    [METHOD_LEAD] = lead_handle,
    [METHOD_TREE] = tree_handle,
    [METHOD_COMPARE] = tree_handle,
    [METHOD_FETCH] = tree_handle,
    [METHOD_RAISE] = move_handle_raise,
    [METHOD_COLLECT] = collect_handle,
    [METHOD_REPAIR] = coord_repair_handle,
    [METHOD_ROOM] = room_handle,
    [METHOD_FORWARD] = coord_put_handle,
    [METHOD_LIST] = list_handle,
    [METHOD_LAYOUT] = view_handle_layout,
    [METHOD_HOLDING] = move_handle_holding,
    [METHOD_RETIRED] = retire_handle,
    [METHOD_CHANGE] = move_handle_change,
    [METHOD_CALL] = client_handle,
    [METHOD_COORDINATE_GET] = client_handle,
    [METHOD_COORDINATE_PUT] = client_handle,
    [METHOD_COORDINATE_DELETE] = client_handle,
    [METHOD_COORDINATE_LIST] = client_handle,
    [METHOD_LOOK] = report_look_handle,
    [METHOD_SIZES] = report_sizes_handle,
    [METHOD_REPORT] = report_handle,
    [METHOD_ROUND] = entropy_round_handle,
};

static void dispatch(struct core *core, const struct rpc_request *request)
{
    handler *serve = request->method < METHOD_COUNT ? handlers[request->method] : NULL;
    if (needs_store(request->method) && !core->config.storing)
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "this member stores nothing");
    else if (serve == NULL)
        rpc_fail(core, &request->origin, TOYSTORE_NO_METHOD, "no such method");
    else
        serve(core, request);
}

void core_members(const struct core *core,
                  void (*each)(void *arg, const struct toystore_member *member), void *arg)
{
    for (size_t i = 0; i < members_count(core); i++) {
        struct toystore_member member = member_public(members_at(core, i));
        each(arg, &member);
    }
}

/* ---- what a room tells those above it ---- */

static void on_member(struct core *core, enum toystore_event_type type, const struct member *member)
{
    struct action *action = core_act(core, ACTION_MEMBER);
    action->member_event = type;
    action->member = base_alloc(sizeof *action->member);
    struct member_copy *copy = action->member;
    snprintf(copy->name, sizeof copy->name, "%s", member->name);
    snprintf(copy->host, sizeof copy->host, "%s", member->rpc.host);
    snprintf(copy->zone, sizeof copy->zone, "%s", member->zone);
    copy->member = member_public(member);
    copy->member.name = copy->name;
    copy->member.host = copy->host;
    copy->member.zone = copy->zone;

    rpc_on_member(core, member->id);
    if (!core->started)
        return;
    move_on_member(core, member);
    lead_on_member(core);
    if (member->state == TOYSTORE_ALIVE) {
        hints_on_member(core, member->id);
        entropy_on_member(core, member->id);
    }
}

static void on_session_over(struct core *core, const struct session *session, const char *name)
{
    retire_due(core, session, name);
}

static void on_view_changed(struct core *core)
{
    swim_view_changed(core);
    lead_view_changed(core);
    move_view_changed(core);
    hints_view_changed(core);
    entropy_view_changed(core);
}

static const struct core_hooks hooks = {
    .request = dispatch,
    .member = on_member,
    .session_over = on_session_over,
    .gone = view_on_gone,
    .gone_noted = swim_on_gone,
    .fewer = view_on_fewer,
    .self_changed = swim_update_self,
    .partitions = trees_size,
    .view_changed = on_view_changed,
    .collected = collect_heard,
    .damaged = move_on_damage,
};

/* ---- small answers ---- */

bool core_report(struct core *core, struct slice what, struct slice argument, struct buf *out)
{
    return report_make(core, what, argument, out);
}

bool core_ready(const struct core *core)
{
    return core->ready;
}

node_id core_id(const struct core *core)
{
    return core->id;
}

struct session core_session(const struct core *core)
{
    return core->session;
}
