/* coord: quorum operations, as seen by who asks (PROTOCOL 4 to 6 and 8). */
#ifndef TOYSTORE_CORE_COORD_H
#define TOYSTORE_CORE_COORD_H

#include "core/rpc/rpc.h"
#include "rules/electorate.h"
#include "wire/record.h"

struct coord;
struct coord *coord_new(struct core *core);
void coord_free(struct coord *coord);

/* Exactly once, never from inside; the result is borrowed until it returns. */
typedef void ask_done_fn(struct core *core, uint64_t handle, const struct toystore_result *result);

/* ---- at an owner ---- */

/* Keys with a put, or a settling, under way here. */
size_t coord_busy(const struct core *core);

/* FORWARD: coordinates the put; replies when it is decided. */
void coord_put_handle(struct core *core, const struct rpc_request *request);
/* REPAIR: settles the key by a round or the leader's turn, replies with the chosen record. */
void coord_repair_handle(struct core *core, const struct rpc_request *request);

/* Settles a key of this owner by a round: prepare, accept the base unchanged (PROTOCOL 4). `base`
 * (may be empty, encoded) is merged into what the promises show: an open key's merge. done once. */
typedef void settle_done_fn(struct core *core, uint64_t handle, uint64_t index,
                            enum toystore_status status);
void coord_settle(struct core *core, struct slice key, settle_done_fn *done, uint64_t handle,
                  uint64_t index);

/* As a leader, accepts `base` unchanged with the leadership's next turn at the owners, the own
 * accept first (an *open* key, PROTOCOL 4 lead). OK: q accepted. NACK ...: by rounds. */
void coord_reaccept(struct core *core, struct slice key, struct slice base, settle_done_fn *done,
                    uint64_t handle, uint64_t index);

/* ---- in pieces, one file each ---- */
void coord_get(struct core *core, const struct toystore_request *request, ask_done_fn *done,
               uint64_t handle);
void coord_list(struct core *core, const struct toystore_request *request, ask_done_fn *done,
                uint64_t handle);
void coord_store(struct core *core, const struct toystore_request *request, struct op_id op,
                 ask_done_fn *done, uint64_t handle);
void coord_fetch(struct core *core, const struct toystore_request *request, ask_done_fn *done,
                 uint64_t handle);
void coord_sync(struct core *core, const struct toystore_request *request, ask_done_fn *done,
                uint64_t handle);
void coord_room(struct core *core, const struct toystore_request *request, ask_done_fn *done,
                uint64_t handle);
/* ROOM at a member. */
void room_handle(struct core *core, const struct rpc_request *request);
/* LIST at a member. */
void list_handle(struct core *core, const struct rpc_request *request);

#endif
