/* tree: hash trees in memory (Dynamo 4.7). A partition's tokens are cut into TREE_BUCKETS
 * equal ranges, so that a bucket is one range of TOYSTORE_TOKENS. Digests are combined by XOR: a
 * change is taken out and put in without reading anything else, and the order does not matter. */
#include "core/replica/tree.h"

#include "core/replica/tree_priv.h"
#include "core/state/state.h"

#include <stdlib.h>

struct tree {
    uint64_t count;
    struct hash128 root, buckets[TREE_BUCKETS];
};

struct trees {
    uint32_t partitions;
    struct tree **trees; /* NULL: nothing in this partition */
    struct map marked;   /* tokens of keys that were found damaged */
    struct pool servings;
};

struct trees *trees_new(void)
{
    struct trees *trees = base_alloc(sizeof *trees);
    pool_init(&trees->servings, tree_serving_size, RPC_INBOUND_MAX);
    return trees;
}

struct pool *tree_servings(struct core *core)
{
    return &core->trees->servings;
}

void trees_free(struct trees *trees)
{
    if (trees == NULL)
        return;
    for (uint32_t i = 0; i < trees->partitions; i++)
        free(trees->trees[i]);
    free(trees->trees);
    map_free(&trees->marked);
    for (size_t i = 0; i < trees->servings.capacity; i++)
        tree_serving_clear(trees->servings.objects[i]);
    pool_free(&trees->servings);
    free(trees);
}

void trees_size(struct core *core, uint32_t partitions)
{
    struct trees *trees = core->trees;
    if (trees->partitions == partitions)
        return;
    assert(trees->partitions == 0); /* Q is the cluster's, for ever */
    trees->partitions = partitions;
    trees->trees = base_alloc(partitions * sizeof *trees->trees);
}

/* ---- digests ---- */

struct hash128 tree_digest(struct slice key, struct slice record)
{
    /* the key's own hash first: equal records under two keys must not cancel each other out */
    struct hash128 parts[2] = {hash128(key), hash128(record)};
    return hash128(slice_of(parts, sizeof parts));
}

void token_encode(struct buf *out, const struct hash128 *digest, struct slice key)
{
    buf_reserve(out, sizeof digest->bytes + key.size);
    buf_append(out, digest->bytes, sizeof digest->bytes);
    buf_append(out, key.data, key.size);
}

bool token_decode(struct slice value, struct hash128 *ret_digest, struct slice *ret_key)
{
    size_t head = sizeof ret_digest->bytes;
    if (value.size < head)
        return false;
    memcpy(ret_digest->bytes, value.data, head);
    *ret_key = slice_of(value.data + head, value.size - head);
    return true;
}

struct hash128 token_damaged(const struct core *core, const struct hash128 *token)
{
    uint8_t bytes[sizeof token->bytes + sizeof core->id];
    memcpy(bytes, token->bytes, sizeof token->bytes);
    memcpy(bytes + sizeof token->bytes, &core->id, sizeof core->id);
    return hash128(slice_of(bytes, sizeof bytes));
}

bool tree_any_marked(const struct core *core)
{
    return core->trees->marked.count > 0;
}

bool tree_marked(const struct core *core, const struct hash128 *token)
{
    return tree_any_marked(core) &&
           map_get(&core->trees->marked, slice_of(token->bytes, sizeof token->bytes)) != NULL;
}

static void follow_mark(struct core *core, const struct hash128 *token,
                        const struct hash128 *before, const struct hash128 *after)
{
    struct hash128 mark = token_damaged(core, token);
    struct slice name = slice_of(token->bytes, sizeof token->bytes);
    if (after != NULL && memcmp(after, &mark, sizeof mark) == 0)
        map_put(&core->trees->marked, name, core);
    else if (before != NULL && memcmp(before, &mark, sizeof mark) == 0)
        map_remove(&core->trees->marked, name);
}

/* ---- ranges ---- */

/* TREE_BUCKETS buckets a partition: the ring cut that much finer. */
static uint32_t bucket_of(const struct hash128 *token, uint32_t partition, uint32_t partitions)
{
    return partition_of(token, partitions * TREE_BUCKETS) - partition * TREE_BUCKETS;
}

/* The next token there could be; the last one has none. */
static bool token_after(struct hash128 *token)
{
    for (size_t i = sizeof token->bytes; i-- > 0;) {
        if (++token->bytes[i] != 0)
            return true;
    }
    return false;
}

void tree_scan_bucket(struct core *core, uint32_t partition, uint32_t bucket,
                      const struct hash128 *after, struct resume resume)
{
    uint32_t cells = core->trees->partitions * TREE_BUCKETS;
    uint32_t cell = partition * TREE_BUCKETS + bucket;
    struct hash128 first, end, next = *after;
    partition_first_token(cell, cells, &first);
    bool last = !partition_first_token(cell + 1, cells, &end);
    bool empty = !token_after(&next);
    if (memcmp(&next, &first, sizeof first) > 0)
        first = next;
    struct slice from = slice_of(first.bytes, sizeof first.bytes);
    struct slice to = last ? slice_of(NULL, 0) : slice_of(end.bytes, sizeof end.bytes);
    if (empty || (!last && slice_compare(from, to) > 0))
        to = from;
    disk_scan(core, TOYSTORE_TOKENS, from, to, TREE_ITEMS_MAX, resume);
}

/* ---- the trees ---- */

static struct tree *tree_of(struct core *core, uint32_t partition)
{
    struct trees *trees = core->trees;
    assert(partition < trees->partitions);
    if (trees->trees[partition] == NULL)
        trees->trees[partition] = base_alloc(sizeof(struct tree));
    return trees->trees[partition];
}

static const struct tree *tree_look(const struct core *core, uint32_t partition)
{
    const struct trees *trees = core->trees;
    return partition < trees->partitions ? trees->trees[partition] : NULL;
}

void tree_update(struct core *core, uint32_t partition, const struct hash128 *token,
                 const struct hash128 *before, const struct hash128 *after)
{
    struct tree *tree = tree_of(core, partition);
    struct hash128 *bucket = &tree->buckets[bucket_of(token, partition, core->trees->partitions)];
    const struct hash128 *changes[2] = {before, after};
    follow_mark(core, token, before, after);
    for (size_t i = 0; i < 2; i++) {
        if (changes[i] == NULL)
            continue;
        hash128_xor(bucket, changes[i]);
        hash128_xor(&tree->root, changes[i]);
    }
    tree->count += (after != NULL);
    tree->count -= (before != NULL);
}

void tree_restore(struct core *core, struct slice token, struct slice value)
{
    struct hash128 id, digest;
    struct slice key;
    if (token.size != sizeof id.bytes || core->trees->partitions == 0 ||
        !token_decode(value, &digest, &key)) {
        core_log(core, LOG_ERROR, "a malformed token was found in the store");
        return;
    }
    memcpy(id.bytes, token.data, sizeof id.bytes);
    tree_update(core, partition_of(&id, core->trees->partitions), &id, NULL, &digest);
}

struct hash128 tree_root(const struct core *core, uint32_t partition)
{
    const struct tree *tree = tree_look(core, partition);
    return tree ? tree->root : (struct hash128){0};
}

struct hash128 tree_bucket(const struct core *core, uint32_t partition, uint32_t bucket)
{
    const struct tree *tree = tree_look(core, partition);
    return tree ? tree->buckets[bucket] : (struct hash128){0};
}

uint64_t tree_key_count(const struct core *core, uint32_t partition)
{
    const struct tree *tree = tree_look(core, partition);
    return tree ? tree->count : 0;
}
