/* node: a process of the simulated cluster: starts a core on its disk, hands it events, carries out
 * its actions in order, and ends it between any two of them. */
#include "core/state/state.h"
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

#define CALL_OF_CHANGE (1ull << 62)

static void tick(struct sim *sim, struct sim_event *event);

static struct address address_of(unsigned index, uint16_t port)
{
    struct address address = {.port = port};
    snprintf(address.host, sizeof address.host, "10.0.0.%u", index + 1);
    return address;
}

static void add_seed(struct core_config *config, unsigned index)
{
    struct address seed = address_of(index, 7946);
    char *text = config->seeds[config->seed_count++];
    snprintf(text, sizeof config->seeds[0], "%s:%u", seed.host, seed.port);
}

void node_init(struct sim *sim, unsigned index, bool storing, unsigned seed_of)
{
    struct sim_node *node = &sim->nodes[index];
    *node = (struct sim_node){.index = index, .storing = storing};
    node->held_end = &node->held;
    struct core_config *config = &node->config;
    config->storing = storing;
    config->rpc = address_of(index, 3001);
    config->gossip = address_of(index, 7946);
    snprintf(config->name, sizeof config->name, "n%u", index);
    snprintf(config->cluster_name, sizeof config->cluster_name, "sim");
    config->weight =
        sim->plan.weighted && storing ? (uint32_t)sim_between(sim, STREAM_FLAVOUR, 1, 8) * 50 : 100;
    if (sim->plan.zones != 0 && storing)
        snprintf(config->zone, sizeof config->zone, "z%u", index % sim->plan.zones);
    config->replicas = sim->plan.replicas;
    config->write_quorum = sim->plan.write_quorum;
    config->read_quorum = sim->plan.read_quorum;
    config->partitions = sim->plan.partitions;
    config->strict_quorum = sim->plan.strict;
    config->handoff_interval_ms = sim->plan.handoff_interval_ms;
    config->probe_interval_ms = sim->plan.probe_interval_ms;
    config->collect_min = sim->plan.collect_min;
    config->log_level = sim->print ? 3 : 0;
    config->broken = sim->broken;
    if (seed_of != index)
        add_seed(config, seed_of);
}

static uint64_t node_now(const struct sim *sim, const struct sim_node *node)
{
    int64_t since = (int64_t)(sim->now_us - node->started_us);
    return node->clock_base_us + (uint64_t)(since + since * node->drift_ppm / 1000000);
}

static int64_t node_wall(const struct sim *sim, const struct sim_node *node)
{
    int64_t since = (int64_t)(sim->now_us - node->started_us);
    return 1700000000000000 + (int64_t)sim->now_us + since * node->drift_ppm / 1000000 +
           node->skew_us;
}

void node_drift(struct sim *sim, struct sim_node *node, int64_t ppm)
{
    int64_t before = node_wall(sim, node);
    node->clock_base_us = node_now(sim, node);
    node->started_us = sim->now_us;
    node->drift_ppm = ppm;
    node->skew_us += before - node_wall(sim, node);
}

/* ---- actions ---- */

static void act(struct sim *sim, struct sim_node *node, struct action *action)
{
    trace_action(sim, node, action);
    switch (action->type) {
    case ACTION_CONNECT:
    case ACTION_CLOSE:
    case ACTION_SEND:
    case ACTION_DATAGRAM:
    case ACTION_RESOLVE:
        net_act(sim, node, action);
        break;
    case ACTION_LOAD:
    case ACTION_COMMIT:
    case ACTION_SCAN:
    case ACTION_ROOM:
        store_act(sim, node, action);
        break;
    case ACTION_REPLY:
        if (action->call == CALL_OF_CHANGE)
            break;
        clients_on_reply(sim, node, action->call, &action->result->result);
        break;
    case ACTION_READY:
        if (node->ready)
            sim_fail(sim, "node %u says twice that it is ready", node->index);
        node->ready = true;
        node->id = core_id(node->core);
        break;
    case ACTION_STOP:
        node->gone = action->status != 0 && strcmp(action->text, CORE_GONE_MESSAGE) == 0;
        if (sim->healed && !node->gone && action->status != 0 &&
            sim->now_us > sim->healed_us + SECOND)
            sim_fail(sim, "node %u ends by itself: %s", node->index, action->text);
        node->stop_asked = true;
        break;
    case ACTION_MEMBER:
    case ACTION_LOG:
        break;
    }
}

static void die(struct sim *sim, struct sim_node *node)
{
    bool power = node->crash_power;
    node->crash_after = 0;
    if (node->stop_asked)
        faults_start_later(sim, node); /* somebody starts it again */
    if (node->gone && node->stop_asked)
        node_replace(sim, node);
    else if (power)
        node_lose_power(sim, node);
    else
        node_kill(sim, node);
}

/* In order; a process that is to crash in this step does so behind its n-th action. Log lines do
 * not count: there are more of them when a seed is traced, and it must go the same way. */
static void act_all(struct sim *sim, struct sim_node *node, struct actions *out)
{
    struct action action;
    size_t done = 0, crash_after = node->crash_after;
    if (out->count - out->first > ACTIONS_MAX)
        sim_fail(sim, "node %u asks for %zu actions in one step", node->index, out->count);
    while (!node->stop_asked && (crash_after == 0 || done < crash_after) &&
           actions_take(out, &action)) {
        done += action.type != ACTION_LOG;
        act(sim, node, &action);
        action_free(&action);
    }
    actions_free(out);
    if (node->stop_asked || (crash_after != 0 && done > 0))
        die(sim, node);
}

static void watch_deadline(struct sim *sim, struct sim_node *node)
{
    uint64_t deadline = core_deadline(node->core);
    if (deadline == UINT64_MAX)
        return;
    uint64_t now = node_now(sim, node);
    int64_t left = deadline > now ? (int64_t)(deadline - now) : 0;
    if (node->drift_ppm != 0 && left < (int64_t)(3600 * SECOND))
        left = left * 1000000 / (1000000 + node->drift_ppm) + 1;
    uint64_t at = sim->now_us + (uint64_t)left;
    if (node->tick_at > sim->now_us && node->tick_at <= at)
        return;
    node->tick_at = max_u64(at, sim->now_us + 1);
    sim_at_node(sim, node->tick_at, tick, node)->a = node->tick_at;
}

/* ---- events ---- */

static void step(struct sim *sim, struct sim_node *node, struct core_event *event)
{
    struct actions out = {0};
    event->now_us = node_now(sim, node);
    event->wall_us = node_wall(sim, node);
    trace_event(sim, node, event);
    core_step(node->core, event, &out);
    check_step(sim, node);
    check_queues(sim, node);
    retired_step(sim, node);
    uint64_t life = node->life;
    act_all(sim, node, &out);
    if (node->state == NODE_UP && node->life == life)
        watch_deadline(sim, node);
}

static void free_event(struct core_event *event)
{
    blob_unref(&event->bytes);
    for (size_t i = 0; i < event->pair_count; i++) {
        free((void *)(uintptr_t)event->pairs[i].key.data);
        free((void *)(uintptr_t)event->pairs[i].value.data);
    }
    free((void *)(uintptr_t)event->pairs);
    event->pairs = NULL;
    event->pair_count = 0;
}

static void hold(struct sim_node *node, struct core_event *event)
{
    struct sim_event *held = base_alloc(sizeof *held);
    held->event = *event;
    *node->held_end = held;
    node->held_end = &held->next;
}

void node_deliver(struct sim *sim, struct sim_node *node, struct core_event *event)
{
    if (node->state == NODE_UP && node->paused) {
        hold(node, event);
    } else {
        if (node->state == NODE_UP)
            step(sim, node, event);
        free_event(event);
    }
    *event = (struct core_event){0};
}

void node_fire(struct sim *sim, struct sim_event *event)
{
    node_deliver(sim, &sim->nodes[event->who], &event->event);
}

void sim_event_free(struct sim_event *event)
{
    free_event(&event->event);
    action_free(&event->action);
    free(event);
}

static void tick(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->who];
    if (event->a != node->tick_at)
        return; /* an earlier one was set since */
    struct core_event tick_event = {.type = EVENT_TICK};
    node_deliver(sim, node, &tick_event);
}

bool node_answers(const struct sim_node *node)
{
    return node->state == NODE_UP && node->ready && !node->paused && !node->leaving &&
           !node->removed;
}

void node_call(struct sim *sim, struct sim_node *node, uint64_t call,
               const struct toystore_request *request)
{
    struct core_event event = {.type = EVENT_CALL, .call = call, .request = request};
    step(sim, node, &event);
}

void node_change(struct sim *sim, struct sim_node *node, const struct core_change *change)
{
    struct core_event event = {.type = EVENT_CHANGE, .call = CALL_OF_CHANGE, .change = change};
    step(sim, node, &event);
}

/* ---- life and death ---- */

/* The log is synced every second, as the real driver does. */
static void sync_log(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->who];
    disk_sync(&node->disk, node->disk.writes);
    sim_at_node(sim, sim->now_us + SECOND, sync_log, node);
}

void node_start(struct sim *sim, struct sim_node *node)
{
    assert(node->state != NODE_UP);
    node->state = NODE_UP;
    node->life++;
    node->paused = node->ready = node->stop_asked = node->leaving = false;
    node->started_us = sim->now_us;
    node->clock_base_us = sim_between(sim, STREAM_CLOCK, 1, 100 * SECOND);
    node->tick_at = 0;
    node->disk_free_at = sim->now_us;
    node->layout_seen = NULL;
    snprintf(node->config.boot_id, sizeof node->config.boot_id, "boot-%u-%llu", node->index,
             (unsigned long long)node->boots);
    node->config.random_seed = prng_next(&sim->streams[STREAM_CORE]);
    trace_say(sim, node, "starts, process %llu", (unsigned long long)node->life);
    node->core = core_new(&node->config);
    sim_at_node(sim, sim->now_us + SECOND, sync_log, node);
    struct actions out = {0};
    core_start(node->core, node_now(sim, node), node_wall(sim, node), &out);
    uint64_t life = node->life;
    act_all(sim, node, &out);
    if (node->state == NODE_UP && node->life == life)
        watch_deadline(sim, node);
}

static void drop_held(struct sim_node *node)
{
    while (node->held != NULL) {
        struct sim_event *held = node->held;
        node->held = held->next;
        sim_event_free(held);
    }
    node->held_end = &node->held;
}

static void end_process(struct sim *sim, struct sim_node *node, bool silent)
{
    node->state = NODE_DOWN;
    node->crash_after = 0;
    node->crash_power = false;
    drop_held(node);
    core_free(node->core);
    node->core = NULL;
    net_process_ended(sim, node, silent);
    clients_on_death(sim, node);
}

void node_kill(struct sim *sim, struct sim_node *node)
{
    if (node->state != NODE_UP)
        return;
    trace_say(sim, node, "is killed");
    end_process(sim, node, false);
}

/* Of the unsynced writes the first few survive: the log is torn at the end. */
void node_lose_power(struct sim *sim, struct sim_node *node)
{
    struct disk *disk = &node->disk;
    uint64_t kept = sim_between(sim, STREAM_DISK, disk->synced, disk->writes);
    if (sim_chance(sim, STREAM_DISK, 300))
        kept = disk->synced;
    trace_say(sim, node, "loses its power, and %llu writes",
              (unsigned long long)(disk->writes - kept));
    if (kept < disk->writes)
        node->forgot = true;
    disk_lose(disk, kept);
    node->boots++;
    if (node->state == NODE_UP)
        end_process(sim, node, true);
}

void node_replace(struct sim *sim, struct sim_node *node)
{
    node_kill(sim, node);
    trace_say(sim, node, "is set up anew");
    disk_wipe(&node->disk);
    node->state = NODE_NEW;
    node->removed = false;
    node->forgot = false;
    node->id = 0;
    node->config.seed_count = 0; /* the founder too: it is one of many now */
    for (unsigned i = 0; i < sim->node_count; i++)
        if (i != node->index)
            add_seed(&node->config, i);
    node->boots++;
}

void node_pause(struct sim *sim, struct sim_node *node)
{
    if (node->state != NODE_UP || node->paused)
        return;
    trace_say(sim, node, "is paused");
    node->paused = true;
}

void node_resume(struct sim *sim, struct sim_node *node)
{
    if (node->state != NODE_UP || !node->paused)
        return;
    trace_say(sim, node, "goes on");
    node->paused = false;
    node->resumed_us = sim->now_us;
    uint64_t life = node->life;
    while (node->held != NULL && node->life == life && node->state == NODE_UP && !node->paused) {
        struct sim_event *held = node->held;
        node->held = held->next;
        if (node->held == NULL)
            node->held_end = &node->held;
        node_deliver(sim, node, &held->event);
        sim_event_free(held);
    }
}

void node_free(struct sim_node *node)
{
    drop_held(node);
    if (node->core != NULL)
        core_free(node->core);
    node->core = NULL;
    disk_wipe(&node->disk);
}
