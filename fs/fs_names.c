/* fs_names: names that come and go: mknod, mkdir, symlink, unlink, rmdir.
 *
 * Making is if-absent, burying is if-match on the version that was seen: one winner, always.
 *
 * Enters from ops.c; leaves to look.c and submit.c. */
#include "conflicts.h"
#include "reclaim.h"

#include <stdlib.h>

/* ---- making ---- */

struct making {
    struct fs *fs;
    struct slice key; /* owned */
    struct seen seen;
    fs_done_fn *done;
    void *arg;
};

static void made(void *arg, const struct toystore_result *result)
{
    struct making *making = arg;
    if (result->status == TOYSTORE_OK) {
        making->seen.op = result->op;
        struct node *node = node_for(making->fs, making->key, &making->seen);
        parent_touch(making->fs, making->key);
        parent_check(making->fs, making->key);
        answer_entry(node, making->done, making->arg);
        node_release(node);
    } else {
        answer_error(error_of(result), making->done, making->arg);
    }
    seen_free(&making->seen);
    slice_free(making->key);
    free(making);
}

static void make(struct fs *fs, uint64_t parent_id, const char *name, mode_t mode,
                 enum toystore_kind kind, struct slice value, dev_t device, struct fs_caller caller,
                 fs_done_fn *done, void *arg)
{
    struct node *parent = node_get(fs, parent_id);
    struct slice key = {0};
    int error = parent == NULL               ? -ESTALE
                : control_name(parent, name) ? -EPERM
                                             : name_join(parent->key, slice_str(name), &key);
    if (error < 0) {
        answer_error(error, done, arg);
        return;
    }
    struct making *making = base_alloc(sizeof *making);
    *making = (struct making){.fs = fs, .key = key, .done = done, .arg = arg};
    struct seen *seen = &making->seen;
    seen->at_ns = fs->face.now_ns(fs->face.arg);
    seen->kind = kind;
    seen->attributes = fresh_attributes(parent, mode, caller, fs_wall_ns(fs));
    seen->attributes.rdev = device;
    seen->attributes.size = value.size;
    seen->file = seen->attributes.file;
    seen->value = blob_copy(value);
    struct toystore_request request = {.type = TOYSTORE_PUT,
                                       .key = bytes_of(key),
                                       .condition = TOYSTORE_IF_ABSENT,
                                       .exclusive = true,
                                       .change = TOYSTORE_SET,
                                       .kind = kind,
                                       .attributes = seen->attributes,
                                       .value = bytes_of(value)};
    fs_submit(fs, &request, made, making);
}

void fs_mknod(struct fs *fs, uint64_t parent, const char *name, mode_t mode, dev_t device,
              struct fs_caller caller, fs_done_fn *done, void *arg)
{
    enum toystore_kind kind = S_ISREG(mode) ? TOYSTORE_FILE : TOYSTORE_SPECIAL;
    make(fs, parent, name, mode, kind, slice_of(NULL, 0), device, caller, done, arg);
}

void fs_mkdir(struct fs *fs, uint64_t parent, const char *name, mode_t mode,
              struct fs_caller caller, fs_done_fn *done, void *arg)
{
    make(fs, parent, name, S_IFDIR | (mode & 07777), TOYSTORE_DIRECTORY, slice_of(NULL, 0), 0,
         caller, done, arg);
}

void fs_symlink(struct fs *fs, uint64_t parent, const char *name, const char *target,
                struct fs_caller caller, fs_done_fn *done, void *arg)
{
    make(fs, parent, name, S_IFLNK | 0777, TOYSTORE_SYMLINK, slice_str(target), 0, caller, done,
         arg);
}

/* ---- burying ---- */

struct burying {
    struct fs *fs;
    struct slice key; /* owned */
    struct seen seen; /* what is to be buried */
    unsigned tries;
    bool directory;
    int error; /* rmdir: why it was not empty after all */
    fs_done_fn *done;
    void *arg;
};

static void bury_end(struct burying *burying, int error)
{
    struct fs_answer answer = {.error = error};
    burying->done(burying->arg, &answer);
    seen_free(&burying->seen);
    slice_free(burying->key);
    free(burying);
}

static struct burying *burying_new(struct fs *fs, uint64_t parent_id, const char *name,
                                   fs_done_fn *done, void *arg)
{
    struct node *parent = node_get(fs, parent_id);
    struct slice key = {0};
    int error = 0;
    if (parent == NULL)
        error = -ESTALE;
    else if (control_name(parent, name) && parent->control != CONTROL_CONFLICTS)
        error = -EPERM;
    else
        error = name_join(parent->key, slice_str(name), &key);
    if (error < 0) {
        answer_error(error, done, arg);
        return NULL;
    }
    struct burying *burying = base_alloc(sizeof *burying);
    *burying = (struct burying){.fs = fs, .key = key, .done = done, .arg = arg};
    return burying;
}

void fs_gone(struct fs *fs, struct slice key, const struct toystore_op *file)
{
    LIST_EACH(link, &fs->contents)
    {
        struct content *content = container_of(link, struct content, link);
        if (op_equal(&content->file, file) && slice_equal(content->node->key, key)) {
            content->unlinked = true;
            content->node->gone = true;
        }
    }
    struct node *node = node_at(fs, key);
    if (node && node != fs->root && op_equal(&node->seen.file, file)) {
        node->gone = true;
        node_detach(node);
    }
}

static void bury(struct burying *burying);
static void bury_look(struct burying *burying);

static void buried(void *arg, const struct toystore_result *result)
{
    struct burying *burying = arg;
    struct fs *fs = burying->fs;
    if (result->status == TOYSTORE_CONFLICT && ++burying->tries < CONFLICTS_MAX) {
        bury_look(burying);
        return;
    }
    if (result->status != TOYSTORE_OK && result->status != TOYSTORE_NOT_FOUND) {
        bury_end(burying, error_of(result));
        return;
    }
    fs_gone(fs, burying->key, &burying->seen.file);
    if (burying->seen.kind == TOYSTORE_REFERENCE)
        reclaim_file(fs, &burying->seen.file);
    parent_touch(fs, burying->key);
    bury_end(burying, 0);
}

static void sibling_removed(void *arg, int error)
{
    struct burying *burying = arg;
    if (error == 0) {
        fs_gone(burying->fs, burying->key, &burying->seen.file);
        dirs_changed(burying->fs, dirs_hash(burying->key));
    }
    bury_end(burying, error);
}

static void bury(struct burying *burying)
{
    if (burying->seen.sibling) {
        sibling_remove(burying->fs, burying->key, &burying->seen.op, sibling_removed, burying);
        return;
    }
    struct match match;
    match_of(&match, &burying->seen.op, burying->seen.equal);
    struct toystore_request request = {.type = TOYSTORE_PUT,
                                       .key = bytes_of(burying->key),
                                       .condition = TOYSTORE_IF_MATCH,
                                       .match = match.ops,
                                       .match_count = match.count,
                                       .change = TOYSTORE_DELETE,
                                       .extra = bytes_of(blob_slice(burying->seen.extra))};
    fs_submit(burying->fs, &request, buried, burying);
}

static void take_seen(struct burying *burying, const struct seen *seen)
{
    struct seen old = burying->seen;
    burying->seen = *seen;
    seen_hold(&burying->seen);
    seen_free(&old);
}

static void bury_seen(void *arg, int error, const struct seen *seen)
{
    struct burying *burying = arg;
    if (error == 0 && seen->kind == TOYSTORE_DIRECTORY)
        error = -EISDIR;
    if (error < 0) {
        bury_end(burying, error);
        return;
    }
    take_seen(burying, seen);
    bury(burying);
}

static void bury_look(struct burying *burying)
{
    look(burying->fs, burying->key, bury_seen, burying);
}

static void unlink_published(void *arg, int error)
{
    struct burying *burying = arg;
    (void)error; /* what could not be published is about to go anyway */
    bury_look(burying);
}

void fs_unlink(struct fs *fs, uint64_t parent, const char *name, fs_done_fn *done, void *arg)
{
    struct burying *burying = burying_new(fs, parent, name, done, arg);
    if (burying == NULL)
        return;
    struct node *node = node_at(fs, burying->key);
    struct content *content = node ? node->content : NULL;
    if (content && !content->born && !content->publishing) { /* never left this mount */
        fs_gone(fs, burying->key, &content->file);
        bury_end(burying, 0);
    } else if (content && content->publishing) {
        content_publish(content, unlink_published, burying);
    } else if (node && node_fresh(node) && node->seen.kind != TOYSTORE_DIRECTORY) {
        take_seen(burying, &node->seen);
        bury(burying);
    } else {
        bury_look(burying);
    }
}

/* ---- rmdir: mark it closing, look for children, bury it ---- */

static void rmdir_look(struct burying *burying);

/* The put was made. Else rmdir begins again, where somebody came between, or ends. */
static bool rmdir_goes_on(struct burying *burying, const struct toystore_result *result)
{
    if (result->status == TOYSTORE_OK)
        return true;
    if (result->status == TOYSTORE_CONFLICT && ++burying->tries < CONFLICTS_MAX)
        rmdir_look(burying);
    else
        bury_end(burying, error_of(result));
    return false;
}

static void rmdir_buried(void *arg, const struct toystore_result *result)
{
    struct burying *burying = arg;
    if (!rmdir_goes_on(burying, result))
        return;
    fs_gone(burying->fs, burying->key, &burying->seen.file);
    parent_touch(burying->fs, burying->key);
    second_look(burying->fs, burying->key);
    bury_end(burying, 0);
}

static void unmarked(void *arg, const struct toystore_result *result)
{
    struct burying *burying = arg;
    (void)result; /* a mark that stays is taken away by the next name made below */
    bury_end(burying, burying->error);
}

static void put_mark(struct burying *burying, uint32_t flags, toystore_done_fn *done)
{
    struct match match;
    match_of(&match, &burying->seen.op, burying->seen.equal);
    struct toystore_request request = {.type = TOYSTORE_PUT,
                                       .key = bytes_of(burying->key),
                                       .condition = TOYSTORE_IF_MATCH,
                                       .match = match.ops,
                                       .match_count = match.count,
                                       .exclusive = true,
                                       .change = TOYSTORE_SET,
                                       .kind = TOYSTORE_DIRECTORY,
                                       .attributes = burying->seen.attributes,
                                       .extra = bytes_of(blob_slice(burying->seen.extra))};
    request.attributes.flags = flags;
    request.attributes.file = burying->seen.file;
    fs_submit(burying->fs, &request, done, burying);
}

static void rmdir_listed(void *arg, const struct toystore_result *result)
{
    struct burying *burying = arg;
    int error = error_of(result);
    if (error == 0 && result->entry_count > 0)
        error = -ENOTEMPTY;
    if (error == -ENOENT) /* no entries, said in another way */
        error = 0;
    if (error < 0) {
        burying->error = error;
        put_mark(burying, burying->seen.attributes.flags & ~(uint32_t)FLAG_CLOSING, unmarked);
        return;
    }
    struct match match;
    match_of(&match, &burying->seen.op, burying->seen.equal);
    struct toystore_request request = {.type = TOYSTORE_PUT,
                                       .key = bytes_of(burying->key),
                                       .condition = TOYSTORE_IF_MATCH,
                                       .match = match.ops,
                                       .match_count = match.count,
                                       .exclusive = true,
                                       .change = TOYSTORE_DELETE,
                                       .extra = bytes_of(blob_slice(burying->seen.extra))};
    fs_submit(burying->fs, &request, rmdir_buried, burying);
}

static void marked(void *arg, const struct toystore_result *result)
{
    struct burying *burying = arg;
    if (!rmdir_goes_on(burying, result))
        return;
    burying->seen.op = result->op;
    struct toystore_request request = {
        .type = TOYSTORE_LIST, .key = bytes_of(burying->key), .limit = 1};
    fs_submit(burying->fs, &request, rmdir_listed, burying);
}

/* A directory with children is told so before it is marked: the usual case of a refusal. */
static void listed_first(void *arg, const struct toystore_result *result)
{
    struct burying *burying = arg;
    int error = error_of(result);
    if (error == 0 && result->entry_count > 0)
        error = -ENOTEMPTY;
    if (error < 0 && error != -ENOENT) {
        bury_end(burying, error);
        return;
    }
    put_mark(burying, burying->seen.attributes.flags | FLAG_CLOSING, marked);
}

static void rmdir_seen(void *arg, int error, const struct seen *seen)
{
    struct burying *burying = arg;
    if (error == 0 && seen->kind != TOYSTORE_DIRECTORY)
        error = -ENOTDIR;
    if (error < 0) {
        bury_end(burying, error);
        return;
    }
    take_seen(burying, seen);
    struct toystore_request request = {
        .type = TOYSTORE_LIST, .key = bytes_of(burying->key), .limit = 1};
    fs_submit(burying->fs, &request, listed_first, burying);
}

static void rmdir_look(struct burying *burying)
{
    look(burying->fs, burying->key, rmdir_seen, burying);
}

void fs_rmdir(struct fs *fs, uint64_t parent, const char *name, fs_done_fn *done, void *arg)
{
    struct burying *burying = burying_new(fs, parent, name, done, arg);
    if (burying == NULL)
        return;
    LIST_EACH(link, &fs->contents)
    {
        const struct content *content = container_of(link, struct content, link);
        if (!content->born && !content->unlinked && !content->given_up &&
            slice_equal(key_parent_of(content->node->key), burying->key)) {
            bury_end(burying, -ENOTEMPTY);
            return;
        }
    }
    rmdir_look(burying);
}
