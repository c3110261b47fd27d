/* coord_list_merge: what the members' entries say together: for each name the entry with the
 * highest ballot among the owners of its key; a tombstone hides it; a name with siblings is asked
 * for by a get.
 *
 * Enters from: coord_list.c. Leaves to: coord_get.c for names with siblings. */
#include "core/coord/coord_list.h"
#include "core/view/view.h"

#include <stdlib.h>

/* One member's entries, in order. */
struct stream {
    const struct list_reply *reply;
    struct cursor cursor;
    uint32_t left;
    struct list_item item; /* the next one */
    bool live;
};

static int item_compare(const struct list_item *a, const struct list_item *b)
{
    int order = compare_u64(a->cookie, b->cookie);
    return order ? order : slice_compare(a->name, b->name);
}

static void advance(struct stream *stream)
{
    stream->live = stream->left > 0 && list_item_read(&stream->cursor, &stream->item);
    if (stream->live)
        stream->left--;
}

/* Where the first member that has more stopped: beyond it nothing is known of that member. */
static bool find_horizon(const struct coord_list *list, struct list_item *ret)
{
    bool any = false;
    for (size_t i = 0; i < list->member_count; i++) {
        const struct list_reply *reply = &list->members[i].reply;
        if (!list->members[i].frame || !reply->more)
            continue;
        struct cursor cursor = cursor_of(reply->entries.items);
        struct list_item last = {0}, item;
        for (uint32_t k = 0; k < reply->entries.count && list_item_read(&cursor, &item); k++)
            last = item;
        if (!any || item_compare(&last, ret) < 0)
            *ret = last;
        any = true;
    }
    return any;
}

static struct slice key_of(struct coord_list *list, struct slice name)
{
    size_t size = list->directory.size ? list->directory.size + 1 + name.size : name.size;
    uint8_t *key = arena_alloc(&list->arena, size + 1);
    size_t at = 0;
    if (list->directory.size > 0) {
        memcpy(key, list->directory.data, list->directory.size);
        key[list->directory.size] = '/';
        at = list->directory.size + 1;
    }
    if (name.size > 0)
        memcpy(key + at, name.data, name.size);
    return slice_of(key, size);
}

static void add_entry(struct coord_list *list, const struct list_item *item, bool siblings)
{
    if (list->entry_count == list->entry_capacity) {
        list->entry_capacity = list->entry_capacity ? 2 * list->entry_capacity : 64;
        list->entries = base_realloc(list->entries, list->entry_capacity * sizeof *list->entries);
        list->siblings = base_realloc(list->siblings, list->entry_capacity);
    }
    list->siblings[list->entry_count] = siblings;
    list->entries[list->entry_count++] =
        (struct toystore_entry){.name = slice_to_public(arena_copy(&list->arena, item->name)),
                                .cookie = item->cookie,
                                .kind = (enum toystore_kind)item->kind,
                                .op = op_to_public(item->op),
                                .attributes = item->attributes};
}

/* ---- one page ---- */

static struct stream *open_streams(struct coord_list *list, size_t *ret_count)
{
    struct stream *streams = base_alloc(list->member_count * sizeof *streams + 1);
    size_t count = 0;
    for (size_t i = 0; i < list->member_count; i++) {
        const struct list_reply *reply = &list->members[i].reply;
        if (!list->members[i].frame)
            continue;
        struct stream *stream = &streams[count++];
        stream->reply = reply;
        stream->cursor = cursor_of(reply->entries.items);
        stream->left = reply->entries.count;
        advance(stream);
    }
    *ret_count = count;
    return streams;
}

/* The next name in order with the best entry for it; false: no more. */
static bool next_name(struct core *core, struct coord_list *list, struct stream *streams,
                      size_t count, struct list_item *ret)
{
    const struct stream *first = NULL;
    for (size_t i = 0; i < count; i++)
        if (streams[i].live && (!first || item_compare(&streams[i].item, &first->item) < 0))
            first = &streams[i];
    if (!first)
        return false;
    struct list_item at = first->item, best = {0};
    uint32_t partition = view_partition_of(core, key_of(list, at.name));
    bool any = false, siblings = false;
    for (size_t i = 0; i < count; i++) {
        if (!streams[i].live || item_compare(&streams[i].item, &at) != 0)
            continue;
        const struct list_item *item = &streams[i].item;
        if (list_says(streams[i].reply, partition)) { /* else no owner of it any more */
            siblings = siblings || item->sloppy;
            if (!any || ballot_compare(&item->ballot, &best.ballot) > 0)
                best = *item;
            any = true;
        }
        advance(&streams[i]);
    }
    if (!any)
        best.kind = TOYSTORE_TOMBSTONE;
    best.cookie = at.cookie;
    best.name = at.name;
    best.sloppy = siblings;
    *ret = best;
    return true;
}

/* Entries with one cookie are never torn apart by the limit: a caller goes on after the cookie. */
static bool page_full(const struct coord_list *list, const struct list_item *next)
{
    return list->entry_count >= list->limit &&
           list->entries[list->entry_count - 1].cookie != next->cookie;
}

static void read_page(struct core *core, struct coord_list *list)
{
    struct list_item horizon = {0}, item, before = {0};
    bool bounded = find_horizon(list, &horizon);
    size_t count;
    struct stream *streams = open_streams(list, &count);
    list->more = bounded;
    while (next_name(core, list, streams, count, &item)) {
        if (bounded && item_compare(&item, &horizon) > 0)
            break;
        if (page_full(list, &item)) {
            list->more = true;
            horizon = before; /* what follows is still to be read */
            break;
        }
        before = item;
        if (item.sloppy || item.kind != TOYSTORE_TOMBSTONE)
            add_entry(list, &item, item.sloppy);
    }
    free(streams);
    list->after = horizon.cookie;
    list->after_name = arena_copy(&list->arena, horizon.name);
}

void list_merge(struct core *core, struct operation *operation)
{
    struct coord_list *list = list_of(operation);
    read_page(core, list);
    list_forget_answers(list);
    list_move(core, list, LIST_RESOLVE);
}

/* ---- names with siblings ---- */

static void drop_tombstones(struct coord_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->entry_count; i++) {
        if (list->entries[i].kind == TOYSTORE_TOMBSTONE)
            continue;
        list->entries[kept] = list->entries[i];
        list->siblings[kept++] = false;
    }
    list->entry_count = list->resolve_at = kept;
}

static void resolved(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct coord_list *list = list_find(core, handle);
    if (!list || list->op.state != LIST_RESOLVE)
        return;
    struct toystore_entry *entry = &list->entries[list->resolve_at++];
    if (result->status == TOYSTORE_OK) {
        entry->kind = result->versions[0].kind;
        entry->op = result->versions[0].op;
        entry->attributes = result->versions[0].attributes;
        entry->siblings = result->version_count > 1;
        list->sloppy = list->sloppy || result->sloppy;
    } else if (result->status == TOYSTORE_NOT_FOUND) {
        entry->kind = TOYSTORE_TOMBSTONE;
    } else {
        list_finish(core, list, TOYSTORE_UNAVAILABLE);
        return;
    }
    list_move(core, list, LIST_RESOLVE);
}

/* One name after the other; then the answer, or the next page when this one showed nothing. */
void list_resolve(struct core *core, struct operation *operation)
{
    struct coord_list *list = list_of(operation);
    while (list->resolve_at < list->entry_count && !list->siblings[list->resolve_at])
        list->resolve_at++;
    if (list->resolve_at < list->entry_count) {
        struct slice name = slice_public(list->entries[list->resolve_at].name);
        struct toystore_request get = {.type = TOYSTORE_GET,
                                       .key = slice_to_public(key_of(list, name)),
                                       .deadline_ms =
                                           until_ms(core, list->deadline_us, GET_DEADLINE_MS)};
        coord_get(core, &get, resolved, list->op.handle);
        return;
    }
    drop_tombstones(list);
    if (list->entry_count > 0 || !list->more) {
        list_finish(core, list, TOYSTORE_OK);
        return;
    }
    list->page_limit = LIST_ENTRIES_MAX; /* tombstones: on behind them, without counting them */
    list_move(core, list, LIST_ASK);
}
