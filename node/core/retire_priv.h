/* retire_priv: what retire*.c share. */
#ifndef TOYSTORE_CORE_RETIRE_PRIV_H
#define TOYSTORE_CORE_RETIRE_PRIV_H

#include "core/core_priv.h"

enum {
    RETIRE_STEP_MS = 100,         /* how often what is due is looked at, besides events */
    RETIRE_PAGE = 4096,           /* sessions in one Retired */
    RETIRE_SERVED_MAX = 256,      /* requests of others whose sessions are being written */
    RETIRE_DUE_MAX = MEMBERS_MAX, /* sessions that wait to be retired; others are forgotten */
    RETIRE_TAKEOVER_PROBES = 5,   /* the next in rank takes over after */
    RETIRE_RETRY_PROBES = 5       /* a put that failed is made again after */
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

struct retire {
    struct map noted;     /* session -> this */
    struct session *list; /* the same in the order in which they were noted here */
    size_t count, capacity;
    struct hash128 digest;
    /* retire_tell.c */
    struct map tellers; /* node_id -> struct teller */
    struct pool served;
    struct timer step;
    size_t in_force;        /* of the list: the first so many are */
    size_t judged;          /* list and layout when that was looked at last, */
    uint32_t judged_newest; /* unless somebody acknowledged more since: */
    bool told_more;
    /* retire_propose.c */
    struct list due; /* of struct retiring */
    size_t due_count;
    uint64_t handles;
};

/* retire.c: adds the note to a durable batch; retire_note once that is committed. */
void retire_add(struct batch *batch, const struct session *session);
void retire_note(struct core *core, const struct session *session);
void retire_record(struct core *core, const struct session *session);
void retire_tell_init(struct retire *retire);
void retire_tell_free(struct retire *retire);
void retire_tell(struct core *core);
void retire_propose_free(struct retire *retire);
void retire_propose(struct core *core);
void retire_wake(struct core *core); /* looks at what is due, soon */

#endif
