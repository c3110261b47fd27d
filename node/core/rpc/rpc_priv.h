/* rpc_priv: what the files of the rpc module share.
 *
 * rpc.c       the table of calls under way, local calls, answers
 * rpc_peer.c  who is called: connections out, Hello, back-off, silence
 * rpc_serve.c who calls: connections in, Hello, gates, dispatch */
#ifndef TOYSTORE_CORE_RPC_PRIV_H
#define TOYSTORE_CORE_RPC_PRIV_H

#include "core/rpc/rpc.h"
#include "core/state/state.h"
#include "wire/frame.h"

enum {
    PENDING_CHUNK = 256,
    INBOUND_CONNS_MAX = 4096,
    INBOUND_PER_CONN_MAX = 16384, /* requests of one connection being served */
    CONNECT_TIMEOUT_MS = 1000,
    PING_AFTER_MS = 100,     /* a peer with an open request and no word is asked for one */
    GIVE_UP_AFTER_MS = 2000, /* a silent connection is given up for a new one */
    IDLE_CLOSE_MS = 30000,   /* a seed's connection, without a call */
    BACKOFF_MS_MIN = 20,
    BACKOFF_MS_MAX = 1000,
    MISMATCH_BACKOFF_MS = 5000,
    USED_LATELY_MS = 60000, /* a peer that was called so lately is connected to again */
    PEERS_MAX = 4 * MEMBERS_MAX,
    PEER_BYTES_MAX = 64 << 20 /* in requests to one peer without an answer, beyond the first */
};

enum pending_state {
    PENDING_FREE,
    PENDING_QUEUED,        /* waits for its peer's connection; `params` held */
    PENDING_SENT,          /* on the wire */
    PENDING_LOCAL_REQUEST, /* in the local queue, to be dispatched; `params` held */
    PENDING_LOCAL_SERVED,  /* a handler of this node has it */
    PENDING_LOCAL_ANSWER   /* in the local queue, to be delivered; `params` holds the result */
};

/* One call under way. Its id on the wire is generation << 16 | slot, so that a late answer cannot
 * reach a reused slot. */
struct pending {
    struct list link; /* in a peer's queue or open list, or in the local queue */
    struct timer timer;
    rpc_done_fn *done;
    uint64_t handle, index;
    uint64_t sent_us;
    struct peer *peer; /* NULL: a local call */
    struct blob *params;
    size_t size; /* of the params, as they count for its peer */
    uint32_t id;
    uint16_t generation, slot;
    uint8_t state, method;
    uint8_t status; /* of a local answer */
};

enum peer_state {
    PEER_IDLE,       /* no connection, none wanted */
    PEER_CONNECTING, /* ACTION_CONNECT is out */
    PEER_HELLO,      /* connected; the Hello is out */
    PEER_READY,
    PEER_BACKOFF /* refused or broken just now; the next try comes with the timer */
};

struct peer {
    struct list link; /* in rpc->peers */
    node_id id;       /* 0: known by address only */
    node_id heard;    /* who its Hello said it is; else id */
    struct address address;
    enum peer_state state;
    uint32_t version;     /* of the protocol, once a Hello has agreed on it */
    uint64_t conn;        /* 0: none */
    struct timer timer;   /* connect timeout, back-off, idle close */
    struct timer silence; /* runs while a request is open */
    struct list queued, open;
    size_t queued_count, open_count;
    size_t bytes;              /* of what is queued and open */
    unsigned failures;         /* in a row; 0 once a Hello has passed */
    uint64_t waiting_since_us; /* the later of: a request became open; the last word from it */
    uint64_t used_us;          /* the last call */
    bool pinged, silent;
    bool told; /* a refusal was logged; once per row of failures */
};

struct inbound {
    uint64_t conn;
    struct address from;
    bool greeted;
    node_id node;           /* 0: a client without gossip */
    uint32_t member;        /* hello_request */
    struct session session; /* of its Hello, else of this node */
    size_t open_count;
};

struct rpc {
    struct pending *chunks[RPC_PENDING_MAX / PENDING_CHUNK];
    size_t chunk_count;
    uint16_t *free_slots;
    size_t free_first, free_count, open_count;
    struct list local;    /* pendings: LOCAL_REQUEST and LOCAL_ANSWER, in order */
    struct list refusals; /* calls that found no slot or no peer */

    struct list peers;
    struct map peers_by_id, peers_by_address, peers_by_conn;
    uint64_t conns; /* outbound connections so far: their ids */

    struct map inbounds; /* conn -> struct inbound */
    size_t inbound_open; /* requests of others being served */

    uint64_t p95_us;
    uint64_t calls, answers, timeouts, served, refused;
};

static inline struct slice slice_u64(const uint64_t *value)
{
    return slice_of(value, sizeof *value);
}

/* ---- rpc.c ---- */
/* A call for the peer's own business (Hello); NULL: the table is full. Takes `params`. */
struct pending *pending_begin(struct core *core, enum wire_method method, struct blob *params,
                              unsigned timeout_ms, rpc_done_fn *done, uint64_t handle);
struct pending *pending_find(struct rpc *rpc, uint32_t id);
/* Ends the call: its slot is free and done has been called when this returns. */
void pending_finish(struct core *core, struct pending *pending, const struct rpc_answer *answer);
void pending_answered(struct core *core, struct pending *pending, const struct frame *frame,
                      struct blob *bytes);

/* ---- rpc_peer.c ---- */
struct peer *peer_of_id(struct core *core, node_id id); /* NULL: nobody knows this member */
struct peer *peer_of_address(struct core *core, const struct address *address);
/* Sends the call or queues it; else UNAVAILABLE (refused just now) or BUSY. */
enum toystore_status peer_send(struct core *core, struct peer *peer, struct pending *pending);
void peer_unlink(struct core *core, struct pending *pending); /* out of its peer's lists */
void peer_opened(struct core *core, struct peer *peer);
void peer_closed(struct core *core, struct peer *peer);
void peer_frame(struct core *core, struct peer *peer, struct blob *bytes);
void peers_free(struct rpc *rpc);

/* ---- rpc_hello.c ---- */
struct blob *hello_params(const struct core *core);
void hello_serve(struct core *core, struct inbound *inbound, const struct rpc_origin *origin,
                 struct slice params);
/* OK, or why the peer must not be talked to, in `error`. */
enum toystore_status hello_check_reply(const struct core *core, node_id expected,
                                       struct slice result, struct hello_reply *ret, char *error,
                                       size_t error_size);

/* ---- rpc_serve.c ---- */
void inbound_opened(struct core *core, uint64_t conn, const struct address *from);
bool inbound_closed(struct core *core, uint64_t conn);
void inbound_frame(struct core *core, struct inbound *inbound, struct blob *bytes);
void inbounds_free(struct rpc *rpc);

#endif
