/* check_queue: no queue without a bound: at every step none holds more
 * than its named maximum; and once all is quiet each is seen empty, since what keeps its place for
 * ever fills any queue in the end. */
#include <stdio.h>

#include "core/ask/ask_priv.h"
#include "core/collect/collect_priv.h"
#include "core/coord/lead_priv.h"
#include "core/move/move_priv.h"
#include "core/repair/entropy_priv.h"
#include "core/replica/hint_priv.h"
#include "core/replica/replica_priv.h"
#include "core/replica/sync.h"
#include "core/replica/tree_priv.h"
#include "core/retire/retire_priv.h"
#include "core/rpc/rpc_priv.h"
#include "core/view/view_priv.h"
#include "sim/sim.h"

/* The longest queue of those that every peer, key or owner of hints has. */
static size_t peer_queue(const struct core *core)
{
    size_t most = 0;
    LIST_EACH(link, &core->rpc->peers)
    most = max_u64(most, container_of(link, struct peer, link)->queued_count);
    return most;
}

static size_t inbound_requests(const struct core *core)
{
    size_t most = 0;
    MAP_EACH(entry, &core->rpc->inbounds)
    most = max_u64(most, ((const struct inbound *)entry->value)->open_count);
    return most;
}

static size_t key_queue(const struct core *core)
{
    size_t most = 0;
    MAP_EACH(entry, &core->replica->keys)
    most = max_u64(most, ((const struct replica_key *)entry->value)->count);
    return most;
}

static size_t hint_window(const struct core *core)
{
    size_t most = 0;
    for (size_t i = 0; i < core->hints->owner_count; i++)
        most = max_u64(most, core->hints->owners[i]->open);
    return most;
}

/* QUEUE(name, how many are in it, at most) */
#define QUEUES(Q)                                                                                  \
    Q("requests to others", c->rpc->open_count, RPC_PENDING_MAX)                                   \
    Q("requests for one peer's connection", peer_queue(c), RPC_PEER_QUEUE_MAX)                     \
    Q("requests of others", c->rpc->inbound_open, RPC_INBOUND_MAX)                                 \
    Q("requests of one connection", inbound_requests(c), INBOUND_PER_CONN_MAX)                     \
    Q("calls", c->calls_open, CALLS_MAX)                                                           \
    Q("puts that were asked for", c->asks->puts.count, COORD_OPS_MAX)                              \
    Q("puts", c->coord->puts.count, COORD_OPS_MAX)                                                 \
    Q("sloppy puts", c->coord->sloppies.count, COORD_OPS_MAX)                                      \
    Q("gets", c->coord->gets.count, COORD_OPS_MAX)                                                 \
    Q("lists", c->coord->lists.count, COORD_OPS_MAX)                                               \
    Q("lists of others", c->coord->list_serves.count, COORD_OPS_MAX)                               \
    Q("chunks being stored", c->coord->stores.count, COORD_OPS_MAX)                                \
    Q("chunks being fetched", c->coord->fetches.count, COORD_OPS_MAX)                              \
    Q("syncs", c->coord->syncs.count, COORD_OPS_MAX)                                               \
    Q("ops that may be tried again", c->coord->tried.count, COORD_TRIED_MAX)                       \
    Q("keys led after a round", c->coord->led.count, COORD_LED_MAX)                                \
    Q("operations of one key", key_queue(c), KEY_QUEUE_MAX)                                        \
    Q("operations on keys", c->replica->ops.count, REPLICA_OPS_MAX)                                \
    Q("requests to replicas", c->replica->requests.count, RPC_INBOUND_MAX)                         \
    Q("hints in flight to one owner", hint_window(c), HINT_WINDOW)                                 \
    Q("comparisons", syncs_open(c), SYNCS_MAX)                                                     \
    Q("comparisons of others", tree_servings(c)->count, RPC_INBOUND_MAX)                           \
    Q("comparisons to repair", c->entropy->syncs.count, ENTROPY_SYNCS_MAX)                         \
    Q("keys being repaired", c->entropy->busy, ENTROPY_KEYS_MAX)                                   \
    Q("refused keys", c->entropy->rechecks.count, ENTROPY_RECHECKS_MAX)                            \
    Q("requests that wait for a newer view", c->views->parked, VIEW_PARKED_MAX)                    \
    Q("who waits for a newer view", c->views->waits.count, VIEW_WAITS_MAX)                         \
    Q("comparisons of a leader", c->lead->syncs_open, LEAD_SYNCS_MAX)                              \
    Q("keys accepted again", c->lead->todos.count, LEAD_REACCEPTS_MAX)                             \
    Q("leads of others", c->lead->parked.count, LEAD_PARKED_MAX)                                   \
    Q("partitions being taken", c->move->holds.count, HOLDS_MAX)                                   \
    Q("records being taken", c->move->takes.count, TAKES_MAX)                                      \
    Q("raises of others", c->move->raises.count, RAISES_MAX)                                       \
    Q("changes of the layout", c->move->changes.count, CHANGES_MAX)                                \
    Q("collections of others", c->collect->served.count, COLLECT_SERVED_MAX)                       \
    Q("covered keys being settled", c->collect->settles_open, COLLECT_SETTLES_MAX + 1)             \
    Q("retired sessions being written", c->retire->served.count, RETIRE_SERVED_MAX)                \
    Q("sessions to be retired", c->retire->due_count, RETIRE_DUE_MAX)

struct queue {
    const char *name;
    size_t count, most;
};

enum {
#define Q(name, count, most) +1
    QUEUE_COUNT = 0 QUEUES(Q)
#undef Q
};

static void look(struct core *c, struct queue queues[QUEUE_COUNT])
{
    const struct queue now[QUEUE_COUNT] = {
#define Q(name, count, most) {name, count, most},
        QUEUES(Q)
#undef Q
    };
    memcpy(queues, now, sizeof now);
}

void check_queues(struct sim *sim, const struct sim_node *node)
{
    struct queue queues[QUEUE_COUNT];
    look(node->core, queues);
    for (unsigned i = 0; i < QUEUE_COUNT; i++)
        if (queues[i].count > queues[i].most)
            sim_fail(sim, "node %u has %zu %s, of %zu at most", node->index, queues[i].count,
                     queues[i].name, queues[i].most);
}

/* What is remembered for a while, not waited for. */
static bool remembers(const char *name)
{
    return strcmp(name, "ops that may be tried again") == 0 ||
           strcmp(name, "keys led after a round") == 0;
}

/* Each was empty at one look at least: something of its own a node always has under way. */
const char *check_queues_empty(struct sim *sim)
{
    static char words[100];
    for (unsigned i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];
        struct queue queues[QUEUE_COUNT];
        if (node->state != NODE_UP || node->core->boot != NULL)
            continue;
        look(node->core, queues);
        for (unsigned q = 0; q < QUEUE_COUNT; q++) {
            if (queues[q].count == 0 || remembers(queues[q].name))
                node->seen_empty |= UINT64_C(1) << q;
            if ((node->seen_empty >> q & 1) != 0)
                continue;
            snprintf(words, sizeof words, "node %u still has %zu %s", i, queues[q].count,
                     queues[q].name);
            return words;
        }
    }
    return NULL;
}
