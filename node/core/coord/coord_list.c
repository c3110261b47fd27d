/* coord_list: the entries of a directory: keys are placed by the hash of
 * the whole key, so a covering set of members is asked, r for each partition in every live layout,
 * and each scans one range of its listing index.
 *
 * Enters from: ask.c. Leaves to: LIST at the members (coord_list_serve.c), coord_list_merge.c. */
#include "core/coord/coord_list.h"
#include "core/view/view.h"

#include <stdlib.h>

#define STATE(name) LIST_##name
#define TO(name)    (1u << LIST_##name)

static void list_ask(struct core *core, struct operation *operation);
static void list_pause(struct core *core, struct operation *operation);
static void list_stale(struct core *core, struct operation *operation);
static void list_end(struct core *core, struct operation *operation);

#define LIST_STATES(S)                                                                             \
    S(NEW, NULL, TO(ASK))                                                                          \
    S(ASK, list_ask, TO(MERGE) | TO(PAUSE) | TO(STALE) | TO(DONE))                                 \
    S(MERGE, list_merge, TO(RESOLVE))                                                              \
    S(RESOLVE, list_resolve, TO(ASK) | TO(RESOLVE) | TO(DONE))                                     \
    S(PAUSE, list_pause, TO(ASK) | TO(DONE))                                                       \
    S(STALE, list_stale, TO(ASK) | TO(DONE))                                                       \
    S(DONE, list_end, 0)

OPERATION_TABLE(list_table, "list", LIST_STATES)

struct coord_list *list_find(struct core *core, uint64_t handle)
{
    return pool_get(&core->coord->lists, handle);
}

void list_move(struct core *core, struct coord_list *list, unsigned state)
{
    operation_move(core, &list->op, state);
}

void list_forget_answers(struct coord_list *list)
{
    for (size_t i = 0; i < list->member_count; i++)
        blob_unref(&list->members[i].frame);
    free(list->members);
    list->members = NULL;
    list->member_count = 0;
    list->open = 0;
}

static void list_release(struct coord_list *list)
{
    list_forget_answers(list);
    free(list->entries);
    free(list->siblings);
    arena_free(&list->arena);
}

static void list_end(struct core *core, struct operation *operation)
{
    struct coord_list *list = list_of(operation);
    assert(list->op.answered);
    timer_cancel(core, &list->timer);
    timer_cancel(core, &list->deadline);
    list_release(list);
    pool_delete(&core->coord->lists, list->op.handle);
}

void list_finish(struct core *core, struct coord_list *list, enum toystore_status status)
{
    struct toystore_result result = {.status = status,
                                     .message =
                                         status == TOYSTORE_OK ? "" : "too few members answered",
                                     .sloppy = list->sloppy,
                                     .entries = list->entries,
                                     .entry_count = status == TOYSTORE_OK ? list->entry_count : 0,
                                     .more = list->more};
    operation_answer(core, &list->op, toystore_status_word(status));
    list->done(core, list->done_handle, &result);
    list_move(core, list, LIST_DONE);
}

static void on_deadline(struct core *core, struct timer *timer)
{
    list_finish(core, list_find(core, timer->handle), TOYSTORE_UNAVAILABLE);
}

/* ---- the covering set ---- */

/* r of a layout, as a get has it: by any partition's electorate, they are all alike. */
static unsigned layout_r(const struct coord_list *list, const struct layout *layout)
{
    struct electorate electorate;
    electorate_init(&electorate, layout, layout, 0, 0, list->r);
    return electorate.layouts[0].r;
}

static void add_member(struct coord_list *list, node_id id)
{
    for (size_t i = 0; i < list->member_count; i++)
        if (list->members[i].id == id)
            return;
    list->members[list->member_count++] = (struct list_member){.id = id};
}

/* This node first, then all others in the order of their ids, beginning after this one's, so that
 * different askers ask different members. */
static void gather_members(const struct core *core, struct coord_list *list)
{
    size_t most = 0;
    for (unsigned l = 0; l < list->layout_count; l++)
        most += list->layouts[l]->member_count;
    list->members = base_alloc(most * sizeof *list->members);
    for (int pass = 0; pass < 3; pass++) /* itself, those after it, those before it */
        for (unsigned l = 0; l < list->layout_count; l++)
            for (size_t i = 0; i < list->layouts[l]->member_count; i++) {
                node_id id = list->layouts[l]->members[i].id;
                if ((pass == 0 && id == core->id) || (pass == 1 && id > core->id) ||
                    (pass == 2 && id < core->id))
                    add_member(list, id);
            }
}

/* need[partition] := r less the members of `layout` that have answered for it or been asked. */
static void count_needs(const struct core *core, const struct coord_list *list,
                        const struct layout *layout, uint8_t *need)
{
    unsigned r = layout_r(list, layout);
    size_t n = layout_owner_count(layout);
    (void)core;
    for (uint32_t p = 0; p < layout->partitions; p++) {
        unsigned have = 0;
        for (size_t i = 0; i < n; i++) {
            node_id id = layout->members[layout->owners[p * n + i]].id;
            for (size_t m = 0; m < list->member_count; m++) {
                const struct list_member *member = &list->members[m];
                if (member->id == id && member->asked && !member->failed &&
                    (!member->frame || list_says(&member->reply, p)))
                    have++;
            }
        }
        need[p] = (uint8_t)(have < r ? r - have : 0);
    }
}

/* Does this member own a partition that still needs answers? It is then counted as one. */
static bool useful(const struct layout *layout, node_id id, uint8_t *need)
{
    const struct layout_member *found = layout_find(layout, id);
    if (!found)
        return false;
    uint16_t index = (uint16_t)(found - layout->members);
    size_t n = layout_owner_count(layout);
    bool any = false;
    for (size_t at = 0; at < layout->partitions * n; at++)
        if (layout->owners[at] == index && need[at / n] > 0) {
            need[at / n]--;
            any = true;
        }
    return any;
}

static bool none_needed(const uint8_t *need, uint32_t partitions)
{
    for (uint32_t p = 0; p < partitions; p++)
        if (need[p] > 0)
            return false;
    return true;
}

static void ask_member(struct core *core, struct coord_list *list, size_t index);

/* Asks whoever is needed. False: the partitions cannot all be covered by those that are left. */
static bool cover(struct core *core, struct coord_list *list)
{
    uint8_t *need = base_alloc(list->layouts[0]->partitions);
    bool covered = true;
    for (unsigned l = 0; l < list->layout_count; l++) {
        const struct layout *layout = list->layouts[l];
        count_needs(core, list, layout, need);
        if (none_needed(need, layout->partitions))
            continue;
        for (int pass = 0; pass < 2; pass++) /* those that can be reached first */
            for (size_t i = 0; i < list->member_count; i++) {
                struct list_member *member = &list->members[i];
                if (member->asked || (pass == 0 && !rpc_reachable(core, member->id)))
                    continue;
                if (useful(layout, member->id, need))
                    ask_member(core, list, i);
            }
        covered = covered && none_needed(need, layout->partitions);
    }
    free(need);
    return covered;
}

static void check(struct core *core, struct coord_list *list)
{
    bool covered = cover(core, list);
    if (list->open > 0)
        return;
    if (covered)
        list_move(core, list, LIST_MERGE);
    else
        list_move(core, list, LIST_PAUSE);
}

static void take_view(struct core *core, struct coord_list *list, const struct list_reply *reply,
                      node_id from)
{
    struct view view = view_of(core, 0);
    view.oldest = reply->layout_oldest;
    view.newest = reply->layout_newest;
    list_move(core, list, LIST_STALE);
    view_adopt(core, 0, &view, from, until_ms(core, list->deadline_us, REPLICA_TIMEOUT_MS), NULL,
               0);
}

static void on_listed(struct core *core, uint64_t handle, uint64_t index,
                      const struct rpc_answer *answer)
{
    struct coord_list *list = list_find(core, handle);
    if (!list || index >> 16 != list->attempt || list->op.state != LIST_ASK)
        return;
    struct list_member *member = &list->members[index & 0xffff];
    list->open--;
    member->failed = true;
    if (answer->status == TOYSTORE_OK && list_reply_decode(answer->result, &member->reply)) {
        if (member->reply.status == TOYSTORE_STALE) {
            take_view(core, list, &member->reply, answer->from);
            return;
        }
        member->failed = member->reply.status != TOYSTORE_OK;
        if (!member->failed)
            member->frame = blob_ref(answer->frame);
    }
    check(core, list);
}

static void ask_member(struct core *core, struct coord_list *list, size_t index)
{
    list->members[index].asked = true;
    list->open++;
    rpc_call(core, list->members[index].id, METHOD_LIST,
             RPC_PARAMS(list_request, {.layout_oldest = list->numbers[0],
                                       .layout_newest = list->numbers[1],
                                       .directory = list->directory,
                                       .after = list->after,
                                       .after_name = list->after_name,
                                       .limit = list->page_limit}),
             until_ms(core, list->deadline_us, REPLICA_TIMEOUT_MS), on_listed, list->op.handle,
             (uint64_t)list->attempt << 16 | index);
}

static void list_ask(struct core *core, struct operation *operation)
{
    struct coord_list *list = list_of(operation);
    list_forget_answers(list);
    list->attempt++;
    list->layouts[0] = view_oldest(core);
    list->layouts[1] = view_newest(core);
    list->numbers[0] = list->layouts[0]->number;
    list->numbers[1] = list->layouts[1]->number;
    list->layout_count = list->layouts[0] == list->layouts[1] ? 1 : 2;
    gather_members(core, list);
    check(core, list);
}

/* ---- again ---- */

static void again(struct core *core, struct timer *timer)
{
    list_move(core, list_find(core, timer->handle), LIST_ASK);
}

static void list_pause(struct core *core, struct operation *operation)
{
    struct coord_list *list = list_of(operation);
    list->timer.handle = list->op.handle;
    timer_set_after_ms(core, &list->timer, COORD_PAUSE_MS, again);
}

static void list_stale(struct core *core, struct operation *operation)
{
    list_pause(core, operation); /* the newer view is taken over meanwhile */
}

/* ---- the door ---- */

void coord_list(struct core *core, const struct toystore_request *request, ask_done_fn *done,
                uint64_t handle)
{
    pool_handle own;
    struct coord_list *list = pool_new(&core->coord->lists, &own);
    if (!list) {
        ask_refuse(core, done, handle, TOYSTORE_BUSY, "too many requests");
        return;
    }
    list->op = (struct operation){.table = &list_table, .handle = own};
    list->done = done;
    list->done_handle = handle;
    list->directory = arena_copy(&list->arena, slice_public(request->key));
    list->r = request->r;
    if (list->r == 0 && core->config.read_quorum_given)
        list->r = core->config.read_quorum;
    list->limit =
        request->limit ? (unsigned)min_size(request->limit, LIST_ENTRIES_MAX) : LIST_ENTRIES_MAX;
    list->page_limit = list->limit;
    list->after = request->after ? request->after + 1 : 0;
    unsigned deadline_ms = request->deadline_ms ? request->deadline_ms : GET_DEADLINE_MS;
    list->deadline_us = core->now_us + 1000ull * deadline_ms;
    list->deadline.handle = own;
    timer_set(core, &list->deadline, list->deadline_us, on_deadline);
    list_move(core, list, LIST_ASK);
}

void coord_list_init(struct coord *coord)
{
    pool_init(&coord->lists, sizeof(struct coord_list), COORD_OPS_MAX);
    coord_list_serve_init(coord);
}

void coord_list_free_all(struct coord *coord)
{
    for (size_t i = 0; i < coord->lists.capacity; i++)
        if (coord->lists.objects[i])
            list_release(coord->lists.objects[i]);
    pool_free(&coord->lists);
    coord_list_serve_free(coord);
}
