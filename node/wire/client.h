/* client: the four methods for any MessagePack-RPC client: parameters as positional
 * arrays with an optional map of options at the end, results as maps with string keys. Keys and
 * values may be str or bin; an unknown option is INVALID and named in the error. */
#ifndef TOYSTORE_WIRE_CLIENT_H
#define TOYSTORE_WIRE_CLIENT_H

#include "wire/messages.h"

/* A context is opaque to clients: the op ids that a get showed, packed. */
enum { CLIENT_MATCH_MAX = 64 };

struct client_request {
    struct toystore_request request; /* borrows from the params, and `match` below */
    struct toystore_op match[CLIENT_MATCH_MAX];
};

/* OK, or INVALID, TOO_LARGE with words in `error`. *ret must not move after. */
enum toystore_status client_decode(enum wire_method method, struct slice params,
                                   struct client_request *ret, char *error, size_t error_size);
/* The result of `method` as one packed value. Siblings whose values together would outgrow a frame
 * carry nil instead of a value; names that are not UTF-8 are bin, others str. */
void client_encode(struct buf *out, enum wire_method method, const struct toystore_result *result);

#endif
