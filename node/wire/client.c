/* Parameters of the methods for any MessagePack-RPC client. */
#include "wire/client.h"

#include "wire/context.h"

#include <stdio.h>

enum { OPTION_NAME_MAX = 32, POSITIONS_MAX = 2 };

struct client_decoder {
    struct cursor cursor;
    struct client_request *ret;
    char *error;
    size_t error_size;
};

static enum toystore_status refuse(struct client_decoder *decoder, enum toystore_status status,
                                   const char *what)
{
    snprintf(decoder->error, decoder->error_size, "%s", what);
    return status;
}

static enum toystore_status invalid_option(struct client_decoder *decoder, struct slice name,
                                           const char *what)
{
    snprintf(decoder->error, decoder->error_size, "option \"%.*s\" %s",
             (int)min_size(name.size, OPTION_NAME_MAX), (const char *)name.data, what);
    return TOYSTORE_INVALID;
}

/* ---- one option each: false when the value does not fit ---- */

typedef bool option_fn(struct cursor *cursor, struct client_request *ret);

static bool option_count(struct cursor *cursor, unsigned *ret)
{
    return wire_get_U32(cursor, ret);
}

static bool option_r(struct cursor *cursor, struct client_request *ret)
{
    return option_count(cursor, &ret->request.r);
}

static bool option_w(struct cursor *cursor, struct client_request *ret)
{
    return option_count(cursor, &ret->request.w);
}

static bool option_limit(struct cursor *cursor, struct client_request *ret)
{
    return option_count(cursor, &ret->request.limit);
}

static bool option_after(struct cursor *cursor, struct client_request *ret)
{
    if (cursor_peek(cursor) == CURSOR_NIL) /* `next` of the last answer */
        return cursor_nil(cursor);
    return cursor_u64(cursor, &ret->request.after);
}

static bool option_durable(struct cursor *cursor, struct client_request *ret)
{
    return cursor_bool(cursor, &ret->request.durable);
}

static bool option_strict(struct cursor *cursor, struct client_request *ret)
{
    bool strict;
    if (!cursor_bool(cursor, &strict))
        return false;
    ret->request.strict = strict;
    return true;
}

static bool option_if_absent(struct cursor *cursor, struct client_request *ret)
{
    bool absent;
    if (!cursor_bool(cursor, &absent))
        return false;
    if (!absent)
        return true;
    if (ret->request.condition != TOYSTORE_ALWAYS)
        return false;
    ret->request.condition = TOYSTORE_IF_ABSENT;
    return true;
}

/* The context of a get that found nothing names no version: the same as if_absent. A raw client's
 * condition is never given up for a sloppy put. */
static bool option_if_match(struct cursor *cursor, struct client_request *ret)
{
    struct toystore_request *request = &ret->request;
    struct slice context;
    if (cursor_peek(cursor) == CURSOR_NIL)
        return cursor_nil(cursor);
    if (request->condition != TOYSTORE_ALWAYS || !cursor_bytes(cursor, &context) ||
        !context_get(context, ret->match, CLIENT_MATCH_MAX, &request->match_count))
        return false;
    request->condition = request->match_count > 0 ? TOYSTORE_IF_MATCH : TOYSTORE_IF_ABSENT;
    request->match = ret->match;
    request->exclusive = true;
    return true;
}

enum {
    TAKES_GET = 1 << 0,
    TAKES_PUT = 1 << 1,
    TAKES_DELETE = 1 << 2,
    TAKES_LIST = 1 << 3,
    TAKES_ANY = TAKES_GET | TAKES_PUT | TAKES_DELETE | TAKES_LIST
};

static const struct {
    const char *name;
    unsigned methods;
    option_fn *take;
    const char *wanted;
} client_options[] = {
    {"r", TAKES_GET, option_r, "wants a count"},
    {"w", TAKES_PUT | TAKES_DELETE, option_w, "wants a count"},
    {"durable", TAKES_PUT | TAKES_DELETE, option_durable, "wants true or false"},
    {"strict", TAKES_ANY, option_strict, "wants true or false"},
    {"if_absent", TAKES_PUT, option_if_absent, "wants true or false, and no if_match beside it"},
    {"if_match", TAKES_PUT | TAKES_DELETE, option_if_match,
     "wants a context, and no if_absent beside it"},
    {"after", TAKES_LIST, option_after, "wants the `next` of an earlier answer"},
    {"limit", TAKES_LIST, option_limit, "wants a count"},
};

static enum toystore_status decode_option(struct client_decoder *decoder, unsigned method)
{
    struct slice name;
    if (!cursor_bytes(&decoder->cursor, &name))
        return refuse(decoder, TOYSTORE_INVALID, "the name of an option is no string");
    for (size_t i = 0; i < ARRAY_COUNT(client_options); i++) {
        if (!(client_options[i].methods & method) ||
            !slice_equal(name, slice_str(client_options[i].name)))
            continue;
        if (!client_options[i].take(&decoder->cursor, decoder->ret))
            return invalid_option(decoder, name, client_options[i].wanted);
        return TOYSTORE_OK;
    }
    return invalid_option(decoder, name, "is not known here");
}

/* Nothing, nil, or a map. */
static enum toystore_status decode_options(struct client_decoder *decoder, unsigned method,
                                           uint32_t left)
{
    uint32_t count;
    if (left == 0)
        return TOYSTORE_OK;
    if (left > 1)
        return refuse(decoder, TOYSTORE_INVALID, "too many parameters");
    if (cursor_peek(&decoder->cursor) == CURSOR_NIL && cursor_nil(&decoder->cursor))
        return TOYSTORE_OK;
    if (!cursor_map(&decoder->cursor, &count))
        return refuse(decoder, TOYSTORE_INVALID, "the last parameter is no map of options");
    enum toystore_status status = TOYSTORE_OK;
    for (uint32_t i = 0; i < count && status == TOYSTORE_OK; i++)
        status = decode_option(decoder, method);
    return status;
}

/* ---- methods ---- */

static const struct client_shape {
    enum wire_method method;
    unsigned takes;
    enum toystore_request_type type;
    enum toystore_change change;
    uint32_t positions; /* parameters that must be there: key, then value */
} client_shapes[] = {
    {METHOD_COORDINATE_GET, TAKES_GET, TOYSTORE_GET, TOYSTORE_SET, 1},
    {METHOD_COORDINATE_PUT, TAKES_PUT, TOYSTORE_PUT, TOYSTORE_SET_VALUE, 2},
    {METHOD_COORDINATE_DELETE, TAKES_DELETE, TOYSTORE_PUT, TOYSTORE_DELETE, 1},
    {METHOD_COORDINATE_LIST, TAKES_LIST, TOYSTORE_LIST, TOYSTORE_SET, 1},
};

static enum toystore_status decode_positions(struct client_decoder *decoder, uint32_t count)
{
    struct slice at[POSITIONS_MAX] = {{NULL, 0}, {NULL, 0}};
    for (uint32_t i = 0; i < count; i++) {
        if (!cursor_bytes(&decoder->cursor, &at[i]))
            return refuse(decoder, TOYSTORE_INVALID,
                          i == 0 ? "the key is neither str nor bin"
                                 : "the value is neither str nor bin");
    }
    if (at[0].size > TOYSTORE_KEY_SIZE_MAX)
        return refuse(decoder, TOYSTORE_TOO_LARGE, "the key is longer than 4095 bytes");
    if (at[1].size > TOYSTORE_VALUE_SIZE_MAX)
        return refuse(decoder, TOYSTORE_TOO_LARGE, "the value is larger than 1 MiB");
    decoder->ret->request.key = (struct toystore_bytes){at[0].data, at[0].size};
    decoder->ret->request.value = (struct toystore_bytes){at[1].data, at[1].size};
    return TOYSTORE_OK;
}

enum toystore_status client_decode(enum wire_method method, struct slice params,
                                   struct client_request *ret, char *error, size_t error_size)
{
    struct client_decoder decoder = {cursor_of(params), ret, error, error_size};
    const struct client_shape *shape = client_shapes;
    while (shape < client_shapes + ARRAY_COUNT(client_shapes) && shape->method != method)
        shape++;
    if (shape == client_shapes + ARRAY_COUNT(client_shapes))
        return refuse(&decoder, TOYSTORE_NO_METHOD, "no method for clients without a Hello");
    ret->request = (struct toystore_request){.type = shape->type, .change = shape->change};
    uint32_t count;
    if (!cursor_array(&decoder.cursor, &count))
        return refuse(&decoder, TOYSTORE_INVALID, "the parameters are no array");
    if (count < shape->positions)
        return refuse(&decoder, TOYSTORE_INVALID,
                      count == 0 ? "the key is missing" : "the value is missing");
    enum toystore_status status = decode_positions(&decoder, shape->positions);
    if (status == TOYSTORE_OK)
        status = decode_options(&decoder, shape->takes, count - shape->positions);
    if (status == TOYSTORE_OK && decoder.cursor.at != decoder.cursor.end)
        return refuse(&decoder, TOYSTORE_INVALID, "bytes follow the parameters");
    return status;
}
