/* move_priv: what move*.c share. */
#ifndef TOYSTORE_CORE_MOVE_PRIV_H
#define TOYSTORE_CORE_MOVE_PRIV_H

#include "core/core_priv.h"

enum {
    MOVE_STEP_MS = 100, /* how often what is due is looked at, besides events */
    MOVE_SAY_MS = 5000, /* "waiting for seeds" is said again after */
    MOVE_WINDOW = 32,   /* takings under way */
};

struct move {
    struct timer step;
    uint64_t say_at_us; /* the next "waiting" */
    bool founding;
};

#endif
