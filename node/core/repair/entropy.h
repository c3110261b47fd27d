/* entropy: anti-entropy between owners (Dynamo 4.7): whose copies of a partition may
 * differ compare their hash trees, and what differs is stored where it is missing, or settled. */
#ifndef TOYSTORE_CORE_ENTROPY_H
#define TOYSTORE_CORE_ENTROPY_H

#include "core/rpc/rpc.h"
#include "core/state/event.h"

struct entropy;
struct entropy *entropy_new(void);
void entropy_free(struct entropy *entropy);
void entropy_start(struct core *core);
void entropy_on_member(struct core *core, node_id id); /* it is back: compare with it now */
void entropy_view_changed(struct core *core);          /* everything may differ */
/* Just started, and not yet compared with another owner: what it has missed comes cheaper by repair
 * than by a leader, who has each key that differs accepted again. */
bool entropy_behind(struct core *core, uint32_t partition);

/* Reads back what TOYSTORE_META keeps under "scrub". */
void scrub_restore(struct core *core, struct slice value);

/* entropy_round.c: a round that a person asked for, and how far it is. */
struct entropy_progress {
    uint32_t partitions; /* that this node compares with others */
    uint32_t left;       /* those of them that an asked round has not compared yet */
    uint32_t absent;     /* of these: with owners that cannot be reached */
    bool reading;        /* an asked pass over the own copies is under way */
    unsigned permille;   /* how far the pass over the copies is */
    uint64_t read, passes;
    uint64_t lag_us; /* since the partition that was longest not compared was */
};
void entropy_progress(struct core *core, struct entropy_progress *ret);
void entropy_round_handle(struct core *core, const struct rpc_request *request);

#endif
