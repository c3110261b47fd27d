/* context: what a raw client's get has seen, as opaque bytes to hand back as if_match. */
#ifndef TOYSTORE_WIRE_CONTEXT_H
#define TOYSTORE_WIRE_CONTEXT_H

#include "base/buf.h"
#include <toystore/toystore.h>

/* Nothing seen is no bytes. */
void context_put(struct buf *out, const struct toystore_op *ops, size_t count);
/* False: not a context. *ret_count at most `max`. */
bool context_get(struct slice context, struct toystore_op *ops, size_t max, size_t *ret_count);

#endif
