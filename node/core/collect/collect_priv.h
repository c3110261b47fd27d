/* collect_priv: what collect*.c share. */
#ifndef TOYSTORE_CORE_COLLECT_PRIV_H
#define TOYSTORE_CORE_COLLECT_PRIV_H

#include "core/replica/grave.h"
#include "core/state/state.h"

enum {
    COLLECT_BATCH = 16,       /* partitions collected at once */
    COLLECT_MIN = 32,         /* tombstones of a partition that are worth it unasked */
    COLLECT_SHARE = 8,        /* and they are more than this part of its keys */
    COLLECT_STEP_MS = 250,    /* members that are not ready are asked again after */
    COLLECT_TRIES = 40,       /* then the batch is left for later */
    COLLECT_SERVED_MAX = 256, /* requests of others being served */
    COLLECT_SETTLES_MAX = 8,  /* keys with covered siblings being settled */
    COLLECT_BLOCKERS_MAX = 16 /* members to be named in the status */
};

enum collect_stage { COLLECT_ASKED, COLLECT_READY, COLLECT_DROP };

/* What keeps a member from being ready. */
enum collect_missing {
    COLLECT_NOTHING,
    COLLECT_ERA,     /* it knows another view */
    COLLECT_UNHELD,  /* an owner that has not taken the partition yet, or is mute */
    COLLECT_HINTS,   /* it has hints to deliver */
    COLLECT_DATA,    /* no owner, and has not given its data up */
    COLLECT_COVERED, /* covered sloppy puts are still on its disk */
    COLLECT_CHANGED  /* it was written to while it fsynced */
};

/* A partition that this node collects, as its first owner in reach. */
struct collect_job {
    uint32_t partition;
    struct era era;                /* to be collected in */
    bool raise;                    /* and to be raised first */
    bool failed, ready;            /* of the round under way */
    unsigned roots;                /* owners that showed theirs */
    struct hash128 root;           /* the first one's */
    struct era collected, lagging; /* the newest and the oldest that an owner says */
};

struct collect_batch;

struct collect {
    struct timer step;
    uint8_t *asked;          /* a partition: a person asked for it */
    uint64_t *not_before_us; /* a partition: not looked at sooner */
    uint32_t partition_count, cursor;
    struct collect_batch *batch; /* NULL: nothing under way */
    uint64_t generation;
    node_id blockers[COLLECT_BLOCKERS_MAX]; /* who was missing lately */
    unsigned blocker_count;
    uint64_t collected; /* keys dropped since the start */
    /* collect_serve.c */
    struct pool served;
    unsigned settles_open;
    /* collect_drop.c */
    uint8_t *to_drop; /* a partition: is to be gone through */
    bool drop_failed; /* of the one being gone through: something stays that should not */
    bool dropping;
    uint32_t drop_partition;
    struct blob *drop_after;
    bool drop_more;
    unsigned drops_open;
    struct grave_counts drop_kept;
};

bool collect_sized(struct core *core); /* Q is known */
void collect_wake(struct core *core);  /* looks at what is due, soon */

/* collect_batch.c */
bool collect_begin(struct core *core, const struct collect_job *jobs, unsigned count);
void collect_batch_step(struct core *core);
void collect_batch_free(struct collect *collect);
/* collect_serve.c */
void collect_serve_init(struct collect *collect);
void collect_serve_free(struct collect *collect);
/* collect_drop.c */
void collect_drop(struct core *core, uint32_t partition); /* what is collected goes */
void collect_drop_step(struct core *core);                /* what could not go goes now */

#endif
