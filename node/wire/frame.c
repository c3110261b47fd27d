/* MessagePack-RPC: where frames end, what they say, how they begin. */
#include "wire/frame.h"

#include "wire/head.h"
#include "wire/pack.h"

/* A frame is an array of 3 or 4; garbage is told from it by its first byte. */
static bool frame_begins(const struct head *head)
{
    return head->type == CURSOR_ARRAY && (head->children == 3 || head->children == 4);
}

/* One value further. >0: it was understood; 0: more bytes are needed; else what frame_scan says. */
static int scan_value(struct frame_scanner *scanner, struct slice bytes)
{
    struct slice rest = slice_of(bytes.data + scanner->scanned, bytes.size - scanner->scanned);
    struct head head;
    enum head_result result = head_parse(rest, &head);
    if (result == HEAD_SHORT)
        return scanner->scanned + rest.size < FRAME_SIZE_MAX ? 0 : -EMSGSIZE;
    if (result == HEAD_BAD || (scanner->depth == 0 && !frame_begins(&head)))
        return -EBADMSG;
    if (scanner->scanned + head.size + head.body + head.children > FRAME_SIZE_MAX)
        return -EMSGSIZE;
    if (head.size + head.body > rest.size) {
        scanner->least = scanner->scanned + head.size + (size_t)head.body;
        return 0;
    }
    if (head.children > 0 && scanner->depth == WIRE_DEPTH_MAX)
        return -EBADMSG;
    scanner->scanned += head.size + (size_t)head.body;
    if (scanner->depth > 0)
        scanner->left[scanner->depth]--;
    if (head.children > 0)
        scanner->left[++scanner->depth] = head.children;
    while (scanner->depth > 0 && scanner->left[scanner->depth] == 0)
        scanner->depth--;
    return 1;
}

ssize_t frame_scan(struct frame_scanner *scanner, struct slice bytes)
{
    assert(bytes.size >= scanner->scanned);
    do {
        int went = scan_value(scanner, bytes);
        if (went <= 0)
            return went;
    } while (scanner->depth > 0);
    ssize_t size = (ssize_t)scanner->scanned;
    *scanner = (struct frame_scanner){0};
    return size;
}

static enum toystore_status status_find(struct slice word)
{
#define STATUS(name, number, text, meaning)                                                        \
    if (slice_equal(word, slice_str(text)))                                                        \
        return TOYSTORE_##name;
#include <toystore/status.def>
#undef STATUS
    return TOYSTORE_INVALID;
}

/* Errors of other speakers of MessagePack-RPC may be any value: then INVALID, with its text. */
static bool decode_error(struct cursor *cursor, struct frame *ret)
{
    enum cursor_type type = cursor_peek(cursor);
    ret->failed = type != CURSOR_NIL;
    if (!ret->failed)
        return cursor_nil(cursor);
    ret->error_status = TOYSTORE_INVALID;
    if (type == CURSOR_STR || type == CURSOR_BIN)
        return cursor_bytes(cursor, &ret->error_message);
    uint32_t count;
    if (type != CURSOR_MAP)
        return cursor_skip(cursor, NULL);
    if (!cursor_map(cursor, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct slice name, text;
        if (!cursor_bytes(cursor, &name))
            return false;
        if (slice_equal(name, slice_str("status"))) {
            if (!cursor_bytes(cursor, &text))
                return false;
            ret->error_status = status_find(text);
        } else if (slice_equal(name, slice_str("message"))) {
            if (!cursor_bytes(cursor, &ret->error_message))
                return false;
        } else if (!cursor_skip(cursor, NULL)) {
            return false;
        }
    }
    return true;
}

static bool decode_call(struct cursor *cursor, struct frame *ret)
{
    if (!cursor_bytes(cursor, &ret->method_name) || !cursor_skip(cursor, &ret->params))
        return false;
    ret->method = wire_method_find(ret->method_name);
    return true;
}

bool frame_decode(struct slice bytes, struct frame *ret)
{
    *ret = (struct frame){.error_status = TOYSTORE_OK};
    struct cursor cursor = cursor_of(bytes);
    uint32_t count;
    uint64_t type, id = 0;
    if (!cursor_array(&cursor, &count) || !cursor_u64(&cursor, &type) || type > FRAME_NOTIFY ||
        count != (type == FRAME_NOTIFY ? 3 : 4))
        return false;
    ret->type = (enum frame_type)type;
    if (type != FRAME_NOTIFY && (!cursor_u64(&cursor, &id) || id > UINT32_MAX))
        return false;
    ret->id = (uint32_t)id;
    bool whole = type == FRAME_ANSWER
                     ? decode_error(&cursor, ret) && cursor_skip(&cursor, &ret->result)
                     : decode_call(&cursor, ret);
    return whole && cursor.at == cursor.end;
}

void frame_request_head(struct buf *out, uint32_t id, enum wire_method method)
{
    pack_array(out, 4);
    pack_u64(out, FRAME_REQUEST);
    pack_u64(out, id);
    pack_text(out, slice_str(wire_method_name(method)));
}

void frame_answer_head(struct buf *out, uint32_t id)
{
    pack_array(out, 4);
    pack_u64(out, FRAME_ANSWER);
    pack_u64(out, id);
    pack_nil(out);
}

void frame_notify_head(struct buf *out, enum wire_method method)
{
    pack_array(out, 3);
    pack_u64(out, FRAME_NOTIFY);
    pack_text(out, slice_str(wire_method_name(method)));
}

void frame_error(struct buf *out, uint32_t id, enum toystore_status status, const char *message)
{
    pack_array(out, 4);
    pack_u64(out, FRAME_ANSWER);
    pack_u64(out, id);
    pack_map(out, 2);
    pack_text(out, slice_str("status"));
    pack_text(out, slice_str(toystore_status_word(status)));
    pack_text(out, slice_str("message"));
    pack_text(out, slice_str(message));
    pack_nil(out);
}
