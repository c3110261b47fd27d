/* history: what the answers that clients were given say about the promises. */
#include <stdio.h>

#include "sim/client.h"
#include "sim/fault.h"
#include "sim/sim.h"

static bool changes(const struct operation *op)
{
    return op->kind != OPERATION_GET;
}

static bool acknowledged(const struct operation *op)
{
    return changes(op) && op->outcome == OUTCOME_DONE;
}

/* ---- one copy ---- */

/* A sloppy copy anywhere is a sibling, and may be read, or refuse an if-absent, before the same op
 * enters the register behind puts that were acknowledged meanwhile: these are concurrent with it,
 * but the key is not one copy any more. One that never showed, because a later put of its session
 * was there before it, was acknowledged as sloppy all the same. */
static bool one_copy(const struct sim *sim, unsigned key)
{
    const struct history *history = &sim->clients->history;
    if (check_went_sloppy(sim, slice_str(client_key(key))))
        return false;
    for (size_t i = 0; i < history->count; i++)
        if (history->operations[i].key == key && changes(&history->operations[i]) &&
            history->operations[i].sloppy)
            return false;
    return true;
}

static void check_one_copy(struct sim *sim, unsigned key)
{
    const struct operation *stuck;
    if (history_linearizable(&sim->clients->history, key, &stuck) != 0)
        return;
    size_t number = (size_t)(stuck - sim->clients->history.operations);
    sim_fail(sim, "%s is not one copy: #%zu (%s %llu, %s) does not fit", client_key(key), number,
             stuck->kind == OPERATION_GET   ? "get"
             : stuck->kind == OPERATION_PUT ? "put"
                                            : "delete",
             (unsigned long long)stuck->value, toystore_status_word(stuck->status));
}

/* ---- nothing acknowledged is lost ---- */

static bool shows(const struct operation *read, uint64_t value)
{
    if (read->value == value)
        return true;
    for (size_t i = 0; i < read->sibling_count; i++)
        if (read->siblings[i] == value)
            return true;
    return false;
}

static bool names(const struct operation *later, uint64_t value)
{
    for (size_t i = 0; i < later->match_count; i++)
        if (later->match_values[i] == value)
            return true;
    return false;
}

static bool same_session_later(const struct operation *put, const struct operation *later)
{
    if (later->op.sequence == 0) /* some node named it, and did not say how */
        return true;
    return memcmp(later->op.session, put->op.session, sizeof put->op.session) == 0 &&
           later->op.sequence > put->op.sequence;
}

/* An unconditional sloppy put replaces all siblings that its writer could see. So does one that
 * left its sloppy copies at a few owners and was then acknowledged by a majority after all: who
 * read those copies may have built on them. */
static bool covers_what_it_reads(const struct sim *sim, const struct operation *later)
{
    if (later->strict || later->condition != TOYSTORE_ALWAYS)
        return false;
    return later->outcome == OUTCOME_UNKNOWN || check_was_sibling(sim, &later->op);
}

/* May `later` have replaced `put`? Of what had not ended when the put began, an unconditional one
 * may have, and one that names it. But a sloppy put that never was in the register is replaced only
 * by who names it, or by its session: unconditionally, or at the same time under a later name. (A
 * session that goes from node to node is known to none of them as the one that put it.) */
static bool may_replace(struct sim *sim, const struct operation *put, const struct operation *later)
{
    if (later == put || !changes(later) || later->key != put->key)
        return false;
    if (later->outcome == OUTCOME_REFUSED || later->outcome == OUTCOME_NOTHING)
        return false;
    bool session =
        same_session_later(put, later) && (later->condition == TOYSTORE_ALWAYS ||
                                           later->began < put->ended || sim->plan.sessions != 0);
    if (put->sloppy && !check_was_register(sim, &put->op))
        return names(later, put->value) || covers_what_it_reads(sim, later) || session;
    if (later->condition != TOYSTORE_ALWAYS && !names(later, put->value) && !session)
        return false;
    /* One that was acknowledged as sloppy may enter the register yet: it is concurrent until then.
     */
    return later->ended > put->began || later->outcome == OUTCOME_UNKNOWN || later->sloppy;
}

/* Is it shown, or may it have been replaced? By what was acknowledged, which is looked at itself;
 * or by what is in doubt: then that has come to be, and is shown or was replaced in its turn. */
static bool kept(struct sim *sim, const struct operation *put, const struct operation *read,
                 bool *doubted)
{
    const struct history *history = &sim->clients->history;
    if (put->kind == OPERATION_PUT && shows(read, put->value))
        return true;
    for (size_t i = 0; i < history->count; i++) {
        const struct operation *later = &history->operations[i];
        if (doubted[i] || !may_replace(sim, put, later))
            continue;
        doubted[i] = true;
        if (acknowledged(later) || later->kind == OPERATION_DELETE ||
            kept(sim, later, read, doubted))
            return true;
    }
    return false;
}

static void check_kept(struct sim *sim, const struct operation *put, const struct operation *read)
{
    bool doubted[OPERATIONS_MAX] = {false};
    bool forgets = sim->plan.weights[FAULT_POWER] != 0 || sim->plan.weights[FAULT_DAMAGE] != 0;
    if (put->kind != OPERATION_PUT || (sim->plan.total_loss && !put->durable))
        return;
    if (put->sloppy && forgets)
        return; /* W copies wait for their owners: one loss after the other may take them all */
    if (kept(sim, put, read, doubted))
        return;
    sim_fail(sim, "put %llu of %s was acknowledged, nothing replaced it, and it is gone",
             (unsigned long long)put->value, client_key(put->key));
}

/* ---- nothing that was replaced returns ---- */

static void check_replaced(struct sim *sim, const struct operation *later,
                           const struct operation *read)
{
    bool forgets = sim->plan.weights[FAULT_POWER] != 0 || sim->plan.weights[FAULT_DAMAGE] != 0;
    if (sim->plan.total_loss || (later->sloppy && forgets))
        return;
    for (size_t i = 0; i < later->match_count; i++)
        if (shows(read, later->match_values[i]))
            sim_fail(sim, "%llu of %s was replaced by %llu, and is there again",
                     (unsigned long long)later->match_values[i], client_key(later->key),
                     (unsigned long long)later->value);
}

/* ---- one winner ---- */

static bool may_be_deleted(const struct history *history, unsigned key)
{
    for (size_t i = 0; i < history->count; i++) {
        const struct operation *op = &history->operations[i];
        if (op->key == key && op->kind == OPERATION_DELETE && op->outcome != OUTCOME_REFUSED &&
            op->outcome != OUTCOME_NOTHING)
            return true;
    }
    return false;
}

static void check_winners(struct sim *sim, unsigned key)
{
    const struct history *history = &sim->clients->history;
    const struct operation *winner = NULL;
    if (may_be_deleted(history, key))
        return;
    for (size_t i = 0; i < history->count; i++) {
        const struct operation *op = &history->operations[i];
        if (op->key != key || op->condition != TOYSTORE_IF_ABSENT || !acknowledged(op))
            continue;
        if (winner != NULL)
            sim_fail(sim, "two winners of one if-absent on %s: %llu and %llu", client_key(key),
                     (unsigned long long)winner->value, (unsigned long long)op->value);
        winner = op;
    }
}

/* ---- the reads at the end ---- */

static bool same_read(const struct operation *a, const struct operation *b)
{
    if (a->value != b->value || a->sibling_count != b->sibling_count)
        return false;
    for (size_t i = 0; i < a->sibling_count; i++)
        if (a->siblings[i] != b->siblings[i])
            return false;
    return true;
}

static const struct operation *check_last_reads(struct sim *sim, unsigned key)
{
    const struct history *history = &sim->clients->history;
    const struct operation *first = NULL;
    for (size_t i = 0; i < history->count; i++) {
        const struct operation *op = &history->operations[i];
        if (op->client != CLIENTS_MAX || op->key != key)
            continue;
        if (op->outcome != OUTCOME_DONE && sim->clients->ruined[key])
            continue; /* a single owner has nobody to take it from: until a put replaces it */
        if (op->outcome != OUTCOME_DONE)
            sim_fail(sim, "when all is quiet node %u answers a get of %s with %s", op->node,
                     client_key(key), toystore_status_word(op->status));
        if (first == NULL)
            first = op;
        /* Of a key whose every copy was damaged a node may know a sloppy put of its own still. */
        bool remembers = sim->clients->ruined[key] && (first->value == 0 || op->value == 0);
        if (!same_read(first, op) && !remembers)
            sim_fail(sim, "when all is quiet nodes %u and %u read %s differently", first->node,
                     op->node, client_key(key));
    }
    return first;
}

static const char *outcome_word(const struct operation *op)
{
    static const char *const words[] = {"open", "done", "refused", "nothing", "unknown"};
    return words[op->outcome];
}

/* In a replay: what clients were told of a key. */
static void print_key(struct sim *sim, unsigned key)
{
    const struct history *history = &sim->clients->history;
    printf("history of %s\n", client_key(key));
    for (size_t i = 0; i < history->count; i++) {
        const struct operation *op = &history->operations[i];
        static const char *const kinds[] = {"get", "put", "delete"};
        static const char *const conditions[] = {"", " if absent", " if match"};
        if (op->key != key)
            continue;
        printf("  #%zu %llu..%llu client %u node %u %s %llu%s", i, (unsigned long long)op->began,
               (unsigned long long)op->ended, op->client, op->node, kinds[op->kind],
               (unsigned long long)op->value, conditions[op->condition]);
        for (size_t m = 0; m < op->match_count; m++)
            printf(" %llu", (unsigned long long)op->match_values[m]);
        printf(": %s %s%s%s, %u tries", outcome_word(op), toystore_status_word(op->status),
               op->sloppy ? " sloppy" : "", op->durable ? " durable" : "", op->tries);
        if (op->op.sequence != 0)
            printf(", op %02x/%llu", op->op.session[0], (unsigned long long)op->op.sequence);
        for (size_t s = 0; s < op->sibling_count; s++)
            printf(" +%llu", (unsigned long long)op->siblings[s]);
        putchar('\n');
    }
}

void check_history(struct sim *sim)
{
    const struct history *history = &sim->clients->history;
    for (unsigned key = 0; sim->print && key < sim->plan.keys; key++)
        print_key(sim, key);
    for (unsigned key = 0; key < sim->plan.keys; key++) {
        const struct operation *read = check_last_reads(sim, key);
        if (sim->clients->ruined[key])
            continue;
        if (sim->plan.strict && !sim->plan.total_loss && read != NULL && read->sibling_count != 0)
            sim_fail(sim, "%s has siblings, and no put was sloppy", client_key(key));
        if (!sim->plan.total_loss) {
            check_winners(sim, key);
            if (one_copy(sim, key))
                check_one_copy(sim, key);
        }
        for (size_t i = 0; read != NULL && i < history->count; i++)
            if (history->operations[i].key == key && acknowledged(&history->operations[i])) {
                check_kept(sim, &history->operations[i], read);
                check_replaced(sim, &history->operations[i], read);
            }
    }
}
