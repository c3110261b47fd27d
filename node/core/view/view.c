/* view: the live layouts and the partitions of this node, in memory and in TOYSTORE_META.
 *
 * "layouts" -> oldest, newest; "layout/N" -> the layout encoded; "partition/P" -> what struct
 * partition has. What stands in memory is what is on disk: an epoch or a layout appears here once
 * it is fsynced, so that whoever asks for the view is told nothing that a power cut takes back. */
#include "core/members/members.h"
#include "core/view/view_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include "rules/key.h"

struct views *views_new(struct core *core)
{
    (void)core;
    struct views *views = base_alloc(sizeof *views);
    list_init(&views->waiting);
    pool_init(&views->waits, sizeof(struct view_wait), VIEW_WAITS_MAX);
    pool_init(&views->installs, sizeof(struct install), VIEW_LAYOUTS_MAX);
    pool_init(&views->notings, sizeof(struct noting), VIEW_LAYOUTS_MAX);
    pool_init(&views->raises, sizeof(struct raise), RPC_INBOUND_MAX + VIEW_WAITS_MAX);
    return views;
}

const struct layout *view_layout(const struct core *core, uint32_t number)
{
    const struct views *views = core->views;
    for (size_t i = 0; i < VIEW_LAYOUTS_MAX; i++)
        if (views->layouts[i] && views->layouts[i]->number == number)
            return views->layouts[i];
    return NULL;
}

bool view_was_in(const struct core *core, node_id id)
{
    for (size_t i = 0; i < VIEW_LAYOUTS_MAX; i++) {
        const struct layout *layout = core->views->layouts[i];
        if (layout && layout->number <= core->views->newest && layout_find(layout, id))
            return true;
    }
    return false;
}

/* Data that it has not given up since it was an owner; or hints. When it comes back, it stores at
 * the owners what it alone has. Who is silent may have some; who stopped has said. */
static bool may_have_more(const struct core *core, const struct member *member)
{
    if (!member->storing || gone_is(core, member->id))
        return false;
    return member->state != TOYSTORE_LEFT || (member->keeps && !BROKEN(core, stopped_unasked));
}

node_id *view_everybody(const struct core *core, size_t *ret_count)
{
    const struct layout *layout = view_newest(core);
    node_id *members = base_alloc((layout->member_count + members_count(core)) * sizeof *members);
    *ret_count = 0;
    for (size_t i = 0; i < layout->member_count; i++)
        if (!layout->members[i].gone)
            members[(*ret_count)++] = layout->members[i].id;
    for (size_t i = 0; i < members_count(core); i++) {
        const struct member *member = members_at(core, i);
        if (may_have_more(core, member) && !layout_find(layout, member->id))
            members[(*ret_count)++] = member->id;
    }
    return members;
}

void view_size_partitions(struct core *core, uint32_t partitions)
{
    struct views *views = core->views;
    if (views->slots)
        return;
    views->partition_count = partitions;
    views->slots = base_alloc(partitions * sizeof *views->slots);
    core->hooks->partitions(core, partitions);
}

/* The lowest number makes room: nobody takes from a layout that old any more. */
const struct layout *view_keep_layout(struct core *core, struct layout *layout)
{
    struct views *views = core->views;
    size_t lowest = 0;
    view_mark_gone(core, layout);
    for (size_t i = 0; i < VIEW_LAYOUTS_MAX; i++) {
        if (!views->layouts[i])
            return views->layouts[i] = layout;
        if (views->layouts[i]->number == layout->number) {
            const struct layout *kept = views->layouts[i];
            layout_free(layout);
            return kept;
        }
        bool live = views->layouts[i]->number == views->oldest ||
                    views->layouts[i]->number == views->newest;
        if (!live && views->layouts[i]->number < views->layouts[lowest]->number)
            lowest = i;
    }
    layout_free(views->layouts[lowest]);
    return views->layouts[lowest] = layout;
}

void view_newest_changed(struct core *core)
{
    const struct layout *newest = view_newest(core);
    core->self.layout_newest = newest->number;
    core->partitions = core->views->partition_count;
    core->replicas = newest->n;
}

static void restore_layouts(struct core *core, struct slice value)
{
    struct cursor cursor = cursor_of(value);
    uint32_t oldest, newest;
    if (!wire_get_U32(&cursor, &oldest) || !wire_get_U32(&cursor, &newest) ||
        !view_layout(core, oldest) || !view_layout(core, newest)) {
        core_stop(core, -EUCLEAN, "the data directory is damaged: its layouts cannot be read");
        return;
    }
    core->views->oldest = core->views->oldest_coming = oldest;
    core->views->newest = core->views->newest_coming = newest;
    view_newest_changed(core);
    memcpy(core->self.cluster, view_newest(core)->cluster, CLUSTER_ID_SIZE);
}

static void restore_layout(struct core *core, struct slice value)
{
    struct layout *layout = layout_decode(value);
    if (!layout || (core->views->slots && layout->partitions != core->views->partition_count)) {
        core_log(core, LOG_ERROR, "a layout in the data directory cannot be read");
        layout_free(layout);
        return;
    }
    view_size_partitions(core, layout->partitions);
    view_keep_layout(core, layout);
}

static void restore_partition(struct core *core, struct slice name, struct slice value)
{
    uint32_t number = 0;
    for (size_t i = 0; i < name.size; i++)
        number = number * 10 + (uint32_t)(name.data[i] - '0');
    struct partition read = {0};
    struct cursor cursor = cursor_of(value);
    bool ok = wire_get_U32(&cursor, &read.epoch) && wire_get_BALLOT(&cursor, &read.promised) &&
              wire_get_BOOL(&cursor, &read.mute) && wire_get_ERA(&cursor, &read.held);
    if (ok && cursor.at != cursor.end) /* an older toystore never collected */
        ok = wire_get_ERA(&cursor, &read.collected);
    if (number >= core->views->partition_count || !ok) {
        core_log(core, LOG_ERROR, "partition %u in the data directory cannot be read", number);
        return;
    }
    core->views->slots[number].now = read;
    core->views->slots[number].epoch_coming = read.epoch;
    core->views->slots[number].held_coming = read.held;
}

void views_restore(struct core *core, struct slice key, struct slice value)
{
    if (key_has_prefix(key, "layout/"))
        restore_layout(core, value);
    else if (key_has_prefix(key, "partition/"))
        restore_partition(core, slice_of(key.data + 10, key.size - 10), value);
    else if (slice_equal(key, slice_str("layouts")))
        restore_layouts(core, value);
}

void view_save_partition(struct core *core, uint32_t number, struct batch *batch)
{
    const struct slot *slot = &core->views->slots[number];
    const struct partition *partition = &slot->now;
    char name[32];
    snprintf(name, sizeof name, "partition/%u", number);
    struct buf value = {0};
    wire_put_U32(&value, slot->epoch_coming); /* one that is being fsynced must not be undone */
    wire_put_BALLOT(&value, partition->promised);
    wire_put_BOOL(&value, partition->mute && !slot->speaks_coming);
    wire_put_ERA(&value, slot->held_coming);
    wire_put_ERA(&value, partition->collected);
    batch_put_blob(batch, TOYSTORE_META, slice_str(name), buf_take(&value));
}

const struct layout *view_oldest(const struct core *core)
{
    return core->views->oldest ? view_layout(core, core->views->oldest) : NULL;
}

const struct layout *view_newest(const struct core *core)
{
    return core->views->newest ? view_layout(core, core->views->newest) : NULL;
}

uint32_t view_partition_count(const struct core *core)
{
    return core->views->newest ? core->views->partition_count : 0;
}

uint32_t view_partition_of(const struct core *core, struct slice key)
{
    struct hash128 token = key_token(key);
    return partition_of(&token, core->views->partition_count);
}

struct view view_of(const struct core *core, uint32_t partition)
{
    const struct views *views = core->views;
    struct view view = {.oldest = views->oldest, .newest = views->newest};
    if (partition < views->partition_count) {
        view.epoch = views->slots[partition].now.epoch;
        if (!BROKEN(core, collect_unviewed))
            view.collected = views->slots[partition].now.collected;
    }
    return view;
}

struct era view_collected(const struct core *core, struct slice key)
{
    return view_of(core, view_partition_of(core, key)).collected;
}

bool view_uncollected(const struct core *core, struct slice key, const struct op_id *op)
{
    const struct views *views = core->views;
    uint32_t partition = view_partition_of(core, key);
    return session_compare(&op->session, &core->session) == 0 &&
           op->sequence > views->slots[partition].now.collected_at;
}

struct partition *view_partition(struct core *core, uint32_t partition)
{
    assert(partition < core->views->partition_count);
    return &core->views->slots[partition].now;
}

void view_electorate(const struct core *core, uint32_t partition, unsigned request_w,
                     unsigned request_r, struct electorate *ret)
{
    electorate_init(ret, view_oldest(core), view_newest(core), partition, request_w, request_r);
}

uint32_t view_layout_of_key(struct slice key)
{
    size_t prefix = strlen(KEY_LAYOUTS);
    if (!key_has_prefix(key, KEY_LAYOUTS) || key.size > prefix + 9)
        return 0;
    uint32_t number = 0;
    for (size_t i = prefix; i < key.size; i++) {
        if (key.data[i] < '0' || key.data[i] > '9')
            return 0;
        number = number * 10 + (uint32_t)(key.data[i] - '0');
    }
    return number;
}

void view_electorate_key(const struct core *core, struct slice key, unsigned request_w,
                         unsigned request_r, struct electorate *ret)
{
    uint32_t partition = view_partition_of(core, key);
    uint32_t number = view_layout_of_key(key);
    if (number == 0) {
        view_electorate(core, partition, request_w, request_r, ret);
        return;
    }
    const struct layout *before = view_layout(core, number - 1);
    electorate_init_members(ret, before ? before : view_oldest(core), partition);
}

bool view_owner(const struct core *core, uint32_t partition, node_id id)
{
    const struct layout *oldest = view_oldest(core), *newest = view_newest(core);
    return newest && (layout_owns(newest, partition, id) || layout_owns(oldest, partition, id));
}

bool view_mute(const struct core *core, uint32_t partition)
{
    return core->views->slots[partition].now.mute && view_owner(core, partition, core->id);
}

bool view_reachable(const struct core *core, uint32_t partition, node_id id)
{
    const struct slot *slot = &core->views->slots[partition];
    if (id == core->id)
        return !view_mute(core, partition);
    for (size_t i = 0; i < MUTES_MAX; i++)
        if (slot->mutes[i].id == id && slot->mutes[i].until_us > core->now_us)
            return false;
    return rpc_reachable(core, id);
}

void view_note_mute(struct core *core, uint32_t partition, node_id id)
{
    struct slot *slot = &core->views->slots[partition];
    size_t at = 0;
    for (size_t i = 0; i < MUTES_MAX; i++) {
        if (slot->mutes[i].id == id) {
            at = i;
            break;
        }
        if (slot->mutes[i].until_us < slot->mutes[at].until_us)
            at = i;
    }
    slot->mutes[at].id = id;
    slot->mutes[at].until_us = core->now_us + MUTE_MS * 1000ull;
}

bool view_holds(const struct core *core, uint32_t partition)
{
    const struct partition *now = &core->views->slots[partition].now;
    return !now->mute && era_compare(now->held, view_era(view_of(core, partition))) == 0;
}

void view_changed(struct core *core)
{
    core->hooks->view_changed(core);
}

void views_free(struct views *views)
{
    if (!views)
        return;
    for (size_t i = 0; i < VIEW_LAYOUTS_MAX; i++)
        layout_free(views->layouts[i]);
    free(views->slots);
    layout_free(views->fetch.newest_layout);
    LIST_EACH(link, &views->waiting)
    {
        struct view_wait *wait = container_of(link, struct view_wait, link);
        blob_unref(&wait->request.frame);
    }
    for (size_t i = 0; i < views->raises.capacity; i++)
        if (views->raises.objects[i])
            free(((struct raise *)views->raises.objects[i])->epochs);
    for (size_t i = 0; i < views->notings.capacity; i++)
        if (views->notings.objects[i])
            free(((struct noting *)views->notings.objects[i])->held);
    pool_free(&views->notings);
    pool_free(&views->waits);
    pool_free(&views->installs);
    pool_free(&views->raises);
    free(views);
}
