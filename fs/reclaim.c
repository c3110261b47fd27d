/* reclaim: chunks and pages that no version of a file names any more are deleted.
 *
 * A file record is replaced and deleted by conditional, exclusive puts alone: there are no siblings
 * of it, a version that was replaced never comes back, and whoever still works on it is told
 * CONFLICT. So once such a put was answered OK, what the old version named and the new one does not
 * is garbage. It is deleted a few seconds later, for readers of other mounts that are in the middle
 * of it, and not before this mount's own open files have let go of it.
 *
 * A power loss may bring a version back that was replaced by one that was not durable yet. So what
 * has replaced it is made durable first, with its pieces, and then looked at: had it been lost
 * before, the old one would be shown. Where one of both fails nothing is deleted. A crash in
 * between leaves chunks that nothing names.
 *
 * Enters from publish_record.c (a record was replaced) and burial.c (it was deleted); leaves to
 * submit.c. */
#include "reclaim.h"

#include <stdlib.h>

enum {
    RECLAIM_DELAY_MS = 5000,
    RECLAIM_STEP_MS = 1000,
    RECLAIM_OPEN_MAX = 16,   /* requests under way */
    RECLAIM_KEYS_MAX = 4096, /* of one SYNC: more would outgrow a frame */
    RECLAIM_TRIES = 12,      /* of one version's: then it is left, after some ten minutes */
    RECLAIM_PAUSE_MAX_MS = 60000
};

/* A chunk or page. */
struct piece {
    struct list link;
    struct remains *remains;
    struct toystore_op op;
    bool page;
    struct segment *segment; /* of a chunk that must be durable: a reference; else NULL */
};

/* What one version of a file record leaves behind. */
struct remains {
    struct list link; /* in fs->garbage */
    struct fs *fs;
    struct toystore_op file;
    uint64_t since_ns; /* when it was replaced */
    uint64_t due_ns;
    struct list needed;  /* pieces of the version in its place that may not be durable yet */
    struct list garbage; /* pieces to be deleted */
    struct toystore_op durable_record; /* the version in its place, to be made durable; none: the
                                          file is deleted */
    struct toystore_op record;         /* the newest of those that this mount has put over it */
    bool own;                          /* which is known not to name any of the garbage */
    size_t asked;                      /* the first of `needed`: in the SYNC under way */
    struct toystore_op asked_record;   /* `record` when a look began */
    unsigned open;                     /* requests under way */
    unsigned tries;
    bool unnamed; /* of no version at all: nobody else knows of it */
    bool synced;  /* what is in its place */
    bool durable; /* and it was still there afterwards: the garbage may go */
};

static uint64_t now_of(struct fs *fs)
{
    return fs->face.now_ns(fs->face.arg);
}

static void add(struct remains *remains, struct list *to, const struct toystore_op *op, bool page)
{
    struct piece *piece = base_alloc(sizeof *piece);
    *piece = (struct piece){.remains = remains, .op = *op, .page = page};
    list_push_back(to, &piece->link);
}

/* Of a list that is not empty. */
static struct piece *take_first(struct list *pieces)
{
    struct piece *piece = container_of(pieces->next, struct piece, link);
    list_remove(&piece->link);
    return piece;
}

static void piece_free(struct piece *piece)
{
    if (piece->segment)
        segment_unref(piece->segment);
    free(piece);
}

static void pieces_free(struct list *pieces)
{
    while (!list_empty(pieces))
        piece_free(take_first(pieces));
}

static void remains_free(struct remains *remains)
{
    pieces_free(&remains->needed);
    pieces_free(&remains->garbage);
    list_remove(&remains->link);
    free(remains);
}

static void piece_key(struct file_key *ret, const struct piece *piece)
{
    if (piece->page)
        page_key(ret, &piece->remains->file, &piece->op);
    else
        chunk_key(ret, &piece->remains->file, &piece->op);
}

/* ---- one version's remains: what replaced them becomes durable, then they are deleted ---- */

/* Without a quorum there is no hurry, and at the end of a mount nobody to wait for. */
static void failed(struct remains *remains)
{
    struct fs *fs = remains->fs;
    uint64_t now_ns = now_of(fs);
    if (fs->reclaim_done) {
        LIST_EACH(link, &fs->garbage)
        {
            container_of(link, struct remains, link)->tries = RECLAIM_TRIES;
        }
    } else if (remains->due_ns <= now_ns) { /* of requests that fail together one counts */
        uint64_t pause_ms = (uint64_t)RECLAIM_STEP_MS << ++remains->tries;
        remains->due_ns = now_ns + min_u64(pause_ms, RECLAIM_PAUSE_MAX_MS) * 1000000;
    }
}

static void synced(void *arg, const struct toystore_result *result)
{
    struct remains *remains = arg;
    remains->open--;
    remains->fs->reclaiming--;
    if (result->status == TOYSTORE_INDETERMINATE) { /* it is lost: what is in its place now? */
        pieces_free(&remains->needed);
        remains->durable_record = (struct toystore_op){0};
        remains->own = false;
        failed(remains);
    } else if (result->status != TOYSTORE_OK) {
        failed(remains);
    } else {
        for (; remains->asked > 0; remains->asked--) {
            struct piece *piece = take_first(&remains->needed);
            if (piece->segment)
                piece->segment->synced = true;
            piece_free(piece);
        }
        remains->synced = list_empty(&remains->needed);
    }
    reclaim_run(remains->fs);
}

/* What another SYNC has covered meanwhile. */
static void drop_synced(struct remains *remains)
{
    LIST_EACH(link, &remains->needed)
    {
        struct piece *piece = container_of(link, struct piece, link);
        if (piece->segment && piece->segment->synced) {
            list_remove(link);
            piece_free(piece);
        }
    }
}

/* The record, and as many of its pieces as one request takes. */
static void sync(struct remains *remains)
{
    drop_synced(remains);
    struct file_key *texts = base_alloc(RECLAIM_KEYS_MAX * sizeof *texts);
    struct toystore_bytes *keys = base_alloc(RECLAIM_KEYS_MAX * sizeof *keys);
    size_t count = 1;
    file_record_key(&texts[0], &remains->file);
    LIST_EACH(link, &remains->needed)
    {
        if (count < RECLAIM_KEYS_MAX)
            piece_key(&texts[count++], container_of(link, struct piece, link));
    }
    struct toystore_op *ops = base_alloc(RECLAIM_KEYS_MAX * sizeof *ops);
    ops[0] = remains->durable_record; /* deleted: what a quorum shows */
    for (size_t i = 0; i < count; i++)
        keys[i] = bytes_of(file_key_slice(&texts[i]));
    remains->asked = count - 1;
    remains->open++;
    remains->fs->reclaiming++;
    struct toystore_request request = {
        .type = TOYSTORE_SYNC, .key = keys[0], .keys = keys, .key_count = count, .key_ops = ops};
    fs_submit(remains->fs, &request, synced, remains);
    free(ops);
    free(keys);
    free(texts);
}

/* A version of another mount: whatever is not clearly free of the garbage names it. */
static bool names_garbage(const struct remains *remains, const struct toystore_version *version)
{
    struct file_record record;
    if (file_record_decode(slice_from(version->value), &remains->file, &record) < 0)
        return true;
    bool named = record.page_count > 0;
    for (size_t i = 0; i < record.extents.count; i++) {
        LIST_EACH(link, &remains->garbage)
        {
            const struct piece *piece = container_of(link, struct piece, link);
            named = named || op_equal(&piece->op, &record.extents.items[i].segment->chunk);
        }
    }
    file_record_free(&record);
    return named;
}

/* So are, for what earlier versions have left, those that this one was built over. */
static void now_durable(struct remains *remains)
{
    LIST_EACH(link, &remains->fs->garbage)
    {
        struct remains *earlier = container_of(link, struct remains, link);
        if (earlier == remains)
            break;
        if (earlier->own && remains->own && op_equal(&earlier->file, &remains->file) &&
            op_equal(&earlier->record, &remains->record))
            earlier->synced = earlier->durable = true;
    }
    remains->durable = true;
}

static void looked(void *arg, const struct toystore_result *result)
{
    struct remains *remains = arg;
    const struct toystore_version *shown = result->status == TOYSTORE_OK ? result->versions : NULL;
    bool answered = result->status == TOYSTORE_NOT_FOUND || (shown && result->version_count == 1);
    struct toystore_op op = shown ? shown->op : (struct toystore_op){0};
    remains->open--;
    remains->fs->reclaiming--;
    bool ours = op_equal(&op, &remains->record) || op_equal(&op, &remains->asked_record);
    if (!answered || result->sloppy) {
        failed(remains);
    } else if (!ours && op_equal(&remains->record, &remains->asked_record)) { /* is it durable? */
        remains->record = remains->durable_record = op;
        remains->own = remains->synced = false;
        failed(remains);
    } else if (ours && shown && !remains->own && names_garbage(remains, shown)) {
        remains->tries = RECLAIM_TRIES;
    } else if (ours) {
        now_durable(remains);
    } /* else overtaken: by one of ours, or by who was faster */
    reclaim_run(remains->fs);
}

static void look_again(struct remains *remains)
{
    remains->asked_record = remains->record;
    struct file_key key;
    file_record_key(&key, &remains->file);
    struct toystore_request request = {
        .type = TOYSTORE_GET, .key = bytes_of(file_key_slice(&key)), .strict = 1};
    remains->open++;
    remains->fs->reclaiming++;
    fs_submit(remains->fs, &request, looked, remains);
}

static void deleted(void *arg, const struct toystore_result *result)
{
    struct piece *piece = arg;
    struct remains *remains = piece->remains;
    remains->open--;
    remains->fs->reclaiming--;
    if (result->status == TOYSTORE_OK) {
        piece_free(piece);
    } else {
        list_push_back(&remains->garbage, &piece->link);
        failed(remains);
    }
    reclaim_run(remains->fs);
}

static void delete_one(struct remains *remains)
{
    struct piece *piece = take_first(&remains->garbage);
    struct file_key key;
    piece_key(&key, piece);
    struct toystore_request request = {.type = TOYSTORE_STORE,
                                       .key = bytes_of(file_key_slice(&key)),
                                       .change = TOYSTORE_DELETE,
                                       .exclusive = true,
                                       .kind = TOYSTORE_INTERNAL};
    remains->open++;
    remains->fs->reclaiming++;
    fs_submit(remains->fs, &request, deleted, piece);
}

/* ---- all of them ---- */

/* A file that is open here and was read before may still show it. */
static bool in_use(const struct remains *remains)
{
    LIST_EACH(link, &remains->fs->contents)
    {
        const struct content *content = container_of(link, struct content, link);
        if (op_equal(&content->file, &remains->file) && content->version_ns < remains->since_ns)
            return true;
    }
    return false;
}

static void due(void *arg)
{
    struct fs *fs = arg;
    fs->reclaim_timer = 0;
    reclaim_run(fs);
}

static void go_on(struct remains *remains)
{
    struct fs *fs = remains->fs;
    bool at_once = fs->reclaim_done != NULL;
    if (!at_once && (now_of(fs) < remains->due_ns || (!remains->unnamed && in_use(remains))))
        return;
    if (!remains->synced && remains->open == 0)
        sync(remains);
    else if (!remains->durable && remains->open == 0)
        look_again(remains);
    while (remains->durable && fs->reclaiming < RECLAIM_OPEN_MAX && !list_empty(&remains->garbage))
        delete_one(remains);
}

/* What was stored, and is let go of without ever having been named by a file record that was put: a
 * write that failed, or was overwritten before it was published. */
static struct remains *unnamed_of(struct fs *fs, const struct toystore_op *file)
{
    struct remains *last = container_of(fs->garbage.prev, struct remains, link);
    if (!list_empty(&fs->garbage) && last->unnamed && op_equal(&last->file, file))
        return last;
    struct remains *remains = base_alloc(sizeof *remains);
    *remains =
        (struct remains){.fs = fs, .file = *file, .unnamed = true, .synced = true, .durable = true};
    list_init(&remains->needed);
    list_init(&remains->garbage);
    list_push_back(&fs->garbage, &remains->link);
    return remains;
}

static void take_unnamed(struct fs *fs)
{
    while (!list_empty(&fs->unnamed)) {
        struct segment *segment = container_of(fs->unnamed.next, struct segment, cached);
        struct remains *remains = unnamed_of(fs, &segment->file);
        list_remove(&segment->cached);
        add(remains, &remains->garbage, &segment->chunk, segment->page);
        free(segment);
    }
}

void reclaim_unnamed(struct fs *fs)
{
    if (!list_empty(&fs->unnamed))
        reclaim_run(fs);
}

void reclaim_run(struct fs *fs)
{
    take_unnamed(fs);
    LIST_EACH(link, &fs->garbage)
    {
        struct remains *remains = container_of(link, struct remains, link);
        bool over = list_empty(&remains->garbage) || remains->tries >= RECLAIM_TRIES;
        if (remains->open == 0 && over)
            remains_free(remains);
        else if (fs->reclaiming < RECLAIM_OPEN_MAX && !over)
            go_on(remains);
    }
    bool idle = fs->reclaiming == 0 && !list_empty(&fs->garbage);
    if (idle && fs->reclaim_timer == 0)
        fs->reclaim_timer = fs->face.after(fs->face.arg, RECLAIM_STEP_MS, due, fs);
    if (fs->reclaim_done && fs->burials == 0 && list_empty(&fs->garbage)) {
        void (*done)(void *arg) = fs->reclaim_done;
        fs->reclaim_done = NULL;
        done(fs->reclaim_arg);
    }
}

void reclaim_finish(struct fs *fs, void (*done)(void *arg), void *arg)
{
    fs->reclaim_done = done;
    fs->reclaim_arg = arg;
    reclaim_run(fs);
}

void reclaim_free(struct fs *fs)
{
    if (fs->reclaim_timer)
        fs->face.cancel(fs->face.arg, fs->reclaim_timer);
    fs->reclaim_timer = 0;
    take_unnamed(fs);
    while (!list_empty(&fs->garbage))
        remains_free(container_of(fs->garbage.next, struct remains, link));
}

/* ---- a version was replaced ---- */

static bool has_chunk(const struct toystore_op *sorted, size_t count, const struct toystore_op *op)
{
    return bsearch(op, sorted, count, sizeof *sorted, chunk_order) != NULL;
}

static bool has_page(const struct named_pieces *pieces, const struct toystore_op *page)
{
    for (size_t i = 0; i < pieces->page_count; i++)
        if (op_equal(&pieces->pages[i].page, page))
            return true;
    return false;
}

static void add_garbage(struct remains *remains, const struct named_pieces *old,
                        const struct named_pieces *now)
{
    struct toystore_op *before, *after;
    size_t before_count = extents_chunks(old->extents, &remains->file, &before);
    size_t after_count = extents_chunks(now->extents, &remains->file, &after);
    for (size_t i = 0; i < before_count; i++)
        if (!has_chunk(after, after_count, &before[i]))
            add(remains, &remains->garbage, &before[i], false);
    for (size_t i = 0; i < old->page_count; i++)
        if (!has_page(now, &old->pages[i].page))
            add(remains, &remains->garbage, &old->pages[i].page, true);
    free(before);
    free(after);
}

static void add_needed(struct remains *remains, const struct named_pieces *old,
                       const struct named_pieces *now)
{
    const struct segment *last = NULL;
    for (size_t i = 0; i < now->extents->count; i++) {
        struct segment *segment = now->extents->items[i].segment;
        if (segment == last || segment->synced || op_none(&segment->chunk))
            continue;
        last = segment;
        add(remains, &remains->needed, &segment->chunk, false);
        container_of(remains->needed.prev, struct piece, link)->segment = segment_ref(segment);
    }
    for (size_t i = 0; i < now->page_count; i++)
        if (!has_page(old, &now->pages[i].page))
            add(remains, &remains->needed, &now->pages[i].page, true);
}

/* This mount goes on from the version that is in the place of others. */
static void follow(struct fs *fs, const struct toystore_op *file, const struct toystore_op *old,
                   const struct toystore_op *now)
{
    LIST_EACH(link, &fs->garbage)
    {
        struct remains *remains = container_of(link, struct remains, link);
        if (remains->own && !remains->durable && op_equal(&remains->file, file) &&
            op_equal(&remains->record, old))
            remains->record = *now;
    }
}

void reclaim_replaced(struct fs *fs, const struct toystore_op *file, const struct named_pieces *old,
                      const struct named_pieces *now)
{
    struct remains *remains = base_alloc(sizeof *remains);
    *remains = (struct remains){.fs = fs, .file = *file, .since_ns = now_of(fs)};
    remains->due_ns = remains->since_ns + (fs->reclaim_now ? 0 : RECLAIM_DELAY_MS * 1000000ull);
    remains->record = remains->durable_record = now->record;
    remains->own = true;
    list_init(&remains->needed);
    list_init(&remains->garbage);
    follow(fs, file, &old->record, &now->record);
    list_push_back(&fs->garbage, &remains->link);
    add_garbage(remains, old, now);
    if (!list_empty(&remains->garbage))
        add_needed(remains, old, now);
    reclaim_run(fs);
}
