/* content: a regular file that is open here, or has changes that are not published yet. */
#include "fs_priv.h"

#include "base/hash.h"

#include <stdlib.h>

struct content *content_new(struct node *node)
{
    struct fs *fs = node->fs;
    struct content *content = base_alloc(sizeof *content);
    *content = (struct content){.fs = fs, .refs = 1, .node = node, .file = node->seen.file};
    node_hold(node);
    node->contents++;
    list_push_back(&fs->contents, &content->link);
    list_init(&content->load_waiters);
    list_init(&content->waiters);
    return content;
}

struct content *content_unborn(struct node *node, const struct toystore_attributes *attributes)
{
    struct content *content = content_new(node);
    content->loaded = content->fresh = true;
    content->file = attributes->file;
    content->base.attributes = content->view.attributes = *attributes;
    return content;
}

struct content *content_ref(struct content *content)
{
    content->refs++;
    return content;
}

static void free_names(struct content *content)
{
    for (size_t i = 0; i < content->name_count; i++)
        blob_unref(&content->names[i]);
    free(content->names);
    content->names = NULL;
    content->name_count = 0;
}

void content_unref(struct content *content)
{
    assert(content->refs > 0);
    if (--content->refs > 0)
        return;
    struct fs *fs = content->fs;
    struct node *node = content->node;
    assert(list_empty(&content->waiters) && list_empty(&content->load_waiters));
    if (content->timer)
        fs->face.cancel(fs->face.arg, content->timer);
    if (node->content == content)
        node->content = NULL;
    node->contents--;
    content_sent(content, content->unsent);
    list_remove(&content->link);
    if (content->tail)
        segment_unref(content->tail);
    changes_free(&content->log);
    image_free(&content->base);
    image_free(&content->view);
    blob_unref(&content->extra);
    blob_unref(&content->equal);
    free_names(content);
    free(content->pages);
    free(content);
    node_release(node);
}

bool content_dirty(const struct content *content)
{
    if (content->unlinked)
        return false;
    return content->log.count > 0 || (!content->born && !content->given_up);
}

bool content_matches(const struct content *content, const struct seen *seen)
{
    if (!op_equal(&content->file, &seen->file))
        return false;
    if (content->reference)
        return op_equal(&content->record_op, &seen->record_op);
    return seen->kind == TOYSTORE_FILE && op_equal(&content->name_op, &seen->op);
}

uint64_t content_version(const struct content *content)
{
    uint8_t bytes[3 * sizeof(struct toystore_op)] = {0};
    memcpy(bytes, &content->file, sizeof content->file);
    memcpy(bytes + sizeof content->file,
           content->reference ? &content->record_op : &content->name_op, sizeof content->file);
    return hash64(slice_of(bytes, sizeof bytes)) | 1;
}

/* ---- loading ---- */

/* A reading of one version: all its pages, then its extents in order. */
struct loading {
    struct content *content;
    struct file_record record;
    struct segment **pages;
    size_t pending;
    int error;
};

static void loaded(struct content *content, int error)
{
    content->loading = false;
    if (error == 0) {
        content->loaded = true;
        content_rebase(content);
    } else {
        content->record_op = (struct toystore_op){0}; /* no version: it has pieces of two */
    }
    struct list woken, *link;
    list_init(&woken);
    while ((link = list_pop_front(&content->load_waiters)) != NULL)
        list_push_back(&woken, link);
    while ((link = list_pop_front(&woken)) !=
           NULL) { /* others may begin to wait for the next one */
        struct waiter *waiter = container_of(link, struct waiter, link);
        waiter->done(waiter->arg, error);
        free(waiter);
    }
    content_unref(content);
}

static int take_record(struct loading *loading)
{
    struct content *content = loading->content;
    struct extents *extents = &content->base.extents;
    extents_free(extents);
    for (size_t i = 0; i < loading->record.page_count; i++) {
        const struct segment *page = loading->pages[i];
        if (page_decode(slice_of(page->data, page->size), &content->file, extents) < 0)
            return -EIO;
    }
    const struct extents *own = &loading->record.extents;
    for (size_t i = 0; i < own->count; i++)
        extents_write(extents, own->items[i].offset, own->items[i].size, own->items[i].segment,
                      own->items[i].start);
    free(content->pages);
    content->pages = loading->record.pages;
    content->page_count = loading->record.page_count;
    loading->record.pages = NULL;
    return 0;
}

static void load_end(struct loading *loading)
{
    struct content *content = loading->content;
    if (loading->error == 0)
        loading->error = take_record(loading);
    int error = loading->error;
    for (size_t i = 0; i < loading->record.page_count; i++)
        segment_unref(loading->pages[i]);
    free(loading->pages);
    file_record_free(&loading->record);
    free(loading);
    loaded(content, error);
}

static void got_page(void *arg, int error)
{
    struct loading *loading = arg;
    if (error < 0)
        loading->error = error;
    if (--loading->pending == 0)
        load_end(loading);
}

static void load_pages(struct loading *loading)
{
    struct content *content = loading->content;
    struct file_record *record = &loading->record;
    loading->pages = base_alloc((record->page_count + 1) * sizeof(struct segment *));
    loading->pending = 1;
    for (size_t i = 0; i < record->page_count; i++) {
        const struct page_name *name = &record->pages[i];
        loading->pages[i] = segment_of_chunk(&content->file, &name->page,
                                             name->extents * EXTENT_SIZE, name->checksum);
        loading->pages[i]->page = true;
        loading->pending++;
        segment_fetch(content->fs, loading->pages[i], got_page, loading);
    }
    got_page(loading, 0);
}

void content_set_names(struct content *content, const struct file_record *record)
{
    free_names(content);
    content->names = base_alloc((record->name_count + 1) * sizeof *content->names);
    for (size_t i = 0; i < record->name_count; i++)
        content->names[content->name_count++] = blob_copy(record->names[i]);
    content->made_from = record->made_from;
}

static void take_inline(struct content *content, struct slice value)
{
    struct extents *extents = &content->base.extents;
    extents_free(extents);
    for (size_t at = 0; at < value.size; at += CHUNK_SIZE_MAX) {
        size_t size = min_size(value.size - at, CHUNK_SIZE_MAX);
        struct segment *segment = segment_of_bytes(slice_of(value.data + at, size));
        extents_write(extents, at, (uint32_t)size, segment, 0);
        segment_unref(segment);
    }
}

void content_wait_loaded(struct content *content, void (*done)(void *arg, int error), void *arg)
{
    struct waiter *waiter = base_alloc(sizeof *waiter);
    *waiter = (struct waiter){.done = done, .arg = arg};
    list_push_back(&content->load_waiters, &waiter->link);
}

void content_load(struct content *content, const struct seen *seen,
                  void (*done)(void *arg, int error), void *arg)
{
    content_wait_loaded(content, done, arg);
    if (content->loading)
        return;
    content->loading = true;
    content_ref(content);
    content->born = true;
    content->fresh = content->given_up = false;
    content->reference = seen->kind == TOYSTORE_REFERENCE;
    content->file = seen->file;
    content->name_op = seen->op;
    content->record_op = seen->record_op;
    content->version_ns = seen->at_ns;
    content->base.attributes = seen->attributes;
    blob_unref(&content->extra);
    content->extra = blob_ref(seen->extra);
    blob_unref(&content->equal);
    content->equal = blob_ref(seen->equal);
    if (!content->reference) {
        take_inline(content, blob_slice(seen->value));
        loaded(content, 0);
        return;
    }
    struct loading *loading = base_alloc(sizeof *loading);
    loading->content = content;
    if (file_record_decode(blob_slice(seen->value), &content->file, &loading->record) < 0) {
        fs_log(content->fs, 0, "a file record is malformed or of a newer format");
        free(loading);
        loaded(content, -EIO);
        return;
    }
    content_set_names(content, &loading->record);
    load_pages(loading);
}

void content_load_record(struct content *content, const struct toystore_version *version,
                         void (*done)(void *arg, int error), void *arg)
{
    struct seen seen = {.at_ns = content->fs->face.now_ns(content->fs->face.arg),
                        .kind = TOYSTORE_REFERENCE,
                        .op = content->name_op,
                        .file = content->file,
                        .value = blob_copy(slice_from(version->value)),
                        .extra = blob_ref(content->extra),
                        .equal = blob_ref(content->equal)};
    seen.attributes.mode = content->base.attributes.mode;
    seen_take_record(&seen, version);
    content_load(content, &seen, done, arg);
    seen_free(&seen);
}

void content_rebase(struct content *content)
{
    image_copy(&content->view, &content->base);
    image_replay(&content->view, &content->log, content->log.count);
}

/* ---- changing ---- */

void content_change(struct content *content, struct change change)
{
    assert(content->loaded);
    change.time_ns = fs_wall_ns(content->fs);
    image_apply(&content->view, &change);
    changes_add(&content->log, change, content->frozen);
    content->given_up = false;
    content->logged++;
}

static void grow(struct segment *segment, size_t size)
{
    if (size <= segment->capacity)
        return;
    size_t capacity = max_size(segment->capacity * (size_t)2, size);
    capacity = min_size(max_size(capacity, 4096), CHUNK_SIZE_MAX);
    segment->data = base_realloc(segment->data, capacity);
    segment->capacity = (uint32_t)capacity;
}

/* Bytes go to the end of the file's open segment, wherever in the file they belong; a full segment
 * leaves for the store at once. */
void content_write(struct content *content, uint64_t offset, struct slice data, bool append)
{
    struct fs *fs = content->fs;
    while (data.size > 0) {
        if (content->tail == NULL)
            content->tail = segment_new(0);
        struct segment *tail = content->tail;
        size_t size = min_size(data.size, CHUNK_SIZE_MAX - tail->size);
        grow(tail, tail->size + size);
        memcpy(tail->data + tail->size, data.data, size);
        struct change change = {.type = append ? CHANGE_APPEND : CHANGE_WRITE,
                                .offset = offset,
                                .size = (uint32_t)size,
                                .start = tail->size,
                                .segment = segment_ref(tail)};
        tail->size += (uint32_t)size;
        content_change(content, change);
        content->unsent += size;
        fs->unsent += size;
        offset += size;
        data = slice_of(data.data + size, data.size - size);
        if (tail->size == CHUNK_SIZE_MAX) {
            content->tail = NULL;
            segment_send(fs, content, tail);
            segment_unref(tail);
        }
    }
}

void content_sent(struct content *content, size_t bytes)
{
    bytes = min_size(bytes, content->unsent);
    content->unsent -= bytes;
    fs_made_room(content->fs, bytes);
}
