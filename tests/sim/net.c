/* net: connections that keep order and break, datagrams that do not, partitions both ways or one.
 *
 * A blocked direction of a connection stalls: its frames arrive when it heals, or never. */
#include "core/rpc/rpc.h"
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

enum { BLOCKED_LOOK_US = 20000 }; /* a frame that is held up is looked at again */

struct frame_in_flight {
    uint64_t due_us;
    struct blob *bytes; /* NULL: the end of the stream */
};

/* One direction of a connection: what `from` has sent. */
struct stream_half {
    unsigned from, to;
    struct frame_in_flight *frames;
    size_t first, count, capacity;
    uint64_t last_due_us;
    bool pumping;
};

struct link {
    unsigned index;
    bool live;
    bool open[2];     /* each end still wants events: 0 the opener, 1 the other */
    uint64_t conn[2]; /* the names that the ends know it by */
    unsigned node[2];
    uint64_t life[2];
    struct stream_half half[2]; /* [0]: what the opener sends */
};

struct net {
    bool blocked[NODES_MAX][NODES_MAX];
    struct link **links;
    size_t link_count, link_capacity;
    struct map by_end;   /* node and connection name -> link */
    uint64_t drained_us; /* what was on its way when all was mended has arrived */
};

struct end_key {
    uint64_t conn;
    uint64_t node;
};

static struct slice key_of(const struct end_key *key)
{
    return slice_of(key, sizeof *key);
}

struct net *net_new(void)
{
    return base_alloc(sizeof(struct net));
}

static void free_frames(struct stream_half *half)
{
    for (size_t i = half->first; i < half->count; i++)
        blob_unref(&half->frames[i].bytes);
    half->first = half->count = 0;
}

void net_free(struct net *net)
{
    for (size_t i = 0; i < net->link_count; i++) {
        for (int side = 0; side < 2; side++) {
            free_frames(&net->links[i]->half[side]);
            free(net->links[i]->half[side].frames);
        }
        free(net->links[i]);
    }
    free(net->links);
    map_free(&net->by_end);
    free(net);
}

static uint64_t draw_delay(struct sim *sim)
{
    if (sim->healed)
        return sim_between(sim, STREAM_NET, 100, 500);
    uint64_t delay = sim_between(sim, STREAM_NET, sim->plan.delay_low_us, sim->plan.delay_high_us);
    return sim_chance(sim, STREAM_NET, sim->plan.spike_chance) ? delay * 100 : delay;
}

static bool same_process(const struct sim *sim, const struct link *link, int side)
{
    const struct sim_node *node = &sim->nodes[link->node[side]];
    return node->state == NODE_UP && node->life == link->life[side];
}

static void tell(struct sim *sim, struct link *link, int side, enum event_type type)
{
    if (!same_process(sim, link, side))
        return;
    struct sim_node *other = &sim->nodes[link->node[1 - side]];
    struct core_event event = {
        .type = type, .conn = link->conn[side], .from = other->config.gossip};
    event.from.port = (uint16_t)(40000 + link->index % 20000);
    node_deliver(sim, &sim->nodes[link->node[side]], &event);
}

/* An end that hears no more of the link. */
static void close_end(struct sim *sim, struct link *link, int side)
{
    struct end_key key = {link->conn[side], link->node[side]};
    if (!link->open[side])
        return;
    link->open[side] = false;
    if (map_get(&sim->net->by_end, key_of(&key)) == link)
        map_remove(&sim->net->by_end, key_of(&key));
}

static void told_closed(struct sim *sim, struct sim_event *event)
{
    struct link *link = sim->net->links[event->a];
    int side = (int)event->b;
    if (!link->open[side])
        return;
    close_end(sim, link, side);
    tell(sim, link, side, EVENT_CLOSED);
}

static void close_later(struct sim *sim, struct link *link, int side, uint64_t delay_us)
{
    struct sim_event *event = sim_at(sim, sim->now_us + delay_us, told_closed);
    event->a = link->index;
    event->b = (uint64_t)side;
}

static void link_break(struct sim *sim, struct link *link, bool silent)
{
    link->live = false;
    for (int side = 0; side < 2; side++) {
        free_frames(&link->half[side]);
        uint64_t delay =
            silent ? sim_between(sim, STREAM_NET, 200 * MS, 5 * SECOND) : draw_delay(sim);
        close_later(sim, link, side, delay);
    }
}

/* ---- frames ---- */

static void pump(struct sim *sim, struct sim_event *event);

static void pump_later(struct sim *sim, struct link *link, int side, uint64_t at_us)
{
    link->half[side].pumping = true;
    struct sim_event *event = sim_at(sim, at_us, pump);
    event->a = link->index;
    event->b = (uint64_t)side;
}

static void deliver_frame(struct sim *sim, struct link *link, int to, struct blob *bytes)
{
    if (!link->open[to] || !same_process(sim, link, to)) {
        blob_unref(&bytes);
        return;
    }
    if (bytes == NULL) {
        close_end(sim, link, to);
        tell(sim, link, to, EVENT_CLOSED);
        return;
    }
    struct core_event event = {.type = EVENT_FRAME, .conn = link->conn[to], .bytes = bytes};
    node_deliver(sim, &sim->nodes[link->node[to]], &event);
}

static void pump(struct sim *sim, struct sim_event *event)
{
    struct link *link = sim->net->links[event->a];
    int side = (int)event->b;
    struct stream_half *half = &link->half[side];
    half->pumping = false;
    while (half->first < half->count) {
        if (sim->net->blocked[half->from][half->to]) {
            pump_later(sim, link, side, sim->now_us + BLOCKED_LOOK_US);
            return;
        }
        struct frame_in_flight *frame = &half->frames[half->first];
        if (frame->due_us > sim->now_us) {
            pump_later(sim, link, side, frame->due_us);
            return;
        }
        half->first++;
        deliver_frame(sim, link, 1 - side, frame->bytes);
    }
    half->first = half->count = 0;
}

static void send_frame(struct sim *sim, struct link *link, int side, struct blob *bytes)
{
    struct stream_half *half = &link->half[side];
    if (!link->live) {
        blob_unref(&bytes);
        return;
    }
    if (half->count == half->capacity) {
        half->capacity = half->capacity ? half->capacity * 2 : FRAME_QUEUE;
        half->frames = base_realloc(half->frames, half->capacity * sizeof *half->frames);
    }
    half->last_due_us = max_u64(half->last_due_us, sim->now_us + draw_delay(sim));
    half->frames[half->count++] = (struct frame_in_flight){half->last_due_us, bytes};
    if (!half->pumping)
        pump_later(sim, link, side, half->last_due_us);
}

/* ---- connections ---- */

static struct sim_node *find_address(struct sim *sim, const struct address *address)
{
    for (unsigned i = 0; i < sim->node_count; i++)
        if (strcmp(sim->nodes[i].config.rpc.host, address->host) == 0)
            return &sim->nodes[i];
    return NULL;
}

static void bind_end(struct sim *sim, struct link *link, int side)
{
    struct end_key key = {link->conn[side], link->node[side]};
    link->open[side] = true;
    map_put(&sim->net->by_end, key_of(&key), link);
}

/* The opener's request has reached the other machine. */
static void arrive(struct sim *sim, struct sim_event *event)
{
    struct link *link = sim->net->links[event->a];
    struct sim_node *to = &sim->nodes[link->node[1]];
    if (!link->open[0] || !same_process(sim, link, 0))
        return;
    if (sim->net->blocked[link->node[0]][link->node[1]] ||
        sim->net->blocked[link->node[1]][link->node[0]]) {
        close_later(sim, link, 0, sim_between(sim, STREAM_NET, SECOND, 4 * SECOND));
        return;
    }
    if (to->state != NODE_UP) {
        close_later(sim, link, 0, draw_delay(sim));
        return;
    }
    link->live = true;
    link->life[1] = to->life;
    link->conn[1] = CONN_INBOUND | ++to->connections;
    bind_end(sim, link, 1);
    tell(sim, link, 1, EVENT_OPENED);
    tell(sim, link, 0, EVENT_OPENED);
}

static struct link *link_new(struct sim *sim, struct sim_node *from, uint64_t conn)
{
    struct net *net = sim->net;
    if (net->link_count == net->link_capacity) {
        net->link_capacity = net->link_capacity ? net->link_capacity * 2 : 32;
        net->links = base_realloc(net->links, net->link_capacity * sizeof *net->links);
    }
    struct link *link = base_alloc(sizeof *link);
    link->index = (unsigned)net->link_count;
    link->node[0] = from->index;
    link->life[0] = from->life;
    link->conn[0] = conn;
    net->links[net->link_count++] = link;
    bind_end(sim, link, 0);
    return link;
}

static void act_connect(struct sim *sim, struct sim_node *node, struct action *action)
{
    struct link *link = link_new(sim, node, action->conn);
    struct sim_node *to = find_address(sim, &action->address);
    if (to == NULL) {
        close_later(sim, link, 0, draw_delay(sim));
        return;
    }
    link->node[1] = to->index;
    link->half[0] = (struct stream_half){.from = node->index, .to = to->index};
    link->half[1] = (struct stream_half){.from = to->index, .to = node->index};
    sim_at(sim, sim->now_us + draw_delay(sim), arrive)->a = link->index;
}

static struct link *find_link(struct sim *sim, const struct sim_node *node, uint64_t conn,
                              int *ret_side)
{
    struct end_key key = {conn, node->index};
    struct link *link = map_get(&sim->net->by_end, key_of(&key));
    if (link != NULL)
        *ret_side = link->conn[0] == conn && link->node[0] == node->index ? 0 : 1;
    return link;
}

static void act_close(struct sim *sim, struct sim_node *node, struct action *action)
{
    int side;
    struct link *link = find_link(sim, node, action->conn, &side);
    if (link == NULL)
        return;
    close_end(sim, link, side);
    if (link->live)
        send_frame(sim, link, side, NULL);
}

static void act_send(struct sim *sim, struct sim_node *node, struct action *action)
{
    int side;
    struct link *link = find_link(sim, node, action->conn, &side);
    if (link == NULL)
        return; /* it broke, and the core will hear of it */
    struct buf bytes = {0};
    struct slice head = blob_slice(action->head), body = blob_slice(action->body);
    buf_append(&bytes, head.data, head.size);
    buf_append(&bytes, body.data, body.size);
    send_frame(sim, link, side, buf_take(&bytes));
}

/* ---- datagrams ---- */

static void arrive_datagram(struct sim *sim, struct sim_event *event)
{
    struct sim_node *to = &sim->nodes[event->a];
    if (to->state != NODE_UP || sim->net->blocked[event->b][event->a])
        return;
    node_deliver(sim, to, &event->event);
}

static void act_datagram(struct sim *sim, struct sim_node *node, struct action *action)
{
    struct sim_node *to = find_address(sim, &action->address);
    if (to == NULL)
        return;
    unsigned copies = 1;
    if (!sim->healed && sim_chance(sim, STREAM_NET, sim->plan.drop_chance))
        copies = 0;
    else if (!sim->healed && sim_chance(sim, STREAM_NET, sim->plan.double_chance))
        copies = 2;
    for (unsigned i = 0; i < copies; i++) {
        struct sim_event *event = sim_at(sim, sim->now_us + draw_delay(sim), arrive_datagram);
        event->a = to->index;
        event->b = node->index;
        event->event = (struct core_event){
            .type = EVENT_DATAGRAM, .from = node->config.gossip, .bytes = blob_ref(action->body)};
    }
}

/* "HOST[:PORT]" with a numeric host: what the system's resolver would say. */
static void act_resolve(struct sim *sim, struct sim_node *node, struct action *action)
{
    struct core_event event = {.type = EVENT_RESOLVED, .resume = action->resume};
    char host[HOST_SIZE_MAX];
    unsigned port = 7946;
    if (sscanf(action->text, "%63[^:]:%u", host, &port) < 1)
        event.status = -ENOENT;
    snprintf(event.from.host, sizeof event.from.host, "%s", host);
    event.from.port = (uint16_t)port;
    sim_at_node(sim, sim->now_us + 100, node_fire, node)->event = event;
}

void net_act(struct sim *sim, struct sim_node *node, struct action *action)
{
    if (action->type == ACTION_CONNECT)
        act_connect(sim, node, action);
    else if (action->type == ACTION_CLOSE)
        act_close(sim, node, action);
    else if (action->type == ACTION_SEND)
        act_send(sim, node, action);
    else if (action->type == ACTION_DATAGRAM)
        act_datagram(sim, node, action);
    else if (action->type == ACTION_RESOLVE)
        act_resolve(sim, node, action);
}

/* ---- faults ---- */

void net_process_ended(struct sim *sim, struct sim_node *node, bool silent)
{
    for (size_t i = 0; i < sim->net->link_count; i++) {
        struct link *link = sim->net->links[i];
        for (int side = 0; side < 2; side++)
            if (link->open[side] && link->node[side] == node->index)
                close_end(sim, link, side);
        if (!link->live || (link->node[0] != node->index && link->node[1] != node->index))
            continue;
        int dead = link->node[0] == node->index ? 0 : 1;
        if (!silent && sim_chance(sim, STREAM_NET, 500))
            send_frame(sim, link, dead, NULL); /* the kernel still sends what it was given */
        else
            link_break(sim, link, silent);
    }
}

struct sim_node *net_peer(struct sim *sim, const struct sim_node *node, uint64_t conn)
{
    int side;
    struct link *link = find_link(sim, node, conn, &side);
    return link ? &sim->nodes[link->node[1 - side]] : NULL;
}

void net_block(struct sim *sim, unsigned from, unsigned to, bool blocked)
{
    sim->net->blocked[from][to] = blocked;
}

/* When the last of these frames arrives: what was held up is looked at after a while. */
static uint64_t half_drained(const struct sim *sim, const struct stream_half *half)
{
    bool held_up = half->first < half->count && half->last_due_us <= sim->now_us;
    return held_up ? sim->now_us + BLOCKED_LOOK_US : half->last_due_us;
}

void net_heal(struct sim *sim)
{
    struct net *net = sim->net;
    memset(net->blocked, 0, sizeof net->blocked);
    for (size_t i = 0; i < net->link_count; i++)
        for (int side = 0; side < 2 && net->links[i]->live; side++)
            net->drained_us =
                max_u64(net->drained_us, half_drained(sim, &net->links[i]->half[side]));
}

bool net_drained(const struct sim *sim)
{
    return sim->now_us > sim->net->drained_us;
}

void net_break_one(struct sim *sim)
{
    size_t live = 0, wanted;
    for (size_t i = 0; i < sim->net->link_count; i++)
        live += sim->net->links[i]->live;
    if (live == 0)
        return;
    wanted = prng_below(&sim->streams[STREAM_FAULT], live);
    for (size_t i = 0; i < sim->net->link_count; i++) {
        struct link *link = sim->net->links[i];
        if (!link->live || wanted-- > 0)
            continue;
        trace_say(sim, &sim->nodes[link->node[0]], "its connection to %u breaks", link->node[1]);
        link_break(sim, link, false);
        return;
    }
}
