/* trace: what happened, hashed in every run and printed in a replay. Two runs of one seed must give
 * the same hash: else chance or memory leaks into the core. */
#include "sim/sim.h"

#include <stdarg.h>
#include <stdio.h>

#include "rules/version.h"
#include "wire/frame.h"

static const char *const event_names[] = {
    [EVENT_TICK] = "tick",     [EVENT_OPENED] = "opened",       [EVENT_CLOSED] = "closed",
    [EVENT_FRAME] = "frame",   [EVENT_DATAGRAM] = "datagram",   [EVENT_RESOLVED] = "resolved",
    [EVENT_LOADED] = "loaded", [EVENT_COMMITTED] = "committed", [EVENT_SCANNED] = "scanned",
    [EVENT_ROOM] = "room",     [EVENT_CALL] = "call",           [EVENT_LEAVE] = "leave",
    [EVENT_CHANGE] = "change"};
static const char *const action_names[] = {
    [ACTION_CONNECT] = "connect",   [ACTION_CLOSE] = "close",     [ACTION_SEND] = "send",
    [ACTION_DATAGRAM] = "datagram", [ACTION_RESOLVE] = "resolve", [ACTION_LOAD] = "load",
    [ACTION_COMMIT] = "commit",     [ACTION_SCAN] = "scan",       [ACTION_ROOM] = "room",
    [ACTION_REPLY] = "reply",       [ACTION_MEMBER] = "member",   [ACTION_READY] = "ready",
    [ACTION_LOG] = "log",           [ACTION_STOP] = "stop"};

static void hash_u64(struct sim *sim, uint64_t value)
{
    sim->trace_hash = hash64_seeded(slice_of(&value, sizeof value), sim->trace_hash);
}

static void hash_blob(struct sim *sim, const struct blob *blob)
{
    if (blob != NULL)
        sim->trace_hash = hash64_seeded(blob_slice(blob), sim->trace_hash);
}

static void print_start(struct sim *sim, const struct sim_node *node)
{
    printf("%4llu.%06llu n%u ", (unsigned long long)(sim->now_us / SECOND),
           (unsigned long long)(sim->now_us % SECOND), node->index);
}

static void print_bytes(struct slice bytes)
{
    putchar(' ');
    for (size_t i = 0; i < bytes.size && i < 40; i++)
        putchar(bytes.data[i] >= ' ' && bytes.data[i] < 127 ? bytes.data[i] : '.');
}

static void print_ballot(const struct ballot *b)
{
    if (b == NULL || ballot_none(b))
        printf(" none");
    else
        printf(" %u.%u/%llu/%04llx/%llu", b->era.layout, b->era.epoch,
               (unsigned long long)b->counter, (unsigned long long)(b->node >> 48),
               (unsigned long long)b->turn);
}

/* Answers begin with a status, most requests with a view and what they are about. */
static void print_fields(const struct frame *frame)
{
    struct cursor cursor = cursor_of(frame->type == FRAME_ANSWER ? frame->result : frame->params);
    uint32_t count;
    uint64_t number;
    struct slice text;
    struct view view;
    if (!cursor_array(&cursor, &count))
        return;
    if (frame->type == FRAME_ANSWER) {
        if (cursor_u64(&cursor, &number) && number <= TOYSTORE_STOPPING)
            printf(" %s", toystore_status_word((enum toystore_status)number));
        return;
    }
    if (!wire_get_VIEW(&cursor, &view))
        return;
    printf(" view %u-%u.%u", view.oldest, view.newest, view.epoch);
    if (cursor_peek(&cursor) == CURSOR_UINT && cursor_u64(&cursor, &number))
        printf(" %llu", (unsigned long long)number);
    else if (cursor_bytes(&cursor, &text))
        print_bytes(text);
}

static void print_frame(struct slice bytes)
{
    struct frame frame;
    if (!frame_decode(bytes, &frame)) {
        printf(" malformed");
        return;
    }
    if (frame.type == FRAME_ANSWER)
        printf(" answer #%u%s", frame.id, frame.failed ? " failed" : "");
    else
        printf(" %s #%u", wire_method_name(frame.method), frame.id);
    print_fields(&frame);
}

void trace_event(struct sim *sim, const struct sim_node *node, const struct core_event *event)
{
    hash_u64(sim, sim->now_us << 8 | node->index << 4 | (unsigned)event->type);
    hash_u64(sim, event->conn ^ (uint64_t)(int64_t)event->status);
    hash_blob(sim, event->bytes);
    sim->trace_lines++;
    bool dull = event->type == EVENT_TICK || event->type == EVENT_DATAGRAM ||
                ((event->type == EVENT_LOADED || event->type == EVENT_COMMITTED ||
                  event->type == EVENT_SCANNED) &&
                 event->status == 0);
    if (!sim->print || dull)
        return;
    print_start(sim, node);
    printf("<- %s", event_names[event->type]);
    if (event->type == EVENT_FRAME)
        print_frame(blob_slice(event->bytes));
    else if (event->conn != 0)
        printf(" %llx", (unsigned long long)event->conn);
    if (event->status != 0)
        printf(" status %d", event->status);
    putchar('\n');
}

static void print_covers(const struct version *version)
{
    for (size_t i = 0; i < version->cover_count; i++)
        printf("%s%02x/%llu%s", i == 0 ? "(" : " ", version->covers[i].session.bytes[0],
               (unsigned long long)version->covers[i].sequence,
               i + 1 == version->cover_count ? ")" : "");
}

/* What a replica keeps for a key: register, siblings, promise. */
void trace_record(struct slice stored)
{
    struct arena arena = {0};
    struct entry entry = {0};
    struct record record = {0};
    if (entry_decode(stored, &entry) != 0 ||
        (entry.record.size != 0 && record_decode(&arena, entry.record, &record) != 0)) {
        printf(" damaged");
        return;
    }
    print_ballot(record.has_register ? &record.reg.ballot : NULL);
    if (record.has_register)
        printf("%s %s %02x/%llu", entry.settled ? " settled" : "",
               record.reg.version.kind == TOYSTORE_TOMBSTONE ? "tombstone" : "op",
               record.reg.version.op.session.bytes[0],
               (unsigned long long)record.reg.version.op.sequence);
    if (record.has_register)
        print_covers(&record.reg.version);
    for (size_t i = 0; i < record.sloppy_count; i++) {
        printf(" +%s%02x/%llu%s",
               record.sloppy[i].version.kind == TOYSTORE_TOMBSTONE ? "tombstone " : "",
               record.sloppy[i].version.op.session.bytes[0],
               (unsigned long long)record.sloppy[i].version.op.sequence,
               sloppy_visible(&record, i) ? "" : " hidden");
        print_covers(&record.sloppy[i].version);
    }
    printf("; promised");
    print_ballot(&entry.promised);
    arena_free(&arena);
}

static void print_commit(const struct action *action)
{
    printf(" %zu%s:", action->batch.count, action->durable ? " durable" : "");
    for (size_t i = 0; i < action->batch.count && i < 4; i++) {
        const struct batch_write *write = &action->batch.writes[i];
        print_bytes(blob_slice(write->key));
        if (write->space == TOYSTORE_RECORDS && !write->remove)
            trace_record(blob_slice(write->value));
    }
}

static void print_action(struct sim *sim, const struct sim_node *node, const struct action *action)
{
    print_start(sim, node);
    if (action->type == ACTION_LOG) {
        printf("   %s\n", action->text);
        return;
    }
    printf("-> %s", action_names[action->type]);
    if (action->type == ACTION_SEND) {
        struct buf bytes = {0};
        struct slice head = blob_slice(action->head), body = blob_slice(action->body);
        buf_append(&bytes, head.data, head.size);
        buf_append(&bytes, body.data, body.size);
        print_frame(buf_slice(&bytes));
        buf_free(&bytes);
    }
    if (action->type == ACTION_CONNECT)
        printf(" to %s:%u", action->address.host, action->address.port);
    if (action->key != NULL)
        print_bytes(blob_slice(action->key));
    if (action->type == ACTION_COMMIT)
        print_commit(action);
    if (action->text != NULL)
        printf(" %s", action->text);
    putchar('\n');
}

void trace_action(struct sim *sim, const struct sim_node *node, const struct action *action)
{
    hash_u64(sim, (unsigned)action->type);
    hash_u64(sim, action->conn ^ action->call);
    hash_blob(sim, action->head);
    hash_blob(sim, action->body);
    hash_blob(sim, action->key);
    for (size_t i = 0; i < action->batch.count; i++) {
        hash_blob(sim, action->batch.writes[i].key);
        hash_blob(sim, action->batch.writes[i].value);
    }
    sim->trace_lines++;
    bool dull = action->type == ACTION_DATAGRAM || action->type == ACTION_LOAD ||
                action->type == ACTION_SCAN;
    if (sim->print && !dull)
        print_action(sim, node, action);
}

void trace_say(struct sim *sim, const struct sim_node *node, const char *format, ...)
{
    if (!sim->print)
        return;
    va_list arguments;
    va_start(arguments, format);
    if (node != NULL)
        print_start(sim, node);
    else
        printf("%4llu.%06llu ", (unsigned long long)(sim->now_us / SECOND),
               (unsigned long long)(sim->now_us % SECOND));
    printf("== ");
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
}
