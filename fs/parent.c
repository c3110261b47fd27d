/* parent: what a directory must know of its entries: its times, and that it is needed.
 *
 * Times are one merged put per directory and half a second. A put that made a name reads the
 * directory behind its answer: one that rmdir is burying, or has buried, is revived, so that no
 * file stands below a directory that is gone. */
#include "fs_priv.h"

#include <stdlib.h>

struct parent {
    struct fs *fs;
    struct blob *key;
    int64_t touched_ns;
    uint64_t timer;
    unsigned touching; /* puts of its times under way: one may take longer than the next is away */
    bool checking, check_again;
    unsigned tries;
};

static struct parent *parent_at(struct fs *fs, struct slice directory)
{
    struct parent *parent = map_get(&fs->parents, directory);
    if (parent)
        return parent;
    parent = base_alloc(sizeof *parent);
    *parent = (struct parent){.fs = fs, .key = blob_copy(directory)};
    map_put(&fs->parents, directory, parent);
    return parent;
}

static void free_parent(struct parent *parent)
{
    blob_unref(&parent->key);
    free(parent);
}

/* The root may have no record whose times could be raised: what was seen here stays. */
static void forget_if_idle(struct parent *parent)
{
    if (parent->timer || parent->touching || parent->checking || parent->key->size == 0)
        return;
    map_remove(&parent->fs->parents, blob_slice(parent->key));
    free_parent(parent);
}

int64_t parent_touched(struct fs *fs, struct slice directory)
{
    const struct parent *parent = map_get(&fs->parents, directory);
    return parent ? parent->touched_ns : 0;
}

void parents_free(struct fs *fs)
{
    MAP_EACH(entry, &fs->parents)
    {
        struct parent *parent = entry->value;
        if (parent->timer)
            fs->face.cancel(fs->face.arg, parent->timer);
        free_parent(parent);
    }
    map_free(&fs->parents);
}

/* ---- times ---- */

static void touched(void *arg, const struct toystore_result *result)
{
    struct parent *parent = arg;
    (void)result; /* a directory that is gone has no times; no quorum now, the next change tells */
    parent->touching--;
    forget_if_idle(parent);
}

static void touch_due(void *arg)
{
    struct parent *parent = arg;
    parent->timer = 0;
    parent->touching++;
    struct toystore_request request = {.type = TOYSTORE_PUT,
                                       .key = bytes_of(blob_slice(parent->key)),
                                       .change = TOYSTORE_TOUCH,
                                       .kind = TOYSTORE_DIRECTORY};
    request.attributes.mtime_ns = request.attributes.ctime_ns = parent->touched_ns;
    fs_submit(parent->fs, &request, touched, parent);
}

void parent_touch(struct fs *fs, struct slice key)
{
    struct parent *parent = parent_at(fs, key_parent_of(key));
    parent->touched_ns = fs_wall_ns(fs);
    if (parent->timer == 0)
        parent->timer = fs->face.after(fs->face.arg, TOUCH_DELAY_MS, touch_due, parent);
}

void parents_flush(struct fs *fs)
{
    MAP_EACH(entry, &fs->parents)
    {
        struct parent *parent = entry->value;
        if (parent->timer == 0)
            continue;
        fs->face.cancel(fs->face.arg, parent->timer);
        touch_due(parent); /* answered later: the map does not change here */
    }
}

/* ---- is it still there? ---- */

enum { CHECK_TRIES = 20 };

static void check(struct parent *parent);

static void check_end(struct parent *parent)
{
    parent->checking = false;
    parent->tries = 0;
    if (parent->check_again) {
        parent->check_again = false;
        check(parent);
        return;
    }
    forget_if_idle(parent);
}

static void revived(void *arg, const struct toystore_result *result)
{
    struct parent *parent = arg;
    if (result->status == TOYSTORE_OK) {
        parent_check(parent->fs, blob_slice(parent->key)); /* its own parent may be gone, too */
        check_end(parent);
    } else if (result->status == TOYSTORE_CONFLICT && parent->tries < CHECK_TRIES) {
        check(parent);
    } else {
        check_end(parent);
    }
}

static struct toystore_attributes attributes_of_gone(struct parent *parent)
{
    struct fs *fs = parent->fs;
    const struct node *node = node_at(fs, blob_slice(parent->key));
    struct toystore_attributes attributes = {
        .mode = S_IFDIR | 0755, .uid = fs->config.root_uid, .gid = fs->config.root_gid};
    if (node && node->seen.kind == TOYSTORE_DIRECTORY)
        attributes = node->seen.attributes;
    attributes.file = fs->face.op_new(fs->face.arg);
    attributes.mtime_ns = attributes.ctime_ns = attributes.atime_ns = fs_wall_ns(fs);
    return attributes;
}

static void check_seen(void *arg, int error, const struct seen *seen)
{
    struct parent *parent = arg;
    bool gone = error == -ENOENT;
    bool closing = error == 0 && (seen->attributes.flags & FLAG_CLOSING);
    if (!gone && !closing) {
        check_end(parent);
        return;
    }
    struct toystore_request request = {.type = TOYSTORE_PUT,
                                       .key = bytes_of(blob_slice(parent->key)),
                                       .condition = gone ? TOYSTORE_IF_ABSENT : TOYSTORE_IF_MATCH,
                                       .match = &seen->op,
                                       .match_count = gone ? 0 : 1,
                                       .exclusive = true,
                                       .change = TOYSTORE_SET,
                                       .kind = TOYSTORE_DIRECTORY};
    request.attributes = gone ? attributes_of_gone(parent) : seen->attributes;
    request.attributes.flags &= ~(uint32_t)FLAG_CLOSING;
    fs_submit(parent->fs, &request, revived, parent);
}

static void check(struct parent *parent)
{
    parent->checking = true;
    parent->tries++;
    look(parent->fs, blob_slice(parent->key), check_seen, parent);
}

void parent_check(struct fs *fs, struct slice key)
{
    struct slice directory = key_parent_of(key);
    if (directory.size == 0)
        return;
    struct parent *parent = parent_at(fs, directory);
    if (parent->checking)
        parent->check_again = true; /* the read under way may have begun before the put */
    else
        check(parent);
}

struct toystore_attributes fresh_attributes(struct node *parent, mode_t mode,
                                            struct fs_caller caller, int64_t now_ns)
{
    struct fs *fs = parent->fs;
    const struct toystore_attributes *above = &parent->seen.attributes;
    struct toystore_attributes attributes = {.mode = mode,
                                             .uid = caller.uid,
                                             .gid = caller.gid,
                                             .atime_ns = now_ns,
                                             .mtime_ns = now_ns,
                                             .ctime_ns = now_ns,
                                             .file = fs->face.op_new(fs->face.arg)};
    if (above->mode & S_ISGID) {
        attributes.gid = above->gid;
        if (S_ISDIR(mode))
            attributes.mode |= S_ISGID;
    }
    return attributes;
}
