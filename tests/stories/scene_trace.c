/* scene_trace: the simulator's trace, in words, of what concerns the key of the story. */
#include "stories/scene.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/replica/hint_priv.h"
#include "wire/frame.h"
#include "wire/record.h"

char scene_name(const struct scene *scene, unsigned node)
{
    for (unsigned r = 0; r < scene->count; r++)
        if (scene->ranked[r] == node)
            return (char)('A' + r);
    return '?';
}

void scene_line(struct scene *scene, const char *format, ...)
{
    char text[900];
    va_list arguments;
    if (!scene->recording)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    buf_append(&scene->trace, text, strlen(text));
    buf_append(&scene->trace, "\n", 1);
}

static char name_of_id(const struct scene *scene, node_id id)
{
    for (unsigned r = 0; r < scene->count; r++)
        if (scene->ids[r] == id)
            return (char)('A' + r);
    return '?';
}

/* ---- words ---- */

static void record_words(const struct scene *scene, struct slice bytes, char *text, size_t size)
{
    struct arena arena = {0};
    struct record record;
    text[0] = '\0';
    if (record_decode(&arena, bytes, &record) != 0)
        snprintf(text, size, "what cannot be read");
    else if (record.has_register && record.reg.version.kind == TOYSTORE_TOMBSTONE)
        snprintf(text, size, "a tombstone");
    else if (record.has_register)
        snprintf(text, size, "\"%.*s\"", (int)record.reg.version.value.size,
                 (const char *)record.reg.version.value.data);
    for (size_t i = 0; i < record.sloppy_count; i++) {
        size_t at = strlen(text);
        const struct version *version = &record.sloppy[i].version;
        snprintf(text + at, size - at, "%ssloppy \"%.*s\"", at ? " and " : "",
                 (int)version->value.size, (const char *)version->value.data);
    }
    (void)scene;
    arena_free(&arena);
}

static bool put_words(struct scene *scene, const struct frame *frame, char *text, size_t size)
{
    struct put_request put;
    char words[300];
    if (!put_request_decode(frame->params, &put) || !slice_equal(put.key, scene->key))
        return false;
    record_words(scene, put.record, words, sizeof words);
    snprintf(text, size, "Put %s%s", words, put.leader ? ", as leader" : "");
    return true;
}

static bool hint_put_words(struct scene *scene, const struct frame *frame, char *text, size_t size)
{
    struct hint_put_request put;
    char words[300], owner[40] = "";
    if (!hint_put_request_decode(frame->params, &put) || !slice_equal(put.key, scene->key))
        return false;
    record_words(scene, put.record, words, sizeof words);
    if (put.owner != 0)
        snprintf(owner, sizeof owner, " for %c", name_of_id(scene, put.owner));
    snprintf(text, size, "HintPut %s%s", words, owner);
    return true;
}

static bool transfer_words(struct scene *scene, const struct frame *frame, char *text, size_t size)
{
    static const char *const reasons[] = {"a hint", "repair", "a move", "immutable", "settled"};
    struct transfer_request transfer;
    struct transfer_item item;
    char words[300];
    if (!transfer_request_decode(frame->params, &transfer))
        return false;
    struct cursor cursor = cursor_of(transfer.records.items);
    for (uint32_t i = 0; i < transfer.records.count && transfer_item_read(&cursor, &item); i++) {
        if (!slice_equal(item.key, scene->key))
            continue;
        record_words(scene, item.record, words, sizeof words);
        snprintf(text, size, "Transfer %s (%s)%s", words, reasons[transfer.reason % 5],
                 item.settled ? ", settled" : "");
        return true;
    }
    return false;
}

static bool about_key(struct scene *scene, const struct frame *frame, unsigned skip)
{
    struct cursor cursor = cursor_of(frame->params);
    uint32_t count;
    struct slice key;
    if (!cursor_array(&cursor, &count))
        return false;
    while (skip-- > 0)
        cursor_skip(&cursor, NULL);
    return cursor_bytes(&cursor, &key) && slice_equal(key, scene->key);
}

static bool request_words(struct scene *scene, const struct frame *frame, char *text, size_t size)
{
    switch (frame->method) {
    case METHOD_PUT:
        return put_words(scene, frame, text, size);
    case METHOD_HINT_PUT:
        return hint_put_words(scene, frame, text, size);
    case METHOD_TRANSFER:
        return transfer_words(scene, frame, text, size);
    case METHOD_GET:
    case METHOD_PREPARE:
    case METHOD_SETTLED:
    case METHOD_REPAIR:
        snprintf(text, size, "%s", wire_method_name(frame->method));
        return about_key(scene, frame, 1);
    case METHOD_FORWARD:
        snprintf(text, size, "Forward");
        return about_key(scene, frame, 2);
    default:
        return era_request_words(scene, frame, text, size);
    }
}

/* PROTOCOL's words for OK. */
static const char *answer_word(unsigned method, enum toystore_status status)
{
    if (status != TOYSTORE_OK)
        return toystore_status_word(status);
    return method == METHOD_PUT ? "ACCEPTED" : method == METHOD_PREPARE ? "PROMISE" : "OK";
}

static void answer_words(const struct scene *scene, unsigned method, const struct frame *frame,
                         char *text, size_t size)
{
    struct replica_reply reply;
    struct transfer_reply transfer;
    struct cursor cursor;
    uint32_t status = TOYSTORE_OK;
    if (frame->failed) {
        snprintf(text, size, "%s", toystore_status_word(frame->error_status));
        return;
    }
    if (era_answer_words(scene, method, frame, text, size))
        return;
    if (method == METHOD_TRANSFER && transfer_reply_decode(frame->result, &transfer)) {
        cursor = cursor_of(transfer.results.items);
        status = transfer.status;
        if (status == TOYSTORE_OK)
            wire_get_U32(&cursor, &status);
    } else if (method == METHOD_FORWARD) {
        uint32_t count;
        cursor = cursor_of(frame->result);
        if (cursor_array(&cursor, &count))
            wire_get_U32(&cursor, &status);
    } else if (replica_reply_decode(frame->result, &reply)) {
        char words[300];
        record_words(NULL, reply.record, words, sizeof words);
        bool shows = method == METHOD_GET || method == METHOD_PREPARE;
        snprintf(text, size, "%s%s%s", answer_word(method, (enum toystore_status)reply.status),
                 shows && reply.status == TOYSTORE_OK ? ": " : "",
                 !shows || reply.status != TOYSTORE_OK ? ""
                 : words[0]                            ? words
                                                       : "nothing");
        return;
    }
    snprintf(text, size, "%s", answer_word(method, (enum toystore_status)status));
}

/* ---- frames and commits ---- */

static void told_request(struct scene *scene, const struct sim_node *node,
                         const struct sim_node *peer, const struct frame *frame)
{
    char text[500];
    if (!request_words(scene, frame, text, sizeof text))
        return;
    scene_line(scene, "%c -> %c: %s", scene_name(scene, node->index),
               scene_name(scene, peer->index), text);
    scene->pending[scene->pending_next++ % SCENE_PENDING_MAX] =
        (struct scene_pending){.asker = node->index,
                               .asked = peer->index,
                               .id = frame->id,
                               .live = true,
                               .method = frame->method};
}

static void told_answer(struct scene *scene, const struct sim_node *node,
                        const struct sim_node *peer, const struct frame *frame)
{
    for (size_t i = 0; i < SCENE_PENDING_MAX; i++) {
        struct scene_pending *pending = &scene->pending[i];
        if (!pending->live || pending->id != frame->id || pending->asker != peer->index ||
            pending->asked != node->index)
            continue;
        char text[500];
        pending->live = false;
        answer_words(scene, pending->method, frame, text, sizeof text);
        scene_line(scene, "%c -> %c:   %s", scene_name(scene, node->index),
                   scene_name(scene, peer->index), text);
    }
}

static void told_send(struct scene *scene, const struct sim_node *node, const struct action *action)
{
    struct sim_node *peer = net_peer(&scene->sim, node, action->conn);
    struct frame frame;
    struct buf bytes = {0};
    struct slice head = blob_slice(action->head), body = blob_slice(action->body);
    if (peer == NULL)
        return;
    buf_append(&bytes, head.data, head.size);
    buf_append(&bytes, body.data, body.size);
    if (frame_decode(buf_slice(&bytes), &frame)) {
        if (frame.type == FRAME_ANSWER)
            told_answer(scene, node, peer, &frame);
        else
            told_request(scene, node, peer, &frame);
    }
    buf_free(&bytes);
}

static void told_record(struct scene *scene, char name, const struct batch_write *write)
{
    struct entry entry;
    char words[300], layout[40] = "";
    if (!slice_equal(blob_slice(write->key), scene->key))
        return;
    if (write->remove) {
        scene_line(scene, "%c drops its copy", name);
        return;
    }
    if (entry_decode(blob_slice(write->value), &entry) != 0)
        return;
    record_words(scene, entry.record, words, sizeof words);
    if (entry.promised.era.layout > scene->layout) /* counters begin anew in each era */
        snprintf(layout, sizeof layout, " in layout %u", entry.promised.era.layout);
    scene_line(scene, "%c commits %s%s, promised %llu.%c.%llu%s", name,
               words[0] ? words : "no record", entry.settled ? ", settled" : "",
               (unsigned long long)entry.promised.counter, name_of_id(scene, entry.promised.node),
               (unsigned long long)entry.promised.turn, layout);
}

static void told_hint(struct scene *scene, char name, const struct batch_write *write)
{
    node_id owner;
    struct slice key;
    if (hint_pair_key(blob_slice(write->key), &owner, &key) && slice_equal(key, scene->key))
        scene_line(scene, "%c %s for %c", name, write->remove ? "drops the hint" : "keeps a hint",
                   name_of_id(scene, owner));
}

static void told_commit(struct scene *scene, const struct sim_node *node,
                        const struct action *action)
{
    char name = scene_name(scene, node->index);
    for (size_t i = 0; i < action->batch.count; i++) {
        const struct batch_write *write = &action->batch.writes[i];
        if (write->space == TOYSTORE_RECORDS)
            told_record(scene, name, write);
        else if (write->space == TOYSTORE_HINTS)
            told_hint(scene, name, write);
        else if (write->space == TOYSTORE_META)
            era_told_commit(scene, node->index, write);
    }
}

void trace_action(struct sim *sim, const struct sim_node *node, const struct action *action)
{
    struct scene *scene = container_of(sim, struct scene, sim);
    if (!scene->recording)
        return;
    if (action->type == ACTION_SEND)
        told_send(scene, node, action);
    else if (action->type == ACTION_COMMIT)
        told_commit(scene, node, action);
}

void trace_event(struct sim *sim, const struct sim_node *node, const struct core_event *event)
{
    (void)sim;
    (void)node;
    (void)event;
}

void trace_say(struct sim *sim, const struct sim_node *node, const char *format, ...)
{
    (void)sim;
    (void)node;
    (void)format;
}

void trace_record(struct slice stored)
{
    (void)stored; /* only replays of seeds print what an owner keeps */
}

/* A story starts a node again by itself. */
void faults_start_later(struct sim *sim, struct sim_node *node)
{
    (void)sim;
    (void)node;
}
