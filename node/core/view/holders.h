/* holders: what each peer has told of the partitions that it holds (PROTOCOL 7 hold). */
#ifndef TOYSTORE_CORE_HOLDERS_H
#define TOYSTORE_CORE_HOLDERS_H

#include "core/state/state.h"

struct wish;

/* What a peer has told of itself, and whether it knows what this node holds. */
struct holder {
    node_id id;
    struct session session; /* of the process that was told */
    uint64_t told;          /* the version that it has acknowledged */
    bool telling;
    uint32_t oldest, newest;
    struct session heard; /* of the process that told what follows */
    uint64_t heard_version;
    uint8_t *bitmap; /* NULL: has told nothing; Q bits */
    uint32_t *epochs;
    struct wish *wishes; /* for the layout after `newest` */
    size_t wish_count;
};

struct holders {
    struct map by_id; /* node_id -> struct holder */
};

struct holders *holders_new(void);
void holders_free(struct holders *holders);

struct holder *holder_of(struct core *core, node_id id);               /* made when there is none */
const struct holder *holder_find(const struct core *core, node_id id); /* or NULL */

/* Has this member, as far as it has told, taken the partition in the present era? */
bool holder_holds(const struct core *core, node_id id, uint32_t partition);
/* The same in the present layout, in the epoch that it knows: it may not have heard of one that
 * this node alone has noted. */
bool holder_took(const struct core *core, node_id id, uint32_t partition);
/* Is its register above the own one and of an older layout, and this member has not taken the
 * partition in the present one? What came along with it alone was never compared with what was
 * accepted beside it, so a copy of it is no acceptance. */
bool holder_unheld(const struct core *core, struct slice key, node_id id,
                   const struct record *record, const struct record *own);

#endif
