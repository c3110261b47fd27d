/* pool: a bounded set of equal objects, named by slot plus generation, so that a late answer
 * cannot reach a reused slot. Objects do not move. */
#ifndef TOYSTORE_POOL_H
#define TOYSTORE_POOL_H

#include "base/base.h"

typedef uint64_t pool_handle; /* never 0 for an object that lives */

struct pool {
    void **objects; /* NULL: free slot */
    uint32_t *generations;
    uint32_t *free_slots;
    size_t count, capacity, free_count, object_size, count_max;
};

void pool_init(struct pool *pool, size_t object_size, size_t count_max);
void *pool_new(struct pool *pool, pool_handle *ret_handle);  /* zeroed; NULL: full, say BUSY */
void *pool_get(const struct pool *pool, pool_handle handle); /* NULL: gone */
void pool_delete(struct pool *pool, pool_handle handle);
void pool_free(struct pool *pool);

#endif
