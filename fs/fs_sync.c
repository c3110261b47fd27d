/* fs_sync: fsync: what an open file consists of becomes durable at its owners (DESIGN 6): its name,
 * the directories above it, its record and pages, and its chunks that no fsync has covered yet.
 *
 * A chunk is marked once a SYNC that named it was answered, so that what is stored meanwhile is not
 * taken for covered, and a file that was opened again is synced like one that was never closed.
 * The keys of a large file go in several requests: all of them would outgrow a frame.
 *
 * Enters from ops.c; leaves to publish.c, then to submit.c. */
#include "fs_priv.h"

#include <stdlib.h>

enum { SYNC_CHUNKS_MAX = 4096 };

struct syncing {
    struct fs *fs;
    uint64_t handle;
    struct content *content; /* a reference */
    fs_done_fn *done;
    void *arg;
    struct segment **chunks; /* references: those that are to be synced */
    size_t count, covered, asked;
};

static void sync_end(struct syncing *syncing, int error)
{
    error = handle_ends(pool_get(&syncing->fs->handles, syncing->handle), error, true);
    for (size_t i = 0; i < syncing->count; i++)
        segment_unref(syncing->chunks[i]);
    free(syncing->chunks);
    struct fs_answer answer = {.error = error};
    syncing->done(syncing->arg, &answer);
    content_unref(syncing->content);
    free(syncing);
}

/* What the published file is made of and may not be durable yet. */
static void gather_chunks(struct syncing *syncing)
{
    const struct extents *extents = &syncing->content->base.extents;
    const struct segment *last = NULL;
    syncing->chunks = base_alloc((extents->count + 1) * sizeof(struct segment *));
    for (size_t i = 0; i < extents->count; i++) {
        struct segment *segment = extents->items[i].segment;
        if (segment == last || segment->synced || op_none(&segment->chunk))
            continue;
        syncing->chunks[syncing->count++] = segment_ref(segment);
        last = segment;
    }
}

struct sync_keys {
    struct toystore_bytes *keys;
    struct toystore_op *ops; /* the version of each that must be durable; none: not known here */
    struct file_key *texts;
    size_t count, text_count;
};

static void add_key(struct sync_keys *to, struct slice key, struct toystore_op op)
{
    to->keys[to->count] = bytes_of(key);
    to->ops[to->count++] = op;
}

static struct file_key *next_text(struct sync_keys *to)
{
    struct file_key *text = &to->texts[to->text_count++];
    return text;
}

static struct toystore_op directory_op(struct fs *fs, struct slice key)
{
    const struct node *node = node_at(fs, key);
    bool known = node && node->seen.kind == TOYSTORE_DIRECTORY;
    return known ? node->seen.op : (struct toystore_op){0};
}

/* The name, its directories, the record and its pages: once, with the first chunks. */
static void add_file(struct sync_keys *to, const struct content *content)
{
    static const struct toystore_op none;
    struct slice key = content->node->key;
    struct file_key *text;
    add_key(to, key, content->name_op);
    for (key = key_parent_of(key); key.size > 0; key = key_parent_of(key))
        add_key(to, key, directory_op(content->fs, key));
    if (!content->reference)
        return;
    text = next_text(to);
    file_record_key(text, &content->file);
    add_key(to, file_key_slice(text), content->record_op);
    for (size_t i = 0; i < content->page_count; i++) {
        text = next_text(to);
        page_key(text, &content->file, &content->pages[i].page);
        add_key(to, file_key_slice(text), none);
    }
}

static void synced(void *arg, const struct toystore_result *result);

static void sync_next(struct syncing *syncing)
{
    const struct content *content = syncing->content;
    size_t chunks = min_size(syncing->count - syncing->covered, SYNC_CHUNKS_MAX);
    size_t texts = chunks + content->page_count + 1, most = texts + content->node->key.size + 1;
    struct sync_keys to = {.keys = base_alloc(most * sizeof *to.keys),
                           .ops = base_alloc(most * sizeof *to.ops),
                           .texts = base_alloc(texts * sizeof *to.texts)};
    if (syncing->covered == 0)
        add_file(&to, content);
    for (size_t i = 0; i < chunks; i++) {
        const struct segment *segment = syncing->chunks[syncing->covered + i];
        struct file_key *text = next_text(&to);
        chunk_key(text, &segment->file, &segment->chunk);
        add_key(&to, file_key_slice(text), (struct toystore_op){0});
    }
    syncing->asked = chunks;
    struct toystore_request request = {.type = TOYSTORE_SYNC,
                                       .key = to.keys[0],
                                       .keys = to.keys,
                                       .key_count = to.count,
                                       .key_ops = to.ops};
    fs_submit(syncing->fs, &request, synced, syncing);
    free(to.keys);
    free(to.ops);
    free(to.texts);
}

static void synced(void *arg, const struct toystore_result *result)
{
    struct syncing *syncing = arg;
    bool lost = result->status == TOYSTORE_INDETERMINATE;
    int error = lost ? -EIO : error_of(result);
    if (lost)
        fs_log(syncing->fs, 1, "%.*s: what was written last is lost: %s",
               (int)syncing->content->node->key.size,
               (const char *)syncing->content->node->key.data, result->message);
    for (size_t i = 0; error == 0 && i < syncing->asked; i++)
        syncing->chunks[syncing->covered++]->synced = true;
    if (error < 0 || syncing->covered == syncing->count)
        sync_end(syncing, error);
    else
        sync_next(syncing);
}

static void sync_published(void *arg, int error)
{
    struct syncing *syncing = arg;
    if (error < 0 || syncing->content->unlinked) {
        sync_end(syncing, error);
        return;
    }
    gather_chunks(syncing);
    sync_next(syncing);
}

void fs_fsync(struct fs *fs, uint64_t id, fs_done_fn *done, void *arg)
{
    struct handle *handle = pool_get(&fs->handles, id);
    if (handle == NULL || handle->content == NULL) {
        answer_error(handle ? -EINVAL : -EBADF, done, arg);
        return;
    }
    int failed = handle_writable(handle) ? handle_take_failure(handle) : 0;
    if (failed < 0) {
        answer_error(failed, done, arg);
        return;
    }
    struct syncing *syncing = base_alloc(sizeof *syncing);
    *syncing = (struct syncing){
        .fs = fs, .handle = id, .content = content_ref(handle->content), .done = done, .arg = arg};
    content_publish(syncing->content, sync_published, syncing);
}
