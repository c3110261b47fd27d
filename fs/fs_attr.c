/* fs_attr: getattr, setattr, readlink.
 *
 * Enters from ops.c; leaves to look.c and publish.c. */
#include "fs_priv.h"

#include <stdlib.h>

enum { ROOT_PATIENCE_MS = 1000 };

/* ---- getattr ---- */

struct getting {
    struct fs *fs;
    struct node *node;               /* busy */
    struct content *content, *rival; /* references, or NULL */
    struct seen seen;
    fs_done_fn *done;
    void *arg;
};

static void get_free(struct getting *getting)
{
    if (getting->content)
        content_unref(getting->content);
    if (getting->rival)
        content_unref(getting->rival);
    seen_free(&getting->seen);
    node_release(getting->node);
    free(getting);
}

static void get_answer(struct getting *getting)
{
    struct fs_answer answer = {.node = getting->node->id};
    const struct content *content = getting->content;
    if (content && content->loaded)
        content_stat(getting->node, content, &answer.attr);
    else
        node_stat(getting->node, &answer.attr);
    if (getting->node->gone)
        answer.attr.st_nlink = 0;
    getting->done(getting->arg, &answer);
    get_free(getting);
}

static void followed(void *arg, int error)
{
    (void)error; /* the handle stays with what it has */
    get_answer(arg);
}

/* A handle follows its file when that merely grew (tail -f), and keeps its version otherwise. */
static void rival_loaded(void *arg, int error)
{
    struct getting *getting = arg;
    struct content *content = getting->content;
    if (error == 0 && !content_dirty(content) && !content->publishing &&
        image_extends(&getting->rival->view, &content->base))
        content_load(content, &getting->seen, followed, getting);
    else
        get_answer(getting);
}

static void get_seen(void *arg, int error, const struct seen *seen)
{
    struct getting *getting = arg;
    struct node *node = getting->node;
    struct content *content = getting->content;
    if (node == getting->fs->root) {
        /* Every path begins here. Where its own owners cannot be asked soon, what was known of it
         * holds, or nothing below could be reached, whoever owns that. */
        if (error == 0)
            node_saw(node, seen);
        get_answer(getting);
        return;
    }
    bool other = error == 0 && !op_equal(&seen->file, &node->seen.file);
    if (content && (error == -ENOENT || other)) { /* open, and unlinked or moved elsewhere */
        get_answer(getting);
        return;
    }
    if (error < 0 || other) {
        node_detach(node);
        answer_error(other ? -ESTALE : error, getting->done, getting->arg);
        get_free(getting);
        return;
    }
    if (node->seen.at_ns <= seen->at_ns)
        node_saw(node, seen);
    if (content == NULL || content_dirty(content) || content->publishing ||
        content_matches(content, seen) ||
        (seen->kind != TOYSTORE_FILE && seen->kind != TOYSTORE_REFERENCE)) {
        get_answer(getting);
        return;
    }
    getting->seen = *seen;
    seen_hold(&getting->seen);
    getting->rival = content_new(node);
    content_load(getting->rival, &getting->seen, rival_loaded, getting);
}

void fs_getattr(struct fs *fs, uint64_t id, uint64_t handle_id, fs_done_fn *done, void *arg)
{
    struct node *node = node_get(fs, id);
    const struct handle *handle = handle_id ? pool_get(&fs->handles, handle_id) : NULL;
    if (node == NULL) {
        answer_error(-ESTALE, done, arg);
        return;
    }
    struct getting *getting = base_alloc(sizeof *getting);
    *getting = (struct getting){.fs = fs, .node = node, .done = done, .arg = arg};
    node_hold(node);
    struct content *content = handle && handle->content ? handle->content : node->content;
    if (content && content->loaded)
        getting->content = content_ref(content);
    bool here = getting->content && (content_dirty(content) || content->publishing);
    if (node->control || node->gone || here || node_fresh(node))
        get_answer(getting);
    else
        look_within(fs, node->key, node == fs->root ? ROOT_PATIENCE_MS : 0, get_seen, getting);
}

/* ---- setattr ---- */

struct setting {
    struct fs *fs;
    struct node *node; /* busy */
    struct content *content;
    struct seen seen;
    struct change change;
    bool truncates;
    uint64_t size;
    unsigned tries;
    fs_done_fn *done;
    void *arg;
};

static void set_free(struct setting *setting)
{
    if (setting->content)
        content_unref(setting->content);
    seen_free(&setting->seen);
    node_release(setting->node);
    free(setting);
}

static void set_end(struct setting *setting, int error)
{
    struct fs_answer answer = {.error = error};
    if (error == 0 && setting->content)
        content_stat(setting->node, setting->content, &answer.attr);
    else if (error == 0)
        node_stat(setting->node, &answer.attr);
    setting->done(setting->arg, &answer);
    set_free(setting);
}

static void set_published(void *arg, int error)
{
    set_end(arg, error);
}

/* Only in the log so far: who set it through the handle of an unfinished file hears of a failure
 * when that is flushed, as for its bytes. */
static void set_logged(struct setting *setting, bool gather)
{
    struct content *content = setting->content;
    if (setting->truncates)
        content_change(content, (struct change){.type = CHANGE_TRUNCATE, .offset = setting->size});
    if (setting->change.set)
        content_change(content, setting->change);
    if (gather) {
        content_publish_later(content, PUBLISH_DELAY_MS);
        set_end(setting, 0);
        return;
    }
    content_publish(content, set_published, setting);
}

static void set_loaded(void *arg, int error)
{
    struct setting *setting = arg;
    if (error < 0)
        set_end(setting, error);
    else
        set_logged(setting, false);
}

/* Directories, symlinks and the like: read, change, put if-match. */
static void put_other(struct setting *setting, const struct seen *seen);

static void set_seen(void *arg, int error, const struct seen *seen)
{
    struct setting *setting = arg;
    struct node *node = setting->node;
    bool root = node == setting->fs->root;
    if (root && error == -ENOENT) {
        put_other(setting, NULL);
        return;
    }
    if (error == 0 && !root && !op_equal(&seen->file, &node->seen.file))
        error = -ESTALE;
    if (error < 0) {
        set_end(setting, error);
        return;
    }
    if (node->seen.at_ns <= seen->at_ns)
        node_saw(node, seen);
    if (seen->kind != TOYSTORE_FILE && seen->kind != TOYSTORE_REFERENCE) {
        put_other(setting, seen);
        return;
    }
    setting->content = content_new(node);
    if (node->content == NULL)
        node->content = setting->content;
    content_load(setting->content, seen, set_loaded, setting);
}

static void other_put(void *arg, const struct toystore_result *result)
{
    struct setting *setting = arg;
    struct node *node = setting->node;
    if (result->status == TOYSTORE_CONFLICT && ++setting->tries < CONFLICTS_MAX) {
        look(setting->fs, node->key, set_seen, setting);
        return;
    }
    if (result->status == TOYSTORE_OK) {
        setting->seen.op = result->op;
        blob_unref(&setting->seen.equal);
        setting->seen.at_ns = 0;
        node_saw(node, &setting->seen);
    }
    set_end(setting, error_of(result));
}

static void put_other(struct setting *setting, const struct seen *seen)
{
    struct fs *fs = setting->fs;
    if (setting->truncates) {
        set_end(setting, -EINVAL);
        return;
    }
    seen_free(&setting->seen);
    setting->seen = seen ? *seen : setting->node->seen;
    seen_hold(&setting->seen);
    struct image image = {.attributes = setting->seen.attributes};
    setting->change.time_ns = fs_wall_ns(fs);
    image_apply(&image, &setting->change);
    setting->seen.attributes = image.attributes;
    struct match match;
    match_of(&match, &setting->seen.op, setting->seen.equal);
    struct toystore_request request = {
        .type = TOYSTORE_PUT,
        .key = bytes_of(setting->node->key),
        .condition = seen ? TOYSTORE_IF_MATCH : TOYSTORE_IF_ABSENT,
        .match = match.ops,
        .match_count = seen ? match.count : 0,
        .change = TOYSTORE_SET,
        .kind = setting->seen.kind,
        .attributes = image.attributes,
        .value = bytes_of(blob_slice(setting->seen.value)),
        .extra = bytes_of(blob_slice(setting->seen.extra)),
    };
    fs_submit(fs, &request, other_put, setting);
}

/* Nanoseconds reach from 1677 to 2262; what lies beyond is kept as the nearest of them. */
static int64_t ns_of(struct timespec time)
{
    enum { NS = 1000000000 };
    if (time.tv_sec >= INT64_MAX / NS)
        return INT64_MAX / NS * NS;
    if (time.tv_sec <= INT64_MIN / NS)
        return INT64_MIN / NS * NS;
    return (int64_t)time.tv_sec * NS + time.tv_nsec;
}

static struct change change_of(struct fs *fs, const struct stat *attr, unsigned set,
                               struct fs_caller caller)
{
    struct change change = {.type = CHANGE_SET};
    int64_t now_ns = fs_wall_ns(fs);
    if (set & FS_SET_MODE)
        change.set |= SET_MODE;
    if (set & FS_SET_UID)
        change.set |= SET_UID;
    if (set & FS_SET_GID)
        change.set |= SET_GID;
    if ((set & (FS_SET_UID | FS_SET_GID)) && !(set & FS_SET_MODE) && caller.uid != 0)
        change.set |= CLEAR_SET_ID;
    if (set & (FS_SET_ATIME | FS_SET_ATIME_NOW))
        change.set |= SET_ATIME;
    if (set & (FS_SET_MTIME | FS_SET_MTIME_NOW))
        change.set |= SET_MTIME;
    change.attributes = (struct toystore_attributes){
        .mode = attr->st_mode,
        .uid = attr->st_uid,
        .gid = attr->st_gid,
        .atime_ns = (set & FS_SET_ATIME_NOW) ? now_ns : ns_of(attr->st_atim),
        .mtime_ns = (set & FS_SET_MTIME_NOW) ? now_ns : ns_of(attr->st_mtim),
    };
    return change;
}

void fs_setattr(struct fs *fs, uint64_t id, uint64_t handle_id, const struct stat *attr,
                unsigned set, struct fs_caller caller, fs_done_fn *done, void *arg)
{
    struct node *node = node_get(fs, id);
    int error = node == NULL ? -ESTALE : node->control ? -EPERM : node->seen.sibling ? -EROFS : 0;
    if (error < 0) {
        answer_error(error, done, arg);
        return;
    }
    struct setting *setting = base_alloc(sizeof *setting);
    *setting = (struct setting){.fs = fs, .node = node, .done = done, .arg = arg};
    node_hold(node);
    setting->change = change_of(fs, attr, set, caller);
    setting->truncates = (set & FS_SET_SIZE) != 0;
    setting->size = (uint64_t)attr->st_size;
    if (setting->truncates && caller.uid != 0)
        setting->change.set |= CLEAR_SET_ID;
    const struct handle *handle = handle_id ? pool_get(&fs->handles, handle_id) : NULL;
    struct content *content = handle && handle->content ? handle->content : node->content;
    if (content && content->loaded &&
        (handle || content_dirty(content) || content->publishing || node->gone)) {
        setting->content = content_ref(content);
        bool gather = handle && handle->content && !handle->redirection && content->log.count > 0 &&
                      !content->publishing;
        set_logged(setting, gather);
        return;
    }
    look(fs, node->key, set_seen, setting);
}

/* ---- readlink ---- */

struct linking {
    struct node *node; /* busy */
    fs_done_fn *done;
    void *arg;
};

static void link_seen(void *arg, int error, const struct seen *seen)
{
    struct linking *linking = arg;
    if (error == 0 && seen->kind != TOYSTORE_SYMLINK)
        error = -ESTALE;
    struct fs_answer answer = {.error = error};
    char *text = error == 0 ? base_string(blob_slice(seen->value)) : NULL;
    answer.text = text;
    linking->done(linking->arg, &answer);
    free(text);
    node_release(linking->node);
    free(linking);
}

void fs_readlink(struct fs *fs, uint64_t id, fs_done_fn *done, void *arg)
{
    struct node *node = node_get(fs, id);
    if (node == NULL) {
        answer_error(-ESTALE, done, arg);
        return;
    }
    struct linking *linking = base_alloc(sizeof *linking);
    *linking = (struct linking){node, done, arg};
    node_hold(node);
    if (node->seen.kind == TOYSTORE_SYMLINK && node->seen.value && node_fresh(node))
        link_seen(linking, 0, &node->seen);
    else
        look(fs, node->key, link_seen, linking);
}
