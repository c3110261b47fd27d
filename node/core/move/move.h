/* move: changing eras (PROTOCOL 7): choosing layouts, holding partitions, finishing, giving up,
 * recovering what was forgotten. */
#ifndef TOYSTORE_CORE_MOVE_H
#define TOYSTORE_CORE_MOVE_H

#include "core/rpc/rpc.h"
#include "core/state/member.h"
#include "rules/version.h"

/* What a member wants of the next layout, told with what it holds. It counts for the layout after
 * the one that its teller knew: whoever has it still says it again then. */
enum wish_kind {
    WISH_BE = 1,   /* of itself: to be in it, with this weight and zone */
    WISH_AWAY = 2, /* of itself or another member: to be in it no more */
    WISH_GONE = 3  /* no wish but a fact: this member will never come back */
};

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
/* founding.c: tells of options that are not what the cluster was founded with. */
void founding_compare(struct core *core);
/* Reads back "changes" of TOYSTORE_META. */
void move_restore(struct core *core, struct slice value);
void move_view_changed(struct core *core);
/* Leave, or remove a member: CHANGE, and EVENT_CHANGE. */
void move_change(struct core *core, uint64_t call, const struct core_change *change);
void move_handle_change(struct core *core, const struct rpc_request *request);
/* The member with that name, id or address; else why not, in `error`. */
bool move_member_named(const struct core *core, struct slice word, node_id *ret, char *error,
                       size_t error_size);
/* How this node stands to the layout: "in", "joining", "leaving", "left" or "removed". */
const char *move_place(struct core *core);
/* Is this member on its way out of the layout, as far as this node has heard? */
bool move_unwanted(const struct core *core, node_id id);
void move_on_member(struct core *core, const struct member *member);
void move_handle_holding(struct core *core, const struct rpc_request *request);
void move_handle_raise(struct core *core, const struct rpc_request *request);
/* A stored record of this key was found damaged: the key (n = 1) or the partition recovers. */
void move_on_damage(struct core *core, struct slice key);

#endif
