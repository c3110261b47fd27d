/* store_memory: a store that keeps nothing beyond the process: one skip list a space.
 *
 * Enters from io/driver.c; leaves nowhere.
 * Source: W. Pugh, Skip Lists: A Probabilistic Alternative to Balanced Trees, 1990. */
#include <stdlib.h>

#include "base/base.h"
#include "base/blob.h"
#include "base/prng.h"
#include "io/stores.h"

enum { LEVELS_MAX = 16 }; /* a quarter go up a level: enough for 4^16 keys */

struct entry_node {
    struct blob *key, *value;
    unsigned levels;
    struct entry_node *next[];
};

struct space {
    struct entry_node *head[LEVELS_MAX];
};

struct memory_store {
    struct toystore_store store; /* first: what the caller holds */
    struct space spaces[TOYSTORE_SPACES];
    struct prng prng; /* of levels only, so a fixed seed does no harm */
};

static struct memory_store *memory_of(struct toystore_store *store)
{
    return container_of(store, struct memory_store, store);
}

/* The links that lead to the first entry with a key >= `key`, one for each level. */
static void find_links(struct space *space, struct slice key, struct entry_node ***ret_links)
{
    struct entry_node **row = space->head;
    for (size_t level = LEVELS_MAX; level-- > 0;) {
        while (row[level] != NULL && slice_compare(blob_slice(row[level]->key), key) < 0)
            row = row[level]->next;
        ret_links[level] = &row[level];
    }
}

static struct entry_node *find_from(struct space *space, struct slice key)
{
    struct entry_node **links[LEVELS_MAX];
    find_links(space, key, links);
    return *links[0];
}

static struct entry_node *find(struct space *space, struct slice key)
{
    struct entry_node *entry = find_from(space, key);
    return entry != NULL && slice_equal(blob_slice(entry->key), key) ? entry : NULL;
}

static void entry_free(struct entry_node *entry)
{
    blob_unref(&entry->key);
    blob_unref(&entry->value);
    free(entry);
}

static void insert(struct memory_store *memory, struct space *space, struct slice key,
                   struct slice value)
{
    struct entry_node **links[LEVELS_MAX];
    find_links(space, key, links);
    struct entry_node *entry = *links[0];
    if (entry != NULL && slice_equal(blob_slice(entry->key), key)) {
        blob_unref(&entry->value);
        entry->value = blob_copy(value);
        return;
    }
    unsigned levels = 1;
    while (levels < LEVELS_MAX && prng_chance(&memory->prng, 1, 4))
        levels++;
    entry = base_alloc(sizeof *entry + levels * sizeof(struct entry_node *));
    entry->key = blob_copy(key);
    entry->value = blob_copy(value);
    entry->levels = levels;
    for (size_t level = 0; level < levels; level++) {
        entry->next[level] = *links[level];
        *links[level] = entry;
    }
}

static void erase(struct space *space, struct slice key)
{
    struct entry_node **links[LEVELS_MAX];
    find_links(space, key, links);
    struct entry_node *entry = *links[0];
    if (entry == NULL || !slice_equal(blob_slice(entry->key), key))
        return;
    for (size_t level = 0; level < entry->levels; level++)
        *links[level] = entry->next[level];
    entry_free(entry);
}

static int memory_open(const char *directory, char *error, size_t error_size,
                       struct toystore_store **ret_store)
{
    (void)directory, (void)error, (void)error_size;
    struct memory_store *memory = base_alloc(sizeof *memory);
    memory->store.ops = &store_memory;
    prng_seed(&memory->prng, 1);
    *ret_store = &memory->store;
    return 0;
}

static int memory_get(struct toystore_store *store, enum toystore_space space,
                      struct toystore_bytes key, toystore_value_fn *value, void *arg)
{
    struct entry_node *entry = find(&memory_of(store)->spaces[space], slice_from(key));
    if (entry == NULL)
        return -ENOENT;
    value(arg, bytes_of(blob_slice(entry->value)));
    return 0;
}

static int memory_write(struct toystore_store *store, const struct toystore_write *writes,
                        size_t count)
{
    struct memory_store *memory = memory_of(store);
    for (size_t i = 0; i < count; i++) {
        struct space *space = &memory->spaces[writes[i].space];
        if (writes[i].remove)
            erase(space, slice_from(writes[i].key));
        else
            insert(memory, space, slice_from(writes[i].key), slice_from(writes[i].value));
    }
    return 0;
}

static int memory_sync(struct toystore_store *store)
{
    (void)store;
    return 0;
}

static int memory_scan(struct toystore_store *store, enum toystore_space space,
                       struct toystore_bytes from, struct toystore_bytes to,
                       toystore_entry_fn *entry_fn, void *arg)
{
    struct entry_node *entry = find_from(&memory_of(store)->spaces[space], slice_from(from));
    for (; entry != NULL; entry = entry->next[0]) {
        if (to.size != 0 && slice_compare(blob_slice(entry->key), slice_from(to)) >= 0)
            break;
        if (!entry_fn(arg, bytes_of(blob_slice(entry->key)), bytes_of(blob_slice(entry->value))))
            break;
    }
    return 0;
}

static void memory_close(struct toystore_store *store)
{
    struct memory_store *memory = memory_of(store);
    for (size_t i = 0; i < TOYSTORE_SPACES; i++) {
        struct entry_node *next = memory->spaces[i].head[0];
        while (next != NULL) {
            struct entry_node *entry = next;
            next = entry->next[0];
            entry_free(entry);
        }
    }
    free(memory);
}

const struct toystore_store_ops store_memory = {
    .name = "memory",
    .open = memory_open,
    .get = memory_get,
    .write = memory_write,
    .sync = memory_sync,
    .scan = memory_scan,
    .close = memory_close,
};
