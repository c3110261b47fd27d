/* core_net: nodes with nothing in them but rpc and swim, and a network on virtual time between
 * them, for the tests and measurements of these two. The modules above are doubles. Node i is at
 * rpc port 1000 + i, gossip port 2000 + i, both served alike. A file that wants more than a few
 * nodes says so before it includes this one. */
#ifndef TOYSTORE_TEST_CORE_NET_H
#define TOYSTORE_TEST_CORE_NET_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/heap.h"
#include "core/members/identity.h"
#include "core/rpc/rpc_priv.h"
#include "core/swim/swim.h"
#include "core/swim/swim_priv.h"
#include "core/view/view.h"
#include "wire/pack.h"

#ifndef NET_NODES_MAX
#define NET_NODES_MAX 8
#endif
enum {
    NODES_MAX = NET_NODES_MAX,
    RPC_PORT = 1000,
    GOSSIP_PORT = 2000,
    LINKS_MAX = 4096 + NODES_MAX * NODES_MAX,
    DELAY_US = 300,
    RESEND_US = 200000 /* what a lost segment of a connection costs: TCP's least time-out */
};

struct flight { /* something on its way */
    struct heap_node arrival;
    int to;
    struct core_event event;
};

struct link_end {
    int node;
    uint64_t conn;
    uint64_t stream_us; /* what arrives here stays in order: nothing sooner */
};

static struct net {
    struct node {
        struct core *core;
        struct actions actions;
        bool up;
        int stop_status;
        char seed[32], host[32]; /* "": "net" */
        int event_count;         /* of members */
        unsigned left;           /* how often a member was gone */
    } nodes[NODES_MAX];
    int count;
    struct heap flights;
    struct link_end links[LINKS_MAX][2]; /* [0] connects, [1] is connected to */
    bool open[LINKS_MAX];
    int link_count;
    uint64_t now_us;
    bool cut[NODES_MAX][NODES_MAX];
    unsigned loss_percent; /* of datagrams; connections send again */
    uint64_t datagrams, datagram_bytes;
    struct prng prng;
} net;

static uint64_t net_saved_identities;
static int net_resets;

/* ---- doubles of the modules above ---- */

const struct layout *view_newest(const struct core *core)
{
    (void)core;
    return NULL;
}

uint32_t view_partition_count(const struct core *core)
{
    (void)core;
    return 0;
}

void identity_save(struct core *core)
{
    (void)core;
    net_saved_identities++;
}

void identity_reset(struct core *core, const char *why)
{
    (void)why;
    net_resets++;
    core_stop(core, -ESTALE, "a copy");
}

static unsigned net_retiring;

static void net_session_over(struct core *core, const struct session *session, const char *name)
{
    (void)core;
    (void)session;
    (void)name;
    net_retiring++;
}

static int net_of(const struct core *core)
{
    for (int i = 0; i < net.count; i++)
        if (net.nodes[i].core == core)
            return i;
    return -1;
}

static void net_on_member(struct core *core, enum toystore_event_type type,
                          const struct member *member)
{
    struct node *node = &net.nodes[net_of(core)];
    node->event_count++;
    node->left += type == TOYSTORE_LEAVE;
    rpc_on_member(core, member->id);
}

static void net_on_gone(struct core *core, node_id id)
{
    (void)core;
    (void)id;
}

/* Of the test or measurement. */
static void net_on_request(struct core *core, const struct rpc_request *request);

static const struct core_hooks net_hooks = {.request = net_on_request,
                                            .member = net_on_member,
                                            .session_over = net_session_over,
                                            .gone = net_on_gone};

/* That member was removed for good, and all have heard of it. */
static inline void net_remove(node_id id)
{
    struct buf list = {0};
    pack_array(&list, 1);
    pack_u64(&list, id);
    for (int i = 0; i < net.count; i++)
        gone_restore(net.nodes[i].core, buf_slice(&list));
    buf_free(&list);
}

/* ---- the network ---- */

static struct flight *net_send_at(int to, enum event_type type, uint64_t at_us)
{
    struct flight *flight = base_alloc(sizeof *flight);
    flight->to = to;
    flight->event.type = type;
    heap_set(&net.flights, &flight->arrival, at_us);
    return flight;
}

static uint64_t net_arrival_us(void)
{
    return net.now_us + DELAY_US + prng_below(&net.prng, DELAY_US);
}

static struct flight *net_send(int to, enum event_type type)
{
    return net_send_at(to, type, net_arrival_us());
}

/* Over a connection. */
static struct flight *net_stream(struct link_end *end, enum event_type type)
{
    uint64_t at_us = net_arrival_us();
    while (net.loss_percent > 0 && prng_chance(&net.prng, net.loss_percent, 100))
        at_us += RESEND_US;
    end->stream_us = max_u64(end->stream_us, at_us);
    struct flight *flight = net_send_at(end->node, type, end->stream_us);
    flight->event.conn = end->conn;
    return flight;
}

static int net_at(const struct address *address)
{
    int node = address->port % RPC_PORT;
    return node < net.count && net.nodes[node].up ? node : -1;
}

static struct link_end *net_other(int node, uint64_t conn, int *ret_link)
{
    for (int i = net.link_count; i-- > 0;)
        for (int side = 0; side < 2; side++)
            if (net.open[i] && net.links[i][side].node == node && net.links[i][side].conn == conn) {
                *ret_link = i;
                return &net.links[i][!side];
            }
    return NULL;
}

static void net_connect(int from, uint64_t conn, const struct address *address)
{
    int to = net_at(address);
    if (to < 0) {
        net_send(from, EVENT_CLOSED)->event.conn = conn;
        return;
    }
    if (net.cut[from][to])
        return;
    assert_true(net.link_count < LINKS_MAX);
    int link = net.link_count++;
    uint64_t inbound = CONN_INBOUND | ((uint64_t)link + 1);
    net.open[link] = true;
    net.links[link][0] = (struct link_end){from, conn, 0};
    net.links[link][1] = (struct link_end){to, inbound, 0};
    struct flight *flight = net_stream(&net.links[link][1], EVENT_OPENED);
    snprintf(flight->event.from.host, HOST_SIZE_MAX, "node%d", from);
    net_stream(&net.links[link][0], EVENT_OPENED);
}

static void net_carry_out(int from, struct action *action)
{
    int link;
    struct link_end *other;
    struct flight *flight;
    switch (action->type) {
    case ACTION_CONNECT:
        net_connect(from, action->conn, &action->address);
        break;
    case ACTION_CLOSE:
        if ((other = net_other(from, action->conn, &link)) != NULL) {
            net.open[link] = false;
            net_stream(other, EVENT_CLOSED);
        }
        break;
    case ACTION_SEND:
        if ((other = net_other(from, action->conn, &link)) == NULL || net.cut[from][other->node])
            break;
        flight = net_stream(other, EVENT_FRAME);
        struct buf frame = {0};
        buf_append(&frame, blob_slice(action->head).data, blob_slice(action->head).size);
        if (action->body != NULL)
            buf_append(&frame, action->body->data, action->body->size);
        flight->event.bytes = buf_take(&frame);
        break;
    case ACTION_DATAGRAM: {
        int to = net_at(&action->address);
        assert_true(action->body->size <= DATAGRAM_SIZE_MAX);
        net.datagrams++;
        net.datagram_bytes += action->body->size;
        if (to < 0 || net.cut[from][to] || prng_chance(&net.prng, net.loss_percent, 100))
            break;
        flight = net_send(to, EVENT_DATAGRAM);
        flight->event.from = net.nodes[from].core->config.gossip;
        flight->event.bytes = blob_ref(action->body);
        break;
    }
    case ACTION_RESOLVE:
        flight = net_send(from, EVENT_RESOLVED);
        flight->event.resume = action->resume;
        snprintf(flight->event.from.host, HOST_SIZE_MAX, "net");
        flight->event.from.port = (uint16_t)atoi(action->text);
        break;
    case ACTION_STOP:
        net.nodes[from].stop_status = action->status;
        net.nodes[from].up = false;
        break;
    default:
        break;
    }
    action_free(action);
}

/* Whatever happens at a node happens between these two. */
static struct core *net_enter(int node)
{
    struct core *core = net.nodes[node].core;
    core->now_us = net.now_us;
    core->out = &net.nodes[node].actions;
    return core;
}

static void net_leave(int node)
{
    struct core *core = net.nodes[node].core;
    struct action action;
    while (rpc_run_local(core) || disk_run_one(core) || timers_run_one(core))
        ;
    core->out = NULL;
    while (actions_take(&net.nodes[node].actions, &action))
        net_carry_out(node, &action);
}

static void net_deliver(struct flight *flight)
{
    struct core_event *event = &flight->event;
    if (net.nodes[flight->to].up) {
        struct core *core = net_enter(flight->to);
        if (event->type == EVENT_OPENED)
            rpc_on_opened(core, event->conn, &event->from);
        else if (event->type == EVENT_CLOSED)
            rpc_on_closed(core, event->conn);
        else if (event->type == EVENT_FRAME)
            rpc_on_frame(core, event->conn, event->bytes);
        else if (event->type == EVENT_DATAGRAM)
            swim_on_datagram(core, &event->from, blob_slice(event->bytes));
        else
            event->resume.fn(core, event, event->resume);
        net_leave(flight->to);
    }
    blob_unref(&event->bytes);
    free(flight);
}

/* One thing more, not after `until_us`. */
static bool net_step(uint64_t until_us)
{
    struct heap_node *first = heap_first(&net.flights);
    uint64_t at_us = first ? first->at : UINT64_MAX;
    int node = -1;
    for (int i = 0; i < net.count; i++) {
        struct heap_node *timer = heap_first(&net.nodes[i].core->timers);
        if (net.nodes[i].up && timer != NULL && timer->at < at_us) {
            at_us = timer->at;
            node = i;
        }
    }
    if (at_us > until_us)
        return false;
    net.now_us = max_u64(net.now_us, at_us);
    if (node >= 0) {
        net_enter(node);
        net_leave(node);
    } else {
        heap_remove(&net.flights, first);
        net_deliver(container_of(first, struct flight, arrival));
    }
    return true;
}

static void net_run_ms(uint64_t ms)
{
    uint64_t until_us = net.now_us + ms * 1000;
    while (net_step(until_us))
        ;
    net.now_us = until_us;
}

/* Runs until `done`; fails the test after `ms`. Returns how long it took. */
static inline uint64_t net_until(bool (*done)(void), uint64_t ms)
{
    uint64_t begin_us = net.now_us;
    while (!done()) {
        if (net.now_us > begin_us + ms * 1000)
            fail_msg("not within %llu ms", (unsigned long long)ms);
        net_run_ms(1);
    }
    return (net.now_us - begin_us) / 1000;
}

/* ---- nodes ---- */

enum { PROBE_MS = 100 };

/* A process of node `i`: of its remembered `members` (may be NULL) after a restart. */
static struct core *net_boot(int i, struct core *before)
{
    struct core *core = base_alloc(sizeof *core);
    struct node *node = &net.nodes[i];
    core->config.log_level = -1;
    core->config.probe_interval_ms = PROBE_MS;
    core->config.storing = true;
    snprintf(core->config.cluster_name, sizeof core->config.cluster_name, "test");
    if (node->seed[0] != 0) {
        memcpy(core->config.seeds[0], node->seed, sizeof node->seed);
        core->config.seed_count = 1;
    }
    list_init(&core->disk_answers);
    prng_seed(&core->prng, prng_next(&net.prng));
    prng_bytes(&core->prng, core->session.bytes, SESSION_SIZE);
    core->id = core->self.id = (node_id)(i + 1);
    core->self.session = core->session;
    core->self.storing = true;
    core->self.weight = 100;
    core->self.incarnation = before ? before->self.incarnation + 1 : 1;
    core->nonce_count = before ? before->nonce_count + 1 : 1;
    core->nonces = base_alloc(core->nonce_count * sizeof *core->nonces);
    core->nonces[0] = core->self.nonces[0] = prng_next(&core->prng);
    if (before != NULL) {
        memcpy(core->nonces + 1, before->nonces, before->nonce_count * sizeof *core->nonces);
        core->self.nonces[1] = core->nonces[1];
    }
    snprintf(core->self.name, sizeof core->self.name, "node%d", i);
    snprintf(core->self.rpc.host, HOST_SIZE_MAX, "%s", node->host[0] ? node->host : "net");
    core->self.gossip = core->self.rpc;
    core->self.rpc.port = (uint16_t)(RPC_PORT + i);
    core->self.gossip.port = (uint16_t)(GOSSIP_PORT + i);
    core->config.rpc = core->self.rpc;
    core->config.gossip = core->self.gossip;
    core->started = true;
    core->hooks = &net_hooks;
    core->members = members_new();
    core->rpc = rpc_new(core);
    core->swim = swim_new(core);
    return core;
}

static void net_core_free(struct core *core)
{
    swim_free(core->swim);
    rpc_free(core->rpc);
    members_free(core->members);
    disk_free(core);
    heap_free(&core->timers);
    free(core->nonces);
    free(core);
}

static void net_start(int i)
{
    net.nodes[i].up = true;
    net.nodes[i].stop_status = 1;
    net_enter(i);
    swim_start(net.nodes[i].core);
    net_leave(i);
}

/* `count` nodes; all but the first have the first as a seed. */
static void net_open(int count, uint64_t seed)
{
    net = (struct net){.count = count, .now_us = 1000000};
    net_resets = 0;
    prng_seed(&net.prng, seed);
    for (int i = 0; i < count; i++) {
        if (i > 0)
            snprintf(net.nodes[i].seed, sizeof net.nodes[i].seed, "%d", GOSSIP_PORT);
        net.nodes[i].core = net_boot(i, NULL);
    }
    for (int i = 0; i < count; i++)
        net_start(i);
}

/* kill -9: its connections break, nothing is said. */
static void net_kill(int i)
{
    net.nodes[i].up = false;
    for (int link = 0; link < net.link_count; link++)
        for (int side = 0; side < 2; side++)
            if (net.open[link] && net.links[link][side].node == i) {
                struct link_end *other = &net.links[link][!side];
                net.open[link] = false;
                net_stream(other, EVENT_CLOSED);
            }
}

/* Starts again with what it remembers of the others, and no seed. */
static inline void net_restart(int i)
{
    struct core *before = net.nodes[i].core;
    struct buf members = {0};
    size_t count = before->members->count;
    net.nodes[i].seed[0] = 0;
    struct core *core = net_boot(i, before);
    pack_array(&members, (uint32_t)(count - 1));
    for (size_t m = 1; m < count; m++)
        news_encode(&members, before->members->list[m]->member, before->id);
    swim_restore(core, buf_slice(&members));
    buf_free(&members);
    net.nodes[i].core = core;
    net_core_free(before);
    actions_free(&net.nodes[i].actions);
    net_start(i);
}

static inline void net_cut(int a, int b, bool cut)
{
    net.cut[a][b] = net.cut[b][a] = cut;
}

static void net_close(void)
{
    struct heap_node *first;
    while ((first = heap_first(&net.flights)) != NULL) {
        struct flight *flight = container_of(first, struct flight, arrival);
        heap_remove(&net.flights, first);
        blob_unref(&flight->event.bytes);
        free(flight);
    }
    heap_free(&net.flights);
    for (int i = 0; i < net.count; i++) {
        net_core_free(net.nodes[i].core);
        actions_free(&net.nodes[i].actions);
    }
}

static enum toystore_member_state net_state(int at, int of)
{
    const struct member *member = members_find(net.nodes[at].core, (node_id)(of + 1));
    return member ? member->state : TOYSTORE_LEFT;
}

#endif
