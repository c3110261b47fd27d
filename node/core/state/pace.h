/* pace: how much of a work that can wait (hints, repair) may be under way at once. It goes by how
 * long a piece takes against how long one takes when nothing is in its way: where that grows,
 * somebody who cannot wait is waiting, here or at the receiver, and the work gives way, at last
 * with pauses between one piece and the next; where it does not, it goes faster.
 *
 * Source: LEDBAT (RFC 6817): a window that is steered by the delay that it meets itself. */
#ifndef TOYSTORE_CORE_PACE_H
#define TOYSTORE_CORE_PACE_H

#include "base/base.h"

struct pace {
    unsigned window;    /* in sixteenths of a piece; 0: not begun */
    uint64_t least_us;  /* a piece's time, of this spell */
    uint64_t before_us; /* the same of the spell before */
    uint64_t spell_until_us;
    uint64_t not_before_us; /* the next piece */
};

/* A piece took so long. */
void pace_took(struct pace *pace, uint64_t now_us, uint64_t took_us, unsigned most);
/* How many may be under way: 1 to `most`. */
unsigned pace_window(const struct pace *pace, unsigned most);

#endif
