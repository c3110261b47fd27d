/* session: a FUSE session on a node's own loop. */
#ifndef TOYSTORE_FS_SESSION_H
#define TOYSTORE_FS_SESSION_H

#include "fs.h"

struct session;

struct session_config {
    struct toystore *node;
    const char *mountpoint;
    const char *fuse_options; /* comma-separated, for the kernel and fusermount3 */
    unsigned timeout_ms;
    bool debug;
    bool local_locks;    /* -o locks=local */
    bool show_conflicts; /* -o conflicts=show */
    void (*log)(void *arg, int level, const char *line);
    /* On the node's thread: the device has ended, and all that was open is published. */
    void (*ended)(void *arg);
    void *arg;
};

/* Mounts; requests are served once session_serve was called. -errno, with words in `error`. */
int session_new(const struct session_config *config, struct session **ret_session, char *error,
                size_t error_size);
int session_serve(struct session *session); /* on the node's thread, or before it runs */
/* On the node's thread: publishes all, unmounts, and tells `ended`. */
void session_end(struct session *session);
void session_free(struct session *session); /* the node has been freed */

#endif
