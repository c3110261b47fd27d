/* fs_io: write and flush.
 *
 * A handle that gets a FLUSH before its first WRITE is a shell's redirection: bash, dash and awk
 * never look at the result of close, so each small WRITE reaches its quorum before it is answered.
 *
 * Enters from ops.c; leaves to publish.c. */
#include "fs_priv.h"

#include <fcntl.h>
#include <stdlib.h>

bool handle_writable(const struct handle *handle)
{
    return (handle->flags & O_ACCMODE) != O_RDONLY;
}

/* ---- write ---- */

struct writing {
    struct fs *fs;
    uint64_t handle;
    uint64_t offset;
    struct blob *data; /* while it waits for room */
    size_t size;
    int flags;
    bool set_id_goes; /* the kernel leaves that to us where it writes around its pages */
    fs_done_fn *done;
    void *arg;
};

static void write_end(struct writing *writing, int error)
{
    struct fs_answer answer = {.error = error, .size = writing->size};
    writing->done(writing->arg, &answer);
    blob_unref(&writing->data);
    free(writing);
}

static void write_published(void *arg, int error)
{
    struct writing *writing = arg;
    write_end(writing, handle_ends(pool_get(&writing->fs->handles, writing->handle), error, false));
}

static bool has_room(const struct fs *fs, const struct handle *handle)
{
    if (handle->redirection && handle->content->unsent >= REDIRECTION_DIRTY_MAX)
        return false;
    return fs->unsent < DIRTY_MAX || handle->content->unsent == 0;
}

int handle_ends(struct handle *handle, int error, bool whole)
{
    if (!handle)
        return error;
    const struct content *content = handle->content;
    if (error == 0 && (whole || handle->written) && handle->failures_told != content->failures)
        error = content->failure;
    if (error < 0) {
        handle->truncate_again = handle->truncates;
        handle->failures_told = content->failures;
    }
    return error;
}

int handle_take_failure(struct handle *handle)
{
    struct content *content = handle->content;
    int failed = content->publishing ? 0 : content->failed;
    if (failed != 0) {
        content->failures++;
        content->failure = failed;
        content->failed = 0;
        changes_drop(&content->log, content->log.count);
        content->published = content->logged;
        content_rebase(content);
        content_sent(content, content->unsent);
    }
    return handle_ends(handle, failed, false);
}

static void write_now(struct writing *writing, struct slice data)
{
    struct fs *fs = writing->fs;
    struct handle *handle = pool_get(&fs->handles, writing->handle);
    if (handle == NULL) {
        write_end(writing, -EBADF);
        return;
    }
    struct content *content = handle->content;
    int failed = handle_take_failure(handle);
    if (failed < 0) {
        write_end(writing, failed);
        return;
    }
    if (handle->truncate_again) {
        handle->truncate_again = false;
        content_truncate_to_nothing(content, 0);
    }
    if (!handle->written) /* what failed before is not its own */
        handle->failures_told = content->failures;
    handle->written = true;
    content_write(content, writing->offset, data, (writing->flags & O_APPEND) != 0);
    if (writing->set_id_goes)
        content_clear_set_id(content);
    bool small = !content->reference && content->view.attributes.size <= INLINE_SIZE_MAX;
    bool whole = handle->made || handle->truncates; /* not an append: gathered once it is large */
    bool at_once =
        (handle->redirection && (small || !whole) && content->unsent <= INLINE_SIZE_MAX) ||
        (writing->flags & (O_SYNC | O_DSYNC));
    if (at_once) {
        content_publish(content, write_published, writing);
        return;
    }
    if (!content->replacing)
        content_publish_later(content, PUBLISH_DELAY_MS);
    write_end(writing, 0);
}

static void write_when_room(struct writing *writing);

static void room_made(void *arg, int error)
{
    (void)error;
    write_when_room(arg);
}

/* What waits must leave by itself: the open segments of other files do. */
static void press(struct fs *fs)
{
    LIST_EACH(link, &fs->contents)
    {
        struct content *content = container_of(link, struct content, link);
        if (content->unsent > INLINE_SIZE_MAX && !content->replacing && !content->publishing)
            content_publish_later(content, 0);
    }
}

static void write_when_room(struct writing *writing)
{
    struct fs *fs = writing->fs;
    struct handle *handle = pool_get(&fs->handles, writing->handle);
    if (handle && !has_room(fs, handle) && fs->sending > 0) {
        struct waiter *waiter = base_alloc(sizeof *waiter);
        *waiter = (struct waiter){.done = room_made, .arg = writing};
        list_push_back(&fs->room_waiters, &waiter->link);
        press(fs);
        return;
    }
    write_now(writing, blob_slice(writing->data));
}

void fs_write(struct fs *fs, uint64_t id, uint64_t offset, struct slice data, int flags,
              struct fs_caller caller, fs_done_fn *done, void *arg)
{
    struct handle *handle = pool_get(&fs->handles, id);
    if (handle == NULL || handle->content == NULL || !handle_writable(handle)) {
        answer_error(-EBADF, done, arg);
        return;
    }
    struct writing *writing = base_alloc(sizeof *writing);
    *writing = (struct writing){.fs = fs,
                                .handle = id,
                                .offset = offset,
                                .size = data.size,
                                .flags = flags | (handle->flags & (O_SYNC | O_DSYNC)),
                                .set_id_goes = caller.uid != 0,
                                .done = done,
                                .arg = arg};
    if (has_room(fs, handle) || fs->sending == 0) {
        write_now(writing, data);
        return;
    }
    writing->data = blob_copy(data);
    write_when_room(writing);
}

/* ---- flush and fsync ---- */

struct flushing {
    struct fs *fs;
    uint64_t handle;
    struct content *content; /* a reference */
    fs_done_fn *done;
    void *arg;
};

static void flush_end(struct flushing *flushing, int error)
{
    error = handle_ends(pool_get(&flushing->fs->handles, flushing->handle), error, false);
    struct fs_answer answer = {.error = error};
    flushing->done(flushing->arg, &answer);
    content_unref(flushing->content);
    free(flushing);
}

static void flushed(void *arg, int error)
{
    flush_end(arg, error);
}

static struct flushing *flushing_new(struct fs *fs, struct handle *handle, fs_done_fn *done,
                                     void *arg)
{
    struct flushing *flushing = base_alloc(sizeof *flushing);
    *flushing = (struct flushing){fs, handle->id, content_ref(handle->content), done, arg};
    return flushing;
}

void fs_flush(struct fs *fs, uint64_t id, fs_done_fn *done, void *arg)
{
    struct handle *handle = pool_get(&fs->handles, id);
    if (handle == NULL) {
        answer_error(-EBADF, done, arg);
        return;
    }
    struct content *content = handle->content;
    if (content == NULL || !handle_writable(handle)) {
        answer_ok(done, arg);
        return;
    }
    bool first = !handle->flushed;
    handle->flushed = true;
    if (!handle->written)
        handle->redirection = true;
    if (first && !handle->written && content->replacing) {
        /* dup2 of a shell closes its first descriptor: the words come now, or the next FLUSH. */
        content_publish_later(content, EMPTY_DELAY_MS);
        answer_ok(done, arg);
        return;
    }
    int failed = handle_take_failure(handle);
    if (failed < 0) {
        answer_error(failed, done, arg);
        return;
    }
    content_publish(content, flushed, flushing_new(fs, handle, done, arg));
}
