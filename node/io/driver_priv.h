/* driver_priv: the parts of the driver, for the files of this room only. */
#ifndef TOYSTORE_IO_DRIVER_PRIV_H
#define TOYSTORE_IO_DRIVER_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/pool.h"
#include "io/driver.h"

/* The named maximum of every queue here. */
enum {
    DRIVER_CALLS_MAX = 16384,      /* requests of the embedding API under way */
    DRIVER_TIMERS_MAX = 65536,     /* driver_after */
    DRIVER_POSTS_MAX = 65536,      /* driver_post not yet run */
    TURN_BUDGET_US = 10000,        /* then sockets are looked at again */
    CONNECTIONS_MAX = 4096,        /* inbound */
    CONNECT_TIMEOUT_MS = 3000,     /* the core hears that it failed */
    UNACKED_TIMEOUT_MS = 6000,     /* a peer whose kernel is silent for so long is gone */
    FRAMES_PER_TURN = 256,         /* of one connection */
    OUT_PAUSE_BYTES = 8 << 20,     /* answers unsent: an inbound peer is not read any more */
    OUT_BYTES_MAX = 96 << 20,      /* unsent: a connection whose peer does not read is closed */
    BATCH_BYTES_MAX = 8 << 20,     /* a store write that is this large does not grow */
    LEDGER_BYTES_MAX = 64 << 20,   /* not in the store yet: then the loop waits for the disk */
    SYNC_INTERVAL_MS = 1000,       /* the log of ordinary writes is fsynced so often */
    SYNC_VALUES_MS = 30000,        /* and with it what the store keeps beside its log */
    DISK_RESERVE_BYTES = 64 << 20, /* what a full disk keeps for metadata and compaction */
    STOP_TIMEOUT_MS = 8000,        /* for the core to say goodbye */
    LINGER_MS = 500,               /* for the last frames to leave */
};

/* ---- ledger.c: the store ---- */

struct ledger_waiter {
    struct resume resume;
    int status;
    bool durable;
    bool written; /* it is in the store, whatever the status says */
};

struct ledger_waiters {
    struct ledger_waiter *items;
    size_t first, count, capacity;
};

/* Commits that become one write of the store: those of a turn, or of all turns in which large
 * values before them were still being written. Groups are written in order. */
struct ledger_group {
    struct list link;
    struct toystore_write *writes;
    struct batch *batches; /* that own what the writes point to */
    size_t write_count, write_capacity, batch_count, batch_capacity, bytes;
    struct map pending; /* space and key -> index + 1 of its last write */
    struct ledger_waiters waiters;
    struct list jobs; /* large values, written beforehand on the thread pool */
    unsigned open;    /* of them; guarded by the ledger's mutex */
};

struct ledger {
    struct driver *driver;
    struct toystore_store *store; /* NULL: a client */
    const char *data;             /* NULL: no check for room */
    struct list groups;           /* not in the store yet, oldest first */
    struct ledger_group *spare;
    size_t bytes; /* of all groups */
    bool slow;    /* the disk made the last writer of large values wait */
    pthread_mutex_t mutex;
    pthread_cond_t job_ended;
    struct buf name;                         /* room to build a key of it */
    struct ledger_waiters done;              /* to be told */
    struct ledger_waiters unsynced, syncing; /* durable: for the next sync, and the one that runs */
    uv_work_t work;
    uv_timer_t sync_timer;
    bool dirty, values_dirty, sync_running;
    bool sync_log; /* the one that runs is of the log alone */
    uint64_t values_synced_ms;
    int sync_status;
    uint64_t complained_us;
    uint64_t room, reserve, unmeasured; /* bytes: on the disk, kept free, written since a look */
};

void ledger_init(struct ledger *ledger, struct driver *driver, struct toystore_store *store,
                 const char *data);
void ledger_commit_action(struct ledger *ledger, struct action *action);
void ledger_load_action(struct ledger *ledger, const struct action *action);
void ledger_scan_action(struct ledger *ledger, const struct action *action);
void ledger_room_action(struct ledger *ledger, const struct action *action);
/* Writes the groups whose large values are there; wait: all groups. */
void ledger_flush(struct ledger *ledger);
void ledger_flush_all(struct ledger *ledger);
bool ledger_deliver(struct ledger *ledger); /* results of commits; false: there was none */
bool ledger_busy(const struct ledger *ledger);
void ledger_close(struct ledger *ledger); /* the last sync */
void ledger_free(struct ledger *ledger);  /* closes the store */

/* ---- tcp.c: connections ---- */

struct tcp {
    struct driver *driver;
    uv_tcp_t listeners[2];  /* rpc, gossip */
    struct map conns;       /* id -> struct tcp_conn */
    struct list all, dirty; /* dirty: has frames to send in this turn */
    struct list waiting;    /* has more frames than a turn takes */
    uv_timer_t sweep;       /* ends attempts to connect that take too long */
    uint64_t inbound_id;
    size_t inbound_count, connecting_count;
    uint8_t *scratch; /* what is read lands here first */
};

int tcp_init(struct tcp *tcp, struct driver *driver);
/* Binds and listens; *port 0 is filled in with what the system chose. */
int tcp_listen(struct tcp *tcp, size_t listener, const char *host, uint16_t *port);
void tcp_unlisten(struct tcp *tcp, size_t listener);
void tcp_connect(struct tcp *tcp, uint64_t id, const struct address *to);
/* Takes the references. */
void tcp_send(struct tcp *tcp, uint64_t id, struct blob **head, struct blob **body);
void tcp_close(struct tcp *tcp, uint64_t id);
void tcp_flush(struct tcp *tcp);
/* After a turn: frames that were too many for it. False: there were none. */
bool tcp_go_on(struct tcp *tcp);
bool tcp_unsent(const struct tcp *tcp);
void tcp_close_all(struct tcp *tcp);
void tcp_free(struct tcp *tcp); /* after the loop has ended */

/* ---- udp.c: datagrams ---- */

struct udp {
    struct driver *driver;
    uv_udp_t socket;
    uint8_t buffer[2048]; /* gossip keeps below 1400; more is not ours */
};

int udp_init(struct udp *udp, struct driver *driver);
int udp_bind(struct udp *udp, const char *host, uint16_t *port);
void udp_send(struct udp *udp, const struct address *to, struct slice bytes);

/* ---- resolve.c: names ---- */

int address_to_socket(const struct address *address, struct sockaddr_storage *ret);
void address_from_socket(const struct sockaddr *socket, struct address *ret);
/* "HOST[:PORT]", "[V6]:PORT"; the port is the default one when there is none. */
int address_split(const char *text, uint16_t default_port, char *ret_host, size_t host_size,
                  uint16_t *ret_port);
void resolve_action(struct driver *driver, const struct action *action);

/* ---- loop.c: what programs run on the loop's thread ---- */

struct post {
    void (*call)(void *arg);
    void *arg;
};

struct embed {
    struct driver *driver;
    uv_async_t wake;
    pthread_mutex_t mutex; /* guards the posts */
    struct post *posts;
    size_t post_count, post_capacity;
    bool closed;
    struct pool timers, calls;
    struct list watch_list;
    uint64_t busy_us; /* when a descriptor was last ready, or a call answered */
    bool looking;     /* without sleeping, since then */
    unsigned vain, skipped;
};

int embed_init(struct embed *embed, struct driver *driver);
void embed_reply(struct embed *embed, const struct action *action);
/* Is the next request on a watched descriptor worth looking out for, without going to sleep? */
bool embed_looks_out(struct embed *embed);
/* Runs what is posted for the last time; later posts are refused. Calls are answered STOPPING. */
void embed_close(struct embed *embed);
void embed_free(struct embed *embed);

/* ---- driver.c ---- */

struct driver {
    struct driver_options options;
    uv_loop_t loop;
    uv_prepare_t turn;   /* before the loop waits: all that the events of this round asked for */
    uv_idle_t more;      /* runs while a turn was cut short, so that the loop does not wait */
    uv_timer_t deadline; /* the core's next one */
    uv_timer_t stop_timer;
    struct core *core;
    struct actions actions;
    struct ledger ledger;
    struct tcp tcp;
    struct udp udp;
    struct embed embed;
    uint16_t rpc_port, gossip_port;
    atomic_bool stop_asked;
    uv_poll_t stop_poll; /* stop_fd is readable */
    int stop_fd;
    bool running;
    bool leaving, stopping, lingering, closing; /* one after the other, see stop_in_steps */
    int status;
    char reason[256];
    atomic_bool reason_told; /* it is whole, and stays as it is: others may read it */
};

/* An event goes to the core; the time is filled in. */
void driver_event(struct driver *driver, struct core_event *event);
__attribute__((format(printf, 3, 4))) void driver_log(struct driver *driver, int level,
                                                      const char *format, ...);

/* ---- stop.c ---- */
int stop_init(struct driver *driver);
void stop_close(const struct driver *driver); /* the loop has been closed */

#endif
