/* disk_sync: makes what was written survive a power loss, on the thread pool: at once for durable
 * commits, one sync serving all that wait, and every second for the others.
 *
 * Enters from io/disk.c; leaves to the store, and to io/disk.c with commits that are done. */
#include "io/disk.h"

#include <stdlib.h>

static void begin_sync(struct disk *disk);

static void on_second(uv_timer_t *timer)
{
    begin_sync(timer->data);
}

void disk_sync_init(struct disk *disk)
{
    uv_timer_init(&disk->driver->loop, &disk->sync_timer);
    disk->sync_timer.data = disk;
}

/* Something was written: within a second it will be synced. */
void disk_soil(struct disk *disk)
{
    disk->dirty = true;
    if (!uv_is_active((uv_handle_t *)&disk->sync_timer))
        uv_timer_start(&disk->sync_timer, on_second, SYNC_INTERVAL_MS, 0);
}

void disk_sync_wanted(struct disk *disk)
{
    if (disk->unsynced.first < disk->unsynced.count)
        begin_sync(disk);
}

static void on_work(uv_work_t *work)
{
    struct disk *disk = container_of(work, struct disk, work);
    disk->sync_status = disk->store->ops->sync(disk->store);
}

static void on_synced(uv_work_t *work, int status)
{
    struct disk *disk = container_of(work, struct disk, work);
    (void)status; /* it is never cancelled */
    disk->sync_running = false;
    if (disk->sync_status < 0) {
        driver_log(disk->driver, 0, "the store could not be synced: %s",
                   strerror(-disk->sync_status));
        disk_soil(disk);
    }
    for (; disk->syncing.first < disk->syncing.count; disk->syncing.first++) {
        struct disk_waiter waiter = disk->syncing.items[disk->syncing.first];
        waiter.status =
            disk->sync_status == 0 || disk->sync_status == -ENOSPC ? disk->sync_status : -EIO;
        disk_waiters_add(&disk->done, waiter);
    }
    if (!disk->driver->closing)
        disk_sync_wanted(disk);
}

static void begin_sync(struct disk *disk)
{
    bool waiting = disk->unsynced.first < disk->unsynced.count;
    if (disk->sync_running || (!waiting && !disk->dirty))
        return; /* those who wait are served by the next one */
    struct disk_waiters empty = disk->syncing;
    disk->syncing = disk->unsynced;
    disk->unsynced = empty;
    disk->dirty = false;
    disk->sync_running = true;
    uv_timer_stop(&disk->sync_timer);
    uv_queue_work(&disk->driver->loop, &disk->work, on_work, on_synced);
}

bool disk_busy(const struct disk *disk)
{
    return disk->sync_running || disk->unsynced.first < disk->unsynced.count ||
           disk->done.first < disk->done.count || disk->write_count > 0;
}

void disk_close(struct disk *disk)
{
    disk_flush(disk);
    if (disk->store != NULL && disk->dirty && disk->store->ops->sync(disk->store) < 0)
        driver_log(disk->driver, 0, "the store could not be synced at the end");
    disk->dirty = false;
}

void disk_free(struct disk *disk)
{
    free(disk->writes);
    free(disk->batches);
    map_free(&disk->pending);
    buf_free(&disk->name);
    free(disk->written.items);
    free(disk->done.items);
    free(disk->unsynced.items);
    free(disk->syncing.items);
    if (disk->store != NULL)
        disk->store->ops->close(disk->store);
}
