/* rpc: requests to members and their answers, over connections that stay open; also to oneself,
 * by the same road (the coordinator treats itself as one more replica).
 *
 * A callback is never called from inside rpc_call, and exactly once afterwards. The Hello, the
 * waiting for a connection, deadlines and silence are kept here; callers see one answer. */
#ifndef TOYSTORE_CORE_RPC_H
#define TOYSTORE_CORE_RPC_H

#include "core/state/event.h"
#include "wire/messages.h"

struct rpc_answer {
    /* OK: `result` is the packed reply struct. Else nothing is known of what the peer did:
     * TIMEOUT no answer in time, UNAVAILABLE no connection or it broke, BUSY a queue was full
     * (never sent), INVALID, MISMATCH ... as the peer's error said. */
    enum toystore_status status;
    bool sent; /* false: the request certainly never left this node */
    struct slice result;
    struct blob *frame; /* what `result` lies in; blob_ref it to keep */
    node_id from;
};

typedef void rpc_done_fn(struct core *core, uint64_t handle, uint64_t index,
                         const struct rpc_answer *answer);

/* Takes the reference of `params` (a packed request struct); share one blob among many calls with
 * blob_ref. done may be NULL. */
void rpc_call(struct core *core, node_id to, enum wire_method method, struct blob *params,
              unsigned timeout_ms, rpc_done_fn *done, uint64_t handle, uint64_t index);
/* To an address instead of a member (a seed). */
void rpc_call_address(struct core *core, const struct address *to, enum wire_method method,
                      struct blob *params, unsigned timeout_ms, rpc_done_fn *done, uint64_t handle,
                      uint64_t index);

/* A word from the member over TCP: OK when it answers. */
void rpc_ping(struct core *core, node_id to, unsigned timeout_ms, rpc_done_fn *done,
              uint64_t handle);

/* Can this node be asked now: known, not dead in gossip, its connection not refused just now and
 * not silent for SILENT_MS with a request open. This node itself: yes. Muteness is known per
 * partition, see view.h. */
bool rpc_reachable(const struct core *core, node_id id);
/* Median-free estimate of the slowest twentieth of answers to small requests, milliseconds. */
unsigned rpc_p95_ms(const struct core *core);

/* A request of somebody else (or of oneself), being served. */
struct rpc_origin {
    uint64_t conn; /* 0: this node itself, id names the pending call */
    uint32_t id;
    bool notify; /* no answer is wanted; rpc_reply then drops it */
};

struct rpc_request {
    struct rpc_origin origin;
    node_id from;           /* 0: a client without a member's Hello */
    struct session session; /* of the Hello, else of this node */
    enum wire_method method;
    struct slice params;
    struct blob *frame; /* what `params` lies in */
};

/* Exactly one of these per request. rpc_reply takes the buf's contents. */
void rpc_reply(struct core *core, const struct rpc_origin *origin, struct buf *result);
void rpc_fail(struct core *core, const struct rpc_origin *origin, enum toystore_status status,
              const char *message);

/* Encodes a struct of messages.def straight into params or a reply. */
#define RPC_PARAMS(name, ...) rpc_pack_##name(&(struct name)__VA_ARGS__)
#define WIRE_STRUCT(name)                                                                          \
    static inline struct blob *rpc_pack_##name(const struct name *message)                         \
    {                                                                                              \
        struct buf out = {0};                                                                      \
        name##_encode(&out, message);                                                              \
        return buf_take(&out);                                                                     \
    }
STRUCTS(WIRE_STRUCT)
#undef WIRE_STRUCT

/* Answers with a struct of messages.def. */
#define RPC_REPLY(core, origin, name, ...)                                                         \
    do {                                                                                           \
        struct buf rpc_out_ = {0};                                                                 \
        name##_encode(&rpc_out_, &(struct name)__VA_ARGS__);                                       \
        rpc_reply((core), (origin), &rpc_out_);                                                    \
    } while (0)

/* ---- for core.c ---- */
struct rpc;
struct rpc *rpc_new(struct core *core);
void rpc_free(struct rpc *rpc);
void rpc_on_opened(struct core *core, uint64_t conn, const struct address *from);
void rpc_on_closed(struct core *core, uint64_t conn);
void rpc_on_frame(struct core *core, uint64_t conn, struct blob *bytes);
/* Gossip says something new of a member: one that is back is connected to without a pause. */
void rpc_on_member(struct core *core, node_id id);
/* Calls that this node made to itself and answers it gave itself wait in a queue; core_step runs
 * it empty before it returns. False: nothing was waiting. */
bool rpc_run_local(struct core *core);

#endif
