/* look: what stands under a name, a reference and its file record as one. Two reads when it is a
 * reference, one otherwise. A name with nothing under it that is of a sibling's form shows that
 * sibling.
 *
 * Enters from lookup, open, setattr and publications; leaves to submit.c. */
#include "fs_priv.h"

#include <stdlib.h>

enum { LOOK_TRIES = 3 };

struct looking {
    struct fs *fs;
    look_done_fn *done;
    void *arg;
    struct blob *key;
    struct seen seen;
    unsigned tries;
    bool sibling;         /* the key is that of one: nothing stands at it itself */
    unsigned deadline_ms; /* 0: the usual */
};

void seen_free(struct seen *seen)
{
    blob_unref(&seen->value);
    blob_unref(&seen->extra);
    blob_unref(&seen->equal);
    *seen = (struct seen){0};
}

void seen_hold(const struct seen *seen)
{
    blob_ref(seen->value);
    blob_ref(seen->extra);
    blob_ref(seen->equal);
}

void seen_take_record(struct seen *seen, const struct toystore_version *version)
{
    uint32_t type = seen->attributes.mode & (uint32_t)S_IFMT;
    seen->record_op = version->op;
    seen->attributes = version->attributes;
    seen->attributes.mode = type | (version->attributes.mode & ~(uint32_t)S_IFMT);
}

static void end(struct looking *looking, int error)
{
    looking->done(looking->arg, error, &looking->seen);
    seen_free(&looking->seen);
    blob_unref(&looking->key);
    free(looking);
}

static void ask_name(struct looking *looking);

static void got_record(void *arg, const struct toystore_result *result)
{
    struct looking *looking = arg;
    struct seen *seen = &looking->seen;
    if (result->status == TOYSTORE_NOT_FOUND) {
        /* An unlink buries the name first: what the name says now decides. */
        if (++looking->tries < LOOK_TRIES)
            ask_name(looking);
        else
            end(looking, -EIO);
        return;
    }
    if (result->status != TOYSTORE_OK || result->version_count == 0) {
        end(looking, result->status == TOYSTORE_OK ? -EIO : error_of(result));
        return;
    }
    const struct toystore_version *version = &result->versions[0];
    seen_take_record(seen, version);
    seen->value = blob_copy(slice_from(version->value));
    end(looking, 0);
}

/* A directory is one, whoever has changed it: what is latest of each holds. */
static void merge_directories(struct toystore_attributes *merged,
                              const struct toystore_result *result)
{
    for (size_t i = 1; i < result->version_count; i++) {
        const struct toystore_attributes *other = &result->versions[i].attributes;
        if (result->versions[i].kind != TOYSTORE_DIRECTORY)
            continue;
        if (other->ctime_ns > merged->ctime_ns) {
            merged->mode = other->mode;
            merged->uid = other->uid;
            merged->gid = other->gid;
            merged->ctime_ns = other->ctime_ns;
        }
        if (other->mtime_ns > merged->mtime_ns)
            merged->mtime_ns = other->mtime_ns;
        if (other->atime_ns > merged->atime_ns)
            merged->atime_ns = other->atime_ns;
    }
}

static void take_version(struct looking *looking, const struct toystore_version *version)
{
    struct seen *seen = &looking->seen;
    seen->kind = version->kind;
    seen->op = version->op;
    seen->attributes = version->attributes;
    seen->file = op_none(&version->attributes.file) ? version->op : version->attributes.file;
    seen->extra = blob_copy(slice_from(version->extra));
    if (version->kind != TOYSTORE_REFERENCE) {
        seen->value = blob_copy(slice_from(version->value));
        if (version->kind == TOYSTORE_FILE || version->kind == TOYSTORE_SYMLINK)
            seen->attributes.size = version->value.size;
        end(looking, 0);
        return;
    }
    struct file_key key;
    file_record_key(&key, &seen->file);
    struct toystore_request request = {.type = TOYSTORE_GET, .key = bytes_of(file_key_slice(&key))};
    fs_submit(looking->fs, &request, got_record, looking);
}

/* What stands at the name of which the key names a sibling. */
static void got_base(void *arg, const struct toystore_result *result)
{
    struct looking *looking = arg;
    struct slice base, tag;
    sibling_key(blob_slice(looking->key), &base, &tag);
    bool there = result->status == TOYSTORE_OK;
    size_t at = there ? sibling_find(result, tag) : 0;
    if (!there && result->status != TOYSTORE_NOT_FOUND) {
        end(looking, error_of(result));
    } else if (!there || at == result->version_count ||
               result->versions[at].kind == TOYSTORE_DIRECTORY) {
        end(looking, -ENOENT);
    } else {
        looking->seen.sibling = true;
        take_version(looking, &result->versions[at]);
    }
}

static bool ask_base(struct looking *looking)
{
    struct slice base, tag;
    if (!sibling_key(blob_slice(looking->key), &base, &tag))
        return false;
    looking->sibling = true;
    struct toystore_request request = {.type = TOYSTORE_GET, .key = bytes_of(base)};
    fs_submit(looking->fs, &request, got_base, looking);
    return true;
}

static void got_name(void *arg, const struct toystore_result *result)
{
    struct looking *looking = arg;
    struct seen *seen = &looking->seen;
    bool asked = result->status == TOYSTORE_OK || result->status == TOYSTORE_NOT_FOUND;
    bool nothing = result->version_count == 0 || /* a tombstone may come with NOT_FOUND */
                   result->versions[0].kind == TOYSTORE_TOMBSTONE;
    if (!asked) {
        end(looking, error_of(result));
        return;
    }
    if (nothing && ask_base(looking))
        return;
    if (nothing) {
        if (result->version_count > 0) {
            seen->op = result->versions[0].op;
            seen->extra = blob_copy(slice_from(result->versions[0].extra));
        }
        end(looking, -ENOENT);
        return;
    }
    seen->equal = siblings_equal(result);
    for (size_t i = 1; i < result->version_count; i++)
        seen->conflict = seen->conflict || sibling_differs(result, i);
    struct toystore_version shown = result->versions[0];
    if (shown.kind == TOYSTORE_DIRECTORY)
        merge_directories(&shown.attributes, result);
    take_version(looking, &shown);
}

static void ask_name(struct looking *looking)
{
    struct fs *fs = looking->fs;
    uint64_t at_ns = looking->seen.at_ns;
    seen_free(&looking->seen);
    looking->seen.at_ns = at_ns ? at_ns : fs->face.now_ns(fs->face.arg);
    if (looking->sibling && ask_base(looking))
        return;
    struct toystore_request request = {.type = TOYSTORE_GET,
                                       .key = bytes_of(blob_slice(looking->key)),
                                       .deadline_ms = looking->deadline_ms};
    fs_submit(fs, &request, got_name, looking);
}

void look(struct fs *fs, struct slice key, look_done_fn *done, void *arg)
{
    look_within(fs, key, 0, done, arg);
}

void look_within(struct fs *fs, struct slice key, unsigned deadline_ms, look_done_fn *done,
                 void *arg)
{
    struct looking *looking = base_alloc(sizeof *looking);
    *looking = (struct looking){.fs = fs, .done = done, .arg = arg, .key = blob_copy(key)};
    looking->deadline_ms = deadline_ms;
    looking->sibling = conflicts_key(key);
    ask_name(looking);
}
