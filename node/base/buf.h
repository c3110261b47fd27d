/* buf: bytes that grow at the end; what every encoder writes into. */
#ifndef TOYSTORE_BUF_H
#define TOYSTORE_BUF_H

#include "base/blob.h"

struct buf {
    struct blob *blob; /* capacity is blob->size; NULL while empty */
    size_t size;
};

void buf_reserve(struct buf *buf, size_t more);
void buf_free(struct buf *buf);
/* Hands the bytes over as a blob of exactly that size (never NULL); the buf is empty after. */
struct blob *buf_take(struct buf *buf);

static inline void buf_append(struct buf *buf, const void *data, size_t size)
{
    if (size == 0)
        return;
    if (buf->blob == NULL || buf->blob->size - buf->size < size)
        buf_reserve(buf, size);
    memcpy(buf->blob->data + buf->size, data, size);
    buf->size += size;
}

static inline struct slice buf_slice(const struct buf *buf)
{
    return buf->blob ? slice_of(buf->blob->data, buf->size) : slice_of(NULL, 0);
}

#endif
