/* file_record: encoding and decoding, bounded by what is there. */
#include "file_record.h"

#include <stdlib.h>

enum { HEAD_SIZE = 36, FILE_OFFSET_MAX_BITS = 62 };

static void put_number(struct buf *out, uint64_t value, size_t size)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    buf_append(out, bytes, size);
}

static void put_op(struct buf *out, const struct toystore_op *op)
{
    buf_append(out, op->session, sizeof op->session);
    put_number(out, op->sequence, 8);
}

static uint64_t take_number(struct slice *in, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)in->data[i] << (8 * i);
    *in = slice_of(in->data + size, in->size - size);
    return value;
}

static struct toystore_op take_op(struct slice *in)
{
    struct toystore_op op;
    memcpy(op.session, in->data, sizeof op.session);
    *in = slice_of(in->data + sizeof op.session, in->size - sizeof op.session);
    op.sequence = take_number(in, 8);
    return op;
}

static bool is_patch(const struct extent *extent)
{
    return extent->segment->chunk.sequence == 0;
}

static void put_extent(struct buf *out, const struct extent *extent, uint32_t start)
{
    const struct segment *segment = extent->segment;
    put_number(out, extent->offset, 8);
    put_number(out, extent->size, 4);
    put_number(out, start, 4);
    put_op(out, &segment->chunk);
    put_number(out, is_patch(extent) ? 0 : segment->size, 4);
    put_number(out, is_patch(extent) ? 0 : segment->checksum, 8);
}

void file_record_encode(struct buf *out, const struct file_record *record)
{
    uint32_t patch_size = 0;
    for (size_t i = 0; i < record->extents.count; i++)
        if (is_patch(&record->extents.items[i]))
            patch_size += record->extents.items[i].size;
    put_number(out, FILE_RECORD_FORMAT, 1);
    put_number(out, 0, 1);
    put_number(out, record->name_count, 2);
    put_number(out, record->extents.count, 4);
    put_number(out, record->page_count, 4);
    put_number(out, patch_size, 4);
    put_op(out, &record->made_from);
    for (size_t i = 0; i < record->name_count; i++) {
        put_number(out, record->names[i].size, 2);
        buf_append(out, record->names[i].data, record->names[i].size);
    }
    uint32_t patched = 0;
    for (size_t i = 0; i < record->extents.count; i++) {
        const struct extent *extent = &record->extents.items[i];
        put_extent(out, extent, is_patch(extent) ? patched : extent->start);
        if (is_patch(extent))
            patched += extent->size;
    }
    for (size_t i = 0; i < record->page_count; i++) {
        put_op(out, &record->pages[i].page);
        put_number(out, record->pages[i].extents, 4);
        put_number(out, record->pages[i].checksum, 8);
    }
    for (size_t i = 0; i < record->extents.count; i++) {
        const struct extent *extent = &record->extents.items[i];
        if (is_patch(extent))
            buf_append(out, extent->segment->data + extent->start, extent->size);
    }
}

void page_encode(struct buf *out, const struct extent *extents, size_t count)
{
    buf_reserve(out, count * EXTENT_SIZE);
    for (size_t i = 0; i < count; i++)
        put_extent(out, &extents[i], extents[i].start);
}

/* Appends one extent; `patches` is what an extent without a chunk shows pieces of. */
static int take_extent(struct slice *in, const struct toystore_op *file, struct segment *patches,
                       struct extents *extents)
{
    if (in->size < EXTENT_SIZE)
        return -EBADMSG;
    uint64_t offset = take_number(in, 8);
    uint32_t size = (uint32_t)take_number(in, 4), start = (uint32_t)take_number(in, 4);
    struct toystore_op chunk = take_op(in);
    uint32_t chunk_size = (uint32_t)take_number(in, 4);
    uint64_t checksum = take_number(in, 8);
    bool patch = chunk.sequence == 0;
    uint32_t limit = !patch ? chunk_size : patches ? patches->size : 0;
    if (size == 0 || limit > TOYSTORE_VALUE_SIZE_MAX || start > limit || size > limit - start ||
        offset >> FILE_OFFSET_MAX_BITS)
        return -EBADMSG;
    const struct extent *last = extents->count ? &extents->items[extents->count - 1] : NULL;
    if (last && offset < last->offset + last->size)
        return -EBADMSG;
    if (patch) {
        extents_write(extents, offset, size, patches, start);
        return 0;
    }
    struct segment *segment = NULL;
    if (last && last->segment->chunk.sequence == chunk.sequence &&
        memcmp(last->segment->chunk.session, chunk.session, sizeof chunk.session) == 0 &&
        last->segment->size == chunk_size && last->segment->checksum == checksum)
        segment = segment_ref(last->segment); /* pieces of one chunk beside each other */
    else
        segment = segment_of_chunk(file, &chunk, chunk_size, checksum);
    extents_write(extents, offset, size, segment, start);
    segment_unref(segment);
    return 0;
}

int page_decode(struct slice bytes, const struct toystore_op *file, struct extents *extents)
{
    if (bytes.size % EXTENT_SIZE != 0 || bytes.size / EXTENT_SIZE > PAGE_EXTENTS_MAX)
        return -EBADMSG;
    while (bytes.size > 0) {
        int error = take_extent(&bytes, file, NULL, extents);
        if (error < 0)
            return error;
    }
    return 0;
}

static int take_names(struct slice *in, struct file_record *record, size_t count)
{
    record->names = base_alloc((count + 1) * sizeof *record->names);
    for (size_t i = 0; i < count; i++) {
        if (in->size < 2)
            return -EBADMSG;
        size_t size = take_number(in, 2);
        if (size > in->size || size > TOYSTORE_KEY_SIZE_MAX)
            return -EBADMSG;
        record->names[record->name_count++] = slice_of(in->data, size);
        *in = slice_of(in->data + size, in->size - size);
    }
    return 0;
}

static int take_pages(struct slice *in, struct file_record *record, size_t count)
{
    if (in->size < count * PAGE_NAME_SIZE)
        return -EBADMSG;
    record->pages = base_alloc((count + 1) * sizeof *record->pages);
    for (size_t i = 0; i < count; i++) {
        struct page_name *page = &record->pages[record->page_count++];
        page->page = take_op(in);
        page->extents = (uint32_t)take_number(in, 4);
        page->checksum = take_number(in, 8);
        if (page->extents > PAGE_EXTENTS_MAX)
            return -EBADMSG;
    }
    return 0;
}

int file_record_decode(struct slice bytes, const struct toystore_op *file,
                       struct file_record *ret_record)
{
    if (bytes.size < 1)
        return -EBADMSG;
    if (bytes.data[0] > FILE_RECORD_FORMAT)
        return -EPROTO;
    if (bytes.data[0] != FILE_RECORD_FORMAT || bytes.size < HEAD_SIZE)
        return -EBADMSG;
    struct file_record record = {0};
    struct slice in = bytes;
    (void)take_number(&in, 2);
    size_t names = take_number(&in, 2), extents = take_number(&in, 4);
    size_t pages = take_number(&in, 4), patch_size = take_number(&in, 4);
    record.made_from = take_op(&in);
    if (names > RECORD_NAMES_MAX || pages > RECORD_PAGES_MAX || patch_size > in.size ||
        extents > in.size / EXTENT_SIZE)
        return -EBADMSG;
    struct segment *patches =
        segment_of_bytes(slice_of(in.data + in.size - patch_size, patch_size));
    in.size -= patch_size;
    int error = take_names(&in, &record, names);
    for (size_t i = 0; error == 0 && i < extents; i++)
        error = take_extent(&in, file, patches, &record.extents);
    if (error == 0)
        error = take_pages(&in, &record, pages);
    if (error == 0 && in.size != 0)
        error = -EBADMSG;
    segment_unref(patches);
    if (error < 0) {
        file_record_free(&record);
        return error;
    }
    *ret_record = record;
    return 0;
}

void file_record_free(struct file_record *record)
{
    extents_free(&record->extents);
    free(record->names);
    free(record->pages);
    *record = (struct file_record){0};
}
