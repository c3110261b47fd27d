/* action: the queue of what a core asks of its driver, and the batches of writes in it. */
#include "core/state/state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct action *core_act(struct core *core, enum action_type type)
{
    struct actions *out = core->out;
    assert(out != NULL);
    if (out->first == out->count)
        out->first = out->count = 0;
    if (out->count == out->capacity) {
        out->capacity = out->capacity ? out->capacity * 2 : 64;
        out->items = base_realloc(out->items, out->capacity * sizeof *out->items);
    }
    struct action *action = &out->items[out->count++];
    memset(action, 0, sizeof *action);
    action->type = type;
    return action;
}

bool actions_take(struct actions *actions, struct action *ret_action)
{
    if (actions->first == actions->count)
        return false;
    *ret_action = actions->items[actions->first++];
    return true;
}

void action_free(struct action *action)
{
    blob_unref(&action->head);
    blob_unref(&action->body);
    blob_unref(&action->key);
    blob_unref(&action->end);
    batch_free(&action->batch);
    if (action->result != NULL) {
        arena_free(&action->result->arena);
        free(action->result);
        action->result = NULL;
    }
    free(action->member);
    action->member = NULL;
    free(action->text);
    action->text = NULL;
}

void actions_free(struct actions *actions)
{
    struct action action;
    while (actions_take(actions, &action))
        action_free(&action);
    free(actions->items);
    *actions = (struct actions){0};
}

/* ---- batches ---- */

static struct batch_write *batch_add(struct batch *batch, enum toystore_space space,
                                     struct slice key)
{
    if (batch->count == batch->capacity) {
        batch->capacity = batch->capacity ? batch->capacity * 2 : 4;
        batch->writes = base_realloc(batch->writes, batch->capacity * sizeof *batch->writes);
    }
    struct batch_write *write = &batch->writes[batch->count++];
    *write = (struct batch_write){.space = space, .key = blob_copy(key)};
    return write;
}

void batch_put(struct batch *batch, enum toystore_space space, struct slice key, struct slice value)
{
    batch_put_blob(batch, space, key, blob_copy(value));
}

void batch_put_blob(struct batch *batch, enum toystore_space space, struct slice key,
                    struct blob *value)
{
    batch_add(batch, space, key)->value = value;
}

void batch_put_parts(struct batch *batch, enum toystore_space space, struct slice key,
                     struct blob *value, struct slice rest, struct blob *rest_in)
{
    struct batch_write *write = batch_add(batch, space, key);
    write->value = value;
    write->rest = rest;
    write->rest_in = blob_ref(rest_in);
}

void batch_remove(struct batch *batch, enum toystore_space space, struct slice key)
{
    batch_add(batch, space, key)->remove = true;
}

void batch_free(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        blob_unref(&batch->writes[i].key);
        blob_unref(&batch->writes[i].value);
        blob_unref(&batch->writes[i].rest_in);
    }
    free(batch->writes);
    *batch = (struct batch){0};
}

/* ---- words for people ---- */

static char *text_format(const char *format, va_list args)
{
    char text[512];
    vsnprintf(text, sizeof text, format, args);
    return base_string(slice_str(text));
}

void core_log(struct core *core, int level, const char *format, ...)
{
    if (level > core->config.log_level)
        return;
    struct action *action = core_act(core, ACTION_LOG);
    action->level = level;
    va_list args;
    va_start(args, format);
    action->text = text_format(format, args);
    va_end(args);
}

void core_stop(struct core *core, int status, const char *format, ...)
{
    /* A commit that came after the directory was marked clean: this node stops already, and says so
     * once the mark is on the disk. */
    if (core->stopped || status == -ESHUTDOWN)
        return;
    core->stopped = true;
    struct action *action = core_act(core, ACTION_STOP);
    action->status = status;
    va_list args;
    va_start(args, format);
    action->text = text_format(format, args);
    va_end(args);
}

void core_set_ready(struct core *core)
{
    if (core->ready || core->stopping)
        return;
    core->ready = true;
    core_act(core, ACTION_READY);
}
