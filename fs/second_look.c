/* second_look: a directory that was removed is listed once more, after the deadline of puts: who
 * made a name in it when it was looked at may have been told OK since.
 *
 * Enters from rmdir (fs_names.c); leaves to submit.c, and to parent.c, which revives it. */
#include "fs_priv.h"

#include <stdlib.h>

enum { RMDIR_LOOKS_AGAIN_MS = 6000 };

struct second_look {
    struct list link; /* in fs->second_looks, until it begins */
    struct fs *fs;
    uint64_t timer;
    struct slice key; /* owned: of a child that never was, so that its parent is the directory */
};

static void second_free(struct second_look *look_again)
{
    list_remove(&look_again->link);
    slice_free(look_again->key);
    free(look_again);
}

void second_looks_free(struct fs *fs)
{
    LIST_EACH(link, &fs->second_looks)
    {
        struct second_look *look_again = container_of(link, struct second_look, link);
        fs->face.cancel(fs->face.arg, look_again->timer);
        second_free(look_again);
    }
}

static void second_listed(void *arg, const struct toystore_result *result)
{
    struct second_look *look_again = arg;
    if (result->status == TOYSTORE_OK && result->entry_count > 0)
        parent_check(look_again->fs, look_again->key);
    second_free(look_again);
}

/* A put that was under way when the directory went may have ended since. */
static void second_due(void *arg)
{
    struct second_look *look_again = arg;
    struct slice directory = key_parent_of(look_again->key);
    list_remove(&look_again->link);
    struct toystore_request request = {
        .type = TOYSTORE_LIST, .key = bytes_of(directory), .limit = 1};
    fs_submit(look_again->fs, &request, second_listed, look_again);
}

void second_look(struct fs *fs, struct slice directory)
{
    struct second_look *look_again = base_alloc(sizeof *look_again);
    look_again->fs = fs;
    if (name_join(directory, slice_str("x"), &look_again->key) < 0) {
        free(look_again);
        return;
    }
    list_push_back(&fs->second_looks, &look_again->link);
    look_again->timer = fs->face.after(fs->face.arg, RMDIR_LOOKS_AGAIN_MS, second_due, look_again);
}
