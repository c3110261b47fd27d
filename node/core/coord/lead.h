/* lead: leading partitions (PROTOCOL 4, lead): one promise for all keys, so that a put needs one
 * round. An owner seeks to lead what it is the first reachable owner of, while one layout is live.
 */
#ifndef TOYSTORE_CORE_LEAD_H
#define TOYSTORE_CORE_LEAD_H

#include "core/rpc/rpc.h"

struct lead;
struct lead *lead_new(struct core *core);
void lead_free(struct lead *lead);
/* Seeking, comparing and being asked (lead_seek.c); before the first event, before lead_free. */
void leading_init(struct lead *lead);
void leading_free(struct lead *lead);
void lead_start(struct core *core);
void lead_view_changed(struct core *core); /* nothing is led over a change of the view */
void lead_on_member(struct core *core);    /* reachability changed: seek, or leave it to another */

/* LEAD at an owner. */
void lead_handle(struct core *core, const struct rpc_request *request);

/* Does this node lead the partition now? Then *ret_ballot is its ballot, turn 0. */
bool lead_leads(const struct core *core, uint32_t partition, struct ballot *ret_ballot);
/* Is the key still open (differed when the lead began), or left to rounds? Then no fast path. */
bool lead_is_open(const struct core *core, uint32_t partition, struct slice key);
/* A NACK or a higher promise for a key, or for the partition. */
void lead_on_nack(struct core *core, uint32_t partition, struct slice key,
                  const struct ballot *promised, bool whole_partition);
/* Was this register accepted by q owners from the present leadership, or shown by all of maj when
 * it was compared (PROTOCOL 3: a leader knows a register to be chosen)? */
bool lead_knows_chosen(const struct core *core, uint32_t partition, struct slice key,
                       const struct ballot *ballot);

#endif
