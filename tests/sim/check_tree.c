/* check_tree: the hash tree of each partition is what a rebuild from the records on the disk gives:
 * the digests that are kept beside them, and folded in memory, stand for what is there. */
#include <stdlib.h>

#include "core/replica/tree.h"
#include "core/view/view.h"
#include "rules/key.h"
#include "sim/sim.h"
#include "wire/record.h"

/* Of a damaged copy that nobody has read yet the tree still holds the old digest. */
static void fold(const struct sim_node *node, const struct disk_pair *pair, struct hash128 *roots,
                 bool *damaged)
{
    struct slice key = blob_slice(pair->key);
    struct entry entry;
    if (key_has_prefix(key, KEY_LAYOUTS))
        return;
    uint32_t partition = view_partition_of(node->core, key);
    if (entry_decode(blob_slice(pair->value), &entry) != 0) {
        damaged[partition] = true;
        return;
    }
    struct hash128 digest = tree_digest(key, entry.record);
    if (entry.record.size > 0)
        hash128_xor(&roots[partition], &digest);
}

static void check_node(struct sim *sim, const struct sim_node *node)
{
    const struct disk_space *records = &node->disk.spaces[TOYSTORE_RECORDS];
    uint32_t count = view_partition_count(node->core);
    struct hash128 *roots = base_alloc(count * sizeof *roots + 1);
    bool *damaged = base_alloc(count * sizeof *damaged + 1);
    for (size_t i = 0; i < records->count; i++)
        fold(node, &records->pairs[i], roots, damaged);
    for (uint32_t p = 0; p < count; p++) {
        struct hash128 root = tree_root(node->core, p);
        if (!damaged[p] && memcmp(&root, &roots[p], sizeof root) != 0)
            sim_fail(sim, "node %u: the hash tree of partition %u is not that of its records",
                     node->index, p);
    }
    free(roots);
    free(damaged);
}

/* The tree follows when a commit is asked for: one that is on its way is not on the disk yet. */
void check_trees(struct sim *sim)
{
    for (unsigned i = 0; i < sim->node_count; i++)
        if (sim->nodes[i].state == NODE_UP && sim->nodes[i].storing &&
            sim->nodes[i].disk_free_at <= sim->now_us)
            check_node(sim, &sim->nodes[i]);
}
