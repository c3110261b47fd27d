/* cluster: whole nodes of the real core in one process, on virtual time, with memory stores and a
 * network that can be cut: for stories that need exactly this to happen and then that. The
 * simulator (tests/sim) is for what nobody thought of. */
#ifndef TOYSTORE_TEST_CLUSTER_H
#define TOYSTORE_TEST_CLUSTER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../core_rooms.h"

enum { CLUSTER_MAX = 8 };

/* `count` storing nodes that have joined one layout and are at rest. */
void cluster_start(unsigned count);
void cluster_stop(void);
/* Nodes that start from now on leave out a rule: 1 + its row of tests/sim/broken.def. Only a core
 * that was built to be broken heeds it. */
void cluster_break(unsigned broken);
/* N, and all of them as W and R, for clusters that are started from now on; 0: three, two, two. */
void cluster_copies(unsigned n);
/* One more storing node; runs until its layout alone is live. Returns its number. */
unsigned cluster_join(void);
/* One that is only started: it joins as time goes on. */
unsigned cluster_begin(void);
/* A member that stores nothing, as a mount is. */
unsigned cluster_join_client(void);
/* Asks a node to end well, and runs until its process has. */
void cluster_end(unsigned node);

/* How far a node's wall clock is ahead of the others. */
void cluster_clock(unsigned node, int64_t ahead_us);
void cluster_run_ms(unsigned ms);
uint64_t cluster_now_us(void);

/* Asks a node and runs until it has answered. The result is valid until the next call; the call
 * fails the test when there is no answer within 30 s. */
const struct toystore_result *cluster_call(unsigned node, const struct toystore_request *request);
/* The same without waiting: cluster_answer runs until the answer is there. */
void cluster_ask(unsigned node, const struct toystore_request *request);
const struct toystore_result *cluster_answer(void);
/* The last answer is not needed any more: one to an earlier cluster_ask is still to come. */
void cluster_answer_drop(void);

/* Asks a node to leave, or to remove `member` (an id); how that was answered. */
enum toystore_status cluster_change(unsigned node, const char *what, node_id member, bool force,
                                    bool accept_loss);

/* kill -9, and a start with what the store has. */
void cluster_kill(unsigned node);
void cluster_restart(unsigned node);
/* With another --weight. */
void cluster_restart_weight(unsigned node, uint32_t weight);
/* Has it stopped by itself since this was asked last? From now on it may. */
bool cluster_stops_itself(unsigned node);
/* The same after a power loss that took nothing, which the node cannot know. */
void cluster_restart_machine(unsigned node);
/* SIGSTOP and SIGCONT: what arrives meanwhile waits. */
void cluster_pause(unsigned node);
void cluster_continue(unsigned node);
/* Nothing goes between the two, connections break. */
void cluster_cut(unsigned a, unsigned b);
void cluster_heal(void);

struct core *cluster_core(unsigned node);
node_id cluster_id(unsigned node);
/* Who owns a key, by rank: node numbers; returns how many. */
unsigned cluster_owners(const char *key, unsigned ret_nodes[CLUSTER_MAX]);
/* What a node's store holds for a key; false: nothing. The record is valid until the next call. */
bool cluster_stored(unsigned node, const char *key, struct entry *ret_entry,
                    struct record *ret_record);
/* Frames of this method that were sent since the last time this was asked. */
unsigned cluster_sent(enum wire_method method);
/* From now on requests of this method get lost, or no more. */
void cluster_lose(enum wire_method method, bool lost);
/* Nobody finds out any more what the others have. */
static inline void cluster_lose_comparing(bool lost)
{
    cluster_lose(METHOD_COMPARE, lost);
    cluster_lose(METHOD_TREE, lost);
    cluster_lose(METHOD_FETCH, lost);
}
/* From now on requests of this method between the two take so long; 0: as long as all others. */
void cluster_slow(enum wire_method method, unsigned from, unsigned to, unsigned ms);

/* ---- words for tests ---- */

static inline struct toystore_bytes bytes_text(const char *text)
{
    return (struct toystore_bytes){text, strlen(text)};
}

static inline struct toystore_request put_request_of(const char *key, const char *value)
{
    return (struct toystore_request){.type = TOYSTORE_PUT,
                                     .key = bytes_text(key),
                                     .kind = TOYSTORE_FILE,
                                     .value = bytes_text(value)};
}

static inline enum toystore_status cluster_put(unsigned node, const char *key, const char *value)
{
    struct toystore_request put = put_request_of(key, value);
    return cluster_call(node, &put)->status;
}

static inline const struct toystore_result *cluster_get(unsigned node, const char *key)
{
    struct toystore_request get = {.type = TOYSTORE_GET, .key = bytes_text(key)};
    return cluster_call(node, &get);
}

static inline bool shows(const struct toystore_result *result, const char *value)
{
    return result->status == TOYSTORE_OK && result->version_count > 0 &&
           result->versions[0].value.size == strlen(value) &&
           memcmp(result->versions[0].value.data, value, strlen(value)) == 0;
}

#endif
