#include "cli/results.h"

static struct slice bytes_slice(struct toystore_bytes bytes)
{
    return slice_of(bytes.data, bytes.size);
}

static struct toystore_bytes slice_bytes(struct slice slice)
{
    return (struct toystore_bytes){slice.data, slice.size};
}

void remote_request_encode(struct buf *out, const struct toystore_request *request)
{
    struct buf match = {0}, keys = {0}, key_ops = {0};
    for (size_t i = 0; i < request->match_count; i++)
        wire_put_OPID(&match, op_from_public(request->match[i]));
    for (size_t i = 0; i < request->key_count; i++)
        wire_put_BYTES(&keys, bytes_slice(request->keys[i]));
    size_t op_count = request->key_ops ? request->key_count : 0;
    for (size_t i = 0; i < op_count; i++)
        wire_put_OPID(&key_ops, op_from_public(request->key_ops[i]));
    call_request_encode(out, &(struct call_request){
                                 .type = (uint32_t)request->type,
                                 .key = bytes_slice(request->key),
                                 .r = request->r,
                                 .after = request->after,
                                 .limit = request->limit,
                                 .op = op_from_public(request->op),
                                 .condition = (uint32_t)request->condition,
                                 .match = {(uint32_t)request->match_count, buf_slice(&match)},
                                 .change = (uint32_t)request->change,
                                 .kind = (uint32_t)request->kind,
                                 .attributes = request->attributes,
                                 .value = bytes_slice(request->value),
                                 .extra = bytes_slice(request->extra),
                                 .w = request->w,
                                 .durable = request->durable,
                                 .exclusive = request->exclusive,
                                 .keys = {(uint32_t)request->key_count, buf_slice(&keys)},
                                 .strict = request->strict > 0   ? 1
                                           : request->strict < 0 ? 2
                                                                 : 0,
                                 .deadline_ms = request->deadline_ms,
                                 .retry = request->retry,
                                 .key_ops = {(uint32_t)op_count, buf_slice(&key_ops)},
                             });
    buf_free(&match);
    buf_free(&keys);
    buf_free(&key_ops);
}

/* An item takes more bytes than this: a count alone makes nobody allocate. */
enum { ITEM_SIZE_MIN = 32 };

static bool fits(const struct wire_list *list)
{
    return list->count <= list->items.size / ITEM_SIZE_MIN;
}

static bool read_versions(struct remote_result *ret, const struct wire_list *list)
{
    struct cursor cursor = cursor_of(list->items);
    if (!fits(list))
        return false;
    struct toystore_version *versions =
        arena_alloc(&ret->arena, list->count * sizeof(struct toystore_version));
    for (uint32_t i = 0; i < list->count; i++) {
        struct version_item item;
        if (!version_item_read(&cursor, &item))
            return false;
        versions[i] = (struct toystore_version){.op = op_to_public(item.op),
                                                .kind = (enum toystore_kind)item.kind,
                                                .attributes = item.attributes,
                                                .value = slice_bytes(item.value),
                                                .extra = slice_bytes(item.extra),
                                                .time_us = item.time_us,
                                                .node = item.node,
                                                .sloppy = item.sloppy};
    }
    ret->result.versions = versions;
    ret->result.version_count = list->count;
    return true;
}

static bool read_entries(struct remote_result *ret, const struct wire_list *list)
{
    struct cursor cursor = cursor_of(list->items);
    if (!fits(list))
        return false;
    struct toystore_entry *entries =
        arena_alloc(&ret->arena, list->count * sizeof(struct toystore_entry));
    for (uint32_t i = 0; i < list->count; i++) {
        struct entry_item item;
        if (!entry_item_read(&cursor, &item))
            return false;
        entries[i] = (struct toystore_entry){.name = slice_bytes(item.name),
                                             .cookie = item.cookie,
                                             .kind = (enum toystore_kind)item.kind,
                                             .op = op_to_public(item.op),
                                             .attributes = item.attributes};
    }
    ret->result.entries = entries;
    ret->result.entry_count = list->count;
    return true;
}

static const char *arena_text(struct arena *arena, struct slice text)
{
    char *copy = arena_alloc(arena, text.size + 1);
    if (text.size != 0)
        memcpy(copy, text.data, text.size);
    return copy;
}

void remote_result_decode(const struct frame *frame, struct remote_result *ret)
{
    struct call_reply reply;
    *ret = (struct remote_result){0};
    if (frame->failed) {
        ret->result.status = frame->error_status;
        ret->result.message = arena_text(&ret->arena, frame->error_message);
        return;
    }
    if (call_reply_decode(frame->result, &reply) && read_versions(ret, &reply.versions) &&
        read_entries(ret, &reply.entries)) {
        ret->result.status = (enum toystore_status)reply.status;
        ret->result.message = arena_text(&ret->arena, reply.message);
        ret->result.sloppy = reply.sloppy;
        ret->result.op = op_to_public(reply.op);
        ret->result.more = reply.more;
        return;
    }
    remote_result_free(ret);
    ret->result = (struct toystore_result){.status = TOYSTORE_INVALID,
                                           .message = "the node's answer is malformed"};
}

void remote_result_free(struct remote_result *result)
{
    arena_free(&result->arena);
}

static enum toystore_status status_of_word(struct slice word)
{
#define STATUS(name, number, text, meaning)                                                        \
    if (slice_equal(word, slice_str(text)))                                                        \
        return TOYSTORE_##name;
#include <toystore/status.def>
#undef STATUS
    return TOYSTORE_INVALID;
}

enum toystore_status remote_outcome(struct slice result, bool *ret_sloppy)
{
    enum toystore_status status = TOYSTORE_INVALID;
    struct cursor cursor = cursor_of(result);
    uint32_t pairs;
    struct slice name, word;
    bool good = cursor_map(&cursor, &pairs);
    *ret_sloppy = false;
    for (uint32_t i = 0; good && i < pairs && cursor_bytes(&cursor, &name); i++) {
        if (slice_equal(name, slice_str("sloppy"))) {
            good = cursor_bool(&cursor, ret_sloppy);
        } else if (slice_equal(name, slice_str("outcome"))) {
            good = cursor_bytes(&cursor, &word);
            status = good ? status_of_word(word) : TOYSTORE_INVALID;
        } else {
            good = cursor_skip(&cursor, NULL);
        }
    }
    return good ? status : TOYSTORE_INVALID;
}
