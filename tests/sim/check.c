/* check: what must hold at every step, and when all is quiet. These look into the cores and onto
 * the disks, as no client can. */
#include <stdio.h>
#include <stdlib.h>

#include "core/coord/coord.h"
#include "core/move/move.h"
#include "core/replica/hint.h"
#include "core/replica/tree.h"
#include "core/view/view.h"
#include "sim/client.h"
#include "sim/sim.h"
#include "wire/record.h"

/* What every layout number has meant so far. */
struct checks {
    struct map layouts;   /* number -> blob */
    struct map registers; /* toystore_op that some disk has had in a register */
    struct map siblings;  /* toystore_op that some disk has had as a sloppy put */
    struct map versions;  /* toystore_op -> what it has put, plus one */
    struct map sloppy;    /* keys of which some disk has had a sloppy put */
    char words[300];
};

struct checks *checks_new(void)
{
    return base_alloc(sizeof(struct checks));
}

void checks_free(struct checks *checks)
{
    MAP_EACH(entry, &checks->layouts)
    {
        struct blob *blob = entry->value;
        blob_unref(&blob);
    }
    map_free(&checks->layouts);
    map_free(&checks->sloppy);
    map_free(&checks->registers);
    map_free(&checks->siblings);
    map_free(&checks->versions);
    free(checks);
}

/* ---- what was written ---- */

static void note_op(struct sim *sim, struct map *ops, const struct op_id *id)
{
    struct toystore_op op = op_to_public(*id);
    map_put(ops, slice_of(&op, sizeof op), sim);
}

/* One op id, one operation: what it has put is the same wherever it stands. */
static void check_version(struct sim *sim, const struct version *version)
{
    uintptr_t put = version->kind == TOYSTORE_TOMBSTONE ? 1 : 2;
    if (version->kind == TOYSTORE_FILE && version->value.size >= sizeof put)
        memcpy(&put, version->value.data, sizeof put);
    put = put << 2 | (uintptr_t)(version->kind == TOYSTORE_TOMBSTONE) << 1 | 1;
    struct toystore_op op = op_to_public(version->op);
    struct slice name = slice_of(&op, sizeof op);
    uintptr_t before = (uintptr_t)map_get(&sim->checks->versions, name);
    if (before == 0)
        map_put(&sim->checks->versions, name, (void *)put);
    else if (before != put)
        sim_fail(sim, "op %02x/%llu stands for two operations", op.session[0],
                 (unsigned long long)op.sequence);
}

/* Covers are exact: what a version claims to have replaced has stood somewhere. */
static void check_covers(struct sim *sim, const struct version *version)
{
    for (size_t i = 0; i < version->cover_count; i++) {
        struct op_id id = {version->covers[i].session, version->covers[i].sequence};
        struct toystore_op op = op_to_public(id);
        if (map_get(&sim->checks->versions, slice_of(&op, sizeof op)) == NULL)
            sim_fail(sim, "op %02x/%llu covers %02x/%llu, which nobody has seen",
                     version->op.session.bytes[0], (unsigned long long)version->op.sequence,
                     op.session[0], (unsigned long long)op.sequence);
    }
}

static void note_record(struct sim *sim, struct slice key, const struct record *record)
{
    if (record->has_register && record->reg.version.op.sequence != 0)
        check_version(sim, &record->reg.version);
    for (size_t i = 0; i < record->sloppy_count; i++)
        check_version(sim, &record->sloppy[i].version);
    if (record->has_register)
        check_covers(sim, &record->reg.version);
    for (size_t i = 0; i < record->sloppy_count; i++)
        check_covers(sim, &record->sloppy[i].version);
    if (sim->plan.strict)
        return;
    if (record->has_register)
        note_op(sim, &sim->checks->registers, &record->reg.version.op);
    for (size_t i = 0; i < record->sloppy_count; i++)
        note_op(sim, &sim->checks->siblings, &record->sloppy[i].version.op);
    if (record->sloppy_count != 0)
        map_put(&sim->checks->sloppy, key, sim);
}

void check_write(struct sim *sim, const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct batch_write *write = &batch->writes[i];
        struct arena arena = {0};
        struct entry entry;
        struct record record;
        if (write->space == TOYSTORE_RECORDS && !write->remove &&
            entry_decode(blob_slice(write->value), &entry) == 0 && entry.record.size != 0 &&
            record_decode(&arena, entry.record, &record) == 0)
            note_record(sim, blob_slice(write->key), &record);
        arena_free(&arena);
    }
}

bool check_was_register(const struct sim *sim, const struct toystore_op *op)
{
    return map_get(&sim->checks->registers, slice_of(op, sizeof *op)) != NULL;
}

bool check_was_sibling(const struct sim *sim, const struct toystore_op *op)
{
    return map_get(&sim->checks->siblings, slice_of(op, sizeof *op)) != NULL;
}

bool check_went_sloppy(const struct sim *sim, struct slice key)
{
    return map_get(&sim->checks->sloppy, key) != NULL;
}

/* ---- at every step ---- */

/* Who is gone for good is heard of at different times. */
static void encode_chosen(struct buf *bytes, const struct layout *layout)
{
    struct layout chosen = *layout;
    size_t size = layout->member_count * sizeof *chosen.members;
    chosen.members = base_copy(layout->members, size);
    for (size_t i = 0; i < layout->member_count; i++)
        chosen.members[i].gone = false;
    layout_encode(bytes, &chosen);
    free(chosen.members);
}

/* One layout number: one list of members and one ring. */
static void check_layout(struct sim *sim, const struct sim_node *node, const struct layout *layout)
{
    struct buf bytes = {0};
    encode_chosen(&bytes, layout);
    buf_append(&bytes, layout->owners,
               layout->partitions * layout_owner_count(layout) * sizeof *layout->owners);
    struct slice number = slice_of(&layout->number, sizeof layout->number);
    struct blob *known = map_get(&sim->checks->layouts, number);
    bool equal = known == NULL || slice_equal(blob_slice(known), buf_slice(&bytes));
    if (known == NULL)
        map_put(&sim->checks->layouts, number, buf_take(&bytes));
    buf_free(&bytes);
    if (!equal)
        sim_fail(sim, "node %u has another layout %u than others", node->index, layout->number);
}

void check_step(struct sim *sim, struct sim_node *node)
{
    const struct layout *newest = view_newest(node->core);
    if (newest == NULL || newest == node->layout_seen)
        return;
    node->layout_seen = newest;
    check_layout(sim, node, newest);
    if (view_oldest(node->core) != NULL)
        check_layout(sim, node, view_oldest(node->core));
}

/* ---- what a node has ---- */

static bool owns(const struct sim_node *node, uint32_t partition)
{
    return view_owner(node->core, partition, core_id(node->core));
}

/* A damaged record that nobody has read yet is as gone as one that was found. */
static bool has_damage(const struct disk *disk)
{
    const struct disk_space *records = &disk->spaces[TOYSTORE_RECORDS];
    for (size_t i = 0; i < records->count; i++) {
        struct entry entry;
        if (entry_decode(blob_slice(records->pairs[i].value), &entry) != 0)
            return true;
    }
    return false;
}

bool check_forgetful(struct sim_node *node)
{
    if (has_damage(&node->disk))
        return true;
    if (node->state != NODE_UP || !node->ready || view_newest(node->core) == NULL)
        return true;
    for (uint32_t p = 0; p < view_partition_count(node->core); p++) {
        const struct partition *partition = view_partition(node->core, p);
        if (owns(node, p) && (partition->mute || !view_holds(node->core, p)))
            return true;
    }
    return false;
}

bool check_two_owners(const struct sim_node *node)
{
    const struct layout *oldest = view_oldest(node->core);
    return oldest != NULL && layout_owner_count(oldest) >= 2;
}

/* ---- once quiet ---- */

static const char *say(struct sim *sim, const char *what, unsigned node, unsigned number)
{
    snprintf(sim->checks->words, sizeof sim->checks->words, "%s: node %u, %u", what, node, number);
    return sim->checks->words;
}

bool check_has_left(const struct sim_node *node)
{
    if (node->state != NODE_UP || !node->storing || !node->ready || view_newest(node->core) == NULL)
        return false;
    const char *place = move_place(node->core);
    return strcmp(place, "left") == 0 || strcmp(place, "removed") == 0;
}

static const char *node_unsettled(struct sim *sim, struct sim_node *node, uint32_t *number)
{
    const struct layout *newest = view_newest(node->core), *oldest = view_oldest(node->core);
    if (!node->ready || newest == NULL)
        return say(sim, "not ready", node->index, 0);
    if (!node->storing) /* hears of a newer view when it asks */
        return NULL;
    if (oldest->number != newest->number)
        return say(sim, "two layouts are live", node->index, newest->number);
    if (*number == 0)
        *number = newest->number;
    if (newest->number != *number)
        return say(sim, "another layout", node->index, newest->number);
    if (check_has_left(node))
        return NULL;
    /* Of members that are asked at the same time the last one stays until another one comes. */
    if (strcmp(move_place(node->core), "leaving") == 0 && newest->member_count > 1)
        return say(sim, "leaves", node->index, newest->number);
    if (layout_find(newest, core_id(node->core)) == NULL)
        return say(sim, "not in the layout", node->index, newest->number);
    for (uint32_t p = 0; p < view_partition_count(node->core); p++) {
        const struct partition *partition = view_partition(node->core, p);
        if (owns(node, p) && partition->mute)
            return say(sim, "mute", node->index, p);
        if (owns(node, p) && !view_holds(node->core, p))
            return say(sim, "does not hold", node->index, p);
    }
    return NULL;
}

const char *check_settled(struct sim *sim)
{
    uint32_t number = 0;
    for (unsigned i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];
        if (node->state == NODE_NEW && !sim->healed)
            continue;
        if (node->state != NODE_UP || node->leaving)
            return say(sim, "down", i, 0);
        const char *words = node_unsettled(sim, node, &number);
        if (words != NULL)
            return words;
    }
    return NULL;
}

/* The record part of what a node keeps for a key; empty: none. */
static struct slice record_on(const struct sim_node *node, struct slice key)
{
    struct entry entry;
    const struct blob *stored = disk_get(&node->disk, TOYSTORE_RECORDS, key);
    if (stored == NULL || entry_decode(blob_slice(stored), &entry) != 0)
        return slice_of(NULL, 0);
    return entry.record;
}

static bool damaged_on(const struct sim_node *node, struct slice key)
{
    struct entry entry;
    const struct blob *stored = disk_get(&node->disk, TOYSTORE_RECORDS, key);
    return stored != NULL && entry_decode(blob_slice(stored), &entry) != 0;
}

static void print_owner(const struct sim_node *node, struct slice key)
{
    const struct blob *stored = disk_get(&node->disk, TOYSTORE_RECORDS, key);
    printf("  node %u:", node->index);
    if (stored != NULL)
        trace_record(blob_slice(stored));
    putchar('\n');
}

static void print_owners(struct sim *sim, struct slice key)
{
    printf("owners of %.*s\n", (int)key.size, (const char *)key.data);
    for (unsigned i = 0; i < sim->node_count; i++)
        if (sim->nodes[i].storing &&
            owns(&sim->nodes[i], view_partition_of(sim->nodes[i].core, key)))
            print_owner(&sim->nodes[i], key);
}

static const char *compare_key(struct sim *sim, struct slice key)
{
    const struct sim_node *first = NULL;
    for (unsigned i = 0; i < sim->node_count; i++) {
        const struct sim_node *node = &sim->nodes[i];
        if (node->state != NODE_UP || !node->storing ||
            !owns(node, view_partition_of(node->core, key)))
            continue;
        if (first == NULL)
            first = node;
        if (damaged_on(first, key) || damaged_on(node, key) ||
            slice_equal(record_on(first, key), record_on(node, key)))
            continue; /* damage shows when somebody reads it */
        if (sim->print && sim->now_us > sim->quarrel_us) {
            print_owners(sim, key);
            sim->quarrel_us = sim->now_us + 5 * SECOND;
        }
        snprintf(sim->checks->words, sizeof sim->checks->words,
                 "owners %u and %u keep different records of %.*s", first->index, i, (int)key.size,
                 (const char *)key.data);
        return sim->checks->words;
    }
    return NULL;
}

/* What a former owner alone has of sloppy puts it gives to the owners before it gives the rest up.
 */
static const char *not_given_up(struct sim *sim, const struct sim_node *node)
{
    for (uint32_t p = 0; node->storing && p < view_partition_count(node->core); p++)
        if (!owns(node, p) && tree_key_count(node->core, p) != 0)
            return say(sim, "has not given up a partition", node->index, p);
    return NULL;
}

/* Every key that anybody keeps: equal at all its owners. A hint that waits is a sloppy put that a
 * read may miss. (On a disk that was full a hint may outlive its delivery: the node knows.) */
const char *check_replicas(struct sim *sim)
{
    for (unsigned i = 0; i < sim->node_count; i++)
        if (hints_count(sim->nodes[i].core, 0) != 0)
            return say(sim, "hints wait", i, (unsigned)hints_count(sim->nodes[i].core, 0));
    if (!net_drained(sim))
        return "requests are on their way";
    for (unsigned i = 0; i < sim->node_count; i++)
        if (coord_busy(sim->nodes[i].core) != 0)
            return say(sim, "a put is under way", i, (unsigned)coord_busy(sim->nodes[i].core));
    for (unsigned i = 0; i < sim->node_count; i++)
        if (not_given_up(sim, &sim->nodes[i]) != NULL)
            return sim->checks->words;
    for (unsigned i = 0; i < sim->node_count; i++) {
        const struct disk_space *records = &sim->nodes[i].disk.spaces[TOYSTORE_RECORDS];
        for (size_t at = 0; at < records->count; at++) {
            struct slice key = blob_slice(records->pairs[at].key);
            if (slice_equal(slice_str(".toystore/layouts/"),
                            slice_of(key.data, min_size(key.size, 18))))
                continue; /* its owners are those of an older layout */
            const char *words = compare_key(sim, key);
            if (words != NULL)
                return words;
        }
    }
    return NULL;
}
