/* background: a process that goes to the background only when it works, and whose exit status says
 * whether it does. */
#ifndef TOYSTORE_FS_BACKGROUND_H
#define TOYSTORE_FS_BACKGROUND_H

#include "base/base.h"

struct background {
    int ready_fd; /* the child's end; -1: in the foreground */
};

/* Forks before anything else has begun (threads, FUSE). In the child: returns. In the parent:
 * waits for the child's word, runs `check` when that is "ready", and exits with its status; a
 * child that fails has its message shown and `failed` as the exit status. */
void background_begin(struct background *background, int (*check)(void *arg), void *arg,
                      int failed);
void background_ready(struct background *background);
/* In the child, before its word: somebody still sees standard error. */
bool background_starting(const struct background *background);
/* The parent has gone without having heard it. */
bool background_abandoned(const struct background *background);
/* Shows the message where somebody reads it. */
void background_fail(struct background *background, const char *program, const char *message);

#endif
