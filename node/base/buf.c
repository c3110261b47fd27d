#include "base/buf.h"

void buf_reserve(struct buf *buf, size_t more)
{
    size_t capacity = buf->blob ? buf->blob->size : 0;
    size_t need = buf->size + more;
    if (need <= capacity)
        return;
    size_t grown = max_size(max_size(need, capacity * 2), 128);
    struct blob *blob = base_realloc(buf->blob, sizeof *blob + grown);
    blob->refs = 1;
    blob->size = grown;
    buf->blob = blob;
}

void buf_free(struct buf *buf)
{
    blob_unref(&buf->blob);
    buf->size = 0;
}

struct blob *buf_take(struct buf *buf)
{
    struct blob *blob = buf->blob ? buf->blob : blob_new(0);
    blob->size = buf->size;
    *buf = (struct buf){0};
    return blob;
}
