/* extents: pieces of segments at offsets. */
#include "extents.h"

#include "base/hash.h"

#include <stdlib.h>

struct segment *segment_new(size_t capacity)
{
    struct segment *segment = base_alloc(sizeof *segment);
    segment->refs = 1;
    segment->capacity = (uint32_t)capacity;
    if (capacity)
        segment->data = base_realloc(NULL, capacity);
    list_init(&segment->waiters);
    return segment;
}

struct segment *segment_of_bytes(struct slice bytes)
{
    struct segment *segment = segment_new(bytes.size ? bytes.size : 1);
    if (bytes.size)
        memcpy(segment->data, bytes.data, bytes.size);
    segment->size = (uint32_t)bytes.size;
    return segment;
}

struct segment *segment_of_chunk(const struct toystore_op *file, const struct toystore_op *chunk,
                                 uint32_t size, uint64_t checksum)
{
    struct segment *segment = segment_new(0);
    segment->state = SEGMENT_STORED;
    segment->file = *file;
    segment->chunk = *chunk;
    segment->size = size;
    segment->checksum = checksum;
    return segment;
}

struct segment *segment_ref(struct segment *segment)
{
    segment->refs++;
    return segment;
}

void segment_unref(struct segment *segment)
{
    assert(segment->refs > 0);
    if (--segment->refs > 0)
        return;
    assert(list_empty(&segment->waiters));
    if (list_linked(&segment->cached)) {
        list_remove(&segment->cached);
        *segment->cached_bytes -= segment->size;
    }
    free(segment->data);
    segment->data = NULL;
    if (segment->unnamed && !segment->named)
        list_push_back(segment->unnamed, &segment->cached);
    else
        free(segment);
}

void extents_free(struct extents *extents)
{
    for (size_t i = 0; i < extents->count; i++)
        segment_unref(extents->items[i].segment);
    free(extents->items);
    *extents = (struct extents){0};
}

static void reserve(struct extents *extents, size_t more)
{
    if (extents->count + more <= extents->capacity)
        return;
    extents->capacity = max_size(extents->capacity * 2, extents->count + more + 4);
    extents->items = base_realloc(extents->items, extents->capacity * sizeof *extents->items);
}

void extents_copy(struct extents *to, const struct extents *from)
{
    assert(to->count == 0);
    reserve(to, from->count);
    for (size_t i = 0; i < from->count; i++) {
        to->items[i] = from->items[i];
        segment_ref(to->items[i].segment);
    }
    to->count = from->count;
}

static uint64_t extent_end(const struct extent *extent)
{
    return extent->offset + extent->size;
}

size_t extents_find(const struct extents *extents, uint64_t offset)
{
    size_t low = 0, high = extents->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (extent_end(&extents->items[middle]) <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void insert(struct extents *extents, size_t at, struct extent extent)
{
    reserve(extents, 1);
    memmove(extents->items + at + 1, extents->items + at,
            (extents->count - at) * sizeof *extents->items);
    extents->items[at] = extent;
    extents->count++;
}

static void drop(struct extents *extents, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        segment_unref(extents->items[i].segment);
    memmove(extents->items + from, extents->items + to,
            (extents->count - to) * sizeof *extents->items);
    extents->count -= to - from;
}

/* Makes [offset, offset + size) a hole; returns where an extent at `offset` belongs. */
static size_t cut(struct extents *extents, uint64_t offset, uint64_t size)
{
    uint64_t end = offset + size;
    size_t at = extents_find(extents, offset);
    if (at == extents->count)
        return at;
    struct extent first = extents->items[at];
    if (first.offset < offset) {
        extents->items[at].size = (uint32_t)(offset - first.offset);
        at++;
        if (extent_end(&first) > end) { /* one extent on both sides of the hole */
            uint32_t skip = (uint32_t)(end - first.offset);
            insert(extents, at,
                   (struct extent){end, first.size - skip, first.start + skip,
                                   segment_ref(first.segment)});
            return at;
        }
    }
    size_t last = at;
    while (last < extents->count && extent_end(&extents->items[last]) <= end)
        last++;
    drop(extents, at, last);
    if (at < extents->count && extents->items[at].offset < end) {
        struct extent *tail = &extents->items[at];
        uint32_t skip = (uint32_t)(end - tail->offset);
        tail->offset += skip;
        tail->start += skip;
        tail->size -= skip;
    }
    return at;
}

void extents_write(struct extents *extents, uint64_t offset, uint32_t size, struct segment *segment,
                   uint32_t start)
{
    if (size == 0)
        return;
    size_t at = cut(extents, offset, size);
    if (at > 0) { /* goes on where the one before ends */
        struct extent *before = &extents->items[at - 1];
        if (before->segment == segment && extent_end(before) == offset &&
            before->start + before->size == start) {
            before->size += size;
            return;
        }
    }
    insert(extents, at, (struct extent){offset, size, start, segment_ref(segment)});
}

void extents_truncate(struct extents *extents, uint64_t size)
{
    size_t at = extents_find(extents, size);
    if (at < extents->count && extents->items[at].offset < size) {
        extents->items[at].size = (uint32_t)(size - extents->items[at].offset);
        at++;
    }
    drop(extents, at, extents->count);
}

bool extents_in_memory(const struct extents *extents)
{
    for (size_t i = 0; i < extents->count; i++)
        if (extents->items[i].segment->data == NULL)
            return false;
    return true;
}

void extents_copy_bytes(const struct extents *extents, uint64_t offset, uint8_t *to, size_t size)
{
    memset(to, 0, size);
    uint64_t end = offset + size;
    for (size_t i = extents_find(extents, offset);
         i < extents->count && extents->items[i].offset < end; i++) {
        const struct extent *extent = &extents->items[i];
        uint64_t from = max_u64(extent->offset, offset);
        uint64_t until = min_u64(extent_end(extent), end);
        assert(extent->segment->data != NULL);
        memcpy(to + (from - offset),
               extent->segment->data + extent->start + (from - extent->offset), until - from);
    }
}

int chunk_order(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct toystore_op));
}

size_t extents_chunks(const struct extents *extents, const struct toystore_op *file,
                      struct toystore_op **ret_chunks)
{
    struct toystore_op *chunks = base_alloc((extents->count + 1) * sizeof *chunks);
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < extents->count; i++) {
        const struct segment *segment = extents->items[i].segment;
        if (segment->chunk.sequence != 0 && chunk_order(&segment->file, file) == 0)
            chunks[count++] = segment->chunk;
    }
    qsort(chunks, count, sizeof *chunks, chunk_order);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || chunk_order(&chunks[kept - 1], &chunks[i]) != 0)
            chunks[kept++] = chunks[i];
    *ret_chunks = chunks;
    return kept;
}
