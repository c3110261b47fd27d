/* ledger: the core's loads, commits and scans on a store. The commits of a turn become one write,
 * once the large values among them are on the disk.
 *
 * Enters from io/driver.c with ACTION_LOAD, ACTION_COMMIT, ACTION_SCAN; leaves to the store, and
 * to the core as EVENT_LOADED, EVENT_COMMITTED, EVENT_SCANNED. */
#include "io/ledger.h"

#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

void ledger_init(struct ledger *ledger, struct driver *driver, struct toystore_store *store,
                 const char *data)
{
    *ledger = (struct ledger){.driver = driver, .store = store, .data = data};
    list_init(&ledger->groups);
    pthread_mutex_init(&ledger->mutex, NULL);
    pthread_cond_init(&ledger->job_ended, NULL);
    ledger_sync_init(ledger);
}

void ledger_waiters_add(struct ledger_waiters *waiters, struct ledger_waiter waiter)
{
    if (waiters->first == waiters->count)
        waiters->first = waiters->count = 0;
    if (waiters->count == waiters->capacity) {
        waiters->capacity = waiters->capacity ? 2 * waiters->capacity : 64;
        waiters->items = base_realloc(waiters->items, waiters->capacity * sizeof *waiters->items);
    }
    waiters->items[waiters->count++] = waiter;
}

/* ---- what is not in the store yet ---- */

static struct slice pending_key(struct buf *out, enum toystore_space space, struct slice key)
{
    uint8_t byte = (uint8_t)space;
    out->size = 0;
    buf_append(out, &byte, 1);
    buf_append(out, key.data, key.size);
    return buf_slice(out);
}

/* The newest of its writes, as the core gave it. */
static const struct batch_write *find_pending(struct ledger *ledger, enum toystore_space space,
                                              struct slice key)
{
    if (list_empty(&ledger->groups))
        return NULL;
    struct slice name = pending_key(&ledger->name, space, key);
    for (struct list *link = ledger->groups.prev; link != &ledger->groups; link = link->prev) {
        struct ledger_group *group = container_of(link, struct ledger_group, link);
        const struct batch_write *write = map_get(&group->pending, name);
        if (write != NULL)
            return write;
    }
    return NULL;
}

static void add_write(struct ledger *ledger, struct ledger_group *group, struct batch_write *write)
{
    if (group->write_count == group->write_capacity) {
        group->write_capacity = group->write_capacity ? 2 * group->write_capacity : 64;
        group->writes = base_realloc(group->writes, group->write_capacity * sizeof *group->writes);
    }
    struct slice key = blob_slice(write->key), value = blob_slice(write->value);
    group->writes[group->write_count++] =
        (struct toystore_write){.space = write->space,
                                .remove = write->remove,
                                .key = {key.data, key.size},
                                .value = {value.data, value.size}};
    size_t bytes = key.size + value.size + write->rest.size;
    group->bytes += bytes;
    ledger->bytes += bytes;
    map_put(&group->pending, pending_key(&ledger->name, write->space, key), write);
}

/* One piece for a store that takes no parts. */
static void join_parts(struct batch_write *write)
{
    if (write->rest_in == NULL)
        return;
    struct buf whole = {0};
    buf_append(&whole, write->value->data, write->value->size);
    buf_append(&whole, write->rest.data, write->rest.size);
    blob_unref(&write->value);
    blob_unref(&write->rest_in);
    write->value = buf_take(&whole);
    write->rest = slice_of(NULL, 0);
}

static struct ledger_group *group_to_add(struct ledger *ledger)
{
    struct ledger_group *group = container_of(ledger->groups.prev, struct ledger_group, link);
    if (!list_empty(&ledger->groups) && group->bytes < BATCH_BYTES_MAX)
        return group;
    group = ledger->spare;
    ledger->spare = NULL;
    if (group == NULL) {
        group = base_alloc(sizeof *group);
        list_init(&group->jobs);
    }
    list_push_back(&ledger->groups, &group->link);
    return group;
}

static void group_free(struct ledger_group *group)
{
    free(group->writes);
    free(group->batches);
    free(group->waiters.items);
    free(group);
}

static void group_end(struct ledger *ledger, struct ledger_group *group)
{
    for (size_t i = 0; i < group->batch_count; i++)
        batch_free(&group->batches[i]);
    map_free(&group->pending);
    group->pending = (struct map){0};
    ledger->bytes -= group->bytes;
    group->write_count = group->batch_count = group->bytes = 0;
    list_remove(&group->link);
    if (ledger->spare == NULL)
        ledger->spare = group;
    else
        group_free(group);
}

/* ---- room ---- */

enum {
    TINY = 512,               /* a tombstone, a promise */
    SMALL = 2048,             /* records of this size are not worth a look at the disk each */
    UNMEASURED_MAX = 1 << 18, /* but together, after so many bytes, they are */
};

static void measure_room(struct ledger *ledger)
{
    struct statvfs now;
    ledger->unmeasured = 0;
    ledger->room = UINT64_MAX;
    if (ledger->data == NULL || statvfs(ledger->data, &now) < 0)
        return;
    ledger->room = now.f_bavail * now.f_frsize;
    ledger->reserve = min_u64(DISK_RESERVE_BYTES, now.f_blocks * now.f_frsize / 16);
}

static size_t added_bytes(const struct batch *batch)
{
    size_t added = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct batch_write *write = &batch->writes[i];
        if (write->space == TOYSTORE_RECORDS || write->space == TOYSTORE_HINTS)
            added += blob_slice(write->value).size + write->rest.size;
    }
    return added;
}

/* Does the batch add data that a full disk refuses? The reserve is for the node's own state, for
 * compaction and for the tombstones that make room again; small records may use half of it. */
static bool too_much(struct ledger *ledger, const struct batch *batch)
{
    size_t added = added_bytes(batch);
    if (added <= TINY)
        return false;
    ledger->unmeasured += added;
    if (added > SMALL || ledger->unmeasured > UNMEASURED_MAX || ledger->room < ledger->reserve)
        measure_room(ledger);
    if (added > SMALL)
        return ledger->room < ledger->reserve + added;
    return ledger->room < ledger->reserve / 2;
}

/* ---- commits ---- */

static void add_and_stage(struct ledger *ledger, struct ledger_group *group,
                          struct batch_write *write)
{
    bool stages = ledger_stages(ledger, write);
    if (!stages)
        join_parts(write);
    add_write(ledger, group, write);
    if (stages) {
        struct slice value = blob_slice(write->value);
        const struct toystore_bytes parts[2] = {{value.data, value.size},
                                                {write->rest.data, write->rest.size}};
        ledger_stage(ledger, group, parts);
    }
}

void ledger_commit_action(struct ledger *ledger, struct action *action)
{
    struct ledger_waiter waiter = {.resume = action->resume, .durable = action->durable};
    if (ledger->store == NULL || (action->batch.count == 0 && !action->durable)) {
        ledger_waiters_add(&ledger->done, waiter);
        return;
    }
    if (too_much(ledger, &action->batch)) {
        waiter.status = -ENOSPC;
        ledger_waiters_add(&ledger->done, waiter);
        return;
    }
    struct ledger_group *group = group_to_add(ledger);
    for (size_t i = 0; i < action->batch.count; i++)
        add_and_stage(ledger, group, &action->batch.writes[i]);
    if (group->batch_count == group->batch_capacity) {
        group->batch_capacity = group->batch_capacity ? 2 * group->batch_capacity : 16;
        group->batches =
            base_realloc(group->batches, group->batch_capacity * sizeof *group->batches);
    }
    group->batches[group->batch_count++] = action->batch;
    action->batch = (struct batch){0};
    ledger_waiters_add(&group->waiters, waiter);
    if (ledger->bytes >= LEDGER_BYTES_MAX)
        ledger_flush_all(ledger);
    else if (group->bytes >= BATCH_BYTES_MAX)
        ledger_flush(ledger);
}

void ledger_complain(struct ledger *ledger, const char *what, int status)
{
    uint64_t now = uv_hrtime() / 1000;
    if (ledger->complained_us != 0 && now - ledger->complained_us < 1000000)
        return;
    ledger->complained_us = now;
    bool gone = ledger->data != NULL && access(ledger->data, F_OK) < 0;
    driver_log(ledger->driver, 0, "%s%s%s: %s%s", ledger->data != NULL ? ledger->data : "",
               ledger->data != NULL ? ": " : "", what, strerror(-status),
               gone
                   ? " (the directory is gone: stop this node, and put it back or replace the node)"
                   : "");
}

static int group_write(struct ledger *ledger, struct ledger_group *group)
{
    if (group->write_count == 0)
        return 0;
    int status = ledger_stage_take(group);
    if (status == 0)
        status = ledger->store->ops->write(ledger->store, group->writes, group->write_count);
    ledger_stage_end(ledger, group, status == 0);
    if (status < 0) {
        ledger_complain(ledger, "the store could not write", status);
        ledger->room = 0; /* looked at anew */
    } else {
        ledger_soil(ledger);
    }
    return status;
}

static void group_commit(struct ledger *ledger, struct ledger_group *group)
{
    int status = group_write(ledger, group);
    for (; group->waiters.first < group->waiters.count; group->waiters.first++) {
        struct ledger_waiter waiter = group->waiters.items[group->waiters.first];
        waiter.status = status;
        waiter.written = status == 0;
        ledger_waiters_add(waiter.durable && status == 0 ? &ledger->unsynced : &ledger->done,
                           waiter);
    }
    group_end(ledger, group);
    ledger_sync_wanted(ledger);
}

void ledger_flush(struct ledger *ledger)
{
    ledger_stage_begin(ledger);
    while (!list_empty(&ledger->groups)) {
        struct ledger_group *group = container_of(ledger->groups.next, struct ledger_group, link);
        if (!ledger_staged(ledger, group))
            return;
        group_commit(ledger, group);
    }
}

void ledger_flush_all(struct ledger *ledger)
{
    ledger_stage_begin(ledger);
    while (!list_empty(&ledger->groups)) {
        struct ledger_group *group = container_of(ledger->groups.next, struct ledger_group, link);
        ledger_stage_wait(ledger, group);
        group_commit(ledger, group);
    }
}

bool ledger_deliver(struct ledger *ledger)
{
    bool any = false;
    while (ledger->done.first < ledger->done.count) {
        struct ledger_waiter waiter = ledger->done.items[ledger->done.first++];
        any = true;
        if (waiter.resume.fn != NULL)
            driver_event(ledger->driver, &(struct core_event){.type = EVENT_COMMITTED,
                                                              .resume = waiter.resume,
                                                              .status = waiter.status,
                                                              .written = waiter.written});
    }
    return any;
}

/* ---- loads and scans ---- */

static void copy_value(void *arg, struct toystore_bytes value)
{
    struct blob **ret = arg;
    *ret = blob_copy(slice_of(value.data, value.size));
}

static int load(struct ledger *ledger, enum toystore_space space, struct slice key,
                struct blob **ret_value)
{
    const struct batch_write *pending = find_pending(ledger, space, key);
    if (pending != NULL && pending->remove)
        return -ENOENT;
    if (pending != NULL) {
        struct slice value = blob_slice(pending->value);
        *ret_value = blob_new(value.size + pending->rest.size);
        memcpy((*ret_value)->data, value.data, value.size);
        if (pending->rest.size > 0)
            memcpy((*ret_value)->data + value.size, pending->rest.data, pending->rest.size);
        return 0;
    }
    if (ledger->store == NULL)
        return -ENOENT;
    return ledger->store->ops->get(
        ledger->store, space, (struct toystore_bytes){key.data, key.size}, copy_value, ret_value);
}

void ledger_load_action(struct ledger *ledger, const struct action *action)
{
    struct core_event event = {.type = EVENT_LOADED, .resume = action->resume};
    event.status = load(ledger, action->space, blob_slice(action->key), &event.bytes);
    driver_event(ledger->driver, &event);
    blob_unref(&event.bytes);
}

struct scan {
    struct arena arena;
    struct scan_pair *pairs;
    size_t count, limit;
    bool more;
};

static bool add_pair(void *arg, struct toystore_bytes key, struct toystore_bytes value)
{
    struct scan *scan = arg;
    if (scan->count == scan->limit) {
        scan->more = true;
        return false;
    }
    scan->pairs[scan->count].key = arena_copy(&scan->arena, slice_of(key.data, key.size));
    scan->pairs[scan->count].value = arena_copy(&scan->arena, slice_of(value.data, value.size));
    scan->count++;
    return true;
}

void ledger_scan_action(struct ledger *ledger, const struct action *action)
{
    struct scan scan = {.limit = action->limit};
    struct slice from = blob_slice(action->key), to = blob_slice(action->end);
    struct core_event event = {.type = EVENT_SCANNED, .resume = action->resume};
    ledger_flush_all(ledger); /* a scan sees what was committed before it */
    scan.pairs = base_alloc(scan.limit * sizeof *scan.pairs);
    if (ledger->store != NULL)
        event.status = ledger->store->ops->scan(
            ledger->store, action->space, (struct toystore_bytes){from.data, from.size},
            (struct toystore_bytes){to.data, to.size}, add_pair, &scan);
    event.pairs = scan.pairs;
    event.pair_count = scan.count;
    event.more = scan.more;
    driver_event(ledger->driver, &event);
    free(scan.pairs);
    arena_free(&scan.arena);
}

/* A store in memory has the machine's. */
void ledger_room_action(struct ledger *ledger, const struct action *action)
{
    struct core_event event = {.type = EVENT_ROOM, .resume = action->resume};
    struct statvfs disk_now;
    struct sysinfo memory;
    if (ledger->data == NULL && sysinfo(&memory) == 0) {
        event.room_size = (uint64_t)memory.totalram * memory.mem_unit;
        event.room_free = (uint64_t)memory.freeram * memory.mem_unit;
    } else if (ledger->data != NULL && statvfs(ledger->data, &disk_now) == 0) {
        event.room_size = disk_now.f_blocks * disk_now.f_frsize;
        event.room_free = disk_now.f_bavail * disk_now.f_frsize;
    } else {
        event.status = -errno;
    }
    driver_event(ledger->driver, &event);
}

void ledger_free(struct ledger *ledger)
{
    while (!list_empty(&ledger->groups)) /* of a node that never ran */
        group_end(ledger, container_of(ledger->groups.next, struct ledger_group, link));
    if (ledger->spare != NULL)
        group_free(ledger->spare);
    buf_free(&ledger->name);
    free(ledger->done.items);
    free(ledger->unsynced.items);
    free(ledger->syncing.items);
    pthread_cond_destroy(&ledger->job_ended);
    pthread_mutex_destroy(&ledger->mutex);
    if (ledger->store != NULL)
        ledger->store->ops->close(ledger->store);
}
