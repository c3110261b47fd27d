/* check_rival: what a client was told of is chosen: no owner has a register with a higher ballot
 * that does not come after it, whether or not it is up (PROTOCOL 4 and 7). Such a rival shows to
 * clients only when its owner is back and the two meet, which a plan may never bring about. */
#include <stdio.h>

#include "core/view/view.h"
#include "rules/key.h"
#include "rules/version.h"
#include "sim/fault.h"
#include "sim/sim.h"
#include "wire/messages.h"

/* Of one node, from its disk; the register lives in the arena. */
struct copy {
    struct arena arena;
    struct record record;
};

static bool read_copy(const struct sim_node *node, struct slice key, struct copy *copy)
{
    struct entry entry;
    const struct blob *stored = disk_get(&node->disk, TOYSTORE_RECORDS, key);
    *copy = (struct copy){0};
    return stored != NULL && entry_decode(blob_slice(stored), &entry) == 0 &&
           entry.record.size != 0 &&
           record_decode(&copy->arena, entry.record, &copy->record) == 0 &&
           copy->record.has_register;
}

/* Does what it has count? It owns the key now, and has since it last took the partition. */
static bool counts(const struct core *core, const struct sim_node *node, uint32_t partition)
{
    const struct layout *newest = view_newest(core);
    const struct layout *before = view_layout(core, newest->number - 1);
    char name[32];
    uint32_t epoch;
    struct ballot promised;
    struct era held;
    bool mute;
    snprintf(name, sizeof name, "partition/%u", partition);
    const struct blob *noted = disk_get(&node->disk, TOYSTORE_META, slice_str(name));
    if (noted == NULL || node->forgot || node->removed || !layout_owns(newest, partition, node->id))
        return false;
    struct cursor cursor = cursor_of(blob_slice(noted));
    if (!wire_get_U32(&cursor, &epoch) || !wire_get_BALLOT(&cursor, &promised) ||
        !wire_get_BOOL(&cursor, &mute) || !wire_get_ERA(&cursor, &held) || mute)
        return false;
    return held.layout == newest->number || (before != NULL && held.layout == before->number &&
                                             layout_owns(before, partition, node->id));
}

static const struct core *best_informed(const struct sim *sim)
{
    const struct core *best = NULL;
    for (unsigned i = 0; i < sim->node_count; i++) {
        const struct sim_node *node = &sim->nodes[i];
        if (node->state == NODE_UP && view_newest(node->core) != NULL &&
            (best == NULL || view_newest(node->core)->number > view_newest(best)->number))
            best = node->core;
    }
    return best;
}

/* ---- where versions have stood ---- */

/* A version of a key: the highest ballot under which it was ever written, and its asker's time. */
struct stood {
    struct ballot ballot;
    uint64_t time_us;
};

static struct slice stood_name(struct buf *out, struct slice key, const struct op_id *op)
{
    struct toystore_op public = op_to_public(*op);
    buf_append(out, &public, sizeof public);
    buf_append(out, key.data, key.size);
    return buf_slice(out);
}

static void note_register(struct sim *sim, struct slice key, const struct reg *reg)
{
    struct buf out = {0};
    struct slice name = stood_name(&out, key, &reg->version.op);
    struct stood *stood = map_get(sim->stood, name);
    if (stood == NULL) {
        stood = base_alloc(sizeof *stood);
        map_put(sim->stood, name, stood);
    }
    stood->time_us = reg->version.time_us;
    if (ballot_compare(&reg->ballot, &stood->ballot) > 0)
        stood->ballot = reg->ballot;
    buf_free(&out);
}

void check_stood(struct sim *sim, const struct batch *batch)
{
    if (sim->stood == NULL)
        sim->stood = base_alloc(sizeof *sim->stood);
    for (size_t i = 0; i < batch->count && sim->plan.strict; i++) {
        const struct batch_write *write = &batch->writes[i];
        struct arena arena = {0};
        struct entry entry;
        struct record record;
        if (write->space == TOYSTORE_RECORDS && !write->remove &&
            !key_is_immutable(blob_slice(write->key)) &&
            entry_decode(blob_slice(write->value), &entry) == 0 && entry.record.size != 0 &&
            record_decode(&arena, entry.record, &record) == 0 && record.has_register)
            note_register(sim, blob_slice(write->key), &record.reg);
        arena_free(&arena);
    }
}

/* ---- what a client was told ---- */

/* A chain that began in a later era began after a collection, which nothing survives. */
static bool comes_after(const struct reg *reg, const struct op_id *op, const struct stood *told)
{
    return register_has(reg, op) || register_recent(reg, op) != NULL ||
           reg->floor >= told->time_us || era_compare(reg->born, told->ballot.era) > 0;
}

/* What comes after it counts for it: its own ballot may have lost, after a round built on it. */
static struct ballot highest(const struct sim *sim, struct slice key, const struct op_id *op,
                             const struct stood *told)
{
    struct ballot ballot = told->ballot;
    for (unsigned i = 0; i < sim->node_count; i++) {
        struct copy copy;
        if (read_copy(&sim->nodes[i], key, &copy) &&
            ballot_compare(&copy.record.reg.ballot, &ballot) > 0 &&
            comes_after(&copy.record.reg, op, told))
            ballot = copy.record.reg.ballot;
        arena_free(&copy.arena);
    }
    return ballot;
}

static bool is_rival(const struct sim_node *node, struct slice key, const struct op_id *op,
                     const struct stood *told, const struct ballot *above)
{
    struct copy copy;
    bool is = read_copy(node, key, &copy) && ballot_compare(&copy.record.reg.ballot, above) > 0 &&
              !comes_after(&copy.record.reg, op, told);
    arena_free(&copy.arena);
    return is;
}

void check_told(struct sim *sim, struct slice key, const struct toystore_op *op)
{
    const struct core *core = best_informed(sim);
    const struct plan *plan = &sim->plan;
    if (!plan->strict || plan->total_loss || plan->weights[FAULT_RUIN] != 0 || sim->reduced ||
        core == NULL)
        return; /* nothing is promised */
    struct op_id id = op_from_public(*op);
    struct buf out = {0};
    const struct stood *told = map_get(sim->stood, stood_name(&out, key, &id));
    buf_free(&out);
    if (told == NULL)
        return;
    struct ballot above = highest(sim, key, &id, told);
    uint32_t partition = view_partition_of(core, key);
    for (unsigned i = 0; i < sim->node_count; i++)
        if (is_rival(&sim->nodes[i], key, &id, told, &above) &&
            counts(core, &sim->nodes[i], partition))
            sim_fail(sim, "%.*s: a client was told of %02x/%llu, and node %u has a rival above it",
                     (int)key.size, (const char *)key.data, op->session[0],
                     (unsigned long long)op->sequence, i);
}
