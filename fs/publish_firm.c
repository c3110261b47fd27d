/* publish_firm: a version that takes the place of a published one names only what is durable: a
 * power loss leaves the old one or the new one, whole. The old one may have been
 * synced, by whom we need not know.
 *
 * Where it cannot be made durable, too few owners of a chunk being there, the version is put all
 * the same: a power loss of all who are left is less likely than that somebody wants to write now.
 *
 * Enters from publish_record.c before the puts of the record and of the name; goes on there. */
#include "publish.h"

#include "firm.h"

static void add_pages(struct firm *firm, const struct publication *publication)
{
    for (size_t i = 0; i < publication->page_count && publication->page_segments; i++)
        if (publication->page_segments[i])
            firm_page(firm, &publication->content->file, &publication->pages[i].page);
}

static void chunks_firm(void *arg, int error)
{
    struct publication *publication = arg;
    (void)error;
    publication->firm = true;
    publication_put_record(publication);
}

/* What the replaced version names too is as durable as that one was. */
bool publication_firm(struct publication *publication)
{
    const struct content *content = publication->content;
    if (publication->firm || !content->reference)
        return false;
    struct firm *firm = firm_new(publication->fs);
    firm_chunks(firm, &publication->target.extents, &content->base.extents);
    add_pages(firm, publication);
    firm_try(firm, chunks_firm, publication);
    return true;
}

static void record_firm(void *arg, int error)
{
    (void)error;
    publication_put_name(arg, TOYSTORE_REFERENCE);
}

void publication_put_reference(struct publication *publication)
{
    const struct content *content = publication->content;
    bool nothing = content->fresh && content->base.attributes.size == 0;
    if (!content->born || nothing) { /* it takes no bytes' place */
        publication_put_name(publication, TOYSTORE_REFERENCE);
        return;
    }
    struct firm *firm = firm_new(publication->fs);
    firm_record(firm, &content->file, content->record_op);
    firm_chunks(firm, &publication->target.extents, NULL);
    add_pages(firm, publication);
    firm_try(firm, record_firm, publication);
}
