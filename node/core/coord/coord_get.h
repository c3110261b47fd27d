/* coord_get: one get, shared by coord_get.c (asking, deciding), coord_settle_get.c (what must be
 * settled or spread first) and coord_get_sloppy.c (without a quorum). */
#ifndef TOYSTORE_CORE_COORD_GET_H
#define TOYSTORE_CORE_COORD_GET_H

#include "core/coord/coord.h"
#include "core/coord/coord_priv.h"

enum { GET_FALLBACKS_MAX = 16, GET_FALLBACK_INDEX = 0x80 };

struct coord_get {
    struct operation op;
    ask_done_fn *done; /* NULL: a repair, nobody waits */
    uint64_t done_handle;
    struct blob *key_bytes;
    struct slice key;
    unsigned r;
    bool strict;

    uint32_t partition;
    struct view view;
    uint32_t attempt;
    struct tally tally;
    struct blob *params; /* packed get_request */
    bool hedged;         /* everybody has been asked, and had time */
    bool settled;        /* the base's register is known to be chosen */

    uint32_t repair_tried;        /* owners asked to settle it */
    uint32_t spread, spread_open; /* owners that hold the visible sloppy puts; asked to */
    bool spread_failed;
    struct op_id own; /* the sloppy put of this node's own that is given to the owners */

    /* without a quorum */
    node_id fallbacks[GET_FALLBACKS_MAX];
    unsigned fallback_count, fallback_open, fallback_shown;

    struct view stale_view;
    node_id stale_from;
    struct timer timer, deadline;
    uint64_t begun_us, deadline_us;
};

enum {
    GET_NEW,
    GET_ASK,    /* r owners of every live layout */
    GET_REST,   /* all of them */
    GET_SETTLE, /* an owner settles the key by a round */
    GET_OWN,    /* a sloppy put of this node's own that they do not show goes to the owners */
    GET_SPREAD, /* visible sloppy puts go to n - r + 1 owners */
    GET_PAUSE,  /* no quorum answers: again soon */
    GET_STALE,  /* taking over a newer view */
    GET_SLOPPY, /* fallbacks and hint holders are asked too */
    GET_DONE
};

static inline struct coord_get *get_of(struct operation *operation)
{
    return container_of(operation, struct coord_get, op);
}

struct coord_get *get_find(struct core *core, uint64_t handle);
void get_move(struct core *core, struct coord_get *get, unsigned state);
/* Gives what the base shows. */
void get_answer(struct core *core, struct coord_get *get, bool sloppy);
void get_fail(struct core *core, struct coord_get *get, enum toystore_status status);
/* The base is chosen: spreads siblings if it must, then answers. */
void get_chosen(struct core *core, struct coord_get *get);
/* This attempt came to nothing: a newer view, a pause, or no quorum for too long. */
void get_take_view(struct core *core, struct coord_get *get, const struct view *view, node_id from);
void get_no_quorum(struct core *core, struct coord_get *get);

void get_settle(struct core *core, struct operation *operation);
void get_spread(struct core *core, struct operation *operation);
void get_sloppy(struct core *core, struct operation *operation);
/* Stale and absent owners, behind the answer. */
void get_repair(struct core *core, struct coord_get *get);
/* Packs one record as a Transfer: `head` without its records. */
void transfer_pack_head(struct buf *out, struct transfer_request head); /* the item follows */
struct blob *transfer_pack(struct transfer_request head, const struct transfer_item *item);

static inline uint64_t get_index(const struct coord_get *get, unsigned member)
{
    return (uint64_t)get->attempt << 8 | member;
}

#endif
