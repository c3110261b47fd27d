/* swim_priv: what the files of the failure detector share.
 *
 * swim.c         what starts and ends, datagrams, events, and what is remembered over a restart
 * swim_state.c   what news of a member does: suspicion, refutation, death (SWIM 4.2, Lifeguard)
 * swim_clock.c   whose wall clock is far ahead
 * swim_self.c    what others say of this node: refuting it, or finding that its directory is a copy
 * swim_probe.c   pings, indirect pings, awareness (SWIM 4.1, Lifeguard)
 * swim_gossip.c  news that is sent on, piggybacked or by itself
 * swim_join.c    full exchange: seeds, remembered members, the dead, everybody in turn
 * swim_wire.c    datagrams and payloads as bytes */
#ifndef TOYSTORE_CORE_SWIM_PRIV_H
#define TOYSTORE_CORE_SWIM_PRIV_H

#include "core/members/members_priv.h"
#include "core/state/state.h"
#include "wire/cursor.h"

enum {
    DATAGRAM_SIZE_MAX = 1400,
    PROBE_PINGS = 4, /* of one probe that stays unanswered */
    INDIRECT_PROBES = 3,
    GOSSIP_FANOUT = 3,
    SUSPICION_MULT = 4,
    SUSPICION_MAX_MULT = 6,
    RETRANSMIT_MULT = 4,
    AWARENESS_MAX = 8,
    RELAYS_MAX = 64,           /* indirect pings made for others at one time */
    EXCHANGE_PROBES = 30,      /* a full exchange every so many probe intervals, */
    UNKNOWN_PROBES = 2,        /* or so many while a member of the layout is unknown */
    RECONNECT_PROBES = 3,      /* one of the dead is tried every so many */
    JOIN_PROBES_MAX = 10,      /* seeds are tried again at least every so many */
    CLIENT_FORGET_PROBES = 60, /* a client dead for so long is retired, and forgotten */
    RIVAL_CLAIMS_MAX = 4,      /* times that another process may outbid this node's own word */
    NEW_PROBES = 10            /* a process is new for so many probe intervals */
};

enum datagram_type { SWIM_PING, SWIM_ACK, SWIM_NACK, SWIM_PING_REQ, SWIM_GOSSIP, SWIM_TYPES };

/* What is said of a member: its attributes, and who says it. */
struct news {
    struct member member;
    node_id from;
};

struct probe {
    struct timer timer; /* the quarters of the interval, its end the last */
    node_id target;     /* 0: none under way */
    uint64_t seq;
    bool acked;
    unsigned quarters; /* that are over */
    unsigned nacks_expected, nacks;
};

struct relay {
    struct timer timer;
    bool used;
    uint64_t seq, origin_seq;
    node_id target;
    struct address origin;
};

struct seed {
    char text[300];
    struct address address;
    bool resolved;
};

struct swim {
    struct list news; /* roughly: fewest transmits first */

    struct probe probe;
    node_id *order; /* who is still to be probed in this round */
    size_t order_count, order_capacity;
    uint64_t seq;
    unsigned awareness;
    struct relay relays[RELAYS_MAX];

    struct timer gossip, exchange, reconnect, join, save;
    struct seed seeds[TOYSTORE_SEEDS_MAX];
    bool joined; /* somebody answered since this process started, or nobody is there */
    unsigned join_tries;
    uint64_t noticed_us;  /* when the last notice about waiting was logged */
    uint64_t stranger_us; /* when a stranger was last asked who it is */
    size_t reconnect_next;
    bool saving, left;

    uint64_t started_us;
    unsigned rival_claims;
    uint64_t rival_incarnation;
    uint64_t probes, probes_failed, refutes, datagrams_in, datagrams_out, datagrams_bad;
};

/* ---- swim.c ---- */
uint64_t swim_interval_us(const struct core *core); /* the probe interval */
void swim_save_later(struct core *core);
/* A member that was there once, and of which this process has heard nothing: dead, or it had left.
 * False: there is no room. */
bool swim_remember(struct core *core, const struct member *member);
void swim_event(struct core *core, enum toystore_event_type type, const struct member_entry *m);

/* ---- swim_state.c ---- */
void swim_hear(struct core *core, const struct news *news);
bool swim_foreign(const struct core *core, const struct member *member); /* of another cluster */
void swim_suspect(struct core *core, struct member_entry *m, node_id accuser);
uint64_t swim_suspicion_us(const struct core *core, unsigned confirmations);

/* ---- swim_clock.c ---- */
void swim_clock_heard(struct core *core, struct member_entry *m, uint64_t wall_us);
int64_t swim_clock_ahead_us(const struct core *core, size_t position); /* as members_at */
bool swim_clock_wrong(const struct core *core, size_t position);       /* far ahead */

/* ---- swim_self.c ---- */
void swim_hear_of_self(struct core *core, const struct news *news);
void swim_refute(struct core *core, uint64_t accused_incarnation);

/* ---- swim_probe.c ---- */
void probe_start(struct core *core);
void probe_newcomer(struct core *core, node_id id); /* takes part in the present round */
void probe_on_ping(struct core *core, const struct address *from, uint64_t seq, node_id asker,
                   node_id target);
void probe_on_ping_req(struct core *core, const struct address *from, uint64_t seq, node_id target);
void probe_on_ack(struct core *core, uint64_t seq, node_id from);
void probe_on_nack(struct core *core, uint64_t seq);
void swim_awareness(struct core *core, int change);

/* ---- swim_gossip.c ---- */
void gossip_start(struct core *core);
void gossip_queue(struct core *core, struct member_entry *m);
/* Sends a datagram with as much news as fits; news of `about` (may be NULL) first. */
void gossip_send(struct core *core, const struct address *to, enum datagram_type type, uint64_t seq,
                 node_id target, const struct member_entry *about);

/* ---- swim_join.c ---- */
void join_start(struct core *core);
/* Somebody who knows this node is not known, or dead, here. */
void join_stranger(struct core *core, const struct address *gossip);

/* ---- swim_wire.c ---- */
void news_encode(struct buf *out, const struct member *member, node_id from);
bool news_read(struct cursor *cursor, struct news *ret);
void datagram_begin(struct buf *out, const struct core *core, enum datagram_type type, uint64_t seq,
                    node_id target);
struct datagram {
    enum datagram_type type;
    struct slice cluster_name, cluster_id;
    uint64_t seq, wall_us; /* the sender's clock; 0: not said */
    node_id from, target;
    struct cursor news; /* news_read until it is at its end */
};
/* False: malformed. */
bool datagram_decode(struct slice bytes, struct datagram *ret);

#endif
