/* toystore.h: a toystore node inside any C program.
 *
 *     struct toystore_config config;
 *     toystore_config_init(&config);
 *     toystore_config_set(&config, "seed", "10.0.0.7", error, sizeof error);
 *     struct toystore *node;
 *     toystore_new(&config, &node, error, sizeof error);
 *     toystore_start(node);
 *     toystore_put_string(node, "users/alice", "hi");
 *     toystore_stop(node);
 *     toystore_free(node);
 *
 * Every function may be called from any thread unless it says otherwise. Pointers that are passed
 * in are borrowed until the call returns; what a callback is shown is borrowed until it returns.
 */
#ifndef TOYSTORE_H
#define TOYSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <toystore/store.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TOYSTORE_KEY_SIZE_MAX       4095u      /* a whole key */
#define TOYSTORE_COMPONENT_SIZE_MAX 255u       /* between two slashes */
#define TOYSTORE_VALUE_SIZE_MAX     (1u << 20) /* one value */

/* ---- how an operation ended ---------------------------------------------------------------- */

enum toystore_status {
#define STATUS(name, number, word, meaning) TOYSTORE_##name = number,
#include <toystore/status.def>
#undef STATUS
};

const char *toystore_status_word(enum toystore_status status);    /* "NOT-FOUND" */
const char *toystore_status_meaning(enum toystore_status status); /* a phrase */

/* ---- configuration (the seed's Config, options.def) ----------------------------------------- */

#define TOYSTORE_SEEDS_MAX 16

struct toystore_config {
    char *host, *store, *cluster, *name, *zone, *data, *log_level; /* owned by the config */
    char *seeds[TOYSTORE_SEEDS_MAX];
    unsigned seed_count;
    unsigned rpc_port, gossip_port, replicas, write_quorum, read_quorum, strict_quorum;
    unsigned handoff_interval_ms, probe_interval_ms, weight, partitions;
    /* Which options were given; one bit per line of options.def, in order. */
    uint32_t given;
    /* Try free ports when a port that was not given is taken (mounts do, toystored does not). */
    bool pick_ports;
    /* Give up joining after this long; 0: keep trying. */
    unsigned join_timeout_ms;
    /* Where log lines go; NULL: standard error. `level` is 0 error .. 3 debug. */
    void (*log)(void *arg, int level, const char *line);
    void *log_arg;
    /* A store of one's own, instead of `store`; NULL: the one that is named. */
    const struct toystore_store_ops *store_ops;
};

void toystore_config_init(struct toystore_config *config);
/* `option` as in options.def. 0, or -EINVAL with a message that names the option. */
int toystore_config_set(struct toystore_config *config, const char *option, const char *value,
                        char *error, size_t error_size);
/* `option = value` lines; # begins a comment. What was given before stays. */
int toystore_config_file(struct toystore_config *config, const char *path, char *error,
                         size_t error_size);
/* Checks options against each other (W <= N, ...). */
int toystore_config_check(const struct toystore_config *config, char *error, size_t error_size);
void toystore_config_free(struct toystore_config *config);

/* ---- a node --------------------------------------------------------------------------------- */

struct toystore;

/* Opens the data directory and the ports; nothing runs yet. Errors as negative errno, with a
 * message that says what to do: -EBUSY the data directory is in use, -EADDRINUSE a port is taken,
 * -EUCLEAN the directory is damaged, -EPROTO it belongs to another cluster or a newer toystore. */
int toystore_new(const struct toystore_config *config, struct toystore **ret_node, char *error,
                 size_t error_size);
int toystore_start(struct toystore *node); /* runs the node in a thread of its own */
int toystore_run(struct toystore *node);   /* runs it in the calling thread until it stops; the
                                              result is 0, or why it had to stop */
/* Waits until the node can serve: the founder at once, others when they have joined. 0,
 * -ETIMEDOUT, or why the node stopped. Not from the node's own thread. timeout_ms 0: no limit. */
int toystore_wait_ready(struct toystore *node, unsigned timeout_ms);
/* Stops taking requests, answers those under way, leaves quietly. Does not wait; start()ed nodes
 * are joined by toystore_free. Safe in a signal handler. */
void toystore_stop(struct toystore *node);
/* Why the node stopped by itself, or "". Valid until toystore_free. */
const char *toystore_stop_reason(struct toystore *node);
void toystore_free(struct toystore *node);

unsigned toystore_rpc_port(const struct toystore *node); /* the ports in use */
unsigned toystore_gossip_port(const struct toystore *node);

/* ---- versions ------------------------------------------------------------------------------- */

/* The name of one operation, for ever: the dot of a version, the id of a new file, the name of a
 * chunk, the key of a retry. All zero: none. */
struct toystore_op {
    uint8_t session[12];
    uint64_t sequence;
};

/* Part of the format on disk and on the wire. */
enum toystore_kind {
    TOYSTORE_TOMBSTONE = 0,
    TOYSTORE_FILE = 1,      /* the value is the content */
    TOYSTORE_REFERENCE = 2, /* the content is in the file record .toystore/files/FILE */
    TOYSTORE_DIRECTORY = 3,
    TOYSTORE_SYMLINK = 4, /* the value is the target */
    TOYSTORE_SPECIAL = 5, /* fifo, socket or device: mode and rdev say which */
    TOYSTORE_INTERNAL = 6 /* below .toystore/: file records, chunks, layouts ... */
};

enum {
    TOYSTORE_FLAG_CLOSING = 1 /* a directory that is about to be removed; whoever makes a name in
                                 it takes the mark away again */
};

struct toystore_attributes {
    uint32_t mode; /* type and permission bits, as st_mode */
    uint32_t uid, gid;
    uint32_t flags; /* the file system's: closing, moving ... */
    uint64_t size, rdev;
    int64_t atime_ns, mtime_ns, ctime_ns; /* since the epoch */
    struct toystore_op file;              /* the op that created the file; zero: that of the put */
};

/* One visible version of a key. */
struct toystore_version {
    struct toystore_op op; /* what if-match compares */
    enum toystore_kind kind;
    struct toystore_attributes attributes;
    struct toystore_bytes value;
    struct toystore_bytes extra; /* the file system's own, opaque here */
    uint64_t time_us;            /* hybrid time of the put; for display */
    uint64_t node;               /* the node that made it; for display */
    bool sloppy;                 /* a sibling beside the register */
};

/* ---- requests ------------------------------------------------------------------------------- */

enum toystore_request_type {
    TOYSTORE_GET,   /* the visible versions of a key (CoordinateGet) */
    TOYSTORE_PUT,   /* one operation on a key (CoordinatePut, CoordinateDelete) */
    TOYSTORE_LIST,  /* the entries of a directory (CoordinateList) */
    TOYSTORE_STORE, /* an immutable key: a chunk, a page; never rewritten */
    TOYSTORE_FETCH, /* read an immutable key */
    TOYSTORE_SYNC,  /* make what the keys hold durable at their owners */
    TOYSTORE_ROOM   /* how much the cluster can hold, for statfs */
};

enum toystore_condition {
    TOYSTORE_ALWAYS = 0,
    TOYSTORE_IF_ABSENT = 1, /* nothing visible, or only tombstones */
    TOYSTORE_IF_MATCH = 2   /* the visible versions are those of `match`, or among them */
};

enum toystore_change {
    TOYSTORE_SET = 0,       /* kind, attributes, value, extra: all as given */
    TOYSTORE_SET_VALUE = 1, /* value as given; attributes and extra kept from a file that is there,
                               default ones otherwise; a directory there is IS_DIRECTORY */
    TOYSTORE_DELETE = 2,    /* a tombstone; extra as given */
    TOYSTORE_TOUCH = 3 /* only raises atime, mtime, ctime to those given; NOT_FOUND when absent */
};

struct toystore_request {
    enum toystore_request_type type;
    struct toystore_bytes key; /* LIST: the directory, "" for the root */

    /* GET, LIST, FETCH */
    unsigned r;     /* answers to wait for; 0: the default, smaller is honoured (and may miss) */
    uint64_t after; /* LIST: cookie of the last entry seen, 0 to begin */
    unsigned limit; /* LIST: entries at most; 0: the node's choice */

    /* PUT, STORE */
    struct toystore_op op; /* zero: the node makes one. A retry gives the one of the first try. With
                              sequence 0 and the session of toystore_op_new: the node makes one, of
                              that session or none (RETIRED) */
    bool retry; /* this op was asked for before. A node that does not remember that (another
                   one, or it was long ago) says what became of it, or INDETERMINATE, and
                   never puts it anew: it might be applied twice */
    enum toystore_condition condition;
    const struct toystore_op *match;
    size_t match_count;
    enum toystore_change change;
    enum toystore_kind kind;
    struct toystore_attributes attributes;
    struct toystore_bytes value, extra;
    unsigned w;     /* acknowledgements to wait for; smaller than the cluster's is raised to it */
    bool durable;   /* acknowledged only after fsync at the quorum */
    bool exclusive; /* never sloppy: one winner or none (O_EXCL, mkdir, rename ...). Implied by a
                       condition of IF_ABSENT; an IF_MATCH put without it is a publication and may
                       become sloppy */

    /* SYNC */
    const struct toystore_bytes *keys;
    size_t key_count;
    const struct toystore_op *key_ops; /* in the order of keys: the version that must be durable,
                                          or one that came after it. NULL, or zero: what a quorum
                                          shows. Of immutable keys there is one version only */

    /* GET, LIST and PUT of SET_VALUE or DELETE: all that CoordinateGet, -List, -Put and -Delete do.
     * A put makes missing directories, and is NOT_DIRECTORY below a file; a delete leaves
     * directories alone; a get puts a file together whose content is in chunks (at most
     * TOYSTORE_VALUE_SIZE_MAX bytes); internal keys are RESERVED. */
    bool simple;

    /* all */
    int strict;           /* 0: as configured; 1: strict; -1: sloppy allowed */
    unsigned deadline_ms; /* 0: the default (puts 5 s, gets 5 s) */
};

struct toystore_entry {
    struct toystore_bytes name;
    uint64_t cookie; /* 63 bits; entries come in this order, equal ones by name */
    enum toystore_kind kind;
    struct toystore_op op;
    struct toystore_attributes attributes;
    bool siblings; /* other versions stand beside it: a get shows them. Not over the wire */
};

struct toystore_result {
    enum toystore_status status;
    const char *message; /* more words on a failure, or "" */
    bool sloppy;         /* the answer came without a quorum of owners, or the put went sloppy */

    /* GET, FETCH, and PUT with CONFLICT where the coordinator saw it: what is visible; [0] is
     * shown under the name. PUT with OK: the op, and what was replaced if that was a file in
     * chunks that is at this name no more. GET with NOT_FOUND: a tombstone, if it has an
     * extra. GET: the op of the key's register, also where that is a tombstone or hidden by a
     * sloppy put; zero: there is none. */
    const struct toystore_version *versions;
    size_t version_count;
    struct toystore_op op;
    bool created; /* PUT with OK: the key was absent before. False where nobody could tell */

    /* LIST */
    const struct toystore_entry *entries;
    size_t entry_count;
    bool more; /* ask again after the last entry's cookie */

    /* ROOM: bytes of values that the members' disks hold in all and that still fit, with N copies
     * of each; of the members that answered. */
    uint64_t room_size, room_free;
};

/* Exactly once per accepted request, on the node's thread, never from inside toystore_submit. */
typedef void toystore_done_fn(void *arg, const struct toystore_result *result);

/* Starts a request; copies what it needs. 0, or a negative errno and `done` is never called:
 * -EINVAL a malformed request, -EBUSY too many under way, -ESHUTDOWN the node is stopping. */
int toystore_submit(struct toystore *node, const struct toystore_request *request,
                    toystore_done_fn *done, void *arg);

/* A fresh op of this process's session. A node that stores nothing and was taken for dead for a
 * minute finds its session retired when it is back, and takes a new one by itself: then ops that
 * were made before are RETIRED (certainly not applied) or INDETERMINATE, puts whose op the node
 * makes go on under the new one, and chunks that no put has named yet must be stored anew under a
 * new name, since those of the old session may be swept. */
struct toystore_op toystore_op_new(struct toystore *node);

/* ---- the simple calls (the seed's Put, Get, GetString): these wait -------------------------- */

enum toystore_status toystore_put(struct toystore *node, const char *key, const void *value,
                                  size_t size);
/* On OK *ret_value is malloc()ed, with a NUL behind the last byte; the caller frees it. */
enum toystore_status toystore_get(struct toystore *node, const char *key, void **ret_value,
                                  size_t *ret_size);
enum toystore_status toystore_put_string(struct toystore *node, const char *key, const char *text);
/* A malloc()ed string, or NULL with *ret_status (may be NULL) telling a missing key from a missing
 * quorum. */
char *toystore_get_string(struct toystore *node, const char *key, enum toystore_status *ret_status);
enum toystore_status toystore_delete(struct toystore *node, const char *key);

/* ---- members and events --------------------------------------------------------------------- */

enum toystore_member_state { TOYSTORE_ALIVE, TOYSTORE_SUSPECT, TOYSTORE_DEAD, TOYSTORE_LEFT };

struct toystore_member {
    uint64_t id;
    const char *name, *host, *zone;
    unsigned rpc_port, gossip_port, weight;
    bool storing;
    enum toystore_member_state state;
    uint64_t incarnation;
    uint32_t layout; /* the newest layout that it knows */
};

enum toystore_event_type { TOYSTORE_JOIN, TOYSTORE_LEAVE, TOYSTORE_UPDATE };

/* On the node's thread. */
typedef void toystore_event_fn(void *arg, enum toystore_event_type type,
                               const struct toystore_member *member);
void toystore_on_event(struct toystore *node, toystore_event_fn *event, void *arg);
/* Calls `each` (in the calling thread) for a copy of the member list, this node first. */
void toystore_members(struct toystore *node,
                      void (*each)(void *arg, const struct toystore_member *member), void *arg);
/* Reports as JSON from local memory: "members", "ring", "status", "metrics", or "locate KEY".
 * malloc()ed; NULL: no such report. */
char *toystore_report(struct toystore *node, const char *what);

/* ---- for a program that lives on the node's thread (the mount) ------------------------------ */

/* Call `ready` whenever fd is readable, on the node's thread; NULL: no longer. Before the node
 * runs, or on its thread. */
int toystore_watch(struct toystore *node, int fd, void (*ready)(void *arg, int fd), void *arg);
/* Calls `fire` once after `ms`; the handle cancels. On the node's thread, or before it runs. */
uint64_t toystore_after(struct toystore *node, unsigned ms, void (*fire)(void *arg), void *arg);
void toystore_cancel(struct toystore *node, uint64_t timer);
/* Runs `call` on the node's thread, soon. */
int toystore_post(struct toystore *node, void (*call)(void *arg), void *arg);
/* Nanoseconds of a monotonic clock, and of the wall clock. */
uint64_t toystore_now_ns(void);
int64_t toystore_wall_ns(void);

#ifdef __cplusplus
}
#endif
#endif
