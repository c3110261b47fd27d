/* hint: what an unreachable owner has missed, durably, until it has it (PROTOCOL 6, Dynamo 4.6). */
#ifndef TOYSTORE_CORE_HINT_H
#define TOYSTORE_CORE_HINT_H

#include "core/state/event.h"

struct hints;
struct hints *hints_new(struct core *core);
void hints_free(struct hints *hints);
/* Adds the entry (owner, key) to a batch that commits with what it is about. */
void hint_add(struct core *core, struct batch *batch, node_id owner, struct slice key);
/* The owner has acknowledged the key's record after this hint was made: the entry goes. Cheap when
 * there is none. */
void hint_clear(struct core *core, node_id owner, struct slice key);
void hints_start(struct core *core);   /* begins the rounds of delivery, every handoff interval */
void hints_restore(struct core *core); /* counts what is on disk */
void hints_on_member(struct core *core, node_id id); /* it is back: deliver now */
void hints_view_changed(struct core *core);          /* entries of former owners die or move on */
/* Whom a hint is kept for under this key; returns how many. */
size_t hints_of_key(const struct core *core, struct slice key, node_id *ret_owners, size_t max);
/* "hints_for" of status: whom they wait for, how many, and since when. */
struct json;
void hints_report(const struct core *core, struct json *json);
uint64_t hints_count(const struct core *core, node_id owner); /* 0: all owners together */

#endif
