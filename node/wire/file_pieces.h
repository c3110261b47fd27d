/* file_pieces: a file record's value as bytes (fs/file_record.h has the format): which pieces of
 * which chunks make the content. For readers; nothing is allocated, all borrows from the bytes. */
#ifndef TOYSTORE_WIRE_FILE_PIECES_H
#define TOYSTORE_WIRE_FILE_PIECES_H

#include "wire/types.h"

enum {
    FILE_RECORD_FORMAT = 1,
    FILE_NAMES_MAX = 1000,
    FILE_PAGES_MAX = 4096,
    FILE_PAGE_EXTENTS_MAX = 2048,
    FILE_EXTENT_SIZE = 48,
    FILE_PAGE_SIZE = 32
};

struct file_extent {
    uint64_t offset;    /* in the file */
    uint32_t size;      /* > 0 */
    uint32_t start;     /* in the chunk, or in the patch bytes */
    struct op_id chunk; /* none: the patch bytes */
    uint32_t chunk_size;
    uint64_t checksum; /* of the whole chunk: hash64 */
};

struct file_page {
    struct op_id page;
    uint32_t extents;
    uint64_t checksum;
};

struct file_pieces {
    struct op_id made_from; /* the inline version that the record was made from */
    uint32_t name_count, page_count;
    struct slice names, extents, pages, patches; /* rows */
};

/* 0; -EBADMSG malformed, -EPROTO a newer format. */
int file_pieces_open(struct slice bytes, struct file_pieces *ret);
/* The first of a row of names, which then begins behind it. 0 or -EBADMSG. */
int file_name_take(struct slice *names, struct slice *ret);
/* The first of a row of extents (a record's, or a page's whole value). Without a chunk it is a
 * piece of `patch_size` bytes. 0 or -EBADMSG. */
int file_extent_take(struct slice *extents, size_t patch_size, struct file_extent *ret);
void file_page_at(const struct file_pieces *pieces, uint32_t index, struct file_page *ret);

#endif
