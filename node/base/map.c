#include "base/map.h"

#include "base/hash.h"

#include <stdlib.h>

static struct map_entry **map_find(const struct map *map, struct slice key, uint64_t hash)
{
    struct map_entry **at = &map->buckets[hash & (map->bucket_count - 1)];
    while (*at != NULL && ((*at)->hash != hash || !slice_equal(map_key(*at), key)))
        at = &(*at)->next;
    return at;
}

static void map_grow(struct map *map)
{
    struct map old = *map;
    map->bucket_count = old.bucket_count ? old.bucket_count * 2 : 16;
    map->buckets = base_alloc(map->bucket_count * sizeof *map->buckets);
    for (size_t i = 0; i < old.bucket_count; i++) {
        struct map_entry *entry = old.buckets[i];
        while (entry != NULL) {
            struct map_entry *next = entry->next;
            struct map_entry **bucket = &map->buckets[entry->hash & (map->bucket_count - 1)];
            entry->next = *bucket;
            *bucket = entry;
            entry = next;
        }
    }
    free(old.buckets);
}

void *map_get(const struct map *map, struct slice key)
{
    if (map->count == 0)
        return NULL;
    struct map_entry *entry = *map_find(map, key, hash64(key));
    return entry ? entry->value : NULL;
}

void map_put(struct map *map, struct slice key, void *value)
{
    assert(value != NULL);
    if (map->count >= map->bucket_count)
        map_grow(map);
    uint64_t hash = hash64(key);
    struct map_entry **at = map_find(map, key, hash);
    if (*at == NULL) {
        struct map_entry *entry = base_alloc(sizeof *entry + key.size);
        entry->hash = hash;
        entry->key_size = key.size;
        if (key.size != 0)
            memcpy(entry->key, key.data, key.size);
        *at = entry;
        map->count++;
    }
    (*at)->value = value;
}

void *map_remove(struct map *map, struct slice key)
{
    if (map->count == 0)
        return NULL;
    struct map_entry **at = map_find(map, key, hash64(key));
    struct map_entry *entry = *at;
    if (entry == NULL)
        return NULL;
    void *value = entry->value;
    *at = entry->next;
    free(entry);
    map->count--;
    return value;
}

void map_free(struct map *map)
{
    for (size_t i = 0; i < map->bucket_count; i++) {
        struct map_entry *entry = map->buckets[i];
        while (entry != NULL) {
            struct map_entry *next = entry->next;
            free(entry);
            entry = next;
        }
    }
    free(map->buckets);
    *map = (struct map){0};
}

struct map_entry *map_next(const struct map *map, struct map_entry *entry, size_t *position)
{
    if (entry != NULL && entry->next != NULL)
        return entry->next;
    while (*position < map->bucket_count) {
        struct map_entry *first = map->buckets[(*position)++];
        if (first != NULL)
            return first;
    }
    return NULL;
}
