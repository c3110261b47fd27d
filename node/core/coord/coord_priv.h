/* coord_priv: what the coordinator's files share. */
#ifndef TOYSTORE_CORE_COORD_PRIV_H
#define TOYSTORE_CORE_COORD_PRIV_H

#include "core/coord/coord.h"
#include "core/rpc/rpc.h"
#include "core/state/operation.h"
#include "core/state/state.h"
#include "rules/judge.h"
#include "rules/key.h"
#include "rules/tally.h"

enum {
    COORD_OPS_MAX = 2 * CALLS_MAX, /* of each kind; the callers' own limits are lower */
    COORD_LED_MAX = 65536,         /* keys led after an own round */
    COORD_TRIED_MAX = 65536,       /* ops of callers that may be tried again */
    COORD_PAUSE_MS = 50,           /* between two passes over owners that do not answer */
    COORD_PAUSE_MS_MAX = 200,      /* where doubling stops */
    COORD_LOST_FORWARD_MS = 300,   /* to a coordinator that cannot reach a majority either */
    COORD_SLOPPY_AFTER_MS = 3000,  /* of trying for a majority, where a put may do without */
    COORD_PATIENCE_MS = 1000       /* before a get or a put does without a quorum */
};

struct coord {
    struct pool puts, gets, lists, list_serves, stores, fetches, syncs, rooms, room_serves,
        sloppies;
    struct map keys;  /* key -> struct coord_key: what runs and waits here, per key */
    struct map led;   /* key -> struct key_led */
    struct map tried; /* op -> struct op: what a caller's op was first asked with */
    struct list tried_order;
    struct map last; /* session and key, hashed -> struct last_put (coord_last.c) */
    struct list last_order;
    struct map last_forgotten; /* sessions of which some were forgotten */
    struct map own; /* key -> struct own_key: what its askers put sloppily (coord_own.c) */
    struct list own_order;
    size_t own_bytes;
    struct timer own_timer;
    struct list refused; /* requests that could not begin, to be answered from outside */
    struct timer refused_timer;
};

/* ---- results (coord_result.c) ---- */

/* The visible versions of a record as a result; borrows from the record and the arena. */
void result_versions(struct arena *arena, const struct record *record,
                     struct toystore_result *result);
/* A tombstone that carries words of its own (where its file went): shown beside NOT_FOUND. */
void result_tombstone(struct arena *arena, const struct record *record,
                      struct toystore_result *result);
static inline struct slice slice_public(struct toystore_bytes bytes)
{
    return slice_of(bytes.data, bytes.size);
}
static inline struct toystore_bytes slice_to_public(struct slice slice)
{
    return (struct toystore_bytes){slice.data, slice.size};
}
/* Deep copy of a request into the arena. */
void request_copy(struct arena *arena, const struct toystore_request *from,
                  struct toystore_request *to);
/* Answers from outside with nothing but a status. */
void ask_refuse(struct core *core, ask_done_fn *done, uint64_t handle, enum toystore_status status,
                const char *message);
/* The same for a settling. */
void settle_refuse(struct core *core, settle_done_fn *done, uint64_t handle, uint64_t index,
                   enum toystore_status status);

/* Each file's pool, and what is under way when the core ends. */
#define COORD_PARTS(P)                                                                             \
    P(last)                                                                                        \
    P(own)                                                                                         \
    P(retry)                                                                                       \
    P(get) P(list) P(store) P(fetch) P(sync) P(room) P(put) P(sloppy)
#define PART(name)                                                                                 \
    void coord_##name##_init(struct coord *coord);                                                 \
    void coord_##name##_free_all(struct coord *coord);
COORD_PARTS(PART)
#undef PART
void coord_refusals_free(struct coord *coord);
void coord_list_serve_init(struct coord *coord);
void coord_list_serve_free(struct coord *coord);
void coord_forget_led(struct coord *coord);

/* ---- coord_retry.c ---- */

/* What an op that may be tried again was asked with. */
struct retry {
    struct op op;
    bool stored;    /* sloppy copies of it may be somewhere */
    bool refused;   /* by the register's chain, after that */
    bool unsure;    /* whether there are */
    bool asks_only; /* its first time and era are not known here, and never will be */
    uint64_t
        before; /* sequence of the put of its session to this key before it; 0: there is none */
};

/* `id` as the caller names the op. */
void retry_remember(struct coord *coord, const struct op_id *id, const struct retry *retry);
const struct retry *retry_find(const struct coord *coord, const struct op_id *id); /* or NULL */

/* ---- coord_last.c ---- */

enum { LAST_PUTS_MAX = 65536 };
#define LAST_UNKNOWN UINT64_MAX /* it was forgotten: a put that nobody can have read */

/* `line`: session, then key. The sequence of the last put that is, or may be, in the key's record;
 * 0: this node was asked for none. */
uint64_t last_put(const struct core *core, struct slice line);
void last_put_note(struct core *core, struct slice line, uint64_t sequence);

/* ---- coord_sloppy.c ---- */

/* Puts as a sloppy put (PROTOCOL 6) with the same op; done from outside. OK, CONFLICT and other
 * refusals, NOT_APPLIED (nothing was sent) or INDETERMINATE. */
void coord_sloppy(struct core *core, const struct toystore_request *request,
                  const struct retry *retry, uint64_t deadline_us, ask_done_fn *done,
                  uint64_t handle);

/* At an owner: reads all owners and stores the merge where it is missing; nobody waits. */
void coord_get_repair(struct core *core, struct slice key);

/* Is the base of what was shown chosen, by q owners of every live layout? */
static inline bool coord_chosen(const struct core *core, struct tally *tally)
{
    unsigned layouts = tally->electorate.layout_count;
    if (BROKEN(core, chosen_one_layout))
        tally->electorate.layout_count = 1;
    (void)core;
    bool chosen = tally_chosen(tally);
    tally->electorate.layout_count = layouts;
    return chosen;
}

/* May a request go on without a majority? */
static inline bool request_strict(const struct core *core, const struct toystore_request *request)
{
    return request->strict > 0 || (request->strict == 0 && core->config.strict_quorum);
}

/* Milliseconds until a deadline, at least 1, at most `max_ms`. */
static inline unsigned until_ms(const struct core *core, uint64_t deadline_us, unsigned max_ms)
{
    uint64_t left = deadline_us > core->now_us ? (deadline_us - core->now_us) / 1000 : 0;
    return (unsigned)min_u64(max_u64(left, 1), max_ms);
}

/* The members' mask of an electorate that can be asked now. */
uint32_t electorate_reachable(const struct core *core, uint32_t partition,
                              const struct electorate *electorate);

#endif
