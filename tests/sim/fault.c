/* fault: breaks things one after the other while the safety phase lasts, and mends each after a
 * while; then mends everything for the liveness phase.
 *
 * Power is lost by, and records are damaged at, one member at a time (until it has recovered):
 * Nothing is promised of a majority's ordinary puts. Seeds with `total_loss` do it to all at
 * once, and check what durable puts promise. */
#include "sim/fault.h"

#include "rules/key.h"
#include "sim/client.h"
#include "sim/sim.h"

typedef void fault_fn(struct sim *sim);

const char *const fault_names[FAULT_COUNT] = {
#define F(constant, function, name) name,
    FAULTS(F)
#undef F
};

static uint64_t between(struct sim *sim, uint64_t low, uint64_t high)
{
    return sim_between(sim, STREAM_FAULT, low, high);
}

struct sim_node *fault_pick(struct sim *sim, enum node_state state)
{
    unsigned count = 0;
    for (unsigned i = 0; i < sim->node_count; i++)
        count += sim->nodes[i].state == state;
    if (count == 0)
        return NULL;
    uint64_t wanted = between(sim, 0, count - 1);
    for (unsigned i = 0; i < sim->node_count; i++)
        if (sim->nodes[i].state == state && wanted-- == 0)
            return &sim->nodes[i];
    return NULL;
}

static void start_again(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->who];
    if (node->state == NODE_DOWN || (node->state == NODE_NEW && sim->healed))
        node_start(sim, node);
}

void faults_start_later(struct sim *sim, struct sim_node *node)
{
    uint64_t pause = sim_chance(sim, STREAM_FAULT, 300) ? between(sim, 1 * MS, 50 * MS)
                                                        : between(sim, 50 * MS, 4 * SECOND);
    sim_at(sim, sim->now_us + pause, start_again)->who = node->index;
}

static void fault_kill(struct sim *sim)
{
    struct sim_node *node = fault_pick(sim, NODE_UP);
    if (node == NULL)
        return;
    node_kill(sim, node);
    faults_start_later(sim, node);
}

/* Asked to stop: it answers what is under way, marks its directory clean and ends. */
static void fault_leave(struct sim *sim)
{
    struct sim_node *node = fault_pick(sim, NODE_UP);
    if (node == NULL || node->paused)
        return;
    trace_say(sim, node, "is asked to stop");
    node->leaving = true;
    struct core_event event = {.type = EVENT_LEAVE};
    node_deliver(sim, node, &event);
}

/* Ends it behind the n-th action of its next step. */
static void fault_kill_midway(struct sim *sim)
{
    struct sim_node *node = fault_pick(sim, NODE_UP);
    if (node == NULL || node->paused)
        return;
    node->crash_after = between(sim, 1, 6);
    trace_say(sim, node, "will be killed behind %zu actions", node->crash_after);
    faults_start_later(sim, node);
}

static void fault_kill_all(struct sim *sim)
{
    for (unsigned i = 0; i < sim->node_count; i++)
        if (sim->nodes[i].state == NODE_UP) {
            node_kill(sim, &sim->nodes[i]);
            faults_start_later(sim, &sim->nodes[i]);
        }
}

/* Nobody else may have forgotten anything, and no partition may depend on this member alone. */
bool fault_may_forget(struct sim *sim, const struct sim_node *node)
{
    if (sim->reduced && check_settled(sim) == NULL)
        sim->reduced = false;
    if (sim->reduced)
        return false;
    for (unsigned i = 0; i < sim->node_count; i++) {
        struct sim_node *other = &sim->nodes[i];
        if (other->forgot && !check_forgetful(other))
            other->forgot = false;
        if (other->forgot && other != node)
            return false;
        if (other->storing && other->state == NODE_UP && !check_two_owners(other))
            return false;
    }
    return true;
}

static void fault_power(struct sim *sim)
{
    struct sim_node *node = fault_pick(sim, NODE_UP);
    if (node == NULL || !node->storing || !fault_may_forget(sim, node))
        return;
    node->forgot = true;
    node_lose_power(sim, node);
    faults_start_later(sim, node);
}

static void fault_power_all(struct sim *sim)
{
    files_on_loss(sim);
    for (unsigned i = 0; i < sim->node_count; i++)
        if (sim->nodes[i].state != NODE_NEW) {
            bool up = sim->nodes[i].state == NODE_UP;
            node_lose_power(sim, &sim->nodes[i]);
            if (up)
                faults_start_later(sim, &sim->nodes[i]);
        }
}

static void go_on(struct sim *sim, struct sim_event *event)
{
    node_resume(sim, &sim->nodes[event->who]);
}

static void fault_pause(struct sim *sim)
{
    struct sim_node *node = fault_pick(sim, NODE_UP);
    if (node == NULL)
        return;
    node_pause(sim, node);
    uint64_t pause = sim_chance(sim, STREAM_FAULT, 500)
                         ? between(sim, 10 * MS, 800 * MS)
                         : between(sim, SECOND, sim->plan.pause_max_us);
    sim_at_node(sim, sim->now_us + pause, go_on, node);
}

static void heal_net(struct sim *sim, struct sim_event *event)
{
    (void)event;
    trace_say(sim, NULL, "the network heals");
    net_heal(sim);
}

static void heal_later(struct sim *sim)
{
    sim_at(sim, sim->now_us + between(sim, 100 * MS, 4 * SECOND), heal_net);
}

static void fault_split(struct sim *sim)
{
    uint64_t side = between(sim, 1, (1u << sim->node_count) - 1);
    trace_say(sim, NULL, "the network splits: %llx", (unsigned long long)side);
    for (unsigned i = 0; i < sim->node_count; i++)
        for (unsigned j = 0; j < sim->node_count; j++)
            net_block(sim, i, j, (side >> i & 1) != (side >> j & 1));
    heal_later(sim);
}

/* Into a few parts, for long enough that puts are given up: often none has a majority of a key's
 * owners. The next one, if it comes before, shares them out anew. */
static void fault_shatter(struct sim *sim)
{
    unsigned part[NODES_MAX];
    trace_say(sim, NULL, "the network falls apart");
    for (unsigned i = 0; i < sim->node_count; i++)
        part[i] = (unsigned)between(sim, 0, 3);
    for (unsigned i = 0; i < sim->node_count; i++)
        for (unsigned j = 0; j < sim->node_count; j++)
            net_block(sim, i, j, part[i] != part[j]);
    sim_at(sim, sim->now_us + between(sim, SECOND, 8 * SECOND), heal_net);
}

static void fault_one_way(struct sim *sim)
{
    unsigned from = (unsigned)between(sim, 0, sim->node_count - 1);
    unsigned to = (unsigned)between(sim, 0, sim->node_count - 1);
    if (from == to)
        return;
    trace_say(sim, NULL, "nothing goes from %u to %u", from, to);
    net_block(sim, from, to, true);
    heal_later(sim);
}

static void fault_break(struct sim *sim)
{
    net_break_one(sim);
}

static void fault_clock(struct sim *sim)
{
    struct sim_node *node = fault_pick(sim, NODE_UP);
    if (node == NULL)
        return;
    node->skew_us = (int64_t)between(sim, 0, 1200 * SECOND) - (int64_t)(600 * SECOND);
    trace_say(sim, node, "its clock jumps to %+lld s", (long long)(node->skew_us / 1000000));
}

static void fault_full(struct sim *sim)
{
    struct sim_node *node = fault_pick(sim, NODE_UP);
    if (node == NULL)
        return;
    node->disk_full_until = sim->now_us + between(sim, 20 * MS, 2 * SECOND);
    trace_say(sim, node, "its disk is full for a while");
}

static void fault_damage(struct sim *sim)
{
    struct sim_node *node = fault_pick(sim, NODE_UP);
    if (node == NULL || !fault_may_forget(sim, node))
        return;
    size_t count = node->disk.spaces[TOYSTORE_RECORDS].count;
    if (count == 0)
        return;
    size_t at = between(sim, 0, count - 1);
    /* A layout that is being chosen has too few members here to lose what one of them accepted. */
    if (key_has_prefix(blob_slice(node->disk.spaces[TOYSTORE_RECORDS].pairs[at].key), KEY_LAYOUTS))
        return;
    trace_say(sim, node, "record %zu is damaged", at);
    disk_damage(&node->disk, TOYSTORE_RECORDS, at, between(sim, 0, 1000));
    node->forgot = true;
}

/* Every copy of a key, wherever one is: what it was is gone, and nothing else. */
static void fault_ruin(struct sim *sim)
{
    unsigned key = (unsigned)between(sim, 0, sim->plan.keys - 1);
    struct slice name = slice_str(client_key(key));
    for (unsigned i = 0; i < sim->node_count; i++) {
        struct disk *disk = &sim->nodes[i].disk;
        if (disk_get(disk, TOYSTORE_RECORDS, name) == NULL)
            continue;
        trace_say(sim, &sim->nodes[i], "%s is damaged, as everywhere", client_key(key));
        disk_damage(disk, TOYSTORE_RECORDS, disk_find(disk, TOYSTORE_RECORDS, name),
                    between(sim, 0, 1000));
        sim->nodes[i].forgot = true;
    }
    sim->clients->ruined[key] = true;
}

/* Somebody sets the date, for years to come or long past. */
static void fault_days(struct sim *sim)
{
    struct sim_node *node = fault_pick(sim, NODE_UP);
    if (node == NULL)
        return;
    int64_t hours = (int64_t)between(sim, 0, 24 * 800) - 24 * 400;
    node->skew_us = hours * 3600 * (int64_t)SECOND;
    trace_say(sim, node, "its clock jumps to %+lld h", (long long)hours);
}

/* Up to a twentieth too fast or too slow, as virtual machines can be for a while. */
static void fault_drift(struct sim *sim)
{
    struct sim_node *node = fault_pick(sim, NODE_UP);
    if (node == NULL)
        return;
    node_drift(sim, node, (int64_t)between(sim, 0, 100000) - 50000);
    trace_say(sim, node, "its clock drifts by %+lld ppm", (long long)node->drift_ppm);
}

static fault_fn *const faults[FAULT_COUNT] = {
#define F(constant, function, name) function,
    FAULTS(F)
#undef F
};

static void fault_next(struct sim *sim, struct sim_event *event);

static void fault_later(struct sim *sim)
{
    uint64_t pause = between(sim, 1, 2 * sim->plan.fault_every_us);
    sim_at(sim, sim->now_us + pause, fault_next);
}

static void fault_next(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (sim->healed)
        return;
    fault_later(sim);
    unsigned total = 0;
    for (unsigned i = 0; i < FAULT_COUNT; i++)
        total += sim->plan.weights[i];
    if (total == 0)
        return;
    uint64_t drawn = between(sim, 0, total - 1);
    for (unsigned i = 0; i < FAULT_COUNT; i++) {
        if (drawn < sim->plan.weights[i]) {
            faults[i](sim);
            return;
        }
        drawn -= sim->plan.weights[i];
    }
}

void faults_start(struct sim *sim)
{
    if (sim->plan.fault_every_us != 0)
        fault_later(sim);
}

void faults_heal(struct sim *sim)
{
    trace_say(sim, NULL, "everything is mended");
    sim->healed = true;
    sim->healed_us = sim->now_us;
    net_heal(sim);
    for (unsigned i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];
        node->disk_full_until = 0;
        node->crash_after = 0;
        if (node->state == NODE_UP)
            node_resume(sim, node);
        else
            node_start(sim, node);
    }
}
