/* plan: what a seed draws before anything happens: the cluster, the network, the mix of faults. */
#include <stdio.h>

#include "sim/fault.h"
#include "sim/sim.h"

static uint64_t draw(struct sim *sim, uint64_t low, uint64_t high)
{
    return sim_between(sim, STREAM_PLAN, low, high);
}

static bool chance(struct sim *sim, unsigned thousandths)
{
    return sim_chance(sim, STREAM_PLAN, thousandths);
}

/* Mostly three copies with majorities; every promise needs r + q > n. */
static void draw_quorums(struct sim *sim, struct plan *plan)
{
    static const uint8_t shapes[][3] = {{3, 2, 2}, {3, 2, 2}, {3, 2, 2}, {3, 1, 2}, {3, 3, 1},
                                        {3, 1, 3}, {2, 2, 1}, {2, 1, 2}, {5, 3, 3}, {4, 2, 3},
                                        {3, 3, 3}, {1, 1, 1}, {3, 2, 3}};
    const uint8_t *shape = shapes[draw(sim, 0, ARRAY_COUNT(shapes) - 1)];
    plan->replicas = shape[0];
    plan->write_quorum = shape[1];
    plan->read_quorum = shape[2];
}

static void draw_network(struct sim *sim, struct plan *plan)
{
    plan->delay_low_us = 50;
    plan->delay_high_us = chance(sim, 600) ? 2 * MS : draw(sim, 5 * MS, 60 * MS);
    plan->spike_chance = chance(sim, 500) ? 0 : (unsigned)draw(sim, 1, 20);
    plan->drop_chance = chance(sim, 500) ? 0 : (unsigned)draw(sim, 1, 200);
    plan->double_chance = chance(sim, 500) ? 0 : (unsigned)draw(sim, 1, 100);
    plan->disk_slow_chance = chance(sim, 600) ? 0 : (unsigned)draw(sim, 1, 100);
}

static void draw_faults(struct sim *sim, struct plan *plan)
{
    plan->safety_us = draw(sim, 4, 16) * SECOND;
    plan->fault_every_us = chance(sim, 50) ? 0 : draw(sim, 40, chance(sim, 500) ? 300 : 2000) * MS;
    for (unsigned i = 0; i <= FAULT_JOIN; i++) /* the others are of flavours */
        plan->weights[i] = chance(sim, 450) ? (unsigned)draw(sim, 1, 10) : 0;
    plan->total_loss = chance(sim, 60);
    if (!plan->total_loss)
        plan->weights[FAULT_POWER_ALL] = 0;
    if (!chance(sim, 60))
        plan->weights[FAULT_RUIN] = 0;
}

/* Owners come one after the other while clients work and messages stall: layouts change under
 * puts that are under way. */
static void draw_moves(struct sim *sim, struct plan *plan)
{
    plan->storing = (unsigned)draw(sim, 1, 4);
    plan->joining = (unsigned)draw(sim, 2, 4);
    plan->keys = (unsigned)draw(sim, 1, 2);
    plan->partitions = 1u << draw(sim, 0, 1);
    plan->calls = (unsigned)draw(sim, 200, 900);
    plan->think_us = draw(sim, 0, 10) * MS;
    plan->fault_every_us = draw(sim, 40, 300) * MS;
    plan->weights[FAULT_JOIN] = (unsigned)draw(sim, 2, 6);
    plan->weights[FAULT_PAUSE] = (unsigned)draw(sim, 2, 10);
    plan->weights[FAULT_ONE_WAY] = (unsigned)draw(sim, 2, 10);
    plan->weights[FAULT_SPLIT] = (unsigned)draw(sim, 0, 6);
}

/* Majorities are often away: sloppy puts, hints, siblings. */
static void draw_splits(struct sim *sim, struct plan *plan)
{
    plan->strict = false;
    plan->storing = (unsigned)draw(sim, 3, 6);
    plan->joining = 0;
    plan->replicas = 3;
    plan->write_quorum = plan->read_quorum = 2;
    plan->keys = (unsigned)draw(sim, 1, 2);
    plan->calls = (unsigned)draw(sim, 200, 500);
    plan->think_us = draw(sim, 5, 40) * MS;
    plan->fault_every_us = draw(sim, 300, 900) * MS;
    plan->weights[FAULT_SPLIT] = 40;
    plan->weights[FAULT_PAUSE] = 10;
}

/* Keys that are mostly gone, and time for their tombstones to be collected. */
static void draw_deletes(struct sim *sim, struct plan *plan)
{
    plan->deletes = (unsigned)draw(sim, 20, 45);
    plan->keys = (unsigned)draw(sim, 1, 3);
    plan->clients = (unsigned)draw(sim, 2, 4);
    plan->think_us = draw(sim, 100, 900) * MS;
    plan->calls = (unsigned)draw(sim, 60, 250);
    plan->safety_us = draw(sim, 15, 40) * SECOND;
    plan->fault_every_us = chance(sim, 200) ? 0 : draw(sim, 500, 4000) * MS;
    plan->handoff_interval_ms = 200;
    if (chance(sim, 500))
        return;
    /* Collections meet puts that are under way. */
    plan->keys = 1;
    plan->partitions = 1;
    plan->clients = (unsigned)draw(sim, 3, CLIENTS_MAX);
    plan->think_us = draw(sim, 50, 400) * MS;
    plan->calls = (unsigned)draw(sim, 200, 600);
    plan->delay_low_us = 1 * MS;
    plan->delay_high_us = draw(sim, 5, 40) * MS;
    plan->spike_chance = (unsigned)draw(sim, 5, 40);
    plan->strict = true;
}

void plan_draw(struct sim *sim)
{
    struct plan *plan = &sim->plan;
    draw_quorums(sim, plan);
    plan->partitions = 1u << draw(sim, 0, 3);
    plan->storing = chance(sim, 500) ? plan->replicas : (unsigned)draw(sim, 1, 5);
    plan->joining = chance(sim, 500) ? 0 : (unsigned)draw(sim, 1, 2);
    plan->gateways = chance(sim, 250);
    plan->clients = (unsigned)draw(sim, 2, CLIENTS_MAX);
    plan->keys = (unsigned)(chance(sim, 500) ? draw(sim, 1, 2) : draw(sim, 1, KEYS_MAX));
    plan->calls = (unsigned)draw(sim, 60, 600);
    plan->strict = chance(sim, 700);
    plan->calm_start = chance(sim, 800);
    plan->think_us = draw(sim, 0, chance(sim, 700) ? 30 : 200) * MS;
    plan->probe_interval_ms = (uint32_t)draw(sim, 2, 10) * 100;
    plan->handoff_interval_ms = (uint32_t)draw(sim, 2, 10) * 100;
    draw_network(sim, plan);
    draw_faults(sim, plan);
    if (chance(sim, 250))
        draw_moves(sim, plan);
    else if (chance(sim, 150))
        draw_splits(sim, plan);
    plan->collect_min = chance(sim, 500) ? 1 : 0; /* drawn last: older seeds stay what they were */
    plan->deletes = 12;
    plan->blind = 450;
    if (plan->collect_min != 0 && chance(sim, 400))
        draw_deletes(sim, plan);
    if (retired_drawn(sim))
        retired_plan(sim);
    if (sim->retired != NULL && sim->seed % 32 == 11)
        mounts_new(sim);
    plan_flavour(sim);
    if (sim->sloppy)
        plan->strict = false;
}

void plan_print(const struct sim *sim)
{
    const struct plan *plan = &sim->plan;
    printf(
        "seed %llu, %s: N=%u W=%u R=%u Q=%u, %u storing + %u joining + %u gateways, %u clients on "
        "%u keys, %u calls, %s%s%s%s\n  delay to %llu us, spikes %u, faults every %llu ms:",
        (unsigned long long)sim->seed, flavour_names[plan->flavour], plan->replicas,
        plan->write_quorum, plan->read_quorum, plan->partitions, plan->storing, plan->joining,
        plan->gateways, plan->clients, plan->keys, plan->calls, plan->strict ? "strict" : "sloppy",
        plan->calm_start ? ", calm start" : "", plan->total_loss ? ", total loss" : "",
        plan->collect_min ? ", collects" : "", (unsigned long long)plan->delay_high_us,
        plan->spike_chance, (unsigned long long)(plan->fault_every_us / MS));
    for (unsigned i = 0; i < FAULT_COUNT; i++)
        if (plan->weights[i] != 0)
            printf(" %s*%u", fault_names[i], plan->weights[i]);
    putchar('\n');
}
