/* operation: what every asynchronous operation of this room shares: named states with allowed
 * successors, one short function per state, exactly one answer.
 *
 * A file lists its states once:  #define GET_STATES(S) S(ASK, get_ask, TO(REPAIR) | TO(DONE)) ...
 * and gets the enum and the table by OPERATION_TABLE. */
#ifndef TOYSTORE_CORE_OPERATION_H
#define TOYSTORE_CORE_OPERATION_H

#include "base/pool.h"
#include "core/state/event.h"

struct operation;

struct operation_state {
    const char *name;
    void (*enter)(struct core *core, struct operation *operation);
    uint32_t next; /* a mask of the states that may follow */
};

struct operation_table {
    const char *name;
    const struct operation_state *states;
    size_t count;
};

/* First in every operation's struct. A new one is in state 0 without having entered it. */
struct operation {
    const struct operation_table *table;
    pool_handle handle; /* its own: slot and generation, so that late answers do not find it */
    uint8_t state;
    bool answered;
};

/* Checks that the move is allowed, traces it, enters. The operation may be gone afterwards. */
void operation_move(struct core *core, struct operation *operation, unsigned state);
/* To be called where the one answer is given. */
void operation_answer(struct core *core, struct operation *operation, const char *answer);

#define OPERATION_ENUM(name, enter, next) STATE(name),
#define OPERATION_ROW(name, enter, next)  [STATE(name)] = {#name, enter, next},
#define OPERATION_TABLE(table, title, STATES)                                                      \
    static const struct operation_state table##_states[] = {STATES(OPERATION_ROW)};                \
    static const struct operation_table table = {title, table##_states,                            \
                                                 ARRAY_COUNT(table##_states)};

#endif
