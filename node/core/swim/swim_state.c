/* swim_state: what news of a member does (SWIM 4.2; Lifeguard IV): alive wins with a higher
 * incarnation only, suspect and dead with an equal one too; a suspicion lasts the shorter the more
 * members confirm it. */
#include "core/swim/swim_priv.h"

static const char *state_word(enum toystore_member_state state)
{
    static const char *const words[] = {"alive", "suspected", "dead", "gone (it left)"};
    return words[state];
}

/* ---- how long a suspicion lasts ---- */

/* 1000 * log10(n), from the bits of n: near enough for a factor. */
static uint64_t log10_milli(uint64_t n)
{
    unsigned bits = 0;
    while (n >> (bits + 1) != 0)
        bits++;
    uint64_t fraction = ((n - (1ull << bits)) * 1000) >> bits;
    return (bits * 1000ull + fraction) * 30103 / 100000;
}

uint64_t swim_suspicion_us(const struct core *core, unsigned confirmations)
{
    /* max - ln(c+1)/ln(k+1) * (max-min), for k = 2: thousandths of the way down */
    static const uint64_t down[CONFIRMATIONS_MAX + 1] = {0, 631, 1000};
    size_t n = members_alive_count(core);
    uint64_t scale = max_u64(1000, log10_milli(n));
    uint64_t least_us = SUSPICION_MULT * scale * swim_interval_us(core) / 1000;
    if (n < CONFIRMATIONS_MAX + 2)
        return least_us; /* too few others to confirm anything */
    uint64_t most_us = SUSPICION_MAX_MULT * least_us;
    return most_us - down[confirmations] * (most_us - least_us) / 1000;
}

/* ---- moves between states ---- */

static void set_state(struct core *core, struct member_entry *m, enum toystore_member_state state)
{
    if (m->own.state == state)
        return;
    m->own.state = state;
    m->own.state_since_us = core->now_us;
    core_log(core, LOG_INFO, "%s (%016llx) is %s", m->own.name, (unsigned long long)m->own.id,
             state_word(state));
}

static void forget_client(struct core *core, struct timer *timer)
{
    struct member_entry *m = container_of(timer, struct member_entry, forget);
    core->hooks->session_over(core, &m->own.session, m->own.name);
    members_forget(core, m);
}

static void now_gone(struct core *core, struct member_entry *m, enum toystore_member_state state,
                     node_id from)
{
    bool was_alive = state_is_alive(m->own.state);
    timer_cancel(core, &m->suspicion);
    m->accuser = from;
    set_state(core, m, state);
    if (!m->own.storing)
        timer_set(core, &m->forget, core->now_us + CLIENT_FORGET_PROBES * swim_interval_us(core),
                  forget_client);
    if (!m->own.storing && state == TOYSTORE_LEFT)
        core->hooks->session_over(core, &m->own.session, m->own.name);
    gossip_queue(core, m);
    if (was_alive)
        swim_event(core, TOYSTORE_LEAVE, m);
}

static void on_suspicion_over(struct core *core, struct timer *timer)
{
    now_gone(core, container_of(timer, struct member_entry, suspicion), TOYSTORE_DEAD, core->id);
}

static void arm_suspicion(struct core *core, struct member_entry *m)
{
    uint64_t lasts_us = swim_suspicion_us(core, m->confirmer_count - 1);
    timer_set(core, &m->suspicion, max_u64(core->now_us, m->suspected_us + lasts_us),
              on_suspicion_over);
}

static void confirm(struct core *core, struct member_entry *m, node_id accuser)
{
    if (m->confirmer_count > CONFIRMATIONS_MAX)
        return;
    for (unsigned i = 0; i < m->confirmer_count; i++)
        if (m->confirmers[i] == accuser)
            return;
    m->confirmers[m->confirmer_count++] = accuser;
    m->accuser = accuser; /* what is sent on names it, so that others count it too */
    arm_suspicion(core, m);
    gossip_queue(core, m);
}

void swim_suspect(struct core *core, struct member_entry *m, node_id accuser)
{
    if (m->own.state == TOYSTORE_SUSPECT) {
        confirm(core, m, accuser);
        return;
    }
    if (m->own.state != TOYSTORE_ALIVE)
        return;
    set_state(core, m, TOYSTORE_SUSPECT);
    m->suspected_us = core->now_us;
    m->accuser = m->confirmers[0] = accuser;
    m->confirmer_count = 1;
    arm_suspicion(core, m);
    gossip_queue(core, m);
    swim_event(core, TOYSTORE_UPDATE, m);
}

/* ---- news ---- */

/* Takes attributes and incarnation; the state stays as it is here. */
static void take_attributes(struct member_entry *m, const struct member *member)
{
    enum toystore_member_state state = m->own.state;
    uint64_t since_us = m->own.state_since_us;
    m->own = *member;
    m->own.state = state;
    m->own.state_since_us = since_us;
}

static void hear_alive(struct core *core, struct member_entry *m, const struct news *news)
{
    bool was_alive = state_is_alive(m->own.state);
    timer_cancel(core, &m->suspicion);
    timer_cancel(core, &m->forget);
    take_attributes(m, &news->member);
    m->heard = true;
    set_state(core, m, TOYSTORE_ALIVE);
    gossip_queue(core, m);
    if (!was_alive)
        probe_newcomer(core, m->own.id);
    swim_event(core, was_alive ? TOYSTORE_UPDATE : TOYSTORE_JOIN, m);
}

bool swim_foreign(const struct core *core, const struct member *member)
{
    static const uint8_t none[CLUSTER_ID_SIZE];
    return memcmp(core->self.cluster, none, CLUSTER_ID_SIZE) != 0 &&
           memcmp(member->cluster, none, CLUSTER_ID_SIZE) != 0 &&
           memcmp(core->self.cluster, member->cluster, CLUSTER_ID_SIZE) != 0;
}

/* Another process under an id whose process lives at another address: a copy of its directory, or
 * it has moved. The one that is known stays until it dies; a copy finds out by itself. Where one is
 * the start right after the other it looks like a move: the two must then outbid each other. */
static bool is_rival(const struct member_entry *m, const struct member *member)
{
    return m->heard && m->own.state == TOYSTORE_ALIVE &&
           session_compare(&m->own.session, &member->session) != 0 &&
           !address_equal(&m->own.gossip, &member->gossip) &&
           member->nonces[1] != m->own.nonces[0] && member->nonces[0] != m->own.nonces[1];
}

/* The first that is heard of a member. */
static struct member_entry *meet(struct core *core, const struct news *news)
{
    bool alive = state_is_alive(news->member.state);
    if (!alive && !news->member.storing)
        return NULL;
    struct member member = news->member;
    member.state = TOYSTORE_DEAD; /* from which what follows makes it what it is */
    struct member_entry *m = members_add(core, &member);
    if (m == NULL)
        return NULL;
    m->heard = true;
    if (alive)
        hear_alive(core, m, news);
    else
        set_state(core, m, news->member.state);
    return m;
}

void swim_hear(struct core *core, const struct news *news)
{
    const struct member *member = &news->member;
    if (swim_foreign(core, member) || gone_is(core, member->id))
        return;
    if (member->id == core->id) {
        swim_hear_of_self(core, news);
        return;
    }
    struct member_entry *m = members_get(core, member->id);
    if (m == NULL) {
        m = meet(core, news);
        if (m != NULL && member->state == TOYSTORE_SUSPECT)
            swim_suspect(core, m, news->from);
        return;
    }
    /* What is only remembered may be ahead of what its member kept over a power loss. */
    if ((m->heard && member->incarnation < m->own.incarnation) || is_rival(m, member))
        return;
    bool newer = member->incarnation > m->own.incarnation || !m->heard;
    switch (member->state) {
    case TOYSTORE_ALIVE:
        if (newer)
            hear_alive(core, m, news);
        break;
    case TOYSTORE_SUSPECT:
        if (newer)
            hear_alive(core, m, news);
        swim_suspect(core, m, news->from);
        break;
    case TOYSTORE_DEAD:
    case TOYSTORE_LEFT:
        m->heard = true;
        if (newer)
            take_attributes(m, member);
        m->own.keeps = member->keeps;
        if (state_is_alive(m->own.state))
            now_gone(core, m, member->state, news->from);
        else
            set_state(core, m, member->state);
        break;
    }
}
