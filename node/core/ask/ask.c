/* ask: the door for whoever asks this node for something (the embedding API, Call, raw methods):
 * checks what is asked and hands it to the file that does it.
 *
 * Enters from: raw.c, and who asks inside this node. Leaves to: ask_put.c, coord_get.c,
 * coord_list.c, coord_chunk.c, coord_sync.c. */
#include "core/ask/ask_priv.h"
#include "core/view/view.h"

#include <stdio.h>

static enum toystore_status check_keys(const struct toystore_request *request, char *error,
                                       size_t error_size)
{
    if (request->type != TOYSTORE_SYNC)
        return key_check(slice_public(request->key), error, error_size);
    size_t bytes = 0;
    for (size_t i = 0; i < request->key_count; i++) {
        enum toystore_status status = key_check(slice_public(request->keys[i]), error, error_size);
        if (status != TOYSTORE_OK)
            return status;
        bytes += request->keys[i].size;
    }
    if (request->key_count <= SYNC_KEYS_MAX && bytes <= SYNC_BYTES_MAX)
        return TOYSTORE_OK;
    snprintf(error, error_size, "more keys than one request may make durable");
    return TOYSTORE_TOO_LARGE;
}

static enum toystore_status check_words(const struct toystore_request *request, char *error,
                                        size_t error_size)
{
    const char *wrong = NULL;
    if (request->condition > TOYSTORE_IF_MATCH)
        wrong = "condition";
    else if (request->change > TOYSTORE_TOUCH)
        wrong = "change";
    else if (request->kind > TOYSTORE_INTERNAL)
        wrong = "kind";
    else if (request->match_count > MATCH_MAX)
        wrong = "too many versions to match";
    else if (request->type == TOYSTORE_PUT && key_is_immutable(slice_public(request->key)))
        wrong = "an immutable key is stored, not put";
    else if ((request->type == TOYSTORE_STORE || request->type == TOYSTORE_FETCH) &&
             !key_is_immutable(slice_public(request->key)))
        wrong = "not an immutable key";
    if (wrong) {
        snprintf(error, error_size, "%s", wrong);
        return TOYSTORE_INVALID;
    }
    if (request->value.size + request->extra.size > TOYSTORE_VALUE_SIZE_MAX) {
        snprintf(error, error_size, "a value may have %u bytes, not %zu", TOYSTORE_VALUE_SIZE_MAX,
                 request->value.size + request->extra.size);
        return TOYSTORE_TOO_LARGE;
    }
    return TOYSTORE_OK;
}

bool ask_check(struct core *core, const struct toystore_request *request, ask_done_fn *done,
               uint64_t handle)
{
    char error[120] = "";
    enum toystore_status status = check_keys(request, error, sizeof error);
    if (status == TOYSTORE_OK)
        status = check_words(request, error, sizeof error);
    if (status == TOYSTORE_OK && view_partition_count(core) == 0) {
        status = TOYSTORE_UNAVAILABLE;
        snprintf(error, sizeof error, "this node is not in a cluster yet");
    }
    if (status != TOYSTORE_OK)
        ask_refuse(core, done, handle, status, error);
    return status == TOYSTORE_OK;
}

void ask(struct core *core, const struct toystore_request *request, const struct session *session,
         ask_done_fn *done, uint64_t handle)
{
    if (!ask_check(core, request, done, handle))
        return;
    switch (request->type) {
    case TOYSTORE_GET:
        coord_get(core, request, done, handle);
        return;
    case TOYSTORE_PUT:
        ask_put(core, request, session, done, handle);
        return;
    case TOYSTORE_LIST:
        coord_list(core, request, done, handle);
        return;
    case TOYSTORE_STORE:
        coord_store(core, request,
                    request->op.sequence ? op_from_public(request->op) : core_op_new(core), done,
                    handle);
        return;
    case TOYSTORE_FETCH:
        coord_fetch(core, request, done, handle);
        return;
    case TOYSTORE_SYNC:
        coord_sync(core, request, done, handle);
        return;
    case TOYSTORE_ROOM:
        coord_room(core, request, done, handle);
        return;
    }
    ask_refuse(core, done, handle, TOYSTORE_INVALID, "type of request");
}
