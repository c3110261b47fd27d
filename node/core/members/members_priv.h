/* members_priv: the table of members, and its entries, in which the failure detector (swim) keeps
 * what it knows of each. */
#ifndef TOYSTORE_CORE_MEMBERS_PRIV_H
#define TOYSTORE_CORE_MEMBERS_PRIV_H

#include "core/members/members.h"
#include "core/state/state.h"

enum { CONFIRMATIONS_MAX = 2 /* of a suspicion, by others (Lifeguard) */ };

struct member_entry {
    struct member *member; /* &own, or &core->self */
    struct member own;
    size_t position; /* in members->list */
    bool heard;      /* since this process started; else only remembered */

    struct list queued; /* in swim->news while there is something to tell */
    unsigned transmits; /* of what is queued */
    node_id accuser;    /* who says suspect or dead */

    struct timer suspicion;
    uint64_t suspected_us;
    node_id confirmers[CONFIRMATIONS_MAX + 1]; /* the first accuser and those after it */
    unsigned confirmer_count;

    struct timer forget; /* dead clients */

    int64_t clock_ahead_us; /* of this node's, as last heard */
    bool clock_told;        /* that it is far ahead */
};

struct members {
    struct member_entry **list; /* 0 is self */
    size_t count, capacity;
    struct map by_id;
    node_id doubted; /* to be probed next */

    node_id *gone; /* for ever */
    size_t gone_count;
    struct pool notings;
};

/* One more; `self`: the entry stands for this one, which is kept elsewhere (core->self). */
struct member_entry *members_append(struct core *core, struct member *self);
struct member_entry *members_get(const struct core *core, node_id id); /* NULL: never heard of */
struct member_entry *members_add(struct core *core, const struct member *member); /* NULL: full */
void members_forget(struct core *core, struct member_entry *m);
/* `max` different alive members at most, by chance, without self and `except`. */
size_t members_pick(struct core *core, node_id except, struct member_entry **ret, size_t max);
static inline bool state_is_alive(enum toystore_member_state state)
{
    return state == TOYSTORE_ALIVE || state == TOYSTORE_SUSPECT;
}

/* gone.c */
void gone_init(struct members *members);
void gone_free(struct members *members);

#endif
