/* client: requests of those who are no members: the four raw methods of any MessagePack-RPC client
 * and whole requests of the embedding API by Call, from bytes to a request and from its
 * result to bytes.
 *
 * Enters from: core.c. Leaves to: ask.c, and back with the one reply. */
#include "core/ask/ask_priv.h"

#include <stdlib.h>
#include "wire/client.h"

enum { REPLY_VALUES_MAX = 3 << 20 };

/* A request that is under way. */
struct client {
    pool_handle handle;
    struct rpc_origin origin;
    enum wire_method method;
};

/* ---- the reply ---- */

static void reply_call(struct core *core, const struct client *client,
                       const struct toystore_result *result)
{
    struct buf versions = {0}, entries = {0};
    for (size_t i = 0; i < result->version_count; i++) {
        const struct toystore_version *version = &result->versions[i];
        version_item_encode(&versions, &(struct version_item){.op = op_from_public(version->op),
                                                              .kind = version->kind,
                                                              .attributes = version->attributes,
                                                              .value = slice_public(version->value),
                                                              .extra = slice_public(version->extra),
                                                              .time_us = version->time_us,
                                                              .node = version->node,
                                                              .sloppy = version->sloppy});
    }
    for (size_t i = 0; i < result->entry_count; i++) {
        const struct toystore_entry *entry = &result->entries[i];
        entry_item_encode(&entries, &(struct entry_item){.name = slice_public(entry->name),
                                                         .cookie = entry->cookie,
                                                         .kind = entry->kind,
                                                         .op = op_from_public(entry->op),
                                                         .attributes = entry->attributes});
    }
    const char *message = result->message ? result->message : "";
    RPC_REPLY(core, &client->origin, call_reply,
              {.status = result->status,
               .message = slice_str(message),
               .sloppy = result->sloppy,
               .op = op_from_public(result->op),
               .versions = {(uint32_t)result->version_count, buf_slice(&versions)},
               .entries = {(uint32_t)result->entry_count, buf_slice(&entries)},
               .more = result->more});
    buf_free(&versions);
    buf_free(&entries);
}

static bool fits_frame(const struct toystore_result *result)
{
    size_t size = 0;
    for (size_t i = 0; i < result->version_count; i++)
        size += result->versions[i].value.size + result->versions[i].extra.size;
    return size <= REPLY_VALUES_MAX;
}

/* An outcome, or an answer with its quorum; all else is an error. */
static bool is_result(enum wire_method method, enum toystore_status status)
{
    switch (status) {
    case TOYSTORE_OK:
        return true;
    case TOYSTORE_NOT_FOUND:
        return method == METHOD_COORDINATE_GET;
    case TOYSTORE_CONFLICT:
    case TOYSTORE_NOT_APPLIED:
    case TOYSTORE_INDETERMINATE:
        return method == METHOD_COORDINATE_PUT || method == METHOD_COORDINATE_DELETE;
    default:
        return false;
    }
}

static void reply(struct core *core, const struct client *client,
                  const struct toystore_result *result)
{
    bool call = client->method == METHOD_CALL;
    if (call && fits_frame(result)) {
        reply_call(core, client, result);
    } else if (call) {
        rpc_fail(core, &client->origin, TOYSTORE_TOO_LARGE, "the siblings together");
    } else if (is_result(client->method, result->status)) {
        struct buf out = {0};
        client_encode(&out, client->method, result);
        rpc_reply(core, &client->origin, &out);
    } else {
        bool words = result->message && result->message[0];
        rpc_fail(core, &client->origin, result->status,
                 words ? result->message : toystore_status_meaning(result->status));
    }
}

static void done(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct client *client = pool_get(&core->asks->clients, handle);
    reply(core, client, result);
    pool_delete(&core->asks->clients, handle);
}

/* ---- the door ---- */

static bool read_keys(struct arena *arena, const struct wire_list *list,
                      struct toystore_request *request)
{
    struct cursor cursor = cursor_of(list->items);
    if (list->count > SYNC_KEYS_MAX)
        return false;
    struct toystore_bytes *keys = arena_alloc(arena, list->count * sizeof *keys + 1);
    for (uint32_t i = 0; i < list->count; i++) {
        struct slice key;
        if (!wire_get_BYTES(&cursor, &key))
            return false;
        keys[i] = slice_to_public(key);
    }
    request->keys = keys;
    request->key_count = list->count;
    return true;
}

/* NULL: malformed. */
static struct toystore_op *read_ops(struct arena *arena, const struct wire_list *list)
{
    struct cursor cursor = cursor_of(list->items);
    struct toystore_op *ops = arena_alloc(arena, list->count * sizeof *ops + 1);
    for (uint32_t i = 0; i < list->count; i++) {
        struct op_id id;
        if (!wire_get_OPID(&cursor, &id))
            return NULL;
        ops[i] = op_to_public(id);
    }
    return ops;
}

static bool read_match(struct arena *arena, const struct wire_list *list,
                       struct toystore_request *request)
{
    if (list->count > MATCH_MAX)
        return false;
    request->match = read_ops(arena, list);
    request->match_count = list->count;
    return request->match != NULL;
}

static bool read_key_ops(struct arena *arena, const struct wire_list *list,
                         struct toystore_request *request)
{
    if (list->count == 0)
        return true;
    if (list->count != request->key_count)
        return false;
    request->key_ops = read_ops(arena, list);
    return request->key_ops != NULL;
}

/* On the wire 2 stands for "sloppy allowed". */
static int read_strict(uint32_t strict)
{
    return strict == 2 ? -1 : (int)strict;
}

static bool read_call(struct arena *arena, struct slice params, struct toystore_request *request)
{
    struct call_request call;
    if (!call_request_decode(params, &call) || call.type > TOYSTORE_ROOM ||
        call.condition > TOYSTORE_IF_MATCH || call.change > TOYSTORE_TOUCH ||
        call.kind > TOYSTORE_INTERNAL || call.strict > 2)
        return false;
    *request = (struct toystore_request){.type = (enum toystore_request_type)call.type,
                                         .key = slice_to_public(call.key),
                                         .r = call.r,
                                         .after = call.after,
                                         .limit = call.limit,
                                         .op = op_to_public(call.op),
                                         .condition = (enum toystore_condition)call.condition,
                                         .change = (enum toystore_change)call.change,
                                         .kind = (enum toystore_kind)call.kind,
                                         .attributes = call.attributes,
                                         .value = slice_to_public(call.value),
                                         .extra = slice_to_public(call.extra),
                                         .w = call.w,
                                         .durable = call.durable,
                                         .exclusive = call.exclusive,
                                         .strict = read_strict(call.strict),
                                         .deadline_ms = call.deadline_ms,
                                         .retry = call.retry};
    return read_match(arena, &call.match, request) && read_keys(arena, &call.keys, request) &&
           read_key_ops(arena, &call.key_ops, request);
}

void client_handle(struct core *core, const struct rpc_request *request)
{
    char error[160] = "Call";
    struct client_request raw;
    struct arena arena = {0};
    enum toystore_status status = TOYSTORE_INVALID;
    if (request->method != METHOD_CALL) {
        status = client_decode(request->method, request->params, &raw, error, sizeof error);
        raw.request.simple = true;
    } else if (read_call(&arena, request->params, &raw.request)) {
        status = TOYSTORE_OK;
    }
    pool_handle handle;
    struct client *client = status == TOYSTORE_OK ? pool_new(&core->asks->clients, &handle) : NULL;
    if (client) {
        client->handle = handle;
        client->origin = request->origin;
        client->method = request->method;
        ask_any(core, &raw.request, &request->session, done, handle);
    } else if (status == TOYSTORE_OK) {
        rpc_fail(core, &request->origin, TOYSTORE_BUSY, "too many requests");
    } else {
        rpc_fail(core, &request->origin, status, error);
    }
    arena_free(&arena);
}

struct asks *asks_new(void)
{
    struct asks *asks = base_alloc(sizeof *asks);
    ask_puts_init(asks);
    raw_init(asks);
    bury_init(asks);
    pool_init(&asks->clients, sizeof(struct client), CALLS_MAX);
    return asks;
}

void asks_free(struct asks *asks)
{
    if (!asks)
        return;
    ask_puts_free(asks);
    raw_free(asks);
    bury_free(asks);
    pool_free(&asks->clients);
    free(asks);
}
