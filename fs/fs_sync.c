/* fs_sync: fsync: what an open file consists of becomes durable at its owners: its name,
 * the directories above it, its record and pages, and its chunks that no fsync has covered yet.
 *
 * Enters from ops.c; leaves to publish.c, then to firm.c. */
#include "firm.h"

#include <stdlib.h>

struct syncing {
    struct fs *fs;
    uint64_t handle;
    struct content *content; /* a reference */
    fs_done_fn *done;
    void *arg;
};

static void sync_end(void *arg, int error)
{
    struct syncing *syncing = arg;
    error = handle_ends(pool_get(&syncing->fs->handles, syncing->handle), error, true);
    struct fs_answer answer = {.error = error};
    syncing->done(syncing->arg, &answer);
    content_unref(syncing->content);
    free(syncing);
}

static struct toystore_op directory_op(struct fs *fs, struct slice key)
{
    const struct node *node = node_at(fs, key);
    bool known = node && node->seen.kind == TOYSTORE_DIRECTORY;
    return known ? node->seen.op : (struct toystore_op){0};
}

static void add_names(struct firm *firm, const struct content *content)
{
    struct slice key = content->node->key, base, tag;
    if (content->node->seen.sibling && sibling_key(key, &base, &tag))
        firm_name(firm, key = base, (struct toystore_op){0}); /* a version of that key */
    else
        firm_name(firm, key, content->name_op);
    for (key = key_parent_of(key); key.size > 0; key = key_parent_of(key))
        firm_name(firm, key, directory_op(content->fs, key));
}

static void sync_published(void *arg, int error)
{
    struct syncing *syncing = arg;
    struct content *content = syncing->content;
    if (error < 0 || content->unlinked) {
        sync_end(syncing, error);
        return;
    }
    content->fresh = false;
    struct firm *firm = firm_new(syncing->fs);
    add_names(firm, content);
    if (content->reference) {
        firm_record(firm, &content->file, content->record_op);
        for (size_t i = 0; i < content->page_count; i++)
            firm_page(firm, &content->file, &content->pages[i].page);
    }
    firm_chunks(firm, &content->base.extents, NULL);
    firm_sync(firm, sync_end, syncing);
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
