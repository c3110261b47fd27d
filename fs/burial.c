/* burial: a name of a file in chunks is gone: is the file? Only when none of its record's names
 * refers to it any more is the record deleted, and then what it named (reclaim.c).
 *
 * The names must be durably gone before the record goes: one that came back after a power loss
 * would refer to nothing. So they are synced first, and looked at after that.
 *
 * Enters from unlink and rename; leaves to record_load.c, submit.c and reclaim.c. */
#include "reclaim.h"

#include <stdlib.h>

enum { BURIAL_TRIES = 10 };

struct burial {
    struct fs *fs;
    struct toystore_op file, record_op;
    struct blob *value; /* the file record */
    struct file_record record;
    size_t at; /* names that were looked at */
    struct extents extents;
    unsigned tries;
};

static void burial_clear(struct burial *burial)
{
    if (burial->value)
        file_record_free(&burial->record);
    extents_free(&burial->extents);
    blob_unref(&burial->value);
    burial->at = 0;
}

static void burial_end(struct burial *burial)
{
    struct fs *fs = burial->fs;
    burial_clear(burial);
    free(burial);
    fs->burials--;
    reclaim_run(fs);
}

static void look_at_record(struct burial *burial);

static void record_deleted(void *arg, const struct toystore_result *result)
{
    struct burial *burial = arg;
    struct fs *fs = burial->fs;
    if (result->status == TOYSTORE_CONFLICT && ++burial->tries < BURIAL_TRIES) {
        look_at_record(burial); /* published to meanwhile, or renamed */
        return;
    }
    if (result->status == TOYSTORE_OK && !result->sloppy) {
        static const struct extents nothing;
        struct named_pieces old = {burial->record_op, &burial->extents, burial->record.pages,
                                   burial->record.page_count};
        reclaim_replaced(fs, &burial->file, &old, &(struct named_pieces){.extents = &nothing});
    }
    burial_end(burial);
}

static void delete_record(struct burial *burial)
{
    struct file_key key;
    file_record_key(&key, &burial->file);
    struct toystore_request request = {.type = TOYSTORE_PUT,
                                       .key = bytes_of(file_key_slice(&key)),
                                       .condition = TOYSTORE_IF_MATCH,
                                       .match = &burial->record_op,
                                       .match_count = 1,
                                       .exclusive = true,
                                       .change = TOYSTORE_DELETE};
    fs_submit(burial->fs, &request, record_deleted, burial);
}

static void extents_known(void *arg, int error)
{
    struct burial *burial = arg;
    if (error < 0) /* what it names would be known to nobody: then all stays */
        burial_end(burial);
    else
        delete_record(burial);
}

static void load_extents(struct burial *burial)
{
    record_load(burial->fs, &burial->file, &burial->record, &burial->extents, extents_known,
                burial);
}

static void next_name(struct burial *burial);

/* A rename that was cut short has left two names, and either may be the last. */
static void got_name(void *arg, const struct toystore_result *result)
{
    struct burial *burial = arg;
    bool known =
        (result->status == TOYSTORE_OK || result->status == TOYSTORE_NOT_FOUND) && !result->sloppy;
    for (size_t i = 0; known && i < result->version_count; i++)
        known = result->versions[i].kind != TOYSTORE_REFERENCE ||
                !op_equal(&result->versions[i].attributes.file, &burial->file);
    if (!known) {
        burial_end(burial);
        return;
    }
    burial->at++;
    next_name(burial);
}

static void next_name(struct burial *burial)
{
    if (burial->at == burial->record.name_count) {
        load_extents(burial);
        return;
    }
    struct toystore_request request = {
        .type = TOYSTORE_GET, .key = bytes_of(burial->record.names[burial->at]), .strict = 1};
    fs_submit(burial->fs, &request, got_name, burial);
}

static void names_synced(void *arg, const struct toystore_result *result)
{
    struct burial *burial = arg;
    if (result->status == TOYSTORE_OK)
        next_name(burial);
    else
        burial_end(burial);
}

static void sync_names(struct burial *burial)
{
    const struct file_record *record = &burial->record;
    struct toystore_bytes *keys = base_alloc((record->name_count + 1) * sizeof *keys);
    for (size_t i = 0; i < record->name_count; i++)
        keys[i] = bytes_of(record->names[i]);
    struct toystore_request request = {
        .type = TOYSTORE_SYNC, .key = keys[0], .keys = keys, .key_count = record->name_count};
    if (record->name_count > 0)
        fs_submit(burial->fs, &request, names_synced, burial);
    else
        load_extents(burial);
    free(keys);
}

static void got_record(void *arg, const struct toystore_result *result)
{
    struct burial *burial = arg;
    if (result->status != TOYSTORE_OK || result->version_count != 1 || result->sloppy) {
        burial_end(burial);
        return;
    }
    const struct toystore_version *version = &result->versions[0];
    struct blob *value = blob_copy(slice_from(version->value));
    if (file_record_decode(blob_slice(value), &burial->file, &burial->record) < 0) {
        blob_unref(&value);
        burial_end(burial);
        return;
    }
    burial->value = value;
    burial->record_op = version->op;
    sync_names(burial);
}

static void look_at_record(struct burial *burial)
{
    struct file_key key;
    burial_clear(burial);
    file_record_key(&key, &burial->file);
    struct toystore_request request = {
        .type = TOYSTORE_GET, .key = bytes_of(file_key_slice(&key)), .strict = 1};
    fs_submit(burial->fs, &request, got_record, burial);
}

void reclaim_file(struct fs *fs, const struct toystore_op *file)
{
    struct burial *burial = base_alloc(sizeof *burial);
    *burial = (struct burial){.fs = fs, .file = *file};
    fs->burials++;
    look_at_record(burial);
}
