/* ask_put: one put as seen by who asks, shared by ask_put.c (the line of its session, routing, the
 * end) and ask_answer.c (what a coordinator answered). */
#ifndef TOYSTORE_CORE_ASK_PUT_H
#define TOYSTORE_CORE_ASK_PUT_H

#include "core/ask/ask_priv.h"

/* One coordinator that the op was given to. */
struct given {
    node_id id;
    bool open;  /* no answer yet */
    bool again; /* it was told that it is not the first */
    bool tried; /* in this pass over the owners */
};

struct ask_line {
    struct list waiting; /* of struct ask_put; the first one runs */
    size_t count;
    size_t name_size;
    uint8_t name[];
};

struct ask_put {
    struct operation op;
    struct list link;
    struct ask_line *line;
    ask_done_fn *done;
    uint64_t done_handle;
    struct arena arena;
    struct toystore_request request; /* a copy, in the arena */
    struct slice key;
    uint32_t partition;
    struct op name;    /* the op */
    uint64_t before;   /* see struct retry */
    uint64_t floor_us; /* its time must be above (TOO_LATE) */
    bool maybe;        /* an accept with this op may be somewhere */
    bool stored;       /* sloppy copies of it may be somewhere */
    bool refused;      /* by the register's chain, after that */
    bool unsure;       /* whether there are: the tries before were not this node's */
    bool asks_only;    /* of an op whose first time and era are not known: what became of it? */
    bool sloppy_may, foreign_op;
    bool bound; /* to the session in which it was asked for: never begun anew in another */
    struct op_id caller_op; /* sequence 0: the caller named none */
    unsigned taken;         /* coordinators that have the op, or may */
    unsigned renames;
    struct given given[ELECTORATE_MAX];
    unsigned given_count;
    enum toystore_status last; /* why the last owner could not */
    struct view stale_view;
    node_id stale_from;
    node_id coordinator; /* the last one that was asked */
    struct timer timer, deadline;
    uint64_t deadline_us;
    uint64_t alone_us; /* since when no owner can be asked; 0: one can */
};

enum {
    ASK_NEW,
    ASK_WAITING, /* for an earlier put of this session to this key */
    ASK_ROUTE,   /* to the next owner */
    ASK_GIVEN,   /* a coordinator has it */
    ASK_PAUSE,   /* no owner left in this pass */
    ASK_STALE,   /* taking over a newer view */
    ASK_SLOPPY,
    ASK_DONE
};

struct ask_put *ask_find(struct core *core, uint64_t handle);
void ask_move(struct core *core, struct ask_put *put, unsigned state);
bool ask_any_open(const struct ask_put *put);
/* The next in its line may go on. */
void ask_leave_line(struct core *core, struct ask_put *put);

/* The one answer. */
void ask_finish(struct core *core, struct ask_put *put, struct toystore_result *result);
void ask_finish_status(struct core *core, struct ask_put *put, enum toystore_status status);
/* Nobody has applied it, or somebody may. */
void ask_finish_failed(struct core *core, struct ask_put *put);
/* No majority yet: a sloppy put, or another pass while there is time for one. */
void ask_without_majority(struct core *core, struct ask_put *put);

/* Refused in its session: begun anew in a new one where that is certain to be the first time. */
void ask_retired(struct core *core, struct ask_put *put);
/* FORWARD's answer (ask_answer.c); `index` into put->given. */
void ask_answer(struct core *core, uint64_t handle, uint64_t index,
                const struct rpc_answer *answer);

#endif
