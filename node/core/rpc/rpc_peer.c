/* rpc_peer: who is called. One connection out per peer, opened by the first call; a Hello first;
 * calls wait for it; what breaks or is refused is tried again after a pause that doubles. */
#include "core/members/members.h"
#include "core/rpc/rpc_priv.h"

#include <stdio.h>
#include <stdlib.h>

static void on_hello(struct core *core, uint64_t conn, uint64_t index,
                     const struct rpc_answer *answer);
static void on_peer_timer(struct core *core, struct timer *timer);

/* ---- peers ---- */

enum { ADDRESS_KEY_SIZE = HOST_SIZE_MAX + 8 };

static struct peer *peer_new(struct core *core, node_id id)
{
    struct peer *peer = base_alloc(sizeof *peer);
    peer->id = peer->heard = id;
    list_init(&peer->queued);
    list_init(&peer->open);
    list_push_back(&core->rpc->peers, &peer->link);
    return peer;
}

static void address_key(char key[ADDRESS_KEY_SIZE], const struct address *address)
{
    snprintf(key, ADDRESS_KEY_SIZE, "%s %u", address->host, address->port);
}

static void peer_forget(struct core *core, struct peer *peer)
{
    char key[ADDRESS_KEY_SIZE];
    address_key(key, &peer->address);
    if (peer->id != 0)
        map_remove(&core->rpc->peers_by_id, slice_u64(&peer->id));
    else
        map_remove(&core->rpc->peers_by_address, slice_str(key));
    timer_cancel(core, &peer->timer);
    timer_cancel(core, &peer->silence);
    list_remove(&peer->link);
    free(peer);
}

/* Mounts come and go: those that nobody knows any more make room. */
static bool room_for_one(struct core *core, const struct map *peers)
{
    if (peers->count < PEERS_MAX)
        return true;
    LIST_EACH(link, &core->rpc->peers)
    {
        struct peer *peer = container_of(link, struct peer, link);
        if (peer->state == PEER_IDLE && list_empty(&peer->queued) && list_empty(&peer->open) &&
            (peer->id == 0 || members_find(core, peer->id) == NULL))
            peer_forget(core, peer);
    }
    return peers->count < PEERS_MAX;
}

struct peer *peer_of_id(struct core *core, node_id id)
{
    struct rpc *rpc = core->rpc;
    struct peer *peer = map_get(&rpc->peers_by_id, slice_u64(&id));
    if (peer == NULL && members_find(core, id) != NULL && room_for_one(core, &rpc->peers_by_id)) {
        peer = peer_new(core, id);
        map_put(&rpc->peers_by_id, slice_u64(&id), peer);
    }
    return peer;
}

struct peer *peer_of_address(struct core *core, const struct address *address)
{
    struct rpc *rpc = core->rpc;
    char key[ADDRESS_KEY_SIZE];
    address_key(key, address);
    struct peer *peer = map_get(&rpc->peers_by_address, slice_str(key));
    if (peer == NULL && room_for_one(core, &rpc->peers_by_address)) {
        peer = peer_new(core, 0);
        peer->address = *address;
        map_put(&rpc->peers_by_address, slice_str(key), peer);
    }
    return peer;
}

void peers_free(struct rpc *rpc)
{
    struct list *link;
    while ((link = list_pop_front(&rpc->peers)) != NULL)
        free(container_of(link, struct peer, link));
    map_free(&rpc->peers_by_id);
    map_free(&rpc->peers_by_address);
    map_free(&rpc->peers_by_conn);
}

/* ---- sending ---- */

static void on_silence(struct core *core, struct timer *timer);

static void put_on_wire(struct core *core, struct peer *peer, struct pending *pending)
{
    struct buf head = {0};
    frame_request_head(&head, pending->id, (enum wire_method)pending->method);
    struct action *action = core_act(core, ACTION_SEND);
    action->conn = peer->conn;
    action->head = buf_take(&head);
    action->body = pending->params;
    pending->params = NULL;
    pending->state = PENDING_SENT;
    pending->sent_us = core->now_us;
    list_push_back(&peer->open, &pending->link);
    if (peer->open_count++ == 0 && !peer->silent)
        peer->waiting_since_us = core->now_us;
    if (peer->silence.node.slot == 0)
        timer_set(core, &peer->silence, peer->waiting_since_us + PING_AFTER_MS * 1000, on_silence);
}

static void start_connecting(struct core *core, struct peer *peer)
{
    const struct member *member = peer->id ? members_find(core, peer->id) : NULL;
    if (member != NULL)
        peer->address = member->rpc;
    peer->state = PEER_CONNECTING;
    peer->conn = ++core->rpc->conns;
    map_put(&core->rpc->peers_by_conn, slice_u64(&peer->conn), peer);
    struct action *action = core_act(core, ACTION_CONNECT);
    action->conn = peer->conn;
    action->address = peer->address;
    timer_set_after_ms(core, &peer->timer, CONNECT_TIMEOUT_MS, on_peer_timer);
}

/* What a peer that does not read has not taken lies in memory here: hence the bounds. */
enum toystore_status peer_send(struct core *core, struct peer *peer, struct pending *pending)
{
    if (peer->state == PEER_BACKOFF)
        return TOYSTORE_UNAVAILABLE;
    if (peer->queued_count >= RPC_PEER_QUEUE_MAX || peer->bytes > PEER_BYTES_MAX)
        return TOYSTORE_BUSY;
    pending->peer = peer;
    pending->size = pending->params->size;
    peer->bytes += pending->size;
    peer->used_us = core->now_us;
    if (peer->state == PEER_READY) {
        put_on_wire(core, peer, pending);
        return TOYSTORE_OK;
    }
    pending->state = PENDING_QUEUED;
    list_push_back(&peer->queued, &pending->link);
    peer->queued_count++;
    if (peer->state == PEER_IDLE)
        start_connecting(core, peer);
    return TOYSTORE_OK;
}

void peer_unlink(struct core *core, struct pending *pending)
{
    (void)core;
    struct peer *peer = pending->peer;
    if (!list_linked(&pending->link))
        return;
    list_remove(&pending->link);
    peer->bytes -= pending->size;
    pending->size = 0;
    if (pending->state == PENDING_QUEUED)
        peer->queued_count--;
    else
        peer->open_count--;
}

/* ---- the end of a connection ---- */

static void fail_all(struct core *core, struct list *list, const struct rpc_answer *answer)
{
    while (!list_empty(list))
        pending_finish(core, container_of(list->next, struct pending, link), answer);
}

static void back_off(struct core *core, struct peer *peer, uint64_t pause_ms)
{
    peer->state = PEER_BACKOFF;
    peer->failures++;
    uint64_t jitter_ms = prng_below(&core->prng, pause_ms / 2 + 1);
    timer_set_after_ms(core, &peer->timer, pause_ms + jitter_ms, on_peer_timer);
}

static uint64_t pause_of(const struct peer *peer)
{
    unsigned doublings = peer->failures < 6 ? peer->failures : 6;
    return min_u64((uint64_t)BACKOFF_MS_MIN << doublings, BACKOFF_MS_MAX);
}

/* The connection is no more; `pause_ms` until the next. Callbacks of what was open run here. */
static void connection_lost(struct core *core, struct peer *peer, uint64_t pause_ms)
{
    if (peer->conn != 0)
        map_remove(&core->rpc->peers_by_conn, slice_u64(&peer->conn));
    peer->conn = 0;
    peer->pinged = false;
    timer_cancel(core, &peer->silence);
    back_off(core, peer, pause_ms);
    struct rpc_answer answer = {.status = TOYSTORE_UNAVAILABLE, .sent = true, .from = peer->heard};
    fail_all(core, &peer->open, &answer);
    answer.sent = false;
    fail_all(core, &peer->queued, &answer);
}

static void drop_connection(struct core *core, struct peer *peer, uint64_t pause_ms)
{
    core_act(core, ACTION_CLOSE)->conn = peer->conn;
    connection_lost(core, peer, pause_ms);
}

void peer_closed(struct core *core, struct peer *peer)
{
    core_log(core, LOG_DEBUG, "the connection to %s:%u ended", peer->address.host,
             peer->address.port);
    connection_lost(core, peer, pause_of(peer));
}

/* ---- Hello ---- */

static bool send_hello(struct core *core, struct peer *peer, rpc_done_fn *done, unsigned timeout_ms)
{
    struct pending *pending =
        pending_begin(core, METHOD_HELLO, hello_params(core), timeout_ms, done, peer->conn);
    if (pending == NULL)
        return false;
    pending->peer = peer;
    put_on_wire(core, peer, pending);
    return true;
}

void peer_opened(struct core *core, struct peer *peer)
{
    if (peer->state != PEER_CONNECTING)
        return;
    peer->state = PEER_HELLO;
    peer->waiting_since_us =
        core->now_us; /* the silence of the last connection is not this one's */
    if (!send_hello(core, peer, on_hello, CONNECT_TIMEOUT_MS))
        drop_connection(core, peer, pause_of(peer));
}

static void flush_queue(struct core *core, struct peer *peer)
{
    struct list *link;
    while ((link = list_pop_front(&peer->queued)) != NULL) {
        peer->queued_count--;
        put_on_wire(core, peer, container_of(link, struct pending, link));
    }
}

static void hello_refused(struct core *core, struct peer *peer, enum toystore_status status,
                          const char *error)
{
    core_log(core, peer->told ? LOG_DEBUG : LOG_WARNING, "%s:%u: %s", peer->address.host,
             peer->address.port, error);
    peer->told = true;
    if (status == TOYSTORE_REMOVED && core->config.storing)
        core_stop(core, -EOWNERDEAD, CORE_GONE_MESSAGE);
    drop_connection(core, peer, status == TOYSTORE_MISMATCH ? MISMATCH_BACKOFF_MS : pause_of(peer));
}

static void on_hello(struct core *core, uint64_t conn, uint64_t index,
                     const struct rpc_answer *answer)
{
    (void)index;
    struct peer *peer = map_get(&core->rpc->peers_by_conn, slice_u64(&conn));
    if (peer == NULL || peer->state != PEER_HELLO)
        return;
    if (answer->status != TOYSTORE_OK) {
        drop_connection(core, peer, pause_of(peer));
        return;
    }
    struct hello_reply reply;
    char error[256];
    enum toystore_status status =
        hello_check_reply(core, peer->id, answer->result, &reply, error, sizeof error);
    if (status != TOYSTORE_OK) {
        hello_refused(core, peer, status, error);
        return;
    }
    peer->heard = reply.node;
    peer->version = reply.version;
    if (reply.version != PROTOCOL_VERSION_HIGH)
        core_log(core, LOG_INFO, "%s:%u: protocol version %u is spoken, %u here",
                 peer->address.host, peer->address.port, reply.version, PROTOCOL_VERSION_HIGH);
    peer->state = PEER_READY;
    peer->failures = 0;
    peer->told = peer->silent = false;
    timer_cancel(core, &peer->timer);
    if (peer->id == 0)
        timer_set_after_ms(core, &peer->timer, IDLE_CLOSE_MS, on_peer_timer);
    flush_queue(core, peer);
}

/* ---- time ---- */

/* Another try without being asked: for members that matter now, and for those that could not be
 * reached, since nobody asks these until they are found again. */
static bool is_wanted(const struct core *core, const struct peer *peer)
{
    return peer->id != 0 && members_alive(core, peer->id) &&
           (peer->failures > 0 || peer->silent ||
            core->now_us - peer->used_us < USED_LATELY_MS * 1000ull);
}

static void close_if_idle(struct core *core, struct peer *peer)
{
    if (peer->open_count > 0 || core->now_us - peer->used_us < IDLE_CLOSE_MS * 1000ull) {
        timer_set_after_ms(core, &peer->timer, IDLE_CLOSE_MS, on_peer_timer);
        return;
    }
    drop_connection(core, peer, BACKOFF_MS_MIN);
    timer_cancel(core, &peer->timer);
    peer->state = PEER_IDLE;
    peer->failures = 0;
}

static void on_peer_timer(struct core *core, struct timer *timer)
{
    struct peer *peer = container_of(timer, struct peer, timer);
    switch (peer->state) {
    case PEER_IDLE:
        break;
    case PEER_CONNECTING:
    case PEER_HELLO:
        drop_connection(core, peer, pause_of(peer));
        break;
    case PEER_READY:
        close_if_idle(core, peer);
        break;
    case PEER_BACKOFF:
        peer->state = PEER_IDLE;
        if (is_wanted(core, peer))
            start_connecting(core, peer);
        break;
    }
}

/* A request is open and there is no word: ask for one, then rank the peer last, then give the
 * connection up (after a partition TCP may sleep for minutes, a new one finds through at once). */
static void on_silence(struct core *core, struct timer *timer)
{
    struct peer *peer = container_of(timer, struct peer, silence);
    uint64_t quiet_us = core->now_us - peer->waiting_since_us;
    uint64_t next_ms = PING_AFTER_MS;
    if (peer->open_count == 0 && !peer->silent)
        return;
    if (quiet_us >= GIVE_UP_AFTER_MS * 1000) {
        drop_connection(core, peer, pause_of(peer));
        return;
    }
    if (quiet_us >= SILENT_MS * 1000) {
        if (!peer->silent)
            members_doubt(core, peer->id);
        peer->silent = true;
        next_ms = GIVE_UP_AFTER_MS;
    } else if (quiet_us >= PING_AFTER_MS * 1000) {
        if (!peer->pinged && peer->state == PEER_READY)
            peer->pinged = send_hello(core, peer, NULL, GIVE_UP_AFTER_MS);
        next_ms = SILENT_MS;
    }
    timer_set(core, timer, peer->waiting_since_us + next_ms * 1000, on_silence);
}

/* ---- what arrives ---- */

void peer_frame(struct core *core, struct peer *peer, struct blob *bytes)
{
    struct frame frame;
    if (!frame_decode(blob_slice(bytes), &frame) || frame.type != FRAME_ANSWER) {
        core_log(core, LOG_WARNING, "%s:%u sent what is no answer; connection closed",
                 peer->address.host, peer->address.port);
        drop_connection(core, peer, BACKOFF_MS_MAX);
        return;
    }
    peer->waiting_since_us = core->now_us;
    peer->pinged = peer->silent = false;
    struct pending *pending = pending_find(core->rpc, frame.id);
    if (pending == NULL || pending->peer != peer || pending->state != PENDING_SENT)
        return; /* late, or a second time */
    pending_answered(core, pending, &frame, bytes);
}

void rpc_on_member(struct core *core, node_id id)
{
    struct peer *peer = map_get(&core->rpc->peers_by_id, slice_u64(&id));
    if (peer == NULL || !members_alive(core, id))
        return;
    if (peer->state == PEER_IDLE)
        peer->failures = 0;
    if (peer->state != PEER_BACKOFF)
        return;
    peer->failures = 0;
    timer_cancel(core, &peer->timer);
    start_connecting(core, peer);
}

bool rpc_reachable(const struct core *core, node_id id)
{
    if (id == core->id)
        return true;
    if (gone_is(core, id) || !members_alive(core, id))
        return false;
    const struct peer *peer = map_get(&core->rpc->peers_by_id, slice_u64(&id));
    if (peer == NULL || peer->state == PEER_IDLE)
        return true; /* what it did before its last pause says nothing of now */
    if (peer->state == PEER_READY)
        return !peer->silent;
    return peer->state != PEER_BACKOFF && peer->failures == 0 && !peer->silent;
}
