/* swim: who is there (DESIGN 4 reachability): SWIM with Lifeguard over datagrams, full exchange
 * over TCP. Liveness changes routing only, never ownership.
 *
 * Source: SWIM (Das, Gupta, Motivala 2002); Lifeguard (Dadgar, Phillips, Currey 2017). */
#ifndef TOYSTORE_CORE_SWIM_H
#define TOYSTORE_CORE_SWIM_H

#include "core/core.h"
#include "core/limits.h"
#include "core/rpc.h"

struct member {
    node_id id;
    struct session session; /* of the process */
    uint64_t incarnation;
    enum toystore_member_state state;
    bool storing;
    struct address rpc, gossip;
    char name[NAME_SIZE_MAX + 1], zone[ZONE_SIZE_MAX + 1];
    uint32_t weight;
    uint64_t nonces[2]; /* the data directory's last two starts, newest first (PROTOCOL 7) */
    uint8_t cluster[CLUSTER_ID_SIZE]; /* zero: not in one yet */
    uint32_t layout_newest;           /* newest layout it knows */
    bool keeps;                       /* it left, and still has data or hints on its disk */
    uint64_t state_since_us;          /* this node's clock */
};

struct swim;
struct swim *swim_new(struct core *core);
void swim_free(struct swim *swim);
/* Called once the node knows who it is (core->self is filled in): restores remembered
 * members and begins to probe and to join the seeds, again and again until one answers. */
void swim_start(struct core *core);
/* Reads back "members" of TOYSTORE_META. */
void swim_restore(struct core *core, struct slice value);
void swim_on_datagram(struct core *core, const struct address *from, struct slice bytes);
void swim_handle_exchange(struct core *core, const struct rpc_request *request);
/* This node's own attributes (layout_newest, cluster ...) changed: raise incarnation, tell. */
void swim_update_self(struct core *core);
/* Says "left" to some members at once, and whether data or hints stay behind on the disk; the
 * process ends. */
void swim_leave(struct core *core, bool keeps);
/* Another layout is known: its members should be, too. */
void swim_view_changed(struct core *core);
/* This member will never come back: nothing is told of it any more. */
void swim_on_gone(struct core *core, node_id id);
/* A request to this member went unanswered, or it answered: a hint for probing order only. */
void swim_suspect_hint(struct core *core, node_id id);

const struct member *swim_find(const struct core *core, node_id id); /* NULL: never heard of */
bool swim_alive(const struct core *core, node_id id); /* alive or suspect; self: true */
size_t swim_count(const struct core *core);           /* members known, self included */
const struct member *swim_at(const struct core *core, size_t index); /* 0 is self */

/* Events go to: */
void core_on_member(struct core *core, enum toystore_event_type type, const struct member *member);

#endif
