/* fs_read: read: the pieces that a range consists of, from memory or fetched.
 *
 * One READ shows one version. A version that was replaced keeps its chunks for some seconds
 * (reclaim.c); who reads it longer and misses one goes on with the newest version of the file, and
 * is told ESTALE when the file is no more.
 *
 * Enters from ops.c; leaves to segments.c. */
#include "fs_priv.h"

#include <stdlib.h>

struct reading {
    struct fs *fs;
    struct content *content; /* a reference */
    uint64_t offset;
    size_t wanted, size, pending;
    unsigned tries, renewals;
    struct toystore_op record; /* of which a chunk is gone */
    int error;
    fs_done_fn *done;
    void *arg;
};

enum {
    READ_TRIES = 4,
    RENEWALS_MAX = 10,
    RENEWAL_PAUSE_MS = 50,
    READ_PIECES_MAX = 512,
    ZEROES_SIZE = 64 * 1024
};

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

static void fail(struct reading *reading, int error)
{
    answer_error(error, reading->done, reading->arg);
    read_end(reading);
}

static void read_pieces(struct reading *reading);

/* ---- a chunk is gone: the file goes on with its newest version ---- */

static void renewed(void *arg, int error)
{
    struct reading *reading = arg;
    struct content *content = reading->content;
    if (error == -ESTALE) /* replaced once more, while its pages were read */
        error = 0;
    if (error < 0) {
        fail(reading, error);
        return;
    }
    content->node->cached_version = 0; /* the kernel's pages are of more than one */
    if (reading->fs->config.invalidate)
        reading->fs->config.invalidate(reading->fs->config.arg, content->node->id);
    reading->tries = 0;
    read_pieces(reading);
}

static void renew(void *arg);

/* That takes the newest version, too; what it is made over must stay what it is meanwhile. */
static bool waits_for_publication(struct reading *reading)
{
    struct store_face *face = &reading->fs->face;
    if (!reading->content->publishing)
        return false;
    face->after(face->arg, RENEWAL_PAUSE_MS, renew, reading);
    return true;
}

/* A raw put has taken the content out of its chunks, or the file is deleted. */
static void looked_at_name(void *arg, int error, const struct seen *seen)
{
    struct reading *reading = arg;
    if (waits_for_publication(reading))
        return;
    if (error == 0 && op_equal(&seen->file, &reading->content->file))
        content_load(reading->content, seen, renewed, reading);
    else
        fail(reading, error == 0 || error == -ENOENT ? -ESTALE : error);
}

static void got_record(void *arg, const struct toystore_result *result)
{
    struct reading *reading = arg;
    struct content *content = reading->content;
    if (result->status == TOYSTORE_NOT_FOUND)
        look(reading->fs, content->node->key, looked_at_name, reading);
    else if (result->status != TOYSTORE_OK || result->version_count == 0)
        fail(reading, result->status == TOYSTORE_OK ? -EIO : error_of(result));
    else if (!op_equal(&content->record_op, &reading->record))
        renewed(reading, 0); /* by somebody else, meanwhile */
    else if (op_equal(&content->record_op, &result->versions[0].op))
        fail(reading, -EIO); /* what it names is not there, and that is not an empty file */
    else if (!waits_for_publication(reading))
        content_load_record(content, &result->versions[0], renewed, reading);
}

static void renew(void *arg)
{
    struct reading *reading = arg;
    struct fs *fs = reading->fs;
    struct content *content = reading->content;
    if (waits_for_publication(reading))
        return;
    struct file_key key;
    file_record_key(&key, &content->file);
    struct toystore_request request = {.type = TOYSTORE_GET, .key = bytes_of(file_key_slice(&key))};
    fs_submit(fs, &request, got_record, reading);
}

/* ---- its pieces ---- */

static void piece_fetched(void *arg, int error)
{
    struct reading *reading = arg;
    if (error < 0)
        reading->error = error;
    if (--reading->pending > 0)
        return;
    if (reading->error == -ESTALE && ++reading->renewals <= RENEWALS_MAX)
        renew(reading);
    else if (reading->error < 0)
        fail(reading, reading->error);
    else if (reading->tries == 0)
        read_answer(reading);
    else
        read_pieces(reading);
}

/* Fetches what is missing, and sees afterwards whether anything still is: the file may have
 * changed under the read, and the cache is bounded. */
static void read_pieces(struct reading *reading)
{
    const struct image *view = &reading->content->view;
    uint64_t size = view->attributes.size;
    uint64_t end = min_u64(reading->offset + reading->wanted, size);
    reading->size = reading->offset < end ? end - reading->offset : 0;
    reading->record = reading->content->record_op;
    reading->error = 0;
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
                                .wanted = size,
                                .done = done,
                                .arg = arg};
    read_ahead(fs, handle, offset, offset + size);
    read_pieces(reading);
}
