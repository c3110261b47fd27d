/* resolve: a sibling is removed, or takes the place of what stands at its name, by one exclusive
 * put of the name that replaces both: what stands there afterwards is put once more.
 *
 * Enters from unlink and rename of a sibling's name; leaves to submit.c, and to reclaim.c where
 * chunks of what was replaced can go. */
#include "conflicts.h"
#include "reclaim.h"

#include <stdlib.h>

struct resolving {
    struct fs *fs;
    struct blob *base; /* the key that has siblings */
    struct toystore_op sibling;
    bool take; /* it takes the place; else it goes */
    unsigned tries;
    struct toystore_op files[SIBLINGS_MAX]; /* in chunks, of what is being replaced */
    size_t file_count;
    void (*done)(void *arg, int error);
    void *arg;
};

static void ask(struct resolving *resolving);

static void end(struct resolving *resolving, int error)
{
    resolving->done(resolving->arg, error);
    blob_unref(&resolving->base);
    free(resolving);
}

static void put_done(void *arg, const struct toystore_result *result)
{
    struct resolving *resolving = arg;
    struct fs *fs = resolving->fs;
    if (result->status == TOYSTORE_CONFLICT && ++resolving->tries < CONFLICTS_MAX) {
        ask(resolving); /* written to meanwhile */
        return;
    }
    if (result->status == TOYSTORE_OK) {
        struct node *node = node_at(fs, blob_slice(resolving->base));
        if (node)
            node_expire(node);
        for (size_t i = 0; i < resolving->file_count; i++)
            reclaim_file(fs, &resolving->files[i]);
    }
    end(resolving, error_of(result));
}

static size_t index_of(const struct toystore_result *result, const struct toystore_op *op)
{
    size_t at = 0;
    while (at < result->version_count && !op_equal(&result->versions[at].op, op))
        at++;
    return at;
}

/* Names what is replaced: the first, the sibling, and whatever says the same as one of them. */
static void name_replaced(struct resolving *resolving, const struct toystore_result *result,
                          size_t at, const struct toystore_version *stays, struct match *match)
{
    match->count = resolving->file_count = 0;
    for (size_t i = 0; i < result->version_count && match->count < SIBLINGS_MAX; i++) {
        const struct toystore_version *version = &result->versions[i];
        if (i != 0 && i != at && !sibling_same(version, &result->versions[0]) &&
            !sibling_same(version, &result->versions[at]))
            continue;
        match->ops[match->count++] = version->op;
        bool kept = stays && stays->kind == TOYSTORE_REFERENCE &&
                    op_equal(&stays->attributes.file, &version->attributes.file);
        if (version->kind == TOYSTORE_REFERENCE && !kept)
            resolving->files[resolving->file_count++] = version->attributes.file;
    }
}

static void got_versions(void *arg, const struct toystore_result *result)
{
    struct resolving *resolving = arg;
    bool there = result->status == TOYSTORE_OK;
    size_t at = there ? index_of(result, &resolving->sibling) : 0;
    if (!there || at == result->version_count) {
        end(resolving, there ? -ENOENT : error_of(result));
        return;
    }
    const struct toystore_version *shown = &result->versions[0], *stays = shown;
    if (resolving->take && shown->kind == TOYSTORE_DIRECTORY) {
        end(resolving, -EISDIR);
        return;
    }
    if (resolving->take)
        stays = &result->versions[at];
    else if (at == 0) /* the name shows it by now */
        stays = NULL;
    struct match match;
    name_replaced(resolving, result, at, stays, &match);
    struct toystore_request request = {.type = TOYSTORE_PUT,
                                       .key = bytes_of(blob_slice(resolving->base)),
                                       .condition = TOYSTORE_IF_MATCH,
                                       .match = match.ops,
                                       .match_count = match.count,
                                       .exclusive = true,
                                       .change = stays ? TOYSTORE_SET : TOYSTORE_DELETE,
                                       .extra = shown->extra};
    if (stays) {
        request.kind = stays->kind;
        request.attributes = stays->attributes;
        request.value = stays->value;
    }
    fs_submit(resolving->fs, &request, put_done, resolving);
}

static void ask(struct resolving *resolving)
{
    struct toystore_request request = {
        .type = TOYSTORE_GET, .key = bytes_of(blob_slice(resolving->base)), .strict = 1};
    fs_submit(resolving->fs, &request, got_versions, resolving);
}

static void resolve(struct fs *fs, struct slice key, const struct toystore_op *sibling, bool take,
                    struct waiter *waiter)
{
    struct slice base, tag;
    struct resolving *resolving = base_alloc(sizeof *resolving);
    bool named = sibling_key(key, &base, &tag);
    assert(named);
    *resolving = (struct resolving){.fs = fs, .sibling = *sibling, .take = take};
    resolving->base = blob_copy(base);
    resolving->done = waiter->done;
    resolving->arg = waiter->arg;
    ask(resolving);
}

void sibling_remove(struct fs *fs, struct slice key, const struct toystore_op *sibling,
                    void (*done)(void *arg, int error), void *arg)
{
    resolve(fs, key, sibling, false, &(struct waiter){.done = done, .arg = arg});
}

void sibling_take(struct fs *fs, struct slice key, const struct toystore_op *sibling,
                  void (*done)(void *arg, int error), void *arg)
{
    resolve(fs, key, sibling, true, &(struct waiter){.done = done, .arg = arg});
}
