#include "base/pool.h"

#include <stdlib.h>

static size_t slot_of(pool_handle handle)
{
    return (size_t)(handle & UINT32_MAX);
}

static uint32_t generation_of(pool_handle handle)
{
    return (uint32_t)(handle >> 32);
}

void pool_init(struct pool *pool, size_t object_size, size_t count_max)
{
    assert(count_max > 0 && count_max < UINT32_MAX);
    *pool = (struct pool){.object_size = object_size, .count_max = count_max};
}

static void pool_grow(struct pool *pool)
{
    size_t old = pool->capacity;
    size_t grown = min_size(old ? old * 2 : 16, pool->count_max);
    pool->objects = base_realloc(pool->objects, grown * sizeof(void *));
    pool->generations = base_realloc(pool->generations, grown * sizeof(uint32_t));
    pool->free_slots = base_realloc(pool->free_slots, grown * sizeof(uint32_t));
    for (size_t i = grown; i-- > old;) {
        pool->objects[i] = NULL;
        pool->generations[i] = 1;
        pool->free_slots[pool->free_count++] = (uint32_t)i;
    }
    pool->capacity = grown;
}

void *pool_new(struct pool *pool, pool_handle *ret_handle)
{
    if (pool->free_count == 0) {
        if (pool->capacity == pool->count_max)
            return NULL;
        pool_grow(pool);
    }
    uint32_t slot = pool->free_slots[--pool->free_count];
    pool->objects[slot] = base_alloc(pool->object_size);
    pool->count++;
    *ret_handle = (uint64_t)pool->generations[slot] << 32 | slot;
    return pool->objects[slot];
}

void *pool_get(const struct pool *pool, pool_handle handle)
{
    size_t slot = slot_of(handle);
    if (slot >= pool->capacity || pool->generations[slot] != generation_of(handle))
        return NULL;
    return pool->objects[slot];
}

void pool_delete(struct pool *pool, pool_handle handle)
{
    void *object = pool_get(pool, handle);
    assert(object != NULL);
    size_t slot = slot_of(handle);
    free(object);
    pool->objects[slot] = NULL;
    pool->generations[slot] =
        pool->generations[slot] == UINT32_MAX ? 1 : pool->generations[slot] + 1;
    pool->free_slots[pool->free_count++] = (uint32_t)slot;
    pool->count--;
}

void pool_free(struct pool *pool)
{
    for (size_t i = 0; i < pool->capacity; i++)
        free(pool->objects[i]);
    free(pool->objects);
    free(pool->generations);
    free(pool->free_slots);
    *pool = (struct pool){0};
}
