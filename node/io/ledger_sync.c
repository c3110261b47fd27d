/* ledger_sync: makes what was written survive a power loss, on the thread pool: at once for durable
 * commits, one sync serving all that wait, and every second for the log of the others.
 *
 * Enters from io/ledger.c; leaves to the store, and to io/ledger.c with commits that are done. */
#include "io/ledger.h"

#include <stdlib.h>

static void begin_sync(struct ledger *ledger);

static void on_second(uv_timer_t *timer)
{
    begin_sync(timer->data);
}

void ledger_sync_init(struct ledger *ledger)
{
    uv_timer_init(&ledger->driver->loop, &ledger->sync_timer);
    ledger->sync_timer.data = ledger;
}

/* The timer for what is not synced yet: the log within a second, values within half a minute. */
static void arm(struct ledger *ledger)
{
    uint64_t since_ms = uv_hrtime() / 1000000 - ledger->values_synced_ms;
    uint64_t wait_ms =
        ledger->dirty ? SYNC_INTERVAL_MS : SYNC_VALUES_MS - min_u64(since_ms, SYNC_VALUES_MS);
    if (!ledger->dirty && !ledger->values_dirty)
        return;
    if (!uv_is_active((uv_handle_t *)&ledger->sync_timer) ||
        uv_timer_get_due_in(&ledger->sync_timer) > wait_ms)
        uv_timer_start(&ledger->sync_timer, on_second, wait_ms, 0);
}

/* Something was written. */
void ledger_soil(struct ledger *ledger)
{
    ledger->dirty = ledger->values_dirty = true;
    arm(ledger);
}

void ledger_sync_wanted(struct ledger *ledger)
{
    if (ledger->unsynced.first < ledger->unsynced.count)
        begin_sync(ledger);
}

static void on_work(uv_work_t *work)
{
    struct ledger *ledger = container_of(work, struct ledger, work);
    const struct toystore_store_ops *ops = ledger->store->ops;
    ledger->sync_status =
        ledger->sync_log ? ops->sync_log(ledger->store) : ops->sync(ledger->store);
}

static void on_synced(uv_work_t *work, int status)
{
    struct ledger *ledger = container_of(work, struct ledger, work);
    (void)status; /* it is never cancelled */
    ledger->sync_running = false;
    if (ledger->sync_status < 0) {
        ledger_complain(ledger, "the store could not be synced", ledger->sync_status);
        ledger_soil(ledger);
    }
    for (; ledger->syncing.first < ledger->syncing.count; ledger->syncing.first++) {
        struct ledger_waiter waiter = ledger->syncing.items[ledger->syncing.first];
        waiter.status =
            ledger->sync_status == 0 || ledger->sync_status == -ENOSPC ? ledger->sync_status : -EIO;
        ledger_waiters_add(&ledger->done, waiter);
    }
    if (ledger->driver->closing)
        return;
    ledger_sync_wanted(ledger);
    arm(ledger);
}

/* Is the log enough this time? Nobody waits for more, and values are not due. */
static bool log_is_enough(const struct ledger *ledger, bool waiting)
{
    uint64_t since_ms = uv_hrtime() / 1000000 - ledger->values_synced_ms;
    return !waiting && ledger->store->ops->sync_log != NULL && since_ms < SYNC_VALUES_MS;
}

static void begin_sync(struct ledger *ledger)
{
    bool waiting = ledger->unsynced.first < ledger->unsynced.count;
    if (ledger->sync_running || (!waiting && !ledger->dirty && !ledger->values_dirty))
        return; /* those who wait are served by the next one */
    struct ledger_waiters empty = ledger->syncing;
    ledger->syncing = ledger->unsynced;
    ledger->unsynced = empty;
    ledger->dirty = false;
    ledger->sync_running = true;
    ledger->sync_log = log_is_enough(ledger, waiting);
    if (!ledger->sync_log) {
        ledger->values_dirty = false;
        ledger->values_synced_ms = uv_hrtime() / 1000000;
    }
    uv_timer_stop(&ledger->sync_timer);
    uv_queue_work(&ledger->driver->loop, &ledger->work, on_work, on_synced);
}

bool ledger_busy(const struct ledger *ledger)
{
    return ledger->sync_running || ledger->unsynced.first < ledger->unsynced.count ||
           ledger->done.first < ledger->done.count || !list_empty(&ledger->groups);
}

void ledger_close(struct ledger *ledger)
{
    ledger_flush_all(ledger);
    if (ledger->store != NULL && (ledger->dirty || ledger->values_dirty) &&
        ledger->store->ops->sync(ledger->store) < 0)
        driver_log(ledger->driver, 0, "the store could not be synced at the end");
    ledger->dirty = ledger->values_dirty = false;
}
