/* cursor: bounded reading of MessagePack. Every read compares before it advances; after the first
 * malformed byte the cursor is bad and every further read fails. Nothing is allocated. */
#ifndef TOYSTORE_WIRE_CURSOR_H
#define TOYSTORE_WIRE_CURSOR_H

#include "base/base.h"

enum { WIRE_DEPTH_MAX = 16 };

struct cursor {
    const uint8_t *at, *end;
    bool bad;
    bool canonical; /* refuse what has a shorter form, and str where bytes stand */
};

static inline struct cursor cursor_of(struct slice bytes)
{
    return (struct cursor){bytes.data, bytes.data + bytes.size, false, false};
}

enum cursor_type {
    CURSOR_END, /* no bytes left, or the next value is malformed or not whole */
    CURSOR_NIL,
    CURSOR_BOOL,
    CURSOR_UINT,
    CURSOR_INT, /* negative */
    CURSOR_FLOAT,
    CURSOR_STR,
    CURSOR_BIN,
    CURSOR_ARRAY,
    CURSOR_MAP,
    CURSOR_EXT
};

enum cursor_type cursor_peek(const struct cursor *cursor);
bool cursor_nil(struct cursor *cursor);
bool cursor_bool(struct cursor *cursor, bool *ret);
bool cursor_u64(struct cursor *cursor, uint64_t *ret);
bool cursor_i64(struct cursor *cursor, int64_t *ret);
bool cursor_bytes(struct cursor *cursor, struct slice *ret); /* str or bin */
/* The count is checked against the bytes that are left: an element is at least one byte. */
bool cursor_array(struct cursor *cursor, uint32_t *ret_count);
bool cursor_map(struct cursor *cursor, uint32_t *ret_count);
/* Passes one whole value, nested at most WIRE_DEPTH_MAX deep; *ret (may be NULL) its bytes. */
bool cursor_skip(struct cursor *cursor, struct slice *ret);

#endif
