/* pack: MessagePack out, by msgpack-c, which no other room sees. */
#ifndef TOYSTORE_WIRE_PACK_H
#define TOYSTORE_WIRE_PACK_H

#include "base/buf.h"

void pack_nil(struct buf *out);
void pack_bool(struct buf *out, bool value);
void pack_u64(struct buf *out, uint64_t value);
void pack_i64(struct buf *out, int64_t value);
void pack_bytes(struct buf *out, struct slice bytes); /* bin */
void pack_bytes_head(struct buf *out, size_t size);   /* what comes before the bytes */
/* For bytes that are encoded in place: between the two, what is appended. */
size_t pack_bytes_begin(struct buf *out);
void pack_bytes_end(struct buf *out, size_t begun);
void pack_text(struct buf *out, struct slice text); /* str */
void pack_array(struct buf *out, uint32_t count);
void pack_map(struct buf *out, uint32_t count);

#endif
