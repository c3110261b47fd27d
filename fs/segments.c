/* segments: chunks and pages on their way out to the store, and back in.
 *
 * Enters from writes, publications and reads; leaves to submit.c. */
#include "fs_priv.h"

#include "base/hash.h"

#include <stdlib.h>

struct send {
    struct list link;
    struct fs *fs;
    struct content *content; /* a reference */
    struct segment *segment; /* a reference */
};

static void key_of(const struct segment *segment, struct file_key *ret)
{
    if (segment->page)
        page_key(ret, &segment->file, &segment->chunk);
    else
        chunk_key(ret, &segment->file, &segment->chunk);
}

static void wake(struct segment *segment, int error)
{
    struct list *link;
    segment_ref(segment);
    while ((link = list_pop_front(&segment->waiters)) != NULL) {
        struct waiter *waiter = container_of(link, struct waiter, link);
        waiter->done(waiter->arg, error);
        free(waiter);
    }
    segment_unref(segment);
}

void segment_wait(struct segment *segment, void (*done)(void *arg, int error), void *arg)
{
    struct waiter *waiter = base_alloc(sizeof *waiter);
    *waiter = (struct waiter){.done = done, .arg = arg};
    list_push_back(&segment->waiters, &waiter->link);
}

/* ---- the cache: stored segments whose bytes are here, too ---- */

/* Pages are kept by who reads a version, until all of them are there, and not after that. */
void segment_used(struct fs *fs, struct segment *segment)
{
    if (segment->state != SEGMENT_STORED || segment->data == NULL || segment->page)
        return;
    if (list_linked(&segment->cached)) {
        list_remove(&segment->cached);
    } else {
        fs->cached_bytes += segment->size;
        segment->cached_bytes = &fs->cached_bytes;
    }
    list_push_back(&fs->cache, &segment->cached);
    while (fs->cached_bytes > CACHE_MAX) {
        struct segment *oldest = container_of(fs->cache.next, struct segment, cached);
        list_remove(&oldest->cached);
        fs->cached_bytes -= oldest->size;
        free(oldest->data);
        oldest->data = NULL;
        oldest->capacity = 0;
    }
}

/* ---- out ---- */

static void send_more(struct fs *fs);

static void sent(void *arg, const struct toystore_result *result)
{
    struct send *send = arg;
    struct fs *fs = send->fs;
    struct segment *segment = send->segment;
    struct content *content = send->content;
    int error = error_of(result);
    fs->sending--;
    if (error == 0) {
        segment->state = SEGMENT_STORED;
        segment_used(fs, segment);
    } else {
        fs_log(fs, 1, "a chunk could not be stored: %s %s", toystore_status_word(result->status),
               result->message ? result->message : "");
        segment->state = SEGMENT_FAILED;
        content->failed = error;
    }
    if (!segment->page)
        content_sent(content, segment->size);
    wake(segment, error);
    segment_unref(segment);
    content_unref(content);
    free(send);
    send_more(fs);
}

static void send_more(struct fs *fs)
{
    while (fs->sending < SENDING_MAX && !list_empty(&fs->send_queue)) {
        struct send *send = container_of(list_pop_front(&fs->send_queue), struct send, link);
        struct file_key key;
        key_of(send->segment, &key);
        struct toystore_request request = {
            .type = TOYSTORE_STORE,
            .key = bytes_of(file_key_slice(&key)),
            .kind = TOYSTORE_INTERNAL,
            .value = {send->segment->data, send->segment->size},
            .deadline_ms = fs->config.timeout_ms,
        };
        fs->sending++;
        fs_submit(fs, &request, sent, send);
    }
}

void segment_send(struct fs *fs, struct content *content, struct segment *segment)
{
    assert(segment->state == SEGMENT_MEMORY && segment->size > 0);
    segment->state = SEGMENT_SENDING;
    segment->file = content->file;
    segment->chunk = fs->face.op_new(fs->face.arg);
    segment->unnamed = &fs->unnamed;
    segment->checksum = hash64(slice_of(segment->data, segment->size));
    struct send *send = base_alloc(sizeof *send);
    *send =
        (struct send){.fs = fs, .content = content_ref(content), .segment = segment_ref(segment)};
    list_push_back(&fs->send_queue, &send->link);
    send_more(fs);
}

void segment_send_again(struct fs *fs, struct content *content, struct segment *segment)
{
    assert(segment->state == SEGMENT_STORED && segment->data);
    if (list_linked(&segment->cached)) { /* what is sent must not be dropped */
        list_remove(&segment->cached);
        fs->cached_bytes -= segment->size;
    }
    segment->state = SEGMENT_MEMORY;
    segment->synced = false;
    content->unsent += segment->size;
    fs->unsent += segment->size;
    segment_send(fs, content, segment);
}

void fs_made_room(struct fs *fs, size_t bytes)
{
    fs->unsent -= min_size(bytes, fs->unsent);
    if (bytes == 0)
        return;
    struct list woken;
    list_init(&woken);
    struct list *link;
    while ((link = list_pop_front(&fs->room_waiters)) != NULL)
        list_push_back(&woken, link);
    while ((link = list_pop_front(&woken)) != NULL) { /* who has none yet, waits again */
        struct waiter *waiter = container_of(link, struct waiter, link);
        waiter->done(waiter->arg, 0);
        free(waiter);
    }
}

/* ---- in ---- */

struct fetch {
    struct fs *fs;
    struct segment *segment;
};

static void fetched(void *arg, const struct toystore_result *result)
{
    struct fetch *fetch = arg;
    struct fs *fs = fetch->fs;
    struct segment *segment = fetch->segment;
    free(fetch);
    int error = error_of(result);
    if (error == 0 && result->version_count == 0)
        error = -EIO;
    if (error == -ENOENT) /* a quorum has none of it: the version that named it was replaced */
        error = -ESTALE;
    if (error == 0) {
        struct slice value = slice_from(result->versions[0].value);
        if (value.size != segment->size || hash64(value) != segment->checksum) {
            fs_log(fs, 0, "a chunk is not what its file says it is");
            error = -EIO;
        } else if (segment->data == NULL) {
            segment->data = base_copy(value.data, value.size);
            segment->capacity = segment->size;
        }
    }
    segment->fetching = false;
    if (error == 0)
        segment_used(fs, segment);
    wake(segment, error);
    segment_unref(segment);
}

void segment_fetch(struct fs *fs, struct segment *segment, void (*done)(void *arg, int error),
                   void *arg)
{
    if (segment->data) {
        segment_used(fs, segment);
        if (done)
            done(arg, 0);
        return;
    }
    if (done)
        segment_wait(segment, done, arg);
    if (segment->fetching)
        return;
    segment->fetching = true;
    struct fetch *fetch = base_alloc(sizeof *fetch);
    *fetch = (struct fetch){.fs = fs, .segment = segment_ref(segment)};
    struct file_key key;
    key_of(segment, &key);
    struct toystore_request request = {.type = TOYSTORE_FETCH,
                                       .key = bytes_of(file_key_slice(&key))};
    fs_submit(fs, &request, fetched, fetch);
}
