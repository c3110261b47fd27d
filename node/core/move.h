/* move: changing eras (PROTOCOL 7): choosing layouts, holding partitions, finishing, giving up,
 * recovering what was forgotten. */
#ifndef TOYSTORE_CORE_MOVE_H
#define TOYSTORE_CORE_MOVE_H

#include "core/rpc.h"

struct move;
struct move *move_new(struct core *core);
void move_free(struct move *move);
/* The directory's last writes may be gone (PROTOCOL 7 forgetting): every partition is mute until it
 * has recovered. After META was read, before move_start. */
void move_forgot(struct core *core);
/* After the disk was read: founds a cluster, or waits to be taken into one; starts holds and
 * recoveries that are due. */
void move_start(struct core *core);
void move_view_changed(struct core *core);
void move_on_member(struct core *core, const void *member);
void move_handle_holding(struct core *core, const struct rpc_request *request);
void move_handle_raise(struct core *core, const struct rpc_request *request);
/* A stored record of this key was found damaged: the key (n = 1) or the partition recovers. */
void move_on_damage(struct core *core, struct slice key);
/* Layout changes asked for by people. */
void move_want_weight(struct core *core, node_id id, uint32_t weight);

#endif
