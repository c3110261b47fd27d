/* fs: making, draining and freeing a file system; lookup and forget. */
#include "conflicts.h"
#include "reclaim.h"

#include <stdlib.h>

struct fs *fs_new(const struct fs_config *config)
{
    struct fs *fs = base_alloc(sizeof *fs);
    fs->config = *config;
    fs->face = config->face;
    if (fs->config.timeout_ms == 0)
        fs->config.timeout_ms = FS_TIMEOUT_MS;
    pool_init(&fs->nodes, sizeof(struct node), NODES_MAX);
    pool_init(&fs->handles, sizeof(struct handle), HANDLES_MAX);
    list_init(&fs->dirs);
    list_init(&fs->second_looks);
    list_init(&fs->contents);
    list_init(&fs->garbage);
    list_init(&fs->unnamed);
    list_init(&fs->valued);
    list_init(&fs->send_queue);
    list_init(&fs->room_waiters);
    list_init(&fs->cache);
    struct node *root = base_alloc(sizeof *root);
    *root = (struct node){.fs = fs, .id = FS_ROOT, .busy = 1, .current = true};
    root->key = slice_of(base_string(slice_str("")), 0);
    root->seen.kind = TOYSTORE_DIRECTORY;
    int64_t now_ns = fs_wall_ns(fs);
    root->seen.attributes = (struct toystore_attributes){
        .mode = S_IFDIR | (config->root_mode ? config->root_mode : 0755),
        .uid = config->root_uid,
        .gid = config->root_gid,
        .atime_ns = now_ns,
        .mtime_ns = now_ns,
        .ctime_ns = now_ns};
    fs->root = root;
    return fs;
}

/* ---- draining: all handles count as released ---- */

enum { DRAIN_POLL_MS = 1 };

struct drain {
    struct fs *fs;
    size_t pending;
    void (*done)(void *arg);
    void *arg;
};

bool fs_idle(const struct fs *fs)
{
    return fs->under_way == 0;
}

/* What was asked behind answers (times of directories, their being there) ends, too. */
static void wait_idle(void *arg)
{
    struct drain *drain = arg;
    struct fs *fs = drain->fs;
    if (!fs_idle(fs)) {
        fs->face.after(fs->face.arg, DRAIN_POLL_MS, wait_idle, drain);
        return;
    }
    struct drain drained = *drain;
    free(drain);
    drained.done(drained.arg);
}

static void drained_one(void *arg, int error)
{
    struct drain *drain = arg;
    (void)error; /* it was logged where it happened */
    if (--drain->pending > 0)
        return;
    parents_flush(drain->fs);
    reclaim_finish(drain->fs, wait_idle, drain);
}

void fs_drain(struct fs *fs, void (*done)(void *arg), void *arg)
{
    struct drain *drain = base_alloc(sizeof *drain);
    *drain = (struct drain){.fs = fs, .pending = 1, .done = done, .arg = arg};
    struct list *link = fs->contents.next;
    while (link != &fs->contents) {
        struct content *content = content_ref(container_of(link, struct content, link));
        drain->pending++;
        content_publish(content, drained_one, drain);
        link = content->link.next;
        content_unref(content);
    }
    drained_one(drain, 0);
}

void fs_free(struct fs *fs)
{
    for (size_t i = 0; i < fs->handles.capacity; i++) {
        struct handle *handle = fs->handles.objects[i];
        if (handle == NULL)
            continue;
        handle_free_dir(handle);
        handle_free(fs, handle);
    }
    for (size_t i = 0; i < fs->nodes.capacity; i++) {
        struct node *node = fs->nodes.objects[i];
        if (node == NULL)
            continue;
        node->lookups = 0;
        node_hold(node);
        node_release(node);
    }
    reclaim_free(fs);
    second_looks_free(fs);
    parents_free(fs);
    map_free(&fs->by_key);
    pool_free(&fs->handles);
    pool_free(&fs->nodes);
    seen_free(&fs->root->seen);
    node_free_key(fs->root);
    free(fs->root);
    free(fs);
}

/* ---- lookup ---- */

struct lookup {
    struct fs *fs;
    struct slice key; /* owned */
    fs_done_fn *done;
    void *arg;
};

static void lookup_end(struct lookup *lookup)
{
    slice_free(lookup->key);
    free(lookup);
}

/* A file that was made here and has not left yet, or has changes that have not: it is as the mount
 * sees it. */
static bool known_here(const struct node *node)
{
    return node && !node->gone && node->content && node->content->loaded &&
           content_dirty(node->content);
}

static void lookup_seen(void *arg, int error, const struct seen *seen)
{
    struct lookup *lookup = arg;
    struct fs *fs = lookup->fs;
    struct node *node = node_at(fs, lookup->key);
    if (known_here(node)) { /* made while the answer was under way */
        answer_entry(node, lookup->done, lookup->arg);
    } else if (error < 0) {
        if (error == -ENOENT && node && node->content == NULL)
            node_detach(node);
        answer_error(error, lookup->done, lookup->arg);
    } else {
        node = node_for(fs, lookup->key, seen);
        answer_entry(node, lookup->done, lookup->arg);
        node_release(node);
    }
    lookup_end(lookup);
}

static void lookup_listed(void *arg, struct node *node)
{
    struct lookup *lookup = arg;
    if (node == NULL) {
        look(lookup->fs, lookup->key, lookup_seen, lookup);
        return;
    }
    answer_entry(node, lookup->done, lookup->arg);
    node_release(node);
    lookup_end(lookup);
}

void fs_lookup(struct fs *fs, uint64_t parent_id, const char *name, struct fs_caller caller,
               fs_done_fn *done, void *arg)
{
    struct node *parent = node_get(fs, parent_id);
    if (parent == NULL) {
        answer_error(-ESTALE, done, arg);
        return;
    }
    struct node *control = control_lookup(fs, parent, name);
    if (control) {
        answer_entry(control, done, arg);
        node_release(control);
        return;
    }
    if (parent->control == CONTROL_CONFLICTS) {
        conflicts_lookup(fs, parent, name, done, arg);
        return;
    }
    struct slice key;
    int error = parent->control ? -ENOENT : name_join(parent->key, slice_str(name), &key);
    if (error < 0) {
        answer_error(error, done, arg);
        return;
    }
    struct node *node = node_at(fs, key);
    if (known_here(node)) {
        slice_free(key);
        answer_entry(node, done, arg);
        return;
    }
    struct lookup *lookup = base_alloc(sizeof *lookup);
    *lookup = (struct lookup){.fs = fs, .key = key, .done = done, .arg = arg};
    dirs_lookup(parent, key, caller.pid, lookup_listed, lookup);
}

void fs_forget(struct fs *fs, uint64_t id, uint64_t count)
{
    struct node *node = node_get(fs, id);
    if (node == NULL || node == fs->root)
        return;
    node->lookups -= min_u64(count, node->lookups);
    node_hold(node);
    node_release(node);
}
