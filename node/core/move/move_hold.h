/* move_hold: a partition that is being taken, for move_hold.c and move_take.c. */
#ifndef TOYSTORE_CORE_MOVE_HOLD_H
#define TOYSTORE_CORE_MOVE_HOLD_H

#include "core/move/move_priv.h"
#include "core/replica/sync.h"

/* A key whose own copy, or a source's, is damaged. */
struct suspect {
    uint32_t lacking; /* mask: sources that have nothing under it */
    uint32_t unknown; /* mask: sources whose copy is damaged, too */
    bool damaged;     /* as far as is known: the own copy */
};

struct hold {
    pool_handle self;
    uint32_t partition;
    struct era era;
    enum hold_mode mode;
    uint32_t sources; /* HOLD_RECOVER, HOLD_SALVAGE: all of these, and no other */
    unsigned met;     /* bits of layouts: F of the sources there are not mute */
    struct electorate electorate;
    unsigned layouts_wanted;     /* HOLD_TAKE: bits of the electorate's layouts, F of each ... */
    bool any_layout;             /* ... or of one of them */
    uint32_t tried, open, taken; /* masks of its members; `taken` may have this node itself */
    uint32_t given;              /* the others of `taken` */
    uint32_t damaged;            /* HOLD_TAKE: these have a damaged copy, and give nothing */
    uint64_t syncs[ELECTORATE_MAX];
    bool strict; /* what it has on disk is no source's copy before it has taken the first's */
    bool failed;
    struct map suspects;    /* key -> struct suspect */
    unsigned suspects_open; /* being dropped */
};

/* A key that differs, while it is stored. */
struct take {
    pool_handle self;
    pool_handle hold;
    uint64_t sync;
    uint32_t source;          /* its bit */
    struct slice key, theirs; /* live until sync_next */
    bool settled;
    bool doubt;         /* the sources differ ... */
    struct ballot seen; /* ... and this is the highest that they show */
    enum toystore_status status;
    struct blob *frame;    /* what the source settled ... */
    struct slice repaired; /* ... is in it */
};

uint32_t hold_gone(const struct core *core, const struct hold *hold); /* mask of its members */
void hold_end(struct core *core, struct hold *hold, unsigned again_ms);
void hold_done(struct core *core, struct hold *hold);
/* move_take.c */
sync_differ_fn hold_differs;
/* Drops the damaged copies of what no source showed, then hold_done. */
void hold_drop_suspects(struct core *core, struct hold *hold);
void suspects_free(struct map *suspects);

#endif
