#include "base/heap.h"

#include <stdlib.h>

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void put_at(struct heap *heap, size_t index, struct heap_node *node)
{
    heap->nodes[index] = node;
    node->slot = index + 1;
}

static void sift_up(struct heap *heap, size_t index)
{
    struct heap_node *node = heap->nodes[index];
    while (index > 0 && before(node, heap->nodes[(index - 1) / 2])) {
        put_at(heap, index, heap->nodes[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    put_at(heap, index, node);
}

static void sift_down(struct heap *heap, size_t index)
{
    struct heap_node *node = heap->nodes[index];
    for (;;) {
        size_t child = index * 2 + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && before(heap->nodes[child + 1], heap->nodes[child]))
            child++;
        if (!before(heap->nodes[child], node))
            break;
        put_at(heap, index, heap->nodes[child]);
        index = child;
    }
    put_at(heap, index, node);
}

void heap_set(struct heap *heap, struct heap_node *node, uint64_t at)
{
    heap_remove(heap, node);
    if (heap->count == heap->capacity) {
        heap->capacity = heap->capacity ? heap->capacity * 2 : 64;
        heap->nodes = base_realloc(heap->nodes, heap->capacity * sizeof(struct heap_node *));
    }
    node->at = at;
    node->order = heap->orders++;
    put_at(heap, heap->count, node);
    sift_up(heap, heap->count++);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    if (node->slot == 0)
        return;
    size_t index = node->slot - 1;
    assert(index < heap->count && heap->nodes[index] == node);
    node->slot = 0;
    struct heap_node *last = heap->nodes[--heap->count];
    if (last == node)
        return;
    put_at(heap, index, last);
    sift_up(heap, index);
    sift_down(heap, last->slot - 1);
}

struct heap_node *heap_first(const struct heap *heap)
{
    return heap->count ? heap->nodes[0] : NULL;
}

void heap_free(struct heap *heap)
{
    free(heap->nodes);
    *heap = (struct heap){0};
}
