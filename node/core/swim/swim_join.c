/* swim_join: the full exchange: two nodes tell each other all they know, over TCP. It is how a node
 * comes in (by seeds, or by the members that it remembers), how a cluster that fell apart finds
 * itself again (the dead are tried, one after the other, for ever), and what mends news that was
 * lost. What others call dead is only suspected here: it may be they who were cut off. */
#include "core/swim/swim.h"
#include "core/swim/swim_priv.h"
#include "core/view/view.h"

#include "wire/messages.h"
#include "wire/pack.h"

enum { NOTICE_EVERY_MS = 10000, EXCHANGE_TIMEOUT_MS = 2000 };

static void join_now(struct core *core, struct timer *timer);

/* ---- payloads ---- */

static node_id says_so(const struct core *core, const struct member_entry *m)
{
    return m->member->state == TOYSTORE_ALIVE || m->accuser == 0 ? core->id : m->accuser;
}

static void payload(const struct core *core, struct buf *out)
{
    for (size_t i = 0; i < core->members->count; i++) {
        const struct member_entry *m = core->members->list[i];
        if (m->heard)
            news_encode(out, m->member, says_so(core, m));
        else if (m->member->storing) /* only remembered: said by nobody */
            news_encode(out, m->member, 0);
    }
}

/* Who knows nothing of it waits for it too (PROTOCOL 8): it may have what others deleted. */
static void hear_remembered(struct core *core, const struct member *member)
{
    if (member->id == core->id || members_get(core, member->id) != NULL ||
        gone_is(core, member->id) || swim_foreign(core, member))
        return;
    swim_remember(core, member);
    swim_save_later(core);
}

static void hear_payload(struct core *core, struct slice bytes)
{
    struct cursor cursor = cursor_of(bytes);
    struct news news;
    while (cursor.at < cursor.end && !core->stopped) {
        if (!news_read(&cursor, &news)) {
            core->swim->datagrams_bad++;
            return;
        }
        if (news.from == 0) {
            hear_remembered(core, &news.member);
            continue;
        }
        if (news.member.state == TOYSTORE_DEAD && members_alive(core, news.member.id))
            news.member.state = TOYSTORE_SUSPECT;
        swim_hear(core, &news);
    }
}

/* ---- asking ---- */

static void now_joined(struct core *core)
{
    struct swim *swim = core->swim;
    if (swim->joined)
        return;
    swim->joined = true;
    timer_cancel(core, &swim->join);
    core_log(core, LOG_INFO, "joined: %zu members are alive", members_alive_count(core));
}

static void on_exchanged(struct core *core, uint64_t handle, uint64_t index,
                         const struct rpc_answer *answer)
{
    (void)handle;
    (void)index;
    struct exchange_reply reply;
    if (answer->status != TOYSTORE_OK || answer->from == core->id ||
        !exchange_reply_decode(answer->result, &reply))
        return;
    if (reply.status != TOYSTORE_OK) {
        core_log(core, LOG_WARNING, "a member refused to exchange gossip: %.*s",
                 (int)min_size(reply.message.size, 200), (const char *)reply.message.data);
        return;
    }
    hear_payload(core, reply.payload);
    if (!core->stopped)
        now_joined(core);
}

static struct blob *request_new(const struct core *core)
{
    struct buf out = {0};
    payload(core, &out);
    struct blob *params =
        RPC_PARAMS(exchange_request, {.cluster_name = slice_str(core->config.cluster_name),
                                      .payload = buf_slice(&out)});
    buf_free(&out);
    return params;
}

static void exchange_with(struct core *core, const struct address *gossip)
{
    rpc_call_address(core, gossip, METHOD_EXCHANGE, request_new(core), EXCHANGE_TIMEOUT_MS,
                     on_exchanged, 0, 0);
}

/* ---- answering ---- */

void swim_handle_exchange(struct core *core, const struct rpc_request *request)
{
    struct exchange_request ask;
    if (!exchange_request_decode(request->params, &ask)) {
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "malformed Exchange");
        return;
    }
    if (!slice_equal(ask.cluster_name, slice_str(core->config.cluster_name))) {
        RPC_REPLY(core, &request->origin, exchange_reply,
                  {.status = TOYSTORE_MISMATCH, .message = slice_str("another cluster")});
        return;
    }
    /* What is sent back is what was known before: of a second process under this id, say, the
     * first, so that the second learns of it. */
    struct buf out = {0};
    payload(core, &out);
    hear_payload(core, ask.payload);
    RPC_REPLY(core, &request->origin, exchange_reply,
              {.status = TOYSTORE_OK, .payload = buf_slice(&out)});
    buf_free(&out);
}

/* ---- seeds ---- */

/* Alone, or among newcomers like itself that nobody takes in: they may have found each other, and
 * not the cluster. */
static bool wants_seeds(const struct core *core)
{
    return members_alive_count(core) == 1 || !core->ready;
}

static void on_resolved(struct core *core, const struct core_event *event, struct resume resume)
{
    struct seed *seed = &core->swim->seeds[resume.index];
    if (event->status < 0)
        return;
    seed->address = event->from;
    seed->resolved = true;
    if (!core->swim->joined || wants_seeds(core))
        exchange_with(core, &seed->address);
}

/* A name is looked up each time: the seed may have moved. */
static void ask_seeds(struct core *core)
{
    for (unsigned i = 0; i < core->config.seed_count; i++) {
        struct action *action = core_act(core, ACTION_RESOLVE);
        action->resume = resume_to(on_resolved, 0, i);
        action->text = base_string(slice_str(core->config.seeds[i]));
    }
}

/* ---- the dead ---- */

static struct member_entry *next_dead(struct core *core)
{
    struct swim *swim = core->swim;
    for (size_t tried = 0; tried < core->members->count; tried++) {
        swim->reconnect_next = (swim->reconnect_next + 1) % core->members->count;
        struct member_entry *m = core->members->list[swim->reconnect_next];
        if (m->member->storing && !state_is_alive(m->member->state))
            return m;
    }
    return NULL;
}

static void on_reconnect(struct core *core, struct timer *timer)
{
    timer_set(core, timer, core->now_us + RECONNECT_PROBES * swim_interval_us(core), on_reconnect);
    struct member_entry *m = next_dead(core);
    if (m != NULL)
        exchange_with(core, &m->own.gossip);
    if (core->swim->joined && (!core->ready || (m == NULL && members_alive_count(core) == 1)))
        ask_seeds(core);
}

/* A node that lost its list before it was saved is still pinged by the others: that is a way back,
 * too. */
void join_stranger(struct core *core, const struct address *gossip)
{
    struct swim *swim = core->swim;
    if (swim->stranger_us != 0 && core->now_us - swim->stranger_us < swim_interval_us(core))
        return;
    swim->stranger_us = core->now_us;
    exchange_with(core, gossip);
}

/* ---- everybody in turn ---- */

/* A member of the layout of which no news has come: it got lost, others have it. */
static bool somebody_unknown(const struct core *core)
{
    const struct layout *layout = view_newest(core);
    for (size_t i = 0; layout && i < layout->member_count; i++) {
        const struct layout_member *one = &layout->members[i];
        if (!one->gone && one->id != core->id && members_find(core, one->id) == NULL)
            return true;
    }
    return false;
}

static void on_exchange(struct core *core, struct timer *timer)
{
    unsigned probes = somebody_unknown(core) ? UNKNOWN_PROBES : EXCHANGE_PROBES;
    uint64_t interval_us = probes * swim_interval_us(core);
    uint64_t jitter_us = prng_below(&core->prng, interval_us / 4);
    timer_set(core, timer, core->now_us + interval_us + jitter_us, on_exchange);
    struct member_entry *m;
    if (members_pick(core, 0, &m, 1) == 1)
        exchange_with(core, &m->own.gossip);
}

void swim_view_changed(struct core *core)
{
    if (core->started && !core->swim->left && somebody_unknown(core))
        timer_set(core, &core->swim->exchange, core->now_us, on_exchange);
}

/* ---- coming in ---- */

static void notice_waiting(struct core *core)
{
    struct swim *swim = core->swim;
    if (swim->join_tries < 2 || core->members->count == 1 ||
        (swim->noticed_us != 0 && core->now_us - swim->noticed_us < NOTICE_EVERY_MS * 1000ull))
        return;
    swim->noticed_us = core->now_us;
    core_log(core, LOG_WARNING, "none of the %zu members remembered answers yet: trying again",
             core->members->count - 1);
}

static void join_now(struct core *core, struct timer *timer)
{
    struct swim *swim = core->swim;
    notice_waiting(core);
    ask_seeds(core);
    for (size_t i = 0; i < 3 && core->members->count > 1; i++) {
        struct member_entry *m = next_dead(core);
        if (m != NULL)
            exchange_with(core, &m->own.gossip);
    }
    swim->join_tries++;
    uint64_t probes = min_u64(swim->join_tries, JOIN_PROBES_MAX);
    timer_set(core, timer, core->now_us + probes * swim_interval_us(core) / 2, join_now);
}

void join_start(struct core *core)
{
    struct swim *swim = core->swim;
    on_exchange(core, &swim->exchange);
    timer_set(core, &swim->reconnect, core->now_us + swim_interval_us(core), on_reconnect);
    if (core->config.seed_count == 0 && core->members->count == 1)
        swim->joined = true; /* nobody to ask */
    else
        join_now(core, &swim->join);
}
