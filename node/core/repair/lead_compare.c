/* lead_compare: what a new leader does before and after it leads (PROTOCOL 4 lead): compares hash
 * trees with those that promised; what differs is open, until q owners have accepted the merge of
 * what was shown, unchanged, with the leadership's next turn, or a round has settled the key.
 * Enters from lead_seek.c (a majority promised); leaves to sync, then to coord_reaccept. */
#include <stdlib.h>

#include "core/coord/coord.h"
#include "core/coord/lead_priv.h"
#include "core/replica/replica.h"
#include "core/replica/sync.h"
#include "core/replica/tree.h"
#include "core/view/view.h"
#include "rules/key.h"
#include "rules/version.h"

/* An open key that is being dealt with. */
struct lead_todo {
    uint64_t attempt; /* led_handle */
    struct blob *key;
};

/* ---- comparing ---- */

/* base := merge(base, theirs); the own record joins when the key is accepted again. */
static void base_add(struct open_key *entry, struct era collected, struct slice theirs)
{
    struct arena arena = {0};
    struct record a, b;
    struct buf merged = {0};
    if (theirs.size == 0 || record_take(&arena, theirs, collected, &b) != 0)
        goto out;
    if (!entry->base) {
        entry->base = blob_copy(theirs);
        goto out;
    }
    if (record_take(&arena, blob_slice(entry->base), collected, &a) == 0) {
        record_merge(&arena, &a, &b, &a);
        record_encode(&merged, &a);
        blob_unref(&entry->base);
        entry->base = buf_take(&merged);
    }
out:
    arena_free(&arena);
}

static void settled_beforehand(struct core *core, uint64_t sync, uint64_t index,
                               enum toystore_status status)
{
    (void)index;
    (void)status;
    sync_next(core, sync);
}

static void differs(struct core *core, uint64_t sync, uint64_t handle, struct slice key,
                    struct slice theirs, bool theirs_settled)
{
    struct led *led = led_from(core, handle);
    (void)theirs_settled;
    if (key_is_immutable(key)) { /* no ballot decides these: anti-entropy copies what is missing */
        sync_next(core, sync);
        return;
    }
    if (led && led->open.count >= LEAD_OPEN_MAX) {
        led->too_many = true; /* settles first, leads at the next attempt */
        coord_settle(core, key, settled_beforehand, sync, 0);
        return;
    }
    if (led) {
        struct open_key *entry = open_add(core, led_number(core, led), key);
        entry->queued = true;
        base_add(entry, view_collected(core, key), theirs);
    }
    sync_next(core, sync);
}

static void leads(struct core *core, struct led *led)
{
    uint32_t partition = led_number(core, led);
    if (led->too_many) {
        led_drop(core, partition);
        lead_wake(core);
        return;
    }
    led->state = LED_LEADS;
    led->since_us = core->now_us;
    core_log(core, LOG_DEBUG, "leads partition %u, %zu keys open", partition, led->open.count);
    if (led->open.count != 0)
        list_push_back(&core->lead->reaccept, &led->waiting);
}

static void compared(struct core *core, uint64_t handle, node_id from, enum toystore_status status)
{
    struct led *led = led_from(core, handle);
    if (!led)
        return;
    for (unsigned i = 0; i < led->peer_count; i++) {
        if (led->peers[i].id != from || led->syncs[i] == 0)
            continue;
        led->syncs[i] = 0;
        led->syncs_open--;
        core->lead->syncs_open--;
    }
    if (status != TOYSTORE_OK) {
        led_drop(core, led_number(core, led));
        led_pause(core, led);
    } else if (led->syncs_open == 0) {
        leads(core, led);
    }
    lead_compare_next(core);
}

static void compare_begin(struct core *core, struct led *led)
{
    uint32_t partition = led_number(core, led);
    struct hash128 root = tree_root(core, partition);
    for (unsigned i = 0; i < led->peer_count && !BROKEN(core, lead_uncompared); i++) {
        if (memcmp(&root, &led->peers[i].root, sizeof root) == 0)
            continue;
        led->syncs[i] = sync_start(core, partition, led->peers[i].id, 0, differs, compared,
                                   led_handle(core, partition));
        led->syncs_open++;
        core->lead->syncs_open++;
    }
    if (led->syncs_open == 0)
        leads(core, led);
}

void lead_compare(struct core *core, uint32_t partition)
{
    struct led *led = &core->lead->led[partition];
    led->state = LED_COMPARES;
    list_push_back(&core->lead->compares, &led->waiting);
    lead_compare_next(core);
}

/* ---- open keys ---- */

static void todo_end(struct core *core, pool_handle handle)
{
    struct lead_todo *todo = pool_get(&core->lead->todos, handle);
    blob_unref(&todo->key);
    pool_delete(&core->lead->todos, handle);
    lead_compare_next(core);
}

static struct open_key *todo_key(struct core *core, const struct lead_todo *todo)
{
    struct led *led = led_from(core, todo->attempt);
    return led ? map_get(&led->open, blob_slice(todo->key)) : NULL;
}

static void todo_settled(struct core *core, uint64_t handle, uint64_t index,
                         enum toystore_status status)
{
    struct lead_todo *todo = pool_get(&core->lead->todos, handle);
    struct open_key *entry = todo_key(core, todo);
    (void)index;
    if (entry && status != TOYSTORE_OK) {
        entry->queued = true; /* again with the next step of the timer */
        core->lead->again = true;
    }
    todo_end(core, handle);
}

/* The round's ballot stands above the leadership's now: the key stays with rounds. */
static void todo_by_rounds(struct core *core, pool_handle handle)
{
    struct lead_todo *todo = pool_get(&core->lead->todos, handle);
    struct open_key *entry = todo_key(core, todo);
    if (!entry) {
        todo_end(core, handle);
        return;
    }
    entry->rounds = true;
    blob_unref(&entry->base);
    coord_settle(core, blob_slice(todo->key), todo_settled, handle, 0);
}

static void todo_accepted(struct core *core, uint64_t handle, uint64_t index,
                          enum toystore_status status)
{
    struct lead_todo *todo = pool_get(&core->lead->todos, handle);
    struct led *led = led_from(core, todo->attempt);
    (void)index;
    if (status != TOYSTORE_OK) {
        todo_by_rounds(core, handle);
        return;
    }
    if (led)
        open_free(map_remove(&led->open, blob_slice(todo->key)));
    todo_end(core, handle);
}

static void read_only(struct core *core, struct replica_work *work)
{
    struct lead_todo *todo = pool_get(&core->lead->todos, work->handle);
    struct open_key *entry = todo_key(core, todo);
    struct record theirs;
    if (!BROKEN(core, lead_copies) || !entry || !entry->base ||
        record_take(&work->arena, blob_slice(entry->base), view_collected(core, work->key),
                    &theirs) != 0)
        return;
    record_merge(&work->arena, &work->record, &theirs, &work->record);
    work->entry.settled = false;
    work->write = true;
}

static void todo_read(struct core *core, struct replica_work *work)
{
    struct lead_todo *todo = pool_get(&core->lead->todos, work->handle);
    struct open_key *entry = todo_key(core, todo);
    struct led *led = led_from(core, todo->attempt);
    struct record theirs = {0}, base;
    if (BROKEN(core, lead_copies)) {
        todo_accepted(core, work->handle, 0, TOYSTORE_OK);
        return;
    }
    if (!entry || entry->rounds || work->status != 0 || work->damaged ||
        (entry->base && record_take(&work->arena, blob_slice(entry->base),
                                    view_collected(core, work->key), &theirs) != 0)) {
        todo_by_rounds(core, work->handle);
        return;
    }
    record_merge(&work->arena, &work->record, &theirs, &base);
    if (!base.has_register || ballot_compare(&base.reg.ballot, &led->ballot) >= 0) {
        todo_by_rounds(core, work->handle);
        return;
    }
    struct buf bytes = {0};
    record_encode(&bytes, &base);
    coord_reaccept(core, blob_slice(todo->key), buf_slice(&bytes), todo_accepted, work->handle, 0);
    buf_free(&bytes);
}

static void todo_start(struct core *core, struct led *led, struct slice key)
{
    struct lead *lead = core->lead;
    pool_handle handle;
    struct lead_todo *todo = pool_new(&lead->todos, &handle);
    todo->attempt = led_handle(core, led_number(core, led));
    todo->key = blob_copy(key);
    replica_run(core, blob_slice(todo->key), read_only, todo_read, handle, 0);
}

/* The next key to be dealt with in this partition; false: none. */
static bool reaccept_one(struct core *core, struct led *led)
{
    MAP_EACH(entry, &led->open)
    {
        struct open_key *open = entry->value;
        if (!open->queued)
            continue;
        open->queued = false;
        todo_start(core, led, map_key(entry));
        return true;
    }
    return false;
}

void lead_compare_next(struct core *core)
{
    struct lead *lead = core->lead;
    while (lead->syncs_open < LEAD_SYNCS_MAX && !list_empty(&lead->compares)) {
        struct list *first = list_pop_front(&lead->compares);
        compare_begin(core, container_of(first, struct led, waiting));
    }
    while (lead->todos.count < LEAD_REACCEPTS_MAX && !list_empty(&lead->reaccept)) {
        struct led *led = container_of(lead->reaccept.next, struct led, waiting);
        if (!reaccept_one(core, led))
            list_remove(&led->waiting);
    }
}

void lead_compare_again(struct core *core)
{
    struct lead *lead = core->lead;
    if (!lead->again)
        return;
    lead->again = false;
    for (uint32_t i = 0; i < lead->partition_count; i++) {
        struct led *led = &lead->led[i];
        if (led->state == LED_LEADS && led->open.count != 0 && !list_linked(&led->waiting))
            list_push_back(&lead->reaccept, &led->waiting);
    }
    lead_compare_next(core);
}

void lead_compare_init(struct lead *lead)
{
    pool_init(&lead->todos, sizeof(struct lead_todo), LEAD_REACCEPTS_MAX);
}

void lead_compare_free(struct lead *lead)
{
    for (size_t i = 0; i < lead->todos.capacity; i++)
        if (lead->todos.objects[i])
            blob_unref(&((struct lead_todo *)lead->todos.objects[i])->key);
    pool_free(&lead->todos);
}
