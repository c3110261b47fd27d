/* view_raise: noting epochs of partitions, and that they are held, fsynced (PROTOCOL 7).
 * Enters from view_admit (a sender knew more), move (raise, recover); leaves to view_changed. */
#include <stdlib.h>

#include "core/view/view_priv.h"

static void raise_write(struct core *core, uint64_t handle);

static void raise_again(struct core *core, struct timer *timer)
{
    raise_write(core, timer->handle);
}

static void noted(struct core *core, const struct core_event *event, struct resume resume)
{
    struct views *views = core->views;
    struct raise *own = pool_get(&views->raises, resume.handle), raise = *own;
    own->again.handle = resume.handle;
    if (disk_again(core, event->status, &own->again, raise_again))
        return;
    pool_delete(&views->raises, resume.handle);
    if (event->status != 0) {
        free(raise.epochs);
        core_stop(core, event->status, "an epoch could not be written");
        return;
    }
    bool changed = false;
    for (size_t i = 0; i < raise.count; i++) {
        struct partition *partition = view_partition(core, raise.epochs[i].partition);
        if (raise.epochs[i].epoch <= partition->epoch)
            continue;
        partition->epoch = raise.epochs[i].epoch;
        changed = true;
    }
    free(raise.epochs);
    if (changed) {
        view_changed(core);
        view_wake(core);
    }
    if (raise.resume.fn)
        raise.resume.fn(core, event, raise.resume);
}

/* An epoch that is only being written is written again: whoever asks is answered after fsync. */
static void raise_write(struct core *core, uint64_t handle)
{
    struct views *views = core->views;
    const struct raise *raise = pool_get(&views->raises, handle);
    struct batch batch = {0};
    for (size_t i = 0; i < raise->count; i++) {
        const struct view_epoch *one = &raise->epochs[i];
        struct slot *slot = &views->slots[one->partition];
        if (one->epoch <= slot->now.epoch)
            continue;
        slot->epoch_coming = (uint32_t)max_u64(slot->epoch_coming, one->epoch);
        view_save_partition(core, one->partition, &batch);
    }
    disk_commit(core, &batch, true, resume_to(noted, handle, 0));
}

void view_raise_many(struct core *core, const struct view_epoch *epochs, size_t count,
                     struct resume resume)
{
    pool_handle handle;
    struct raise *raise = pool_new(&core->views->raises, &handle);
    assert(raise); /* bounded by the requests being served */
    raise->epochs = base_copy(epochs, count * sizeof *epochs);
    raise->count = count;
    raise->resume = resume;
    raise_write(core, handle);
}

void view_raise(struct core *core, uint32_t partition, uint32_t epoch, struct resume resume)
{
    view_raise_many(core, &(struct view_epoch){partition, epoch}, 1, resume);
}

/* ---- held ---- */

static void held_write(struct core *core, uint64_t handle);

static void held_again(struct core *core, struct timer *timer)
{
    held_write(core, timer->handle);
}

static void held(struct core *core, const struct core_event *event, struct resume resume)
{
    struct views *views = core->views;
    struct noting *own = pool_get(&views->notings, resume.handle), noting = *own;
    own->again.handle = resume.handle;
    if (disk_again(core, event->status, &own->again, held_again))
        return;
    pool_delete(&views->notings, resume.handle);
    if (event->status != 0)
        core_stop(core, event->status, "what is held could not be written");
    for (size_t i = 0; i < noting.count && event->status == 0; i++) {
        struct slot *slot = &views->slots[noting.held[i].partition];
        if (era_compare(slot->now.held, noting.held[i].era) < 0)
            slot->now.held = noting.held[i].era;
        if (slot->speaks_coming)
            slot->now.mute = slot->speaks_coming = false;
    }
    free(noting.held);
    if (noting.resume.fn)
        noting.resume.fn(core, event, noting.resume);
}

static void held_write(struct core *core, uint64_t handle)
{
    struct views *views = core->views;
    const struct noting *noting = pool_get(&views->notings, handle);
    struct batch batch = {0};
    for (size_t i = 0; i < noting->count; i++) {
        const struct view_held *one = &noting->held[i];
        struct slot *slot = &views->slots[one->partition];
        if (era_compare(slot->held_coming, one->era) < 0)
            slot->held_coming = one->era;
        view_save_partition(core, one->partition, &batch);
    }
    disk_commit(core, &batch, true, resume_to(held, handle, 0));
}

void view_note_held(struct core *core, const struct view_held *list, size_t count,
                    struct resume resume)
{
    pool_handle handle;
    struct noting *noting = pool_new(&core->views->notings, &handle);
    assert(noting); /* move has one under way */
    noting->held = base_copy(list, count * sizeof *list);
    noting->count = count;
    noting->resume = resume;
    for (size_t i = 0; i < count; i++) {
        struct slot *slot = &core->views->slots[list[i].partition];
        slot->speaks_coming = slot->now.mute && list[i].recovered;
    }
    held_write(core, handle);
}
