/* scene_era: in words, what concerns the partition of the story's key and not the key alone: epochs
 * that are raised, and the collection of tombstones. */
#include "stories/scene.h"

#include <stdio.h>

#include "core/collect_priv.h"
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

bool era_request_words(const struct scene *scene, const struct frame *frame, char *text,
                       size_t size)
{
    switch (frame->method) {
    case METHOD_RAISE:
        return raise_words(scene, frame, text, size);
    case METHOD_COLLECT:
        return collect_words(scene, frame, text, size);
    default:
        return false;
    }
}

bool era_answer_words(const struct scene *scene, unsigned method, const struct frame *frame,
                      char *text, size_t size)
{
    static const char *const missing[] = {"OK",           "another view", "not held",
                                          "hints wait",   "data is left", "siblings are left",
                                          "changed since"};
    struct collect_reply reply;
    struct collect_answer answer;
    if (method == METHOD_RAISE)
        snprintf(text, size, "OK");
    if (method != METHOD_COLLECT || !collect_reply_decode(frame->result, &reply))
        return method == METHOD_RAISE;
    struct cursor cursor = cursor_of(reply.items.items);
    snprintf(text, size, "OK");
    for (uint32_t i = 0; i < reply.items.count && collect_answer_read(&cursor, &answer); i++)
        if (answer.partition == scene->partition && answer.missing < ARRAY_COUNT(missing))
            snprintf(text, size, "%s", missing[answer.missing]);
    return true;
}
