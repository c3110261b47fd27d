/* retired: clients that sleep until their sessions are retired and then wake up, with what they had
 * on its way; and what must hold then (PROTOCOL 8 Retiring):
 *   - who says that a retirement is in force is right: F owners of every partition have noted it;
 *   - who has noted it accepts nothing new in its name: no leader's accept, no sloppy copy. What it
 *     judged before it had may still be on its way to a slow disk; operations on that key wait;
 *   - once it is in force no round is begun in its name anywhere. What was promised or accepted
 *     before may still be finished;
 *   - who takes a partition in a newer layout has noted by then what was in force before.
 * One seed in eight is of this kind; its plan is drawn apart, so that other seeds stay as they are.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/move/move_priv.h"
#include "core/retire/retire.h"
#include "core/retire/retire_priv.h"
#include "rules/key.h"
#include "sim/sim.h"

struct retired {
    struct prng prng;
    struct map in_force; /* session -> since when, plus one */
    struct map seen;     /* op id -> a disk was given it */
    struct map rounds;   /* key and ballot -> when it was first promised, plus one */
    struct map layouts;  /* number -> when it was first known, plus one */
    node_id ids[NODES_MAX];
    uint64_t lives[NODES_MAX], held_version[NODES_MAX];
    size_t counted[NODES_MAX]; /* of the sessions that this process says are in force */
};

static uint64_t between(struct sim *sim, uint64_t low, uint64_t high)
{
    return low + prng_below(&sim->retired->prng, high - low + 1);
}

static void *time_of(const struct sim *sim)
{
    return (void *)(uintptr_t)(sim->now_us + 1);
}

/* UINT64_MAX: never yet. */
static uint64_t when(const struct map *map, struct slice key)
{
    uintptr_t time = (uintptr_t)map_get(map, key);
    return time ? time - 1 : UINT64_MAX;
}

static struct slice session_slice(const struct session *session)
{
    return slice_of(session->bytes, SESSION_SIZE);
}

/* ---- the plan ---- */

bool retired_drawn(const struct sim *sim)
{
    return sim->seed % 8 == 3 && (sim->flavour == FLAVOUR_NONE || sim->flavour == FLAVOUR_DRAWN);
}

void retired_plan(struct sim *sim)
{
    struct plan *plan = &sim->plan;
    sim->retired = base_alloc(sizeof *sim->retired);
    prng_seed(&sim->retired->prng, ~sim->seed);
    plan->gateways = (unsigned)between(sim, 1, 2);
    plan->storing = (unsigned)between(sim, 1, 4);
    plan->joining = (unsigned)between(sim, 0, 3);
    plan->probe_interval_ms = (uint32_t)between(sim, 2, 5) * 10;
    plan->clients = (unsigned)between(sim, 2, 5);
    plan->think_us = between(sim, 5, 100) * MS;
    plan->calls = 900;
    plan->safety_us = between(sim, 12, 30) * SECOND;
    plan->calm_start = true;
    if (plan->fault_every_us != 0) /* the dead must be dead for long */
        plan->fault_every_us = between(sim, 400, 3000) * MS;
}

/* ---- the fault ---- */

static void fall_asleep(struct sim *sim, struct sim_event *event);

static void wake_up(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->who];
    node_resume(sim, node);
    sim_at(sim, sim->now_us + between(sim, 100 * MS, 4 * SECOND), fall_asleep)->who = node->index;
}

/* For as long as it takes to be found dead, and retired; or a little less, or more. */
static void fall_asleep(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->who];
    uint64_t probe_us = sim->plan.probe_interval_ms * MS;
    if (sim->healed)
        return;
    if (node->state != NODE_UP || node->paused) {
        sim_at(sim, sim->now_us + SECOND, fall_asleep)->who = node->index;
        return;
    }
    node_pause(sim, node);
    sim_at(sim, sim->now_us + between(sim, 62, 120) * probe_us, wake_up)->who = node->index;
}

void retired_start(struct sim *sim)
{
    for (unsigned i = 0; i < sim->node_count; i++)
        if (!sim->nodes[i].storing)
            sim_at(sim, sim->now_us + between(sim, 0, 3 * SECOND), fall_asleep)->who = i;
}

/* ---- who has noted it ---- */

static bool node_noted(struct sim *sim, node_id id, const struct session *session)
{
    for (unsigned i = 0; i < sim->node_count; i++) {
        const struct sim_node *node = &sim->nodes[i];
        if (sim->retired->ids[i] != id)
            continue;
        if (node->state == NODE_UP && core_id(node->core) == id)
            return retire_noted(node->core, session);
        return true; /* it is down: nobody can tell */
    }
    return true;
}

static void check_claim(struct sim *sim, const struct sim_node *node, const struct session *session)
{
    for (uint32_t p = 0; p < view_partition_count(node->core); p++) {
        struct electorate electorate;
        uint32_t noted = 0;
        view_electorate(node->core, p, 0, 0, &electorate);
        for (unsigned i = 0; i < electorate.member_count; i++)
            if (node_noted(sim, electorate.members[i], session))
                noted |= (uint32_t)1 << i;
        if (!electorate_has(&electorate, noted, QUORUM_MEET))
            sim_fail(sim, "node %u says that a retirement is in force: too few owners know of it",
                     node->index);
    }
}

static void note_claims(struct sim *sim, const struct sim_node *node)
{
    struct retired *retired = sim->retired;
    const struct retire *retire = node->core->retire;
    size_t *counted = &retired->counted[node->index];
    for (; *counted < retire->in_force; ++*counted) {
        const struct session *session = &retire->list[*counted];
        check_claim(sim, node, session);
        if (when(&retired->in_force, session_slice(session)) == UINT64_MAX)
            map_put(&retired->in_force, session_slice(session), time_of(sim));
    }
}

/* ---- who holds has learned it ---- */

static void check_holder(struct sim *sim, const struct sim_node *node, uint32_t layout)
{
    struct retired *retired = sim->retired;
    uint64_t known = when(&retired->layouts, slice_of(&layout, sizeof layout));
    MAP_EACH(entry, &retired->in_force)
    {
        struct session session;
        memcpy(session.bytes, entry->key, SESSION_SIZE);
        if ((uintptr_t)entry->value - 1 < known && !retire_noted(node->core, &session))
            sim_fail(sim, "node %u holds in layout %u, and has not noted who was retired before",
                     node->index, layout);
    }
}

static void note_holds(struct sim *sim, const struct sim_node *node)
{
    struct retired *retired = sim->retired;
    const struct layout *newest = view_newest(node->core);
    if (newest == NULL)
        return;
    struct slice number = slice_of(&newest->number, sizeof newest->number);
    if (when(&retired->layouts, number) == UINT64_MAX)
        map_put(&retired->layouts, number, time_of(sim));
    uint64_t version = node->core->move->version;
    if (!node->storing || version == retired->held_version[node->index])
        return;
    retired->held_version[node->index] = version;
    for (uint32_t p = 0; p < view_partition_count(node->core); p++)
        if (view_holds(node->core, p) && view_owner(node->core, p, core_id(node->core))) {
            check_holder(sim, node, newest->number);
            return;
        }
}

void retired_step(struct sim *sim, struct sim_node *node)
{
    struct retired *retired = sim->retired;
    if (retired == NULL || !node->core->started)
        return;
    if (retired->lives[node->index] != node->life) {
        retired->lives[node->index] = node->life;
        retired->ids[node->index] = core_id(node->core);
        retired->counted[node->index] = 0;
        retired->held_version[node->index] = 0;
    }
    note_claims(sim, node);
    note_holds(sim, node);
}

/* ---- what is written ---- */

static struct slice round_key(struct buf *out, struct slice key, struct ballot ballot)
{
    ballot.turn = 0;
    buf_append(out, &ballot.era, sizeof ballot.era);
    buf_append(out, &ballot.counter, sizeof ballot.counter);
    buf_append(out, &ballot.node, sizeof ballot.node);
    buf_append(out, key.data, key.size);
    return buf_slice(out);
}

/* The first time that any disk is given this op. False: it was before. */
static bool first_seen(struct sim *sim, const struct op_id *id)
{
    struct toystore_op op = op_to_public(*id);
    struct slice name = slice_of(&op, sizeof op);
    if (op.sequence == 0 || map_get(&sim->retired->seen, name) != NULL)
        return false;
    map_put(&sim->retired->seen, name, sim);
    return true;
}

static void check_new(struct sim *sim, const struct sim_node *node, const struct op_id *op,
                      const struct ballot *ballot, uint64_t begun_us)
{
    bool noted = retire_noted(node->core, &op->session);
    uint64_t since = when(&sim->retired->in_force, session_slice(&op->session));
    bool led = ballot != NULL && ballot->turn != 0;
    if (noted && (ballot == NULL || led))
        sim_fail(sim, "node %u %s an op of a session that it knows to be retired", node->index,
                 led ? "accepts as leader" : "keeps a sloppy copy of");
    if (ballot != NULL && !led && begun_us > since)
        sim_fail(sim, "node %u accepts an op of a session that was retired before its round began",
                 node->index);
}

static void write_record(struct sim *sim, const struct sim_node *node, struct slice key,
                         const struct entry *entry, const struct record *record)
{
    struct map *rounds = &sim->retired->rounds;
    struct buf name = {0};
    if (key_is_immutable(key))
        return; /* a chunk that comes late is named by nothing, and refused by nobody */
    if (record->has_register) {
        const struct ballot *ballot = &record->reg.ballot;
        uint64_t begun = when(rounds, round_key(&name, key, *ballot));
        if (first_seen(sim, &record->reg.version.op))
            check_new(sim, node, &record->reg.version.op, ballot,
                      begun == UINT64_MAX ? sim->now_us : begun);
        buf_free(&name);
    }
    for (size_t i = 0; i < record->sloppy_count; i++)
        if (first_seen(sim, &record->sloppy[i].version.op))
            check_new(sim, node, &record->sloppy[i].version.op, NULL, 0);
    struct slice promised = round_key(&name, key, entry->promised);
    if (!ballot_none(&entry->promised) && when(rounds, promised) == UINT64_MAX)
        map_put(rounds, promised, time_of(sim));
    buf_free(&name);
}

void retired_write(struct sim *sim, const struct sim_node *node, const struct batch *batch)
{
    for (size_t i = 0; sim->retired != NULL && i < batch->count; i++) {
        const struct batch_write *write = &batch->writes[i];
        struct arena arena = {0};
        struct entry entry;
        struct record record = {0};
        if (write->space == TOYSTORE_RECORDS && !write->remove &&
            entry_decode(blob_slice(write->value), &entry) == 0 &&
            (entry.record.size == 0 || record_decode(&arena, entry.record, &record) == 0))
            write_record(sim, node, blob_slice(write->key), &entry, &record);
        arena_free(&arena);
    }
}

void retired_free(struct retired *retired)
{
    if (retired == NULL)
        return;
    map_free(&retired->in_force);
    map_free(&retired->seen);
    map_free(&retired->rounds);
    map_free(&retired->layouts);
    free(retired);
}
