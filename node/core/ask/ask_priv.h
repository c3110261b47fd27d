/* ask_priv: what ask*.c, raw*.c and client.c share. */
#ifndef TOYSTORE_CORE_ASK_PRIV_H
#define TOYSTORE_CORE_ASK_PRIV_H

#include "core/ask/ask.h"
#include "core/coord/coord_priv.h"

struct asks {
    struct pool puts, raws, buries, clients;
    struct map lines;       /* session and key -> struct ask_line */
    struct map directories; /* keys that were seen to be directories (raw_put.c) */
};

/* Is that a request? Else it is refused, and answered so. */
bool ask_check(struct core *core, const struct toystore_request *request, ask_done_fn *done,
               uint64_t handle);
void ask_put(struct core *core, const struct toystore_request *request,
             const struct session *session, ask_done_fn *done, uint64_t handle);

/* Each file's pool, and what is under way when the core ends. */
void ask_puts_init(struct asks *asks);
void ask_puts_free(struct asks *asks);
void raw_init(struct asks *asks);
void raw_free(struct asks *asks);
void bury_init(struct asks *asks);
void bury_free(struct asks *asks);

#endif
