/* salvage: see salvage.h. A walk over a family ends at a damaged block. From there the next key
 * that can be read is looked for by seeking to ever higher keys, then walked back from to the
 * block's other side: what is lost is the block, and not what lies behind it. A walk merges all
 * levels, so newer copies of the keys in that block are lost with it.
 *
 * Enters from io/store_rocksdb_open.c; leaves to io/rocks.c. */
#include "io/salvage.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
enum { BATCH_SIZE = 1 << 20 };

struct copy {
    struct rocks *from, *to;
    size_t family;
    rocksdb_iterator_t *at;
    rocksdb_writebatch_t *batch;
    size_t batched;
    struct buf last; /* the highest key before a hole */
    int status;
};

static struct slice key_at(const struct copy *copy)
{
    size_t size;
    const char *key = rocksdb_iter_key(copy->at, &size);
    return slice_of(key, size);
}

static bool damaged_there(struct copy *copy)
{
    char *text = NULL;
    rocksdb_iter_get_error(copy->at, &text);
    rocksdb_free(text);
    return text != NULL;
}

/* ---- writing ---- */

static void flush(struct copy *copy)
{
    if (copy->status == 0)
        copy->status = rocks_commit(copy->to, copy->batch);
    rocksdb_writebatch_clear(copy->batch);
    copy->batched = 0;
}

static void put(struct copy *copy, struct slice key, const char *value, size_t size)
{
    rocksdb_writebatch_put_cf(copy->batch, copy->to->families[copy->family], (const char *)key.data,
                              key.size, value, size);
    copy->batched += key.size + size;
    if (copy->batched >= BATCH_SIZE)
        flush(copy);
}

static void put_this(struct copy *copy)
{
    size_t size;
    const char *value = rocksdb_iter_value(copy->at, &size);
    put(copy, key_at(copy), value, size);
}

/* ---- holes ---- */

static void remember_last(struct copy *copy)
{
    struct slice key = key_at(copy);
    copy->last.size = 0;
    buf_append(&copy->last, key.data, key.size);
}

/* The first key behind the hole that a seek finds: the bytes of `last` are raised from its end. */
static bool seek_beyond(struct copy *copy)
{
    struct slice last = buf_slice(&copy->last);
    struct buf probe = {0};
    bool found = false;
    for (size_t size = max_size(last.size, 1); size > 0 && !found; size--) {
        unsigned from = last.size > 0 ? last.data[size - 1] + 1u : 0;
        for (unsigned byte = from; byte < 256 && !found; byte++) {
            uint8_t end = (uint8_t)byte;
            probe.size = 0;
            buf_append(&probe, last.data, size - 1);
            buf_append(&probe, &end, 1);
            rocksdb_iter_seek(copy->at, (const char *)probe.blob->data, probe.size);
            found = rocksdb_iter_valid(copy->at);
        }
    }
    buf_free(&probe);
    return found;
}

/* Walks back to the hole, or to what was copied before it. */
static void copy_back(struct copy *copy)
{
    while (rocksdb_iter_valid(copy->at) &&
           slice_compare(key_at(copy), buf_slice(&copy->last)) > 0) {
        put_this(copy);
        rocksdb_iter_prev(copy->at);
    }
}

/* True: the walk can go on behind the hole. */
static bool cross_hole(struct copy *copy)
{
    if (!seek_beyond(copy)) {
        rocksdb_iter_seek_to_last(copy->at);
        copy_back(copy);
        return false;
    }
    struct slice key = key_at(copy);
    struct blob *behind = blob_copy(key);
    copy_back(copy);
    rocksdb_iter_seek(copy->at, (const char *)behind->data, behind->size);
    blob_unref(&behind);
    return rocksdb_iter_valid(copy->at);
}

static void copy_family(struct copy *copy)
{
    bool more = true;
    copy->at = rocksdb_create_iterator_cf(copy->from->db, copy->from->read,
                                          copy->from->families[copy->family]);
    copy->last.size = 0;
    rocksdb_iter_seek_to_first(copy->at);
    while (more && copy->status == 0) {
        for (; rocksdb_iter_valid(copy->at) && copy->status == 0; rocksdb_iter_next(copy->at)) {
            put_this(copy);
            remember_last(copy);
        }
        more = damaged_there(copy) && cross_hole(copy);
    }
    flush(copy);
    rocksdb_iter_destroy(copy->at);
}

/* ---- the new one takes the old one's place ---- */

static int remove_tree(const char *path)
{
    char *error = NULL;
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_destroy_db(options, path, &error); /* what is no database is left, and rmdir says so */
    rocksdb_free(error);
    rocksdb_options_destroy(options);
    return rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* A crash in between leaves the old or the new one in place, whole. */
static int take_place(const char *path, const char *fresh, const char *damaged)
{
    if (renameat2(AT_FDCWD, fresh, AT_FDCWD, path, RENAME_EXCHANGE) < 0)
        return -errno;
    return rename(fresh, damaged) < 0 ? -errno : 0;
}

static int copy_all(struct rocks *from, struct rocks *to)
{
    struct copy copy = {.from = from, .to = to, .batch = rocksdb_writebatch_create()};
    for (copy.family = 0; copy.family < ROCKS_FAMILIES; copy.family++)
        copy_family(&copy);
    rocksdb_writebatch_destroy(copy.batch);
    buf_free(&copy.last);
    return copy.status == 0 ? rocks_sync(to) : copy.status;
}

int salvage(const char *path, char *error, size_t error_size)
{
    char fresh[PATH_MAX], damaged[PATH_MAX];
    struct rocks from, to;
    snprintf(fresh, sizeof fresh, "%s.new", path);
    snprintf(damaged, sizeof damaged, "%s.damaged", path);
    int status = remove_tree(fresh); /* of a try before */
    if (status == 0)
        status = remove_tree(damaged);
    if (status < 0) {
        snprintf(error, error_size, "%s cannot be removed: %s", fresh, strerror(-status));
        return status;
    }
    status = rocks_open(&from, path, ROCKS_UP_TO_DAMAGE, error, error_size);
    if (status < 0)
        return status;
    status = rocks_open(&to, fresh, ROCKS_NEW, error, error_size);
    if (status == 0) {
        status = copy_all(&from, &to);
        rocks_close(&to);
    }
    rocks_close(&from);
    if (status == 0)
        status = take_place(path, fresh, damaged);
    if (status < 0)
        snprintf(error, error_size, "%s could not be copied: %s", path, strerror(-status));
    return status;
}
