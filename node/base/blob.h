/* blob: bytes on the heap with a count of references; the bytes do not change once shared. */
#ifndef TOYSTORE_BLOB_H
#define TOYSTORE_BLOB_H

#include "base/base.h"

struct blob {
    size_t refs;
    size_t size;
    uint8_t data[];
};

struct blob *blob_new(size_t size); /* one reference, bytes not set */
struct blob *blob_copy(struct slice bytes);
struct blob *blob_ref(struct blob *blob); /* NULL stays NULL */
void blob_unref(struct blob **blob);      /* sets *blob to NULL */

static inline struct slice blob_slice(const struct blob *blob)
{
    return blob ? slice_of(blob->data, blob->size) : slice_of(NULL, 0);
}

#endif
