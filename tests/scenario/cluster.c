/* cluster: nodes, their stores and the network between them. */
#include "cluster.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/stores.h"
#include "wire/frame.h"

enum { DELAY_US = 200, REFUSED_US = 500, LINKS_MAX = 4096, CALL_MS = 30000, PORT = 1000 };

struct flight {
    struct heap_node node;
    unsigned to, life; /* of the process that it is for */
    struct core_event event;
};

struct link {
    unsigned node[2];
    uint64_t conn[2]; /* [0] connected */
    bool open;
};

struct test_node {
    struct core *core;
    struct toystore_store *store;
    struct actions actions;
    unsigned life, boots;
    int64_t clock_us; /* its wall clock's, ahead of the others */
    bool up, paused, ready;
    bool client;            /* stores nothing */
    bool may_stop, stopped; /* by itself */
    uint32_t weight;        /* 0: 100 */
};

static struct cluster {
    struct test_node nodes[CLUSTER_MAX];
    unsigned count;
    struct heap flights;
    struct link links[LINKS_MAX];
    unsigned link_count;
    bool cut[CLUSTER_MAX][CLUSTER_MAX];
    uint64_t now_us, calls;
    struct call_result *answer;
    unsigned sent[METHOD_COUNT];
    bool lost[METHOD_COUNT];
    struct {
        enum wire_method method;
        unsigned from, to, ms;
    } slow;
    struct arena arena;
    struct blob *stored;
} cluster;

static unsigned broken_rule;

void cluster_break(unsigned broken)
{
    broken_rule = broken;
}

static unsigned copies;

void cluster_copies(unsigned n)
{
    copies = n;
}

static int64_t wall_us(unsigned node)
{
    return (int64_t)cluster.now_us + 1000000000000 + cluster.nodes[node].clock_us;
}

void cluster_clock(unsigned node, int64_t ahead_us)
{
    cluster.nodes[node].clock_us = ahead_us;
}

uint64_t cluster_now_us(void)
{
    return cluster.now_us;
}

struct core *cluster_core(unsigned node)
{
    return cluster.nodes[node].core;
}

/* ---- events on their way ---- */

static struct core_event *deliver(unsigned to, enum event_type type, unsigned delay_us)
{
    struct flight *flight = base_alloc(sizeof *flight);
    flight->to = to;
    flight->life = cluster.nodes[to].life;
    flight->event.type = type;
    heap_set(&cluster.flights, &flight->node, cluster.now_us + delay_us);
    return &flight->event;
}

static void flight_free(struct flight *flight)
{
    for (size_t i = 0; i < flight->event.pair_count; i++) {
        free((void *)(uintptr_t)flight->event.pairs[i].key.data);
        free((void *)(uintptr_t)flight->event.pairs[i].value.data);
    }
    free((void *)(uintptr_t)flight->event.pairs);
    blob_unref(&flight->event.bytes);
    free(flight);
}

/* ---- the network ---- */

static struct address address_of(unsigned node)
{
    return (struct address){.host = "127.0.0.1", .port = (uint16_t)(PORT + node)};
}

static int node_at(const struct address *address)
{
    unsigned node = address->port - PORT;
    return node < cluster.count && cluster.nodes[node].up ? (int)node : -1;
}

static struct link *link_of(unsigned node, uint64_t conn, int *ret_side)
{
    for (unsigned i = cluster.link_count; i-- > 0;)
        for (int side = 0; side < 2; side++)
            if (cluster.links[i].open && cluster.links[i].node[side] == node &&
                cluster.links[i].conn[side] == conn) {
                *ret_side = side;
                return &cluster.links[i];
            }
    return NULL;
}

static void connect_to(unsigned from, const struct action *action)
{
    int to = node_at(&action->address);
    if (to < 0 || cluster.cut[from][to]) {
        deliver(from, EVENT_CLOSED, REFUSED_US)->conn = action->conn;
        return;
    }
    assert_true(cluster.link_count < LINKS_MAX);
    uint64_t inbound = CONN_INBOUND | (cluster.link_count + 1);
    cluster.links[cluster.link_count++] =
        (struct link){{from, (unsigned)to}, {action->conn, inbound}, true};
    deliver((unsigned)to, EVENT_OPENED, DELAY_US)->conn = inbound;
    deliver(from, EVENT_OPENED, DELAY_US)->conn = action->conn;
}

static void close_link(struct link *link, int told)
{
    link->open = false;
    if (cluster.nodes[link->node[told]].up)
        deliver(link->node[told], EVENT_CLOSED, DELAY_US)->conn = link->conn[told];
}

/* How long it is on its way; 0: it is to be lost. */
static unsigned delay_of(struct slice bytes, unsigned from, unsigned to)
{
    struct frame frame;
    if (!frame_decode(bytes, &frame) || frame.type == FRAME_ANSWER || frame.method == METHOD_NONE)
        return DELAY_US;
    cluster.sent[frame.method]++;
    if (cluster.lost[frame.method])
        return 0;
    bool slow = frame.method == cluster.slow.method && from == cluster.slow.from &&
                to == cluster.slow.to && cluster.slow.ms != 0;
    return slow ? 1000 * cluster.slow.ms : DELAY_US;
}

static void send_frame(unsigned from, const struct action *action)
{
    int side;
    struct link *link = link_of(from, action->conn, &side);
    if (!link)
        return;
    struct buf bytes = {0};
    struct slice head = blob_slice(action->head), body = blob_slice(action->body);
    if (head.size > 0)
        buf_append(&bytes, head.data, head.size);
    if (body.size > 0)
        buf_append(&bytes, body.data, body.size);
    unsigned delay_us = delay_of(buf_slice(&bytes), from, link->node[!side]);
    if (delay_us == 0) {
        buf_free(&bytes);
        return;
    }
    struct core_event *event = deliver(link->node[!side], EVENT_FRAME, delay_us);
    event->conn = link->conn[!side];
    event->bytes = buf_take(&bytes);
}

void cluster_slow(enum wire_method method, unsigned from, unsigned to, unsigned ms)
{
    cluster.slow.method = method;
    cluster.slow.from = from;
    cluster.slow.to = to;
    cluster.slow.ms = ms;
}

void cluster_lose(enum wire_method method, bool lost)
{
    cluster.lost[method] = lost;
}

unsigned cluster_sent(enum wire_method method)
{
    unsigned sent = cluster.sent[method];
    cluster.sent[method] = 0;
    return sent;
}

void cluster_cut(unsigned a, unsigned b)
{
    cluster.cut[a][b] = cluster.cut[b][a] = true;
    for (unsigned i = 0; i < cluster.link_count; i++) {
        struct link *link = &cluster.links[i];
        if (link->open && cluster.cut[link->node[0]][link->node[1]]) {
            close_link(link, 0);
            link->open = true;
            close_link(link, 1);
        }
    }
}

void cluster_heal(void)
{
    memset(cluster.cut, 0, sizeof cluster.cut);
}

/* ---- the stores ---- */

static void loaded(void *arg, struct toystore_bytes value)
{
    ((struct core_event *)arg)->bytes = blob_copy(slice_of(value.data, value.size));
}

static void load(unsigned node, const struct action *action)
{
    struct toystore_store *store = cluster.nodes[node].store;
    struct core_event *event = deliver(node, EVENT_LOADED, 1);
    event->resume = action->resume;
    event->status = store->ops->get(store, action->space,
                                    (struct toystore_bytes){action->key->data, action->key->size},
                                    loaded, event);
}

static void commit(unsigned node, const struct action *action)
{
    struct toystore_store *store = cluster.nodes[node].store;
    size_t count = action->batch.count;
    struct toystore_write *writes = base_alloc(count * sizeof *writes + 1);
    for (size_t i = 0; i < count; i++) {
        const struct batch_write *write = &action->batch.writes[i];
        struct slice value = blob_slice(write->value);
        writes[i] = (struct toystore_write){.space = write->space,
                                            .remove = write->remove,
                                            .key = {write->key->data, write->key->size},
                                            .value = {value.data, value.size}};
    }
    struct core_event *event = deliver(node, EVENT_COMMITTED, action->durable ? 1000 : 10);
    event->resume = action->resume;
    event->status = store->ops->write(store, writes, count);
    free(writes);
}

struct scan {
    struct core_event *event;
    struct scan_pair *pairs;
    size_t limit;
};

static struct slice copy_of(struct toystore_bytes bytes)
{
    return slice_of(base_copy(bytes.data, bytes.size), bytes.size);
}

static bool scanned(void *arg, struct toystore_bytes key, struct toystore_bytes value)
{
    struct scan *scan = arg;
    if (scan->event->pair_count == scan->limit) {
        scan->event->more = true;
        return false;
    }
    scan->pairs[scan->event->pair_count++] = (struct scan_pair){copy_of(key), copy_of(value)};
    return true;
}

static void scan(unsigned node, const struct action *action)
{
    struct toystore_store *store = cluster.nodes[node].store;
    struct scan scan = {.event = deliver(node, EVENT_SCANNED, 10), .limit = action->limit};
    scan.pairs = base_alloc(action->limit * sizeof *scan.pairs + 1);
    scan.event->pairs = scan.pairs;
    scan.event->resume = action->resume;
    struct slice key = blob_slice(action->key), end = blob_slice(action->end);
    scan.event->status =
        store->ops->scan(store, action->space, (struct toystore_bytes){key.data, key.size},
                         (struct toystore_bytes){end.data, end.size}, scanned, &scan);
}

/* ---- a node ---- */

static void act(unsigned node, struct action *action)
{
    int side;
    switch (action->type) {
    case ACTION_CONNECT:
        connect_to(node, action);
        break;
    case ACTION_CLOSE: {
        struct link *link = link_of(node, action->conn, &side);
        if (link)
            close_link(link, !side);
        break;
    }
    case ACTION_SEND:
        send_frame(node, action);
        break;
    case ACTION_DATAGRAM: {
        int to = node_at(&action->address);
        if (to < 0 || cluster.cut[node][to])
            break;
        struct core_event *event = deliver((unsigned)to, EVENT_DATAGRAM, DELAY_US);
        event->from = address_of(node);
        event->bytes = blob_ref(action->body);
        break;
    }
    case ACTION_RESOLVE: {
        struct core_event *event = deliver(node, EVENT_RESOLVED, DELAY_US);
        event->resume = action->resume;
        event->from = address_of(0);
        break;
    }
    case ACTION_LOAD:
        load(node, action);
        break;
    case ACTION_COMMIT:
        commit(node, action);
        break;
    case ACTION_SCAN:
        scan(node, action);
        break;
    case ACTION_REPLY:
        assert_null(cluster.answer);
        cluster.answer = action->result;
        action->result = NULL;
        break;
    case ACTION_READY:
        cluster.nodes[node].ready = true;
        break;
    case ACTION_LOG:
        if (getenv("CLUSTER_LOG"))
            printf("%10.6f n%u %s\n", (double)cluster.now_us / 1e6, node, action->text);
        break;
    case ACTION_STOP:
        if (!cluster.nodes[node].may_stop)
            fail_msg("node %u stopped: %s", node, action->text);
        cluster.nodes[node].stopped = true;
        break;
    default:
        break;
    }
    action_free(action);
}

static void act_all(unsigned node)
{
    struct action action;
    while (actions_take(&cluster.nodes[node].actions, &action))
        act(node, &action);
}

static void step(unsigned node, struct core_event *event)
{
    event->now_us = cluster.now_us;
    event->wall_us = wall_us(node);
    core_step(cluster.nodes[node].core, event, &cluster.nodes[node].actions);
    act_all(node);
}

static void boot(unsigned node)
{
    struct test_node *own = &cluster.nodes[node];
    struct core_config config = {.storing = !own->client,
                                 .weight = own->weight ? own->weight : 100,
                                 .replicas = copies ? copies : 3,
                                 .write_quorum = copies ? copies : 2,
                                 .read_quorum = copies ? copies : 2,
                                 .partitions = 16,
                                 .handoff_interval_ms = 100,
                                 .probe_interval_ms = 100,
                                 .seed_count = node > 0,
                                 .random_seed = 1000 * (node + 1) + own->life,
                                 .broken = broken_rule,
                                 .log_level = getenv("CLUSTER_LOG") ? LOG_DEBUG : LOG_ERROR};
    config.rpc = config.gossip = address_of(node);
    snprintf(config.name, sizeof config.name, "n%u", node);
    snprintf(config.cluster_name, sizeof config.cluster_name, "scenario");
    snprintf(config.boot_id, sizeof config.boot_id, "boot %u", own->boots);
    snprintf(config.seeds[0], sizeof config.seeds[0], "first:%d", PORT);
    own->up = true;
    own->paused = own->ready = false;
    own->core = core_new(&config);
    core_start(own->core, cluster.now_us, wall_us(node), &own->actions);
    act_all(node);
}

void cluster_kill(unsigned node)
{
    struct test_node *own = &cluster.nodes[node];
    own->up = false;
    own->life++;
    for (unsigned i = 0; i < cluster.link_count; i++)
        for (int side = 0; side < 2; side++)
            if (cluster.links[i].open && cluster.links[i].node[side] == node)
                close_link(&cluster.links[i], !side);
    core_free(own->core);
    own->core = NULL;
    actions_free(&own->actions);
}

void cluster_restart(unsigned node)
{
    boot(node);
}

void cluster_restart_weight(unsigned node, uint32_t weight)
{
    cluster.nodes[node].weight = weight;
    boot(node);
}

bool cluster_stops_itself(unsigned node)
{
    bool stopped = cluster.nodes[node].stopped;
    cluster.nodes[node].may_stop = true;
    cluster.nodes[node].stopped = false;
    return stopped;
}

void cluster_restart_machine(unsigned node)
{
    cluster.nodes[node].boots++;
    boot(node);
}

void cluster_pause(unsigned node)
{
    cluster.nodes[node].paused = true;
}

void cluster_continue(unsigned node)
{
    cluster.nodes[node].paused = false;
}

/* ---- time ---- */

static bool asleep(unsigned node)
{
    return !cluster.nodes[node].up || cluster.nodes[node].paused;
}

/* The earliest deadline of a node that runs; its number in *ret_node. */
static uint64_t next_deadline(unsigned *ret_node)
{
    uint64_t first = UINT64_MAX;
    for (unsigned i = 0; i < cluster.count; i++) {
        uint64_t at = asleep(i) ? UINT64_MAX : core_deadline(cluster.nodes[i].core);
        if (at < first) {
            first = at;
            *ret_node = i;
        }
    }
    return first;
}

static void land(struct flight *flight)
{
    const struct test_node *to = &cluster.nodes[flight->to];
    heap_remove(&cluster.flights, &flight->node);
    if (to->up && to->paused && to->life == flight->life) {
        heap_set(&cluster.flights, &flight->node, cluster.now_us + 1000);
        return;
    }
    if (to->up && to->life == flight->life)
        step(flight->to, &flight->event);
    flight_free(flight);
}

/* One event or one deadline; false: none before `until_us`. */
static bool advance(uint64_t until_us)
{
    unsigned node = 0;
    uint64_t deadline = max_u64(next_deadline(&node), cluster.now_us);
    struct heap_node *first = heap_first(&cluster.flights);
    uint64_t flight_at = first ? first->at : UINT64_MAX;
    if (min_u64(deadline, flight_at) > until_us) {
        cluster.now_us = until_us;
        return false;
    }
    cluster.now_us = max_u64(cluster.now_us, min_u64(deadline, flight_at));
    if (flight_at <= deadline)
        land(container_of(first, struct flight, node));
    else
        step(node, &(struct core_event){.type = EVENT_TICK});
    return true;
}

void cluster_run_ms(unsigned ms)
{
    uint64_t until = cluster.now_us + 1000ull * ms;
    while (advance(until))
        ;
}

/* ---- requests ---- */

static void answer_free(void)
{
    if (!cluster.answer)
        return;
    arena_free(&cluster.answer->arena);
    free(cluster.answer);
    cluster.answer = NULL;
}

void cluster_ask(unsigned node, const struct toystore_request *request)
{
    answer_free();
    step(node,
         &(struct core_event){.type = EVENT_CALL, .call = ++cluster.calls, .request = request});
}

void cluster_answer_drop(void)
{
    answer_free();
}

const struct toystore_result *cluster_answer(void)
{
    uint64_t until = cluster.now_us + 1000ull * CALL_MS;
    while (!cluster.answer && advance(until))
        ;
    assert_non_null(cluster.answer);
    return &cluster.answer->result;
}

const struct toystore_result *cluster_call(unsigned node, const struct toystore_request *request)
{
    cluster_ask(node, request);
    return cluster_answer();
}

enum toystore_status cluster_change(unsigned node, const char *what, node_id member, bool force,
                                    bool accept_loss)
{
    char word[20];
    snprintf(word, sizeof word, "%016llx", (unsigned long long)member);
    answer_free();
    step(node, &(struct core_event){.type = EVENT_CHANGE,
                                    .call = ++cluster.calls,
                                    .change = &(struct core_change){slice_str(what),
                                                                    slice_str(member ? word : ""),
                                                                    force, accept_loss}});
    return cluster_answer()->status;
}

/* ---- what is there ---- */

node_id cluster_id(unsigned node)
{
    return core_id(cluster.nodes[node].core);
}

unsigned cluster_owners(const char *key, unsigned ret_nodes[CLUSTER_MAX])
{
    struct core *core = NULL;
    for (unsigned i = 0; i < cluster.count && !core; i++)
        core = cluster.nodes[i].up ? cluster.nodes[i].core : NULL;
    struct electorate electorate;
    view_electorate_key(core, slice_str(key), 0, 0, &electorate);
    unsigned count = 0;
    for (unsigned i = 0; i < electorate.member_count; i++)
        for (unsigned node = 0; node < cluster.count; node++)
            if (cluster.nodes[node].up && cluster_id(node) == electorate.members[i])
                ret_nodes[count++] = node;
    return count;
}

static void keep(void *arg, struct toystore_bytes value)
{
    (void)arg;
    cluster.stored = blob_copy(slice_of(value.data, value.size));
}

bool cluster_stored(unsigned node, const char *key, struct entry *ret_entry,
                    struct record *ret_record)
{
    struct toystore_store *store = cluster.nodes[node].store;
    blob_unref(&cluster.stored);
    arena_free(&cluster.arena);
    if (store->ops->get(store, TOYSTORE_RECORDS, bytes_text(key), keep, NULL) != 0)
        return false;
    assert_int_equal(entry_decode(blob_slice(cluster.stored), ret_entry), 0);
    *ret_record = (struct record){0};
    if (ret_entry->record.size > 0)
        assert_int_equal(record_decode(&cluster.arena, ret_entry->record, ret_record), 0);
    return ret_entry->record.size > 0;
}

/* ---- beginning and end ---- */

static bool at_rest(void)
{
    unsigned storing = 0;
    for (unsigned i = 0; i < cluster.count; i++)
        storing += !cluster.nodes[i].client;
    for (unsigned i = 0; i < cluster.count; i++) {
        const struct core *core = cluster.nodes[i].core;
        if (cluster.nodes[i].client && !core)
            continue; /* it has ended */
        const struct layout *newest = view_newest(core);
        if (!cluster.nodes[i].ready || !newest || newest != view_oldest(core) ||
            newest->member_count != storing)
            return false;
    }
    return true;
}

static void run_until_at_rest(void)
{
    for (unsigned waited = 0; !at_rest(); waited += 50) {
        assert_true(waited < 60000);
        cluster_run_ms(50);
    }
}

static void open_store(unsigned node)
{
    char error[200];
    assert_int_equal(store_memory.open(NULL, error, sizeof error, &cluster.nodes[node].store), 0);
}

void cluster_start(unsigned count)
{
    cluster = (struct cluster){.count = count, .now_us = 1000000};
    for (unsigned i = 0; i < count; i++)
        open_store(i);
    for (unsigned i = 0; i < count; i++)
        boot(i);
    run_until_at_rest();
    cluster_run_ms(1000); /* leaders */
}

static unsigned begin(bool client)
{
    unsigned node = cluster.count++;
    assert_true(node < CLUSTER_MAX);
    cluster.nodes[node].client = client;
    open_store(node);
    boot(node);
    return node;
}

unsigned cluster_begin(void)
{
    return begin(false);
}

unsigned cluster_join(void)
{
    unsigned node = begin(false);
    run_until_at_rest();
    return node;
}

unsigned cluster_join_client(void)
{
    unsigned node = begin(true);
    run_until_at_rest();
    return node;
}

void cluster_end(unsigned node)
{
    cluster.nodes[node].may_stop = true;
    step(node, &(struct core_event){.type = EVENT_LEAVE});
    while (!cluster.nodes[node].stopped)
        assert_true(advance(UINT64_MAX));
    cluster_kill(node);
}

void cluster_stop(void)
{
    struct heap_node *first;
    for (unsigned i = 0; i < cluster.count; i++)
        if (cluster.nodes[i].up)
            cluster_kill(i);
    while ((first = heap_first(&cluster.flights))) {
        heap_remove(&cluster.flights, first);
        flight_free(container_of(first, struct flight, node));
    }
    heap_free(&cluster.flights);
    for (unsigned i = 0; i < cluster.count; i++)
        cluster.nodes[i].store->ops->close(cluster.nodes[i].store);
    answer_free();
    blob_unref(&cluster.stored);
    arena_free(&cluster.arena);
}
