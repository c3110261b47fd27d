/* file_pieces: reading a file record, bounded by what is there. Numbers are little-endian. */
#include "wire/file_pieces.h"

enum { HEAD_SIZE = 36, OFFSET_BITS = 62 };

static uint64_t take(struct slice *in, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)in->data[i] << (8 * i);
    *in = slice_of(in->data + size, in->size - size);
    return value;
}

static struct op_id take_op(struct slice *in)
{
    struct op_id op;
    memcpy(op.session.bytes, in->data, SESSION_SIZE);
    *in = slice_of(in->data + SESSION_SIZE, in->size - SESSION_SIZE);
    op.sequence = take(in, 8);
    return op;
}

static struct slice split(struct slice *in, size_t size)
{
    struct slice first = slice_of(in->data, size);
    *in = slice_of(in->data + size, in->size - size);
    return first;
}

int file_name_take(struct slice *names, struct slice *ret)
{
    if (names->size < 2)
        return -EBADMSG;
    size_t size = take(names, 2);
    if (size > names->size || size > TOYSTORE_KEY_SIZE_MAX)
        return -EBADMSG;
    *ret = split(names, size);
    return 0;
}

int file_pieces_open(struct slice bytes, struct file_pieces *ret)
{
    if (bytes.size < 1)
        return -EBADMSG;
    if (bytes.data[0] > FILE_RECORD_FORMAT)
        return -EPROTO;
    if (bytes.data[0] != FILE_RECORD_FORMAT || bytes.size < HEAD_SIZE)
        return -EBADMSG;
    struct slice in = bytes;
    (void)take(&in, 2); /* format, flags */
    struct file_pieces pieces = {.name_count = (uint32_t)take(&in, 2)};
    size_t extents = take(&in, 4);
    pieces.page_count = (uint32_t)take(&in, 4);
    size_t patch_size = take(&in, 4);
    pieces.made_from = take_op(&in);
    if (pieces.name_count > FILE_NAMES_MAX || pieces.page_count > FILE_PAGES_MAX)
        return -EBADMSG;
    struct slice rest = in, name;
    for (uint32_t i = 0; i < pieces.name_count; i++)
        if (file_name_take(&rest, &name) != 0)
            return -EBADMSG;
    pieces.names = split(&in, in.size - rest.size);
    if (extents > in.size / FILE_EXTENT_SIZE)
        return -EBADMSG;
    pieces.extents = split(&in, extents * FILE_EXTENT_SIZE);
    if (pieces.page_count > in.size / FILE_PAGE_SIZE)
        return -EBADMSG;
    pieces.pages = split(&in, pieces.page_count * (size_t)FILE_PAGE_SIZE);
    if (in.size != patch_size)
        return -EBADMSG;
    pieces.patches = in;
    struct file_page page;
    for (uint32_t i = 0; i < pieces.page_count; i++) {
        file_page_at(&pieces, i, &page);
        if (page.extents > FILE_PAGE_EXTENTS_MAX)
            return -EBADMSG;
    }
    *ret = pieces;
    return 0;
}

int file_extent_take(struct slice *extents, size_t patch_size, struct file_extent *ret)
{
    if (extents->size < FILE_EXTENT_SIZE)
        return -EBADMSG;
    struct file_extent extent = {.offset = take(extents, 8)};
    extent.size = (uint32_t)take(extents, 4);
    extent.start = (uint32_t)take(extents, 4);
    extent.chunk = take_op(extents);
    extent.chunk_size = (uint32_t)take(extents, 4);
    extent.checksum = take(extents, 8);
    size_t limit = extent.chunk.sequence ? extent.chunk_size : patch_size;
    if (extent.size == 0 || limit > TOYSTORE_VALUE_SIZE_MAX || extent.start > limit ||
        extent.size > limit - extent.start || extent.offset >> OFFSET_BITS)
        return -EBADMSG;
    *ret = extent;
    return 0;
}

void file_page_at(const struct file_pieces *pieces, uint32_t index, struct file_page *ret)
{
    assert(index < pieces->page_count);
    struct slice row =
        slice_of(pieces->pages.data + (size_t)index * FILE_PAGE_SIZE, FILE_PAGE_SIZE);
    ret->page = take_op(&row);
    ret->extents = (uint32_t)take(&row, 4);
    ret->checksum = take(&row, 8);
}
