/* electorate: the owners of a partition in every live layout, and which sets of them are a quorum
 * (PROTOCOL 1). A set is a mask over `members`; a quorum must be one in EACH live layout. */
#ifndef TOYSTORE_RULES_ELECTORATE_H
#define TOYSTORE_RULES_ELECTORATE_H

#include "rules/layout.h"

enum { ELECTORATE_MAX = 2 * REPLICAS_MAX };

enum quorum {
    QUORUM_READ,     /* r answers make a get */
    QUORUM_MAJORITY, /* maj promises make a prepare or a leadership */
    QUORUM_ACCEPT,   /* q = max(w, maj) acknowledgements make a put */
    QUORUM_MEET,     /* F owners meet every quorum */
    QUORUM_SHOW      /* n - r + 1 owners show what a get may return */
};

struct electorate {
    unsigned layout_count;
    struct {
        uint32_t number, mask; /* members of this layout, as bits of `members` */
        unsigned n, maj, w, r, q, f, show;
    } layouts[2];                    /* oldest first */
    node_id members[ELECTORATE_MAX]; /* rank order of the newest layout, then the others */
    unsigned member_count;
};

/* `extra_w`, `extra_r`: a request may raise w; a smaller r (not 0) is honoured. */
void electorate_init(struct electorate *electorate, const struct layout *oldest,
                     const struct layout *newest, uint32_t partition, unsigned request_w,
                     unsigned request_r);
/* All members of one layout (the first ELECTORATE_MAX by rank when there are more), every quorum a
 * majority: who chooses the next layout (PROTOCOL 7 choose). */
void electorate_init_members(struct electorate *electorate, const struct layout *layout,
                             uint32_t partition);
int electorate_index(const struct electorate *electorate, node_id id); /* -1: not in it */
bool electorate_has(const struct electorate *electorate, uint32_t mask, enum quorum quorum);
/* Can `mask` plus all of `open` still become that quorum? */
bool electorate_can(const struct electorate *electorate, uint32_t mask, uint32_t open,
                    enum quorum quorum);
uint32_t electorate_all(const struct electorate *electorate);

#endif
