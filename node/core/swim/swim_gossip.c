/* swim_gossip: news that is sent on: each piece RETRANSMIT_MULT * log(n) times, what was told least
 * first; newer news of a member takes the place of older. What is told is the member's present
 * state, made when it is sent, so nothing is kept but the order. */
#include "core/rpc/rpc.h"
#include "core/swim/swim_priv.h"

#include "wire/pack.h"

static unsigned transmits_max(const struct core *core)
{
    unsigned digits = 1;
    for (size_t n = core->members->count; n >= 10; n /= 10)
        digits++;
    return RETRANSMIT_MULT * digits;
}

void gossip_queue(struct core *core, struct member_entry *m)
{
    struct swim *swim = core->swim;
    m->transmits = 0;
    list_remove(&m->queued);
    struct list *first = swim->news.next; /* to the front */
    m->queued.next = first;
    m->queued.prev = &swim->news;
    swim->news.next = first->prev = &m->queued;
}

static bool append_news(struct core *core, struct buf *out, const struct member_entry *m)
{
    struct buf piece = {0};
    node_id from = m->member->state == TOYSTORE_ALIVE ? core->id : m->accuser;
    news_encode(&piece, m->member, from);
    bool fits = out->size + piece.size <= DATAGRAM_SIZE_MAX;
    if (fits)
        buf_append(out, piece.blob->data, piece.size);
    buf_free(&piece);
    return fits;
}

static void append_queued(struct core *core, struct buf *out, const struct member_entry *about)
{
    struct swim *swim = core->swim;
    struct list told;
    list_init(&told);
    while (!list_empty(&swim->news)) {
        struct member_entry *m = container_of(swim->news.next, struct member_entry, queued);
        if (m != about && !append_news(core, out, m))
            break;
        list_remove(&m->queued);
        if (++m->transmits < transmits_max(core))
            list_push_back(&told, &m->queued);
    }
    struct list *link;
    while ((link = list_pop_front(&told)) != NULL)
        list_push_back(&swim->news, link);
}

void gossip_send(struct core *core, const struct address *to, enum datagram_type type, uint64_t seq,
                 node_id target, const struct member_entry *about)
{
    struct buf out = {0};
    datagram_begin(&out, core, type, seq, target);
    if (about != NULL)
        append_news(core, &out, about);
    append_queued(core, &out, about);
    struct action *action = core_act(core, ACTION_DATAGRAM);
    action->address = *to;
    action->body = buf_take(&out);
    core->swim->datagrams_out++;
}

static void on_gossip(struct core *core, struct timer *timer)
{
    struct swim *swim = core->swim;
    timer_set(core, timer, core->now_us + swim_interval_us(core) / 5, on_gossip);
    struct member_entry *to[GOSSIP_FANOUT];
    size_t count = list_empty(&swim->news) ? 0 : members_pick(core, 0, to, GOSSIP_FANOUT);
    for (size_t i = 0; i < count && !list_empty(&swim->news); i++)
        gossip_send(core, &to[i]->own.gossip, SWIM_GOSSIP, 0, 0, NULL);
}

void gossip_start(struct core *core)
{
    uint64_t first_us = prng_below(&core->prng, swim_interval_us(core) / 5) + 1;
    timer_set(core, &core->swim->gossip, core->now_us + first_us, on_gossip);
}
