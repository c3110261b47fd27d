/* COLLECT at a storing member (PROTOCOL 8): says whether it is ready, after an fsync of all that
 * its hash trees showed; and is told that a partition was collected.
 * Enters from core.c; leaves to the disk, coord_settle (what still hides sloppy puts),
 * collect_drop.c, and to the reply. */
#include <stdlib.h>

#include "core/collect/collect.h"
#include "core/collect/collect_priv.h"
#include "core/coord/coord.h"
#include "core/replica/hint.h"
#include "core/replica/tree.h"
#include "core/view/view.h"

struct collect_serving {
    struct rpc_origin origin;
    unsigned count;
    struct collect_item items[COLLECT_BATCH];
    struct hash128 roots[COLLECT_BATCH]; /* before the fsync */
};

void collect_serve_init(struct collect *collect)
{
    pool_init(&collect->served, sizeof(struct collect_serving), COLLECT_SERVED_MAX);
}

void collect_serve_free(struct collect *collect)
{
    pool_free(&collect->served);
}

/* ---- ready? ---- */

static void settled(struct core *core, uint64_t handle, uint64_t index, enum toystore_status status)
{
    (void)handle;
    (void)index;
    (void)status; /* what is left is found again when this member is asked again */
    core->collect->settles_open--;
}

static void covered_found(struct core *core, const struct core_event *event, struct resume resume)
{
    uint32_t partition = (uint32_t)resume.handle;
    struct slice key = slice_of(NULL, 0);
    core->collect->settles_open--;
    for (size_t i = 0; event->status == 0 && i < event->pair_count; i++) {
        struct grave grave;
        if (core->collect->settles_open >= COLLECT_SETTLES_MAX)
            return;
        if (!grave_pair(event->pairs[i].key, event->pairs[i].value, &key, &grave) ||
            grave.kind != GRAVE_COVERED)
            continue;
        core->collect->settles_open++;
        coord_settle(core, key, settled, 0, 0);
    }
    if (event->status == 0 && event->more && key.size > 0) { /* they may stand behind many others */
        core->collect->settles_open++;
        grave_scan(core, partition, key, resume_to(covered_found, partition, 0));
    }
}

/* A register that is known to be chosen lets go of what it covers. */
static void settle_covered(struct core *core, uint32_t partition)
{
    if (core->collect->settles_open != 0)
        return;
    core->collect->settles_open++;
    grave_scan(core, partition, slice_of(NULL, 0), resume_to(covered_found, partition, 0));
}

/* One outside of the layout, which whoever collects may not have heard of. */
static bool somebody_away(const struct core *core)
{
    size_t count;
    node_id *members = view_everybody(core, &count);
    bool away = false;
    for (size_t i = 0; i < count; i++)
        away |= !layout_find(view_newest(core), members[i]) && members[i] != core->id &&
                !rpc_reachable(core, members[i]);
    free(members);
    return away;
}

static enum collect_missing missing(struct core *core, const struct collect_item *item)
{
    uint32_t partition = item->partition;
    struct view view = view_of(core, partition);
    if (partition >= view_partition_count(core))
        return COLLECT_ERA;
    if ((view.oldest != view.newest || era_compare(view_era(view), item->era) != 0 ||
         view_learning(core)) &&
        !BROKEN(core, collect_unraised))
        return COLLECT_ERA;
    if (hints_count(core, 0) != 0)
        return COLLECT_HINTS;
    if (somebody_away(core))
        return COLLECT_DATA;
    if (!view_owner(core, partition, core->id))
        return tree_key_count(core, partition) != 0 ? COLLECT_DATA : COLLECT_NOTHING;
    if (BROKEN(core, collect_unheld))
        return COLLECT_NOTHING;
    if (!view_holds(core, partition) && !BROKEN(core, collect_unraised))
        return COLLECT_UNHELD;
    if (grave_counts(core, partition).covered != 0) {
        settle_covered(core, partition);
        return COLLECT_COVERED;
    }
    return COLLECT_NOTHING;
}

static void fsynced(struct core *core, const struct core_event *event, struct resume resume)
{
    struct collect_serving *serving = pool_get(&core->collect->served, resume.handle);
    struct buf items = {0};
    for (unsigned i = 0; i < serving->count; i++) {
        const struct collect_item *item = &serving->items[i];
        struct collect_answer answer = {.partition = item->partition,
                                        .missing = missing(core, item)};
        if (answer.missing != COLLECT_ERA) {
            answer.root = tree_root(core, item->partition);
            answer.collected = view_partition(core, item->partition)->collected;
        }
        bool changed = memcmp(&answer.root, &serving->roots[i], sizeof answer.root) != 0;
        if (answer.missing == COLLECT_NOTHING && changed)
            answer.missing = COLLECT_CHANGED;
        collect_answer_encode(&items, &answer);
    }
    RPC_REPLY(core, &serving->origin, collect_reply,
              {.status = event->status == 0 ? TOYSTORE_OK : TOYSTORE_IO,
               .items = {serving->count, buf_slice(&items)}});
    buf_free(&items);
    pool_delete(&core->collect->served, resume.handle);
}

static void serve_ready(struct core *core, const struct rpc_request *request,
                        const struct collect_request *in)
{
    pool_handle handle;
    struct collect_serving *serving = pool_new(&core->collect->served, &handle);
    struct cursor cursor = cursor_of(in->items.items);
    struct batch nothing = {0};
    if (!serving) {
        rpc_fail(core, &request->origin, TOYSTORE_BUSY, "too many requests are being served");
        return;
    }
    serving->origin = request->origin;
    while (serving->count < in->items.count) {
        struct collect_item *item = &serving->items[serving->count];
        if (!collect_item_read(&cursor, item))
            break;
        if (item->partition < view_partition_count(core))
            serving->roots[serving->count] = tree_root(core, item->partition);
        serving->count++;
    }
    /* Commits are made in order: one empty durable commit makes all before it durable. */
    disk_commit(core, &nothing, true, resume_to(fsynced, handle, 0));
}

/* ---- collected ---- */

/* It was true of all owners once, and stays so: who hears it late, or became an owner since, may
 * drop what is of an older era all the same. */
void collect_heard(struct core *core, uint32_t number, struct era era)
{
    struct partition *partition = view_partition(core, number);
    struct era now = view_era(view_of(core, number));
    struct batch batch = {0};
    if ((era_compare(era, now) > 0 && !BROKEN(core, collect_unraised)) ||
        (era_compare(era, partition->collected) <= 0 && !BROKEN(core, collect_promises)))
        return;
    partition->collected = era;
    partition->collected_at = core->sequence;
    if (collect_sized(core)) {
        partition->forgets = !partition->mute && grave_counts(core, number).covered != 0;
        view_save_partition(core, number, &batch);
        disk_commit(core, &batch, false, (struct resume){0});
        collect_drop(core, number);
    }
    view_wake(core);
}

static void serve_drop(struct core *core, const struct rpc_request *request,
                       const struct collect_request *in)
{
    struct cursor cursor = cursor_of(in->items.items);
    struct collect_item item;
    for (uint32_t i = 0; i < in->items.count && collect_item_read(&cursor, &item); i++) {
        if (item.partition >= view_partition_count(core))
            continue;
        core->collect->asked[item.partition] = false;
        collect_heard(core, item.partition, item.era);
    }
    RPC_REPLY(core, &request->origin, collect_reply, {.status = TOYSTORE_OK});
}

static void serve_asked(struct core *core, const struct rpc_request *request)
{
    struct collect *collect = core->collect;
    memset(collect->asked, 1, collect->partition_count);
    memset(collect->not_before_us, 0, collect->partition_count * sizeof *collect->not_before_us);
    collect_wake(core);
    RPC_REPLY(core, &request->origin, collect_reply, {.status = TOYSTORE_OK});
}

void collect_handle(struct core *core, const struct rpc_request *request)
{
    struct collect_request in;
    if (!collect_request_decode(request->params, &in) || in.items.count > COLLECT_BATCH ||
        in.stage > COLLECT_DROP) {
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "malformed Collect");
        return;
    }
    const struct layout *newest = view_newest(core);
    if (!newest || newest->number < in.layout || !collect_sized(core)) {
        view_fetch(core, request->from);
        rpc_fail(core, &request->origin, TOYSTORE_BUSY, "not now");
        return;
    }
    if (in.stage == COLLECT_ASKED)
        serve_asked(core, request);
    else if (in.stage == COLLECT_READY)
        serve_ready(core, request, &in);
    else
        serve_drop(core, request, &in);
}
