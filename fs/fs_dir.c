/* fs_dir: readdir: a directory's entries in the order of their cookies, which are hashes of the
 * names, so that a name that comes or goes meanwhile moves no other.
 *
 * Enters from ops.c; leaves to submit.c. */
#include "fs_priv.h"

#include <stdlib.h>

enum { LIST_LIMIT = 1024, COOKIE_DOT = 1, COOKIE_DOT_DOT = 2 };

struct dir_entry {
    char *name;
    uint64_t cookie;
    struct stat attr;
};

/* The entries behind `after`, as they were listed last. */
struct dir {
    struct dir_entry *entries;
    size_t count;
    uint64_t after;
    bool valid, more;
};

struct listing {
    struct fs *fs;
    uint64_t handle, offset;
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
    *dir = (struct dir){0};
}

void dir_free(struct dir *dir)
{
    dir_clear(dir);
    free(dir);
}

static mode_t type_of(const struct toystore_entry *entry)
{
    switch (entry->kind) {
    case TOYSTORE_DIRECTORY:
        return S_IFDIR;
    case TOYSTORE_SYMLINK:
        return S_IFLNK;
    case TOYSTORE_SPECIAL:
        return entry->attributes.mode & S_IFMT;
    default:
        return S_IFREG;
    }
}

static void dir_fill(struct dir *dir, uint64_t after, const struct toystore_result *result,
                     bool root)
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
        to->cookie = from->cookie;
        const struct toystore_op *file =
            op_none(&from->attributes.file) ? &from->op : &from->attributes.file;
        to->attr.st_ino = ino_of(file);
        to->attr.st_mode = type_of(from);
    }
    dir->after = after;
    dir->more = result->more;
    dir->valid = true;
}

static void answer_entries(struct listing *listing, const struct dir *dir)
{
    for (size_t i = 0; i < dir->count; i++) {
        const struct dir_entry *entry = &dir->entries[i];
        if (entry->cookie > listing->offset &&
            !listing->entry(listing->arg, entry->name, &entry->attr, entry->cookie))
            break;
    }
    answer_ok(listing->done, listing->arg);
    free(listing);
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
    dir_fill(handle->dir, listing->offset, result, root);
    if (handle->dir->count == 0 && result->entry_count > 0 && result->more) {
        /* nothing but what is never listed: go on behind it */
        listing->offset = result->entries[result->entry_count - 1].cookie;
        list_more(listing);
        return;
    }
    answer_entries(listing, handle->dir);
}

static void list_more(struct listing *listing)
{
    const struct handle *handle = pool_get(&listing->fs->handles, listing->handle);
    struct toystore_request request = {.type = TOYSTORE_LIST,
                                       .key = bytes_of(handle->node->key),
                                       .after = listing->offset,
                                       .limit = LIST_LIMIT};
    fs_submit(listing->fs, &request, listed, listing);
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

void fs_opendir(struct fs *fs, uint64_t id, fs_done_fn *done, void *arg)
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
    node_hold(node);
    struct fs_answer answer = {.handle = handle_id};
    done(arg, &answer);
}

static bool dots(const struct handle *handle, uint64_t *offset, fs_entry_fn *entry, void *arg)
{
    struct stat attr = {.st_ino = FS_ROOT, .st_mode = S_IFDIR};
    if (handle->node != handle->node->fs->root)
        attr.st_ino = ino_of(&handle->node->seen.file);
    if (*offset < COOKIE_DOT) {
        if (!entry(arg, ".", &attr, COOKIE_DOT))
            return false;
        *offset = COOKIE_DOT;
    }
    if (*offset < COOKIE_DOT_DOT) {
        if (!entry(arg, "..", &attr, COOKIE_DOT_DOT))
            return false;
        *offset = COOKIE_DOT_DOT;
    }
    return true;
}

void fs_readdir(struct fs *fs, uint64_t id, uint64_t offset, fs_entry_fn *entry, fs_done_fn *done,
                void *arg)
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
    if (handle->node->control) {
        control_list(handle->node, offset, entry, arg);
        answer_ok(done, arg);
        return;
    }
    struct listing *listing = base_alloc(sizeof *listing);
    *listing = (struct listing){.fs = fs, .handle = id, .entry = entry, .done = done, .arg = arg};
    listing->offset = offset <= COOKIE_DOT_DOT ? 0 : offset;
    if (from_begin)
        dir_clear(handle->dir);
    if (dir_has(handle->dir, listing->offset))
        answer_entries(listing, handle->dir);
    else if (from_begin)
        publish_children(listing, handle->node->key);
    else
        list_more(listing);
}

void fs_releasedir(struct fs *fs, uint64_t id)
{
    struct handle *handle = pool_get(&fs->handles, id);
    if (handle)
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
    struct toystore_request request = {
        .type = TOYSTORE_SYNC, .key = key, .keys = &key, .key_count = 1};
    fs_submit(fs, &request, dir_synced, listing);
}
