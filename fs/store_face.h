/* store_face: all that the file layer knows of the store under it. The mount fills it with the
 * embedded node's calls, the command line with its connection to a node, a test with a double.
 *
 * Everything runs on one thread. `submit` is toystore_submit's contract: 0 and then `done` exactly
 * once, never from inside; or a negative errno and `done` is never called. It copies what it needs
 * before it returns. */
#ifndef TOYSTORE_FS_STORE_FACE_H
#define TOYSTORE_FS_STORE_FACE_H

#include <toystore/toystore.h>

struct store_face {
    void *arg; /* handed to every call */
    int (*submit)(void *arg, const struct toystore_request *request, toystore_done_fn *done,
                  void *done_arg);
    /* A fresh op of this process's session: the names of files and chunks. */
    struct toystore_op (*op_new)(void *arg);
    /* Calls `fire` once after `ms`; the result, never 0, cancels. */
    uint64_t (*after)(void *arg, unsigned ms, void (*fire)(void *fire_arg), void *fire_arg);
    void (*cancel)(void *arg, uint64_t timer);
    uint64_t (*now_ns)(void *arg); /* monotonic */
    int64_t (*wall_ns)(void *arg); /* since the epoch */
};

#endif
