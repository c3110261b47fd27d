/* scene_era: in words, what concerns the partition of the story's key and not the key alone:
 * layouts that become live and end, who takes the partition, epochs that are raised, and the
 * collection of tombstones. */
#include "stories/scene.h"

#include <stdio.h>

#include "core/collect/collect_priv.h"
#include "core/replica/tree_priv.h"
#include "wire/frame.h"

static bool raise_words(const struct scene *scene, const struct frame *frame, char *text,
                        size_t size)
{
    struct raise_request raise;
    struct raise_item item;
    if (!raise_request_decode(frame->params, &raise))
        return false;
    struct cursor cursor = cursor_of(raise.items.items);
    for (uint32_t i = 0; i < raise.items.count && raise_item_read(&cursor, &item); i++) {
        if (item.partition != scene->partition || item.epoch == 0)
            continue;
        snprintf(text, size, "Raise to epoch %u", item.epoch);
        return true;
    }
    return false;
}

static bool collect_words(const struct scene *scene, const struct frame *frame, char *text,
                          size_t size)
{
    static const char *const stages[] = {"asked for", "ready?", "drop"};
    struct collect_request collect;
    struct collect_item item;
    if (!collect_request_decode(frame->params, &collect))
        return false;
    struct cursor cursor = cursor_of(collect.items.items);
    for (uint32_t i = 0; i < collect.items.count && collect_item_read(&cursor, &item); i++) {
        if (item.partition != scene->partition)
            continue;
        snprintf(text, size, "Collect epoch %u: %s", item.era.epoch, stages[collect.stage % 3]);
        return true;
    }
    return false;
}

static bool compare_words(const struct scene *scene, const struct frame *frame, char *text,
                          size_t size)
{
    struct compare_request compare;
    if (!compare_request_decode(frame->params, &compare) || compare.partition != scene->partition ||
        compare.view.newest <= scene->layout)
        return false;
    snprintf(text, size, "Compare%s", compare.purpose == TREE_TAKE ? ", to take it" : "");
    return true;
}

static bool fetch_words(const struct scene *scene, const struct frame *frame, char *text,
                        size_t size)
{
    struct fetch_request fetch;
    if (!fetch_request_decode(frame->params, &fetch) || fetch.partition != scene->partition ||
        fetch.view.newest <= scene->layout)
        return false;
    snprintf(text, size, "Fetch what differs%s", fetch.purpose == TREE_TAKE ? ", to take it" : "");
    return true;
}

bool era_request_words(const struct scene *scene, const struct frame *frame, char *text,
                       size_t size)
{
    switch (frame->method) {
    case METHOD_RAISE:
        return raise_words(scene, frame, text, size);
    case METHOD_COLLECT:
        return collect_words(scene, frame, text, size);
    case METHOD_COMPARE:
        return compare_words(scene, frame, text, size);
    case METHOD_FETCH:
        return fetch_words(scene, frame, text, size);
    default:
        return false;
    }
}

static void collect_answer_words(const struct scene *scene, const struct frame *frame, char *text,
                                 size_t size)
{
    static const char *const missing[] = {"OK",           "another view", "not held",
                                          "hints wait",   "data is left", "siblings are left",
                                          "changed since"};
    struct collect_reply reply;
    struct collect_answer answer;
    if (!collect_reply_decode(frame->result, &reply))
        return;
    struct cursor cursor = cursor_of(reply.items.items);
    for (uint32_t i = 0; i < reply.items.count && collect_answer_read(&cursor, &answer); i++)
        if (answer.partition == scene->partition && answer.missing < ARRAY_COUNT(missing))
            snprintf(text, size, "%s", missing[answer.missing]);
}

static uint32_t status_of(const struct frame *frame)
{
    struct cursor cursor = cursor_of(frame->result);
    uint32_t count, status = TOYSTORE_INVALID;
    if (cursor_array(&cursor, &count))
        wire_get_U32(&cursor, &status);
    return status;
}

bool era_answer_words(const struct scene *scene, unsigned method, const struct frame *frame,
                      char *text, size_t size)
{
    switch (method) {
    case METHOD_RAISE:
    case METHOD_COLLECT:
    case METHOD_COMPARE:
    case METHOD_FETCH:
        snprintf(text, size, "%s", toystore_status_word((enum toystore_status)status_of(frame)));
        if (method == METHOD_COLLECT)
            collect_answer_words(scene, frame, text, size);
        return true;
    default:
        return false;
    }
}

/* ---- commits ---- */

static void told_layouts(struct scene *scene, char name, struct slice value)
{
    struct cursor cursor = cursor_of(value);
    uint32_t oldest, newest;
    if (!wire_get_U32(&cursor, &oldest) || !wire_get_U32(&cursor, &newest))
        return;
    if (oldest == newest)
        scene_line(scene, "%c notes: layout %u alone is live", name, newest);
    else
        scene_line(scene, "%c notes: layouts %u and %u are live", name, oldest, newest);
}

static void told_partition(struct scene *scene, unsigned node, struct slice value)
{
    struct cursor cursor = cursor_of(value);
    uint32_t epoch;
    struct ballot promised;
    bool mute;
    struct era held;
    if (!wire_get_U32(&cursor, &epoch) || !wire_get_BALLOT(&cursor, &promised) ||
        !wire_get_BOOL(&cursor, &mute) || !wire_get_ERA(&cursor, &held))
        return;
    if (held.layout > scene->layout && held.layout > scene->held[node])
        scene_line(scene, "%c holds the partition in layout %u", scene_name(scene, node),
                   held.layout);
    scene->held[node] = held.layout;
}

void era_told_commit(struct scene *scene, unsigned node, const struct batch_write *write)
{
    char partition[32];
    struct slice key = blob_slice(write->key);
    snprintf(partition, sizeof partition, "partition/%u", scene->partition);
    if (write->remove)
        return;
    if (slice_equal(key, slice_str("layouts")))
        told_layouts(scene, scene_name(scene, node), blob_slice(write->value));
    else if (slice_equal(key, slice_str(partition)))
        told_partition(scene, node, blob_slice(write->value));
}
