/* swim: what of the failure detector starts and ends, its datagrams, and what of the members is
 * remembered over a restart.
 *
 * enters from: core.c (datagrams, Exchange), boot.c; leaves to: the hook `member`, and datagrams.
 */
#include "core/swim/swim.h"
#include "core/members/identity.h"
#include "core/swim/swim_priv.h"

#include <stdlib.h>

#include "wire/pack.h"

struct swim *swim_new(struct core *core)
{
    (void)core;
    struct swim *swim = base_alloc(sizeof *swim);
    list_init(&swim->news);
    return swim;
}

void swim_free(struct swim *swim)
{
    free(swim->order);
    free(swim);
}

void swim_on_gone(struct core *core, node_id id)
{
    struct member_entry *m = members_get(core, id);
    if (m == NULL || m->position == 0)
        return;
    bool was_alive = state_is_alive(m->own.state);
    m->own.state = TOYSTORE_LEFT;
    if (was_alive)
        swim_event(core, TOYSTORE_LEAVE, m);
    members_forget(core, m);
    swim_save_later(core);
}

uint64_t swim_interval_us(const struct core *core)
{
    return max_u64(core->config.probe_interval_ms, 10) * 1000;
}

void swim_event(struct core *core, enum toystore_event_type type, const struct member_entry *m)
{
    if (m->member->storing)
        swim_save_later(core);
    core->hooks->member(core, type, m->member);
}

/* ---- what is remembered over a restart: storing members ---- */

static void save_now(struct core *core, struct timer *timer)
{
    (void)timer;
    struct swim *swim = core->swim;
    struct buf out = {0};
    size_t count = 0;
    for (size_t i = 1; i < core->members->count; i++)
        count += core->members->list[i]->own.storing;
    pack_array(&out, (uint32_t)count);
    for (size_t i = 1; i < core->members->count; i++)
        if (core->members->list[i]->own.storing)
            news_encode(&out, core->members->list[i]->member, core->id);
    struct batch batch = {0};
    batch_put_blob(&batch, TOYSTORE_META, slice_str("members"), buf_take(&out));
    disk_commit(core, &batch, false, (struct resume){0});
    swim->saving = false;
}

void swim_save_later(struct core *core)
{
    struct swim *swim = core->swim;
    if (swim->saving || !core->config.storing)
        return;
    swim->saving = true;
    timer_set(core, &swim->save, core->now_us + swim_interval_us(core) / 10, save_now);
}

bool swim_remember(struct core *core, const struct member *member)
{
    struct member remembered = *member;
    if (member->state != TOYSTORE_LEFT)
        remembered.state = TOYSTORE_DEAD;
    return members_add(core, &remembered) != NULL;
}

/* They count as dead until they are heard of, and nobody is told so who knows them; who has left,
 * with nothing on its disk that others lack, needs not be waited for. */
void swim_restore(struct core *core, struct slice value)
{
    struct cursor cursor = cursor_of(value);
    uint32_t count;
    struct news news;
    if (core->members->count == 0)
        members_append(core, &core->self);
    if (!cursor_array(&cursor, &count))
        return;
    for (uint32_t i = 0; i < count && news_read(&cursor, &news); i++) {
        if (members_get(core, news.member.id) != NULL || gone_is(core, news.member.id))
            continue;
        if (!swim_remember(core, &news.member))
            break;
    }
}

/* ---- start, change, end ---- */

void swim_start(struct core *core)
{
    struct swim *swim = core->swim;
    if (core->members->count == 0)
        members_append(core, &core->self);
    struct member_entry *stale = members_get(core, core->id);
    if (stale != NULL)
        members_forget(core, stale);
    struct member_entry *self = core->members->list[0];
    self->heard = true;
    swim->started_us = core->self.state_since_us = core->now_us;
    map_put(&core->members->by_id, slice_of(&core->id, sizeof core->id), self);
    swim->seq = prng_next(&core->prng) >> 16;
    gossip_queue(core, self);
    probe_start(core);
    gossip_start(core);
    join_start(core);
}

void swim_update_self(struct core *core)
{
    core->self.incarnation++;
    identity_save(core);
    if (core->members->count > 0)
        gossip_queue(core, core->members->list[0]);
}

void swim_leave(struct core *core, bool keeps)
{
    struct swim *swim = core->swim;
    if (swim->left || core->members->count == 0)
        return;
    swim->left = true;
    core->self.state = TOYSTORE_LEFT;
    core->self.keeps = keeps;
    if (swim->saving)
        save_now(core, NULL);
    enum { TOLD_MAX = 16 };
    struct member_entry *told[TOLD_MAX];
    size_t count = members_pick(core, 0, told, TOLD_MAX);
    for (size_t i = 0; i < count; i++)
        gossip_send(core, &told[i]->own.gossip, SWIM_GOSSIP, 0, 0, core->members->list[0]);
    timer_cancel(core, &swim->gossip);
    timer_cancel(core, &swim->exchange);
    timer_cancel(core, &swim->reconnect);
    timer_cancel(core, &swim->join);
    timer_cancel(core, &swim->probe.timer);
}

/* ---- datagrams ---- */

static bool same_cluster(const struct core *core, const struct datagram *datagram)
{
    static const uint8_t none[CLUSTER_ID_SIZE];
    return slice_equal(datagram->cluster_name, slice_str(core->config.cluster_name)) &&
           (memcmp(core->self.cluster, none, CLUSTER_ID_SIZE) == 0 ||
            memcmp(datagram->cluster_id.data, none, CLUSTER_ID_SIZE) == 0 ||
            memcmp(core->self.cluster, datagram->cluster_id.data, CLUSTER_ID_SIZE) == 0);
}

static void hear_all(struct core *core, struct cursor *cursor)
{
    struct news news;
    while (cursor->at < cursor->end && !core->stopped) {
        if (!news_read(cursor, &news)) {
            core->swim->datagrams_bad++;
            return;
        }
        swim_hear(core, &news);
    }
}

void swim_on_datagram(struct core *core, const struct address *from, struct slice bytes)
{
    struct swim *swim = core->swim;
    struct datagram datagram;
    swim->datagrams_in++;
    if (!datagram_decode(bytes, &datagram) || !same_cluster(core, &datagram)) {
        if (swim->datagrams_bad++ == 0)
            core_log(core, LOG_WARNING,
                     "%s:%u sends datagrams that are garbage or of another cluster; ignored",
                     from->host, from->port);
        return;
    }
    if (swim->left)
        return;
    hear_all(core, &datagram.news);
    struct member_entry *m = members_get(core, datagram.from);
    if (m != NULL && datagram.from != core->id)
        swim_clock_heard(core, m, datagram.wall_us);
    if (m == NULL || !m->heard || !state_is_alive(m->member->state))
        join_stranger(core, from);
    switch (datagram.type) {
    case SWIM_PING:
        probe_on_ping(core, from, datagram.seq, datagram.from, datagram.target);
        break;
    case SWIM_ACK:
        probe_on_ack(core, datagram.seq, datagram.target);
        break;
    case SWIM_NACK:
        probe_on_nack(core, datagram.seq);
        break;
    case SWIM_PING_REQ:
        probe_on_ping_req(core, from, datagram.seq, datagram.target);
        break;
    case SWIM_GOSSIP:
    case SWIM_TYPES:
        break;
    }
}
