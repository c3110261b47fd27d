/* The types of fields that messages.def names, as MessagePack. A struct is an array: a longer one
 * is from a newer version and its tail is skipped, a shorter one is refused. */
#include "wire/messages.h"

#include "wire/pack.h"
#include "wire/values.h"

bool wire_fail(struct cursor *cursor)
{
    cursor->bad = true;
    return false;
}

bool wire_array_begin(struct cursor *cursor, uint32_t known, uint32_t *ret_tail)
{
    uint32_t count;
    if (!cursor_array(cursor, &count))
        return false;
    if (count < known || (cursor->canonical && count > known))
        return wire_fail(cursor);
    *ret_tail = count - known;
    return true;
}

bool wire_array_end(struct cursor *cursor, uint32_t tail)
{
    while (tail-- > 0) {
        if (!cursor_skip(cursor, NULL))
            return false;
    }
    return true;
}

void wire_put_U32(struct buf *out, uint32_t value)
{
    pack_u64(out, value);
}

bool wire_get_U32(struct cursor *cursor, uint32_t *ret)
{
    uint64_t value;
    if (!cursor_u64(cursor, &value))
        return false;
    if (value > UINT32_MAX)
        return wire_fail(cursor);
    *ret = (uint32_t)value;
    return true;
}

void wire_put_U64(struct buf *out, uint64_t value)
{
    pack_u64(out, value);
}

bool wire_get_U64(struct cursor *cursor, uint64_t *ret)
{
    return cursor_u64(cursor, ret);
}

void wire_put_BOOL(struct buf *out, bool value)
{
    pack_bool(out, value);
}

bool wire_get_BOOL(struct cursor *cursor, bool *ret)
{
    return cursor_bool(cursor, ret);
}

void wire_put_NODE(struct buf *out, node_id value)
{
    pack_u64(out, value);
}

bool wire_get_NODE(struct cursor *cursor, node_id *ret)
{
    return cursor_u64(cursor, ret);
}

void wire_put_BYTES(struct buf *out, struct slice value)
{
    pack_bytes(out, value);
}

bool wire_get_BYTES(struct cursor *cursor, struct slice *ret)
{
    return cursor_bytes(cursor, ret);
}

static bool get_exactly(struct cursor *cursor, uint8_t *to, size_t size)
{
    struct slice bytes;
    if (!cursor_bytes(cursor, &bytes))
        return false;
    if (bytes.size != size)
        return wire_fail(cursor);
    memcpy(to, bytes.data, size);
    return true;
}

void wire_put_SESSION(struct buf *out, struct session value)
{
    pack_bytes(out, slice_of(value.bytes, SESSION_SIZE));
}

bool wire_get_SESSION(struct cursor *cursor, struct session *ret)
{
    return get_exactly(cursor, ret->bytes, SESSION_SIZE);
}

void wire_put_HASH(struct buf *out, struct hash128 value)
{
    pack_bytes(out, slice_of(value.bytes, sizeof value.bytes));
}

bool wire_get_HASH(struct cursor *cursor, struct hash128 *ret)
{
    return get_exactly(cursor, ret->bytes, sizeof ret->bytes);
}

void wire_put_OPID(struct buf *out, struct op_id value)
{
    pack_array(out, 2);
    wire_put_SESSION(out, value.session);
    pack_u64(out, value.sequence);
}

bool wire_get_OPID(struct cursor *cursor, struct op_id *ret)
{
    uint32_t tail;
    return wire_array_begin(cursor, 2, &tail) && wire_get_SESSION(cursor, &ret->session) &&
           cursor_u64(cursor, &ret->sequence) && wire_array_end(cursor, tail);
}

void wire_put_ERA(struct buf *out, struct era value)
{
    pack_array(out, 2);
    pack_u64(out, value.layout);
    pack_u64(out, value.epoch);
}

bool wire_get_ERA(struct cursor *cursor, struct era *ret)
{
    uint32_t tail;
    return wire_array_begin(cursor, 2, &tail) && wire_get_U32(cursor, &ret->layout) &&
           wire_get_U32(cursor, &ret->epoch) && wire_array_end(cursor, tail);
}

void wire_put_OP(struct buf *out, struct op value)
{
    pack_array(out, 4);
    wire_put_SESSION(out, value.id.session);
    pack_u64(out, value.id.sequence);
    pack_u64(out, value.time_us);
    wire_put_ERA(out, value.era);
}

bool wire_get_OP(struct cursor *cursor, struct op *ret)
{
    uint32_t tail;
    return wire_array_begin(cursor, 4, &tail) && wire_get_SESSION(cursor, &ret->id.session) &&
           cursor_u64(cursor, &ret->id.sequence) && cursor_u64(cursor, &ret->time_us) &&
           wire_get_ERA(cursor, &ret->era) && wire_array_end(cursor, tail);
}

void wire_put_VIEW(struct buf *out, struct view value)
{
    pack_array(out, 4);
    pack_u64(out, value.oldest);
    pack_u64(out, value.newest);
    pack_u64(out, value.epoch);
    wire_put_ERA(out, value.collected);
}

bool wire_get_VIEW(struct cursor *cursor, struct view *ret)
{
    uint32_t tail;
    return wire_array_begin(cursor, 4, &tail) && wire_get_U32(cursor, &ret->oldest) &&
           wire_get_U32(cursor, &ret->newest) && wire_get_U32(cursor, &ret->epoch) &&
           wire_get_ERA(cursor, &ret->collected) && wire_array_end(cursor, tail);
}

void wire_put_BALLOT(struct buf *out, struct ballot value)
{
    pack_array(out, 4);
    wire_put_ERA(out, value.era);
    pack_u64(out, value.counter);
    pack_u64(out, value.node);
    pack_u64(out, value.turn);
}

bool wire_get_BALLOT(struct cursor *cursor, struct ballot *ret)
{
    uint32_t tail;
    return wire_array_begin(cursor, 4, &tail) && wire_get_ERA(cursor, &ret->era) &&
           cursor_u64(cursor, &ret->counter) && cursor_u64(cursor, &ret->node) &&
           cursor_u64(cursor, &ret->turn) && wire_array_end(cursor, tail);
}

void wire_put_ATTRIBUTES(struct buf *out, struct toystore_attributes value)
{
    pack_array(out, 10);
    pack_u64(out, value.mode);
    pack_u64(out, value.uid);
    pack_u64(out, value.gid);
    pack_u64(out, value.flags);
    pack_u64(out, value.size);
    pack_u64(out, value.rdev);
    pack_i64(out, value.atime_ns);
    pack_i64(out, value.mtime_ns);
    pack_i64(out, value.ctime_ns);
    wire_put_OPID(out, op_from_public(value.file));
}

bool wire_get_ATTRIBUTES(struct cursor *cursor, struct toystore_attributes *ret)
{
    uint32_t tail;
    struct op_id file;
    bool whole = wire_array_begin(cursor, 10, &tail) && wire_get_U32(cursor, &ret->mode) &&
                 wire_get_U32(cursor, &ret->uid) && wire_get_U32(cursor, &ret->gid) &&
                 wire_get_U32(cursor, &ret->flags) && cursor_u64(cursor, &ret->size) &&
                 cursor_u64(cursor, &ret->rdev) && cursor_i64(cursor, &ret->atime_ns) &&
                 cursor_i64(cursor, &ret->mtime_ns) && cursor_i64(cursor, &ret->ctime_ns) &&
                 wire_get_OPID(cursor, &file) && wire_array_end(cursor, tail);
    if (whole)
        ret->file = op_to_public(file);
    return whole;
}

void wire_put_LIST(struct buf *out, struct wire_list value)
{
    pack_array(out, value.count);
    buf_append(out, value.items.data, value.items.size);
}

bool wire_get_LIST(struct cursor *cursor, struct wire_list *ret)
{
    uint32_t count;
    if (!cursor_array(cursor, &count))
        return false;
    const uint8_t *begin = cursor->at;
    for (uint32_t i = 0; i < count; i++) {
        if (!cursor_skip(cursor, NULL))
            return false;
    }
    ret->count = count;
    ret->items = slice_of(begin, (size_t)(cursor->at - begin));
    return true;
}
