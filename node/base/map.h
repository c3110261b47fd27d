/* map: a hash table from bytes to a pointer; keys are copied. */
#ifndef TOYSTORE_MAP_H
#define TOYSTORE_MAP_H

#include "base/base.h"

struct map_entry {
    struct map_entry *next;
    void *value;
    uint64_t hash;
    size_t key_size;
    uint8_t key[];
};

struct map {
    struct map_entry **buckets;
    size_t bucket_count, count;
};

void *map_get(const struct map *map, struct slice key);       /* NULL: not there */
void map_put(struct map *map, struct slice key, void *value); /* value not NULL; replaces */
void *map_remove(struct map *map, struct slice key);          /* what stood there, or NULL */
void map_free(struct map *map);                               /* frees the table, not the values */

/* Walks in no special order. Start with *position = 0 and entry = NULL; the map must not change
 * meanwhile. */
struct map_entry *map_next(const struct map *map, struct map_entry *entry, size_t *position);

#define MAP_EACH(entry, map)                                                                       \
    for (size_t entry##_position = 0, entry##_once = 1; entry##_once; entry##_once = 0)            \
        for (struct map_entry *entry = map_next((map), NULL, &entry##_position); entry != NULL;    \
             entry = map_next((map), entry, &entry##_position))

static inline struct slice map_key(const struct map_entry *entry)
{
    return slice_of(entry->key, entry->key_size);
}

#endif
