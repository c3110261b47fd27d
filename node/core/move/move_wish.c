/* move_wish: what this node wants of the next layout, kept over restarts, and what others want.
 * Wishes travel with what is held (move_tell.c): to every member, again until each has
 * acknowledged, and anew for each layout, so that an old wish undoes nothing (PROTOCOL 7 choose).
 * Enters from move.c, move_change.c and HOLDING; leaves to the disk and move_choose.c. */
#include <stdlib.h>

#include "core/members/members.h"
#include "core/move/move_priv.h"
#include "core/replica/hint.h"
#include "core/replica/tree.h"
#include "wire/pack.h"

enum { CHANGES_FIELDS = 2 };

/* ---- on the disk ---- */

void move_save_changes(struct core *core, struct resume resume)
{
    const struct move *move = core->move;
    struct batch batch = {0};
    struct buf value = {0};
    pack_array(&value, CHANGES_FIELDS);
    pack_u64(&value, move->place);
    pack_array(&value, (uint32_t)move->removal_count);
    for (size_t i = 0; i < move->removal_count; i++)
        pack_u64(&value, move->removals[i]);
    batch_put_blob(&batch, TOYSTORE_META, slice_str("changes"), buf_take(&value));
    disk_commit(core, &batch, true, resume);
}

void move_restore(struct core *core, struct slice value)
{
    struct move *move = core->move;
    struct cursor cursor = cursor_of(value);
    uint32_t fields, count;
    uint64_t place;
    node_id id;
    if (!cursor_array(&cursor, &fields) || fields < CHANGES_FIELDS ||
        !cursor_u64(&cursor, &place) || place > PLACE_REMOVED || !cursor_array(&cursor, &count) ||
        count > CHANGES_MAX) {
        core_stop(core, -EUCLEAN,
                  "the data directory is damaged: what was to change in the layout is unknown");
        return;
    }
    move->place = (enum place)place;
    move->removals = base_realloc(move->removals, (count + 1) * sizeof *move->removals);
    for (move->removal_count = 0; move->removal_count < count && cursor_u64(&cursor, &id);)
        move->removals[move->removal_count++] = id;
}

/* ---- what has come true ---- */

static void drop_done_removals(struct core *core)
{
    struct move *move = core->move;
    size_t kept = 0;
    for (size_t i = 0; i < move->removal_count; i++)
        if (layout_find(view_newest(core), move->removals[i]))
            move->removals[kept++] = move->removals[i];
    if (kept == move->removal_count)
        return;
    move->removal_count = kept;
    move_save_changes(core, (struct resume){0});
}

void move_place_changed(struct core *core)
{
    struct move *move = core->move;
    const struct layout *newest = view_newest(core);
    if (!newest || !core->config.storing)
        return;
    drop_done_removals(core);
    bool in = layout_find(newest, core->id) != NULL;
    move->was_in = move->was_in || view_was_in(core, core->id);
    if (in || !move->was_in || move->place != PLACE_IN)
        return;
    /* It does not come back by itself: whoever took it out meant it. */
    core_log(core, LOG_WARNING,
             "this member was removed from the layout: it gives up its data, and stays outside");
    move->place = PLACE_REMOVED;
    move_save_changes(core, (struct resume){0});
}

static bool has_keys_of_others(struct core *core)
{
    for (uint32_t i = 0; i < view_partition_count(core); i++)
        if (tree_key_count(core, i) != 0 && !view_owner(core, i, core->id) &&
            !move_only_keeps(core, i))
            return true;
    return false;
}

/* Hints for dead owners stand for keys that the other owners have by then. */
static bool has_hints_to_deliver(struct core *core)
{
    const struct layout *newest = view_newest(core);
    uint64_t hints = hints_count(core, 0);
    for (size_t i = 0; newest && i < newest->member_count; i++)
        if (!rpc_reachable(core, newest->members[i].id))
            hints -= hints_count(core, newest->members[i].id);
    return hints != 0;
}

const char *move_place(struct core *core)
{
    const struct move *move = core->move;
    const struct layout *newest = view_newest(core), *oldest = view_oldest(core);
    bool in_newest = newest && layout_find(newest, core->id);
    if (move->place == PLACE_IN)
        return in_newest ? "in" : "joining";
    if (in_newest || (oldest && layout_find(oldest, core->id)) || has_keys_of_others(core) ||
        has_hints_to_deliver(core))
        return "leaving";
    return move->place == PLACE_LEAVING ? "left" : "removed";
}

/* ---- telling ---- */

static void encode(struct buf *items, uint32_t *count, enum wish_kind kind, node_id node)
{
    change_item_encode(items, &(struct change_item){.kind = kind, .node = node});
    ++*count;
}

void move_wishes_encode(struct core *core, struct buf *items, uint32_t *ret_count)
{
    const struct move *move = core->move;
    *ret_count = 0;
    if (move->place == PLACE_IN) {
        change_item_encode(items, &(struct change_item){.kind = WISH_BE,
                                                        .node = core->id,
                                                        .weight = core->config.weight,
                                                        .zone = slice_str(core->config.zone)});
        ++*ret_count;
    } else {
        encode(items, ret_count, WISH_AWAY, core->id);
    }
    for (size_t i = 0; i < move->removal_count; i++)
        encode(items, ret_count, WISH_AWAY, move->removals[i]);
    for (size_t i = 0; i < gone_count(core); i++)
        encode(items, ret_count, WISH_GONE, gone_at(core, i));
}

/* ---- hearing ---- */

static void told_on(struct core *core, const struct core_event *event, struct resume resume)
{
    (void)event;
    (void)resume;
    core->move->version++; /* durable here: others hear it from this node, too */
    move_wake(core);
}

static bool wish_of(const struct change_item *item, struct wish *ret)
{
    *ret = (struct wish){(enum wish_kind)item->kind, item->node, item->weight, {0}};
    if (item->zone.size > ZONE_SIZE_MAX || item->node == 0)
        return false;
    if (item->zone.size != 0)
        memcpy(ret->zone, item->zone.data, item->zone.size);
    return item->kind == WISH_AWAY ||
           (item->kind == WISH_BE && item->weight >= 1 && item->weight <= WEIGHT_MAX);
}

void move_wishes_hear(struct core *core, struct holder *holder, const struct wire_list *changes)
{
    struct cursor cursor = cursor_of(changes->items);
    struct change_item item;
    node_id *gone = base_alloc((min_u64(changes->count, GONE_MAX) + 1) * sizeof *gone);
    size_t gone_count = 0;
    uint32_t room = (uint32_t)min_u64(changes->count, CHANGES_MAX + 2);
    holder->wishes = base_realloc(holder->wishes, (room + 1) * sizeof *holder->wishes);
    holder->wish_count = 0;
    for (uint32_t i = 0; i < changes->count && change_item_read(&cursor, &item); i++) {
        if (item.kind == WISH_GONE && gone_count < GONE_MAX && !gone_is(core, item.node))
            gone[gone_count++] = item.node;
        else if (holder->wish_count < room && wish_of(&item, &holder->wishes[holder->wish_count]))
            holder->wish_count++;
    }
    if (gone_count != 0)
        gone_note(core, gone, gone_count, resume_to(told_on, 0, 0));
    free(gone);
}

/* ---- who wants what ---- */

const struct wish *move_wish_to_be(const struct core *core, node_id id, struct wish *room)
{
    const struct move *move = core->move;
    if (id == core->id) {
        *room = (struct wish){.kind = WISH_BE, .node = id, .weight = core->config.weight};
        memcpy(room->zone, core->config.zone, sizeof room->zone);
        return move->place == PLACE_IN ? room : NULL;
    }
    const struct holder *holder = holder_find(core, id);
    if (!holder || holder->newest != view_newest(core)->number)
        return NULL;
    for (size_t i = 0; i < holder->wish_count; i++)
        if (holder->wishes[i].kind == WISH_BE && holder->wishes[i].node == id)
            return &holder->wishes[i];
    return NULL;
}

bool move_unwanted(const struct core *core, node_id id)
{
    const struct move *move = core->move;
    const struct layout *newest = view_newest(core);
    if (gone_is(core, id) || (id == core->id && move->place != PLACE_IN))
        return true;
    for (size_t i = 0; i < move->removal_count; i++)
        if (move->removals[i] == id)
            return true;
    MAP_EACH(entry, &core->holders->by_id)
    {
        const struct holder *holder = entry->value;
        if (!newest || holder->newest != newest->number)
            continue;
        for (size_t i = 0; i < holder->wish_count; i++)
            if (holder->wishes[i].kind == WISH_AWAY && holder->wishes[i].node == id)
                return true;
    }
    return false;
}
