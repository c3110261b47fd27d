/* heap: deadlines in order; the owner embeds a heap_node. A zeroed node is in no heap. */
#ifndef TOYSTORE_HEAP_H
#define TOYSTORE_HEAP_H

#include "base/base.h"

struct heap_node {
    uint64_t at;    /* smallest first */
    uint64_t order; /* equal deadlines leave in the order in which they came */
    size_t slot;    /* 0: in no heap, else index + 1 */
};

struct heap {
    struct heap_node **nodes;
    size_t count, capacity;
    uint64_t orders;
};

void heap_set(struct heap *heap, struct heap_node *node, uint64_t at); /* inserts or moves */
void heap_remove(struct heap *heap, struct heap_node *node); /* what is in no heap: nothing */
struct heap_node *heap_first(const struct heap *heap);       /* NULL: empty */
void heap_free(struct heap *heap);

#endif
