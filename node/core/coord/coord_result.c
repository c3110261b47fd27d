/* coord_result: requests and results of the embedding API as values: copies, and the visible
 * versions of a record in the public words. */
#include "core/coord/coord_priv.h"

#include <stdlib.h>

static void version_to_public(const struct version *version, bool sloppy,
                              struct toystore_version *ret)
{
    *ret = (struct toystore_version){.op = op_to_public(version->op),
                                     .kind = (enum toystore_kind)version->kind,
                                     .attributes = version->attributes,
                                     .value = slice_to_public(version->value),
                                     .extra = slice_to_public(version->extra),
                                     .time_us = version->time_us,
                                     .node = version->node,
                                     .sloppy = sloppy};
}

void result_versions(struct arena *arena, const struct record *record,
                     struct toystore_result *result)
{
    struct visible visible;
    record_visible(record, &visible);
    struct toystore_version *versions = arena_alloc(arena, (visible.count + 1) * sizeof *versions);
    for (size_t i = 0; i < visible.count; i++)
        version_to_public(visible.versions[i], visible.sloppy[i], &versions[i]);
    result->versions = versions;
    result->version_count = visible.count;
}

void result_tombstone(struct arena *arena, const struct record *record,
                      struct toystore_result *result)
{
    const struct version *version = &record->reg.version;
    if (!record->has_register || version->kind != TOYSTORE_TOMBSTONE || version->extra.size == 0)
        return;
    struct toystore_version *tombstone = arena_alloc(arena, sizeof *tombstone);
    version_to_public(version, false, tombstone);
    result->versions = tombstone;
    result->version_count = 1;
}

static struct toystore_bytes copy_bytes(struct arena *arena, struct toystore_bytes bytes)
{
    return slice_to_public(arena_copy(arena, slice_public(bytes)));
}

void request_copy(struct arena *arena, const struct toystore_request *from,
                  struct toystore_request *to)
{
    *to = *from;
    to->key = copy_bytes(arena, from->key);
    to->value = copy_bytes(arena, from->value);
    to->extra = copy_bytes(arena, from->extra);
    struct toystore_op *match = arena_alloc(arena, from->match_count * sizeof *match + 1);
    if (from->match_count > 0)
        memcpy(match, from->match, from->match_count * sizeof *match);
    to->match = match;
    struct toystore_bytes *keys = arena_alloc(arena, from->key_count * sizeof *keys + 1);
    for (size_t i = 0; i < from->key_count; i++)
        keys[i] = copy_bytes(arena, from->keys[i]);
    to->keys = keys;
    if (from->key_ops)
        to->key_ops = (const void *)arena_copy(
                          arena, slice_of(from->key_ops, from->key_count * sizeof *from->key_ops))
                          .data;
}

/* ---- what could not begin, answered from outside; bounded by the callers' own limits ---- */

struct refusal {
    struct list link;
    ask_done_fn *ask;
    settle_done_fn *settle;
    uint64_t handle, index;
    enum toystore_status status;
    char message[120];
};

static void answer_refused(struct core *core, struct timer *timer)
{
    (void)timer;
    struct list *link;
    while ((link = list_pop_front(&core->coord->refused))) {
        struct refusal *refusal = container_of(link, struct refusal, link);
        struct toystore_result result = {.status = refusal->status, .message = refusal->message};
        if (refusal->ask)
            refusal->ask(core, refusal->handle, &result);
        else
            refusal->settle(core, refusal->handle, refusal->index, refusal->status);
        free(refusal);
    }
}

static struct refusal *refusal_new(struct core *core, enum toystore_status status)
{
    struct refusal *refusal = base_alloc(sizeof *refusal);
    refusal->status = status;
    list_push_back(&core->coord->refused, &refusal->link);
    timer_set(core, &core->coord->refused_timer, core->now_us, answer_refused);
    return refusal;
}

void ask_refuse(struct core *core, ask_done_fn *done, uint64_t handle, enum toystore_status status,
                const char *message)
{
    struct refusal *refusal = refusal_new(core, status);
    refusal->ask = done;
    refusal->handle = handle;
    size_t size = min_size(strlen(message), sizeof refusal->message - 1);
    memcpy(refusal->message, message, size);
}

void settle_refuse(struct core *core, settle_done_fn *done, uint64_t handle, uint64_t index,
                   enum toystore_status status)
{
    if (!done)
        return;
    struct refusal *refusal = refusal_new(core, status);
    refusal->settle = done;
    refusal->handle = handle;
    refusal->index = index;
}

void coord_refusals_free(struct coord *coord)
{
    struct list *link;
    while ((link = list_pop_front(&coord->refused)))
        free(container_of(link, struct refusal, link));
}
