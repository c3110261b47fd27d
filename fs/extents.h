/* extents: what a file consists of: pieces of segments at offsets, in order, holes between them.
 *
 * A segment is a run of bytes, once written never changed: in memory, in an immutable chunk of the
 * store, or both. Segments are shared by all maps that show pieces of them, and counted. */
#ifndef TOYSTORE_FS_EXTENTS_H
#define TOYSTORE_FS_EXTENTS_H

#include <toystore/toystore.h>

#include "base/base.h"
#include "base/list.h"

enum {
    CHUNK_SIZE_MAX = 256 * 1024,
    INLINE_SIZE_MAX = 32 * 1024, /* a file of one record; the patches of a file record */
};

enum segment_state {
    SEGMENT_MEMORY,  /* only here; room may be left at its end */
    SEGMENT_SENDING, /* on its way into the store */
    SEGMENT_STORED,  /* a chunk of the store; the bytes may be here too */
    SEGMENT_FAILED   /* could not be stored */
};

struct segment {
    unsigned refs;
    enum segment_state state;
    struct toystore_op file;  /* whose chunk it is */
    struct toystore_op chunk; /* its name; none while SEGMENT_MEMORY */
    uint64_t checksum;        /* hash64 of all its bytes, once it has a name */
    uint32_t size, capacity;  /* capacity of `data` */
    uint8_t *data;            /* NULL: only in the store */
    struct list cached;       /* in the cache of stored segments that have data, */
    size_t *cached_bytes;     /* whose sum is here */
    struct list waiters;      /* who waits for the fetch or the sending */
    bool fetching;
    bool synced;          /* an fsync has covered it */
    bool page;            /* a page of extents, not a chunk of bytes */
    bool named;           /* in a file record that was put, or may have been; or read from one */
    struct list *unnamed; /* where it goes instead of being freed, having been sent and not named */
};

struct segment *segment_new(size_t capacity);
struct segment *segment_of_bytes(struct slice bytes);
struct segment *segment_of_chunk(const struct toystore_op *file, const struct toystore_op *chunk,
                                 uint32_t size, uint64_t checksum);
struct segment *segment_ref(struct segment *segment);
/* The last one frees it, or leaves it in `unnamed`, linked by `cached`, without data. */
void segment_unref(struct segment *segment);

struct extent {
    uint64_t offset;         /* in the file */
    uint32_t size;           /* > 0 */
    uint32_t start;          /* in the segment */
    struct segment *segment; /* a reference */
};

struct extents {
    struct extent *items; /* by offset, not overlapping */
    size_t count, capacity;
};

void extents_free(struct extents *extents);
void extents_copy(struct extents *to, const struct extents *from); /* `to` is zeroed or empty */
/* Puts a piece of `segment` (takes a reference of its own) over what stands there. */
void extents_write(struct extents *extents, uint64_t offset, uint32_t size, struct segment *segment,
                   uint32_t start);
/* Forgets everything from `size` on. */
void extents_truncate(struct extents *extents, uint64_t size);
/* Index of the first extent that ends behind `offset`; count when there is none. */
size_t extents_find(const struct extents *extents, uint64_t offset);
/* Whether all bytes are in memory; then extents_copy_bytes can give them. */
bool extents_in_memory(const struct extents *extents);
void extents_copy_bytes(const struct extents *extents, uint64_t offset, uint8_t *to, size_t size);

/* The chunks of `file` that are shown, in chunk_order, each once; the caller frees them. */
size_t extents_chunks(const struct extents *extents, const struct toystore_op *file,
                      struct toystore_op **ret_chunks);
int chunk_order(const void *a, const void *b); /* of two struct toystore_op */

#endif
