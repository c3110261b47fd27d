/* file_bytes: a file's record and a page as bytes, for tests that have no file system
 * (fs/file_record.h has the format). Every chunk is of one size. */
#ifndef TOYSTORE_TESTS_FILE_BYTES_H
#define TOYSTORE_TESTS_FILE_BYTES_H

#include "base/buf.h"
#include "base/hash.h"
#include "wire/file_pieces.h"

static inline void file_put_number(struct buf *out, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buf_append(out, &(uint8_t){(uint8_t)(value >> (8 * i))}, 1);
}

static inline void file_put_op(struct buf *out, const struct op_id *op)
{
    buf_append(out, op->session.bytes, SESSION_SIZE);
    file_put_number(out, op->sequence, 8);
}

/* The whole of a chunk, `at` in the file. */
static inline void file_put_extent(struct buf *out, uint64_t at, const struct op_id *chunk,
                                   struct slice bytes)
{
    file_put_number(out, at, 8);
    file_put_number(out, bytes.size, 4);
    file_put_number(out, 0, 4);
    file_put_op(out, chunk);
    file_put_number(out, bytes.size, 4);
    file_put_number(out, hash64(bytes), 8);
}

/* Rows of extents, then of pages, follow. */
static inline void file_put_head(struct buf *out, uint32_t extents, uint32_t pages)
{
    static const struct op_id none;
    file_put_number(out, FILE_RECORD_FORMAT, 2);
    file_put_number(out, 0, 2);
    file_put_number(out, extents, 4);
    file_put_number(out, pages, 4);
    file_put_number(out, 0, 4);
    file_put_op(out, &none);
}

static inline void file_put_page(struct buf *out, const struct op_id *page, uint32_t extents)
{
    file_put_op(out, page);
    file_put_number(out, extents, 4);
    file_put_number(out, 0, 8);
}

#endif
