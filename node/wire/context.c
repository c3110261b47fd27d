/* Contexts: a byte of format, then 20 bytes an op: session and sequence, most significant first. */
#include "wire/context.h"

#include "wire/pack.h"

enum { CONTEXT_FORMAT = 1, CONTEXT_OP_SIZE = 20 };

void context_put(struct buf *out, const struct toystore_op *ops, size_t count)
{
    struct buf bytes = {0};
    uint8_t format = CONTEXT_FORMAT;
    if (count > 0)
        buf_append(&bytes, &format, 1);
    for (size_t i = 0; i < count; i++) {
        uint8_t sequence[8];
        for (size_t j = 0; j < sizeof sequence; j++)
            sequence[j] = (uint8_t)(ops[i].sequence >> (56 - 8 * j));
        buf_append(&bytes, ops[i].session, sizeof ops[i].session);
        buf_append(&bytes, sequence, sizeof sequence);
    }
    pack_bytes(out, buf_slice(&bytes));
    buf_free(&bytes);
}

bool context_get(struct slice context, struct toystore_op *ops, size_t max, size_t *ret_count)
{
    *ret_count = 0;
    if (context.size == 0)
        return true;
    size_t count = (context.size - 1) / CONTEXT_OP_SIZE;
    if (context.data[0] != CONTEXT_FORMAT || count == 0 || count > max ||
        context.size != 1 + count * CONTEXT_OP_SIZE)
        return false;
    const uint8_t *at = context.data + 1;
    for (size_t i = 0; i < count; i++, at += CONTEXT_OP_SIZE) {
        memcpy(ops[i].session, at, sizeof ops[i].session);
        ops[i].sequence = 0;
        for (size_t j = 0; j < 8; j++)
            ops[i].sequence = ops[i].sequence << 8 | at[sizeof ops[i].session + j];
    }
    *ret_count = count;
    return true;
}
