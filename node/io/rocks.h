/* rocks: one RocksDB database with our column families, through its C API; no other file sees its
 * types. Opens it, and opens it again after a background error. */
#ifndef TOYSTORE_IO_ROCKS_H
#define TOYSTORE_IO_ROCKS_H

#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <toystore/store.h>

#include "base/base.h"

/* One family a space, and one for the names of value files: (space, key) -> reference. */
enum { ROCKS_FILES = TOYSTORE_SPACES, ROCKS_FAMILIES };

struct rocks {
    char *path;
    rocksdb_t *db; /* NULL: could not be opened again after an error */
    rocksdb_column_family_handle_t *families[ROCKS_FAMILIES];
    rocksdb_options_t *options;
    rocksdb_block_based_table_options_t *table;
    rocksdb_cache_t *cache;
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write;
    pthread_rwlock_t lock; /* held shared by who reads, exclusively while it is opened again */
    atomic_bool failed;    /* takes no writes until it is opened again */
    atomic_bool damaged;   /* a block of it was found damaged */
};

/* Errors as toystore_store_ops.open. */
/* ROCKS_NEW: where there is no database an empty one is made. ROCKS_UP_TO_DAMAGE: the log is read
 * as far as it is whole, and what comes after is dropped. */
enum rocks_open { ROCKS_NEW, ROCKS_OLD, ROCKS_UP_TO_DAMAGE };
int rocks_open(struct rocks *rocks, const char *path, enum rocks_open how, char *error,
               size_t error_size);
void rocks_close(struct rocks *rocks);
/* The database stays open from begin to end. -EIO: it could not be opened again after an error. */
int rocks_read_begin(struct rocks *rocks);
void rocks_read_end(struct rocks *rocks);
/* 0, -ENOSPC, -EIO or -EUCLEAN. A database that failed is opened again first, if the disk takes
 * data. One that is damaged takes nothing more: what meets the damaged block would fail for ever.
 */
int rocks_commit(struct rocks *rocks, rocksdb_writebatch_t *batch);
int rocks_sync(struct rocks *rocks); /* any thread */
/* Saves what can be saved of a damaged database, which must not be open. */
int rocks_repair(const char *path, char *error, size_t error_size);

/* Stands beside a database that was found damaged while it was open, and holds what was said. */
#define ROCKS_MARK ".is-damaged"
/* Turns RocksDB's text into an errno, copies it to `error` (may be NULL) and frees it. */
int rocks_error(struct rocks *rocks, char *text, char *error, size_t error_size);

#endif
