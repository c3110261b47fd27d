/* watch: how a cluster is, as one node and the members that it names tell it; and what moves, drawn
 * as bars on a terminal, as plain lines elsewhere. */
#ifndef TOYSTORE_FS_WATCH_H
#define TOYSTORE_FS_WATCH_H

#include "remote.h"

#include <time.h>

struct health {
    bool alive;             /* the node answered */
    char why[256];          /* what is not well; empty: all is */
    bool moves;             /* something does, and not for want of members that do not answer */
    char place[16], id[17]; /* of the node that was asked */
    char *status;           /* its report, malloc()ed */
};

/* Asks the node, and every member that it says is alive, for its status. */
void health_ask(struct remote *remote, struct health *ret);
void health_free(struct health *health);

struct watch {
    bool terminal;
    unsigned lines;   /* drawn last, to be drawn over */
    time_t said_at_s; /* by the monotonic clock */
    char *said;
};

/* Shows what moves, where it is not what was shown last; in lines of a log every two seconds at
 * most. */
void watch_show(struct watch *watch, const struct health *health);
void watch_end(struct watch *watch);

#endif
