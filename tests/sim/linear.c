/* linear: is a key's history that of a single copy? (Wing and Gong 1993, with the memory of visited
 * states of Lowe 2017.) Operations whose outcome is unknown may take effect at any time behind
 * their call, or never. */
#include <stdlib.h>

#include "sim/history.h"

enum { KEY_OPERATIONS_MAX = 1024, VISITED_MAX = 400000 };

struct entry_list {
    const struct operation *op;
    bool is_return;
    unsigned id;
    struct entry_list *next, *prev, *match;
};

struct search {
    struct entry_list head;
    struct entry_list *entries;
    const struct operation *ops[KEY_OPERATIONS_MAX];
    size_t count;
    uint64_t done[KEY_OPERATIONS_MAX / 64];
    uint64_t *visited; /* open addressing, 0: free */
    size_t visited_count, visited_room;
};

/* What a single copy that shows `state` would do. False: it would not have answered so. */
static bool apply(const struct operation *op, uint64_t state, uint64_t *ret_state)
{
    *ret_state = state;
    if (op->kind == OPERATION_GET)
        return state == op->value;
    bool holds = true;
    if (op->condition == TOYSTORE_IF_ABSENT)
        holds = state == 0;
    else if (op->condition == TOYSTORE_IF_MATCH)
        holds = op->match_count == 0 ? state == 0 : state == op->match_values[0];
    if (op->outcome == OUTCOME_REFUSED)
        return !holds;
    if (!holds)
        return false;
    *ret_state = op->kind == OPERATION_DELETE ? 0 : op->value;
    return true;
}

static bool counts(const struct operation *op, unsigned key)
{
    if (op->key != key || op->outcome == OUTCOME_NOTHING)
        return false;
    if (op->kind == OPERATION_GET)
        return op->outcome == OUTCOME_DONE && !op->sloppy;
    /* A publication that found no majority may be judged on what few owners show. */
    return op->strict || op->outcome != OUTCOME_REFUSED;
}

static int entry_order(const void *a, const void *b)
{
    const struct entry_list *x = a, *y = b;
    uint64_t xt = x->is_return ? x->op->ended : x->op->began;
    uint64_t yt = y->is_return ? y->op->ended : y->op->began;
    return (xt > yt) - (xt < yt);
}

static bool search_fill(struct search *search, const struct history *history, unsigned key)
{
    size_t entries = 0;
    for (size_t i = 0; i < history->count; i++) {
        const struct operation *op = &history->operations[i];
        if (!counts(op, key))
            continue;
        if (search->count == KEY_OPERATIONS_MAX)
            return false;
        search->ops[search->count++] = op;
    }
    search->entries = base_alloc((2 * search->count + 1) * sizeof *search->entries);
    for (unsigned i = 0; i < search->count; i++) {
        const struct operation *op = search->ops[i];
        search->entries[entries++] = (struct entry_list){.op = op, .id = i};
        if (op->outcome == OUTCOME_DONE || op->outcome == OUTCOME_REFUSED)
            search->entries[entries++] = (struct entry_list){.op = op, .id = i, .is_return = true};
    }
    qsort(search->entries, entries, sizeof *search->entries, entry_order);
    struct entry_list *calls[KEY_OPERATIONS_MAX] = {0}, *last = &search->head;
    for (size_t i = 0; i < entries; i++) {
        struct entry_list *entry = &search->entries[i];
        entry->prev = last;
        last->next = entry;
        last = entry;
        if (entry->is_return)
            calls[entry->id]->match = entry;
        else
            calls[entry->id] = entry;
    }
    return true;
}

static void lift(struct entry_list *call)
{
    call->prev->next = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    struct entry_list *back = call->match;
    if (back == NULL)
        return;
    back->prev->next = back->next;
    if (back->next != NULL)
        back->next->prev = back->prev;
}

static void unlift(struct entry_list *call)
{
    struct entry_list *back = call->match;
    if (back != NULL) {
        back->prev->next = back;
        if (back->next != NULL)
            back->next->prev = back;
    }
    call->prev->next = call;
    if (call->next != NULL)
        call->next->prev = call;
}

static bool visited_add(uint64_t *visited, size_t room, uint64_t mark)
{
    size_t at = mark % room;
    while (visited[at] != 0) {
        if (visited[at] == mark)
            return false;
        at = (at + 1) % room;
    }
    visited[at] = mark;
    return true;
}

static void visited_grow(struct search *search)
{
    size_t room = search->visited_room ? search->visited_room * 4 + 1 : 1023;
    uint64_t *visited = base_alloc(room * sizeof *visited);
    for (size_t i = 0; i < search->visited_room; i++)
        if (search->visited[i] != 0)
            visited_add(visited, room, search->visited[i]);
    free(search->visited);
    search->visited = visited;
    search->visited_room = room;
}

/* True: this state has not been met yet. */
static bool visit(struct search *search, uint64_t state)
{
    if (2 * search->visited_count >= search->visited_room)
        visited_grow(search);
    uint64_t mark = hash64_seeded(slice_of(search->done, sizeof search->done), state) | 1;
    if (!visited_add(search->visited, search->visited_room, mark))
        return false;
    search->visited_count++;
    return true;
}

static void flip(struct search *search, unsigned id)
{
    search->done[id / 64] ^= 1ull << (id % 64);
}

static bool returns_left(const struct search *search)
{
    for (const struct entry_list *e = search->head.next; e != NULL; e = e->next)
        if (e->is_return)
            return true;
    return false;
}

struct choice {
    struct entry_list *call;
    uint64_t state;
};

static int search_run(struct search *search, const struct operation **ret_stuck)
{
    struct choice stack[KEY_OPERATIONS_MAX];
    size_t depth = 0, deepest = 0;
    uint64_t state = 0;
    struct entry_list *entry = search->head.next;
    while (returns_left(search)) {
        uint64_t after;
        if (search->visited_count > VISITED_MAX)
            return -1;
        if (entry != NULL && !entry->is_return) {
            bool fits = apply(entry->op, state, &after);
            if (fits) {
                flip(search, entry->id);
                if (visit(search, after)) {
                    stack[depth++] = (struct choice){entry, state};
                    state = after;
                    lift(entry);
                    entry = search->head.next;
                    continue;
                }
                flip(search, entry->id);
            }
            entry = entry->next;
            continue;
        }
        if (entry != NULL && depth >= deepest) {
            deepest = depth;
            *ret_stuck = entry->op;
        }
        if (depth == 0)
            return 0;
        struct choice *choice = &stack[--depth];
        state = choice->state;
        entry = choice->call;
        flip(search, entry->id);
        unlift(entry);
        entry = entry->next;
    }
    return 1;
}

int history_linearizable(const struct history *history, unsigned key,
                         const struct operation **ret_stuck)
{
    struct search *search = base_alloc(sizeof *search);
    int result = -1;
    *ret_stuck = NULL;
    if (search_fill(search, history, key))
        result = search_run(search, ret_stuck);
    free(search->visited);
    free(search->entries);
    free(search);
    return result;
}
