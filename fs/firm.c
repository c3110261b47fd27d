/* firm: names, file records, pages and chunks become durable at their owners, some thousand with
 * each request: all keys of a large file would outgrow a frame.
 *
 * A chunk is marked once a SYNC that named it was answered, so that what is stored meanwhile is not
 * taken for covered, and a file that was opened again is synced like one that was never closed.
 *
 * Enters from fs_sync.c, publish_record.c, fs_rename.c; leaves to submit.c. */
#include "firm.h"

#include <stdlib.h>

enum { FIRM_KEYS_MAX = 4096, FIRM_PAUSE_MS = 10000 };

struct firm_key {
    struct slice text;          /* owned */
    struct toystore_op version; /* none: there is one only, or what a quorum shows */
    struct segment *segment;    /* a reference; NULL: no chunk */
};

struct firm {
    struct fs *fs;
    struct firm_key *keys;
    size_t count, capacity;
    size_t synced, asked;
    bool pauses; /* all that try, when this one fails */
    void (*done)(void *arg, int error);
    void *arg;
};

struct firm *firm_new(struct fs *fs)
{
    struct firm *firm = base_alloc(sizeof *firm);
    firm->fs = fs;
    return firm;
}

static struct firm_key *add(struct firm *firm, struct slice text)
{
    if (firm->count == firm->capacity) {
        firm->capacity = firm->capacity ? 2 * firm->capacity : 16;
        firm->keys = base_realloc(firm->keys, firm->capacity * sizeof *firm->keys);
    }
    struct firm_key *key = &firm->keys[firm->count++];
    *key = (struct firm_key){.text = slice_of(base_string(text), text.size)};
    return key;
}

void firm_name(struct firm *firm, struct slice key, struct toystore_op version)
{
    add(firm, key)->version = version;
}

void firm_record(struct firm *firm, const struct toystore_op *file, struct toystore_op version)
{
    struct file_key key;
    file_record_key(&key, file);
    firm_name(firm, file_key_slice(&key), version);
}

void firm_page(struct firm *firm, const struct toystore_op *file, const struct toystore_op *page)
{
    struct file_key key;
    page_key(&key, file, page);
    add(firm, file_key_slice(&key));
}

void firm_chunks(struct firm *firm, const struct extents *extents, const struct extents *except)
{
    struct toystore_op *before = NULL;
    size_t before_count = 0;
    const struct segment *last = NULL;
    for (size_t i = 0; i < extents->count; i++) {
        struct segment *segment = extents->items[i].segment;
        if (segment == last || segment->synced || op_none(&segment->chunk))
            continue;
        last = segment;
        if (except && before == NULL)
            before_count = extents_chunks(except, &segment->file, &before);
        if (except && bsearch(&segment->chunk, before, before_count, sizeof *before, chunk_order))
            continue;
        struct file_key key;
        chunk_key(&key, &segment->file, &segment->chunk);
        add(firm, file_key_slice(&key))->segment = segment_ref(segment);
    }
    free(before);
}

static uint64_t now_of(const struct firm *firm)
{
    return firm->fs->face.now_ns(firm->fs->face.arg);
}

static void end(struct firm *firm, int error)
{
    if (error < 0 && firm->pauses)
        firm->fs->firm_again_ns = now_of(firm) + FIRM_PAUSE_MS * 1000000ull;

    void (*done)(void *arg, int error) = firm->done;
    void *arg = firm->arg;
    for (size_t i = 0; i < firm->count; i++) {
        slice_free(firm->keys[i].text);
        if (firm->keys[i].segment)
            segment_unref(firm->keys[i].segment);
    }
    free(firm->keys);
    free(firm);
    done(arg, error);
}

static void next(struct firm *firm);

static void synced(void *arg, const struct toystore_result *result)
{
    struct firm *firm = arg;
    if (result->status == TOYSTORE_INDETERMINATE) {
        struct slice first = firm->keys[firm->synced].text;
        fs_log(firm->fs, 1, "%.*s: %s", (int)first.size, (const char *)first.data, result->message);
        end(firm, -EIO);
        return;
    }
    if (result->status != TOYSTORE_OK) {
        end(firm, error_of(result));
        return;
    }
    for (; firm->asked > 0; firm->asked--) {
        struct segment *segment = firm->keys[firm->synced++].segment;
        if (segment)
            segment->synced = true;
    }
    next(firm);
}

static void next(struct firm *firm)
{
    size_t count = min_size(firm->count - firm->synced, FIRM_KEYS_MAX);
    if (count == 0) {
        end(firm, 0);
        return;
    }
    struct toystore_bytes *keys = base_alloc(count * sizeof *keys);
    struct toystore_op *ops = base_alloc(count * sizeof *ops);
    for (size_t i = 0; i < count; i++) {
        const struct firm_key *key = &firm->keys[firm->synced + i];
        keys[i] = bytes_of(key->text);
        ops[i] = key->version;
    }
    firm->asked = count;
    struct toystore_request request = {
        .type = TOYSTORE_SYNC, .key = keys[0], .keys = keys, .key_count = count, .key_ops = ops};
    fs_submit(firm->fs, &request, synced, firm);
    free(keys);
    free(ops);
}

void firm_sync(struct firm *firm, void (*done)(void *arg, int error), void *arg)
{
    firm->done = done;
    firm->arg = arg;
    next(firm);
}

void firm_try(struct firm *firm, void (*done)(void *arg, int error), void *arg)
{
    if (now_of(firm) < firm->fs->firm_again_ns) {
        firm->done = done;
        firm->arg = arg;
        end(firm, -EAGAIN);
        return;
    }
    firm->pauses = true;
    firm_sync(firm, done, arg);
}

/* ---- a whole file, from its record ---- */

struct firm_file {
    struct fs *fs;
    struct toystore_op file, version;
    struct blob *value;
    struct file_record record; /* borrows from it */
    struct extents extents;
    void (*done)(void *arg, int error);
    void *arg;
};

static void file_end(void *arg, int error)
{
    struct firm_file *file = arg;
    void (*done)(void *arg, int error) = file->done;
    void *done_arg = file->arg;
    extents_free(&file->extents);
    file_record_free(&file->record);
    blob_unref(&file->value);
    free(file);
    done(done_arg, error);
}

static void file_loaded(void *arg, int error)
{
    struct firm_file *file = arg;
    if (error < 0) {
        file_end(file, error);
        return;
    }
    struct firm *firm = firm_new(file->fs);
    firm_record(firm, &file->file, file->version);
    for (size_t i = 0; i < file->record.page_count; i++)
        firm_page(firm, &file->file, &file->record.pages[i].page);
    firm_chunks(firm, &file->extents, NULL);
    firm_try(firm, file_end, file);
}

void firm_file(struct fs *fs, const struct seen *seen, void (*done)(void *arg, int error),
               void *arg)
{
    struct firm_file *file = base_alloc(sizeof *file);
    *file = (struct firm_file){.fs = fs,
                               .file = seen->file,
                               .version = seen->record_op,
                               .value = blob_ref(seen->value),
                               .done = done,
                               .arg = arg};
    if (file_record_decode(blob_slice(file->value), &file->file, &file->record) < 0) {
        file->record = (struct file_record){0};
        file_end(file, -EIO);
        return;
    }
    record_load(fs, &file->file, &file->record, &file->extents, file_loaded, file);
}
