/* retire: sessions whose process has ended, or is taken for dead, and in whose name nothing new is
 * begun any more (PROTOCOL 8 Retiring). A session is retired by a put of .toystore/sessions/ID;
 * every storing member notes it for ever: twelve bytes each, and some hundred in memory. */
#ifndef TOYSTORE_CORE_RETIRE_H
#define TOYSTORE_CORE_RETIRE_H

#include "base/json.h"
#include "core/rpc/rpc.h"
#include "wire/record.h"

struct retire;
struct retire *retire_new(void);
void retire_free(struct retire *retire);
void retiring_init(struct retire *retire);
void retiring_free(struct retire *retire);
void retire_start(struct core *core);

/* ---- what is noted here (retire.c) ---- */

/* "session/ID" of TOYSTORE_META at the start. */
void retire_restore(struct core *core, struct slice meta_key, struct slice value);
/* Its operations are refused here. All that is noted is durable. */
bool retire_noted(const struct core *core, const struct session *session);
/* Is this op (sequence 0: none) of one that is? Then nothing is begun on behalf of it. */
bool retire_refuses(const struct core *core, const struct op_id *op);
size_t retire_count(const struct core *core);
/* Over all that is noted, in any order. */
struct hash128 retire_digest(const struct core *core);
/* For the replica: what is stored may be .toystore/sessions/ID. The note goes into the batch of the
 * record, and counts once that is durable. */
void retire_with_record(struct batch *batch, struct slice key, const struct record *record);
void retire_record_stored(struct core *core, struct slice key, const struct record *record);

/* ---- everybody tells everybody (retire_tell.c) ---- */

/* RETIRED. */
void retire_handle(struct core *core, const struct rpc_request *request);
/* A giver's digest, as it stood when it gave (PROTOCOL 7 hold). */
void retire_heard(struct core *core, node_id from, const struct hash128 *digest);
/* Is all noted here that this giver had noted then? */
bool retire_learned(const struct core *core, node_id from);
/* F owners of every partition in every live layout have noted it, as far as this node has heard. */
bool retire_in_force(const struct core *core, const struct session *session);

/* ---- who is to be retired (retire_propose.c) ---- */

/* Nobody begins anything under it any more: a client has left, or has been dead for long enough; or
 * it was of an earlier process of this node. `name` is for the log. */
void retire_due(struct core *core, const struct session *session, const char *name);
void retire_report(struct core *core, struct json *json);

/* Reads back "swept" of TOYSTORE_META: the layout in which the sessions were that are marked. */
bool retire_sweep_restore(struct core *core, struct slice value);
#define META_SWEPT "swept"
/* What every session that is retired has left is swept once more: also what a later one had
 * replaced and, when it was killed, not yet deleted (retire_sweep.c). */
void retire_sweep_again(struct core *core);

/* ---- whose sessions they are (session.c) ---- */

/* `old` was retired: if it is this node's still, the node goes on under a new one. */
void session_renew(struct core *core, const struct session *old);
/* A chunk is going to be stored under this session. */
void session_stores(struct core *core, const struct session *session);
/* Reads back "sessions" of TOYSTORE_META. */
bool session_restore(struct core *core, struct slice value);
/* Those of earlier processes: once the layout is known. */
void session_retire_past(struct core *core);
#define META_SESSIONS "sessions"

#endif
