/* move_priv: what move*.c share. */
#ifndef TOYSTORE_CORE_MOVE_PRIV_H
#define TOYSTORE_CORE_MOVE_PRIV_H

#include "core/move/move.h"
#include "core/state/state.h"
#include "core/view/holders.h"
#include "core/view/view.h"

enum {
    MOVE_STEP_MS = 100,      /* how often what is due is looked at, besides events */
    MOVE_SAY_MS = 5000,      /* "waiting for seeds" is said again after */
    CHOOSE_PAUSE_MS = 300,   /* newcomers wait for others that come at the same time */
    CHOOSE_OTHERS_MS = 2000, /* members that are not the lowest wait so much longer, jittered */
    HOLDS_MAX = 32,          /* partitions being taken at once */
    HOLD_RETRY_MS = 300,     /* a taking that failed is tried again after */
    TAKES_MAX = 4096,        /* records being taken at once, of all partitions */
    GIVE_RETRY_MS = 1000,    /* partitions to give up are looked for again after */
    RAISES_MAX = 1024,       /* Raise requests of others being served */
    RECOVER_RETRY_MS = 300   /* owners that were not ready are asked again after */
};

/* How a partition is taken. */
enum hold_mode {
    HOLD_TAKE,    /* from F owners, this one among them */
    HOLD_RECOVER, /* mute: from F others or more; its own copy is a base only */
    HOLD_SALVAGE  /* mute with maj of them: from all that answer, keeping all that survived */
};

/* A mute partition may hold now: its sources have noted the epoch of that view. */
struct approval {
    struct view view;
    enum hold_mode mode;
    uint32_t sources; /* bits of the view's electorate */
    unsigned met;     /* bits of its layouts: F of the sources are owners in it and not mute */
};

struct recover;
struct give;

/* Does this node want to own anything? Kept over restarts. */
enum place {
    PLACE_IN,
    PLACE_LEAVING, /* asked to leave */
    PLACE_REMOVED  /* others have taken it out of the layout */
};

struct wish {
    enum wish_kind kind;
    node_id node;
    uint32_t weight;
    char zone[ZONE_SIZE_MAX + 1];
};

struct move {
    struct timer step;
    uint64_t say_at_us; /* the next "waiting" */
    bool founding;
    /* move_choose.c */
    bool proposing;
    struct blob *proposal;
    uint64_t propose_at_us; /* 0: nobody is new */
    /* move_wish.c */
    enum place place;
    bool was_in;       /* it has been in a layout */
    node_id *removals; /* that this node was asked for */
    size_t removal_count;
    struct pool changes; /* of move_change.c: answered once they are durable */
    /* move_tell.c, move_finish.c */
    uint64_t version; /* of what this node holds; counts from 1 */
    bool finishing;
    /* move_hold.c */
    uint64_t *not_before_us; /* a partition: taken no sooner; UINT64_MAX while it is */
    uint32_t cursor;         /* where the search for what is due goes on */
    struct pool holds, takes;
    struct view_held *held; /* taken, to be fsynced with the next commit */
    size_t held_count, held_capacity;
    struct view_held *noting; /* being fsynced */
    size_t noting_count;
    bool committing;
    /* move_recover.c */
    struct recover *recover; /* the round under way */
    uint32_t *targets;       /* a partition: the epoch that it recovers under; 0: not asked yet */
    struct approval *approvals; /* a partition */
    uint64_t recover_at_us;
    struct map damaged; /* keys whose own copy was found damaged and is not replaced yet */
    struct pool raises; /* of move_raise.c */
    /* move_give.c */
    struct give *give; /* the partition being given up */
    uint64_t give_attempts, give_at_us;
    uint32_t give_cursor;
    struct hash128 *kept; /* a partition: its tree when all owners in reach had what it has */
    struct pool give_keys;
};

/* move.c */
void move_wake(struct core *core); /* looks at what is due, soon */
/* move_choose.c */
void move_choose(struct core *core);
/* move_change.c */
void move_changes_init(struct move *move);
/* move_wish.c */
void move_place_changed(struct core *core); /* after the layout, or at the start */
void move_wishes_encode(struct core *core, struct buf *items, uint32_t *ret_count);
/* Writes place and removals; `resume` when they are durable. */
void move_save_changes(struct core *core, struct resume resume);
void move_wishes_hear(struct core *core, struct holder *holder, const struct wire_list *changes);
/* This node's own word, or what the member itself told for this layout; NULL: nothing. */
const struct wish *move_wish_to_be(const struct core *core, node_id id, struct wish *room);
/* move_tell.c */
void move_tell(struct core *core);
/* move_finish.c */
void move_check_finish(struct core *core);
bool move_everybody_holds(struct core *core, uint32_t partition);
/* move_hold.c */
void move_hold(struct core *core); /* begins what is due */
void move_holds_init(struct move *move);
void move_holds_free(struct move *move);
/* move_give.c */
void move_give(struct core *core); /* begins with the next partition, if there is one */
/* Of what it owns no more this node has nothing that the owners in reach, q of them at least, do
 * not have: it waits for dead ones alone. */
bool move_only_keeps(struct core *core, uint32_t partition);
void move_give_init(struct move *move);
void move_give_free(struct move *move);
/* move_raise.c */
void move_raises_init(struct move *move);
void move_raises_free(struct move *move);
/* move_recover.c */
void move_recover(struct core *core);
bool move_approved(const struct core *core, uint32_t partition);
void move_recover_free(struct move *move);

#endif
