/* store_rocksdb_open: opening, checking, sweeping and repairing the store on disk.
 *
 * Enters from node/directory.c; leaves to io/rocks.c and io/value_files.c. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/lock_file.h"
#include "io/salvage.h"
#include "io/store_rocksdb.h"

/* *ret_known: the file is there, so the database was once complete. */
static int check_format(const char *directory, bool *ret_known, char *error, size_t error_size)
{
    char path[PATH_MAX], text[64];
    snprintf(path, sizeof path, "%s/FORMAT", directory);
    FILE *file = fopen(path, "re");
    *ret_known = file != NULL;
    if (file == NULL && errno == ENOENT)
        return 0;
    if (file == NULL) {
        int status = -errno;
        snprintf(error, error_size, "%s: %s", path, strerror(errno));
        return status;
    }
    unsigned format = 0;
    if (fgets(text, sizeof text, file) != NULL)
        format = (unsigned)strtoul(text, NULL, 10);
    fclose(file);
    if (format > STORE_FORMAT)
        snprintf(error, error_size,
                 "%s was made by a newer toystore, in format %u; this one reads up to format %d",
                 directory, format, STORE_FORMAT);
    else if (format == 0)
        snprintf(error, error_size, "%s is damaged", path);
    return format == 0 ? -EBADMSG : format > STORE_FORMAT ? -EPROTO : 0;
}

/* Written last: what is there without it is a first start that did not come to its end. */
static int write_format(const char *directory, char *error, size_t error_size)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/FORMAT", directory);
    FILE *file = fopen(path, "wxe");
    bool failed = file == NULL || fprintf(file, "%d\n", STORE_FORMAT) < 0;
    if (file != NULL) {
        failed = fflush(file) != 0 || fsync(fileno(file)) < 0 || failed;
        failed = fclose(file) != 0 || failed;
    }
    if (failed) {
        unlink(path);
        snprintf(error, error_size, "%s could not be written", path);
    }
    return failed ? -EIO : 0;
}

/* RocksDB takes a directory without CURRENT for a new one, and deletes what it finds there. */
static int check_database(const char *path, char *error, size_t error_size)
{
    char current[PATH_MAX + 16];
    snprintf(current, sizeof current, "%s/CURRENT", path);
    if (access(current, F_OK) == 0)
        return 0;
    DIR *directory = opendir(path);
    bool any = false;
    for (struct dirent *item; directory != NULL && (item = readdir(directory)) != NULL;)
        any = any || strncmp(item->d_name, "MANIFEST-", 9) == 0 || strstr(item->d_name, ".sst");
    if (directory != NULL)
        closedir(directory);
    snprintf(error, error_size,
             any ? "%s is missing"
                 : "%s is missing, and all of the database with it; bring it back, or empty the "
                   "directory to begin as a new member",
             current);
    return any ? -EUCLEAN : -ENODATA;
}

static int compare_numbers(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Reads which value files are named, then removes all others. */
static int sweep_files(struct rocksdb_store *self)
{
    struct numbers live = {0};
    rocksdb_iterator_t *at = rocksdb_create_iterator_cf(self->rocks.db, self->rocks.read,
                                                        self->rocks.families[ROCKS_FILES]);
    for (rocksdb_iter_seek_to_first(at); rocksdb_iter_valid(at); rocksdb_iter_next(at)) {
        size_t key_size, size;
        const char *key = rocksdb_iter_key(at, &key_size);
        const char *value = rocksdb_iter_value(at, &size);
        struct value_reference reference;
        if (key_size == 0 || (uint8_t)key[0] >= TOYSTORE_SPACES ||
            !value_reference_unpack(slice_of(value, size), &reference))
            continue;
        self->has_files[(uint8_t)key[0]] = true;
        numbers_add(&live, reference.number);
    }
    int status = rocksdb_iterator_status(self, at);
    rocksdb_iter_destroy(at);
    if (live.count > 0)
        qsort(live.items, live.count, sizeof *live.items, compare_numbers);
    if (status == 0)
        status = value_files_sweep(&self->files, &live);
    numbers_free(&live);
    return status;
}

static void close_parts(struct rocksdb_store *self)
{
    rocks_close(&self->rocks);
    value_files_close(&self->files);
}

/* Opens what stands in `directory`, which is locked. */
static int open_parts(struct rocksdb_store *self, const char *directory, enum rocks_open how,
                      char *error, size_t error_size)
{
    char path[PATH_MAX];
    bool known;
    int status = check_format(directory, &known, error, error_size);
    snprintf(path, sizeof path, "%s/db", directory);
    if (status == 0 && known)
        status = check_database(path, error, error_size);
    if (status < 0)
        return status;
    snprintf(path, sizeof path, "%s/values", directory);
    status = value_files_open(&self->files, path);
    if (status < 0) {
        snprintf(error, error_size, "%s: %s", path, strerror(-status));
        return status;
    }
    snprintf(path, sizeof path, "%s/db", directory);
    status = rocks_open(&self->rocks, path, known ? how : ROCKS_NEW, error, error_size);
    if (status < 0) {
        value_files_close(&self->files);
        return status;
    }
    if (!known)
        status = write_format(directory, error, error_size);
    if (status < 0)
        close_parts(self);
    return status;
}

static void mark_path(char path[PATH_MAX], const char *directory)
{
    snprintf(path, PATH_MAX, "%s/db" ROCKS_MARK, directory);
}

static int check_mark(const char *directory, char *error, size_t error_size)
{
    char path[PATH_MAX];
    mark_path(path, directory);
    if (access(path, F_OK) < 0)
        return 0;
    snprintf(error, error_size, "its database was found damaged while it was in use");
    return -EUCLEAN;
}

static int take_lock(const char *directory, int *ret_fd, char *error, size_t error_size)
{
    char path[PATH_MAX];
    long holder = 0;
    snprintf(path, sizeof path, "%s/LOCK", directory);
    int status = lock_file_take(path, ret_fd, &holder);
    if (status == -EBUSY)
        snprintf(error, error_size, "%s is in use by process %ld", directory, holder);
    else if (status < 0)
        snprintf(error, error_size, "%s: %s", path, strerror(-status));
    return status;
}

int rocksdb_store_open(const char *directory, char *error, size_t error_size,
                       struct toystore_store **ret_store)
{
    struct rocksdb_store *self = base_alloc(sizeof *self);
    self->store.ops = &store_rocksdb;
    int status = take_lock(directory, &self->lock_fd, error, error_size);
    if (status < 0)
        goto free_self;
    status = check_mark(directory, error, error_size);
    if (status == 0)
        status = open_parts(self, directory, ROCKS_OLD, error, error_size);
    if (status < 0)
        goto release_lock;
    status = sweep_files(self);
    if (status < 0) {
        snprintf(error, error_size, "%s/values: %s", directory, strerror(-status));
        goto close_parts;
    }
    *ret_store = &self->store;
    return 0;

close_parts:
    close_parts(self);
release_lock:
    lock_file_release(&self->lock_fd);
free_self:
    free(self);
    return status;
}

void rocksdb_store_close(struct toystore_store *store)
{
    struct rocksdb_store *self = rocksdb_of(store);
    rocksdb_store_sync(store); /* best effort: what was promised durable is so already */
    close_parts(self);
    lock_file_release(&self->lock_fd);
    free(self);
}

/* ---- repair ---- */

/* The names of value files may be lost with the family that holds them: makes them anew from the
 * references in one space. */
static int rename_files(struct rocksdb_store *self, enum toystore_space space)
{
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    rocksdb_iterator_t *at =
        rocksdb_create_iterator_cf(self->rocks.db, self->rocks.read, self->rocks.families[space]);
    struct buf name = {0};
    for (rocksdb_iter_seek_to_first(at); rocksdb_iter_valid(at); rocksdb_iter_next(at)) {
        struct toystore_write write = {.space = space};
        size_t size;
        write.key.data = rocksdb_iter_key(at, &write.key.size);
        const char *value = rocksdb_iter_value(at, &size);
        if (size != 1 + VALUE_REFERENCE_SIZE || value[0] != TAG_FILE)
            continue;
        rocksdb_file_key(&name, &write);
        rocksdb_writebatch_put_cf(batch, self->rocks.families[ROCKS_FILES],
                                  (const char *)name.blob->data, name.size, value + 1, size - 1);
    }
    int status = rocksdb_iterator_status(self, at);
    if (status == 0)
        status = rocks_commit(&self->rocks, batch);
    buf_free(&name);
    rocksdb_iter_destroy(at);
    rocksdb_writebatch_destroy(batch);
    return status;
}

static bool has_value(struct rocksdb_store *self, size_t space, struct slice key)
{
    size_t size;
    char *text = NULL;
    char *value = rocksdb_get_cf(self->rocks.db, self->rocks.read, self->rocks.families[space],
                                 (const char *)key.data, key.size, &size, &text);
    rocksdb_free(text);
    rocksdb_free(value);
    return value != NULL;
}

/* The other way round: a reference that is lost is made anew from the name of its value file. */
static int refer_to_files(struct rocksdb_store *self)
{
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    rocksdb_iterator_t *at = rocksdb_create_iterator_cf(self->rocks.db, self->rocks.read,
                                                        self->rocks.families[ROCKS_FILES]);
    for (rocksdb_iter_seek_to_first(at); rocksdb_iter_valid(at); rocksdb_iter_next(at)) {
        size_t size, key_size;
        uint8_t tagged[1 + VALUE_REFERENCE_SIZE] = {TAG_FILE};
        const uint8_t *key = (const uint8_t *)rocksdb_iter_key(at, &key_size);
        const char *value = rocksdb_iter_value(at, &size);
        if (key_size == 0 || key[0] >= TOYSTORE_SPACES || size != VALUE_REFERENCE_SIZE ||
            has_value(self, key[0], slice_of(key + 1, key_size - 1)))
            continue;
        memcpy(tagged + 1, value, size);
        rocksdb_writebatch_put_cf(batch, self->rocks.families[key[0]], (const char *)key + 1,
                                  key_size - 1, (const char *)tagged, sizeof tagged);
    }
    int status = rocksdb_iterator_status(self, at);
    if (status == 0)
        status = rocks_commit(&self->rocks, batch);
    rocksdb_iter_destroy(at);
    rocksdb_writebatch_destroy(batch);
    return status;
}

/* A damaged block is met by the next compaction, and then nothing can be written any more: what was
 * found damaged in use is copied to a new database. */
static int repair_marked(const char *directory, struct rocksdb_store *self, char *error,
                         size_t error_size)
{
    char path[PATH_MAX];
    int status = check_mark(directory, error, error_size);
    if (status == 0)
        return open_parts(self, directory, ROCKS_UP_TO_DAMAGE, error, error_size);
    snprintf(path, sizeof path, "%s/db", directory);
    status = salvage(path, error, error_size);
    return status < 0 ? status : open_parts(self, directory, ROCKS_OLD, error, error_size);
}

static int repair_locked(const char *directory, char *error, size_t error_size)
{
    struct rocksdb_store self = {.lock_fd = -1};
    char path[PATH_MAX];
    /* A torn end of the log is the usual damage, and all before it is good. RocksDB's repair is for
     * the rest: it loses what is in the log alone when no table knows its family. */
    int status = repair_marked(directory, &self, error, error_size);
    if (status == -EUCLEAN) {
        snprintf(path, sizeof path, "%s/db", directory);
        status = rocks_repair(path, error, error_size);
        if (status == 0)
            status = open_parts(&self, directory, ROCKS_OLD, error, error_size);
    }
    if (status < 0)
        return status;
    for (size_t space = 0; space < TOYSTORE_SPACES && status == 0; space++)
        status = rename_files(&self, (enum toystore_space)space);
    if (status == 0)
        status = refer_to_files(&self);
    if (status == 0)
        status = rocks_sync(&self.rocks);
    close_parts(&self);
    mark_path(path, directory);
    if (status == 0 && unlink(path) < 0 && errno != ENOENT)
        status = -errno;
    if (status < 0)
        snprintf(error, error_size, "%s could not be repaired: %s", directory, strerror(-status));
    return status;
}

int rocksdb_store_repair(const char *directory, char *error, size_t error_size)
{
    int lock_fd;
    int status = take_lock(directory, &lock_fd, error, error_size);
    if (status < 0)
        return status;
    status = repair_locked(directory, error, error_size);
    lock_file_release(&lock_fd);
    return status;
}
