/* event: what goes into a core and what comes out of it: events, actions, and its configuration. */
#ifndef TOYSTORE_CORE_EVENT_H
#define TOYSTORE_CORE_EVENT_H

#include <toystore/toystore.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/prng.h"
#include "rules/layout.h"
#include "wire/types.h"

struct core;
struct core_event;

#define CONN_INBOUND (1ull << 63)

enum { HOST_SIZE_MAX = 64, NAME_SIZE_MAX = 64 };

/* A numeric IPv4 or IPv6 address and a port. */
struct address {
    char host[HOST_SIZE_MAX];
    uint16_t port;
};

static inline bool address_equal(const struct address *a, const struct address *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* Where a storage or resolver result goes back to; the driver hands it back unseen. */
struct resume {
    void (*fn)(struct core *core, const struct core_event *event, struct resume resume);
    uint64_t handle;
    uint64_t index;
};

/* ---- events ---- */

enum event_type {
    EVENT_TICK,      /* time has passed */
    EVENT_OPENED,    /* conn: outbound is connected, or a new inbound */
    EVENT_CLOSED,    /* conn: closed by the peer, failed to connect, or broke; never after
                        ACTION_CLOSE */
    EVENT_FRAME,     /* conn, bytes */
    EVENT_DATAGRAM,  /* from, bytes */
    EVENT_RESOLVED,  /* resume, status (0 or negative errno), from */
    EVENT_LOADED,    /* resume, status (0, -ENOENT, -EUCLEAN, -EIO), bytes */
    EVENT_COMMITTED, /* resume, status (0, -ENOSPC, -EIO, -ESHUTDOWN: this node stops) */
    EVENT_SCANNED,   /* resume, status, pairs, more */
    EVENT_ROOM,      /* resume, status, room_size, room_free */
    EVENT_CALL,      /* call, request: from the embedding API */
    EVENT_CHANGE,    /* call, change: answered like EVENT_CALL, once the wish is durable */
    EVENT_LEAVE      /* end well: nothing new is taken, calls under way are answered, the others
                        are told, the directory is marked clean, then ACTION_STOP with status 0 */
};

/* What is to change in the layout: messages.def, change_request. */
struct core_change {
    struct slice what, member;
    bool force, accept_loss;
};

struct scan_pair {
    struct slice key, value;
};

struct core_event {
    enum event_type type;
    uint64_t now_us; /* monotonic, never goes back */
    int64_t wall_us; /* the wall clock; may jump */
    uint64_t conn;
    struct address from;
    struct blob *bytes; /* borrowed: the core takes a reference of its own if it keeps it */
    struct resume resume;
    int status;
    bool written; /* COMMITTED that failed: it stands in the store, but may not be durable */
    const struct scan_pair *pairs; /* borrowed */
    size_t pair_count;
    bool more;                     /* the scan ended at its limit */
    uint64_t room_size, room_free; /* bytes of the store's disk, and those still to be had */
    uint64_t call;
    const struct toystore_request *request; /* borrowed */
    const struct core_change *change;       /* borrowed */
};

/* ---- actions ---- */

enum action_type {
    ACTION_CONNECT,  /* conn, address (TCP) */
    ACTION_CLOSE,    /* conn */
    ACTION_SEND,     /* conn, head then body (either may be NULL): one frame */
    ACTION_DATAGRAM, /* address, body */
    ACTION_RESOLVE,  /* resume, text "HOST[:PORT]": answered by EVENT_RESOLVED */
    ACTION_LOAD,     /* resume, space, key */
    ACTION_COMMIT,   /* resume, batch, durable */
    ACTION_SCAN,     /* resume, space, key <= k < end (empty: to the end), limit pairs at most */
    ACTION_ROOM,     /* resume: how much room the store's disk has */
    ACTION_REPLY,    /* call, result: answers EVENT_CALL or EVENT_CHANGE exactly once */
    ACTION_MEMBER,   /* member_event, member: for toystore_on_event */
    ACTION_READY,    /* the node serves */
    ACTION_LOG,      /* level (0 error .. 3 debug), text */
    ACTION_STOP      /* status (0 after EVENT_LEAVE, else negative errno), text: the node must end
                        now, and says why; given once */
};

/* Writes that are made together or not at all. Filled with batch_put and batch_remove. */
struct batch {
    struct batch_write *writes;
    size_t count, capacity;
};

struct batch_write {
    enum toystore_space space;
    bool remove;
    struct blob *key, *value; /* owned; value NULL when removing */
    /* The end of a large value, which is not copied for it, and what it lies in, a reference. Only
     * for a driver that said takes_parts. */
    struct slice rest;
    struct blob *rest_in;
};

void batch_put(struct batch *batch, enum toystore_space space, struct slice key,
               struct slice value);
void batch_put_blob(struct batch *batch, enum toystore_space space, struct slice key,
                    struct blob *value); /* takes the reference */
/* A value of two parts; takes the reference of the first. */
void batch_put_parts(struct batch *batch, enum toystore_space space, struct slice key,
                     struct blob *value, struct slice rest, struct blob *rest_in);
void batch_remove(struct batch *batch, enum toystore_space space, struct slice key);
void batch_free(struct batch *batch); /* empty after */

struct action {
    enum action_type type;
    uint64_t conn;
    struct address address;
    struct blob *head, *body;
    struct resume resume;
    enum toystore_space space;
    struct blob *key, *end;
    size_t limit;
    struct batch batch;
    bool durable;
    uint64_t call;
    struct call_result *result;
    enum toystore_event_type member_event;
    struct member_copy *member;
    int level, status;
    char *text;
};

/* A result with all that it points to, in one arena. */
struct call_result {
    struct toystore_result result;
    char message[160];
    struct arena arena;
};

struct member_copy {
    struct toystore_member member;
    char name[NAME_SIZE_MAX + 1], host[HOST_SIZE_MAX], zone[ZONE_SIZE_MAX + 1];
};

/* A queue in order; the driver takes from the front until it is empty, then frees what it took. */
struct actions {
    struct action *items;
    size_t first, count, capacity;
};

bool actions_take(struct actions *actions, struct action *ret_action);
void action_free(struct action *action); /* drops what it owns; safe on what was moved out (NULL) */
void actions_free(struct actions *actions);

/* ---- what a core is told at its start ---- */

struct core_config {
    bool storing;
    struct address rpc, gossip; /* where others find this node */
    char name[NAME_SIZE_MAX + 1], cluster_name[NAME_SIZE_MAX + 1], zone[ZONE_SIZE_MAX + 1];
    uint32_t weight;
    uint32_t replicas, write_quorum, read_quorum, partitions;
    bool write_quorum_given,
        read_quorum_given; /* then requests default to them, not to the cluster */
    bool replicas_given, partitions_given;
    bool strict_quorum;
    uint32_t handoff_interval_ms, probe_interval_ms;
    uint32_t collect_min; /* tombstones of a partition that are collected unasked; 0: as usual */
    char seeds[TOYSTORE_SEEDS_MAX][300]; /* "HOST[:PORT]", without this node itself */
    unsigned seed_count;
    char boot_id[40];     /* the kernel's, or whatever changes when unsynced writes may be gone */
    bool store_repaired;  /* the store lost something when it was opened */
    uint64_t random_seed; /* from the kernel's entropy; the simulator's from its seed */
    int log_level;
    bool takes_parts; /* the driver: values of batches may come in two parts */
    unsigned broken;  /* 1 + the row of tests/sim/broken.def; only in test builds, else 0 */
};

/* A fresh op id of this process. */
struct op_id core_op_new(struct core *core);

#endif
