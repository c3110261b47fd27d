/* loop: events in the order of virtual time; also for tests that script what happens. */
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
    clients_free(sim);
    checks_free(sim->checks);
    sightings_free(sim->sightings);
    sightings_free(sim->covered);
    sightings_free(sim->stood);
    map_free(&sim->hinted);
    retired_free(sim->retired);
    mounts_free(sim->mounts);
}
