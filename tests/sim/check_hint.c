/* check_hint: no hint is dropped before its owner has it: when a keeper takes a hint off
 * its disk, what the record held that it was made with stands on the owner's disk, or something
 * that covers it; or who it was for is no owner any more. */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/replica/hint_priv.h"
#include "core/view/view.h"
#include "rules/version.h"
#include "wire/record.h"

static bool read_record(struct arena *arena, const struct disk *disk, struct slice key,
                        struct record *ret)
{
    struct entry entry;
    const struct blob *stored = disk_get(disk, TOYSTORE_RECORDS, key);
    *ret = (struct record){0};
    if (stored == NULL)
        return true;
    if (entry_decode(blob_slice(stored), &entry) != 0)
        return false; /* damaged: somebody else's business */
    return entry.record.size == 0 || record_decode(arena, entry.record, ret) == 0;
}

static bool has_op(const struct record *record, const struct op_id *op)
{
    if (record->has_register && register_has(&record->reg, op))
        return true;
    for (size_t i = 0; i < record->sloppy_count; i++)
        if (op_id_equal(&record->sloppy[i].version.op, op) ||
            version_covers(&record->sloppy[i].version, op))
            return true;
    return false;
}

/* ---- what a hint was made with ---- */

/* A sloppy put, a keeper, and the owner that the keeper has a hint for. */
static struct slice hinted_name(struct buf *out, const struct sim_node *keeper, struct slice pair,
                                const struct op_id *op)
{
    struct toystore_op id = op_to_public(*op);
    buf_append(out, &keeper->index, sizeof keeper->index);
    buf_append(out, &id, sizeof id);
    buf_append(out, pair.data, pair.size);
    return buf_slice(out);
}

static void note_hint(struct sim *sim, const struct sim_node *keeper, struct slice pair,
                      const struct record *record)
{
    for (size_t i = 0; i < record->sloppy_count; i++) {
        struct buf name = {0};
        map_put(&sim->hinted, hinted_name(&name, keeper, pair, &record->sloppy[i].version.op), sim);
        buf_free(&name);
    }
}

/* The record that is written in the same batch. */
static void note_made(struct sim *sim, const struct sim_node *keeper, const struct batch *batch,
                      struct slice pair, struct slice key)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct batch_write *write = &batch->writes[i];
        struct arena arena = {0};
        struct record record;
        struct entry entry;
        if (write->space != TOYSTORE_RECORDS || write->remove ||
            !slice_equal(blob_slice(write->key), key))
            continue;
        if (entry_decode(blob_slice(write->value), &entry) == 0 && entry.record.size != 0 &&
            record_decode(&arena, entry.record, &record) == 0)
            note_hint(sim, keeper, pair, &record);
        arena_free(&arena);
    }
}

static bool was_hinted(const struct sim *sim, const struct sim_node *keeper, struct slice pair,
                       const struct op_id *op)
{
    struct buf name = {0};
    bool found = map_get(&sim->hinted, hinted_name(&name, keeper, pair, op)) != NULL;
    buf_free(&name);
    return found;
}

/* ---- what is dropped ---- */

/* Of the sloppy puts that readers of the keeper's copy see, and that there was this hint for: the
 * first that the owner lacks. Others in the same record are of puts that had hints for others. */
static const struct op_id *lacking(const struct sim *sim, const struct sim_node *keeper,
                                   struct slice pair, const struct record *kept,
                                   const struct record *theirs)
{
    for (size_t i = 0; i < kept->sloppy_count; i++) {
        const struct op_id *op = &kept->sloppy[i].version.op;
        if (sloppy_visible(kept, i) && was_hinted(sim, keeper, pair, op) && !has_op(theirs, op))
            return op;
    }
    return NULL;
}

static struct sim_node *member(struct sim *sim, node_id id)
{
    for (unsigned i = 0; i < sim->node_count; i++)
        if (sim->nodes[i].id == id)
            return &sim->nodes[i];
    return NULL;
}

/* Unsynced writes may go, and damage may take a copy, after the owner has acknowledged it. */
static bool tells_nothing(const struct sim *sim)
{
    for (unsigned i = 0; i < sim->node_count; i++)
        if (sim->nodes[i].boots != 0 || sim->nodes[i].forgot)
            return true;
    return sim->plan.total_loss;
}

static void check_dropped(struct sim *sim, const struct sim_node *keeper, struct slice pair,
                          node_id id, struct slice key)
{
    struct arena arena = {0};
    struct record kept, theirs;
    const struct sim_node *owner = member(sim, id);
    if (owner == NULL || keeper->core == NULL || tells_nothing(sim) ||
        !view_owner(keeper->core, view_partition_of(keeper->core, key), id) ||
        view_owner(keeper->core, view_partition_of(keeper->core, key), core_id(keeper->core)))
        return; /* owners compare their copies besides */
    const struct op_id *op = NULL;
    if (read_record(&arena, &keeper->disk, key, &kept) &&
        read_record(&arena, &owner->disk, key, &theirs))
        op = lacking(sim, keeper, pair, &kept, &theirs);
    if (op != NULL) {
        struct op_id lost = *op;
        arena_free(&arena);
        sim_fail(sim, "node %u drops a hint of %.*s for %u, which lacks op %02x/%llu",
                 keeper->index, (int)key.size, (const char *)key.data, owner->index,
                 lost.session.bytes[0], (unsigned long long)lost.sequence);
    }
    arena_free(&arena);
}

void check_hints(struct sim *sim, const struct sim_node *node, const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct batch_write *write = &batch->writes[i];
        node_id id;
        struct slice key;
        struct slice pair = blob_slice(write->key);
        if (write->space != TOYSTORE_HINTS || !hint_pair_key(pair, &id, &key))
            continue;
        if (!write->remove)
            note_made(sim, node, batch, pair, key);
        else if (disk_get(&node->disk, TOYSTORE_HINTS, pair) != NULL)
            check_dropped(sim, node, pair, id, key);
    }
}
