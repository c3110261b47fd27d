/* state: what all rooms of the core share: the node as it stands, and what a room tells those above
 * it. Each room keeps its own part behind a pointer. */
#ifndef TOYSTORE_CORE_STATE_H
#define TOYSTORE_CORE_STATE_H

#include "base/heap.h"
#include "base/map.h"
#include "base/pool.h"
#include "core/state/disk.h"
#include "core/state/limits.h"
#include "core/state/member.h"
#include "core/state/timer.h"

struct rpc_request;

/* What a room tells those above it, which it does not know: core.c says who hears it. */
struct core_hooks {
    /* A member's request, new or parked: to the handler of its method. */
    void (*request)(struct core *core, const struct rpc_request *request);
    /* Gossip says something new of a member. */
    void (*member)(struct core *core, enum toystore_event_type type, const struct member *member);
    /* A process has ended: nobody goes on under its session. `name`: of its member. */
    void (*session_over)(struct core *core, const struct session *session, const char *name);
    /* A member will never come back: nobody waits for it; that is being noted; some were. */
    void (*gone)(struct core *core, node_id id);
    void (*gone_noted)(struct core *core, node_id id);
    void (*fewer)(struct core *core);
    /* core->self has changed: it is told. */
    void (*self_changed)(struct core *core);
    /* Q is known. */
    void (*partitions)(struct core *core, uint32_t count);
    /* See view_changed. */
    void (*view_changed)(struct core *core);
    /* Tombstones of the partition that are older than this era were collected. */
    void (*collected)(struct core *core, uint32_t partition, struct era era);
    /* The stored copy of the key was found damaged. */
    void (*damaged)(struct core *core, struct slice key);
};

struct core {
    const struct core_hooks *hooks;
    struct core_config config;
    uint64_t now_us;
    int64_t wall_us;
    uint64_t hybrid_us; /* highest op time given or told */
    struct prng prng;
    struct actions *out; /* valid inside core_start and core_step */
    struct heap timers;
    uint64_t stepped_us;     /* the last step */
    uint64_t timers_from_us; /* none fires before */

    node_id id;
    struct session session;
    uint64_t sequence;    /* of the last op of this session */
    bool session_stored;  /* chunks, and the disk knows (session.c) */
    struct session *past; /* earlier ones that have stored chunks, and wait to be retired */
    size_t past_count;
    struct member self;            /* what gossip says of this node */
    uint32_t partitions, replicas; /* of the newest layout, for Hello; 0: in no cluster yet */
    bool started, ready, stopping; /* stopping: EVENT_LEAVE came, nothing new is taken */
    bool stopped;                  /* ACTION_STOP was given */
    uint64_t *nonces;              /* of this directory's starts, newest first */
    size_t nonce_count;
    bool forgot;       /* this start may have lost accepts and promises (PROTOCOL 7 Forgetting) */
    bool clean_marked; /* the directory is marked clean: no commit any more */
    size_t calls_open; /* EVENT_CALLs not yet answered */
    struct timer leave_timer;
    struct list disk_answers; /* see disk.c */
    struct boot *boot;        /* while the disk is read at the start, then NULL */

    struct members *members;
    struct rpc *rpc;
    struct swim *swim;
    struct views *views;
    struct holders *holders;
    struct replica *replica;
    struct trees *trees;
    struct syncs *syncs;
    struct coord *coord;
    struct asks *asks;
    struct hints *hints;
    struct entropy *entropy;
    struct lead *lead;
    struct move *move;
    struct graves *graves;
    struct collect *collect;
    struct reports *reports;
    struct retire *retire;
};

/* Deliberately broken builds for the simulator's checkers (tests/sim/broken.def); 0 in products. */
#ifdef TOYSTORE_BREAKABLE
#include "sim/broken.h"
#define BROKEN(core, name) ((core)->config.broken == 1 + BROKEN_##name)
#else
#define BROKEN(core, name) false
#endif

struct action *core_act(struct core *core, enum action_type type); /* appended; fill it in */

#define CORE_GONE_MESSAGE                                                                          \
    "this member was removed from its cluster for good: begin again with an empty data directory"

enum { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
__attribute__((format(printf, 3, 4))) void core_log(struct core *core, int level,
                                                    const char *format, ...);
__attribute__((format(printf, 3, 4))) void core_stop(struct core *core, int status,
                                                     const char *format, ...);

/* boot.c: reads the disk, settles who this node is, then starts everything. */
void boot_begin(struct core *core);
void boot_free(struct core *core);
/* EVENT_LEAVE's last act: the directory is clean, then ACTION_STOP. */
void boot_mark_clean(struct core *core);

/* result.c: copies for those outside. member_public borrows its strings from the member. */
struct call_result *result_copy(const struct toystore_result *result);
struct toystore_member member_public(const struct member *member);

/* What core_step runs until nothing is left; false: nothing was due. */
bool timers_run_one(struct core *core);
bool disk_run_one(struct core *core);
void disk_free(struct core *core);
/* This node is in a cluster, knows its layout and can coordinate: ACTION_READY once. */
void core_set_ready(struct core *core);

/* A time for a new op: the wall clock, but above all that was told (at most 5 s ahead). */
enum { HYBRID_AHEAD_US_MAX = 5000000 };
uint64_t core_hybrid_us(struct core *core);
void core_hybrid_told(struct core *core, uint64_t time_us);

#endif
