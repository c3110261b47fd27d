/* run: one seed: a cluster stands up, works while things fail, is mended, and must then agree. */
#include "sim/client.h"
#include "sim/fault.h"
#include "sim/sim.h"

static void cluster_new(struct sim *sim)
{
    const struct plan *plan = &sim->plan;
    sim->node_count = plan->storing + plan->joining + plan->gateways;
    for (unsigned i = 0; i < sim->node_count; i++)
        node_init(sim, i, i < plan->storing + plan->joining, 0);
    for (unsigned i = 0; i < sim->node_count; i++)
        if (i < plan->storing || i >= plan->storing + plan->joining)
            node_start(sim, &sim->nodes[i]);
}

/* Waits for a condition that must come; the last words say what it waited for. */
static void wait_for(struct sim *sim, const char *(*missing)(struct sim *), uint64_t limit_us,
                     const char *what)
{
    uint64_t end = sim->now_us + limit_us;
    const char *words;
    while ((words = missing(sim)) != NULL) {
        if (sim->now_us >= end)
            sim_fail(sim, "%s: %s", what, words);
        sim_loop_until(sim, sim->now_us + 50 * MS);
        clients_check_deadlines(sim);
    }
}

static const char *calls_open(struct sim *sim)
{
    return clients_open(sim) != 0 ? "calls are not answered" : NULL;
}

static void safety_phase(struct sim *sim)
{
    faults_start(sim);
    if (sim->retired != NULL)
        retired_start(sim);
    clients_start(sim);
    uint64_t end = sim->now_us + sim->plan.safety_us;
    while (sim->now_us < end) {
        sim_loop_until(sim, sim->now_us + 200 * MS);
        clients_check_deadlines(sim);
        if (sim->clients->asked >= sim->plan.calls && clients_open(sim) == 0)
            break;
    }
}

static void liveness_phase(struct sim *sim)
{
    clients_stop(sim);
    faults_heal(sim);
    wait_for(sim, check_settled, 120 * SECOND, "after everything is mended");
    wait_for(sim, calls_open, 20 * SECOND + sim->plan.again_max_us, "after everything is mended");
    wait_for(sim, check_replicas, 120 * SECOND, "when all is quiet");
    if (sim->mounts != NULL) {
        wait_for(sim, mounts_unswept, 600 * SECOND, "when all is quiet");
        wait_for(sim, mounts_unrepaired, 600 * SECOND, "after a repair");
        wait_for(sim, check_replicas, 120 * SECOND, "when all is swept");
    }
    check_trees(sim);
    clients_read_all(sim);
    wait_for(sim, calls_open, 20 * SECOND, "reads at the end");
    check_history(sim);
    wait_for(sim, check_queues_empty, 60 * SECOND, "when all is quiet");
}

static void phases(struct sim *sim)
{
    cluster_new(sim);
    if (sim->plan.calm_start) {
        wait_for(sim, check_settled, 120 * SECOND, "before anything fails");
        trace_say(sim, NULL, "the cluster stands");
    }
    safety_phase(sim);
    liveness_phase(sim);
}

bool sim_run(struct sim *sim)
{
    for (unsigned i = 0; i < STREAM_SEEDED; i++)
        prng_seed(&sim->streams[i], sim->seed * STREAM_SEEDED + i);
    for (unsigned i = STREAM_SEEDED; i < STREAM_COUNT; i++)
        prng_seed(&sim->streams[i], ~sim->seed * STREAM_COUNT + i);
    plan_draw(sim);
    if (sim->print)
        plan_print(sim);
    sim->now_us = SECOND;
    sim->net = net_new();
    sim->clients = clients_new(sim);
    sim->checks = checks_new();
    if (setjmp(sim->failure) != 0)
        return false;
    phases(sim);
    return true;
}
