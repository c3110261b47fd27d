/* node: the table of what the kernel knows by number, and by which name it stands in the store. */
#include "fs_priv.h"

#include "base/hash.h"

#include <stdlib.h>

struct node *node_get(struct fs *fs, uint64_t id)
{
    if (id == FS_ROOT)
        return fs->root;
    return pool_get(&fs->nodes, id);
}

struct node *node_at(struct fs *fs, struct slice key)
{
    return key.size ? map_get(&fs->by_key, key) : fs->root;
}

struct node *node_new(struct fs *fs, struct slice key)
{
    pool_handle id;
    struct node *node = pool_new(&fs->nodes, &id);
    assert(node != NULL);
    *node = (struct node){.fs = fs, .id = id, .busy = 1};
    node->key = slice_of(base_string(key), key.size);
    return node;
}

void node_hold(struct node *node)
{
    node->busy++;
}

static void drop_value(struct node *node)
{
    if (!list_linked(&node->valued))
        return;
    list_remove(&node->valued);
    node->fs->valued_bytes -= node->seen.value->size;
    blob_unref(&node->seen.value);
}

void slice_free(struct slice owned)
{
    union {
        const uint8_t *bytes;
        void *memory;
    } pointer = {.bytes = owned.data};
    free(pointer.memory);
}

void node_free_key(struct node *node)
{
    slice_free(node->key);
}

static void delete_if_unused(struct node *node)
{
    struct fs *fs = node->fs;
    if (node->busy > 0 || node->lookups > 0 || node == fs->root)
        return;
    node_detach(node);
    drop_value(node);
    seen_free(&node->seen);
    slice_free(node->key);
    pool_delete(&fs->nodes, node->id);
}

void node_release(struct node *node)
{
    assert(node->busy > 0);
    node->busy--;
    delete_if_unused(node);
}

void node_detach(struct node *node)
{
    if (!node->current)
        return;
    map_remove(&node->fs->by_key, node->key);
    node->current = false;
}

void node_rename(struct node *node, struct slice key)
{
    node_detach(node);
    struct slice old = node->key;
    node->key = slice_of(base_string(key), key.size);
    slice_free(old);
    node_make_current(node);
}

void node_make_current(struct node *node)
{
    struct node *other = node_at(node->fs, node->key);
    if (other == node)
        return;
    if (other)
        node_detach(other);
    map_put(&node->fs->by_key, node->key, node);
    node->current = true;
}

void node_saw(struct node *node, const struct seen *seen)
{
    struct fs *fs = node->fs;
    drop_value(node);
    struct seen old = node->seen;
    node->seen = *seen;
    seen_hold(&node->seen);
    seen_free(&old);
    if (node->seen.value == NULL)
        return;
    fs->valued_bytes += node->seen.value->size;
    list_push_back(&fs->valued, &node->valued);
    while (fs->valued_bytes > VALUES_MAX) {
        struct node *oldest = container_of(fs->valued.next, struct node, valued);
        drop_value(oldest);
    }
}

bool node_fresh(const struct node *node)
{
    struct fs *fs = node->fs;
    if (node->seen.at_ns == 0 || node->seen.listed)
        return false;
    return fs->face.now_ns(fs->face.arg) - node->seen.at_ns < (uint64_t)FRESH_MS * 1000000;
}

void node_expire(struct node *node)
{
    node->seen.at_ns = 0;
}

/* Whether a node may go on under its id now that `seen` stands at its name. Handles that are open
 * on another version keep the node to themselves, unless that version merely grew: the kernel has
 * one size and one set of pages for a node. */
static bool may_show(const struct node *node, const struct seen *seen)
{
    if (node->gone || !op_equal(&node->seen.file, &seen->file) ||
        (node->seen.kind == TOYSTORE_DIRECTORY) != (seen->kind == TOYSTORE_DIRECTORY))
        return false;
    const struct content *content = node->content;
    return content == NULL || content->handles == 0 || !content->loaded || content_dirty(content) ||
           content_matches(content, seen);
}

/* A listing that shows the version that is known brings nothing new, and has less of it. */
static bool brings_nothing(const struct node *node, const struct seen *seen)
{
    return seen->listed && !node->seen.listed && node->seen.kind == seen->kind &&
           op_equal(&node->seen.op, &seen->op) && op_equal(&node->seen.record_op, &seen->record_op);
}

struct node *node_for(struct fs *fs, struct slice key, const struct seen *seen)
{
    struct node *node = node_at(fs, key);
    if (node && (node == fs->root || may_show(node, seen))) {
        node_hold(node);
    } else {
        node = node_new(fs, key);
        node_make_current(node);
    }
    /* An answer that was asked for earlier may arrive later. */
    if (node->seen.at_ns <= seen->at_ns && !brings_nothing(node, seen))
        node_saw(node, seen);
    return node;
}

static struct timespec timespec_of(int64_t ns)
{
    struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    if (time.tv_nsec < 0) {
        time.tv_nsec += 1000000000;
        time.tv_sec--;
    }
    return time;
}

static void stat_from(struct stat *to, const struct toystore_attributes *from, uint64_t ino)
{
    *to = (struct stat){.st_ino = ino,
                        .st_mode = from->mode,
                        .st_nlink = 1,
                        .st_uid = from->uid,
                        .st_gid = from->gid,
                        .st_rdev = from->rdev,
                        .st_size = (off_t)from->size,
                        .st_blksize = 4096,
                        .st_blocks = (blkcnt_t)((from->size + 511) / 512),
                        .st_atim = timespec_of(from->atime_ns),
                        .st_mtim = timespec_of(from->mtime_ns),
                        .st_ctim = timespec_of(from->ctime_ns)};
}

/* A sibling has a number of its own, or cp would take it for the file that it is to replace. */
static uint64_t number_of(const struct node *node, const struct content *content)
{
    if (node == node->fs->root)
        return FS_ROOT;
    if (node->control != CONTROL_NONE)
        return hash64(node->key) | 2;
    if (node->seen.sibling)
        return ino_of(&node->seen.op);
    return ino_of(content ? &content->file : &node->seen.file);
}

void content_stat(const struct node *node, const struct content *content, struct stat *attr)
{
    bool open = content && content->loaded;
    stat_from(attr, open ? &content->view.attributes : &node->seen.attributes,
              number_of(node, open ? content : NULL));
    if (node->seen.sibling)
        attr->st_mode &= ~(mode_t)0222;
}

void node_stat(const struct node *node, struct stat *attr)
{
    content_stat(node, node->content, attr);
    if (S_ISDIR(attr->st_mode)) {
        int64_t touched_ns = parent_touched(node->fs, node->key);
        if (touched_ns > node->seen.attributes.mtime_ns)
            attr->st_mtim = attr->st_ctim = timespec_of(touched_ns);
    }
}

void answer_entry(struct node *node, fs_done_fn *done, void *arg)
{
    struct fs_answer answer = {.node = node->id};
    node->lookups++;
    node_stat(node, &answer.attr);
    done(arg, &answer);
}

void answer_error(int error, fs_done_fn *done, void *arg)
{
    assert(error < 0);
    struct fs_answer answer = {.error = error};
    done(arg, &answer);
}

void answer_ok(fs_done_fn *done, void *arg)
{
    struct fs_answer answer = {0};
    done(arg, &answer);
}
