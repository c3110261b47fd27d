/* disk: the core's loads, commits and scans on a store. The commits of a turn become one write.
 *
 * Enters from io/driver.c with ACTION_LOAD, ACTION_COMMIT, ACTION_SCAN; leaves to the store, and
 * to the core as EVENT_LOADED, EVENT_COMMITTED, EVENT_SCANNED. */
#include "io/disk.h"

#include <stdlib.h>
#include <sys/statvfs.h>

void disk_init(struct disk *disk, struct driver *driver, struct toystore_store *store,
               const char *data)
{
    *disk = (struct disk){.driver = driver, .store = store, .data = data};
    disk_sync_init(disk);
}

void disk_waiters_add(struct disk_waiters *waiters, struct disk_waiter waiter)
{
    if (waiters->first == waiters->count)
        waiters->first = waiters->count = 0;
    if (waiters->count == waiters->capacity) {
        waiters->capacity = waiters->capacity ? 2 * waiters->capacity : 64;
        waiters->items = base_realloc(waiters->items, waiters->capacity * sizeof *waiters->items);
    }
    waiters->items[waiters->count++] = waiter;
}

/* ---- what of this turn is not in the store yet ---- */

static struct slice pending_key(struct buf *out, enum toystore_space space, struct slice key)
{
    uint8_t byte = (uint8_t)space;
    out->size = 0;
    buf_append(out, &byte, 1);
    buf_append(out, key.data, key.size);
    return buf_slice(out);
}

static const struct toystore_write *find_pending(struct disk *disk, enum toystore_space space,
                                                 struct slice key)
{
    if (disk->write_count == 0)
        return NULL;
    uintptr_t index = (uintptr_t)map_get(&disk->pending, pending_key(&disk->name, space, key));
    return index == 0 ? NULL : &disk->writes[index - 1];
}

static void add_write(struct disk *disk, const struct batch_write *write)
{
    if (disk->write_count == disk->write_capacity) {
        disk->write_capacity = disk->write_capacity ? 2 * disk->write_capacity : 64;
        disk->writes = base_realloc(disk->writes, disk->write_capacity * sizeof *disk->writes);
    }
    struct slice key = blob_slice(write->key), value = blob_slice(write->value);
    disk->writes[disk->write_count++] = (struct toystore_write){
        write->space, write->remove, {key.data, key.size}, {value.data, value.size}};
    disk->bytes += key.size + value.size;
    map_put(&disk->pending, pending_key(&disk->name, write->space, key),
            (void *)(uintptr_t)disk->write_count);
}

static void forget_pending(struct disk *disk)
{
    for (size_t i = 0; i < disk->batch_count; i++)
        batch_free(&disk->batches[i]);
    map_free(&disk->pending);
    disk->pending = (struct map){0};
    disk->write_count = disk->batch_count = disk->bytes = 0;
}

/* ---- room ---- */

/* Room left on the disk, measured now and then. */
static uint64_t measure_room(struct disk *disk)
{
    struct statvfs disk_now;
    uint64_t now = uv_hrtime() / 1000;
    if (disk->data == NULL)
        return UINT64_MAX;
    if (disk->checked_us != 0 && now - disk->checked_us < 1000000 &&
        disk->checked_bytes < DISK_CHECK_BYTES)
        return disk->room;
    disk->checked_us = now;
    disk->checked_bytes = 0;
    disk->room = UINT64_MAX;
    if (statvfs(disk->data, &disk_now) == 0) {
        uint64_t total = disk_now.f_blocks * disk_now.f_frsize;
        uint64_t left = disk_now.f_bavail * disk_now.f_frsize;
        uint64_t reserve = min_u64(DISK_RESERVE_BYTES, total / 16);
        disk->room = left > reserve ? left - reserve : 0;
    }
    return disk->room;
}

/* Does the batch add data that a full disk refuses? The node's own state and small records, such
 * as the tombstones that make room again, may use the reserve. */
static bool too_much(struct disk *disk, const struct batch *batch)
{
    enum { SMALL = 2048 };
    size_t added = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct batch_write *write = &batch->writes[i];
        if (write->space == TOYSTORE_RECORDS || write->space == TOYSTORE_HINTS)
            added += blob_slice(write->value).size;
    }
    disk->checked_bytes += added;
    return added > SMALL && measure_room(disk) < added;
}

/* ---- commits ---- */

void disk_commit_action(struct disk *disk, struct action *action)
{
    struct disk_waiter waiter = {action->resume, 0, action->durable};
    if (disk->store == NULL || (action->batch.count == 0 && !action->durable)) {
        disk_waiters_add(&disk->done, waiter);
        return;
    }
    if (too_much(disk, &action->batch)) {
        waiter.status = -ENOSPC;
        disk_waiters_add(&disk->done, waiter);
        return;
    }
    for (size_t i = 0; i < action->batch.count; i++)
        add_write(disk, &action->batch.writes[i]);
    if (disk->batch_count == disk->batch_capacity) {
        disk->batch_capacity = disk->batch_capacity ? 2 * disk->batch_capacity : 16;
        disk->batches = base_realloc(disk->batches, disk->batch_capacity * sizeof *disk->batches);
    }
    disk->batches[disk->batch_count++] = action->batch;
    action->batch = (struct batch){0};
    disk_waiters_add(&disk->written, waiter);
    if (disk->bytes >= BATCH_BYTES_MAX)
        disk_flush(disk);
}

void disk_flush(struct disk *disk)
{
    int status = 0;
    if (disk->written.first == disk->written.count)
        return;
    if (disk->write_count > 0) {
        status = disk->store->ops->write(disk->store, disk->writes, disk->write_count);
        if (status < 0) {
            driver_log(disk->driver, 0, "the store could not write: %s", strerror(-status));
            disk->checked_us = 0;
        } else {
            disk_soil(disk);
        }
    }
    forget_pending(disk);
    for (; disk->written.first < disk->written.count; disk->written.first++) {
        struct disk_waiter waiter = disk->written.items[disk->written.first];
        waiter.status = status;
        disk_waiters_add(waiter.durable && status == 0 ? &disk->unsynced : &disk->done, waiter);
    }
    disk_sync_wanted(disk);
}

bool disk_deliver(struct disk *disk)
{
    bool any = false;
    while (disk->done.first < disk->done.count) {
        struct disk_waiter waiter = disk->done.items[disk->done.first++];
        any = true;
        if (waiter.resume.fn != NULL)
            driver_event(disk->driver, &(struct core_event){.type = EVENT_COMMITTED,
                                                            .resume = waiter.resume,
                                                            .status = waiter.status});
    }
    return any;
}

/* ---- loads and scans ---- */

static void copy_value(void *arg, struct toystore_bytes value)
{
    struct blob **ret = arg;
    *ret = blob_copy(slice_of(value.data, value.size));
}

static int load(struct disk *disk, enum toystore_space space, struct slice key,
                struct blob **ret_value)
{
    const struct toystore_write *pending = find_pending(disk, space, key);
    if (pending != NULL && pending->remove)
        return -ENOENT;
    if (pending != NULL) {
        copy_value(ret_value, pending->value);
        return 0;
    }
    if (disk->store == NULL)
        return -ENOENT;
    return disk->store->ops->get(disk->store, space, (struct toystore_bytes){key.data, key.size},
                                 copy_value, ret_value);
}

void disk_load_action(struct disk *disk, const struct action *action)
{
    struct core_event event = {.type = EVENT_LOADED, .resume = action->resume};
    event.status = load(disk, action->space, blob_slice(action->key), &event.bytes);
    driver_event(disk->driver, &event);
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

void disk_scan_action(struct disk *disk, const struct action *action)
{
    struct scan scan = {.limit = action->limit};
    struct slice from = blob_slice(action->key), to = blob_slice(action->end);
    struct core_event event = {.type = EVENT_SCANNED, .resume = action->resume};
    disk_flush(disk); /* a scan sees what was committed before it */
    scan.pairs = base_alloc(scan.limit * sizeof *scan.pairs);
    if (disk->store != NULL)
        event.status = disk->store->ops->scan(
            disk->store, action->space, (struct toystore_bytes){from.data, from.size},
            (struct toystore_bytes){to.data, to.size}, add_pair, &scan);
    event.pairs = scan.pairs;
    event.pair_count = scan.count;
    event.more = scan.more;
    driver_event(disk->driver, &event);
    free(scan.pairs);
    arena_free(&scan.arena);
}
