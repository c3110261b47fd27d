/* remote: a node seen from outside, over one MessagePack-RPC connection as a client that said
 * Hello. Requests may be pipelined; remote_run moves bytes until somebody is satisfied. */
#ifndef TOYSTORE_FS_REMOTE_H
#define TOYSTORE_FS_REMOTE_H

#include "store_face.h"

#include "base/base.h"

struct remote;

/* `node` is HOST:RPCPORT. NULL: `error` says why. */
struct remote *remote_open(const char *node, char *error, size_t error_size);
void remote_close(struct remote *remote);
/* From here on no request takes a sloppy answer, or goes sloppy. */
void remote_be_strict(struct remote *remote);

/* The store that it is, for the file layer. */
struct store_face remote_face(struct remote *remote);

/* One request, waited for; `seen` is shown the result. False: the connection is lost and
 * remote_error says how; the outcome is not known. */
bool remote_call(struct remote *remote, const struct toystore_request *request,
                 toystore_done_fn *seen, void *arg);
/* CoordinatePut and CoordinateDelete of plain bytes, as any client calls them. *ret_message is
 * malloc()ed, or NULL; with OK it says that no quorum has it yet. */
bool remote_put(struct remote *remote, struct slice key, struct slice value,
                enum toystore_status *ret_status, char **ret_message);
bool remote_delete(struct remote *remote, struct slice key, enum toystore_status *ret_status,
                   char **ret_message);
/* A report as JSON text, malloc()ed. */
bool remote_report(struct remote *remote, const char *what, struct slice argument,
                   enum toystore_status *ret_status, char **ret_text);

/* A round of repair at this node: begins it, or asks how far it is, as JSON. */
bool remote_round(struct remote *remote, bool begin, enum toystore_status *ret_status,
                  char **ret_text);
/* Change: "leave", or "remove" of a member; *ret_message is malloc()ed. */
bool remote_change(struct remote *remote, const char *what, const char *member, bool force,
                   bool accept_loss, enum toystore_status *ret_status, char **ret_message);

/* Moves bytes and fires timers until *finished. False: the connection is lost. */
bool remote_run(struct remote *remote, const bool *finished);
const char *remote_error(const struct remote *remote);

#endif
