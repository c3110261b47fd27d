/* file_record: encoding, and decoding into extents; the bytes are read by wire/file_pieces.c. */
#include "file_record.h"

#include <stdlib.h>

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
    struct file_extent piece;
    int error = file_extent_take(in, patches ? patches->size : 0, &piece);
    if (error != 0)
        return error;
    const struct extent *last = extents->count ? &extents->items[extents->count - 1] : NULL;
    if (last && piece.offset < last->offset + last->size)
        return -EBADMSG;
    if (piece.chunk.sequence == 0) {
        extents_write(extents, piece.offset, piece.size, patches, piece.start);
        return 0;
    }
    struct toystore_op chunk = op_to_public(piece.chunk);
    struct segment *segment = NULL;
    if (last && last->segment->chunk.sequence == chunk.sequence &&
        memcmp(last->segment->chunk.session, chunk.session, sizeof chunk.session) == 0 &&
        last->segment->size == piece.chunk_size && last->segment->checksum == piece.checksum)
        segment = segment_ref(last->segment); /* pieces of one chunk beside each other */
    else
        segment = segment_of_chunk(file, &chunk, piece.chunk_size, piece.checksum);
    extents_write(extents, piece.offset, piece.size, segment, piece.start);
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

static void take_pages(const struct file_pieces *pieces, struct file_record *record)
{
    record->pages = base_alloc((pieces->page_count + 1) * sizeof *record->pages);
    record->page_count = pieces->page_count;
    for (uint32_t i = 0; i < pieces->page_count; i++) {
        struct file_page page;
        file_page_at(pieces, i, &page);
        record->pages[i] = (struct page_name){
            .page = op_to_public(page.page), .extents = page.extents, .checksum = page.checksum};
    }
}

int file_record_decode(struct slice bytes, const struct toystore_op *file,
                       struct file_record *ret_record)
{
    struct file_pieces pieces;
    int error = file_pieces_open(bytes, &pieces);
    if (error < 0)
        return error;
    struct file_record record = {.made_from = op_to_public(pieces.made_from)};
    record.names = base_alloc((pieces.name_count + 1) * sizeof *record.names);
    for (struct slice names = pieces.names; error == 0 && names.size > 0;)
        error = file_name_take(&names, &record.names[record.name_count++]);
    struct segment *patches = segment_of_bytes(pieces.patches);
    while (error == 0 && pieces.extents.size > 0)
        error = take_extent(&pieces.extents, file, patches, &record.extents);
    take_pages(&pieces, &record);
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
