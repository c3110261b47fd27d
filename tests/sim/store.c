/* store: carries a core's loads, commits and scans out on a simulated disk, one after the other; a
 * durable commit is answered later than what follows it. */
#include "sim/sim.h"

#include <stdlib.h>

static void fsynced(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->who];
    disk_sync(&node->disk, event->a);
    node_deliver(sim, node, &event->event);
}

static void run_load(struct sim *sim, struct sim_node *node, struct action *action)
{
    struct core_event event = {.type = EVENT_LOADED, .resume = action->resume};
    struct blob *value = disk_get(&node->disk, action->space, blob_slice(action->key));
    event.status = value ? 0 : -ENOENT;
    event.bytes = blob_ref(value);
    node_deliver(sim, node, &event);
}

static void run_scan(struct sim *sim, struct sim_node *node, struct action *action)
{
    struct core_event event = {.type = EVENT_SCANNED, .resume = action->resume};
    const struct disk_space *space = &node->disk.spaces[action->space];
    size_t at = disk_find(&node->disk, action->space, blob_slice(action->key));
    struct slice end = blob_slice(action->end);
    size_t room = min_size(action->limit, space->count - at);
    struct scan_pair *pairs = base_alloc(room * sizeof *pairs + 1);
    size_t count = 0;
    for (; at < space->count; at++) {
        struct slice key = blob_slice(space->pairs[at].key);
        if (end.size != 0 && slice_compare(key, end) >= 0)
            break;
        if (count == action->limit) {
            event.more = true;
            break;
        }
        pairs[count].key = slice_of(base_copy(key.data, key.size), key.size);
        struct slice value = blob_slice(space->pairs[at].value);
        pairs[count++].value = slice_of(base_copy(value.data, value.size), value.size);
    }
    event.pairs = pairs;
    event.pair_count = count;
    node_deliver(sim, node, &event);
}

static uint64_t disk_time(struct sim *sim, uint64_t low_us, uint64_t high_us)
{
    return sim->plan.steady ? low_us : sim_between(sim, STREAM_DISK, low_us, high_us);
}

static void run_commit(struct sim *sim, struct sim_node *node, struct action *action)
{
    struct core_event event = {.type = EVENT_COMMITTED, .resume = action->resume};
    bool full = sim->now_us < node->disk_full_until;
    /* Of every other one the write is made, and its sync fails. */
    event.written = !full || (action->durable && sim->now_us % 2 == 0);
    if (full)
        event.status = event.written ? -EIO : -ENOSPC;
    if (event.written) {
        check_write(sim, &action->batch);
        check_hints(sim, node, &action->batch);
        check_covered(sim, node, &action->batch);
        check_stood(sim, &action->batch);
        disk_write(&node->disk, &action->batch);
    }
    if (action->durable && !full) {
        uint64_t at = sim->now_us + disk_time(sim, 300, 6 * MS);
        struct sim_event *later = sim_at_node(sim, at, fsynced, node);
        later->a = node->disk.writes;
        later->event = event;
        return;
    }
    uint64_t at = sim->now_us + disk_time(sim, 1, 30);
    sim_at_node(sim, at, node_fire, node)->event = event;
}

static void run_room(struct sim *sim, struct sim_node *node, struct action *action)
{
    struct core_event event = {
        .type = EVENT_ROOM, .resume = action->resume, .room_size = 1 << 30, .room_free = 1 << 29};
    node_deliver(sim, node, &event);
}

static void run(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->who];
    if (event->action.type == ACTION_LOAD)
        run_load(sim, node, &event->action);
    else if (event->action.type == ACTION_SCAN)
        run_scan(sim, node, &event->action);
    else if (event->action.type == ACTION_ROOM)
        run_room(sim, node, &event->action);
    else
        run_commit(sim, node, &event->action);
}

void store_act(struct sim *sim, struct sim_node *node, struct action *action)
{
    if (action->type == ACTION_COMMIT) { /* by what was known when it was made */
        check_rules(sim, node, &action->batch);
        retired_write(sim, node, &action->batch);
    }
    bool slow = !sim->healed && sim_chance(sim, STREAM_DISK, sim->plan.disk_slow_chance);
    uint64_t took = slow ? disk_time(sim, 2 * MS, 60 * MS) : disk_time(sim, 2, 60);
    node->disk_free_at = max_u64(node->disk_free_at, sim->now_us) + took;
    struct sim_event *event = sim_at_node(sim, node->disk_free_at, run, node);
    event->action = *action;
    *action = (struct action){.type = action->type};
}
