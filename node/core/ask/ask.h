/* ask: what whoever is at this node asks for (the embedding API, Call, raw methods). */
#ifndef TOYSTORE_CORE_ASK_H
#define TOYSTORE_CORE_ASK_H

#include "core/coord/coord.h"

struct asks;
struct asks *asks_new(void);
void asks_free(struct asks *asks);

/* Any request of the embedding API but a simple one, asked by this node: checks the key, routes,
 * retries, turns a failed put into a sloppy one where that is allowed. done exactly once, never
 * from inside; the result is borrowed until it returns. `session` zero: this node's. */
void ask(struct core *core, const struct toystore_request *request, const struct session *session,
         ask_done_fn *done, uint64_t handle);
/* The same for simple ones too (raw.c). */
void ask_any(struct core *core, const struct toystore_request *request,
             const struct session *session, ask_done_fn *done, uint64_t handle);

/* CoordinateGet, CoordinatePut, CoordinateDelete, CoordinateList, Call. */
void client_handle(struct core *core, const struct rpc_request *request);

#endif
