/* change: the commands that watch a cluster and change who owns: status, leave, remove, replace.
 * Each returns the exit status of toystore(1). */
#ifndef TOYSTORE_FS_CHANGE_H
#define TOYSTORE_FS_CHANGE_H

#include "remote.h"

struct change_options {
    bool json, force, accept_loss, no_wait;
    bool wait; /* status: until all is well, wait_s at most */
    unsigned wait_s;
};

int change_status(struct remote *remote, const char *node, const struct change_options *options);
int change_leave(struct remote *remote, const char *node, const struct change_options *options);
int change_remove(struct remote *remote, const char *node, const char *member,
                  const struct change_options *options);
/* Waits until the newcomer is in the ring, then removes the member. */
int change_replace(struct remote *remote, const char *node, const char *member,
                   const char *newcomer, const struct change_options *options);

#endif
