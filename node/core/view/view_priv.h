/* view_priv: what view*.c share. */
#ifndef TOYSTORE_CORE_VIEW_PRIV_H
#define TOYSTORE_CORE_VIEW_PRIV_H

#include "core/rpc/rpc.h"
#include "core/state/state.h"
#include "core/view/view.h"

enum {
    VIEW_LAYOUTS_MAX = 8, /* layouts kept: the live ones, what comes, and where holds take from */
    VIEW_PARKED_MAX = 65536, /* requests of others that wait for a newer view */
    VIEW_WAITS_MAX = 262144, /* these, and askers of this node */
    VIEW_RETRY_MS = 50,      /* asks again for a layout that did not come */
    VIEW_PARK_MS = 900,      /* a parked request is dropped after: its asker has given up */
    MUTES_MAX = 4,           /* mute owners remembered per partition */
    MUTE_MS = 500            /* for how long: then it is asked again */
};

struct slot {
    struct partition now;
    uint32_t epoch_coming; /* the highest that is being noted */
    struct era held_coming;
    bool speaks_coming; /* it was mute, and has held */
    struct {
        node_id id;
        uint64_t until_us;
    } mutes[MUTES_MAX];
};

/* A layout that is being asked for, from one peer. */
struct fetch {
    bool running;
    node_id from;
    uint32_t oldest, newest;      /* what the peer says is live */
    struct layout *newest_layout; /* while the older live one is fetched too */
};

/* Somebody who waits for a newer view. */
struct view_wait {
    struct list link;
    pool_handle self;
    uint32_t partition;
    struct view theirs;
    node_id from;
    struct timer timer;
    uint64_t until_us;
    bool raising;
    /* a parked request: */
    bool parked;
    struct rpc_request request;
    /* or an asker: */
    view_done_fn *done;
    uint64_t handle;
};

/* What a durable commit under way makes live, and the epochs that another one notes. */
struct install {
    uint32_t oldest, newest;
    bool founds; /* a cluster: what is held is written, too */
    struct resume resume;
    struct timer again; /* when the disk would not */
};
struct raise {
    struct view_epoch *epochs;
    size_t count;
    struct resume resume;
    struct timer again;
};

struct noting {
    struct view_held *held;
    size_t count;
    struct resume resume;
    struct timer again;
};

struct views {
    uint32_t oldest, newest;               /* numbers of the live layouts; 0: not in a cluster */
    uint32_t oldest_coming, newest_coming; /* being written: what is written later is no older */
    struct layout *layouts[VIEW_LAYOUTS_MAX];
    uint32_t partition_count;
    struct slot *slots;
    struct fetch fetch;
    struct pool waits, installs, raises, notings;
    struct list waiting; /* all waits, oldest first */
    size_t parked;       /* of these, requests of others */
};

/* Makes a layout one of those that are known (not live yet); takes it. */
const struct layout *view_keep_layout(struct core *core, struct layout *layout);
/* What the rooms below say of the newest layout. */
void view_newest_changed(struct core *core);
/* view_gone.c */
void view_mark_gone(const struct core *core, struct layout *layout);
void view_size_partitions(struct core *core, uint32_t partitions); /* Q is known; once */
#endif
