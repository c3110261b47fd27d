/* rocks: opening, committing to and syncing one RocksDB database.
 *
 * Enters from io/store_rocksdb.c; leaves to RocksDB. */
#include "io/rocks.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const char *const family_names[ROCKS_FAMILIES] = {
    [TOYSTORE_RECORDS] = "records", [TOYSTORE_TOKENS] = "tokens", [TOYSTORE_LISTING] = "listing",
    [TOYSTORE_HINTS] = "hints",     [TOYSTORE_META] = "meta",     [ROCKS_FILES] = "default",
};

enum {
    BLOCK_CACHE_SIZE = 16 << 20,
    METADATA_BLOCK_SIZE = 4 << 10,
    MEMTABLES_SIZE = 16 << 20, /* of all families together; an idle node stays small */
    MEMTABLE_SIZE = 4 << 20,
    ARENA_BLOCK_SIZE = 256 << 10,
    WAL_SIZE_MAX = 64 << 20, /* seldom written families hold no more log than this */
    WAL_BYTES_PER_SYNC = 1 << 20,
    OPEN_FILES_MAX = 512,
    PROBE_SIZE = 256 << 10,
    FULL_DISK_LEFT = 4 << 20, /* an error with less room than this is called a full disk */
};

/* The mark outlives the process, so that the next open repairs what this one found. */
static int found_damage(struct rocks *rocks, const char *text)
{
    char path[PATH_MAX];
    if (rocks->db == NULL || atomic_exchange(&rocks->damaged, true))
        return -EUCLEAN; /* what does not open says so again */
    snprintf(path, sizeof path, "%s" ROCKS_MARK, rocks->path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -EUCLEAN;
    if (write(fd, text, strlen(text)) >= 0)
        fsync(fd);
    close(fd);
    return -EUCLEAN;
}

int rocks_error(struct rocks *rocks, char *text, char *error, size_t error_size)
{
    int status = -EIO;
    struct statvfs disk;
    if (strncmp(text, "Corruption", 10) == 0)
        status = found_damage(rocks, text);
    else if (strstr(text, "Column famil") != NULL)
        status = -EPROTO; /* families that this version does not know */
    else if (strstr(text, "No space left") != NULL)
        status = -ENOSPC;
    else if (statvfs(rocks->path, &disk) == 0 && disk.f_bavail * disk.f_frsize < FULL_DISK_LEFT)
        status = -ENOSPC;
    if (error != NULL)
        snprintf(error, error_size, "%s", text);
    rocksdb_free(text);
    return status;
}

static void make_options(struct rocks *rocks)
{
    rocks->cache = rocksdb_cache_create_lru(BLOCK_CACHE_SIZE);
    rocks->table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(rocks->table, rocks->cache);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(rocks->table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(rocks->table, 1);
    /* An index in one piece is as large as a shard of the cache, or larger: it would be read and
     * unpacked again for every record. In pieces those that are used stay. */
    rocksdb_block_based_options_set_index_type(
        rocks->table, rocksdb_block_based_table_index_type_two_level_index_search);
    rocksdb_block_based_options_set_partition_filters(rocks->table, 1);
    rocksdb_block_based_options_set_metadata_block_size(rocks->table, METADATA_BLOCK_SIZE);
    rocksdb_block_based_options_set_pin_top_level_index_and_filter(rocks->table, 1);
    rocksdb_block_based_options_set_filter_policy(rocks->table,
                                                  rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_options_t *options = rocks->options = rocksdb_options_create();
    rocksdb_options_set_block_based_table_factory(options, rocks->table);
    rocksdb_options_set_paranoid_checks(options, 1);
    rocksdb_options_set_write_buffer_size(options, MEMTABLE_SIZE);
    rocksdb_options_set_db_write_buffer_size(options, MEMTABLES_SIZE);
    rocksdb_options_set_max_write_buffer_number(options, 4);
    rocksdb_options_set_arena_block_size(options, ARENA_BLOCK_SIZE);
    rocksdb_options_set_max_total_wal_size(options, WAL_SIZE_MAX);
    rocksdb_options_set_wal_bytes_per_sync(options, WAL_BYTES_PER_SYNC);
    rocksdb_options_set_max_open_files(options, OPEN_FILES_MAX);
    rocksdb_options_set_keep_log_file_num(options, 2);
    /* Headers only: RocksDB aborts the process when it adds a line to its text log after a write
     * to it failed, as happens on a full disk. */
    rocksdb_options_set_info_log_level(options, 5);
    rocksdb_options_set_compression(options, rocksdb_lz4_compression);
    /* A log cut off at its end is what a power loss leaves. Whatever else is wrong in it is an
     * error: the caller must know before it goes on with less (ROCKS_UP_TO_DAMAGE). */
    rocksdb_options_set_wal_recovery_mode(options,
                                          rocksdb_tolerate_corrupted_tail_records_recovery);
    rocks->read = rocksdb_readoptions_create();
    rocks->write = rocksdb_writeoptions_create();
}

static void free_options(struct rocks *rocks)
{
    rocksdb_writeoptions_destroy(rocks->write);
    rocksdb_readoptions_destroy(rocks->read);
    rocksdb_options_destroy(rocks->options);
    rocksdb_block_based_options_destroy(rocks->table);
    rocksdb_cache_destroy(rocks->cache);
}

static int open_db(struct rocks *rocks, char *error, size_t error_size)
{
    const rocksdb_options_t *options[ROCKS_FAMILIES];
    for (size_t i = 0; i < ROCKS_FAMILIES; i++)
        options[i] = rocks->options;
    char *text = NULL;
    rocks->db = rocksdb_open_column_families(rocks->options, rocks->path, ROCKS_FAMILIES,
                                             family_names, options, rocks->families, &text);
    return text == NULL ? 0 : rocks_error(rocks, text, error, error_size);
}

static void close_db(struct rocks *rocks)
{
    if (rocks->db == NULL)
        return;
    for (size_t i = 0; i < ROCKS_FAMILIES; i++)
        rocksdb_column_family_handle_destroy(rocks->families[i]);
    rocksdb_close(rocks->db);
    rocks->db = NULL;
}

int rocks_open(struct rocks *rocks, const char *path, enum rocks_open how, char *error,
               size_t error_size)
{
    *rocks = (struct rocks){.path = base_string(slice_str(path))};
    make_options(rocks);
    rocksdb_options_set_create_if_missing(rocks->options, how == ROCKS_NEW);
    rocksdb_options_set_create_missing_column_families(rocks->options, 1);
    if (how == ROCKS_UP_TO_DAMAGE)
        rocksdb_options_set_wal_recovery_mode(rocks->options, rocksdb_point_in_time_recovery);
    int status = open_db(rocks, error, error_size);
    /* Opened again, it is there, or its disk is away: never an empty one in its place. */
    rocksdb_options_set_create_if_missing(rocks->options, 0);
    rocksdb_options_set_create_missing_column_families(rocks->options, 0);
    if (status < 0) {
        free_options(rocks);
        free(rocks->path);
        return status;
    }
    pthread_rwlock_init(&rocks->lock, NULL);
    return 0;
}

void rocks_close(struct rocks *rocks)
{
    close_db(rocks);
    pthread_rwlock_destroy(&rocks->lock);
    free_options(rocks);
    free(rocks->path);
}

/* After an error RocksDB takes no more writes until it is closed and opened again. */
static int reopen(struct rocks *rocks)
{
    char error[200] = "";
    int status = 0;
    pthread_rwlock_wrlock(&rocks->lock);
    if (rocks->db == NULL || atomic_load(&rocks->failed)) { /* else another thread was first */
        close_db(rocks);
        status = open_db(rocks, error, sizeof error);
        if (status == 0)
            atomic_store(&rocks->failed, false);
        else if (status == -EUCLEAN)
            atomic_store(&rocks->damaged, true);
    }
    pthread_rwlock_unlock(&rocks->lock);
    return status;
}

int rocks_read_begin(struct rocks *rocks)
{
    pthread_rwlock_rdlock(&rocks->lock);
    if (rocks->db != NULL)
        return 0;
    pthread_rwlock_unlock(&rocks->lock);
    if (reopen(rocks) < 0)
        return -EIO;
    pthread_rwlock_rdlock(&rocks->lock);
    if (rocks->db != NULL)
        return 0;
    pthread_rwlock_unlock(&rocks->lock);
    return -EIO;
}

void rocks_read_end(struct rocks *rocks)
{
    pthread_rwlock_unlock(&rocks->lock);
}

/* Does the disk take data, and keep it? Asked before the database is closed: as long as it is open
 * it can at least be read. */
static int probe_disk(const struct rocks *rocks)
{
    static const uint8_t data[PROBE_SIZE];
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s.probe", rocks->path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int status = 0;
    for (size_t size = 0; status == 0 && size < sizeof data;) {
        ssize_t written = write(fd, data + size, sizeof data - size);
        if (written < 0)
            status = -errno;
        else
            size += (size_t)written;
    }
    if (status == 0 && fsync(fd) < 0)
        status = -errno;
    close(fd);
    unlink(path);
    return status;
}

/* After a failed write RocksDB takes no more until it is closed and opened again. */
static int mend(struct rocks *rocks)
{
    int status = probe_disk(rocks);
    return status == 0 ? reopen(rocks) : status;
}

int rocks_commit(struct rocks *rocks, rocksdb_writebatch_t *batch)
{
    int status = 0;
    bool failed = atomic_load(&rocks->failed);
    for (int attempt = 0; attempt < 2; attempt++) {
        if (failed)
            status = mend(rocks);
        if (status < 0)
            break;
        if (rocks_read_begin(rocks) < 0)
            return -EIO;
        char *text = NULL;
        rocksdb_write(rocks->db, rocks->write, batch, &text);
        rocks_read_end(rocks);
        if (text == NULL)
            return 0;
        status = rocks_error(rocks, text, NULL, 0);
        atomic_store(&rocks->failed, failed = true);
        if (status == -EUCLEAN)
            return status;
    }
    if (status == -EUCLEAN)
        return status;
    return status == -ENOSPC || status == -EDQUOT ? -ENOSPC : -EIO;
}

static int sync_file(int directory, const char *name)
{
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0
                               : -errno; /* its content is in a table by now, which was synced */
    int status = fdatasync(fd) < 0 ? -errno : 0;
    close(fd);
    return status;
}

/* Syncs the logs itself. RocksDB's own call holds up writers, and aborts the process when a write
 * to the log has failed just before. */
static int sync_logs(const char *path)
{
    DIR *directory = opendir(path);
    int status = 0;
    if (directory == NULL)
        return -errno;
    for (struct dirent *item; status == 0 && (item = readdir(directory)) != NULL;) {
        const char *dot = strrchr(item->d_name, '.');
        if (dot != NULL && strcmp(dot, ".log") == 0)
            status = sync_file(dirfd(directory), item->d_name);
    }
    if (status == 0 && fsync(dirfd(directory)) < 0)
        status = -errno;
    closedir(directory);
    return status;
}

int rocks_sync(struct rocks *rocks)
{
    /* What a failed sync left unwritten, the next one would take for written. */
    int status = atomic_load(&rocks->failed) ? mend(rocks) : 0;
    if (status == 0)
        status = sync_logs(rocks->path);
    if (status < 0)
        atomic_store(&rocks->failed, true); /* opening again writes what the log holds anew */
    return status;
}

int rocks_repair(const char *path, char *error, size_t error_size)
{
    struct rocks rocks = {.path = base_string(slice_str(path))};
    char *text = NULL;
    make_options(&rocks);
    rocksdb_repair_db(rocks.options, path, &text);
    int status = text == NULL ? 0 : rocks_error(&rocks, text, error, error_size);
    free_options(&rocks);
    free(rocks.path);
    return status;
}
