/* publish_anew: a mount that was taken for dead has another session when it wakes up, and what it
 * had stored under the old one and not published may be swept: it is stored anew,
 * under the new session, before a file record names it. What the version that is being replaced
 * names stays: nobody sweeps that.
 *
 * One chunk at a time: they may be many, and their bytes may have to be fetched first.
 * Enters from publish_record.c before the put of the record; goes on with publication_record. */
#include "publish.h"

#include <stdlib.h>

static bool of_session(const struct toystore_op *op, const struct toystore_op *now)
{
    return op_none(op) || memcmp(op->session, now->session, sizeof op->session) == 0;
}

static bool published(const struct publication *publication, const struct toystore_op *chunk)
{
    return bsearch(chunk, publication->named, publication->named_count, sizeof *chunk,
                   chunk_order) != NULL;
}

/* The next piece of the target that is not published and has a name of another session. */
static struct segment *next_stale(struct publication *publication, const struct toystore_op *now)
{
    const struct content *content = publication->content;
    const struct extents *extents = &publication->target.extents;
    for (; publication->anew_at < extents->count; publication->anew_at++) {
        struct segment *segment = extents->items[publication->anew_at].segment;
        if (of_session(&segment->chunk, now))
            continue;
        if (publication->named == NULL)
            publication->named_count =
                extents_chunks(&content->base.extents, &content->file, &publication->named);
        if (!published(publication, &segment->chunk))
            return segment;
    }
    return NULL;
}

void publication_anew_end(struct publication *publication)
{
    free(publication->named);
    publication->named = NULL;
    publication->named_count = publication->anew_at = 0;
}

static void stored(void *arg, int error)
{
    struct publication *publication = arg;
    if (error < 0)
        publication_end(publication, error);
    else if (!publication_anew(publication))
        publication_record(publication);
}

static void fetched(void *arg, int error)
{
    struct publication *publication = arg;
    struct segment *segment = publication->target.extents.items[publication->anew_at].segment;
    if (error < 0) {
        fs_log(publication->fs, 0, "a chunk of a retired session is gone before it was published");
        publication_end(publication, error == -ESTALE ? -EIO : error);
        return;
    }
    segment_send_again(publication->fs, publication->content, segment);
    segment_wait(segment, stored, publication);
}

/* Pages are made by each publication for itself. */
static bool stale_pages(const struct publication *publication, const struct toystore_op *now)
{
    for (size_t i = 0; publication->page_segments && i < publication->page_count; i++)
        if (publication->page_segments[i] &&
            !of_session(&publication->page_segments[i]->chunk, now))
            return true;
    return false;
}

bool publication_anew(struct publication *publication)
{
    struct fs *fs = publication->fs;
    struct toystore_op now = fs->face.op_new(fs->face.arg);
    struct segment *segment = next_stale(publication, &now);
    if (segment && segment->state == SEGMENT_SENDING) {
        segment_wait(segment, stored, publication);
        return true;
    }
    if (segment) {
        segment_fetch(fs, segment, fetched, publication);
        return true;
    }
    bool pages = stale_pages(publication, &now);
    publication_anew_end(publication);
    if (pages)
        publication_record(publication);
    return pages;
}
