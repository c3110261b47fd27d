/* rpc: calls under way, by id; calls of this node to itself; answers to whoever asked.
 *
 * enters from: coord*, tree, move, swim ... (rpc_call) and core.c (frames);
 * leaves to: rpc_peer.c, rpc_serve.c, and back to the callers. */
#include "core/members/members.h"
#include "core/rpc/rpc_priv.h"

#include <stdlib.h>

struct rpc *rpc_new(struct core *core)
{
    (void)core;
    struct rpc *rpc = base_alloc(sizeof *rpc);
    rpc->free_slots = base_alloc(RPC_PENDING_MAX * sizeof *rpc->free_slots);
    list_init(&rpc->local);
    list_init(&rpc->refusals);
    list_init(&rpc->peers);
    return rpc;
}

/* ---- the table of calls ---- */

/* A ring: the slot that is free for longest comes next, so that generations last long. */
static void slot_free(struct rpc *rpc, uint16_t slot)
{
    rpc->free_slots[(rpc->free_first + rpc->free_count++) % RPC_PENDING_MAX] = slot;
}

static uint16_t slot_take(struct rpc *rpc)
{
    uint16_t slot = rpc->free_slots[rpc->free_first];
    rpc->free_first = (rpc->free_first + 1) % RPC_PENDING_MAX;
    rpc->free_count--;
    return slot;
}

static void chunk_add(struct rpc *rpc)
{
    struct pending *chunk = base_alloc(PENDING_CHUNK * sizeof *chunk);
    size_t first = rpc->chunk_count * PENDING_CHUNK;
    rpc->chunks[rpc->chunk_count++] = chunk;
    for (size_t i = 0; i < PENDING_CHUNK; i++) {
        chunk[i].slot = (uint16_t)(first + i);
        slot_free(rpc, chunk[i].slot);
    }
}

static struct pending *pending_at(struct rpc *rpc, uint32_t slot)
{
    return &rpc->chunks[slot / PENDING_CHUNK][slot % PENDING_CHUNK];
}

static struct pending *pending_new(struct rpc *rpc)
{
    if (rpc->free_count == 0) {
        if (rpc->chunk_count == ARRAY_COUNT(rpc->chunks))
            return NULL;
        chunk_add(rpc);
    }
    struct pending *pending = pending_at(rpc, slot_take(rpc));
    pending->generation++;
    pending->id = (uint32_t)pending->generation << 16 | pending->slot;
    rpc->open_count++;
    return pending;
}

static void pending_delete(struct core *core, struct pending *pending)
{
    struct rpc *rpc = core->rpc;
    if (pending->peer != NULL)
        peer_unlink(core, pending);
    else
        list_remove(&pending->link);
    timer_cancel(core, &pending->timer);
    blob_unref(&pending->params);
    pending->peer = NULL;
    pending->state = PENDING_FREE;
    slot_free(rpc, pending->slot);
    rpc->open_count--;
}

struct pending *pending_find(struct rpc *rpc, uint32_t id)
{
    uint32_t slot = id & 0xffff;
    if (slot >= rpc->chunk_count * PENDING_CHUNK)
        return NULL;
    struct pending *pending = pending_at(rpc, slot);
    return pending->state != PENDING_FREE && pending->id == id ? pending : NULL;
}

void pending_finish(struct core *core, struct pending *pending, const struct rpc_answer *answer)
{
    rpc_done_fn *done = pending->done;
    uint64_t handle = pending->handle, index = pending->index;
    pending_delete(core, pending);
    if (done != NULL)
        done(core, handle, index, answer);
}

static void on_timeout(struct core *core, struct timer *timer)
{
    struct pending *pending = container_of(timer, struct pending, timer);
    core->rpc->timeouts++;
    struct rpc_answer answer = {.status = TOYSTORE_TIMEOUT,
                                .sent = pending->state != PENDING_QUEUED,
                                .from = pending->peer ? pending->peer->heard : core->id};
    pending_finish(core, pending, &answer);
}

struct pending *pending_begin(struct core *core, enum wire_method method, struct blob *params,
                              unsigned timeout_ms, rpc_done_fn *done, uint64_t handle)
{
    struct pending *pending = pending_new(core->rpc);
    if (pending == NULL) {
        blob_unref(&params);
        return NULL;
    }
    pending->done = done;
    pending->handle = handle;
    pending->index = 0;
    pending->method = (uint8_t)method;
    pending->params = params;
    timer_set_after_ms(core, &pending->timer, timeout_ms, on_timeout);
    return pending;
}

/* ---- calls ---- */

/* A call that ends before it began: its callback waits for the step to get there. */
struct refusal {
    struct list link;
    rpc_done_fn *done;
    uint64_t handle, index;
    node_id from;
    enum toystore_status status;
};

static void refuse(struct core *core, node_id to, enum toystore_status status, rpc_done_fn *done,
                   uint64_t handle, uint64_t index)
{
    core->rpc->refused++;
    if (done == NULL)
        return;
    struct refusal *refusal = base_alloc(sizeof *refusal);
    *refusal = (struct refusal){
        .done = done, .handle = handle, .index = index, .from = to, .status = status};
    list_push_back(&core->rpc->refusals, &refusal->link);
}

static void run_refusal(struct core *core, struct refusal *refusal)
{
    struct refusal r = *refusal;
    free(refusal);
    struct rpc_answer answer = {.status = r.status, .sent = false, .from = r.from};
    r.done(core, r.handle, r.index, &answer);
}

static void call_peer(struct core *core, node_id to, struct peer *peer, enum wire_method method,
                      struct blob *params, unsigned timeout_ms, rpc_done_fn *done, uint64_t handle,
                      uint64_t index)
{
    core->rpc->calls++;
    struct pending *pending = pending_begin(core, method, params, timeout_ms, done, handle);
    if (pending == NULL) {
        refuse(core, to, TOYSTORE_BUSY, done, handle, index);
        return;
    }
    pending->index = index;
    if (peer == NULL && to == core->id) {
        pending->state = PENDING_LOCAL_REQUEST;
        list_push_back(&core->rpc->local, &pending->link);
        return;
    }
    enum toystore_status status = peer ? peer_send(core, peer, pending) : TOYSTORE_UNAVAILABLE;
    if (status != TOYSTORE_OK) {
        pending_delete(core, pending);
        refuse(core, to, status, done, handle, index);
    }
}

void rpc_call(struct core *core, node_id to, enum wire_method method, struct blob *params,
              unsigned timeout_ms, rpc_done_fn *done, uint64_t handle, uint64_t index)
{
    /* Who is gone for good may not know it, and would answer: nobody hears it (PROTOCOL 7 Gone). */
    bool heard = to != core->id && !gone_is(core, to);
    struct peer *peer = heard ? peer_of_id(core, to) : NULL;
    call_peer(core, to, peer, method, params, timeout_ms, done, handle, index);
}

void rpc_call_address(struct core *core, const struct address *to, enum wire_method method,
                      struct blob *params, unsigned timeout_ms, rpc_done_fn *done, uint64_t handle,
                      uint64_t index)
{
    call_peer(core, 0, peer_of_address(core, to), method, params, timeout_ms, done, handle, index);
}

void rpc_ping(struct core *core, node_id to, unsigned timeout_ms, rpc_done_fn *done,
              uint64_t handle)
{
    assert(to != core->id);
    rpc_call(core, to, METHOD_HELLO, hello_params(core), timeout_ms, done, handle, 0);
}

/* ---- answers from others ---- */

/* The estimate moves up 19 times as far for a slow answer as down for a fast one, and so rests
 * where one in twenty is slow. */
static void p95_sample(struct rpc *rpc, uint64_t us)
{
    if (rpc->p95_us == 0) {
        rpc->p95_us = us;
        return;
    }
    uint64_t step = rpc->p95_us / 200 + 1;
    if (us > rpc->p95_us)
        rpc->p95_us += 19 * step;
    else
        rpc->p95_us -= min_u64(step, rpc->p95_us - 1);
}

unsigned rpc_p95_ms(const struct core *core)
{
    return (unsigned)((core->rpc->p95_us + 999) / 1000);
}

static bool is_small(uint8_t method)
{
    return method == METHOD_GET || method == METHOD_PREPARE || method == METHOD_PUT;
}

void pending_answered(struct core *core, struct pending *pending, const struct frame *frame,
                      struct blob *bytes)
{
    core->rpc->answers++;
    if (is_small(pending->method))
        p95_sample(core->rpc, core->now_us - pending->sent_us);
    struct rpc_answer answer = {.status = frame->failed ? frame->error_status : TOYSTORE_OK,
                                .sent = true,
                                .result = frame->failed ? slice_of(NULL, 0) : frame->result,
                                .frame = bytes,
                                .from = pending->peer->heard};
    pending_finish(core, pending, &answer);
}

/* ---- calls of this node to itself ---- */

static void local_request(struct core *core, struct pending *pending)
{
    struct blob *params = blob_ref(pending->params);
    pending->state = PENDING_LOCAL_SERVED;
    struct rpc_request request = {.origin = {.conn = 0, .id = pending->id},
                                  .from = core->id,
                                  .session = core->session,
                                  .method = (enum wire_method)pending->method,
                                  .params = blob_slice(params),
                                  .frame = params};
    core->hooks->request(core, &request);
    blob_unref(&params);
}

static void local_answer(struct core *core, struct pending *pending)
{
    struct blob *result = pending->params;
    pending->params = NULL;
    struct rpc_answer answer = {.status = (enum toystore_status)pending->status,
                                .sent = true,
                                .result = blob_slice(result),
                                .frame = result,
                                .from = core->id};
    pending_finish(core, pending, &answer);
    blob_unref(&result);
}

bool rpc_run_local(struct core *core)
{
    struct list *link = list_pop_front(&core->rpc->refusals);
    if (link != NULL) {
        run_refusal(core, container_of(link, struct refusal, link));
        return true;
    }
    link = list_pop_front(&core->rpc->local);
    if (link == NULL)
        return false;
    struct pending *pending = container_of(link, struct pending, link);
    if (pending->state == PENDING_LOCAL_REQUEST)
        local_request(core, pending);
    else
        local_answer(core, pending);
    return true;
}

static void answer_local(struct core *core, const struct rpc_origin *origin,
                         enum toystore_status status, struct blob *result)
{
    struct pending *pending = pending_find(core->rpc, origin->id);
    if (pending == NULL || pending->state != PENDING_LOCAL_SERVED) {
        blob_unref(&result); /* the caller's time was up before */
        return;
    }
    blob_unref(&pending->params);
    pending->params = result;
    pending->status = (uint8_t)status;
    pending->state = PENDING_LOCAL_ANSWER;
    list_push_back(&core->rpc->local, &pending->link);
}

/* ---- answers to others ---- */

/* NULL: the connection is gone, or nobody waits for the answer. */
static struct inbound *answer_begin(struct core *core, const struct rpc_origin *origin)
{
    struct rpc *rpc = core->rpc;
    assert(rpc->inbound_open > 0);
    rpc->inbound_open--;
    struct inbound *inbound = map_get(&rpc->inbounds, slice_u64(&origin->conn));
    if (inbound != NULL)
        inbound->open_count--;
    return origin->notify ? NULL : inbound;
}

void rpc_reply(struct core *core, const struct rpc_origin *origin, struct buf *result)
{
    if (origin->conn == 0) {
        answer_local(core, origin, TOYSTORE_OK, buf_take(result));
        return;
    }
    if (answer_begin(core, origin) == NULL) {
        buf_free(result);
        return;
    }
    struct buf head = {0};
    frame_answer_head(&head, origin->id);
    struct action *action = core_act(core, ACTION_SEND);
    action->conn = origin->conn;
    action->head = buf_take(&head);
    action->body = buf_take(result);
}

void rpc_fail(struct core *core, const struct rpc_origin *origin, enum toystore_status status,
              const char *message)
{
    assert(status != TOYSTORE_OK);
    if (origin->conn == 0) {
        answer_local(core, origin, status, NULL);
        return;
    }
    if (answer_begin(core, origin) == NULL)
        return;
    struct buf frame = {0};
    frame_error(&frame, origin->id, status, message);
    struct action *action = core_act(core, ACTION_SEND);
    action->conn = origin->conn;
    action->head = buf_take(&frame);
}

/* ---- events ---- */

void rpc_on_opened(struct core *core, uint64_t conn, const struct address *from)
{
    if (conn & CONN_INBOUND) {
        inbound_opened(core, conn, from);
        return;
    }
    struct peer *peer = map_get(&core->rpc->peers_by_conn, slice_u64(&conn));
    if (peer != NULL)
        peer_opened(core, peer);
}

void rpc_on_closed(struct core *core, uint64_t conn)
{
    if (inbound_closed(core, conn))
        return;
    struct peer *peer = map_get(&core->rpc->peers_by_conn, slice_u64(&conn));
    if (peer != NULL)
        peer_closed(core, peer);
}

void rpc_on_frame(struct core *core, uint64_t conn, struct blob *bytes)
{
    struct rpc *rpc = core->rpc;
    if (conn & CONN_INBOUND) {
        struct inbound *inbound = map_get(&rpc->inbounds, slice_u64(&conn));
        if (inbound != NULL)
            inbound_frame(core, inbound, bytes);
        return;
    }
    struct peer *peer = map_get(&rpc->peers_by_conn, slice_u64(&conn));
    if (peer != NULL)
        peer_frame(core, peer, bytes);
}

void rpc_free(struct rpc *rpc)
{
    struct list *link;
    while ((link = list_pop_front(&rpc->refusals)) != NULL)
        free(container_of(link, struct refusal, link));
    for (size_t slot = 0; slot < rpc->chunk_count * PENDING_CHUNK; slot++)
        blob_unref(&pending_at(rpc, (uint32_t)slot)->params);
    for (size_t i = 0; i < rpc->chunk_count; i++)
        free(rpc->chunks[i]);
    free(rpc->free_slots);
    peers_free(rpc);
    inbounds_free(rpc);
    free(rpc);
}
