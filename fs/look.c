/* look: what stands under a name, a reference and its file record as one. Two reads when it is a
 * reference, one otherwise.
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
};

void seen_free(struct seen *seen)
{
    blob_unref(&seen->value);
    blob_unref(&seen->extra);
    *seen = (struct seen){0};
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

static void got_name(void *arg, const struct toystore_result *result)
{
    struct looking *looking = arg;
    struct seen *seen = &looking->seen;
    bool asked = result->status == TOYSTORE_OK || result->status == TOYSTORE_NOT_FOUND;
    if (!asked || result->version_count == 0) { /* a tombstone may come with NOT_FOUND */
        end(looking, asked ? -ENOENT : error_of(result));
        return;
    }
    const struct toystore_version *version = &result->versions[0];
    if (version->kind == TOYSTORE_TOMBSTONE) {
        seen->op = version->op;
        seen->extra = blob_copy(slice_from(version->extra));
        end(looking, -ENOENT);
        return;
    }
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

static void ask_name(struct looking *looking)
{
    struct fs *fs = looking->fs;
    uint64_t at_ns = looking->seen.at_ns;
    seen_free(&looking->seen);
    looking->seen.at_ns = at_ns ? at_ns : fs->face.now_ns(fs->face.arg);
    struct toystore_request request = {.type = TOYSTORE_GET,
                                       .key = bytes_of(blob_slice(looking->key))};
    fs_submit(fs, &request, got_name, looking);
}

void look(struct fs *fs, struct slice key, look_done_fn *done, void *arg)
{
    struct looking *looking = base_alloc(sizeof *looking);
    *looking = (struct looking){.fs = fs, .done = done, .arg = arg, .key = blob_copy(key)};
    ask_name(looking);
}
