/* retire_priv: what retire*.c share. */
#ifndef TOYSTORE_CORE_RETIRE_PRIV_H
#define TOYSTORE_CORE_RETIRE_PRIV_H

#include "core/rpc/rpc.h"
#include "core/state/state.h"

enum {
    RETIRE_STEP_MS = 100,         /* how often what is due is looked at, besides events */
    RETIRE_PAGE = 4096,           /* sessions in one Retired */
    RETIRE_SERVED_MAX = 256,      /* requests of others whose sessions are being written */
    RETIRE_DUE_MAX = MEMBERS_MAX, /* sessions that wait to be retired; others are forgotten */
    RETIRE_TAKEOVER_PROBES = 5,   /* the next in rank takes over after */
    RETIRE_RETRY_PROBES = 5,      /* a put that failed is made again after */
    SWEEP_PROBES = 300,           /* what a session left is swept, so long after all noted it */
    SWEEP_RETRY_PROBES = 60,      /* what could not be judged is looked at again after, ... */
    SWEEP_RETRY_DOUBLINGS = 6,    /* ... then after twice as long, so many times */
    SWEEP_AGAIN_PROBES = 3600,    /* for so long a session is swept again in a new layout */
    SWEEP_SCAN = 1024,            /* keys looked at in one step */
    SWEEP_PIECES_MAX = 16384      /* chunks and pages being judged together */
};

/* What another member has acknowledged, and said of itself. */
struct teller {
    node_id id;
    struct session process; /* that was told */
    bool compared;          /* its digest was asked for; else nothing is known of it */
    bool telling;
    size_t told;            /* of the list: it has noted the first so many, durable ... */
    uint32_t newest;        /* ... and knew no newer layout then */
    struct hash128 learned; /* its digest when it had told all that it had */
    struct hash128 heard;   /* the last that it said while it gave */
};

/* A session that is to be retired. */
struct retiring {
    struct list link;
    struct session session;
    char name[NAME_SIZE_MAX + 1]; /* of its member, for the log */
    uint64_t at_us;               /* this node's turn */
    uint64_t handle;
    bool asked; /* the put is under way */
};

/* A chunk or page of a retired session; retire_sweep.c. */
struct sweep_piece {
    struct op_id file, op;
    bool page;
};

/* A session of this pass. */
struct sweeping {
    bool again; /* it was swept before */
    bool left;  /* something of it could not be judged */
};

/* What is known of a file. */
struct sweep_verdict {
    bool known;
    bool absent;               /* there is no record, not even of its deletion */
    bool living;               /* who put its version is not retired: it may have it open */
    const struct op_id *named; /* chunks and pages, sorted by op_id_compare */
    size_t count;
};

/* One pass over the keys of this node. */
struct sweep {
    uint32_t layout;     /* in which what is marked as swept is that; kept on the disk */
    size_t upto;         /* of the list: how many were noted by all for long enough */
    size_t aging;        /* the same, when `aged_us` will have come */
    uint64_t aged_us;    /* 0: no more than `upto` */
    uint64_t retry_us;   /* no pass begins before */
    unsigned retries;    /* passes in a row that left something */
    bool running, busy;  /* busy: something is under way that goes on by itself */
    bool failed;         /* this pass says nothing of any session */
    bool left;           /* of some session something could not be judged */
    bool more;           /* keys behind `after` */
    struct map sessions; /* being swept: session -> struct sweeping */
    struct sweeping *sweeping;
    struct blob *after;
    struct sweep_piece *pieces;
    size_t count, capacity;
    size_t first, last; /* those of the file being judged */
    struct sweep_file *file;
    uint64_t files;   /* judged so far: names of answers */
    uint64_t deleted; /* chunks and pages, since the start */
};

struct retire {
    struct map noted;     /* session -> this */
    struct session *list; /* the same in the order in which they were noted here */
    bool *swept;          /* the same: nothing of it is left here that no version names */
    uint64_t *swept_us;   /* when that was found, or restored */
    bool *again;          /* it was swept once: by an earlier process, or before a repair */
    size_t count, capacity;
    struct hash128 digest;
    struct sweep sweep;
    /* retire_tell.c */
    struct map tellers; /* node_id -> struct teller */
    struct pool served;
    struct timer due_timer;
    void (*step)(struct core *core, struct timer *timer); /* what it is for (retire_step.c) */
    size_t in_force;                                      /* of the list: the first so many are */
    size_t judged;          /* list and layout when that was looked at last, */
    uint32_t judged_newest; /* unless somebody acknowledged more since: */
    bool told_more;
    /* retire_propose.c */
    struct list due; /* of struct retiring */
    size_t due_count;
    uint64_t handles;
};

/* retire.c: adds the note to a durable batch; retire_note once that is committed. */
enum retire_mark { MARK_NOTED, MARK_SWEPT };
void retire_add(struct batch *batch, const struct session *session, enum retire_mark mark);
void retire_note(struct core *core, const struct session *session);
void retire_record(struct core *core, const struct session *session);
void retire_tell_init(struct retire *retire);
void retire_tell_free(struct retire *retire);
void retire_tell(struct core *core);
void retire_propose_free(struct retire *retire);
void retire_propose(struct core *core);
void retire_wake(struct core *core); /* looks at what is due, soon */
/* So many of the list every member of the live layouts has noted. */
size_t retire_complete(const struct core *core);
/* retire_sweep.c */
void retire_sweep(struct core *core);
void retire_sweep_free(struct retire *retire);
void retire_file_key(char *text, size_t size, const char *room, const struct op_id *file);
/* retire_judge.c: looks at the file record of `file` at every storing member, and calls `done`
 * (never from inside) with what is known. */
typedef void sweep_judged_fn(struct core *core, const struct sweep_verdict *verdict);
void retire_judge(struct core *core, const struct op_id *file, sweep_judged_fn *done);
void retire_judge_free(struct sweep *sweep);

#endif
