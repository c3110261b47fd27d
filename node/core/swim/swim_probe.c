/* swim_probe: is it there? A ping, and another after each quarter of the interval without an
 * answer; after half of it pings through others and a word over TCP, too; when there is none of
 * these at the end of the interval, a suspicion (SWIM 4.1). A datagram or two that get lost are no
 * silence: where one in ten is, a single ping would have a live member suspected every few seconds.
 * A node that itself is slow notices by missing nacks, and judges more slowly (Lifeguard IV-A). */
#include "core/rpc/rpc.h"
#include "core/swim/swim_priv.h"

static void next_probe(struct core *core);

static uint64_t patience_us(const struct core *core)
{
    return swim_interval_us(core) * (core->swim->awareness + 1);
}

void swim_awareness(struct core *core, int change)
{
    struct swim *swim = core->swim;
    if (change < 0)
        swim->awareness -= swim->awareness > 0;
    else
        swim->awareness = (unsigned)min_u64(AWARENESS_MAX - 1, swim->awareness + (unsigned)change);
}

/* ---- whose turn it is ---- */

/* At a place by chance. */
static void add_to_order(struct core *core, node_id id)
{
    struct swim *swim = core->swim;
    if (swim->order_count == swim->order_capacity) {
        swim->order_capacity = max_u64(16, swim->order_capacity * 2);
        swim->order = base_realloc(swim->order, swim->order_capacity * sizeof *swim->order);
    }
    size_t at = (size_t)prng_below(&core->prng, swim->order_count + 1);
    swim->order[swim->order_count++] = swim->order[at];
    swim->order[at] = id;
}

static void fill_order(struct core *core)
{
    struct swim *swim = core->swim;
    swim->order_count = 0;
    for (size_t i = 1; i < core->members->count; i++)
        if (state_is_alive(core->members->list[i]->own.state))
            add_to_order(core, core->members->list[i]->own.id);
}

/* Not only in the next round, which in a large cluster is far away. */
void probe_newcomer(struct core *core, node_id id)
{
    struct swim *swim = core->swim;
    for (size_t i = 0; i < swim->order_count; i++)
        if (swim->order[i] == id)
            return;
    if (swim->order_count < MEMBERS_MAX)
        add_to_order(core, id);
}

static struct member_entry *alive_or_null(const struct core *core, node_id id)
{
    struct member_entry *m = id && id != core->id ? members_get(core, id) : NULL;
    return m != NULL && state_is_alive(m->own.state) ? m : NULL;
}

/* In turn, in an order shuffled each round, so that nobody waits for longer than two rounds. */
static struct member_entry *next_target(struct core *core)
{
    struct swim *swim = core->swim;
    struct member_entry *m = alive_or_null(core, core->members->doubted);
    core->members->doubted = 0;
    if (m != NULL)
        return m;
    for (int round = 0; round < 2; round++) {
        while (swim->order_count > 0) {
            m = alive_or_null(core, swim->order[--swim->order_count]);
            if (m != NULL)
                return m;
        }
        fill_order(core);
    }
    return NULL;
}

/* ---- one probe ---- */

static void on_interval_over(struct core *core, struct timer *timer)
{
    (void)timer;
    struct probe *probe = &core->swim->probe;
    struct member_entry *m = alive_or_null(core, probe->target);
    if (probe->target != 0 && !probe->acked) {
        unsigned missing =
            probe->nacks < probe->nacks_expected ? probe->nacks_expected - probe->nacks : 0;
        swim_awareness(core, probe->nacks_expected > 0 ? (int)missing : 1);
        core->swim->probes_failed++;
        if (m != NULL)
            swim_suspect(core, m, core->id);
    }
    next_probe(core);
}

static void on_tcp_word(struct core *core, uint64_t seq, uint64_t index,
                        const struct rpc_answer *answer)
{
    (void)index;
    if (answer->status == TOYSTORE_OK)
        probe_on_ack(core, seq, core->swim->probe.target);
}

static void ping(struct core *core, const struct member_entry *m)
{
    /* A suspicion goes with the ping, so that it can be refuted at once (Lifeguard's buddy). */
    gossip_send(core, &m->own.gossip, SWIM_PING, core->swim->probe.seq, m->own.id,
                m->own.state == TOYSTORE_SUSPECT ? m : NULL);
}

static void ask_others(struct core *core)
{
    struct probe *probe = &core->swim->probe;
    struct member_entry *through[INDIRECT_PROBES];
    size_t count = members_pick(core, probe->target, through, INDIRECT_PROBES);
    for (size_t i = 0; i < count; i++)
        gossip_send(core, &through[i]->own.gossip, SWIM_PING_REQ, probe->seq, probe->target, NULL);
    probe->nacks_expected = (unsigned)count;
    rpc_ping(core, probe->target, (unsigned)(patience_us(core) / 2000), on_tcp_word, probe->seq);
}

static void on_quarter(struct core *core, struct timer *timer)
{
    struct probe *probe = &core->swim->probe;
    const struct member_entry *m = alive_or_null(core, probe->target);
    uint64_t quarter_us = patience_us(core) / PROBE_PINGS;
    unsigned left = PROBE_PINGS - ++probe->quarters;
    if (probe->acked || m == NULL || left == 1)
        timer_set(core, timer, core->now_us + left * quarter_us, on_interval_over);
    else
        timer_set(core, timer, core->now_us + quarter_us, on_quarter);
    if (probe->acked || m == NULL)
        return;
    ping(core, m);
    if (left == PROBE_PINGS / 2)
        ask_others(core);
}

static void next_probe(struct core *core)
{
    struct probe *probe = &core->swim->probe;
    struct member_entry *m = next_target(core);
    *probe = (struct probe){.timer = probe->timer, .seq = ++core->swim->seq};
    if (m == NULL) {
        timer_set(core, &probe->timer, core->now_us + swim_interval_us(core), on_interval_over);
        return;
    }
    probe->target = m->own.id;
    core->swim->probes++;
    ping(core, m);
    timer_set(core, &probe->timer, core->now_us + patience_us(core) / PROBE_PINGS, on_quarter);
}

void probe_on_ack(struct core *core, uint64_t seq, node_id from)
{
    struct swim *swim = core->swim;
    if (seq == swim->probe.seq && from == swim->probe.target && from != 0) {
        if (!swim->probe.acked)
            swim_awareness(core, -1);
        swim->probe.acked = true;
        return;
    }
    for (size_t i = 0; i < RELAYS_MAX; i++) {
        struct relay *relay = &swim->relays[i];
        if (!relay->used || relay->seq != seq || relay->target != from)
            continue;
        relay->used = false;
        timer_cancel(core, &relay->timer);
        gossip_send(core, &relay->origin, SWIM_ACK, relay->origin_seq, from, NULL);
    }
}

void probe_on_nack(struct core *core, uint64_t seq)
{
    if (seq == core->swim->probe.seq)
        core->swim->probe.nacks++;
}

/* ---- for others ---- */

void probe_on_ping(struct core *core, const struct address *from, uint64_t seq, node_id asker,
                   node_id target)
{
    if (target != core->id)
        return; /* another node lived here before */
    struct member_entry *m = members_get(core, asker);
    /* Who thinks otherwise of itself hears what is said of it: that it is dead, or lives elsewhere.
     */
    bool differs = m != NULL && m->heard &&
                   (m->own.state != TOYSTORE_ALIVE || !address_equal(from, &m->own.gossip));
    gossip_send(core, from, SWIM_ACK, seq, core->id, differs ? m : NULL);
}

static void on_relay_timeout(struct core *core, struct timer *timer)
{
    struct relay *relay = container_of(timer, struct relay, timer);
    relay->used = false;
    gossip_send(core, &relay->origin, SWIM_NACK, relay->origin_seq, relay->target, NULL);
}

void probe_on_ping_req(struct core *core, const struct address *from, uint64_t seq, node_id target)
{
    struct swim *swim = core->swim;
    struct member_entry *m = members_get(core, target);
    if (m == NULL || target == core->id)
        return;
    for (size_t i = 0; i < RELAYS_MAX; i++) {
        struct relay *relay = &swim->relays[i];
        if (relay->used)
            continue;
        *relay = (struct relay){
            .used = true, .seq = ++swim->seq, .origin_seq = seq, .target = target, .origin = *from};
        timer_set(core, &relay->timer, core->now_us + swim_interval_us(core) * 2 / 5,
                  on_relay_timeout);
        gossip_send(core, &m->own.gossip, SWIM_PING, relay->seq, target,
                    m->own.state == TOYSTORE_SUSPECT ? m : NULL);
        return;
    }
}

void probe_start(struct core *core)
{
    /* Nodes that were started together do not probe in step. */
    uint64_t first_us = prng_below(&core->prng, swim_interval_us(core)) + 1;
    timer_set(core, &core->swim->probe.timer, core->now_us + first_us, on_interval_over);
}
