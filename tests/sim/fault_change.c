/* fault_change: members come, leave, are removed, weigh something else, stand in another zone: what
 * makes the layouts of a cluster follow one another (PROTOCOL 7). */
#include <stdio.h>

#include "core/move/move.h"
#include "core/view/view.h"
#include "sim/fault.h"
#include "sim/sim.h"

static uint64_t between(struct sim *sim, uint64_t low, uint64_t high)
{
    return sim_between(sim, STREAM_FAULT, low, high);
}

static bool serves(const struct sim_node *node)
{
    return node_answers(node) && node->storing && view_newest(node->core) != NULL;
}

/* One of the storing members, any of them with the same chance; NULL: not one that serves. */
static struct sim_node *pick_storing(struct sim *sim)
{
    struct sim_node *node = &sim->nodes[between(sim, 0, sim->plan.storing + sim->plan.joining - 1)];
    return serves(node) && strcmp(move_place(node->core), "in") == 0 ? node : NULL;
}

/* Who has left or was removed comes back as another member, on an empty disk. */
void fault_join(struct sim *sim)
{
    for (unsigned i = 0; i < sim->node_count; i++)
        if (check_has_left(&sim->nodes[i]))
            node_replace(sim, &sim->nodes[i]);
    struct sim_node *node = fault_pick(sim, NODE_NEW);
    if (node != NULL)
        node_start(sim, node);
}

void fault_away(struct sim *sim)
{
    struct sim_node *node = pick_storing(sim);
    if (node == NULL)
        return;
    trace_say(sim, node, "is asked to leave the layout");
    struct core_change change = {.what = slice_str("leave")};
    node_change(sim, node, &change);
}

/* By another member: one that is up, or one that is down and never comes back. Such a loss is like
 * that of power: of one member at a time (fault.c). */
void fault_remove(struct sim *sim)
{
    char id[17];
    struct sim_node *asked = pick_storing(sim);
    struct sim_node *member =
        &sim->nodes[between(sim, 0, sim->plan.storing + sim->plan.joining - 1)];
    if (asked == NULL || member == asked || member->id == 0 || member->state == NODE_NEW)
        return;
    bool force = member->state == NODE_DOWN;
    if (force && !fault_may_forget(sim, member))
        return;
    snprintf(id, sizeof id, "%016llx", (unsigned long long)member->id);
    trace_say(sim, asked, "is told that %u is removed%s", member->index, force ? " for good" : "");
    sim->reduced = sim->reduced || force;
    member->removed = member->removed || force;
    struct core_change change = {
        .what = slice_str("remove"), .member = slice_str(id), .force = force};
    node_change(sim, asked, &change);
}

/* It is started anew with other options. */
void fault_weight(struct sim *sim)
{
    struct sim_node *node = pick_storing(sim);
    if (node == NULL)
        return;
    if (sim_chance(sim, STREAM_FAULT, 700))
        node->config.weight = (uint32_t)between(sim, 1, 8) * 50;
    else
        snprintf(node->config.zone, sizeof node->config.zone, "z%u", (unsigned)between(sim, 0, 2));
    node_kill(sim, node);
    trace_say(sim, node, "will weigh %u in zone \"%s\"", node->config.weight, node->config.zone);
    faults_start_later(sim, node);
}
