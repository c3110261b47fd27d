/* file_record: the value of .toystore/files/FILEID as bytes (format 1), and its pages.
 *
 *     u8 format (1)   u8 flags   u16 names   u32 extents   u32 pages   u32 patch bytes
 *     12+8 bytes      the inline version that the record was made from (none: zeroes)
 *     names           u16 size, bytes: the keys that refer to the file
 *     extents         u64 offset, u32 size, u32 start, 12+8 chunk, u32 chunk size, u64 checksum;
 *                     a chunk of zeroes means the patch bytes, `start` counted from their begin
 *     pages           12+8 page, u32 extents in it, u64 checksum of the page
 *     patch bytes
 *
 * Numbers are little-endian. With more than 64 extents, the rest of them (all but those of
 * patches) stand in immutable pages of up to 2,048, each a plain row of extents. */
#ifndef TOYSTORE_FS_FILE_RECORD_H
#define TOYSTORE_FS_FILE_RECORD_H

#include "extents.h"

#include "base/buf.h"
#include "wire/file_pieces.h"

enum {
    RECORD_EXTENTS_MAX = 64,
    PAGE_EXTENTS_MAX = FILE_PAGE_EXTENTS_MAX,
    RECORD_PAGES_MAX = FILE_PAGES_MAX,
    RECORD_NAMES_MAX = FILE_NAMES_MAX,
    EXTENT_SIZE = FILE_EXTENT_SIZE
};

struct page_name {
    struct toystore_op page;
    uint32_t extents;
    uint64_t checksum;
};

/* A record as it stands in the store. Names and patches borrow from what it was decoded from. */
struct file_record {
    struct toystore_op made_from;
    struct slice *names;
    size_t name_count;
    struct page_name *pages;
    size_t page_count;
    struct extents extents; /* those of the record itself; owned */
};

/* Patches are the extents whose segment has no chunk name; their bytes must be in memory. */
void file_record_encode(struct buf *out, const struct file_record *record);
/* 0; -EBADMSG malformed, -EPROTO a newer format. On success file_record_free is owed. */
int file_record_decode(struct slice bytes, const struct toystore_op *file,
                       struct file_record *ret_record);
void file_record_free(struct file_record *record);

void page_encode(struct buf *out, const struct extent *extents, size_t count);
/* Appends what the page holds to `extents`: 0 or -EBADMSG. */
int page_decode(struct slice bytes, const struct toystore_op *file, struct extents *extents);

#endif
