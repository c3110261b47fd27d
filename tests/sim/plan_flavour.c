/* plan_flavour: circumstances that must come together before some rule of PROTOCOL 9 matters, and
 * that chance alone seldom brings together. Laid over what plan.c has drawn, from a stream of their
 * own. */
#include "sim/fault.h"
#include "sim/sim.h"

const char *const flavour_names[FLAVOUR_COUNT] = {
#define F(constant, name) name,
    FLAVOURS(F)
#undef F
};

static uint64_t draw(struct sim *sim, uint64_t low, uint64_t high)
{
    return sim_between(sim, STREAM_FLAVOUR, low, high);
}

static bool chance(struct sim *sim, unsigned thousandths)
{
    return sim_chance(sim, STREAM_FLAVOUR, thousandths);
}

static void only_fault(struct plan *plan)
{
    for (unsigned i = 0; i < FAULT_COUNT; i++)
        plan->weights[i] = 0;
    plan->total_loss = false;
}

static void quorums(struct plan *plan, unsigned n, unsigned w, unsigned r)
{
    plan->replicas = n;
    plan->write_quorum = w;
    plan->read_quorum = r;
}

/* A few keys that many work on, in one partition: all that goes on goes on there. */
static void crowd(struct sim *sim, struct plan *plan)
{
    plan->keys = (unsigned)draw(sim, 1, 2);
    plan->partitions = 1;
    plan->clients = (unsigned)draw(sim, 3, CLIENTS_MAX);
    plan->calls = (unsigned)draw(sim, 200, 900);
    plan->think_us = draw(sim, 0, 15) * MS;
    plan->deletes = (unsigned)draw(sim, 5, 30);
}

/* Layouts follow one another. */
static void changes(struct sim *sim, struct plan *plan)
{
    static const uint8_t shapes[][3] = {{3, 2, 2}, {2, 1, 2}, {1, 1, 1}, {2, 2, 1},
                                        {3, 1, 2}, {3, 2, 2}, {4, 2, 3}, {5, 3, 3}};
    const uint8_t *shape = shapes[draw(sim, 0, ARRAY_COUNT(shapes) - 1)];
    quorums(plan, shape[0], shape[1], shape[2]);
    plan->storing = (unsigned)draw(sim, 1, 5);
    plan->joining = (unsigned)draw(sim, 1, 3);
    plan->zones = chance(sim, 300) ? (unsigned)draw(sim, 2, 3) : 0;
    plan->weighted = chance(sim, 500);
    plan->safety_us = draw(sim, 8, 20) * SECOND;
    plan->calls = (unsigned)draw(sim, 300, 1200);
    plan->fault_every_us = draw(sim, 100, 900) * MS;
    plan->weights[FAULT_AWAY] = (unsigned)draw(sim, 1, 8);
    plan->weights[FAULT_JOIN] = (unsigned)draw(sim, 3, 10);
    plan->weights[FAULT_WEIGHT] = (unsigned)draw(sim, 0, 8);
    plan->weights[FAULT_REMOVE] = (unsigned)draw(sim, 0, 4);
    plan->weights[FAULT_DAMAGE] = 0; /* nobody promises anything when it hits the one who stays */
}

/* Who is the first in reach changes again and again; connections stall in the middle of rounds. */
static void leaders(struct sim *sim, struct plan *plan)
{
    only_fault(plan);
    crowd(sim, plan);
    if (chance(sim, 600))
        quorums(plan, 3, 2, 2);
    else
        quorums(plan, 5, 3, 3);
    plan->storing = plan->replicas;
    plan->joining = 0;
    plan->strict = true;
    plan->fault_every_us = draw(sim, 30, 200) * MS;
    plan->weights[FAULT_ONE_WAY] = (unsigned)draw(sim, 2, 12);
    plan->weights[FAULT_PAUSE] = (unsigned)draw(sim, 2, 12);
    plan->weights[FAULT_BREAK] = (unsigned)draw(sim, 0, 8);
    plan->weights[FAULT_KILL] = (unsigned)draw(sim, 0, 3);
    plan->weights[FAULT_KILL_MIDWAY] = (unsigned)draw(sim, 0, 3);
    plan->weights[FAULT_SPLIT] = (unsigned)draw(sim, 0, 4);
    plan->pause_max_us = 3 * SECOND;
}

/* Machines lose power while newcomers take their partitions. */
static void dark(struct sim *sim, struct plan *plan)
{
    only_fault(plan);
    crowd(sim, plan);
    quorums(plan, 3, 2, 2);
    plan->storing = (unsigned)draw(sim, 2, 3);
    plan->joining = (unsigned)draw(sim, 2, 3);
    plan->weighted = chance(sim, 300);
    plan->disk_slow_chance = (unsigned)draw(sim, 20, 150);
    plan->fault_every_us = draw(sim, 50, 500) * MS;
    plan->weights[FAULT_JOIN] = (unsigned)draw(sim, 3, 8);
    plan->weights[FAULT_POWER] = (unsigned)draw(sim, 4, 12);
    plan->weights[FAULT_AWAY] = (unsigned)draw(sim, 0, 3);
    plan->weights[FAULT_ONE_WAY] = (unsigned)draw(sim, 0, 4);
    plan->weights[FAULT_PAUSE] = (unsigned)draw(sim, 0, 4);
}

/* Both sides of a split go on, and each side splits again. */
static void siblings(struct sim *sim, struct plan *plan)
{
    only_fault(plan);
    crowd(sim, plan);
    quorums(plan, 3, 2, 2);
    plan->strict = false;
    plan->storing = (unsigned)draw(sim, 5, 6);
    plan->joining = 0;
    plan->think_us = draw(sim, 5, 60) * MS;
    plan->calls = (unsigned)draw(sim, 200, 500);
    plan->fault_every_us = draw(sim, 200, 1200) * MS;
    plan->weights[FAULT_SPLIT] = 20;
    if (chance(sim, 500)) /* then each put goes on from what was read */
        plan->blind = (unsigned)draw(sim, 0, 100);
    plan->weights[FAULT_PAUSE] = (unsigned)draw(sim, 0, 8);
    plan->weights[FAULT_KILL] = (unsigned)draw(sim, 0, 8);
    plan->weights[FAULT_ONE_WAY] = (unsigned)draw(sim, 0, 8);
    plan->handoff_interval_ms = 200;
}

/* Keys that are mostly gone, tombstones that are collected, and owners that come and go. */
static void graves(struct sim *sim, struct plan *plan)
{
    only_fault(plan);
    crowd(sim, plan);
    quorums(plan, chance(sim, 700) ? 3 : 2, 2, chance(sim, 700) ? 2 : 1);
    if (plan->replicas == 3)
        plan->read_quorum = 2;
    plan->strict = chance(sim, 700);
    plan->collect_min = 1;
    plan->deletes = (unsigned)draw(sim, 20, 45);
    plan->storing = (unsigned)draw(sim, 2, 4);
    plan->joining = (unsigned)draw(sim, 0, 2);
    plan->weighted = chance(sim, 500);
    plan->think_us = draw(sim, 20, 500) * MS;
    plan->calls = (unsigned)draw(sim, 100, 500);
    plan->safety_us = draw(sim, 15, 40) * SECOND;
    plan->fault_every_us = draw(sim, 300, 3000) * MS;
    plan->handoff_interval_ms = 200;
    plan->weights[FAULT_WEIGHT] = (unsigned)draw(sim, 0, 6);
    plan->weights[FAULT_POWER] = (unsigned)draw(sim, 0, 6);
    plan->weights[FAULT_JOIN] = (unsigned)draw(sim, 0, 3);
    plan->weights[FAULT_AWAY] = (unsigned)draw(sim, 0, 2);
    plan->weights[FAULT_PAUSE] = (unsigned)draw(sim, 0, 6);
    plan->weights[FAULT_ONE_WAY] = (unsigned)draw(sim, 0, 6);
}

/* Short-lived sessions, and coordinators and clients that sleep through many of them. */
static void late(struct sim *sim, struct plan *plan)
{
    crowd(sim, plan);
    plan->keys = 1;
    plan->sessions = (unsigned)draw(sim, 1, 3);
    plan->again_max_us = draw(sim, 1, 20) * SECOND;
    plan->pause_max_us = draw(sim, 5, 60) * SECOND;
    plan->safety_us = draw(sim, 10, 40) * SECOND;
    plan->calls = (unsigned)draw(sim, 300, 1000);
    plan->think_us = draw(sim, 5, 100) * MS;
    plan->weights[FAULT_PAUSE] = (unsigned)draw(sim, 4, 12);
    plan->weights[FAULT_DAYS] = (unsigned)draw(sim, 0, 3);
    plan->weights[FAULT_DRIFT] = (unsigned)draw(sim, 0, 3);
}

static void files(struct sim *sim, struct plan *plan)
{
    plan->files = true;
    plan->zones = chance(sim, 300) ? (unsigned)draw(sim, 2, 3) : 0;
    plan->weighted = chance(sim, 300);
    plan->weights[FAULT_DAYS] = chance(sim, 200) ? 1 : 0;
    plan->weights[FAULT_DRIFT] = chance(sim, 200) ? 1 : 0;
    if (chance(sim, 300))
        changes(sim, plan);
}

/* The network falls apart again and again, and most that is put meanwhile is put sloppily. */
static void shattered(struct sim *sim, struct plan *plan)
{
    siblings(sim, plan);
    plan->weights[FAULT_SPLIT] = 0;
    plan->weights[FAULT_PAUSE] = (unsigned)draw(sim, 0, 2);
    plan->weights[FAULT_KILL] = (unsigned)draw(sim, 0, 2);
    plan->weights[FAULT_ONE_WAY] = (unsigned)draw(sim, 0, 4);
    plan->weights[FAULT_SHATTER] = 10;
    plan->think_us = draw(sim, 100, 600) * MS;
    plan->clients = CLIENTS_MAX;
    plan->safety_us = draw(sim, 15, 40) * SECOND;
    plan->fault_every_us = draw(sim, 1500, 4000) * MS;
}

/* W is less than a majority: what one member alone has of a sloppy put is all there is of it, since
 * those that asked for it end. */
static void thin(struct sim *sim, struct plan *plan)
{
    shattered(sim, plan);
    quorums(plan, 3, 1, chance(sim, 500) ? 2 : 3);
    plan->storing = 3;
    plan->gateways = (unsigned)draw(sim, 2, 3);
    plan->blind = (unsigned)draw(sim, 0, 100);
    plan->deletes = (unsigned)draw(sim, 0, 10);
    plan->weights[FAULT_KILL] = (unsigned)draw(sim, 4, 20);
    plan->handoff_interval_ms = (uint32_t)draw(sim, 2, 20) * 100;
}

/* Of several versions clients go on from the first alone, and the others stay. */
static void picks(struct sim *sim, struct plan *plan)
{
    shattered(sim, plan);
    plan->picks = 600;
    plan->gateways = (unsigned)draw(sim, 0, 2);
    plan->blind = (unsigned)draw(sim, 0, 300);
    plan->deletes = (unsigned)draw(sim, 0, 10);
    plan->handoff_interval_ms = (uint32_t)draw(sim, 2, 20) * 100;
}

/* Coordinators end in the middle of what they do, one after the other: each leaves an accept that
 * no quorum has. */
static void falter(struct sim *sim, struct plan *plan)
{
    leaders(sim, plan);
    plan->keys = 1;
    plan->deletes = (unsigned)draw(sim, 5, 40);
    plan->fault_every_us = draw(sim, 20, 200) * MS;
    plan->weights[FAULT_KILL_MIDWAY] = (unsigned)draw(sim, 10, 40);
}

/* Some messages take a hundred times as long as others: what was promised is long past when what
 * was promised for arrives. */
static void jitter(struct sim *sim, struct plan *plan)
{
    only_fault(plan);
    crowd(sim, plan);
    quorums(plan, 3, 2, 2);
    plan->keys = 1;
    plan->storing = 3;
    plan->joining = 0;
    plan->strict = true;
    plan->collect_min = 1;
    plan->deletes = (unsigned)draw(sim, 25, 45);
    plan->think_us = draw(sim, 5, 100) * MS;
    plan->safety_us = draw(sim, 10, 30) * SECOND;
    plan->delay_high_us = draw(sim, 1, 5) * MS;
    plan->spike_chance = (unsigned)draw(sim, 100, 400);
    plan->handoff_interval_ms = 200;
    plan->weights[FAULT_BREAK] = (unsigned)draw(sim, 0, 4);
    plan->weights[FAULT_PAUSE] = (unsigned)draw(sim, 0, 4);
    plan->pause_max_us = 1500 * MS;
    plan->fault_every_us = draw(sim, 200, 2000) * MS;
}

/* Owners are away for a moment, again and again, and miss some of many keys that are there or
 * gone. */
static void lags(struct sim *sim, struct plan *plan)
{
    leaders(sim, plan);
    plan->keys = KEYS_MAX;
    plan->clients = CLIENTS_MAX;
    plan->deletes = (unsigned)draw(sim, 25, 40);
    plan->delay_high_us = draw(sim, 5, 40) * MS;
    plan->fault_every_us = draw(sim, 200, 1200) * MS;
    plan->weights[FAULT_SPLIT] = (unsigned)draw(sim, 2, 8);
    plan->handoff_interval_ms = (uint32_t)draw(sim, 5, 20) * 100;
}

typedef void flavour_fn(struct sim *sim, struct plan *plan);

void plan_flavour(struct sim *sim)
{
    static flavour_fn *const lay[FLAVOUR_COUNT] = {
        [FLAVOUR_CHANGES] = changes,   [FLAVOUR_LEADERS] = leaders, [FLAVOUR_DARK] = dark,
        [FLAVOUR_SIBLINGS] = siblings, [FLAVOUR_GRAVES] = graves,   [FLAVOUR_LATE] = late,
        [FLAVOUR_FILES] = files,       [FLAVOUR_THIN] = thin,       [FLAVOUR_JITTER] = jitter,
        [FLAVOUR_LAGS] = lags,         [FLAVOUR_PICKS] = picks,     [FLAVOUR_FALTER] = falter};
    struct plan *plan = &sim->plan;
    plan->pause_max_us = 8 * SECOND;
    plan->again_max_us = 300 * MS;
    bool none = chance(sim, 400);
    enum flavour drawn = (enum flavour)draw(sim, 1, FLAVOUR_COUNT - 1);
    plan->flavour = sim->flavour != FLAVOUR_DRAWN ? sim->flavour : none ? FLAVOUR_NONE : drawn;
    if (sim->retired != NULL) /* a plan that is about something already */
        plan->flavour = FLAVOUR_NONE;
    if (lay[plan->flavour] != NULL)
        lay[plan->flavour](sim, plan);
}
