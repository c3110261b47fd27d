/* collect_drop: what is collected leaves this owner's disk: tombstones and promises of an older era
 * than the partition was collected in. The index of graves names them; each key is looked at in its
 * turn. Cut short, the next collection finds what is left.
 * Enters from collect_serve.c; leaves to replica_run. */
#include "core/collect/collect_priv.h"
#include "core/view/view.h"

static void next_page(struct core *core);

/* The record goes when it is of an older era; a promise of this one stays without it. */
static void drop_collected(struct core *core, struct replica_work *work)
{
    static const struct ballot none;
    static const struct record nothing;
    struct era collected = view_partition(core, core->collect->drop_partition)->collected;
    struct grave record = grave_of(work->key, &none, &work->record);
    bool old = record.kind == GRAVE_TOMBSTONE && era_compare(record.era, collected) < 0;
    bool empty = !work->record.has_register && work->record.sloppy_count == 0;
    bool promise_old =
        era_compare(work->entry.promised.era, collected) < 0 || BROKEN(core, collect_promises);
    work->drop = (old || empty) && promise_old;
    if (old && !promise_old) {
        work->write = true;
        work->record = nothing;
        work->entry.settled = false;
    }
    core->collect->collected += old;
}

static void drop_work(struct core *core, struct replica_work *work)
{
    struct collect *collect = core->collect;
    struct era now = view_era(view_of(core, collect->drop_partition));
    if (work->damaged)
        return; /* it is taken from others first */
    if (view_partition(core, collect->drop_partition)->mute) {
        collect->drop_failed = true;
        return;
    }
    work->write = work->forgot;
    drop_collected(core, work);
    struct grave grave = grave_of(work->key, &work->entry.promised, &work->record);
    if (work->drop)
        return;
    if (grave.kind == GRAVE_NONE) {
        struct grave stale = {GRAVE_TOMBSTONE, {0}};
        grave_write(core, work->key, &stale, &grave, &work->batch);
    } else if (grave.kind == GRAVE_COVERED) {
        collect->drop_kept.covered++;
    } else if (era_compare(grave.era, now) >= 0) {
        collect->drop_kept.fresh++;
    } else {
        collect->drop_kept.old++;
    }
}

static void drop_done(struct core *core, struct replica_work *work)
{
    core->collect->drop_failed |= work->status != 0;
    if (--core->collect->drops_open == 0)
        next_page(core);
}

void collect_drop_step(struct core *core)
{
    struct collect *collect = core->collect;
    /* Behind the last one: where something cannot go for long, the others need not wait for it. */
    for (uint32_t i = 1; i <= collect->partition_count && !collect->dropping; i++) {
        uint32_t p = (collect->drop_partition + i) % collect->partition_count;
        const struct partition *partition = view_partition(core, p);
        if (!collect->to_drop[p] || partition->mute)
            continue;
        collect->to_drop[p] = false;
        if (partition->collected.layout == 0) /* never yet */
            continue;
        collect->dropping = collect->drop_more = true;
        collect->drop_failed = false;
        collect->drop_partition = p;
        collect->drop_kept = (struct grave_counts){0};
        blob_unref(&collect->drop_after);
        next_page(core);
    }
}

static void page_scanned(struct core *core, const struct core_event *event, struct resume resume)
{
    struct collect *collect = core->collect;
    (void)resume;
    collect->drop_more = event->status == 0 && event->more;
    collect->drop_failed |= event->status != 0;
    collect->drops_open = 1;
    for (size_t i = 0; event->status == 0 && i < event->pair_count; i++) {
        struct slice key;
        struct grave grave;
        if (!grave_pair(event->pairs[i].key, event->pairs[i].value, &key, &grave))
            continue;
        blob_unref(&collect->drop_after);
        collect->drop_after = blob_copy(key);
        collect->drops_open++;
        replica_run(core, key, drop_work, drop_done, 0, 0);
    }
    if (--collect->drops_open == 0)
        next_page(core);
}

static void next_page(struct core *core)
{
    struct collect *collect = core->collect;
    if (collect->drop_more) {
        grave_scan(core, collect->drop_partition, blob_slice(collect->drop_after),
                   resume_to(page_scanned, 0, 0));
        return;
    }
    core_log(core, LOG_DEBUG, "partition %u was collected in era %u.%u, %llu keys so far",
             collect->drop_partition,
             view_partition(core, collect->drop_partition)->collected.layout,
             view_partition(core, collect->drop_partition)->collected.epoch,
             (unsigned long long)collect->collected);
    /* Also where something has not gone: who reads it leaves it out (record_take). */
    if (!collect->to_drop[collect->drop_partition]) /* else it heard of another one meanwhile */
        view_partition(core, collect->drop_partition)->forgets = false;
    if (collect->drop_failed)
        collect->to_drop[collect->drop_partition] = true;
    else
        grave_counted(core, collect->drop_partition, &collect->drop_kept);
    view_wake(core);
    collect->dropping = false; /* the next one at the next step at the latest */
    if (!collect->drop_failed)
        collect_drop_step(core);
}

void collect_drop(struct core *core, uint32_t partition)
{
    struct collect *collect = core->collect;
    collect->to_drop[partition] = true;
    collect_drop_step(core);
}
