/* conflicts: what has siblings, as a directory: .toystore/conflicts/PATH holds the directories of
 * PATH and those of its files that have siblings, each a directory of these; and with
 * -o conflicts=show they are listed beside their names.
 *
 * Enters from fs.c and fs_dir.c; leaves to submit.c and look.c. */
#include "conflicts.h"

#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>

enum { COOKIE_FIRST = 3, LIST_PAGE = 1024 };

static struct slice path_of(const struct node *directory)
{
    const size_t head = sizeof CONFLICTS_DIR;
    struct slice key = directory->key;
    return key.size > head ? slice_of(key.data + head, key.size - head) : slice_of(NULL, 0);
}

static bool has_siblings(const struct toystore_result *result)
{
    for (size_t i = 1; i < result->version_count; i++)
        if (sibling_differs(result, i))
            return true;
    return false;
}

/* ---- one name ---- */

struct lookup {
    struct fs *fs;
    struct node *parent; /* busy */
    char *name;
    struct slice key; /* owned */
    fs_done_fn *done;
    void *arg;
};

static void lookup_end(struct lookup *lookup)
{
    node_release(lookup->parent);
    slice_free(lookup->key);
    free(lookup->name);
    free(lookup);
}

static void lookup_failed(struct lookup *lookup, int error)
{
    answer_error(error, lookup->done, lookup->arg);
    lookup_end(lookup);
}

static void got_file(void *arg, const struct toystore_result *result)
{
    struct lookup *lookup = arg;
    bool there = result->status == TOYSTORE_OK &&
                 (result->versions[0].kind == TOYSTORE_DIRECTORY || has_siblings(result));
    if (!there) {
        bool known = result->status == TOYSTORE_OK || result->status == TOYSTORE_NOT_FOUND;
        lookup_failed(lookup, known ? -ENOENT : error_of(result));
        return;
    }
    struct node *node = control_conflicts(lookup->fs, lookup->parent, lookup->name);
    if (node == NULL) {
        lookup_failed(lookup, -ENAMETOOLONG);
        return;
    }
    answer_entry(node, lookup->done, lookup->arg);
    node_release(node);
    lookup_end(lookup);
}

static void look_at_file(struct lookup *lookup)
{
    struct slice path = path_of(lookup->parent), key;
    int error = name_join(path, slice_str(lookup->name), &key);
    if (error < 0) {
        lookup_failed(lookup, error);
        return;
    }
    struct toystore_request request = {.type = TOYSTORE_GET, .key = bytes_of(key)};
    fs_submit(lookup->fs, &request, got_file, lookup);
    slice_free(key);
}

static void sibling_seen(void *arg, int error, const struct seen *seen)
{
    struct lookup *lookup = arg;
    if (error == -ENOENT) {
        look_at_file(lookup);
        return;
    }
    if (error < 0) {
        lookup_failed(lookup, error);
        return;
    }
    struct node *node = node_for(lookup->fs, lookup->key, seen);
    answer_entry(node, lookup->done, lookup->arg);
    node_release(node);
    lookup_end(lookup);
}

void conflicts_lookup(struct fs *fs, struct node *parent, const char *name, fs_done_fn *done,
                      void *arg)
{
    struct slice key;
    int error = name_join(parent->key, slice_str(name), &key);
    if (error < 0) {
        answer_error(error, done, arg);
        return;
    }
    struct lookup *lookup = base_alloc(sizeof *lookup);
    *lookup = (struct lookup){.fs = fs, .parent = parent, .key = key, .done = done, .arg = arg};
    lookup->name = base_string(slice_str(name));
    node_hold(parent);
    if (path_of(parent).size > 0)
        look(fs, key, sibling_seen, lookup);
    else
        look_at_file(lookup);
}

/* ---- all of them ---- */

struct listing {
    struct fs *fs;
    uint64_t handle;
    struct blob *path;
    size_t pending;
    uint64_t after;
    struct dir_entry *found;
    size_t found_count;
    bool more;
    int error;
    void (*done)(void *arg, int error);
    void *arg;
};

static void answered(struct listing *listing);

static struct dir *dir_of(const struct listing *listing)
{
    struct handle *handle = pool_get(&listing->fs->handles, listing->handle);
    return handle ? handle->dir : NULL;
}

static struct listing *listing_new(struct dir *dir, void (*done)(void *arg, int error), void *arg)
{
    struct listing *listing = base_alloc(sizeof *listing);
    *listing =
        (struct listing){.fs = dir->node->fs, .handle = dir->handle, .done = done, .arg = arg};
    return listing;
}

static void find(struct listing *listing, struct slice name, uint64_t cookie,
                 const struct seen *seen)
{
    if (name_check(name) < 0)
        return;
    listing->found =
        base_realloc(listing->found, (listing->found_count + 1) * sizeof *listing->found);
    listing->found[listing->found_count++] =
        (struct dir_entry){.name = base_string(name), .cookie = cookie, .seen = *seen};
}

static int by_cookie(const void *a, const void *b)
{
    const struct dir_entry *x = a, *y = b;
    return (x->cookie > y->cookie) - (x->cookie < y->cookie);
}

/* What was found joins what was listed. */
static void listing_end(struct listing *listing)
{
    struct dir *dir = dir_of(listing);
    if (dir && listing->found_count > 0) {
        size_t count = dir->count + listing->found_count;
        dir->entries = base_realloc(dir->entries, count * sizeof *dir->entries);
        memcpy(&dir->entries[dir->count], listing->found,
               listing->found_count * sizeof *listing->found);
        dir->count = count;
        qsort(dir->entries, dir->count, sizeof *dir->entries, by_cookie);
    } else {
        for (size_t i = 0; i < listing->found_count; i++)
            free(listing->found[i].name);
    }
    free(listing->found);
    blob_unref(&listing->path);
    listing->done(listing->arg, listing->error);
    free(listing);
}

static struct seen seen_of(const struct toystore_version *version)
{
    return (struct seen){.listed = true,
                         .sibling = true,
                         .kind = version->kind,
                         .op = version->op,
                         .file = version->op, /* its number, as node.c has it */
                         .attributes = version->attributes};
}

/* A name that has siblings, to be read for what they are. */
struct showing {
    struct listing *listing;
    char *name;
    uint64_t cookie;
};

static void showing_end(struct showing *showing);

static void ask_siblings(struct listing *listing, struct slice directory, struct slice name,
                         uint64_t cookie, toystore_done_fn *done)
{
    struct slice key;
    if (name_join(directory, name, &key) < 0)
        return;
    struct showing *showing = base_alloc(sizeof *showing);
    *showing = (struct showing){.listing = listing, .name = base_string(name), .cookie = cookie};
    struct toystore_request request = {.type = TOYSTORE_GET, .key = bytes_of(key)};
    listing->pending++;
    fs_submit(listing->fs, &request, done, showing);
    slice_free(key);
}

static void got_conflict(void *arg, const struct toystore_result *result)
{
    struct showing *showing = arg;
    struct seen seen = {.listed = true, .kind = TOYSTORE_DIRECTORY};
    if (result->status == TOYSTORE_OK && has_siblings(result)) {
        seen.file = result->versions[0].op;
        find(showing->listing, slice_str(showing->name), showing->cookie, &seen);
    }
    showing_end(showing);
}

static void list_directory(struct listing *listing);

static void directory_listed(void *arg, const struct toystore_result *result)
{
    struct listing *listing = arg;
    struct slice path = blob_slice(listing->path);
    listing->pending = 1;
    for (size_t i = 0; result->status == TOYSTORE_OK && i < result->entry_count; i++) {
        const struct toystore_entry *entry = &result->entries[i];
        struct slice name = slice_from(entry->name);
        struct seen seen = {.listed = true, .kind = TOYSTORE_DIRECTORY, .file = entry->op};
        listing->after = entry->cookie;
        if (slice_equal(name, slice_str(NAMES_RESERVED)))
            continue;
        if (entry->kind == TOYSTORE_DIRECTORY)
            find(listing, name, entry->cookie, &seen);
        else if (entry->siblings)
            ask_siblings(listing, path, name, entry->cookie, got_conflict);
    }
    listing->more = result->status == TOYSTORE_OK && result->more;
    if (result->status != TOYSTORE_OK && result->status != TOYSTORE_NOT_FOUND)
        listing->error = error_of(result);
    answered(listing);
}

static void list_directory(struct listing *listing)
{
    struct toystore_request request = {.type = TOYSTORE_LIST,
                                       .key = bytes_of(blob_slice(listing->path)),
                                       .after = listing->after,
                                       .limit = LIST_PAGE};
    fs_submit(listing->fs, &request, directory_listed, listing);
}

/* All that was asked at once has been answered. */
static void answered(struct listing *listing)
{
    if (--listing->pending > 0)
        return;
    if (listing->more && dir_of(listing))
        list_directory(listing);
    else
        listing_end(listing);
}

static void showing_end(struct showing *showing)
{
    struct listing *listing = showing->listing;
    free(showing->name);
    free(showing);
    answered(listing);
}

static void got_versions(void *arg, const struct toystore_result *result)
{
    struct listing *listing = arg;
    bool known = result->status == TOYSTORE_OK || result->status == TOYSTORE_NOT_FOUND;
    for (size_t i = 1; result->status == TOYSTORE_OK && i < result->version_count; i++) {
        char tag[SIBLING_TAG_SIZE];
        struct seen seen = seen_of(&result->versions[i]);
        sibling_tag(tag, &result->versions[i]);
        if (sibling_differs(result, i))
            find(listing, slice_str(tag), COOKIE_FIRST + i, &seen);
    }
    if (known && dir_of(listing)) {
        list_directory(listing);
        return;
    }
    listing->error = known ? 0 : error_of(result);
    listing_end(listing);
}

void conflicts_list(struct dir *dir, void (*done)(void *arg, int error), void *arg)
{
    struct listing *listing = listing_new(dir, done, arg);
    listing->path = blob_copy(path_of(dir->node));
    struct toystore_request request = {.type = TOYSTORE_GET,
                                       .key = bytes_of(blob_slice(listing->path))};
    if (listing->path->size > 0)
        fs_submit(listing->fs, &request, got_versions, listing);
    else
        list_directory(listing);
}

/* ---- beside their names ---- */

static void got_siblings(void *arg, const struct toystore_result *result)
{
    struct showing *showing = arg;
    for (size_t i = 1; result->status == TOYSTORE_OK && i < result->version_count; i++) {
        char tag[SIBLING_TAG_SIZE], name[TOYSTORE_COMPONENT_SIZE_MAX + sizeof SIBLING_MARK + 64];
        struct seen seen = seen_of(&result->versions[i]);
        sibling_tag(tag, &result->versions[i]);
        snprintf(name, sizeof name, "%s" SIBLING_MARK "%s", showing->name, tag);
        /* Right behind the name; cookies are hashes of 63 bits, and far from each other. */
        if (sibling_differs(result, i))
            find(showing->listing, slice_str(name), showing->cookie + i, &seen);
    }
    showing_end(showing);
}

void conflicts_show(struct dir *dir, void (*done)(void *arg, int error), void *arg)
{
    struct listing *listing = listing_new(dir, done, arg);
    listing->pending = 1;
    for (size_t i = 0; i < dir->count; i++) {
        const struct dir_entry *entry = &dir->entries[i];
        if (entry->siblings)
            ask_siblings(listing, dir->node->key, slice_str(entry->name), entry->cookie,
                         got_siblings);
    }
    answered(listing);
}
