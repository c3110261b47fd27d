/* check_hint: no hint is dropped before its owner has it (DESIGN 9): when a keeper takes a hint off
 * its disk, what the record held that it was made with stands on the owner's disk, or something
 * that covers it; or who it was for is no owner any more. */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/hint_priv.h"
#include "core/version.h"
#include "core/view.h"
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

/* Of the sloppy puts that readers of the keeper's copy see: the first that the owner lacks. */
static const struct op_id *lacking(const struct record *kept, const struct record *theirs)
{
    for (size_t i = 0; i < kept->sloppy_count; i++)
        if (sloppy_visible(kept, i) && !has_op(theirs, &kept->sloppy[i].version.op))
            return &kept->sloppy[i].version.op;
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

static void check_dropped(struct sim *sim, const struct sim_node *keeper, node_id id,
                          struct slice key)
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
        op = lacking(&kept, &theirs);
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
        if (write->space == TOYSTORE_HINTS && write->remove &&
            hint_pair_key(blob_slice(write->key), &id, &key) &&
            disk_get(&node->disk, TOYSTORE_HINTS, blob_slice(write->key)) != NULL)
            check_dropped(sim, node, id, key);
    }
}
