/* names: paths as keys, and the keys below .toystore/ that files are made of. */
#ifndef TOYSTORE_FS_NAMES_H
#define TOYSTORE_FS_NAMES_H

#include <toystore/toystore.h>

#include "base/base.h"

#define NAMES_RESERVED ".toystore"

enum { FILE_KEY_SIZE_MAX = 160 };

/* A key of the file layer's own, with its closing NUL. */
struct file_key {
    char text[FILE_KEY_SIZE_MAX];
    size_t size;
};

static inline struct slice file_key_slice(const struct file_key *key)
{
    return slice_of(key->text, key->size);
}

/* 0, -ENAMETOOLONG, -EINVAL ("." and "..", an empty one, with a slash). */
int name_check(struct slice name);
/* The key of `name` in the directory `parent` ("" is the root): 0 and a copy that base_alloc made,
 * closed by a NUL; or as name_check, -ENAMETOOLONG also when the whole is too long. */
int name_join(struct slice parent, struct slice name, struct slice *ret_key);
struct slice key_parent_of(struct slice key); /* "" for a top-level key */
struct slice key_last_of(struct slice key);

/* .toystore/files/FILEID, .toystore/chunks/FILEID/SESSION-SEQUENCE, and pages likewise. */
void file_record_key(struct file_key *ret, const struct toystore_op *file);
void chunk_key(struct file_key *ret, const struct toystore_op *file,
               const struct toystore_op *chunk);
void page_key(struct file_key *ret, const struct toystore_op *file, const struct toystore_op *page);

/* st_ino: a 64-bit hash of the file id, so that it survives renames and remounts; never 0 or 1,
 * which is the root's. */
uint64_t ino_of(const struct toystore_op *file);

static inline bool op_none(const struct toystore_op *op)
{
    return op->sequence == 0;
}

static inline bool op_equal(const struct toystore_op *a, const struct toystore_op *b)
{
    return a->sequence == b->sequence && memcmp(a->session, b->session, sizeof a->session) == 0;
}

static inline struct toystore_bytes bytes_of(struct slice slice)
{
    return (struct toystore_bytes){slice.data, slice.size};
}

static inline struct slice slice_from(struct toystore_bytes bytes)
{
    return slice_of(bytes.data, bytes.size);
}

#endif
