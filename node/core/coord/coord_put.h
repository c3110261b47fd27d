/* coord_put: one task of a coordinator on one key: a put, a settling, a re-accepting. Shared by
 * coord_put.c (the door, the key's queue, the answer), coord_leader.c (one round) and
 * coord_round.c (two). */
#ifndef TOYSTORE_CORE_COORD_PUT_H
#define TOYSTORE_CORE_COORD_PUT_H

#include "core/coord/coord_priv.h"
#include "core/replica/replica.h"
#include "core/retire/retire.h"

enum task_kind {
    TASK_PUT,     /* FORWARD */
    TASK_REPAIR,  /* REPAIR: settle, reply with the record */
    TASK_SETTLE,  /* coord_settle: always by a round */
    TASK_REACCEPT /* coord_reaccept: only as leader */
};

/* A key with tasks at this coordinator: they run one at a time, in order. */
struct coord_key {
    struct list queue; /* of struct coord_put, the first one runs */
    size_t count;
    struct ballot chosen;  /* the last register that is known to be chosen from here, */
    struct view chosen_in; /* in this view */
    size_t name_size;
    uint8_t name[];
};

/* A key whose last round was this node's: it leads the key in that view (PROTOCOL 4, leader). */
struct key_led {
    struct ballot ballot; /* turn 0 */
    struct view view;
};

struct coord_put {
    struct operation op;
    struct list link; /* in its key's queue, while it waits or runs */
    struct coord_key *at;
    enum task_kind kind;

    /* where the answer goes */
    struct rpc_origin origin;
    settle_done_fn *done;
    uint64_t done_handle, done_index;

    /* what is asked */
    struct blob *frame; /* the request lies in it */
    struct slice key;
    struct blob *key_bytes; /* SETTLE, REACCEPT: the key's own copy, and the base's */
    struct blob *base_bytes;
    struct judge_put put;
    struct record own; /* what its asker has put sloppily and not read in a register yet: */
    struct wire_list own_items; /* the same as it came, in the frame */
    struct ballot seen;         /* REPAIR: what the answer must be at or above */
    unsigned w;
    bool durable;
    struct arena request_arena;

    /* how it goes */
    uint32_t partition;
    struct view view; /* under which this attempt runs */
    struct ballot ballot;
    uint64_t counter_seen;
    unsigned tries;
    uint32_t attempt; /* answers of an earlier one are not looked at */
    bool leading;     /* this attempt is the leader's one round */
    bool rounds_only; /* a NACK or an open key: no leader's round any more */
    bool finishing;   /* its session is retired: only what was begun before is finished */
    bool sent;        /* an accept that holds the op was made ... */
    bool sent_before; /* ... by an earlier attempt */
    struct tally tally;
    struct judgement judgement;
    enum toystore_status answer;        /* once what is accepted is chosen */
    bool holds_op;                      /* what is accepted has the op in its chain */
    struct blob *record;                /* encoded: what is accepted, or was judged on */
    struct blob *accept;                /* packed put_request for the others */
    uint32_t others, accepted, refused; /* masks: asked to accept, did, did not */
    bool chosen;                        /* q accepted */
    bool refuses;                       /* only in a broken build */
    bool unknown;                       /* the own copy is damaged */
    bool siblings;                      /* there are sloppy puts that may be dropped once settled */
    struct view stale_view;
    node_id stale_from;
    struct timer timer, deadline;
    uint64_t deadline_us;
};

enum {
    PUT_NEW,
    PUT_QUEUED,
    PUT_LEAD,    /* own record judged and accepted at once, as leader */
    PUT_PROMISE, /* own promise of a new ballot */
    PUT_PREPARE, /* the others' promises */
    PUT_ADOPT,   /* own accept of what was judged */
    PUT_ACCEPT,  /* the others' accepts */
    PUT_PAUSE,   /* after a NACK or a lack of owners */
    PUT_STALE,   /* taking over a newer view */
    PUT_BEHIND,  /* answered; stragglers are open */
    PUT_DONE
};

static inline struct coord_put *put_of(struct operation *operation)
{
    return container_of(operation, struct coord_put, op);
}

struct coord_put *put_find(struct core *core, uint64_t handle);
void put_move(struct core *core, struct coord_put *put, unsigned state);

/* Entry functions of the states, one file each. */
void put_lead(struct core *core, struct operation *operation);
void put_promise(struct core *core, struct operation *operation);
void put_prepare(struct core *core, struct operation *operation);
void put_adopt(struct core *core, struct operation *operation);

/* May the leader's round be tried (coord_leader.c)? */
bool put_may_lead(struct core *core, const struct coord_put *put);
/* Begins an attempt under the present view: false when this node does not own the key any more
 * (the task is answered then). */
bool put_begin(struct core *core, struct coord_put *put);
/* Goes on after a NACK, a stale view, or when too few owners answer. */
void put_nacked(struct core *core, struct coord_put *put, const struct ballot *promised);
void put_stale(struct core *core, struct coord_put *put, const struct view *view, node_id from);
void put_short(struct core *core, struct coord_put *put);
/* The op's session is retired: nothing is begun any more in its name. */
void put_retired(struct core *core, struct coord_put *put);
static inline bool put_is_retired(const struct core *core, const struct coord_put *put)
{
    return put->kind == TASK_PUT && !put->finishing && retire_refuses(core, &put->put.op.id);
}
/* The one answer; the key's next task runs. The put itself goes on to PUT_BEHIND or is done. */
void put_answer(struct core *core, struct coord_put *put, enum toystore_status status);

/* ---- accepting, shared by the leader and by rounds (coord_accept.c) ---- */

/* In the work of replica_run: the own accept of `record` (with put->ballot), and what the others
 * get. False: the promise forbids it. */
bool put_own_accept(struct core *core, struct coord_put *put, struct replica_work *work,
                    const struct record *record);
/* It was not written, or not durable: answers with the reason. */
void put_own_failed(struct core *core, struct coord_put *put, const struct replica_work *work);
void put_accept(struct core *core, struct operation *operation);
/* Stragglers have answered or will not: hints for those that miss it, then the end. */
void put_behind(struct core *core, struct operation *operation);
bool put_alone(const struct coord_put *put); /* the key's only owner, in one live layout */
uint32_t put_self(const struct core *core, const struct coord_put *put);
const struct ballot *put_promised(struct core *core, const struct coord_put *put,
                                  const struct replica_work *work);
/* The members to ask: those that can be reached, or all when they are too few. */
uint32_t put_targets(struct core *core, struct coord_put *put, enum quorum quorum);

/* ---- the key's own leadership (coord_leader.c) ---- */
void put_remember_round(struct core *core, struct coord_put *put);

static inline uint64_t put_index(const struct coord_put *put, unsigned member)
{
    return (uint64_t)put->attempt << 8 | member;
}

#endif
