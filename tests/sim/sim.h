/* sim: whole clusters of the real core in one process, from one seed.
 *
 * The simulator is a second driver of core/core.h: it feeds events in and carries actions out, in
 * virtual time. Every choice comes from the seed, by streams of their own per subsystem, so that a
 * change of one kind of fault leaves the others as they were. */
#ifndef TOYSTORE_SIM_H
#define TOYSTORE_SIM_H

#include <setjmp.h>

#include "base/heap.h"
#include "base/map.h"
#include "core/core.h"
#include "sim/disk.h"

enum {
    NODES_MAX = 10,      /* storing members and clients of one cluster */
    KEYS_MAX = 6,        /* keys that clients work on */
    CLIENTS_MAX = 6,     /* clients at a time */
    FRAME_QUEUE = 64,    /* first room of a connection's queue */
    ACTIONS_MAX = 20000, /* of one step: more is a queue without a bound */
    EVENTS_MAX = 3000000 /* of one seed: more is a loop */
};

#define MS     1000ull
#define SECOND 1000000ull

/* Streams of chance. */
enum stream {
    STREAM_PLAN,
    STREAM_NET,
    STREAM_DISK,
    STREAM_FAULT,
    STREAM_CLIENT,
    STREAM_CLOCK,
    STREAM_CORE,
    STREAM_SEEDED, /* the streams above begin at places that hang on their number */
    STREAM_FLAVOUR = STREAM_SEEDED,
    STREAM_FILES,
    STREAM_COUNT
};

/* What a plan is about besides what is drawn for all: circumstances that chance alone seldom brings
 * together (plan_flavour.c). */
#define FLAVOURS(F)                                                                                \
    F(NONE, "none")         /* only what was drawn */                                              \
    F(CHANGES, "changes")   /* layouts follow one another: leave, remove, weights, zones */        \
    F(LEADERS, "leaders")   /* leaderships change hands under puts of one key */                   \
    F(DARK, "dark")         /* owners lose power while partitions move */                          \
    F(SIBLINGS, "siblings") /* splits of five and six nodes, long pauses */                        \
    F(GRAVES, "graves")     /* deletes, collection, and owners that change */                      \
    F(LATE, "late")         /* many sessions, and coordinators and clients that sleep for long */  \
    F(FILES, "files")       /* directories, chunks and sync */                                     \
    F(THIN, "thin")         /* one copy acknowledges: less than a majority, and splits */          \
    F(JITTER, "jitter")     /* collections overtake the rounds of one key */                       \
    F(LAGS, "lags")         /* who comes back leads before all that it has missed is told */       \
    F(PICKS, "picks")       /* siblings of which one is gone on from, and the others stay */       \
    F(FALTER, "falter")     /* coordinators end in the middle of their puts */
enum flavour {
#define F(constant, name) FLAVOUR_##constant,
    FLAVOURS(F)
#undef F
        FLAVOUR_COUNT,
    FLAVOUR_DRAWN = FLAVOUR_COUNT /* by the seed */
};
extern const char *const flavour_names[FLAVOUR_COUNT];

/* What a seed draws before anything happens. Chances are in thousandths. */
struct plan {
    uint32_t replicas, write_quorum, read_quorum, partitions;
    unsigned storing, joining, clients, keys, calls;
    unsigned gateways; /* nodes without storage */
    bool strict;       /* no request goes sloppy: histories must be linearizable */
    bool calm_start;   /* faults begin when the cluster stands */
    bool steady;       /* disks always take the same time: what is told does not hang on gossip */
    bool total_loss;   /* power is lost everywhere at once: ordinary puts may go */
    uint64_t delay_low_us, delay_high_us;
    unsigned spike_chance;               /* a delay a hundred times longer */
    unsigned drop_chance, double_chance; /* datagrams */
    unsigned disk_slow_chance;
    uint64_t fault_every_us; /* mean time between faults; 0: none */
    unsigned weights[24];    /* of each kind of fault (fault.c) */
    uint64_t safety_us;      /* how long faults go on */
    uint64_t think_us;       /* mean pause of a client */
    uint32_t probe_interval_ms, handoff_interval_ms;
    uint32_t collect_min; /* tombstones of a partition that are collected unasked */
    unsigned deletes;     /* operations in a hundred that delete */
    unsigned blind;       /* puts in a thousand that name nothing */
    unsigned picks;       /* in a thousand: puts that name the first version alone, of several */
    enum flavour flavour;
    unsigned zones;        /* storing members are spread over; 0: none is named */
    bool weighted;         /* storing members have different weights */
    uint64_t pause_max_us; /* of a process */
    unsigned sessions;     /* operations of a client under one session of its own; 0: the node's */
    uint64_t again_max_us; /* before what is in doubt is tried again */
    bool files;            /* clients of directories and chunks work too (files.c) */
};

struct sim;
struct sim_event;
typedef void sim_fire_fn(struct sim *sim, struct sim_event *event);

struct sim_event {
    struct heap_node node;
    sim_fire_fn *fire;
    unsigned who;  /* node */
    uint64_t life; /* of that node: an event for a process that has ended is dropped */
    uint64_t a, b;
    struct core_event event;
    struct action action;
    struct sim_event *next; /* in a list of held events */
};

enum node_state { NODE_NEW, NODE_UP, NODE_DOWN };

struct sim_node {
    unsigned index;
    enum node_state state;
    bool storing, paused, leaving;
    node_id id;   /* of the member that it was last */
    bool removed; /* for good: should it come back all the same, no client asks it any more */
    bool gone;    /* it stops, since it has heard of that */
    struct core *core;
    struct core_config config;
    uint64_t life;  /* processes so far */
    uint64_t boots; /* power losses so far */
    uint64_t started_us, clock_base_us;
    int64_t skew_us;
    int64_t drift_ppm; /* its clock is so much too fast */
    uint64_t tick_at;
    uint64_t stepped_us;  /* the last now_us that the core was given */
    uint64_t connections; /* inbound ids given */
    struct disk disk;
    uint64_t disk_free_at;
    uint64_t disk_full_until;
    bool ready;
    bool forgot;                        /* lost unsynced writes, and may not have recovered */
    struct sim_event *held, **held_end; /* for a paused process, in order */
    size_t crash_after;                 /* actions of the next step; 0: none */
    bool crash_power, stop_asked;
    uint64_t resumed_us;
    const void *layout_seen;
    uint64_t seen_empty; /* queues that were, since all is quiet: a bit each (check_queue.c) */
};

struct sim {
    uint64_t seed, now_us;
    unsigned broken;
    bool sloppy;          /* no plan is strict */
    enum flavour flavour; /* of the plan, or FLAVOUR_DRAWN */
    bool reduced;         /* a member was removed for good, and not all owners hold since */
    bool print;
    struct prng streams[STREAM_COUNT];
    struct plan plan;
    struct heap queue;
    uint64_t events;
    struct sim_node nodes[NODES_MAX];
    unsigned node_count;
    struct net *net;
    struct clients *clients;
    struct files *files;
    struct map hinted; /* check_hint.c: sloppy puts that there were hints for */
    struct checks *checks;
    struct map *covered;     /* sloppy put -> what it covers (check_cover.c) */
    struct map *stood;       /* version -> its highest ballot (check_rival.c) */
    struct map *sightings;   /* register -> who has had it (check_rule.c) */
    struct retired *retired; /* NULL: nobody sleeps until it is retired */
    struct mounts *mounts;   /* NULL: there are none */
    uint64_t trace_hash, trace_lines;
    uint64_t healed_us;
    bool healed;               /* the liveness phase: nothing fails any more */
    uint64_t quarrel_us;       /* a replay prints differing owners, then not before this */
    struct sim_event *current; /* being fired */
    jmp_buf failure;
    char reason[400];
};

/* ---- run.c ---- */
/* One seed from the beginning to the end. False: it failed, sim->reason says how. */
bool sim_run(struct sim *sim);

/* ---- loop.c ---- */
void sim_free(struct sim *sim);
void sim_loop_until(struct sim *sim, uint64_t until_us);
/* Ends the seed: something that must not happen has happened. */
__attribute__((noreturn, format(printf, 2, 3))) void sim_fail(struct sim *sim, const char *format,
                                                              ...);
struct sim_event *sim_at(struct sim *sim, uint64_t at_us, sim_fire_fn *fire);
struct sim_event *sim_at_node(struct sim *sim, uint64_t at_us, sim_fire_fn *fire,
                              const struct sim_node *node);
void sim_event_free(struct sim_event *event);
uint64_t sim_between(struct sim *sim, enum stream stream, uint64_t low, uint64_t high);
bool sim_chance(struct sim *sim, enum stream stream, unsigned thousandths);

/* ---- node.c: processes ---- */
void node_init(struct sim *sim, unsigned index, bool storing, unsigned seed_of);
void node_start(struct sim *sim, struct sim_node *node);
/* Ends a process; with its power a machine loses what is not synced. */
void node_kill(struct sim *sim, struct sim_node *node);
void node_lose_power(struct sim *sim, struct sim_node *node);
void node_pause(struct sim *sim, struct sim_node *node);
void node_resume(struct sim *sim, struct sim_node *node);
/* Its machine is set up anew, with nothing on the disk: another member when it starts. */
void node_replace(struct sim *sim, struct sim_node *node);
/* From now on its clocks run so much too fast. */
void node_drift(struct sim *sim, struct sim_node *node, int64_t ppm);
/* Hands an event to the core, or keeps it while the process is paused. Takes event's references. */
void node_deliver(struct sim *sim, struct sim_node *node, struct core_event *event);
void node_fire(struct sim *sim, struct sim_event *event); /* delivers event->event */
/* Runs a call of the embedding API. */
/* May clients ask it? */
bool node_answers(const struct sim_node *node);
void node_call(struct sim *sim, struct sim_node *node, uint64_t call,
               const struct toystore_request *request);
/* "leave" or "remove"; nobody waits for the answer. */
void node_change(struct sim *sim, struct sim_node *node, const struct core_change *change);
void node_free(struct sim_node *node);

/* ---- store.c: a node's disk in time ---- */
void store_act(struct sim *sim, struct sim_node *node, struct action *action);

/* ---- net.c ---- */
struct net *net_new(void);
void net_free(struct net *net);
void net_act(struct sim *sim, struct sim_node *node, struct action *action);
void net_process_ended(struct sim *sim, struct sim_node *node, bool silent);
void net_block(struct sim *sim, unsigned from, unsigned to, bool blocked);
void net_heal(struct sim *sim);
/* Has every frame arrived that was sent before all was mended? */
bool net_drained(const struct sim *sim);
void net_break_one(struct sim *sim);
/* Who is at the other end; NULL: no such connection. */
struct sim_node *net_peer(struct sim *sim, const struct sim_node *node, uint64_t conn);

/* ---- plan.c, fault.c ---- */
void plan_draw(struct sim *sim);
void plan_print(const struct sim *sim);
void plan_flavour(struct sim *sim);
void faults_start(struct sim *sim);
void faults_heal(struct sim *sim);
void faults_start_later(struct sim *sim, struct sim_node *node);
/* fault_change.c: what changes layouts */
void fault_join(struct sim *sim);
void fault_away(struct sim *sim);
void fault_remove(struct sim *sim);
void fault_weight(struct sim *sim);
struct sim_node *fault_pick(struct sim *sim, enum node_state state);
bool fault_may_forget(struct sim *sim, const struct sim_node *node);

/* ---- client.c: the workload ---- */
struct clients *clients_new(struct sim *sim);
void clients_free(struct sim *sim);
void clients_start(struct sim *sim);
void clients_stop(struct sim *sim); /* no new calls */
size_t clients_open(const struct sim *sim);
void clients_on_reply(struct sim *sim, struct sim_node *node, uint64_t call,
                      const struct toystore_result *result);
void clients_on_death(struct sim *sim, struct sim_node *node);
void clients_check_deadlines(struct sim *sim);
/* Reads every key at every node, strictly; true once all have been answered. */
void clients_read_all(struct sim *sim);

/* ---- files.c: the workload of directories and chunks, of plans that want it ---- */
struct files *files_new(void);
void files_free(struct files *files);
void files_start(struct sim *sim);
void files_stop(struct sim *sim);
size_t files_open(const struct sim *sim);
bool files_is_call(uint64_t call);
void files_on_reply(struct sim *sim, struct sim_node *node, uint64_t call,
                    const struct toystore_result *result);
void files_on_death(struct sim *sim, struct sim_node *node);
void files_on_loss(struct sim *sim); /* of power, everywhere */
void files_check_deadlines(struct sim *sim);
void files_look(struct sim *sim); /* lists and fetches everything, once all is quiet */

/* ---- mounts.c: the workload of mounts, of some plans about retirement; mounts_unswept: NULL, or
 * words that say what is still to be swept ---- */
void mounts_new(struct sim *sim); /* changes the plan */
void mounts_free(struct mounts *mounts);
void mounts_start(struct sim *sim);
void mounts_stop(struct sim *sim);
size_t mounts_open(const struct sim *sim);
bool mounts_is_call(uint64_t call);
void mounts_on_reply(struct sim *sim, struct sim_node *node, uint64_t call,
                     const struct toystore_result *result);
void mounts_on_death(struct sim *sim, const struct sim_node *node);
void mounts_check_deadlines(struct sim *sim);
const char *mounts_unswept(struct sim *sim);
const char *mounts_unrepaired(struct sim *sim);
void mounts_look(struct sim *sim); /* reads everything, once all is quiet */

/* ---- check.c ---- */
/* Does this node, which lost writes, still miss what they were? */
bool check_forgetful(struct sim_node *node);
/* Do all live layouts, as this node sees them, give every partition two owners or more? */
bool check_two_owners(const struct sim_node *node);
/* Has it left the layout, or was it removed, and given up all that it had? */
bool check_has_left(const struct sim_node *node);
struct checks *checks_new(void);
void checks_free(struct checks *checks);
void check_write(struct sim *sim, const struct batch *batch); /* before it is made */
void check_rules(struct sim *sim, const struct sim_node *node,
                 const struct batch *batch); /* when it is asked for */
/* A client of a strict plan was told of this version. */
void check_told(struct sim *sim, struct slice key, const struct toystore_op *op);
void check_stood(struct sim *sim, const struct batch *batch); /* what there is to be told of */
void check_covered(struct sim *sim, const struct sim_node *node, const struct batch *batch);
void sightings_free(struct map *sightings); /* and what is covered */
void check_hints(struct sim *sim, const struct sim_node *node, const struct batch *batch);
/* What any disk has had at any time: */
bool check_was_register(const struct sim *sim, const struct toystore_op *op);
bool check_was_sibling(const struct sim *sim, const struct toystore_op *op);
bool check_went_sloppy(const struct sim *sim, struct slice key);
void check_step(struct sim *sim, struct sim_node *node);         /* after every step of a core */
void check_queues(struct sim *sim, const struct sim_node *node); /* likewise */
/* NULL when it is so, else words that say what is missing: */
const char *check_settled(struct sim *sim);      /* all nodes serve under one finished layout */
const char *check_replicas(struct sim *sim);     /* all owners keep the same */
const char *check_queues_empty(struct sim *sim); /* every queue of every node has been since */
void check_trees(struct sim *sim); /* hash trees are those of the records on the disk */
void check_history(struct sim *sim);

/* ---- retired.c ---- */
bool retired_drawn(const struct sim *sim); /* is this seed of that kind? */
void retired_plan(struct sim *sim);
void retired_start(struct sim *sim);
void retired_free(struct retired *retired);
void retired_step(struct sim *sim, struct sim_node *node); /* after every step of a core */
void retired_write(struct sim *sim, const struct sim_node *node,
                   const struct batch *batch); /* when it is asked for */

/* ---- trace.c ---- */
void trace_event(struct sim *sim, const struct sim_node *node, const struct core_event *event);
void trace_record(struct slice stored);
void trace_action(struct sim *sim, const struct sim_node *node, const struct action *action);
__attribute__((format(printf, 3, 4))) void trace_say(struct sim *sim, const struct sim_node *node,
                                                     const char *format, ...);

#endif
