/* members: who is, or was, in the cluster, by id; an address is an attribute that may change. What
 * stands here is what gossip says (swim); and who was removed for good. */
#ifndef TOYSTORE_CORE_MEMBERS_H
#define TOYSTORE_CORE_MEMBERS_H

#include "core/state/limits.h"
#include "core/state/member.h"

struct members;
struct members *members_new(void);
void members_free(struct members *members);

const struct member *members_find(const struct core *core, node_id id); /* NULL: never heard of */
bool members_alive(const struct core *core, node_id id); /* alive or suspect; self: true */
size_t members_count(const struct core *core);           /* members known, self included */
size_t members_alive_count(const struct core *core);     /* self included */
const struct member *members_at(const struct core *core, size_t index); /* 0 is self */
/* A request to this member went unanswered: it is probed next. */
void members_doubt(struct core *core, node_id id);

/* Members that will never come back (PROTOCOL 7 Gone): a set that only grows, fsynced. Each is told
 * to the hook `gone`. False: the set is full, or too much is being noted. `resume` when it is
 * durable. */
#define META_GONE "layout-gone" /* sorts before the layouts */
bool gone_is(const struct core *core, node_id id);
size_t gone_count(const struct core *core);
node_id gone_at(const struct core *core, size_t index);
bool gone_note(struct core *core, const node_id *ids, size_t count, struct resume resume);
/* Reads back META_GONE of TOYSTORE_META. */
void gone_restore(struct core *core, struct slice value);

#endif
