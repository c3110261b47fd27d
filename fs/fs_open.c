/* fs_open: open, create, release: which version of a file a handle is on.
 *
 * Handles of one node share one content, and see each other's writes at once. An O_TRUNC of what is
 * not empty works on a content of its own until it is published, and a handle that is open on a
 * version that was replaced meanwhile keeps that: so a reader sees one whole version, never half of
 * one, and never the emptiness between a truncation and the first write. What reads whole small
 * files, and what is open beside another version of its node, goes around the kernel's pages, since
 * those are one set for all handles of a node.
 *
 * Enters from ops.c; leaves to look.c, content.c, publish.c. */
#include "fs_priv.h"
#include "reclaim.h"

#include <fcntl.h>
#include <stdlib.h>

struct opening {
    struct fs *fs;
    struct node *node; /* busy */
    int flags;
    struct fs_caller caller;
    struct seen seen;
    struct content *content, *rival; /* references */
    bool made;
    fs_done_fn *done;
    void *arg;
};

static bool read_only(int flags)
{
    return (flags & O_ACCMODE) == O_RDONLY;
}

static void opening_free(struct opening *opening)
{
    if (opening->content)
        content_unref(opening->content);
    if (opening->rival)
        content_unref(opening->rival);
    seen_free(&opening->seen);
    node_release(opening->node);
    free(opening);
}

static void fail(struct opening *opening, int error)
{
    answer_error(error, opening->done, opening->arg);
    opening_free(opening);
}

static struct handle *handle_new(struct fs *fs, struct node *node, int flags)
{
    pool_handle id;
    struct handle *handle = pool_new(&fs->handles, &id);
    if (handle == NULL)
        return NULL;
    *handle = (struct handle){.id = id, .node = node, .flags = flags};
    node_hold(node);
    return handle;
}

static bool write_only(int flags)
{
    return (flags & O_ACCMODE) == O_WRONLY;
}

/* Around the kernel's pages? A handle that only writes gains nothing from them: each write would
 * fill fresh ones before it leaves. But one node's handles must agree while any of them is open,
 * since pages do not follow what is written around them. */
static bool goes_around(const struct handle *handle)
{
    const struct node *node = handle->node;
    const struct content *content = handle->content;
    bool small = !content->reference && content->view.attributes.size <= INLINE_SIZE_MAX;
    if (node->contents > 1 || node->direct_writers > 0 || (read_only(handle->flags) && small))
        return true;
    return write_only(handle->flags) && node->cached_opens == 0;
}

/* Through the kernel's pages, or around them. */
static unsigned how_to_read(struct handle *handle)
{
    struct fs *fs = handle->node->fs;
    struct node *node = handle->node;
    unsigned open = read_only(handle->flags) ? FS_OPEN_NO_FLUSH : 0;
    handle->direct = goes_around(handle);
    if (handle->direct) {
        if (!read_only(handle->flags)) {
            node->direct_writers++;
            node->cached_version = 0; /* what the kernel still has of it does not follow */
        }
        return open | FS_OPEN_DIRECT;
    }
    node->cached_opens++;
    uint64_t version = content_version(handle->content);
    if (node->cached_version == version)
        return open | FS_OPEN_KEEP_CACHE;
    if (node->cached_version && fs->config.invalidate)
        fs->config.invalidate(fs->config.arg, node->id);
    node->cached_version = version;
    return open;
}

/* What a listing told the kernel may be older than what was opened, and would cut it. */
static void untell(struct node *node)
{
    struct fs *fs = node->fs;
    if (node->told_until_ns > fs->face.now_ns(fs->face.arg) && fs->config.invalidate)
        fs->config.invalidate(fs->config.arg, node->id);
    node->told_until_ns = 0;
}

static void answer_open(struct opening *opening)
{
    struct fs *fs = opening->fs;
    untell(opening->node);
    struct handle *handle = handle_new(fs, opening->node, opening->flags);
    if (handle == NULL) {
        fail(opening, -ENFILE);
        return;
    }
    handle->content = content_ref(opening->content);
    handle->failures_told = handle->content->failures;
    handle->content->handles++;
    handle->made = opening->made;
    handle->truncates = (opening->flags & O_TRUNC) != 0;
    struct fs_answer answer = {.node = opening->node->id, .handle = handle->id};
    answer.open = how_to_read(handle);
    if (opening->made)
        opening->node->lookups++;
    node_stat(opening->node, &answer.attr);
    opening->done(opening->arg, &answer);
    opening_free(opening);
}

/* ---- a replacement ---- */

void content_clear_set_id(struct content *content)
{
    if (content->view.attributes.mode & (S_ISUID | S_ISGID))
        content_change(content, (struct change){.type = CHANGE_SET, .set = CLEAR_SET_ID});
}

void content_truncate_to_nothing(struct content *content, unsigned set_id)
{
    content->replacing = content->base.attributes.size > 0;
    content_change(content, (struct change){.type = CHANGE_TRUNCATE});
    if (set_id)
        content_clear_set_id(content);
}

static void replacement_loaded(void *arg, int error)
{
    struct opening *opening = arg;
    if (error < 0) {
        fail(opening, error);
        return;
    }
    content_truncate_to_nothing(opening->content, opening->caller.uid != 0);
    answer_open(opening);
}

static void open_replacement(struct opening *opening)
{
    struct node *node = opening->node;
    struct content *shared = node->content;
    if (shared && shared->handles > 0 && node->cached_opens > 0 && node->current &&
        shared->loaded && shared->view.attributes.size > 0) {
        /* The kernel would cut the pages that its other handles read. Let it look again: it finds
         * a node of its own. */
        node_detach(node);
        fail(opening, -ESTALE);
        return;
    }
    opening->content = content_new(node);
    if (shared || opening->seen.attributes.size > 0)
        opening->content->detached = true;
    else
        node->content = opening->content;
    content_load(opening->content, &opening->seen, replacement_loaded, opening);
}

/* ---- what is there ---- */

static void attached(void *arg, int error)
{
    struct opening *opening = arg;
    if (error < 0)
        fail(opening, error);
    else
        answer_open(opening);
}

/* A newer version than the one that others have open: they follow when it only grew. */
static void rival_loaded(void *arg, int error)
{
    struct opening *opening = arg;
    struct content *shared = opening->content, *rival = opening->rival;
    if (error < 0) {
        fail(opening, error);
        return;
    }
    if (!content_dirty(shared) && !shared->publishing && shared->loaded &&
        image_extends(&rival->view, &shared->base)) {
        content_load(shared, &opening->seen, attached, opening);
        return;
    }
    opening->content = rival;
    opening->rival = shared;
    shared->detached = true;
    opening->node->content = rival;
    answer_open(opening);
}

static void open_seen(struct opening *opening)
{
    struct node *node = opening->node;
    if (opening->seen.sibling && !read_only(opening->flags)) {
        fail(opening, -EROFS);
        return;
    }
    if (opening->flags & O_TRUNC) {
        open_replacement(opening);
        return;
    }
    struct content *shared = node->content;
    if (shared == NULL) {
        opening->content = node->content = content_new(node);
        content_load(opening->content, &opening->seen, attached, opening);
        return;
    }
    opening->content = content_ref(shared);
    if (!shared->loaded) {
        content_load(shared, &opening->seen, attached, opening);
    } else if (content_dirty(shared) || shared->publishing ||
               content_matches(shared, &opening->seen)) {
        answer_open(opening);
    } else {
        opening->rival = content_new(node);
        content_load(opening->rival, &opening->seen, rival_loaded, opening);
    }
}

static void looked(void *arg, int error, const struct seen *seen)
{
    struct opening *opening = arg;
    struct node *node = opening->node;
    if (error == 0 && !op_equal(&seen->file, &node->seen.file)) {
        node_detach(node);
        error = -ESTALE;
    }
    bool no_file = error == 0 && seen->kind != TOYSTORE_FILE && seen->kind != TOYSTORE_REFERENCE;
    if (no_file || error == -ENOENT) /* the kernel looks it up again, and may create it */
        error = -ESTALE;
    if (error < 0) {
        fail(opening, error);
        return;
    }
    if (node->seen.at_ns <= seen->at_ns)
        node_saw(node, seen);
    opening->seen = *seen;
    seen_hold(&opening->seen);
    open_seen(opening);
}

static void open_control(struct opening *opening)
{
    struct handle *handle = handle_new(opening->fs, opening->node, opening->flags);
    int error = handle ? control_open(opening->node, handle) : -ENFILE;
    if (error == 0 && !read_only(opening->flags))
        error = -EACCES;
    if (error < 0) {
        if (handle)
            handle_free(opening->fs, handle);
        fail(opening, error);
        return;
    }
    struct fs_answer answer = {.handle = handle->id, .open = FS_OPEN_DIRECT | FS_OPEN_NO_FLUSH};
    opening->done(opening->arg, &answer);
    opening_free(opening);
}

void fs_open(struct fs *fs, uint64_t id, int flags, struct fs_caller caller, fs_done_fn *done,
             void *arg)
{
    struct node *node = node_get(fs, id);
    if (node == NULL) {
        answer_error(-ESTALE, done, arg);
        return;
    }
    struct opening *opening = base_alloc(sizeof *opening);
    *opening = (struct opening){.fs = fs, .node = node, .flags = flags, .caller = caller};
    opening->done = done;
    opening->arg = arg;
    node_hold(node);
    struct content *shared = node->content;
    bool here = shared && shared->loaded && (content_dirty(shared) || node->gone);
    if (node->control) {
        open_control(opening);
    } else if (here && !(flags & O_TRUNC)) {
        opening->content = content_ref(shared);
        answer_open(opening);
    } else if (node_fresh(node) && node->seen.value && !node->gone) {
        opening->seen = node->seen;
        seen_hold(&opening->seen);
        open_seen(opening);
    } else {
        look(fs, node->key, looked, opening);
    }
}

/* ---- create ---- */

static void created(void *arg, const struct toystore_result *result)
{
    struct opening *opening = arg;
    if (result->status != TOYSTORE_OK) {
        opening->node->gone = true;
        node_detach(opening->node);
        fail(opening, error_of(result));
        return;
    }
    opening->content->born = true;
    opening->content->published = opening->content->logged;
    opening->content->name_op = result->op;
    opening->node->seen.op = result->op;
    parent_touch(opening->fs, opening->node->key);
    parent_check(opening->fs, opening->node->key);
    answer_open(opening);
}

static void create_exclusive(struct opening *opening)
{
    struct content *content = opening->content;
    content->given_up = true; /* the put below is the one that makes it */
    struct toystore_request request = {.type = TOYSTORE_PUT,
                                       .key = bytes_of(opening->node->key),
                                       .condition = TOYSTORE_IF_ABSENT,
                                       .exclusive = true,
                                       .change = TOYSTORE_SET,
                                       .kind = TOYSTORE_FILE,
                                       .attributes = content->view.attributes};
    fs_submit(opening->fs, &request, created, opening);
}

void fs_create(struct fs *fs, uint64_t parent_id, const char *name, mode_t mode, int flags,
               struct fs_caller caller, fs_done_fn *done, void *arg)
{
    struct node *parent = node_get(fs, parent_id);
    struct slice key;
    int error = parent == NULL ? -ESTALE : name_join(parent->key, slice_str(name), &key);
    if (error == 0 && (parent->control || control_name(parent, name))) {
        slice_free(key);
        error = -EPERM;
    }
    if (error < 0) {
        answer_error(error, done, arg);
        return;
    }
    struct node *node = node_new(fs, key);
    slice_free(key);
    struct toystore_attributes attributes =
        fresh_attributes(parent, S_IFREG | (mode & 07777), caller, fs_wall_ns(fs));
    node->seen.kind = TOYSTORE_FILE;
    node->seen.file = attributes.file;
    node->seen.attributes = attributes;
    node_make_current(node);
    struct opening *opening = base_alloc(sizeof *opening);
    *opening = (struct opening){.fs = fs, .node = node, .flags = flags, .caller = caller};
    opening->done = done;
    opening->arg = arg;
    opening->made = true;
    opening->content = node->content = content_unborn(node, &attributes);
    opening->content->logged = 1; /* its being there is the first change */
    if (flags & O_EXCL) {
        create_exclusive(opening);
        return;
    }
    content_publish_later(opening->content, CREATE_DELAY_MS);
    answer_open(opening);
}

/* ---- release ---- */

void handle_free(struct fs *fs, struct handle *handle)
{
    struct content *content = handle->content;
    if (content) {
        content->handles--;
        if (!handle->direct)
            handle->node->cached_opens--;
        else if (!read_only(handle->flags))
            handle->node->direct_writers--;
        content_unref(content);
    }
    free(handle->text);
    struct node *node = handle->node;
    pool_delete(&fs->handles, handle->id);
    node_release(node);
}

struct releasing {
    struct fs *fs;
    struct content *content;
    fs_done_fn *done;
    void *arg;
};

static void released(void *arg, int error)
{
    struct releasing *releasing = arg;
    (void)error; /* nobody hears it; it was logged */
    content_unref(releasing->content);
    reclaim_unnamed(releasing->fs);
    answer_ok(releasing->done, releasing->arg);
    free(releasing);
}

void fs_release(struct fs *fs, uint64_t id, fs_done_fn *done, void *arg)
{
    struct handle *handle = pool_get(&fs->handles, id);
    if (handle == NULL) {
        answer_error(-EBADF, done, arg);
        return;
    }
    struct content *content = handle->content;
    if (content == NULL || read_only(handle->flags)) {
        handle_free(fs, handle);
        answer_ok(done, arg);
        return;
    }
    struct releasing *releasing = base_alloc(sizeof *releasing);
    *releasing = (struct releasing){fs, content_ref(content), done, arg};
    handle_free(fs, handle);
    content_publish(content, released, releasing);
}
