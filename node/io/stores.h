/* stores: the stores that come with toystore. */
#ifndef TOYSTORE_IO_STORES_H
#define TOYSTORE_IO_STORES_H

#include <toystore/store.h>

#include "base/base.h"

extern const struct toystore_store_ops store_memory, store_rocksdb;

const struct toystore_store_ops *store_by_name(const char *name); /* NULL: no such */

static inline struct slice slice_from(struct toystore_bytes bytes)
{
    return slice_of(bytes.data, bytes.size);
}

static inline struct toystore_bytes bytes_of(struct slice slice)
{
    return (struct toystore_bytes){slice.data, slice.size};
}

#endif
