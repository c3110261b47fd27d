/* store_rocksdb: the two files of the store on disk share this. */
#ifndef TOYSTORE_IO_STORE_ROCKSDB_H
#define TOYSTORE_IO_STORE_ROCKSDB_H

#include "base/buf.h"
#include "io/rocks.h"
#include "io/stores.h"
#include "io/value_files.h"

enum { STORE_FORMAT = 1 };
enum { TAG_INLINE = 0, TAG_FILE = 1 };

struct rocksdb_store {
    struct toystore_store store; /* first: what the caller holds */
    struct rocks rocks;
    struct value_files files;
    int lock_fd;
    bool has_files[TOYSTORE_SPACES]; /* a space may have value files: writes look for them */
};

static struct rocksdb_store *rocksdb_of(struct toystore_store *store)
{
    return container_of(store, struct rocksdb_store, store);
}

int rocksdb_store_open(const char *directory, char *error, size_t error_size,
                       struct toystore_store **ret_store);
int rocksdb_store_repair(const char *directory, char *error, size_t error_size);
int rocksdb_store_sync(struct toystore_store *store);
int rocksdb_store_sync_log(struct toystore_store *store);
void rocksdb_store_close(struct toystore_store *store);

/* The key in ROCKS_FILES: space, then key. */
void rocksdb_file_key(struct buf *out, const struct toystore_write *write);
int rocksdb_iterator_status(struct rocksdb_store *self, rocksdb_iterator_t *at);

#endif
