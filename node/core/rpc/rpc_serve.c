/* rpc_serve: who calls: connections in, what they may ask, and the dispatch of what they do.
 *
 * enters from: core.c; leaves to: the handlers, by the hook `request`. */
#include "core/members/members.h"
#include "core/rpc/rpc_priv.h"

#include <stdlib.h>

enum gate { GATE_ANY, GATE_CLIENT, GATE_MEMBER };

static enum gate gate_of(enum wire_method method)
{
    switch (method) {
#define ANY    GATE_ANY
#define CLIENT GATE_CLIENT
#define MEMBER GATE_MEMBER
#define M(constant, name, request, reply, who)                                                     \
    case METHOD_##constant:                                                                        \
        return who;
        METHODS(M)
#undef M
#undef ANY
#undef CLIENT
#undef MEMBER
    default:
        return GATE_ANY; /* the methods of raw clients */
    }
}

void inbound_opened(struct core *core, uint64_t conn, const struct address *from)
{
    struct rpc *rpc = core->rpc;
    if (rpc->inbounds.count >= INBOUND_CONNS_MAX) {
        core_log(core, LOG_WARNING, "refused a connection from %s:%u: too many are open",
                 from->host, from->port);
        core_act(core, ACTION_CLOSE)->conn = conn;
        return;
    }
    struct inbound *inbound = base_alloc(sizeof *inbound);
    *inbound = (struct inbound){.conn = conn, .from = *from, .session = core->session};
    map_put(&rpc->inbounds, slice_u64(&conn), inbound);
}

bool inbound_closed(struct core *core, uint64_t conn)
{
    struct inbound *inbound = map_remove(&core->rpc->inbounds, slice_u64(&conn));
    free(inbound);
    return inbound != NULL;
}

static void close_garbage(struct core *core, struct inbound *inbound)
{
    core_log(core, LOG_WARNING, "%s:%u sent what is no request; connection closed",
             inbound->from.host, inbound->from.port);
    core_act(core, ACTION_CLOSE)->conn = inbound->conn;
    inbound_closed(core, inbound->conn);
}

/* OK, or why this request is not served, in *ret_why. */
static enum toystore_status admit(const struct core *core, const struct inbound *inbound,
                                  enum wire_method method, const char **ret_why)
{
    const struct rpc *rpc = core->rpc;
    enum gate gate = gate_of(method);
    bool of_client = method == METHOD_CALL || method >= METHOD_COORDINATE_GET;
    if (method == METHOD_NONE) {
        *ret_why = "no such method";
        return TOYSTORE_NO_METHOD;
    }
    if (!core->started) {
        *ret_why = "this node is still reading its data directory";
        return TOYSTORE_UNAVAILABLE;
    }
    if (core->clean_marked || (core->stopping && of_client)) {
        *ret_why = "this node is shutting down";
        return TOYSTORE_STOPPING;
    }
    if (gate != GATE_ANY && (!inbound->greeted || (gate == GATE_MEMBER && inbound->member == 0))) {
        *ret_why = gate == GATE_MEMBER ? "only members may ask this" : "say Hello first";
        return TOYSTORE_INVALID;
    }
    if (rpc->inbound_open > RPC_INBOUND_MAX || inbound->open_count > INBOUND_PER_CONN_MAX) {
        *ret_why = "too many requests under way";
        return TOYSTORE_BUSY;
    }
    return TOYSTORE_OK;
}

void inbound_frame(struct core *core, struct inbound *inbound, struct blob *bytes)
{
    struct frame frame;
    if (!frame_decode(blob_slice(bytes), &frame) || frame.type == FRAME_ANSWER) {
        close_garbage(core, inbound);
        return;
    }
    if (inbound->node != 0 && gone_is(core, inbound->node)) {
        core_act(core, ACTION_CLOSE)->conn = inbound->conn; /* the next Hello tells it why */
        inbound_closed(core, inbound->conn);
        return;
    }
    const char *why = "";
    struct rpc_request request = {
        .origin = {.conn = inbound->conn, .id = frame.id, .notify = frame.type == FRAME_NOTIFY},
        .from = inbound->node,
        .session = inbound->session,
        .method = frame.method,
        .params = frame.params,
        .frame = bytes};
    core->rpc->inbound_open++;
    core->rpc->served++;
    inbound->open_count++;
    enum toystore_status status = admit(core, inbound, frame.method, &why);
    if (status != TOYSTORE_OK)
        rpc_fail(core, &request.origin, status, why);
    else if (frame.method == METHOD_HELLO)
        hello_serve(core, inbound, &request.origin, frame.params);
    else
        core->hooks->request(core, &request);
}

void inbounds_free(struct rpc *rpc)
{
    MAP_EACH(entry, &rpc->inbounds)
    free(entry->value);
    map_free(&rpc->inbounds);
}
