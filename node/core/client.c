/* client: requests of those who are no members: the four raw methods of any MessagePack-RPC client
 * and whole requests of the embedding API by Call (DESIGN 7).
 *
 * Enters from: core_dispatch. Leaves to: ask.c, and back with the one reply. */
#include "core/client_priv.h"

#include <stdio.h>

enum { DELETE_TRIES_MAX = 16, REPLY_VALUES_MAX = 3 << 20 };

#define STATE(name) CLIENT_##name
#define TO(name)    (1u << CLIENT_##name)
#define REPLIED     (TO(BEHIND) | TO(DONE))

static void client_do(struct core *core, struct operation *operation);
static void client_look(struct core *core, struct operation *operation);
static void client_end(struct core *core, struct operation *operation);

#define CLIENT_STATES(S)                                                                           \
    S(NEW, NULL, TO(PARENT) | TO(LOOK) | TO(DO) | TO(DONE))                                        \
    S(PARENT, client_parent, TO(PARENT) | TO(MAKE) | TO(DO) | REPLIED)                             \
    S(MAKE, client_make, TO(PARENT) | TO(MAKE) | TO(DO) | REPLIED)                                 \
    S(LOOK, client_look, TO(DO) | REPLIED)                                                         \
    S(DO, client_do, TO(LOOK) | REPLIED)                                                           \
    S(BEHIND, client_behind, TO(REVIVE) | TO(DONE))                                                \
    S(REVIVE, client_revive, TO(DONE))                                                             \
    S(DONE, client_end, 0)

OPERATION_TABLE(client_table, "client", CLIENT_STATES)

struct client *client_find(struct core *core, uint64_t handle)
{
    return pool_get(&core->coord->clients, handle);
}

void client_move(struct core *core, struct client *client, unsigned state)
{
    operation_move(core, &client->op, state);
}

static void client_release(struct client *client)
{
    blob_unref(&client->frame);
    arena_free(&client->arena);
}

static void client_end(struct core *core, struct operation *operation)
{
    struct client *client = client_of(operation);
    assert(client->op.answered);
    client_release(client);
    pool_delete(&core->coord->clients, client->op.handle);
}

/* ---- the reply ---- */

void client_fail(struct core *core, struct client *client, enum toystore_status status,
                 const char *message)
{
    operation_answer(core, &client->op, toystore_status_word(status));
    rpc_fail(core, &client->origin, status, message);
    client_move(core, client, CLIENT_DONE);
}

static void reply_call(struct core *core, struct client *client,
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

void client_reply(struct core *core, struct client *client, const struct toystore_result *result)
{
    if (client->method == METHOD_CALL && !fits_frame(result)) {
        client_fail(core, client, TOYSTORE_TOO_LARGE, "the siblings together");
        return;
    }
    if (client->method != METHOD_CALL && !is_result(client->method, result->status)) {
        client_fail(core, client, result->status,
                    result->message && result->message[0]
                        ? result->message
                        : toystore_status_meaning(result->status));
        return;
    }
    operation_answer(core, &client->op, toystore_status_word(result->status));
    if (client->method == METHOD_CALL) {
        reply_call(core, client, result);
    } else {
        struct buf out = {0};
        client_encode(&out, client->method, result);
        rpc_reply(core, &client->origin, &out);
    }
    client->created = result->created && client->method == METHOD_COORDINATE_PUT;
    client_move(core, client, client->created ? CLIENT_BEHIND : CLIENT_DONE);
}

/* ---- what a raw client is shown ---- */

static void reply_too_large(struct core *core, struct client *client, uint64_t size)
{
    char message[80];
    snprintf(message, sizeof message, "the file has %llu bytes", (unsigned long long)size);
    client_fail(core, client, TOYSTORE_TOO_LARGE, message);
}

static void got(struct core *core, struct client *client, const struct toystore_result *result)
{
    const struct toystore_version *shown =
        result->status == TOYSTORE_OK ? &result->versions[0] : NULL;
    if (shown && shown->kind == TOYSTORE_DIRECTORY)
        client_fail(core, client, TOYSTORE_IS_DIRECTORY, "the key is a directory");
    else if (shown && shown->kind == TOYSTORE_REFERENCE)
        reply_too_large(core, client, shown->attributes.size);
    else
        client_reply(core, client, result);
}

/* Deletes what was looked at and nothing else: a directory may have come meanwhile. */
static void deleted(struct core *core, struct client *client, const struct toystore_result *result)
{
    bool unconditional = client->own.request.match == client->match;
    if (result->status == TOYSTORE_CONFLICT && unconditional && ++client->tries < DELETE_TRIES_MAX)
        client_move(core, client, CLIENT_LOOK);
    else
        client_reply(core, client, result);
}

static void done(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct client *client = client_find(core, handle);
    if (client->method == METHOD_COORDINATE_GET)
        got(core, client, result);
    else if (client->method == METHOD_COORDINATE_DELETE)
        deleted(core, client, result);
    else if (client->method == METHOD_COORDINATE_LIST && result->status == TOYSTORE_OK &&
             result->entry_count == 0 && client->own.request.key.size > 0)
        client_move(core, client, CLIENT_LOOK);
    else
        client_reply(core, client, result);
}

static void client_do(struct core *core, struct operation *operation)
{
    struct client *client = client_of(operation);
    ask(core, &client->own.request, &client->session, done, client->op.handle);
}

/* ---- looking first ---- */

static void list_looked(struct core *core, struct client *client,
                        const struct toystore_result *result)
{
    struct toystore_result nothing = {.message = ""};
    if (result->status != TOYSTORE_OK)
        client_fail(core, client, result->status, toystore_status_meaning(result->status));
    else if (result->versions[0].kind != TOYSTORE_DIRECTORY)
        client_fail(core, client, TOYSTORE_NOT_DIRECTORY, "the key is not a directory");
    else
        client_reply(core, client, &nothing);
}

static void looked(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct client *client = client_find(core, handle);
    struct toystore_request *request = &client->own.request;
    if (client->method == METHOD_COORDINATE_LIST) {
        list_looked(core, client, result);
        return;
    }
    if (result->status != TOYSTORE_OK) {
        client_fail(core, client, result->status, toystore_status_meaning(result->status));
        return;
    }
    if (result->versions[0].kind == TOYSTORE_DIRECTORY) {
        client_fail(core, client, TOYSTORE_IS_DIRECTORY, "the key is a directory");
        return;
    }
    if (request->condition == TOYSTORE_ALWAYS || request->match == client->match) {
        request->condition = TOYSTORE_IF_MATCH;
        request->match = client->match;
        request->match_count = min_size(result->version_count, ARRAY_COUNT(client->match));
        for (size_t i = 0; i < request->match_count; i++)
            client->match[i] = result->versions[i].op;
    }
    client_move(core, client, CLIENT_DO);
}

static void client_look(struct core *core, struct operation *operation)
{
    struct client *client = client_of(operation);
    struct toystore_request look = {.type = TOYSTORE_GET,
                                    .key = client->own.request.key,
                                    .deadline_ms =
                                        until_ms(core, client->deadline_us, GET_DEADLINE_MS)};
    ask(core, &look, &client->session, looked, client->op.handle);
}

/* ---- the doors ---- */

static bool read_keys(struct client *client, const struct wire_list *list,
                      struct toystore_request *request)
{
    struct cursor cursor = cursor_of(list->items);
    struct toystore_bytes *keys = arena_alloc(&client->arena, list->count * sizeof *keys + 1);
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

static bool read_match(struct client *client, const struct wire_list *list,
                       struct toystore_request *request)
{
    struct cursor cursor = cursor_of(list->items);
    if (list->count > MATCH_MAX)
        return false;
    struct toystore_op *match = arena_alloc(&client->arena, list->count * sizeof *match + 1);
    for (uint32_t i = 0; i < list->count; i++) {
        struct op_id id;
        if (!wire_get_OPID(&cursor, &id))
            return false;
        match[i] = op_to_public(id);
    }
    request->match = match;
    request->match_count = list->count;
    return true;
}

static bool read_call(struct client *client, struct slice params)
{
    struct call_request call;
    struct toystore_request *request = &client->own.request;
    if (!call_request_decode(params, &call) || call.type > TOYSTORE_SYNC ||
        call.condition > TOYSTORE_IF_MATCH || call.change > TOYSTORE_TOUCH ||
        call.kind > TOYSTORE_INTERNAL)
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
                                         .strict = (int)(int32_t)call.strict,
                                         .deadline_ms = call.deadline_ms};
    return read_match(client, &call.match, request) && read_keys(client, &call.keys, request);
}

static void begin_raw(struct core *core, struct client *client, struct slice params)
{
    char error[160] = "";
    enum toystore_status status =
        client_decode(client->method, params, &client->own, error, sizeof error);
    struct toystore_request *request = &client->own.request;
    struct slice key = slice_public(request->key);
    if (status == TOYSTORE_OK)
        status = key_check(key, error, sizeof error);
    if (status == TOYSTORE_OK && key_is_reserved(key)) {
        status = TOYSTORE_RESERVED;
        snprintf(error, sizeof error, "keys below " KEY_RESERVED "/ are internal");
    }
    if (status == TOYSTORE_OK && key.size == 0 && client->method != METHOD_COORDINATE_LIST) {
        status = TOYSTORE_IS_DIRECTORY;
        snprintf(error, sizeof error, "the empty key is the root directory");
    }
    client->deadline_us = core->now_us + 1000ull * PUT_DEADLINE_MS;
    if (status != TOYSTORE_OK)
        client_fail(core, client, status, error);
    else if (client->method == METHOD_COORDINATE_PUT)
        client_put_begin(core, client);
    else
        client_move(core, client,
                    client->method == METHOD_COORDINATE_DELETE ? CLIENT_LOOK : CLIENT_DO);
}

void client_handle(struct core *core, const struct rpc_request *request)
{
    pool_handle handle;
    struct client *client = pool_new(&core->coord->clients, &handle);
    if (!client) {
        rpc_fail(core, &request->origin, TOYSTORE_BUSY, "too many requests");
        return;
    }
    client->op = (struct operation){.table = &client_table, .handle = handle};
    client->origin = request->origin;
    client->method = request->method;
    client->session = request->session;
    client->frame = blob_ref(request->frame);
    if (client->method != METHOD_CALL)
        begin_raw(core, client, request->params);
    else if (read_call(client, request->params))
        client_move(core, client, CLIENT_DO);
    else
        client_fail(core, client, TOYSTORE_INVALID, "Call");
}

void coord_client_init(struct coord *coord)
{
    pool_init(&coord->clients, sizeof(struct client), CALLS_MAX);
}

void coord_client_free_all(struct coord *coord)
{
    for (size_t i = 0; i < coord->clients.capacity; i++)
        if (coord->clients.objects[i])
            client_release(coord->clients.objects[i]);
    pool_free(&coord->clients);
    map_free(&coord->directories);
}
