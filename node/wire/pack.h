/* pack: MessagePack out, by msgpack-c, which no other room sees. */
#ifndef TOYSTORE_WIRE_PACK_H
#define TOYSTORE_WIRE_PACK_H

#include "base/buf.h"

void pack_nil(struct buf *out);
void pack_bool(struct buf *out, bool value);
void pack_u64(struct buf *out, uint64_t value);
void pack_i64(struct buf *out, int64_t value);
void pack_bytes(struct buf *out, struct slice bytes); /* bin */
void pack_text(struct buf *out, struct slice text);   /* str */
void pack_array(struct buf *out, uint32_t count);
void pack_map(struct buf *out, uint32_t count);

#endif
