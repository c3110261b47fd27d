/* store_rocksdb: the store on disk: RocksDB for keys and small values, files for large ones.
 *
 * Enters from io/driver.c; leaves to io/rocks.c and io/value_files.c.
 *
 * A value in the database begins with a tag: what follows is the value itself, or a reference to
 * a value file. The family ROCKS_FILES repeats the references by (space, key), in the same batch:
 * it tells cheaply which file a write replaces, and at open which files nothing names. */
#include "io/store_rocksdb.h"

#include <stdlib.h>

/* ---- reading ---- */

/* `found`: as it stands in the database. */
static int give_value(struct rocksdb_store *self, struct slice found, toystore_value_fn *value,
                      void *arg)
{
    struct value_reference reference;
    struct blob *blob = NULL;
    if (found.size == 0)
        return -EUCLEAN;
    struct slice rest = slice_of(found.data + 1, found.size - 1);
    if (found.data[0] == TAG_INLINE) {
        value(arg, bytes_of(rest));
        return 0;
    }
    if (found.data[0] != TAG_FILE || !value_reference_unpack(rest, &reference))
        return -EUCLEAN;
    int status = value_files_read(&self->files, &reference, &blob);
    if (status == 0)
        value(arg, bytes_of(blob_slice(blob)));
    blob_unref(&blob);
    return status;
}

/* On success ends with look_end: until then the value stays where it is. */
static int look_up(struct rocksdb_store *self, size_t family, struct slice key,
                   rocksdb_pinnableslice_t **ret_pin, struct slice *ret_value)
{
    char *text = NULL;
    int status = rocks_read_begin(&self->rocks);
    if (status < 0)
        return status;
    rocksdb_pinnableslice_t *pin =
        rocksdb_get_pinned_cf(self->rocks.db, self->rocks.read, self->rocks.families[family],
                              (const char *)key.data, key.size, &text);
    if (pin == NULL) {
        rocks_read_end(&self->rocks);
        if (text == NULL)
            return -ENOENT;
        return rocks_error(&self->rocks, text, NULL, 0) == -EUCLEAN ? -EUCLEAN : -EIO;
    }
    size_t size;
    const char *data = rocksdb_pinnableslice_value(pin, &size);
    *ret_pin = pin;
    *ret_value = slice_of(data, size);
    return 0;
}

static void look_end(struct rocksdb_store *self, rocksdb_pinnableslice_t *pin)
{
    rocksdb_pinnableslice_destroy(pin);
    rocks_read_end(&self->rocks);
}

static int store_get(struct toystore_store *store, enum toystore_space space,
                     struct toystore_bytes key, toystore_value_fn *value, void *arg)
{
    struct rocksdb_store *self = rocksdb_of(store);
    rocksdb_pinnableslice_t *pin;
    struct slice found;
    int status = look_up(self, space, slice_from(key), &pin, &found);
    if (status < 0)
        return status;
    status = give_value(self, found, value, arg);
    look_end(self, pin);
    return status;
}

struct scan_value {
    toystore_entry_fn *entry;
    void *arg;
    struct toystore_bytes key;
    bool stop;
};

static void scan_value(void *arg, struct toystore_bytes value)
{
    struct scan_value *scan = arg;
    scan->stop = !scan->entry(scan->arg, scan->key, value);
}

int rocksdb_iterator_status(struct rocksdb_store *self, rocksdb_iterator_t *at)
{
    char *text = NULL;
    rocksdb_iter_get_error(at, &text);
    if (text == NULL)
        return 0;
    return rocks_error(&self->rocks, text, NULL, 0) == -EUCLEAN ? -EUCLEAN : -EIO;
}

struct range {
    enum toystore_space space;
    struct toystore_bytes from, to;
    bool keys_alone;
};

static int scan_range(struct rocksdb_store *self, const struct range *range,
                      toystore_entry_fn *entry, void *arg)
{
    struct scan_value scan = {.entry = entry, .arg = arg};
    int status = rocks_read_begin(&self->rocks);
    if (status < 0)
        return status;
    rocksdb_iterator_t *at = rocksdb_create_iterator_cf(self->rocks.db, self->rocks.read,
                                                        self->rocks.families[range->space]);
    rocksdb_iter_seek(at, range->from.size ? range->from.data : "", range->from.size);
    for (; rocksdb_iter_valid(at) && !scan.stop && status == 0; rocksdb_iter_next(at)) {
        size_t size;
        scan.key.data = rocksdb_iter_key(at, &scan.key.size);
        if (range->to.size != 0 && slice_compare(slice_from(scan.key), slice_from(range->to)) >= 0)
            break;
        if (range->keys_alone) {
            scan_value(&scan, (struct toystore_bytes){0});
            continue;
        }
        const char *found = rocksdb_iter_value(at, &size);
        status = give_value(self, slice_of(found, size), scan_value, &scan);
    }
    if (status == 0)
        status = rocksdb_iterator_status(self, at);
    rocksdb_iter_destroy(at);
    rocks_read_end(&self->rocks);
    return status;
}

static int store_scan(struct toystore_store *store, enum toystore_space space,
                      struct toystore_bytes from, struct toystore_bytes to,
                      toystore_entry_fn *entry, void *arg)
{
    return scan_range(rocksdb_of(store), &(struct range){space, from, to, false}, entry, arg);
}

static int store_scan_keys(struct toystore_store *store, enum toystore_space space,
                           struct toystore_bytes from, struct toystore_bytes to,
                           toystore_entry_fn *entry, void *arg)
{
    return scan_range(rocksdb_of(store), &(struct range){space, from, to, true}, entry, arg);
}

/* ---- writing ---- */

struct named_file {
    const struct toystore_write *write; /* whose space and key name it */
    uint64_t number;
    bool own; /* not staged before */
};

/* What one call of write does: the batch, the files it made and those it makes useless. */
struct change {
    rocksdb_writebatch_t *batch;
    struct named_file *made;
    size_t made_count;
    struct numbers replaced;
};

void rocksdb_file_key(struct buf *out, const struct toystore_write *write)
{
    uint8_t space = (uint8_t)write->space;
    out->size = 0;
    buf_append(out, &space, 1);
    buf_append(out, write->key.data, write->key.size);
}

static bool same_key(const struct toystore_write *a, const struct toystore_write *b)
{
    return a->space == b->space && slice_equal(slice_from(a->key), slice_from(b->key));
}

/* Does the write replace a value file? Its number joins those to bury. */
static int replace_file(struct rocksdb_store *self, struct change *change,
                        const struct toystore_write *write, struct slice name)
{
    struct value_reference reference;
    rocksdb_pinnableslice_t *pin;
    struct slice found;
    bool any = false;
    for (size_t i = 0; i < change->made_count; i++) {
        if (same_key(change->made[i].write, write)) {
            numbers_add(&change->replaced, change->made[i].number);
            any = true;
        }
    }
    int status = look_up(self, ROCKS_FILES, name, &pin, &found);
    if (status == 0) {
        if (value_reference_unpack(found, &reference)) {
            numbers_add(&change->replaced, reference.number);
            any = true;
        }
        look_end(self, pin);
    }
    if (any)
        rocksdb_writebatch_delete_cf(change->batch, self->rocks.families[ROCKS_FILES],
                                     (const char *)name.data, name.size);
    return status == -ENOENT ? 0 : status;
}

static int file_status(int status)
{
    if (status == 0)
        return 0;
    return status == -ENOSPC || status == -EDQUOT ? -ENOSPC : -EIO;
}

static int store_stage(struct toystore_store *store, const struct toystore_bytes parts[2],
                       struct toystore_staged *ret_staged)
{
    struct rocksdb_store *self = rocksdb_of(store);
    struct slice slices[2] = {slice_from(parts[0]), slice_from(parts[1])};
    struct value_reference reference;
    int status = value_files_write(&self->files, slices, &reference);
    if (status == 0)
        *ret_staged =
            (struct toystore_staged){reference.number, reference.size, reference.checksum};
    return file_status(status);
}

static void store_unstage(struct toystore_store *store, const struct toystore_staged *staged)
{
    value_files_remove(&rocksdb_of(store)->files, staged->number);
}

static bool is_there(struct rocksdb_store *self, const struct toystore_write *write)
{
    rocksdb_pinnableslice_t *pin;
    struct slice found;
    int status = look_up(self, write->space, slice_from(write->key), &pin, &found);
    if (status == 0)
        look_end(self, pin);
    return status != -ENOENT;
}

static int put_file(struct rocksdb_store *self, struct change *change,
                    const struct toystore_write *write, struct slice name)
{
    struct toystore_staged staged;
    uint8_t tagged[1 + VALUE_REFERENCE_SIZE] = {TAG_FILE};
    if (write->staged != NULL) {
        staged = *write->staged;
    } else {
        const struct toystore_bytes parts[2] = {write->value};
        int status = store_stage(&self->store, parts, &staged);
        if (status < 0)
            return status;
    }
    if (is_there(self, write))
        value_files_hurry(&self->files, staged.number);
    change->made[change->made_count++] =
        (struct named_file){write, staged.number, write->staged == NULL};
    self->has_files[write->space] = true;
    value_reference_pack(&(struct value_reference){staged.number, staged.size, staged.checksum},
                         tagged + 1);
    rocksdb_writebatch_put_cf(change->batch, self->rocks.families[write->space], write->key.data,
                              write->key.size, (const char *)tagged, sizeof tagged);
    rocksdb_writebatch_put_cf(change->batch, self->rocks.families[ROCKS_FILES],
                              (const char *)name.data, name.size, (const char *)tagged + 1,
                              sizeof tagged - 1);
    return 0;
}

static void put_inline(struct rocksdb_store *self, struct change *change,
                       const struct toystore_write *write)
{
    const char tag = TAG_INLINE, *key = write->key.data;
    const char *value[2] = {&tag, write->value.size ? write->value.data : ""};
    size_t sizes[2] = {1, write->value.size};
    rocksdb_writebatch_putv_cf(change->batch, self->rocks.families[write->space], 1, &key,
                               &write->key.size, 2, value, sizes);
}

static int add_write(struct rocksdb_store *self, struct change *change,
                     const struct toystore_write *write, struct buf *name)
{
    bool large = !write->remove && (write->staged || write->value.size > VALUE_FILE_MIN);
    int status = 0;
    if (large || self->has_files[write->space]) {
        rocksdb_file_key(name, write);
        status = replace_file(self, change, write, buf_slice(name));
    }
    if (status < 0)
        return status;
    if (large)
        return put_file(self, change, write, buf_slice(name));
    if (write->remove)
        rocksdb_writebatch_delete_cf(change->batch, self->rocks.families[write->space],
                                     write->key.data, write->key.size);
    else
        put_inline(self, change, write);
    return 0;
}

static int store_write(struct toystore_store *store, const struct toystore_write *writes,
                       size_t count)
{
    struct rocksdb_store *self = rocksdb_of(store);
    struct change change = {.batch = rocksdb_writebatch_create(),
                            .made = base_alloc(count * sizeof *change.made)};
    struct buf name = {0};
    /* A database that could not be opened again has no families to name in a batch. */
    int status = rocks_read_begin(&self->rocks);
    if (status == 0)
        rocks_read_end(&self->rocks);
    else if (atomic_load(&self->rocks.damaged))
        status = -EUCLEAN; /* it must be repaired, and can only be at the next start */
    for (size_t i = 0; i < count && status == 0; i++)
        status = add_write(self, &change, &writes[i], &name);
    if (status == 0)
        status = rocks_commit(&self->rocks, change.batch);
    for (size_t i = 0; status < 0 && i < change.made_count; i++)
        if (change.made[i].own)
            value_files_remove(&self->files, change.made[i].number);
    for (size_t i = 0; status == 0 && i < change.replaced.count; i++)
        value_files_bury(&self->files, change.replaced.items[i]);
    numbers_free(&change.replaced);
    free(change.made);
    buf_free(&name);
    rocksdb_writebatch_destroy(change.batch);
    return status;
}

int rocksdb_store_sync(struct toystore_store *store)
{
    struct rocksdb_store *self = rocksdb_of(store);
    struct value_sync sync;
    int status = value_files_sync_begin(&self->files, &sync);
    if (status == 0)
        status = rocks_sync(&self->rocks);
    if (status == 0)
        status = value_files_sync_urgent(&self->files);
    value_files_sync_end(&self->files, &sync, status);
    return status;
}

int rocksdb_store_sync_log(struct toystore_store *store)
{
    struct rocksdb_store *self = rocksdb_of(store);
    struct value_sync sync;
    int status = value_files_sync_log_begin(&self->files, &sync);
    if (status == 0)
        status = rocks_sync(&self->rocks);
    if (status == 0)
        status = value_files_sync_urgent(&self->files);
    value_files_sync_end(&self->files, &sync, status);
    return status;
}

const struct toystore_store_ops store_rocksdb = {
    .name = "rocksdb",
    .open = rocksdb_store_open,
    .repair = rocksdb_store_repair,
    .get = store_get,
    .write = store_write,
    .stage_min = VALUE_FILE_MIN + 1,
    .stage = store_stage,
    .unstage = store_unstage,
    .sync = rocksdb_store_sync,
    .sync_log = rocksdb_store_sync_log,
    .scan = store_scan,
    .scan_keys = store_scan_keys,
    .close = rocksdb_store_close,
};
