/* run: one seed: a cluster stands up, works while things fail, is mended, and must then agree. */
#include "sim/client.h"
#include "sim/fault.h"
#include "sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void sim_fail(struct sim *sim, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sim->reason, sizeof sim->reason, format, arguments);
    va_end(arguments);
    longjmp(sim->failure, 1);
}

/* ---- events ---- */

struct sim_event *sim_at(struct sim *sim, uint64_t at_us, sim_fire_fn *fire)
{
    struct sim_event *event = base_alloc(sizeof *event);
    event->fire = fire;
    heap_set(&sim->queue, &event->node, at_us);
    return event;
}

struct sim_event *sim_at_node(struct sim *sim, uint64_t at_us, sim_fire_fn *fire,
                              const struct sim_node *node)
{
    struct sim_event *event = sim_at(sim, at_us, fire);
    event->who = node->index;
    event->life = node->life;
    return event;
}

uint64_t sim_between(struct sim *sim, enum stream stream, uint64_t low, uint64_t high)
{
    return low + prng_below(&sim->streams[stream], high - low + 1);
}

bool sim_chance(struct sim *sim, enum stream stream, unsigned thousandths)
{
    return thousandths != 0 && prng_chance(&sim->streams[stream], thousandths, 1000);
}

static void fire_next(struct sim *sim)
{
    struct sim_event *event = container_of(heap_first(&sim->queue), struct sim_event, node);
    heap_remove(&sim->queue, &event->node);
    sim->now_us = event->node.at;
    if (++sim->events > EVENTS_MAX)
        sim_fail(sim, "%u events and no end", EVENTS_MAX);
    const struct sim_node *node = &sim->nodes[event->who];
    bool gone = event->life != 0 && (node->life != event->life || node->state != NODE_UP);
    sim->current = event;
    if (!gone)
        event->fire(sim, event);
    sim->current = NULL;
    sim_event_free(event);
}

void sim_loop_until(struct sim *sim, uint64_t until_us)
{
    while (heap_first(&sim->queue) != NULL && heap_first(&sim->queue)->at <= until_us)
        fire_next(sim);
    sim->now_us = until_us;
}

/* ---- phases ---- */

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
    wait_for(sim, calls_open, 20 * SECOND, "after everything is mended");
    wait_for(sim, check_replicas, 120 * SECOND, "when all is quiet");
    clients_read_all(sim);
    wait_for(sim, calls_open, 20 * SECOND, "reads at the end");
    check_history(sim);
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
    for (unsigned i = 0; i < STREAM_COUNT; i++)
        prng_seed(&sim->streams[i], sim->seed * STREAM_COUNT + i);
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

void sim_free(struct sim *sim)
{
    for (unsigned i = 0; i < sim->node_count; i++)
        node_free(&sim->nodes[i]);
    while (heap_first(&sim->queue) != NULL) {
        struct sim_event *event = container_of(heap_first(&sim->queue), struct sim_event, node);
        heap_remove(&sim->queue, &event->node);
        sim_event_free(event);
    }
    if (sim->current != NULL)
        sim_event_free(sim->current);
    heap_free(&sim->queue);
    net_free(sim->net);
    clients_free(sim->clients);
    checks_free(sim->checks);
}
