/* File records, pages of extents and the moves of a name: the first byte says which. */
#include "fuzz.h"

#include "file_record.h"
#include "fs_priv.h"

static const struct toystore_op file = {.session = {1}, .sequence = 1};

/* In order, none empty, none beyond its segment: what readers count on. */
static void check_extents(const struct extents *extents)
{
    for (size_t i = 0; i < extents->count; i++) {
        const struct extent *extent = &extents->items[i];
        assert(extent->size > 0);
        assert((uint64_t)extent->start + extent->size <= extent->segment->size);
        assert(i == 0 ||
               extents->items[i - 1].offset + extents->items[i - 1].size <= extent->offset);
    }
}

static uint64_t bytes_shown(const struct extents *extents)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < extents->count; i++)
        sum += extents->items[i].size;
    return sum;
}

/* Patches that lie beside each other may come back as one extent. */
static void one_record(struct slice bytes)
{
    struct file_record record, again;
    if (file_record_decode(bytes, &file, &record) != 0)
        return;
    check_extents(&record.extents);
    struct buf out = {0};
    file_record_encode(&out, &record);
    bool same = file_record_decode(buf_slice(&out), &file, &again) == 0;
    assert(same);
    assert(again.name_count == record.name_count && again.page_count == record.page_count);
    assert(bytes_shown(&again.extents) == bytes_shown(&record.extents));
    file_record_free(&again);
    file_record_free(&record);
    buf_free(&out);
}

static void one_page(struct slice bytes)
{
    struct extents extents = {0};
    if (page_decode(bytes, &file, &extents) == 0)
        check_extents(&extents);
    extents_free(&extents);
}

static void one_moves(struct slice bytes)
{
    struct slice to;
    struct blob *before = blob_copy(bytes);
    struct blob *after = moves_add(before, &file, slice_str("a/new/name"));
    bool found = moves_find(blob_slice(after), &file, &to);
    assert(found && slice_equal(to, slice_str("a/new/name")));
    blob_unref(&before);
    blob_unref(&after);
}

void fuzz_one(struct slice bytes)
{
    static void (*const all[])(struct slice bytes) = {one_record, one_page, one_moves};
    if (bytes.size > 0)
        all[bytes.data[0] % ARRAY_COUNT(all)](slice_of(bytes.data + 1, bytes.size - 1));
}

static void fill_extents(struct prng *prng, struct extents *extents, bool patches)
{
    uint64_t offset = 0;
    for (uint64_t i = prng_below(prng, 20); i > 0; i--) {
        struct toystore_op chunk = {.session = {2}, .sequence = i};
        struct segment *segment = patches && prng_chance(prng, 1, 3)
                                      ? segment_of_bytes(slice_str("some patched bytes"))
                                      : segment_of_chunk(&file, &chunk, 1000, 77);
        offset += prng_below(prng, 100);
        uint32_t size = (uint32_t)(1 + prng_below(prng, segment->size));
        extents_write(extents, offset, size, segment,
                      (uint32_t)prng_below(prng, segment->size - size + 1));
        offset += size;
        segment_unref(segment);
    }
}

static void example_record(struct prng *prng, struct buf *out)
{
    struct slice names[2] = {slice_str("a/name"), slice_str("another")};
    struct page_name page = {.page = {.session = {3}, .sequence = 9}, .extents = 5};
    struct file_record record = {.names = names,
                                 .name_count = prng_below(prng, 3),
                                 .pages = &page,
                                 .page_count = prng_below(prng, 2)};
    fill_extents(prng, &record.extents, true);
    file_record_encode(out, &record);
    extents_free(&record.extents);
}

static void example_page(struct prng *prng, struct buf *out)
{
    struct extents extents = {0};
    fill_extents(prng, &extents, false);
    page_encode(out, extents.items, extents.count);
    extents_free(&extents);
}

static void example_moves(struct prng *prng, struct buf *out)
{
    struct blob *moves = NULL;
    for (uint64_t i = prng_below(prng, 20); i > 0; i--) {
        struct toystore_op moved = {.session = {4}, .sequence = i};
        struct blob *more = moves_add(moves, &moved, slice_str("where/it/went"));
        blob_unref(&moves);
        moves = more;
    }
    buf_append(out, blob_slice(moves).data, blob_slice(moves).size);
    blob_unref(&moves);
}

void fuzz_example(struct prng *prng, struct buf *out)
{
    static void (*const all[])(struct prng * prng,
                               struct buf * out) = {example_record, example_page, example_moves};
    uint8_t which = (uint8_t)prng_below(prng, ARRAY_COUNT(all));
    buf_append(out, &which, 1);
    all[which](prng, out);
}
