/* operation: the one place through which every operation moves. */
#include "core/state/operation.h"

#include "core/state/state.h"

void operation_move(struct core *core, struct operation *operation, unsigned state)
{
    const struct operation_table *table = operation->table;
    assert(state < table->count);
    assert(table->states[operation->state].next & (1u << state));
    if (core->config.log_level >= LOG_DEBUG)
        core_log(core, LOG_DEBUG, "%s %llx: %s -> %s", table->name,
                 (unsigned long long)operation->handle, table->states[operation->state].name,
                 table->states[state].name);
    operation->state = (uint8_t)state;
    if (table->states[state].enter)
        table->states[state].enter(core, operation);
}

void operation_answer(struct core *core, struct operation *operation, const char *answer)
{
    assert(!operation->answered);
    operation->answered = true;
    if (core->config.log_level >= LOG_DEBUG)
        core_log(core, LOG_DEBUG, "%s %llx: answers %s", operation->table->name,
                 (unsigned long long)operation->handle, answer);
}
