/* publish: a file's log becomes its next version, for everybody.
 *
 * The put is if-match on the version that the log was made over. On a conflict the newest version
 * is read and the log done again over it, so that nobody's append is lost. Small files are one put
 * of the name; publish_record.c does the others.
 *
 * Enters from writes, flushes and timers; leaves to submit.c. */
#include "publish.h"
#include "reclaim.h"

#include <stdlib.h>

static void begin(struct content *content);

void content_publish(struct content *content, void (*done)(void *arg, int error), void *arg)
{
    bool settled = content->published >= content->logged || !content_dirty(content);
    if (settled && !content->publishing) {
        if (done)
            done(arg, 0);
        return;
    }
    struct waiter *waiter = base_alloc(sizeof *waiter);
    *waiter = (struct waiter){.upto = content->logged, .done = done, .arg = arg};
    list_push_back(&content->waiters, &waiter->link);
    if (!content->publishing)
        begin(content);
}

static void publish_due(void *arg)
{
    struct content *content = arg;
    content->timer = 0;
    content_ref(content);
    content_publish(content, NULL, NULL);
    content_unref(content);
}

void content_publish_later(struct content *content, unsigned ms)
{
    struct store_face *face = &content->fs->face;
    if (content->timer == 0)
        content->timer = face->after(face->arg, ms, publish_due, content);
}

static void begin_over(struct content *content)
{
    struct fs *fs = content->fs;
    struct publication *publication = base_alloc(sizeof *publication);
    *publication = (struct publication){.fs = fs,
                                        .content = content_ref(content),
                                        .upto = content->logged,
                                        .version_before = content_version(content),
                                        .was_born = content->born};
    publication->until_ns =
        fs->face.now_ns(fs->face.arg) + (uint64_t)fs->config.timeout_ms * 1000000;
    content->frozen = content->log.count;
    if (content->timer) {
        fs->face.cancel(fs->face.arg, content->timer);
        content->timer = 0;
    }
    image_copy(&publication->target, &content->view);
    publication_prepare(publication);
}

static void loaded(void *arg, int error)
{
    (void)error; /* then it is over no version, and the conflict makes it read the newest */
    begin(arg);
}

/* While another version is being read, the names are that one's already and the view is not: put
 * now, it would take the place of what it has not seen. */
static void begin(struct content *content)
{
    content->publishing = true;
    if (content->loading)
        content_wait_loaded(content, loaded, content);
    else
        begin_over(content);
}

void publication_prepare(struct publication *publication)
{
    struct content *content = publication->content;
    if (content->unlinked) {
        publication_end(publication, 0);
        return;
    }
    if (content->failed) {
        publication_end(publication, content->failed);
        return;
    }
    bool small = !content->reference && publication->target.attributes.size <= INLINE_SIZE_MAX;
    if (small && extents_in_memory(&publication->target.extents))
        publication_put_name(publication, TOYSTORE_FILE);
    else
        publication_record(publication);
}

/* ---- the put of the name ---- */

static void name_put(void *arg, const struct toystore_result *result)
{
    struct publication *publication = arg;
    struct content *content = publication->content;
    if (result->status == TOYSTORE_CONFLICT || result->status == TOYSTORE_TOO_LATE) {
        publication_conflict(publication);
        return;
    }
    if (result->status != TOYSTORE_OK) {
        publication_end(publication, error_of(result));
        return;
    }
    content->name_op = result->op;
    blob_unref(&content->equal); /* these were replaced with it */
    content->born = true;
    content->reference = publication->kind == TOYSTORE_REFERENCE;
    publication->name_pending = false;
    publication_end(publication, 0);
}

void publication_put_name(struct publication *publication, enum toystore_kind kind)
{
    struct fs *fs = publication->fs;
    struct content *content = publication->content;
    const struct image *target = &publication->target;
    uint8_t bytes[INLINE_SIZE_MAX];
    size_t size = 0;
    if (kind == TOYSTORE_FILE) {
        size = target->attributes.size;
        extents_copy_bytes(&target->extents, 0, bytes, size);
    }
    struct match match;
    match_of(&match, &content->name_op, content->equal);
    struct toystore_request request = {
        .type = TOYSTORE_PUT,
        .key = bytes_of(content->node->key),
        /* A version of nothing may become sloppy in a split, as any publication may; an if-absent
         * could not. */
        .condition = TOYSTORE_IF_MATCH,
        .match = match.ops,
        .match_count = content->born ? match.count : 0,
        .change = TOYSTORE_SET,
        .kind = kind,
        .attributes = target->attributes,
        .value = {bytes, size},
        .extra = bytes_of(blob_slice(content->extra)),
    };
    request.attributes.file = content->file;
    publication->kind = kind;
    fs_submit(fs, &request, name_put, publication);
}

/* ---- conflicts ---- */

static void replayed(void *arg, int error)
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

static void mark_unlinked(struct publication *publication)
{
    struct content *content = publication->content;
    content->unlinked = true;
    content->node->gone = true;
    if (publication->record_put && !content->reference) /* it stands, and no name will show it */
        reclaim_file(publication->fs, &content->file);
    publication_end(publication, 0);
}

/* Chunks are named by the file that they were made for. */
static bool has_chunks(const struct content *content)
{
    for (size_t i = 0; i < content->log.count; i++) {
        const struct segment *segment = content->log.items[i].segment;
        if (segment && segment->state != SEGMENT_MEMORY)
            return true;
    }
    return false;
}

/* The name holds a file of somebody else. One that this handle was about to make is taken as the
 * one that it opened; else the handle's own may have been renamed; else it was unlinked, or is a
 * sibling since a split, which cannot be changed where it is. */
static void other_file(struct publication *publication, const struct seen *seen)
{
    struct content *content = publication->content;
    if (content->born && seen->conflict) {
        publication_end(publication, -ESTALE);
        return;
    }
    if (content->born) {
        mark_unlinked(publication);
        return;
    }
    if (seen->kind == TOYSTORE_DIRECTORY) {
        publication_end(publication, -EISDIR);
        return;
    }
    bool regular = seen->kind == TOYSTORE_FILE || seen->kind == TOYSTORE_REFERENCE;
    if (!regular || has_chunks(content)) {
        publication_end(publication, -EEXIST);
        return;
    }
    content_load(content, seen, replayed, publication);
}

static bool follow_move(struct publication *publication, const struct seen *seen)
{
    struct node *node = publication->content->node;
    struct slice to;
    if (!publication->content->born ||
        !moves_find(blob_slice(seen->extra), &publication->content->file, &to))
        return false;
    bool was_current = node->current;
    node_rename(node, to);
    if (!was_current)
        node_detach(node);
    publication_conflict(publication);
    return true;
}

static bool included(const struct publication *publication, const struct seen *seen)
{
    struct file_record record;
    if (!publication->record_put || seen->kind != TOYSTORE_REFERENCE ||
        file_record_decode(blob_slice(seen->value), &seen->file, &record) < 0)
        return false;
    bool same = op_equal(&record.made_from, &publication->made_from);
    file_record_free(&record);
    return same;
}

static void adopted(void *arg, int error)
{
    publication_end(arg, error);
}

static void looked(void *arg, int error, const struct seen *seen)
{
    struct publication *publication = arg;
    struct content *content = publication->content;
    if (error < 0 && error != -ENOENT) {
        publication_end(publication, error);
        return;
    }
    bool same = error == 0 && op_equal(&seen->file, &content->file);
    if (!same && follow_move(publication, seen))
        return;
    if (error == -ENOENT && !content->born) { /* made and unlinked elsewhere meanwhile */
        publication_prepare(publication);
        return;
    }
    if (error == -ENOENT) {
        mark_unlinked(publication);
        return;
    }
    if (!same) {
        other_file(publication, seen);
        return;
    }
    struct toystore_op stale = publication->stale_record;
    publication->stale_record = (struct toystore_op){0};
    if (!op_none(&stale) && !content->reference && content_matches(content, seen)) {
        content->record_op = stale;
        publication_put_record(publication);
        return;
    }
    publication->rebased = true;
    if (included(publication, seen)) { /* another mount has put the reference for us */
        content->published = publication->upto;
        changes_drop(&content->log, content->frozen);
        content->frozen = 0;
        content_load(content, seen, adopted, publication);
        return;
    }
    content_load(content, seen, replayed, publication);
}

void publication_conflict(struct publication *publication)
{
    struct fs *fs = publication->fs;
    if (++publication->conflicts > CONFLICTS_MAX ||
        fs->face.now_ns(fs->face.arg) > publication->until_ns) {
        publication_end(publication, -ETIMEDOUT);
        return;
    }
    look(fs, publication->content->node->key, looked, publication);
}

/* ---- the end ---- */

static void update_node(struct publication *publication)
{
    struct content *content = publication->content;
    struct node *node = content->node;
    bool kernel_has = node->cached_version == publication->version_before;
    node->cached_version =
        kernel_has && !publication->rebased && node->contents == 1 ? content_version(content) : 0;
    if (content->detached && content->handles > 0) { /* from now on this is the file */
        if (node->content)
            node->content->detached = true;
        node->content = content;
        content->detached = false;
    }
    if (!node->gone && (node->content == NULL || node->content == content))
        node_expire(node);
    if (!publication->was_born) {
        parent_touch(publication->fs, node->key);
        parent_check(publication->fs, node->key);
    }
}

static void take_over(struct publication *publication)
{
    struct content *content = publication->content;
    image_free(&content->base);
    content->base = publication->target;
    publication->target = (struct image){0};
    changes_drop(&content->log, content->frozen);
    content->frozen = 0;
    if (publication->pages) {
        free(content->pages);
        content->pages = publication->pages;
        content->page_count = publication->page_count;
        publication->pages = NULL;
    }
    content_rebase(content);
}

static void wake(struct content *content, uint64_t upto, int error)
{
    LIST_EACH(link, &content->waiters)
    {
        struct waiter *waiter = container_of(link, struct waiter, link);
        if (waiter->upto > upto)
            continue;
        list_remove(link);
        if (waiter->done)
            waiter->done(waiter->arg, error);
        free(waiter);
        link_next = content->waiters.next; /* the list may have changed inside */
    }
}

static void give_up(struct content *content)
{
    if (!content->born && content->log.count == content->frozen)
        content->given_up = true; /* do not make it later, behind the back of who was told */
    changes_drop(&content->log, content->frozen);
    content->frozen = 0;
    content->failed = 0;
    content_rebase(content);
}

void publication_end(struct publication *publication, int error)
{
    struct content *content = publication->content;
    uint64_t upto = publication->upto;
    bool replacing = content->replacing;
    content->publishing = false;
    if (error < 0) {
        content->failures++;
        content->failure = error;
        if (publication->name_pending)
            content->reference = false;
        give_up(content);
        if (error != -EISDIR && error != -EEXIST)
            fs_log(content->fs, 1, "%.*s could not be published: %s", (int)content->node->key.size,
                   (const char *)content->node->key.data, strerror(-error));
    } else {
        if (content->frozen > 0 || content->published < upto)
            take_over(publication);
        update_node(publication);
    }
    content->published = max_u64(content->published, upto);
    if (replacing && content->log.count == 0)
        content->replacing = false;
    if (content->log.count == 0)
        content_sent(content, content->unsent);
    for (size_t i = 0; i < publication->page_count && publication->page_segments; i++)
        if (publication->page_segments[i])
            segment_unref(publication->page_segments[i]);
    free(publication->page_segments);
    free(publication->pages);
    publication_anew_end(publication);
    image_free(&publication->target);
    free(publication);
    wake(content, upto, error);
    if (!content->publishing && !list_empty(&content->waiters))
        begin(content);
    else if (!content->publishing && content_dirty(content) && content->handles > 0)
        content_publish_later(content, PUBLISH_DELAY_MS);
    struct fs *fs = content->fs;
    content_unref(content);
    reclaim_unnamed(fs);
}
