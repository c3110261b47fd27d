/* client_priv: one request of a client, shared by client.c (the door and the replies) and
 * client_put.c (what a raw put does besides the put). */
#ifndef TOYSTORE_CORE_CLIENT_PRIV_H
#define TOYSTORE_CORE_CLIENT_PRIV_H

#include "core/coord_priv.h"
#include "wire/client.h"

struct client {
    struct operation op;
    struct rpc_origin origin;
    enum wire_method method;
    struct session session;
    struct blob *frame; /* the request's bytes lie in it */
    struct arena arena;
    struct client_request own; /* what is asked for */
    uint64_t deadline_us;

    size_t depth; /* size of the ancestor that is looked at or made */
    bool making;  /* that ancestor is being made */
    bool created; /* the put made a new name: its parent is looked at behind the answer */
    bool check;   /* a listing showed nothing: is it a directory at all? */
    unsigned tries;
    struct toystore_op match[VISIBLE_MAX];
};

enum {
    CLIENT_NEW,
    CLIENT_PARENT, /* is the ancestor of this depth a directory? */
    CLIENT_MAKE,   /* makes it */
    CLIENT_LOOK,   /* a delete looks at what it deletes; an empty listing at its directory */
    CLIENT_DO,     /* the request itself */
    CLIENT_BEHIND, /* answered; the parent of a new name is looked at once more */
    CLIENT_REVIVE, /* and made again when it is gone */
    CLIENT_DONE
};

static inline struct client *client_of(struct operation *operation)
{
    return container_of(operation, struct client, op);
}

struct client *client_find(struct core *core, uint64_t handle);
void client_move(struct core *core, struct client *client, unsigned state);
/* The one reply. */
void client_fail(struct core *core, struct client *client, enum toystore_status status,
                 const char *message);
void client_reply(struct core *core, struct client *client, const struct toystore_result *result);

void client_parent(struct core *core, struct operation *operation);
void client_make(struct core *core, struct operation *operation);
void client_behind(struct core *core, struct operation *operation);
void client_revive(struct core *core, struct operation *operation);
/* Where a put begins: at its parent, or at once when that is known to be a directory. */
void client_put_begin(struct core *core, struct client *client);

#endif
