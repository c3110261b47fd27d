/* core: the protocols of a node as a function of (state, event with time) to actions.
 *
 * One door: core_step. No clock, no chance, no IO, no threads: a driver (io/driver.c on libuv, or
 * the simulator) feeds events in and carries the actions out, in order. The driver calls core_step
 * with EVENT_TICK no later than core_deadline.
 *
 * Connections: the core opens them with ACTION_CONNECT under an id that it draws (top bit 0);
 * the driver reports inbound ones with EVENT_OPENED under an id of its own (CONN_INBOUND set). A
 * frame is one whole MessagePack-RPC message. Either side may close.
 *
 * Storage: loads and scans see all commits whose action came before them. A commit is answered
 * once the operating system holds it, a durable one after fsync; commits of one batch of actions
 * may be joined into one.
 */
#ifndef TOYSTORE_CORE_H
#define TOYSTORE_CORE_H

#include "core/state/event.h"

struct core *core_new(const struct core_config *config);
/* The first step: begins to read the disk, then to join. */
void core_start(struct core *core, uint64_t now_us, int64_t wall_us, struct actions *out);
void core_step(struct core *core, const struct core_event *event, struct actions *out);
uint64_t core_deadline(const struct core *core); /* in now_us; UINT64_MAX: none */
void core_free(struct core *core);

/* For drivers and reports; the core does not change. */
bool core_ready(const struct core *core);
node_id core_id(const struct core *core);
struct session core_session(const struct core *core);
/* JSON, as toystore_report; false: no such report. */
bool core_report(struct core *core, struct slice what, struct slice argument, struct buf *out);
/* Walks the member list, this node first. */
void core_members(const struct core *core,
                  void (*each)(void *arg, const struct toystore_member *member), void *arg);

#endif
