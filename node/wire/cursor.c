/* Bounded reading of MessagePack. */
#include "wire/cursor.h"

#include "wire/head.h"

static size_t cursor_left(const struct cursor *cursor)
{
    return (size_t)(cursor->end - cursor->at);
}

static bool cursor_fail(struct cursor *cursor)
{
    cursor->bad = true;
    return false;
}

/* The head of the next value; its body lies inside the bytes, and there is a byte for each of its
 * children. Does not advance. */
static bool cursor_head(const struct cursor *cursor, struct head *ret)
{
    if (cursor->bad || head_parse(slice_of(cursor->at, cursor_left(cursor)), ret) != HEAD_OK)
        return false;
    size_t after = cursor_left(cursor) - ret->size;
    if (ret->body > after || ret->children > after)
        return false;
    return ret->minimal || !cursor->canonical;
}

/* The same for a value of this type, and advances over the head. */
static bool cursor_take(struct cursor *cursor, enum cursor_type type, struct head *ret)
{
    if (!cursor_head(cursor, ret) || ret->type != type)
        return cursor_fail(cursor);
    cursor->at += ret->size;
    return true;
}

enum cursor_type cursor_peek(const struct cursor *cursor)
{
    struct head head;
    return cursor_head(cursor, &head) ? head.type : CURSOR_END;
}

bool cursor_nil(struct cursor *cursor)
{
    struct head head;
    return cursor_take(cursor, CURSOR_NIL, &head);
}

bool cursor_bool(struct cursor *cursor, bool *ret)
{
    struct head head;
    if (!cursor_take(cursor, CURSOR_BOOL, &head))
        return false;
    *ret = head.number != 0;
    return true;
}

bool cursor_u64(struct cursor *cursor, uint64_t *ret)
{
    struct head head;
    if (!cursor->bad && cursor->at < cursor->end && *cursor->at <= 0x7f) {
        *ret = *cursor->at++; /* most numbers of records are small */
        return true;
    }
    if (!cursor_take(cursor, CURSOR_UINT, &head))
        return false;
    *ret = head.number;
    return true;
}

bool cursor_i64(struct cursor *cursor, int64_t *ret)
{
    struct head head;
    if (!cursor_head(cursor, &head))
        return cursor_fail(cursor);
    bool fits = head.type == CURSOR_INT || (head.type == CURSOR_UINT && head.number <= INT64_MAX);
    if (!fits)
        return cursor_fail(cursor);
    cursor->at += head.size;
    *ret = (int64_t)head.number;
    return true;
}

bool cursor_bytes(struct cursor *cursor, struct slice *ret)
{
    struct head head;
    bool text = !cursor->canonical && cursor_peek(cursor) == CURSOR_STR;
    if (!cursor_take(cursor, text ? CURSOR_STR : CURSOR_BIN, &head))
        return false;
    *ret = slice_of(cursor->at, (size_t)head.body);
    cursor->at += head.body;
    return true;
}

bool cursor_array(struct cursor *cursor, uint32_t *ret_count)
{
    struct head head;
    if (!cursor->bad && cursor->at < cursor->end && (*cursor->at & 0xf0) == 0x90 &&
        (*cursor->at & 0x0fu) < cursor_left(cursor)) {
        *ret_count = *cursor->at++ & 0x0f; /* most arrays are structs of a few fields */
        return true;
    }
    if (!cursor_take(cursor, CURSOR_ARRAY, &head))
        return false;
    *ret_count = (uint32_t)head.children;
    return true;
}

bool cursor_map(struct cursor *cursor, uint32_t *ret_count)
{
    struct head head;
    if (!cursor_take(cursor, CURSOR_MAP, &head))
        return false;
    *ret_count = (uint32_t)(head.children / 2);
    return true;
}

bool cursor_skip(struct cursor *cursor, struct slice *ret)
{
    const uint8_t *begin = cursor->at;
    uint64_t left[WIRE_DEPTH_MAX + 1] = {1}; /* values still to pass, per level */
    size_t depth = 0;
    for (;;) {
        while (left[depth] == 0) {
            if (depth-- == 0) {
                if (ret)
                    *ret = slice_of(begin, (size_t)(cursor->at - begin));
                return true;
            }
        }
        left[depth]--;
        struct head head;
        if (!cursor_head(cursor, &head))
            return cursor_fail(cursor);
        cursor->at += head.size + head.body;
        if (head.children == 0)
            continue;
        if (depth == WIRE_DEPTH_MAX)
            return cursor_fail(cursor);
        left[++depth] = head.children;
    }
}
