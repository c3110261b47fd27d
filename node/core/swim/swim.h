/* swim: who is there: SWIM with Lifeguard over datagrams, full exchange
 * over TCP. Liveness changes routing only, never ownership.
 *
 * Source: SWIM (Das, Gupta, Motivala 2002); Lifeguard (Dadgar, Phillips, Currey 2017). */
#ifndef TOYSTORE_CORE_SWIM_H
#define TOYSTORE_CORE_SWIM_H

#include "core/rpc/rpc.h"
#include "core/state/event.h"
#include "core/state/limits.h"

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

#endif
