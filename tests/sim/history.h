/* history: what clients asked, when, and what they were told. */
#ifndef TOYSTORE_SIM_HISTORY_H
#define TOYSTORE_SIM_HISTORY_H

#include "core/core.h"

enum { OPERATIONS_MAX = 2000, MATCH_VALUES = 8 };

enum operation_kind { OPERATION_GET, OPERATION_PUT, OPERATION_DELETE };

enum outcome {
    OUTCOME_OPEN,    /* not answered yet */
    OUTCOME_DONE,    /* a put has happened; a get has seen `value` (0: absent) */
    OUTCOME_REFUSED, /* its condition did not hold; nothing has changed */
    OUTCOME_NOTHING, /* it certainly has not happened */
    OUTCOME_UNKNOWN  /* it may have happened, and may yet */
};

/* Values are numbers, each put once. */
struct operation {
    enum operation_kind kind;
    unsigned client, key, node; /* the node that was asked last */
    enum toystore_condition condition;
    uint64_t value;
    uint64_t match_values[MATCH_VALUES];
    struct toystore_op match[MATCH_VALUES];
    size_t match_count;
    bool durable, exclusive, strict;
    struct toystore_op op; /* zero: the node made it */
    uint64_t began, ended; /* in the order of all calls and answers; ended 0: open */
    uint64_t asked_us;     /* of the last try */
    uint64_t life;         /* the process that was asked last */
    unsigned tries;
    enum outcome outcome;
    enum toystore_status status;
    bool sloppy;
    uint64_t siblings[MATCH_VALUES]; /* what a get saw besides `value` */
    size_t sibling_count;
};

struct history {
    struct operation *operations;
    size_t count;
    uint64_t clock;
};

/* Is there an order of the key's operations, each between its call and its answer, in which a
 * single copy would have given these answers? 1 yes, 0 no, -1 not decided within the limit.
 * On 0 *ret_stuck is an operation that does not fit. */
int history_linearizable(const struct history *history, unsigned key,
                         const struct operation **ret_stuck);

#endif
