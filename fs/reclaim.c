/* reclaim: chunks and pages that no version of a file names any more are deleted.
 *
 * A file record is replaced and deleted by conditional, exclusive puts alone: there are no siblings
 * of it, a version that was replaced never comes back, and whoever still works on it is told
 * CONFLICT. So once such a put was answered OK, what the old version named and the new one does not
 * is garbage. It is deleted a few seconds later, for readers of other mounts that are in the middle
 * of it, and not before this mount's own open files have let go of it. A crash in between leaves
 * chunks that nothing names.
 *
 * Enters from publish_record.c (a record was replaced) and from unlink and rename (a name is gone);
 * leaves to submit.c. */
#include "reclaim.h"

#include "base/hash.h"

#include <stdlib.h>

enum {
    RECLAIM_DELAY_MS = 5000,
    RECLAIM_STEP_MS = 1000,
    RECLAIM_OPEN_MAX = 16, /* deletions under way */
    RECLAIM_TRIES = 5,     /* of one: then it is left */
    BURIAL_TRIES = 10
};

/* A chunk or page to be deleted. */
struct garbage {
    struct list link;
    struct fs *fs;
    struct toystore_op file, chunk;
    bool page;
    unsigned tries;
    uint64_t since_ns; /* when it became garbage */
};

static uint64_t now_of(struct fs *fs)
{
    return fs->face.now_ns(fs->face.arg);
}

static void run(struct fs *fs);

static void add(struct fs *fs, const struct toystore_op *file, const struct toystore_op *chunk,
                bool page)
{
    struct garbage *garbage = base_alloc(sizeof *garbage);
    *garbage = (struct garbage){
        .fs = fs, .file = *file, .chunk = *chunk, .page = page, .since_ns = now_of(fs)};
    list_push_back(&fs->garbage, &garbage->link);
}

/* ---- deleting ---- */

/* A file that is open here and was read before may still show it. */
static bool in_use(const struct garbage *garbage)
{
    LIST_EACH(link, &garbage->fs->contents)
    {
        const struct content *content = container_of(link, struct content, link);
        if (op_equal(&content->file, &garbage->file) && content->version_ns < garbage->since_ns)
            return true;
    }
    return false;
}

static void due(void *arg)
{
    struct fs *fs = arg;
    fs->reclaim_timer = 0;
    run(fs);
}

static void check_finished(struct fs *fs)
{
    if (fs->reclaim_done == NULL || fs->reclaiming > 0 || fs->burials > 0 ||
        !list_empty(&fs->garbage))
        return;
    void (*done)(void *arg) = fs->reclaim_done;
    fs->reclaim_done = NULL;
    done(fs->reclaim_arg);
}

static void deleted(void *arg, const struct toystore_result *result)
{
    struct garbage *garbage = arg;
    struct fs *fs = garbage->fs;
    fs->reclaiming--;
    bool again = result->status != TOYSTORE_OK && fs->reclaim_done == NULL &&
                 ++garbage->tries < RECLAIM_TRIES;
    if (again)
        list_push_back(&fs->garbage, &garbage->link);
    else
        free(garbage);
    if (result->status != TOYSTORE_OK && fs->reclaim_done) /* nobody to wait for */
        reclaim_free(fs);
    run(fs);
}

static void delete_one(struct garbage *garbage)
{
    struct fs *fs = garbage->fs;
    struct file_key key;
    if (garbage->page)
        page_key(&key, &garbage->file, &garbage->chunk);
    else
        chunk_key(&key, &garbage->file, &garbage->chunk);
    struct toystore_request request = {.type = TOYSTORE_STORE,
                                       .key = bytes_of(file_key_slice(&key)),
                                       .change = TOYSTORE_DELETE,
                                       .exclusive = true,
                                       .kind = TOYSTORE_INTERNAL};
    fs->reclaiming++;
    fs_submit(fs, &request, deleted, garbage);
}

static void run(struct fs *fs)
{
    uint64_t delay_ns = fs->reclaim_now || fs->reclaim_done ? 0 : RECLAIM_DELAY_MS * 1000000ull;
    uint64_t now_ns = now_of(fs);
    LIST_EACH(link, &fs->garbage)
    {
        struct garbage *garbage = container_of(link, struct garbage, link);
        if (fs->reclaiming >= RECLAIM_OPEN_MAX)
            break;
        if (now_ns < garbage->since_ns + delay_ns || (!fs->reclaim_done && in_use(garbage)))
            continue;
        list_remove(link);
        delete_one(garbage);
    }
    bool idle = fs->reclaiming == 0 && !list_empty(&fs->garbage);
    if (idle && fs->reclaim_timer == 0)
        fs->reclaim_timer = fs->face.after(fs->face.arg, RECLAIM_STEP_MS, due, fs);
    check_finished(fs);
}

void reclaim_finish(struct fs *fs, void (*done)(void *arg), void *arg)
{
    fs->reclaim_done = done;
    fs->reclaim_arg = arg;
    run(fs);
}

void reclaim_free(struct fs *fs)
{
    struct list *link;
    if (fs->reclaim_timer)
        fs->face.cancel(fs->face.arg, fs->reclaim_timer);
    fs->reclaim_timer = 0;
    while ((link = list_pop_front(&fs->garbage)) != NULL)
        free(container_of(link, struct garbage, link));
}

/* ---- a version was replaced ---- */

static int by_op(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct toystore_op));
}

static bool has_op(const struct toystore_op *sorted, size_t count, const struct toystore_op *op)
{
    return bsearch(op, sorted, count, sizeof *sorted, by_op) != NULL;
}

/* The chunks that an image names, in order, each once. */
static size_t chunks_of(const struct extents *extents, const struct toystore_op *file,
                        struct toystore_op **ret_chunks)
{
    struct toystore_op *chunks = base_alloc((extents->count + 1) * sizeof *chunks);
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < extents->count; i++) {
        const struct segment *segment = extents->items[i].segment;
        if (!op_none(&segment->chunk) && op_equal(&segment->file, file))
            chunks[count++] = segment->chunk;
    }
    qsort(chunks, count, sizeof *chunks, by_op);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || by_op(&chunks[kept - 1], &chunks[i]) != 0)
            chunks[kept++] = chunks[i];
    *ret_chunks = chunks;
    return kept;
}

void reclaim_replaced(struct fs *fs, const struct toystore_op *file, const struct named_pieces *old,
                      const struct named_pieces *now)
{
    struct toystore_op *before, *after;
    size_t before_count = chunks_of(old->extents, file, &before);
    size_t after_count = chunks_of(now->extents, file, &after);
    for (size_t i = 0; i < before_count; i++)
        if (!has_op(after, after_count, &before[i]))
            add(fs, file, &before[i], false);
    for (size_t i = 0; i < old->page_count; i++) {
        bool kept = false;
        for (size_t j = 0; j < now->page_count; j++)
            kept = kept || op_equal(&old->pages[i].page, &now->pages[j].page);
        if (!kept)
            add(fs, file, &old->pages[i].page, true);
    }
    free(before);
    free(after);
    run(fs);
}

/* ---- a name is gone: is the file? ---- */

struct burial {
    struct fs *fs;
    struct toystore_op file, record_op;
    struct blob *value; /* the file record */
    struct file_record record;
    size_t at; /* names and pages that were looked at */
    struct extents extents;
    unsigned tries;
};

static void burial_clear(struct burial *burial)
{
    if (burial->value)
        file_record_free(&burial->record);
    extents_free(&burial->extents);
    blob_unref(&burial->value);
    burial->at = 0;
}

static void burial_end(struct burial *burial)
{
    struct fs *fs = burial->fs;
    burial_clear(burial);
    free(burial);
    fs->burials--;
    run(fs);
}

static void look_at_record(struct burial *burial);

static void record_deleted(void *arg, const struct toystore_result *result)
{
    struct burial *burial = arg;
    struct fs *fs = burial->fs;
    if (result->status == TOYSTORE_CONFLICT && ++burial->tries < BURIAL_TRIES) {
        look_at_record(burial); /* published to meanwhile, or renamed */
        return;
    }
    if (result->status == TOYSTORE_OK && !result->sloppy) {
        static const struct extents nothing;
        struct named_pieces old = {&burial->extents, burial->record.pages,
                                   burial->record.page_count};
        reclaim_replaced(fs, &burial->file, &old, &(struct named_pieces){&nothing, NULL, 0});
    }
    burial_end(burial);
}

static void delete_record(struct burial *burial)
{
    struct file_key key;
    file_record_key(&key, &burial->file);
    struct toystore_request request = {.type = TOYSTORE_PUT,
                                       .key = bytes_of(file_key_slice(&key)),
                                       .condition = TOYSTORE_IF_MATCH,
                                       .match = &burial->record_op,
                                       .match_count = 1,
                                       .exclusive = true,
                                       .change = TOYSTORE_DELETE};
    fs_submit(burial->fs, &request, record_deleted, burial);
}

static void take_extents(struct burial *burial, const struct extents *extents)
{
    for (size_t i = 0; i < extents->count; i++) {
        const struct extent *one = &extents->items[i];
        extents_write(&burial->extents, one->offset, one->size, one->segment, one->start);
    }
}

static void next_page(struct burial *burial);

static void got_page(void *arg, const struct toystore_result *result)
{
    struct burial *burial = arg;
    const struct page_name *page = &burial->record.pages[burial->at];
    struct slice bytes = {0};
    if (result->status == TOYSTORE_OK && result->version_count == 1)
        bytes = slice_from(result->versions[0].value);
    /* What it names would be known to nobody: then all stays. */
    if (bytes.size != (size_t)page->extents * EXTENT_SIZE || hash64(bytes) != page->checksum ||
        page_decode(bytes, &burial->file, &burial->extents) < 0) {
        burial_end(burial);
        return;
    }
    burial->at++;
    next_page(burial);
}

static void next_page(struct burial *burial)
{
    struct file_key key;
    if (burial->at == burial->record.page_count) {
        take_extents(burial, &burial->record.extents);
        delete_record(burial);
        return;
    }
    page_key(&key, &burial->file, &burial->record.pages[burial->at].page);
    struct toystore_request request = {.type = TOYSTORE_FETCH,
                                       .key = bytes_of(file_key_slice(&key))};
    fs_submit(burial->fs, &request, got_page, burial);
}

static void next_name(struct burial *burial);

/* A rename that was cut short has left two names, and either may be the last. */
static void got_name(void *arg, const struct toystore_result *result)
{
    struct burial *burial = arg;
    bool known =
        (result->status == TOYSTORE_OK || result->status == TOYSTORE_NOT_FOUND) && !result->sloppy;
    for (size_t i = 0; known && i < result->version_count; i++)
        known = result->versions[i].kind != TOYSTORE_REFERENCE ||
                !op_equal(&result->versions[i].attributes.file, &burial->file);
    if (!known) {
        burial_end(burial);
        return;
    }
    burial->at++;
    next_name(burial);
}

static void next_name(struct burial *burial)
{
    if (burial->at == burial->record.name_count) {
        burial->at = 0;
        next_page(burial);
        return;
    }
    struct toystore_request request = {
        .type = TOYSTORE_GET, .key = bytes_of(burial->record.names[burial->at]), .strict = 1};
    fs_submit(burial->fs, &request, got_name, burial);
}

static void got_record(void *arg, const struct toystore_result *result)
{
    struct burial *burial = arg;
    if (result->status != TOYSTORE_OK || result->version_count != 1 || result->sloppy) {
        burial_end(burial);
        return;
    }
    const struct toystore_version *version = &result->versions[0];
    struct blob *value = blob_copy(slice_from(version->value));
    if (file_record_decode(blob_slice(value), &burial->file, &burial->record) < 0) {
        blob_unref(&value);
        burial_end(burial);
        return;
    }
    burial->value = value;
    burial->record_op = version->op;
    next_name(burial);
}

static void look_at_record(struct burial *burial)
{
    struct file_key key;
    burial_clear(burial);
    file_record_key(&key, &burial->file);
    struct toystore_request request = {
        .type = TOYSTORE_GET, .key = bytes_of(file_key_slice(&key)), .strict = 1};
    fs_submit(burial->fs, &request, got_record, burial);
}

void reclaim_file(struct fs *fs, const struct toystore_op *file)
{
    struct burial *burial = base_alloc(sizeof *burial);
    *burial = (struct burial){.fs = fs, .file = *file};
    fs->burials++;
    look_at_record(burial);
}
