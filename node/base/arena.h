/* arena: memory that is freed all at once; what one decode or one operation needs. */
#ifndef TOYSTORE_ARENA_H
#define TOYSTORE_ARENA_H

#include "base/base.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
};

void *arena_alloc(struct arena *arena, size_t size); /* zeroed, aligned for anything */
struct slice arena_copy(struct arena *arena, struct slice bytes);
void arena_free(struct arena *arena); /* the arena is empty after and can be used again */

#endif
