/* fs_dir: readdir: a directory's entries in the order of their cookies, which are hashes of the
 * names, so that a name that comes or goes meanwhile moves no other.
 *
 * Enters from ops.c; leaves to submit.c. */
#include "conflicts.h"

#include "base/hash.h"

#include <stdlib.h>

enum { LIST_LIMIT = 1024, LIST_LIMIT_LOOKED = 256, TOLD_US = 2000 };
enum { COOKIE_DOT = 1, COOKIE_DOT_DOT = 2 };

struct listing {
    struct fs *fs;
    uint64_t handle, offset, asked_ns;
    unsigned plus; /* entries that are wanted with attributes */
    size_t pending;
    fs_entry_fn *entry;
    fs_done_fn *done;
    void *arg;
};

static void dir_clear(struct dir *dir)
{
    for (size_t i = 0; i < dir->count; i++)
        free(dir->entries[i].name);
    free(dir->entries);
    dir->entries = NULL;
    dir->count = 0;
    dir->valid = dir->more = false;
}

void handle_free_dir(struct handle *handle)
{
    struct dir *dir = handle->dir;
    if (dir == NULL)
        return;
    handle->dir = NULL;
    dir_clear(dir);
    list_remove(&dir->link);
    free(dir);
}

static mode_t type_of(const struct seen *seen)
{
    switch (seen->kind) {
    case TOYSTORE_DIRECTORY:
        return S_IFDIR;
    case TOYSTORE_SYMLINK:
        return S_IFLNK;
    case TOYSTORE_SPECIAL:
        return seen->attributes.mode & S_IFMT;
    default:
        return S_IFREG;
    }
}

static void dir_fill(struct dir *dir, const struct listing *listing,
                     const struct toystore_result *result, bool root)
{
    dir_clear(dir);
    dir->entries = base_alloc((result->entry_count + 1) * sizeof *dir->entries);
    for (size_t i = 0; i < result->entry_count; i++) {
        const struct toystore_entry *from = &result->entries[i];
        struct slice name = slice_from(from->name);
        if (from->kind == TOYSTORE_TOMBSTONE || name_check(name) < 0 ||
            (root && slice_equal(name, slice_str(NAMES_RESERVED))))
            continue;
        struct dir_entry *to = &dir->entries[dir->count++];
        to->name = base_string(name);
        to->siblings = from->siblings;
        to->cookie = from->cookie;
        to->seen = (struct seen){.at_ns = listing->asked_ns,
                                 .listed = true,
                                 .kind = from->kind,
                                 .op = from->op,
                                 .attributes = from->attributes};
        to->seen.file = op_none(&from->attributes.file) ? from->op : from->attributes.file;
    }
    dir->after = listing->offset;
    dir->at_ns = listing->fs->face.now_ns(listing->fs->face.arg);
    dir->more = result->more;
    dir->valid = true;
}

/* False: there was no room for it. */
static bool answer_one(struct listing *listing, struct handle *handle, const struct dir_entry *from)
{
    struct fs_entry entry = {
        .attr = {.st_ino = ino_of(&from->seen.file), .st_mode = type_of(&from->seen)}};
    struct node *node = listing->plus ? dir_node(handle->dir, from, FRESH_MS) : NULL;
    if (node) {
        entry.node = node->id;
        entry.valid_us = TOLD_US;
        node_stat(node, &entry.attr);
        node->told_until_ns = listing->fs->face.now_ns(listing->fs->face.arg) + TOLD_US * 1000;
    }
    bool taken = listing->entry(listing->arg, from->name, &entry, from->cookie);
    if (node) {
        node->lookups += taken;
        node_release(node);
    }
    return taken;
}

static void answer_entries(void *arg)
{
    struct listing *listing = arg;
    struct handle *handle = pool_get(&listing->fs->handles, listing->handle);
    if (handle == NULL) {
        answer_error(-EBADF, listing->done, listing->arg);
        free(listing);
        return;
    }
    for (size_t i = 0; i < handle->dir->count; i++) {
        const struct dir_entry *entry = &handle->dir->entries[i];
        if (entry->cookie > listing->offset && !answer_one(listing, handle, entry))
            break;
    }
    answer_ok(listing->done, listing->arg);
    free(listing);
}

static void answer_all(void *arg, int error)
{
    struct listing *listing = arg;
    struct handle *handle = pool_get(&listing->fs->handles, listing->handle);
    if (handle && error < 0) {
        dir_clear(handle->dir);
        answer_error(error, listing->done, listing->arg);
        free(listing);
        return;
    }
    if (handle)
        handle->dir->valid = true;
    answer_entries(listing);
}

/* .toystore/conflicts: all of it at the first read, for all that follow. */
static void list_conflicts(struct listing *listing, struct dir *dir)
{
    if (listing->offset == 0)
        conflicts_list(dir, answer_all, listing);
    else
        answer_entries(listing);
}

static void answer_listed(struct listing *listing);

static void siblings_found(void *arg, int error)
{
    struct listing *listing = arg;
    struct handle *handle = pool_get(&listing->fs->handles, listing->handle);
    (void)error; /* a name whose siblings cannot be read has none to show */
    if (handle)
        answer_listed(listing);
    else
        answer_entries(listing); /* says that it is gone */
}

static void answer_listed(struct listing *listing)
{
    struct handle *handle = pool_get(&listing->fs->handles, listing->handle);
    if (listing->plus)
        dir_records(handle->dir, listing->offset, listing->plus, answer_entries, listing);
    else
        answer_entries(listing);
}

/* Whether the entry behind `offset` is in what was listed last, or known not to exist. */
static bool dir_has(const struct dir *dir, uint64_t offset)
{
    if (!dir->valid || offset < dir->after)
        return false;
    return !dir->more || (dir->count > 0 && dir->entries[dir->count - 1].cookie > offset);
}

static void list_more(struct listing *listing);

static void listed(void *arg, const struct toystore_result *result)
{
    struct listing *listing = arg;
    struct handle *handle = pool_get(&listing->fs->handles, listing->handle);
    int error = handle ? error_of(result) : -EBADF;
    if (error < 0 && error != -ENOENT) {
        answer_error(error, listing->done, listing->arg);
        free(listing);
        return;
    }
    bool root = handle->node == listing->fs->root;
    dir_fill(handle->dir, listing, result, root);
    if (handle->dir->count == 0 && result->entry_count > 0 && result->more) {
        /* nothing but what is never listed: go on behind it */
        listing->offset = result->entries[result->entry_count - 1].cookie;
        list_more(listing);
        return;
    }
    if (listing->fs->config.show_conflicts)
        conflicts_show(handle->dir, siblings_found, listing);
    else
        answer_listed(listing);
}

static void list_more(struct listing *listing)
{
    struct fs *fs = listing->fs;
    const struct handle *handle = pool_get(&fs->handles, listing->handle);
    listing->asked_ns = fs->face.now_ns(fs->face.arg);
    handle->dir->changed = handle->dir->no_records = handle->dir->valid = false;
    struct toystore_request request = {.type = TOYSTORE_LIST,
                                       .key = bytes_of(handle->node->key),
                                       .after = listing->offset,
                                       .limit = listing->plus ? LIST_LIMIT_LOOKED : LIST_LIMIT};
    fs_submit(fs, &request, listed, listing);
}

/* ---- names that were made here and have not left yet come first ---- */

static void child_published(void *arg, int error)
{
    struct listing *listing = arg;
    (void)error; /* who made it hears of it */
    if (--listing->pending > 0)
        return;
    if (pool_get(&listing->fs->handles, listing->handle) == NULL) {
        answer_error(-EBADF, listing->done, listing->arg);
        free(listing);
        return;
    }
    list_more(listing);
}

static void publish_children(struct listing *listing, struct slice directory)
{
    struct fs *fs = listing->fs;
    listing->pending = 1;
    struct list *link = fs->contents.next;
    while (link != &fs->contents) {
        struct content *content = content_ref(container_of(link, struct content, link));
        if (!content->born && slice_equal(key_parent_of(content->node->key), directory) &&
            content_dirty(content)) {
            listing->pending++;
            content_publish(content, child_published, listing);
        }
        link = content->link.next;
        content_unref(content);
    }
    child_published(listing, 0);
}

/* ---- the requests ---- */

void fs_opendir(struct fs *fs, uint64_t id, struct fs_caller caller, fs_done_fn *done, void *arg)
{
    struct node *node = node_get(fs, id);
    pool_handle handle_id;
    struct handle *handle = node ? pool_new(&fs->handles, &handle_id) : NULL;
    if (handle == NULL) {
        answer_error(node ? -ENFILE : -ESTALE, done, arg);
        return;
    }
    *handle = (struct handle){.id = handle_id, .node = node};
    handle->dir = base_alloc(sizeof *handle->dir);
    *handle->dir = (struct dir){
        .handle = handle_id, .node = node, .hash = hash64(node->key), .pid = caller.pid};
    list_push_back(&fs->dirs, &handle->dir->link);
    node_hold(node);
    struct fs_answer answer = {.handle = handle_id};
    done(arg, &answer);
}

static bool dots(const struct handle *handle, uint64_t *offset, fs_entry_fn *entry, void *arg)
{
    struct fs_entry dot = {.attr = {.st_ino = FS_ROOT, .st_mode = S_IFDIR}};
    if (handle->node != handle->node->fs->root)
        dot.attr.st_ino = ino_of(&handle->node->seen.file);
    if (*offset < COOKIE_DOT) {
        if (!entry(arg, ".", &dot, COOKIE_DOT))
            return false;
        *offset = COOKIE_DOT;
    }
    if (*offset < COOKIE_DOT_DOT) {
        if (!entry(arg, "..", &dot, COOKIE_DOT_DOT))
            return false;
        *offset = COOKIE_DOT_DOT;
    }
    return true;
}

void fs_readdir(struct fs *fs, uint64_t id, uint64_t offset, unsigned plus, fs_entry_fn *entry,
                fs_done_fn *done, void *arg)
{
    struct handle *handle = pool_get(&fs->handles, id);
    if (handle == NULL || handle->dir == NULL) {
        answer_error(-EBADF, done, arg);
        return;
    }
    bool from_begin = offset == 0;
    if (!dots(handle, &offset, entry, arg)) {
        answer_ok(done, arg);
        return;
    }
    if (handle->node->control && handle->node->control != CONTROL_CONFLICTS) {
        control_list(handle->node, offset, entry, arg);
        answer_ok(done, arg);
        return;
    }
    struct listing *listing = base_alloc(sizeof *listing);
    *listing = (struct listing){
        .fs = fs, .handle = id, .plus = plus, .entry = entry, .done = done, .arg = arg};
    listing->offset = offset <= COOKIE_DOT_DOT ? 0 : offset;
    if (!handle->dir->looked)
        listing->plus = 0;
    if (from_begin || (listing->plus && !dir_holds(handle->dir, FRESH_MS)))
        dir_clear(handle->dir);
    if (handle->node->control)
        list_conflicts(listing, handle->dir);
    else if (dir_has(handle->dir, listing->offset))
        answer_listed(listing);
    else if (from_begin)
        publish_children(listing, handle->node->key);
    else
        list_more(listing);
}

void fs_releasedir(struct fs *fs, uint64_t id)
{
    struct handle *handle = pool_get(&fs->handles, id);
    if (handle == NULL)
        return;
    handle_free_dir(handle);
    handle_free(fs, handle);
}

static void dir_synced(void *arg, const struct toystore_result *result)
{
    struct listing *listing = arg;
    struct fs_answer answer = {.error = error_of(result)};
    if (answer.error == -ENOENT) /* a root without a record has nothing to sync */
        answer.error = 0;
    listing->done(listing->arg, &answer);
    free(listing);
}

void fs_fsyncdir(struct fs *fs, uint64_t id, fs_done_fn *done, void *arg)
{
    struct handle *handle = pool_get(&fs->handles, id);
    if (handle == NULL) {
        answer_error(-EBADF, done, arg);
        return;
    }
    if (handle->node == fs->root || handle->node->control) {
        answer_ok(done, arg);
        return;
    }
    struct listing *listing = base_alloc(sizeof *listing);
    *listing = (struct listing){.fs = fs, .done = done, .arg = arg};
    struct toystore_bytes key = bytes_of(handle->node->key);
    struct toystore_request request = {.type = TOYSTORE_SYNC,
                                       .key = key,
                                       .keys = &key,
                                       .key_count = 1,
                                       .key_ops = &handle->node->seen.op};
    fs_submit(fs, &request, dir_synced, listing);
}
