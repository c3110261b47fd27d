/* move: changing eras (PROTOCOL 7): choosing layouts, holding partitions, finishing, giving up,
 * recovering what was forgotten. */
#ifndef TOYSTORE_CORE_MOVE_H
#define TOYSTORE_CORE_MOVE_H

#include "core/rpc.h"
#include "core/swim.h"

struct move;
struct move *move_new(struct core *core);
void move_free(struct move *move);
/* The directory's last writes may be gone (PROTOCOL 7 forgetting): every partition is mute until it
 * has recovered. After META was read; what must be durable before the first answer is added to
 * the batch that notes this start. */
void move_forgot(struct core *core, struct batch *batch);
/* After the disk was read: founds a cluster, or waits to be taken into one; starts holds and
 * recoveries that are due. */
void move_start(struct core *core);
void move_view_changed(struct core *core);
void move_on_member(struct core *core, const struct member *member);
void move_handle_holding(struct core *core, const struct rpc_request *request);
void move_handle_raise(struct core *core, const struct rpc_request *request);
/* Has this member, as far as it has told, taken the partition in the present era? */
bool move_peer_holds(const struct core *core, node_id id, uint32_t partition);
/* A stored record of this key was found damaged: the key (n = 1) or the partition recovers. */
void move_on_damage(struct core *core, struct slice key);

#endif
