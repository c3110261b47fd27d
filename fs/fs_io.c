/* fs_io: read, write, flush.
 *
 * A handle that gets a FLUSH before its first WRITE is a shell's redirection: bash, dash and awk
 * never look at the result of close, so each small WRITE reaches its quorum before it is answered.
 *
 * Enters from ops.c; leaves to segments.c and publish.c. */
#include "fs_priv.h"

#include <fcntl.h>
#include <stdlib.h>

bool handle_writable(const struct handle *handle)
{
    return (handle->flags & O_ACCMODE) != O_RDONLY;
}

/* ---- read ---- */

struct reading {
    struct fs *fs;
    struct content *content; /* a reference */
    uint64_t offset;
    size_t size, pending;
    unsigned tries;
    int error;
    fs_done_fn *done;
    void *arg;
};

enum { READ_TRIES = 4, READ_PIECES_MAX = 512, ZEROES_SIZE = 64 * 1024 };

static uint8_t zeroes[ZEROES_SIZE];

static void read_end(struct reading *reading)
{
    content_unref(reading->content);
    free(reading);
}

static size_t add_zeroes(struct iovec *iov, size_t count, uint64_t size)
{
    for (; size > 0 && count < READ_PIECES_MAX; count++) {
        iov[count] = (struct iovec){zeroes, min_size(size, sizeof zeroes)};
        size -= iov[count].iov_len;
    }
    return count;
}

/* Pieces of segments, without a copy; 0 when there are too many. */
static size_t gather(const struct extents *extents, uint64_t offset, size_t size, struct iovec *iov)
{
    uint64_t at = offset, end = offset + size;
    size_t count = 0;
    for (size_t i = extents_find(extents, offset);
         i < extents->count && extents->items[i].offset < end; i++) {
        const struct extent *extent = &extents->items[i];
        if (extent->offset > at)
            count = add_zeroes(iov, count, extent->offset - at);
        at = max_u64(at, extent->offset);
        uint64_t until = min_u64(extent->offset + extent->size, end);
        if (count >= READ_PIECES_MAX)
            return 0;
        iov[count++] = (struct iovec){extent->segment->data + extent->start + (at - extent->offset),
                                      until - at};
        at = until;
    }
    count = add_zeroes(iov, count, end - at);
    return count < READ_PIECES_MAX ? count : 0;
}

static void read_answer(struct reading *reading)
{
    const struct extents *extents = &reading->content->view.extents;
    struct iovec iov[READ_PIECES_MAX];
    struct fs_answer answer = {.size = reading->size, .iov = iov};
    answer.iov_count = gather(extents, reading->offset, reading->size, iov);
    uint8_t *copy = NULL;
    if (answer.iov_count == 0 && reading->size > 0) {
        copy = base_alloc(reading->size);
        extents_copy_bytes(extents, reading->offset, copy, reading->size);
        iov[0] = (struct iovec){copy, reading->size};
        answer.iov_count = 1;
    }
    reading->done(reading->arg, &answer);
    free(copy);
    read_end(reading);
}

static void read_pieces(struct reading *reading);

static void piece_fetched(void *arg, int error)
{
    struct reading *reading = arg;
    if (error < 0)
        reading->error = error;
    if (--reading->pending > 0)
        return;
    if (reading->error < 0) {
        answer_error(reading->error, reading->done, reading->arg);
        read_end(reading);
    } else if (reading->tries == 0) {
        read_answer(reading);
    } else {
        read_pieces(reading);
    }
}

/* Fetches what is missing, and sees afterwards whether anything still is: the file may have
 * changed under the read, and the cache is bounded. */
static void read_pieces(struct reading *reading)
{
    const struct image *view = &reading->content->view;
    uint64_t size = view->attributes.size;
    uint64_t end = min_u64(reading->offset + reading->size, size);
    reading->size = reading->offset < end ? end - reading->offset : 0;
    reading->pending = 1;
    size_t missing = 0;
    for (size_t i = extents_find(&view->extents, reading->offset);
         i < view->extents.count && view->extents.items[i].offset < end; i++)
        missing += view->extents.items[i].segment->data == NULL;
    if (missing > 0 && ++reading->tries > READ_TRIES) {
        reading->error = -EIO;
    } else if (missing > 0) {
        struct extents pieces = {0};
        for (size_t i = extents_find(&view->extents, reading->offset);
             i < view->extents.count && view->extents.items[i].offset < end; i++) {
            const struct extent *extent = &view->extents.items[i];
            if (extent->segment->data == NULL)
                extents_write(&pieces, extent->offset, extent->size, extent->segment,
                              extent->start);
        }
        for (size_t i = 0; i < pieces.count; i++) {
            reading->pending++;
            segment_fetch(reading->fs, pieces.items[i].segment, piece_fetched, reading);
        }
        extents_free(&pieces);
    } else {
        reading->tries = 0;
    }
    piece_fetched(reading, 0);
}

static void read_ahead(struct fs *fs, struct handle *handle, uint64_t offset, uint64_t end)
{
    bool sequential = offset <= handle->read_next + CHUNK_SIZE_MAX &&
                      offset + 4 * (uint64_t)CHUNK_SIZE_MAX >= handle->read_next;
    handle->read_next = sequential ? max_u64(end, handle->read_next) : end;
    if (!sequential)
        return;
    const struct extents *extents = &handle->content->view.extents;
    size_t at = extents_find(extents, end);
    for (size_t i = at; i < extents->count && i < at + READ_AHEAD_CHUNKS; i++) {
        struct segment *segment = extents->items[i].segment;
        if (segment->data == NULL && !segment->fetching)
            segment_fetch(fs, segment, NULL, NULL);
    }
}

static void read_text(const struct handle *handle, uint64_t offset, size_t size, fs_done_fn *done,
                      void *arg)
{
    size_t length = strlen(handle->text);
    offset = min_u64(offset, length);
    struct iovec iov = {handle->text + offset, min_size(size, length - offset)};
    struct fs_answer answer = {.iov = &iov, .iov_count = 1, .size = iov.iov_len};
    done(arg, &answer);
}

void fs_read(struct fs *fs, uint64_t id, uint64_t offset, size_t size, fs_done_fn *done, void *arg)
{
    struct handle *handle = pool_get(&fs->handles, id);
    if (handle == NULL || (handle->content == NULL && handle->text == NULL)) {
        answer_error(-EBADF, done, arg);
        return;
    }
    if (handle->text) {
        read_text(handle, offset, size, done, arg);
        return;
    }
    struct reading *reading = base_alloc(sizeof *reading);
    *reading = (struct reading){.fs = fs,
                                .content = content_ref(handle->content),
                                .offset = offset,
                                .size = size,
                                .done = done,
                                .arg = arg};
    read_ahead(fs, handle, offset, offset + size);
    read_pieces(reading);
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
    struct handle *handle = pool_get(&writing->fs->handles, writing->handle);
    if (error < 0 && handle)
        handle->truncate_again = handle->truncates;
    write_end(writing, error);
}

static bool has_room(const struct fs *fs, const struct handle *handle)
{
    if (handle->redirection && handle->content->unsent >= REDIRECTION_DIRTY_MAX)
        return false;
    return fs->unsent < DIRTY_MAX || handle->content->unsent == 0;
}

int handle_take_failure(struct handle *handle)
{
    struct content *content = handle->content;
    int failed = content->failed;
    if (failed == 0 || content->publishing)
        return 0;
    content->failed = 0;
    changes_drop(&content->log, content->log.count);
    content->published = content->logged;
    content_rebase(content);
    content_sent(content, content->unsent);
    handle->truncate_again = handle->truncates;
    return failed;
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
    handle->written = true;
    content_write(content, writing->offset, data, (writing->flags & O_APPEND) != 0);
    if (writing->set_id_goes)
        content_clear_set_id(content);
    bool small = !content->reference && content->view.attributes.size <= INLINE_SIZE_MAX;
    bool at_once = (handle->redirection && (small || !content->replacing) &&
                    content->unsent <= INLINE_SIZE_MAX) ||
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
    struct handle *handle = pool_get(&flushing->fs->handles, flushing->handle);
    if (error < 0 && handle)
        handle->truncate_again = handle->truncates;
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
