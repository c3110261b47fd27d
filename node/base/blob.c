#include "base/blob.h"

#include <stdlib.h>

struct blob *blob_new(size_t size)
{
    struct blob *blob = base_realloc(NULL, sizeof *blob + size);
    blob->refs = 1;
    blob->size = size;
    return blob;
}

struct blob *blob_copy(struct slice bytes)
{
    struct blob *blob = blob_new(bytes.size);
    if (bytes.size != 0)
        memcpy(blob->data, bytes.data, bytes.size);
    return blob;
}

struct blob *blob_ref(struct blob *blob)
{
    if (blob != NULL)
        blob->refs++;
    return blob;
}

void blob_unref(struct blob **blob)
{
    struct blob *old = *blob;
    *blob = NULL;
    if (old == NULL)
        return;
    assert(old->refs > 0);
    if (--old->refs == 0)
        free(old);
}
