/* changes: what the handles of a file have done to it since it was last published, in order, so
 * that it can be done again over a newer version. */
#ifndef TOYSTORE_FS_CHANGES_H
#define TOYSTORE_FS_CHANGES_H

#include "extents.h"

/* A file as it stands at one moment. attributes.size is its length. */
struct image {
    struct toystore_attributes attributes;
    struct extents extents;
};

enum change_type {
    CHANGE_WRITE,    /* a piece of a segment at an offset */
    CHANGE_APPEND,   /* the same at the end, wherever that is then */
    CHANGE_TRUNCATE, /* to `offset` bytes */
    CHANGE_SET       /* the attributes in `set` */
};

/* Which attributes a CHANGE_SET sets. */
enum {
    SET_MODE = 1, /* permission bits */
    SET_UID = 2,
    SET_GID = 4,
    SET_ATIME = 8,
    SET_MTIME = 16,
    CLEAR_SET_ID = 32 /* what a write by an ordinary user does to set-id bits */
};

struct change {
    enum change_type type;
    uint64_t offset;
    uint32_t size, start;
    struct segment *segment; /* a reference, or NULL */
    unsigned set;
    struct toystore_attributes attributes;
    int64_t time_ns; /* when it was made */
};

struct changes {
    struct change *items;
    size_t count, capacity;
};

/* Takes over the reference to the segment. A write that goes on where the last one ended, in the
 * same segment, becomes part of it unless that is among the first `frozen`. */
void changes_add(struct changes *changes, struct change change, size_t frozen);
void changes_drop(struct changes *changes, size_t count); /* forgets the first ones */
void changes_free(struct changes *changes);

void image_apply(struct image *image, const struct change *change);
void image_replay(struct image *image, const struct changes *changes, size_t count);
void image_copy(struct image *to, const struct image *from); /* `to` is replaced */
void image_free(struct image *image);
/* Whether `longer` begins with all that `shorter` holds, as far as can be told from memory. */
bool image_extends(const struct image *longer, const struct image *shorter);

#endif
