/* raw: what CoordinateGet, CoordinatePut, CoordinateDelete and CoordinateList mean, for
 * raw clients and the simple calls of the embedding API: the request itself and what goes before
 * and behind it.
 *
 * Enters from: ask.c (a request that is `simple`) and client.c. Leaves to: ask.c. */
#include "core/ask/raw.h"

#include <stdio.h>

enum { DELETE_TRIES_MAX = 16 };

#define STATE(name) RAW_##name
#define TO(name)    (1u << RAW_##name)
#define ANSWERED    (TO(BEHIND) | TO(DONE))

static void raw_do(struct core *core, struct operation *operation);
static void raw_look(struct core *core, struct operation *operation);
static void raw_end(struct core *core, struct operation *operation);

#define RAW_STATES(S)                                                                              \
    S(NEW, NULL, TO(PARENT) | TO(LOOK) | TO(DO))                                                   \
    S(PARENT, raw_parent, TO(PARENT) | TO(MAKE) | TO(DO) | ANSWERED)                               \
    S(MAKE, raw_make, TO(PARENT) | TO(MAKE) | TO(DO) | ANSWERED)                                   \
    S(LOOK, raw_look, TO(DO) | ANSWERED)                                                           \
    S(DO, raw_do, TO(LOOK) | TO(RECORD) | ANSWERED)                                                \
    S(RECORD, raw_record, TO(PIECES) | TO(DO) | ANSWERED)                                          \
    S(PIECES, raw_pieces, TO(PIECES) | TO(DO) | ANSWERED)                                          \
    S(BEHIND, raw_behind, TO(REVIVE) | TO(DONE))                                                   \
    S(REVIVE, raw_revive, TO(BEHIND) | TO(DONE))                                                   \
    S(DONE, raw_end, 0)

OPERATION_TABLE(raw_table, "raw", RAW_STATES)

struct raw *raw_find(struct core *core, uint64_t handle)
{
    return pool_get(&core->asks->raws, handle);
}

void raw_move(struct core *core, struct raw *raw, unsigned state)
{
    operation_move(core, &raw->op, state);
}

unsigned raw_left_ms(const struct core *core, const struct raw *raw)
{
    return until_ms(core, raw->deadline_us, 60000);
}

static void raw_end(struct core *core, struct operation *operation)
{
    struct raw *raw = raw_of(operation);
    assert(raw->op.answered);
    arena_free(&raw->arena);
    pool_delete(&core->asks->raws, raw->op.handle);
}

/* ---- the answer ---- */

void raw_answer(struct core *core, struct raw *raw, const struct toystore_result *result)
{
    operation_answer(core, &raw->op, toystore_status_word(result->status));
    raw->depth = key_parent(slice_public(raw->request.key)).size;
    bool created = result->status == TOYSTORE_OK && result->created && raw->depth > 0;
    bool put = raw->request.type == TOYSTORE_PUT && result->status == TOYSTORE_OK;
    if (put && !result->sloppy)
        raw_bury(core, result);
    raw->done(core, raw->done_handle, result);
    raw->tries = 0;
    raw->deadline_us = core->now_us + 1000ull * PUT_DEADLINE_MS;
    raw_move(core, raw, created ? RAW_BEHIND : RAW_DONE);
}

void raw_fail(struct core *core, struct raw *raw, enum toystore_status status, const char *message)
{
    raw_answer(core, raw, &(struct toystore_result){.status = status, .message = message});
}

/* ---- the request itself, and what its result asks for ---- */

static void got(struct core *core, struct raw *raw, const struct toystore_result *result)
{
    const struct toystore_version *shown =
        result->status == TOYSTORE_OK ? &result->versions[0] : NULL;
    if (shown && shown->kind == TOYSTORE_DIRECTORY) {
        raw_fail(core, raw, TOYSTORE_IS_DIRECTORY, "the key is a directory");
    } else if (shown && shown->kind == TOYSTORE_REFERENCE) {
        raw->shown = *shown;
        raw->shown.value = raw->shown.extra = (struct toystore_bytes){NULL, 0};
        raw_move(core, raw, RAW_RECORD);
    } else {
        raw_answer(core, raw, result);
    }
}

/* Deletes what was looked at and nothing else: a directory may have come meanwhile. */
static void deleted(struct core *core, struct raw *raw, const struct toystore_result *result)
{
    bool unconditional = raw->request.match == raw->match;
    if (result->status == TOYSTORE_CONFLICT && unconditional && ++raw->tries < DELETE_TRIES_MAX)
        raw_move(core, raw, RAW_LOOK);
    else
        raw_answer(core, raw, result);
}

static bool deletes(const struct raw *raw)
{
    return raw->request.type == TOYSTORE_PUT && raw->request.change == TOYSTORE_DELETE;
}

static void done(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct raw *raw = raw_find(core, handle);
    bool nothing = result->status == TOYSTORE_OK && result->entry_count == 0;
    if (raw->request.type == TOYSTORE_GET)
        got(core, raw, result);
    else if (deletes(raw))
        deleted(core, raw, result);
    else if (raw->request.type == TOYSTORE_LIST && nothing && raw->request.key.size > 0)
        raw_move(core, raw, RAW_LOOK);
    else
        raw_answer(core, raw, result);
}

static void raw_do(struct core *core, struct operation *operation)
{
    struct raw *raw = raw_of(operation);
    ask(core, &raw->request, &raw->session, done, raw->op.handle);
}

/* ---- looking first ---- */

static void list_looked(struct core *core, struct raw *raw, const struct toystore_result *result)
{
    if (result->status != TOYSTORE_OK)
        raw_fail(core, raw, result->status, "");
    else if (result->versions[0].kind != TOYSTORE_DIRECTORY)
        raw_fail(core, raw, TOYSTORE_NOT_DIRECTORY, "the key is not a directory");
    else
        raw_answer(core, raw, &(struct toystore_result){.message = ""});
}

static void looked(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct raw *raw = raw_find(core, handle);
    struct toystore_request *request = &raw->request;
    if (request->type == TOYSTORE_LIST) {
        list_looked(core, raw, result);
        return;
    }
    if (result->status == TOYSTORE_IO && request->condition == TOYSTORE_ALWAYS) {
        raw_move(core, raw, RAW_DO); /* the only copy is damaged: nothing else takes it away */
        return;
    }
    if (result->status != TOYSTORE_OK) {
        raw_fail(core, raw, result->status, "");
        return;
    }
    if (result->versions[0].kind == TOYSTORE_DIRECTORY) {
        raw_fail(core, raw, TOYSTORE_IS_DIRECTORY, "the key is a directory");
        return;
    }
    if (request->condition == TOYSTORE_ALWAYS || request->match == raw->match) {
        request->condition = TOYSTORE_IF_MATCH;
        request->match = raw->match;
        request->match_count = min_size(result->version_count, ARRAY_COUNT(raw->match));
        for (size_t i = 0; i < request->match_count; i++)
            raw->match[i] = result->versions[i].op;
    }
    raw_move(core, raw, RAW_DO);
}

static void raw_look(struct core *core, struct operation *operation)
{
    struct raw *raw = raw_of(operation);
    struct toystore_request look = {
        .type = TOYSTORE_GET, .key = raw->request.key, .deadline_ms = raw_left_ms(core, raw)};
    ask(core, &look, &raw->session, looked, raw->op.handle);
}

/* ---- the door ---- */

static enum toystore_status check(const struct toystore_request *request, char *error,
                                  size_t error_size)
{
    struct slice key = slice_public(request->key);
    enum toystore_status status = key_check(key, error, error_size);
    if (status != TOYSTORE_OK)
        return status;
    if (key_is_reserved(key)) {
        snprintf(error, error_size, "keys below " KEY_RESERVED "/ are internal");
        return TOYSTORE_RESERVED;
    }
    if (key.size == 0 && request->type != TOYSTORE_LIST) {
        snprintf(error, error_size, "the empty key is the root directory");
        return TOYSTORE_IS_DIRECTORY;
    }
    bool put = request->type == TOYSTORE_PUT &&
               (request->change == TOYSTORE_SET_VALUE || request->change == TOYSTORE_DELETE);
    if (put || request->type == TOYSTORE_GET || request->type == TOYSTORE_LIST)
        return TOYSTORE_OK;
    snprintf(error, error_size, "not a simple request");
    return TOYSTORE_INVALID;
}

static void raw_ask(struct core *core, const struct toystore_request *request,
                    const struct session *session, ask_done_fn *done_fn, uint64_t handle)
{
    char error[160] = "";
    enum toystore_status status = check(request, error, sizeof error);
    pool_handle own;
    struct raw *raw = status == TOYSTORE_OK ? pool_new(&core->asks->raws, &own) : NULL;
    if (!raw) {
        ask_refuse(core, done_fn, handle, status == TOYSTORE_OK ? TOYSTORE_BUSY : status,
                   status == TOYSTORE_OK ? "too many requests" : error);
        return;
    }
    raw->op = (struct operation){.table = &raw_table, .handle = own};
    raw->done = done_fn;
    raw->done_handle = handle;
    raw->session = *session;
    request_copy(&raw->arena, request, &raw->request);
    raw->request.simple = false;
    raw->deadline_us = core->now_us + 1000ull * (request->deadline_ms ? request->deadline_ms
                                                                      : (unsigned)PUT_DEADLINE_MS);
    if (deletes(raw))
        raw_move(core, raw, RAW_LOOK);
    else if (request->type == TOYSTORE_PUT)
        raw_put_begin(core, raw);
    else
        raw_move(core, raw, RAW_DO);
}

void ask_any(struct core *core, const struct toystore_request *request,
             const struct session *session, ask_done_fn *done_fn, uint64_t handle)
{
    if (!request->simple)
        ask(core, request, session, done_fn, handle);
    else if (ask_check(core, request, done_fn, handle))
        raw_ask(core, request, session, done_fn, handle);
}

void raw_init(struct asks *asks)
{
    pool_init(&asks->raws, sizeof(struct raw), COORD_OPS_MAX);
}

void raw_free(struct asks *asks)
{
    for (size_t i = 0; i < asks->raws.capacity; i++) {
        struct raw *raw = asks->raws.objects[i];
        if (raw)
            arena_free(&raw->arena);
    }
    pool_free(&asks->raws);
    map_free(&asks->directories);
}
