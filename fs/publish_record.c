/* publish_record: a file that is too large for one record: its unsent pieces become patches or
 * chunks, its extents pages when there are many, then one put of the file record shows all of it.
 *
 * A file that outgrows one record: first its file record is made, which says from which inline
 * version; then the reference takes the place of that very version. Two mounts may do so at once:
 * a record made from the version that the name still shows is built upon, any other is stale and
 * replaced; so whoever puts the reference, the record behind it has the changes of both. */
#include "publish.h"
#include "reclaim.h"

#include "base/hash.h"

#include <stdlib.h>

static bool unnamed(const struct extent *extent)
{
    return extent->segment->chunk.sequence == 0;
}

/* Packs all pieces without a chunk into new segments and sends these. The open segment stays open
 * for later writes; what it holds now gets a copy of its own. */
static void repack(struct publication *publication)
{
    struct extents *extents = &publication->target.extents;
    struct segment *pack = NULL;
    for (size_t i = 0; i < extents->count; i++) {
        struct extent *extent = &extents->items[i];
        if (!unnamed(extent))
            continue;
        if (pack && pack->size + extent->size > CHUNK_SIZE_MAX) {
            segment_send(publication->fs, publication->content, pack);
            segment_unref(pack);
            pack = NULL;
        }
        if (pack == NULL)
            pack = segment_new(CHUNK_SIZE_MAX);
        memcpy(pack->data + pack->size, extent->segment->data + extent->start, extent->size);
        segment_unref(extent->segment);
        extent->segment = segment_ref(pack);
        extent->start = pack->size;
        pack->size += extent->size;
    }
    if (pack) {
        segment_send(publication->fs, publication->content, pack);
        segment_unref(pack);
    }
}

static void segments_stored(struct publication *publication);
static void store_pages(struct publication *publication);

static void segment_done(void *arg, int error)
{
    struct publication *publication = arg;
    if (error < 0)
        publication->error = error;
    if (--publication->pending == 0)
        segments_stored(publication);
}

void publication_record(struct publication *publication)
{
    struct extents *extents = &publication->target.extents;
    size_t bytes = 0;
    for (size_t i = 0; i < extents->count; i++)
        if (unnamed(&extents->items[i]))
            bytes += extents->items[i].size;
    publication->error = 0;
    publication->pending = 1;
    publication->firm = false;
    if (bytes > INLINE_SIZE_MAX)
        repack(publication);
    const struct segment *last = NULL;
    for (size_t i = 0; i < extents->count; i++) {
        struct segment *segment = extents->items[i].segment;
        if (segment->state == SEGMENT_FAILED)
            publication->error = -EIO;
        if (segment->state != SEGMENT_SENDING || segment == last)
            continue;
        last = segment;
        publication->pending++;
        segment_wait(segment, segment_done, publication);
    }
    segment_done(publication, 0);
}

static void segments_stored(struct publication *publication)
{
    if (publication->error < 0) {
        int failed = publication->content->failed;
        publication_end(publication, failed ? failed : publication->error);
        return;
    }
    if (publication->target.extents.count > RECORD_EXTENTS_MAX)
        store_pages(publication);
    else
        publication_put_record(publication);
}

/* ---- pages ---- */

static void page_done(void *arg, int error)
{
    struct publication *publication = arg;
    if (error < 0)
        publication->error = error;
    if (--publication->pending > 0)
        return;
    if (publication->error < 0)
        publication_end(publication, publication->error);
    else
        publication_put_record(publication);
}

/* One page; a page like the one that stood there is not stored again. */
static void add_page(struct publication *publication, const struct extent *extents, size_t count)
{
    struct content *content = publication->content;
    size_t index = publication->page_count++;
    struct page_name *page = &publication->pages[index];
    struct buf out = {0};
    page_encode(&out, extents, count);
    page->extents = (uint32_t)count;
    page->checksum = hash64(buf_slice(&out));
    if (index < content->page_count && content->pages[index].checksum == page->checksum &&
        content->pages[index].extents == count) {
        page->page = content->pages[index].page;
        buf_free(&out);
        return;
    }
    struct segment *segment = segment_of_bytes(buf_slice(&out));
    buf_free(&out);
    segment->page = true;
    segment_send(publication->fs, content, segment);
    page->page = segment->chunk;
    publication->page_segments[index] = segment;
    publication->pending++;
    segment_wait(segment, page_done, publication);
}

static void store_pages(struct publication *publication)
{
    const struct extents *extents = &publication->target.extents;
    struct extent *named = base_alloc(extents->count * sizeof *named);
    size_t count = 0;
    for (size_t i = 0; i < extents->count; i++)
        if (!unnamed(&extents->items[i]))
            named[count++] = extents->items[i];
    size_t pages = (count + PAGE_EXTENTS_MAX - 1) / PAGE_EXTENTS_MAX;
    for (size_t i = 0; i < publication->page_count; i++)
        if (publication->page_segments[i])
            segment_unref(publication->page_segments[i]);
    free(publication->pages);
    free(publication->page_segments);
    publication->pages = base_alloc((pages + 1) * sizeof *publication->pages);
    publication->page_segments = base_alloc((pages + 1) * sizeof(struct segment *));
    publication->page_count = 0;
    publication->pending = 1;
    publication->error = pages > RECORD_PAGES_MAX ? -EFBIG : 0;
    for (size_t at = 0; at < count && publication->error == 0; at += PAGE_EXTENTS_MAX)
        add_page(publication, named + at, min_size(PAGE_EXTENTS_MAX, count - at));
    free(named);
    page_done(publication, 0);
}

/* ---- the file record ---- */

static void got_rival(void *arg, const struct toystore_result *result);

/* The base is what the record held that this put was conditional on. */
static void reclaim(struct publication *publication, const struct toystore_op *replaced)
{
    struct content *content = publication->content;
    const struct extents *target = &publication->target.extents;
    bool paged = target->count > RECORD_EXTENTS_MAX;
    struct named_pieces old = {*replaced, &content->base.extents, content->pages,
                               content->page_count};
    struct named_pieces now = {content->record_op, target, publication->pages,
                               paged ? publication->page_count : 0};
    content->version_ns = content->fs->face.now_ns(content->fs->face.arg);
    reclaim_replaced(content->fs, &content->file, &old, &now);
}

static void record_put(void *arg, const struct toystore_result *result)
{
    struct publication *publication = arg;
    struct content *content = publication->content;
    struct fs *fs = publication->fs;
    if (result->status == TOYSTORE_CONFLICT || result->status == TOYSTORE_TOO_LATE) {
        struct file_key key;
        file_record_key(&key, &content->file);
        struct toystore_request request = {.type = TOYSTORE_GET,
                                           .key = bytes_of(file_key_slice(&key))};
        fs_submit(fs, &request, got_rival, publication);
        return;
    }
    /* Taken for dead meanwhile: what the record names must have names of the new session. */
    if (result->status == TOYSTORE_RETIRED &&
        fs->face.now_ns(fs->face.arg) <= publication->until_ns) {
        publication_record(publication);
        return;
    }
    if (result->status != TOYSTORE_OK) {
        publication_end(publication, error_of(result));
        return;
    }
    struct toystore_op replaced = content->record_op;
    content->record_op = result->op;
    if (publication->replaces && !result->sloppy)
        reclaim(publication, &replaced);
    if (content->reference && !publication->name_pending) {
        publication_end(publication, 0);
        return;
    }
    publication->record_put = true;
    publication_put_reference(publication);
}

/* From now on others may read of them, whatever becomes of the put. */
static void mark_named(struct publication *publication)
{
    struct extents *extents = &publication->target.extents;
    for (size_t i = 0; i < extents->count; i++)
        extents->items[i].segment->named = true;
    for (size_t i = 0; i < publication->page_count && publication->page_segments; i++)
        if (publication->page_segments[i])
            publication->page_segments[i]->named = true;
}

static void encode_target(struct publication *publication, struct buf *out)
{
    struct content *content = publication->content;
    const struct extents *extents = &publication->target.extents;
    mark_named(publication);
    struct file_record record = {.made_from = publication->made_from};
    struct slice own_name = content->node->key;
    record.names = &own_name;
    record.name_count = 1;
    if (content->name_count > 0) {
        record.names = base_alloc(content->name_count * sizeof *record.names);
        for (size_t i = 0; i < content->name_count; i++)
            record.names[i] = blob_slice(content->names[i]);
        record.name_count = content->name_count;
    }
    bool paged = extents->count > RECORD_EXTENTS_MAX;
    record.extents.items = base_alloc((extents->count + 1) * sizeof *record.extents.items);
    for (size_t i = 0; i < extents->count; i++)
        if (!paged || unnamed(&extents->items[i]))
            record.extents.items[record.extents.count++] = extents->items[i];
    if (paged) {
        record.pages = publication->pages;
        record.page_count = publication->page_count;
    }
    file_record_encode(out, &record);
    free(record.extents.items);
    if (record.names != &own_name)
        free(record.names);
}

void publication_put_record(struct publication *publication)
{
    struct fs *fs = publication->fs;
    struct content *content = publication->content;
    if (publication_firm(publication) || publication_anew(publication))
        return;
    if (content->reference)
        publication->made_from = content->made_from;
    else
        publication->made_from = content->born ? content->name_op : (struct toystore_op){0};
    publication->record_put = false; /* a record of another made_from says nothing of this one */
    struct buf value = {0};
    encode_target(publication, &value);
    struct file_key key;
    file_record_key(&key, &content->file);
    bool known = !op_none(&content->record_op);
    publication->replaces = known && content->reference;
    struct toystore_request request = {
        .type = TOYSTORE_PUT,
        .key = bytes_of(file_key_slice(&key)),
        .op = fs->face.op_new(fs->face.arg), /* in this session or not at all */
        .condition = TOYSTORE_IF_MATCH,
        .match = &content->record_op,
        .match_count = known ? 1 : 0,
        /* A version is replaced for everybody or not at all, so that its chunks can go: also by who
         * does not know which one stands there. */
        .exclusive = known || content->reference,
        .change = TOYSTORE_SET,
        .kind = TOYSTORE_INTERNAL,
        .attributes = publication->target.attributes,
        .value = bytes_of(buf_slice(&value)),
    };
    request.op.sequence = 0;
    request.attributes.file = content->file;
    fs_submit(fs, &request, record_put, publication);
    buf_free(&value);
}

static void rebased(void *arg, int error)
{
    struct publication *publication = arg;
    struct content *content = publication->content;
    if (error < 0) {
        publication_end(publication, error);
        return;
    }
    image_copy(&publication->target, &content->base);
    image_replay(&publication->target, &content->log, content->frozen);
    publication_prepare(publication);
}

static void rival_of_reference(struct publication *publication,
                               const struct toystore_version *version)
{
    publication->rebased = true;
    content_load_record(publication->content, version, rebased, publication);
}

/* The name is not a reference yet, as far as we know: ours is made from `made_from`. */
static void rival_of_name(struct publication *publication, const struct toystore_version *version)
{
    struct content *content = publication->content;
    struct file_record record;
    struct slice value = slice_from(version->value);
    if (file_record_decode(value, &content->file, &record) < 0) {
        publication_end(publication, -EIO);
        return;
    }
    bool same = op_equal(&record.made_from, &publication->made_from);
    file_record_free(&record);
    if (!content->born) { /* an earlier attempt of our own: nobody else knows the file */
        content->record_op = version->op;
        publication_put_record(publication);
        return;
    }
    if (!same) {
        /* One of us is late. Only a look at the name, after this one at the record, tells that the
         * record can never come into force: then the name shows the version that ours is made
         * from, and so never again the other. */
        publication->stale_record = version->op;
        publication_conflict(publication);
        return;
    }
    content->record_op = version->op;
    publication->name_pending = true;
    rival_of_reference(publication, version);
}

static void got_rival(void *arg, const struct toystore_result *result)
{
    struct publication *publication = arg;
    struct content *content = publication->content;
    struct fs *fs = publication->fs;
    if (++publication->conflicts > CONFLICTS_MAX ||
        fs->face.now_ns(fs->face.arg) > publication->until_ns) {
        publication_end(publication, -ETIMEDOUT);
        return;
    }
    if (result->status == TOYSTORE_NOT_FOUND ||
        (result->status == TOYSTORE_OK && result->version_count == 0)) {
        if (content->reference) { /* its last name is gone */
            content->unlinked = true;
            content->node->gone = true;
            publication_end(publication, 0);
            return;
        }
        content->record_op = (struct toystore_op){0};
        publication_put_record(publication);
        return;
    }
    if (result->status != TOYSTORE_OK) {
        publication_end(publication, error_of(result));
        return;
    }
    if (content->reference)
        rival_of_reference(publication, &result->versions[0]);
    else
        rival_of_name(publication, &result->versions[0]);
}
