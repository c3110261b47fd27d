/* client: the workload: a few clients on a few keys through whatever node answers; unconditional
 * puts, if-absent, if-match on what was read, deletes, gets; what is indeterminate is tried again
 * with the same op, also through another node. */
#include <stdio.h>
#include <stdlib.h>

#include "sim/client.h"

struct client {
    unsigned node;              /* it asks this one mostly */
    size_t open;                /* its operation under way, plus one; 0: none */
    struct toystore_op session; /* the last op of its own session */
    unsigned session_left;
    struct { /* what it has read last of each key */
        uint64_t values[MATCH_VALUES];
        struct toystore_op ops[MATCH_VALUES];
        size_t count;
    } seen[KEYS_MAX];
};

static uint64_t between(struct sim *sim, uint64_t low, uint64_t high)
{
    return sim_between(sim, STREAM_CLIENT, low, high);
}

static bool chance(struct sim *sim, unsigned thousandths)
{
    return sim_chance(sim, STREAM_CLIENT, thousandths);
}

struct clients *clients_new(struct sim *sim)
{
    struct clients *clients = base_alloc(sizeof *clients);
    clients->client = base_alloc((CLIENTS_MAX + 1) * sizeof *clients->client);
    clients->history.operations = base_alloc(OPERATIONS_MAX * sizeof *clients->history.operations);
    clients->count = sim->plan.clients;
    sim->files = files_new();
    return clients;
}

void clients_free(struct sim *sim)
{
    struct clients *clients = sim->clients;
    files_free(sim->files);
    if (clients == NULL)
        return;
    free(clients->client);
    free(clients->history.operations);
    free(clients);
}

static struct operation *operation_of(struct sim *sim, uint64_t call)
{
    return &sim->clients->history.operations[call >> 8];
}

static uint64_t call_of(const struct sim *sim, const struct operation *op)
{
    return (uint64_t)(op - sim->clients->history.operations) << 8 | (op->tries & 255);
}

/* ---- asking ---- */

static struct sim_node *pick_node(struct sim *sim, struct client *client)
{
    if (chance(sim, 200))
        client->node = (unsigned)between(sim, 0, sim->node_count - 1);
    for (unsigned tries = 0; tries < 8; tries++) {
        struct sim_node *node = &sim->nodes[client->node];
        if (node_answers(node))
            return node;
        client->node = (unsigned)between(sim, 0, sim->node_count - 1);
    }
    return NULL;
}

static void fill_put(const struct operation *op, struct toystore_request *request, uint8_t *value,
                     size_t size)
{
    request->type = TOYSTORE_PUT;
    request->op = op->op;
    request->retry = op->op.sequence != 0 && op->tries > 0;
    request->condition = op->condition;
    request->match = op->match;
    request->match_count = op->match_count;
    request->durable = op->durable;
    request->exclusive = op->exclusive;
    if (op->kind == OPERATION_DELETE) {
        request->change = TOYSTORE_DELETE;
        return;
    }
    request->change = TOYSTORE_SET;
    request->kind = TOYSTORE_FILE;
    request->attributes.mode = 0100644;
    memset(value, (int)(op->value & 255), size);
    memcpy(value, &op->value, sizeof op->value);
    request->value = (struct toystore_bytes){value, size};
    request->attributes.size = size;
}

static void ask_node(struct sim *sim, struct sim_node *node, struct operation *op)
{
    const char *key = client_key(op->key);
    struct toystore_request request = {
        .type = TOYSTORE_GET, .key = {key, strlen(key)}, .strict = op->strict ? 1 : 0};
    size_t size = op->value % 16 == 0 ? 3000 : sizeof op->value + op->value % 20;
    uint8_t *value = base_alloc(size);
    if (op->kind != OPERATION_GET)
        fill_put(op, &request, value, size);
    op->tries++;
    op->node = node->index;
    op->life = node->life;
    op->asked_us = sim->now_us;
    trace_say(sim, node, "client %u asks #%zu %s %s %llu%s, try %u", op->client,
              (size_t)(op - sim->clients->history.operations),
              op->kind == OPERATION_GET   ? "get"
              : op->kind == OPERATION_PUT ? "put"
                                          : "delete",
              key, (unsigned long long)op->value,
              op->condition == TOYSTORE_IF_ABSENT  ? " if absent"
              : op->condition == TOYSTORE_IF_MATCH ? " if match"
                                                   : "",
              op->tries);
    node_call(sim, node, call_of(sim, op), &request);
    free(value);
}

static void draw_condition(struct sim *sim, const struct client *client, struct operation *op)
{
    if (chance(sim, sim->plan.blind))
        return;
    if (chance(sim, 450)) {
        op->condition = TOYSTORE_IF_ABSENT;
        return;
    }
    op->condition = TOYSTORE_IF_MATCH;
    op->match_count = client->seen[op->key].count;
    if (sim->plan.picks != 0 && op->match_count > 1 && chance(sim, sim->plan.picks))
        op->match_count = 1;
    memcpy(op->match, client->seen[op->key].ops, sizeof op->match);
    memcpy(op->match_values, client->seen[op->key].values, sizeof op->match_values);
    op->exclusive = chance(sim, 500);
    if (op->match_count == 0)
        op->condition = TOYSTORE_IF_ABSENT;
}

static struct operation *operation_new(struct sim *sim, unsigned client, unsigned key)
{
    struct history *history = &sim->clients->history;
    assert(history->count < OPERATIONS_MAX);
    struct operation *op = &history->operations[history->count++];
    *op = (struct operation){.client = client, .key = key, .began = ++history->clock};
    op->strict = sim->plan.strict;
    return op;
}

/* Short-lived programs: a session of its own for a few operations. */
static struct toystore_op own_op(struct sim *sim, struct client *client)
{
    if (client->session_left == 0) {
        client->session = (struct toystore_op){0};
        for (unsigned i = 0; i < sizeof client->session.session; i++)
            client->session.session[i] = (uint8_t)sim_between(sim, STREAM_CLIENT, 0, 255);
        client->session_left = sim->plan.sessions;
    }
    client->session_left--;
    client->session.sequence++;
    return client->session;
}

static void begin(struct sim *sim, unsigned index, struct sim_node *node)
{
    struct client *client = &sim->clients->client[index];
    struct operation *op = operation_new(sim, index, (unsigned)between(sim, 0, sim->plan.keys - 1));
    uint64_t kind = between(sim, 0, 99);
    op->kind = kind < 40                        ? OPERATION_GET
               : kind < 100 - sim->plan.deletes ? OPERATION_PUT
                                                : OPERATION_DELETE;
    if (!sim->plan.strict && chance(sim, 300))
        op->strict = true;
    if (op->kind == OPERATION_PUT)
        op->value = ++sim->clients->values;
    if (op->kind != OPERATION_GET) {
        draw_condition(sim, client, op);
        if (op->kind == OPERATION_DELETE && op->condition == TOYSTORE_IF_ABSENT)
            op->condition = TOYSTORE_ALWAYS;
        op->durable = chance(sim, 200);
        if (sim->plan.sessions != 0)
            op->op = own_op(sim, client);
        else if (chance(sim, 700))
            op->op = op_to_public(core_op_new(node->core));
    }
    client->open = sim->clients->history.count;
    sim->clients->asked++;
    ask_node(sim, node, op);
}

static void think(struct sim *sim, struct sim_event *event);

static void think_later(struct sim *sim, unsigned index, uint64_t pause_us)
{
    sim_at(sim, sim->now_us + pause_us, think)->a = index;
}

/* Who sleeps for long tries again where it asked first: the time and the era of an op are kept
 * there, and an op that comes by another node is taken for a new one once nobody remembers it. */
static bool another_process(const struct sim *sim, const struct operation *op)
{
    const struct sim_node *node = &sim->nodes[op->node];
    return sim->plan.sessions != 0 && (node->state != NODE_UP || node->life != op->life);
}

static void end_operation(struct sim *sim, struct operation *op);

/* Begins an operation, or tries the one again that is in doubt. */
static void think(struct sim *sim, struct sim_event *event)
{
    unsigned index = (unsigned)event->a;
    struct client *client = &sim->clients->client[index];
    if (sim->clients->stopped && client->open == 0)
        return;
    struct operation *open =
        client->open != 0 ? &sim->clients->history.operations[client->open - 1] : NULL;
    struct sim_node *node = pick_node(sim, client);
    if (open != NULL && another_process(sim, open)) {
        end_operation(sim, open);
        return;
    }
    if (open != NULL && sim->plan.sessions != 0)
        node = sim->nodes[open->node].paused ? NULL : &sim->nodes[open->node];
    if (node == NULL) {
        think_later(sim, index, between(sim, 1, 100 * MS));
        return;
    }
    if (open != NULL)
        ask_node(sim, node, open);
    else if (sim->clients->asked < sim->plan.calls)
        begin(sim, index, node);
}

void clients_start(struct sim *sim)
{
    for (unsigned i = 0; i < sim->clients->count; i++)
        think_later(sim, i, between(sim, 0, sim->plan.think_us));
    files_start(sim);
    if (sim->mounts != NULL)
        mounts_start(sim);
}

void clients_stop(struct sim *sim)
{
    files_stop(sim);
    if (sim->mounts != NULL)
        mounts_stop(sim);
    sim->clients->stopped = true;
}

size_t clients_open(const struct sim *sim)
{
    size_t open = 0;
    for (unsigned i = 0; i <= CLIENTS_MAX; i++)
        open += sim->clients->client[i].open != 0;
    return open + sim->clients->reads_left + files_open(sim) +
           (sim->mounts != NULL ? mounts_open(sim) : 0);
}

/* ---- answers ---- */

static enum outcome outcome_of(const struct operation *op, enum toystore_status status)
{
    bool get = op->kind == OPERATION_GET;
    switch (status) {
    case TOYSTORE_OK:
        return OUTCOME_DONE;
    case TOYSTORE_NOT_FOUND:
        return get ? OUTCOME_DONE : OUTCOME_REFUSED;
    case TOYSTORE_CONFLICT:
        return OUTCOME_REFUSED;
    case TOYSTORE_INDETERMINATE:
    case TOYSTORE_TIMEOUT:
        return get ? OUTCOME_NOTHING : OUTCOME_UNKNOWN;
    case TOYSTORE_NOT_APPLIED:
    case TOYSTORE_UNAVAILABLE:
    case TOYSTORE_BUSY:
    case TOYSTORE_TOO_LATE:
    case TOYSTORE_RETIRED:
    case TOYSTORE_STOPPING:
    case TOYSTORE_NO_SPACE:
    case TOYSTORE_IO:
        /* Of a second try this says nothing of the first. */
        return op->tries > 1 ? OUTCOME_UNKNOWN : OUTCOME_NOTHING;
    default:
        return OUTCOME_OPEN;
    }
}

static uint64_t value_of(const struct toystore_version *version)
{
    uint64_t value = 0;
    if (version->value.size >= sizeof value)
        memcpy(&value, version->value.data, sizeof value);
    return value;
}

static void take_read(struct sim *sim, struct operation *op, const struct toystore_result *result)
{
    struct client *client = &sim->clients->client[op->client];
    size_t count = min_size(result->version_count, MATCH_VALUES);
    client->seen[op->key].count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct toystore_version *version = &result->versions[i];
        client->seen[op->key].values[i] = value_of(version);
        client->seen[op->key].ops[i] = version->op;
        client->seen[op->key].count++;
        if (i == 0)
            op->value = value_of(version);
        else
            op->siblings[op->sibling_count++] = value_of(version);
    }
    if (result->status == TOYSTORE_OK && count == 0)
        sim_fail(sim, "a get of %s says OK and shows nothing", client_key(op->key));
}

static bool tries_again(struct sim *sim, const struct operation *op)
{
    return op->outcome == OUTCOME_UNKNOWN && op->op.sequence != 0 && op->tries < 4 &&
           !sim->clients->stopped && chance(sim, 500);
}

static void end_operation(struct sim *sim, struct operation *op)
{
    op->ended = ++sim->clients->history.clock;
    sim->clients->client[op->client].open = 0;
    think_later(sim, op->client, between(sim, 0, 2 * sim->plan.think_us));
}

static void finish(struct sim *sim, struct operation *op)
{
    if (op->client == CLIENTS_MAX) { /* reads of everything at the end */
        sim->clients->reads_left--;
        op->ended = ++sim->clients->history.clock;
        return;
    }
    if (tries_again(sim, op)) {
        think_later(sim, op->client, between(sim, 1, sim->plan.again_max_us));
        return;
    }
    end_operation(sim, op);
}

void clients_on_reply(struct sim *sim, struct sim_node *node, uint64_t call,
                      const struct toystore_result *result)
{
    if (files_is_call(call)) {
        files_on_reply(sim, node, call, result);
        return;
    }
    if (mounts_is_call(call)) {
        mounts_on_reply(sim, node, call, result);
        return;
    }
    struct operation *op = operation_of(sim, call);
    if (call_of(sim, op) != call || op->node != node->index || op->asked_us == 0)
        sim_fail(sim, "node %u answers call %llu, which is not open", node->index,
                 (unsigned long long)call);
    op->asked_us = 0;
    op->status = result->status;
    op->sloppy = result->sloppy;
    op->outcome = outcome_of(op, result->status);
    trace_say(sim, node, "answers #%zu: %s%s, %zu versions: %llu %s",
              (size_t)(op - sim->clients->history.operations), toystore_status_word(result->status),
              result->sloppy ? " sloppy" : "", result->version_count,
              (unsigned long long)(result->version_count ? value_of(&result->versions[0]) : 0),
              result->message ? result->message : "");
    if (op->outcome == OUTCOME_OPEN)
        sim_fail(sim, "%s of %s is answered %s: %s", op->kind == OPERATION_GET ? "a get" : "a put",
                 client_key(op->key), toystore_status_word(result->status), result->message);
    if (op->strict && op->sloppy)
        sim_fail(sim, "a strict request is answered sloppily");
    if (op->kind != OPERATION_GET && op->outcome == OUTCOME_DONE)
        op->op = result->op;
    if (op->outcome == OUTCOME_DONE && (op->kind != OPERATION_GET || result->version_count != 0))
        check_told(sim, slice_str(client_key(op->key)),
                   op->kind == OPERATION_GET ? &result->versions[0].op : &result->op);
    if (op->kind == OPERATION_GET && op->outcome == OUTCOME_DONE)
        take_read(sim, op, result);
    finish(sim, op);
}

void clients_on_death(struct sim *sim, struct sim_node *node)
{
    struct history *history = &sim->clients->history;
    files_on_death(sim, node);
    if (sim->mounts != NULL)
        mounts_on_death(sim, node);
    for (size_t i = 0; i < history->count; i++) {
        struct operation *op = &history->operations[i];
        if (op->asked_us == 0 || op->node != node->index)
            continue;
        op->asked_us = 0;
        op->outcome = op->kind == OPERATION_GET ? OUTCOME_NOTHING : OUTCOME_UNKNOWN;
        op->status = TOYSTORE_STOPPING;
        finish(sim, op);
    }
}

/* Nobody waits for ever: the default deadline is 5 s. */
void clients_check_deadlines(struct sim *sim)
{
    files_check_deadlines(sim);
    if (sim->mounts != NULL)
        mounts_check_deadlines(sim);
    struct history *history = &sim->clients->history;
    for (size_t i = 0; i < history->count; i++) {
        struct operation *op = &history->operations[i];
        struct sim_node *node = &sim->nodes[op->node];
        if (op->asked_us == 0 || node->paused)
            continue;
        uint64_t since = max_u64(op->asked_us, node->resumed_us);
        if (sim->now_us > since + 8 * SECOND)
            sim_fail(sim, "node %u has not answered #%zu (%s of %s) for 8 s", node->index, i,
                     op->kind == OPERATION_GET ? "get" : "put", client_key(op->key));
    }
}

void clients_read_all(struct sim *sim)
{
    for (unsigned i = 0; i < sim->node_count; i++)
        for (unsigned key = 0; key < sim->plan.keys; key++) {
            struct operation *op = operation_new(sim, CLIENTS_MAX, key);
            op->strict = true;
            sim->clients->reads_left++;
            ask_node(sim, &sim->nodes[i], op);
        }
    files_look(sim);
    if (sim->mounts != NULL)
        mounts_look(sim);
}
