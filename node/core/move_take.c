/* move_take: the records of a hold (PROTOCOL 7): taken by store(); REFUSED: settled by a round in
 * the present view. Of its own registers, an owner that forgot and a newcomer keep those that a
 * source shows too: what was chosen, a source shows.
 * Enters from sync (a key differs); leaves to replica_run, coord_settle, and back by sync_next. */
#include <stdlib.h>

#include "rules/key.h"
#include "core/move_hold.h"
#include "core/replica_priv.h"

static void take_end(struct core *core, struct take *take)
{
    uint64_t sync = take->sync;
    pool_delete(&core->move->takes, take->self);
    sync_next(core, sync);
}

static void take_settled(struct core *core, uint64_t handle, uint64_t index,
                         enum toystore_status status)
{
    struct take *take = pool_get(&core->move->takes, handle);
    struct hold *hold = pool_get(&core->move->holds, take->hold);
    (void)index;
    if (hold && status != TOYSTORE_OK)
        hold->failed = true;
    take_end(core, take);
}

/* The source's copy is damaged. It finds that out by being asked, and is mute for the partition
 * from now on, if it owns it: whoever takes waits until it has recovered, takes from others, or
 * recovers from all that answer together with it. But where it is the only owner there was, nobody
 * has more than that. */
static bool source_unknown(struct core *core, struct hold *hold, const struct replica_work *work)
{
    bool only_one = hold->mode == HOLD_TAKE && hold->electorate.layouts[0].n == 1;
    if (only_one)
        core_log(core, LOG_ERROR, "\"%.*s\" is damaged, and there is no other owner",
                 (int)min_size(work->key.size, 200), (const char *)work->key.data);
    return only_one || hold->mode == HOLD_SALVAGE;
}

/* Of a hold others may be enough: one that owns the partition no more does not recover. */
static void source_damaged(struct hold *hold, const struct take *take)
{
    if (hold->mode == HOLD_TAKE)
        hold->damaged |= take->source;
    else
        hold->failed = true;
}

static struct suspect *suspect_get(struct hold *hold, struct slice key)
{
    struct suspect *suspect = map_get(&hold->suspects, key);
    if (!suspect) {
        suspect = base_alloc(sizeof *suspect);
        map_put(&hold->suspects, key, suspect);
    }
    return suspect;
}

/* One more source does not show the own register. */
static void suspect_add(struct hold *hold, const struct take *take, const struct ballot *ballot,
                        const struct record *theirs)
{
    struct suspect *suspect = suspect_get(hold, take->key);
    suspect->ballot = *ballot;
    suspect->lacking |= take->source;
    if (!theirs->has_register)
        return;
    struct arena arena = {0};
    struct record best = {0};
    if (!suspect->best || record_decode(&arena, blob_slice(suspect->best), &best) != 0 ||
        ballot_compare(&best.reg.ballot, &theirs->reg.ballot) < 0) {
        blob_unref(&suspect->best);
        suspect->best = blob_copy(take->theirs);
    }
    arena_free(&arena);
}

static void take_work(struct core *core, struct replica_work *work)
{
    struct take *take = pool_get(&core->move->takes, work->handle);
    struct hold *hold = pool_get(&core->move->holds, take->hold);
    struct record theirs = {0};
    take->status = TOYSTORE_OK;
    if (!hold)
        return;
    if (take->theirs.size != 0 && record_decode(&work->arena, take->theirs, &theirs) != 0) {
        take->status = TOYSTORE_INVALID;
        return;
    }
    bool unknown = sync_unknown(take->theirs);
    if (unknown && !source_unknown(core, hold, work)) {
        source_damaged(hold, take);
        return;
    }
    if (unknown && hold->mode != HOLD_TAKE)
        suspect_get(hold, take->key)->unknown = true;
    const struct reg *own = &work->record.reg;
    /* Immutable keys have no ballot that could lose: what a newcomer alone has of them may be the
     * only copy of what was acknowledged while too few owners could be reached. */
    bool older = work->record.has_register && !key_is_immutable(work->key) &&
                 era_compare(own->ballot.era, hold->era) < 0;
    if (hold->strict && older && !unknown &&
        (!theirs.has_register || ballot_compare(&theirs.reg.ballot, &own->ballot) < 0))
        suspect_add(hold, take, &own->ballot, &theirs);
    if (hold->mode != HOLD_TAKE && work->damaged && take->theirs.size == 0)
        suspect_add(hold, take, &(struct ballot){0}, &theirs);
    if (take->theirs.size == 0)
        return;
    if (replica_gone(core, hold->partition, work, &theirs))
        return;
    if (key_is_immutable(work->key)) {
        take->status = replica_immutable(work, take->theirs, NULL);
        return;
    }
    struct ballot promised = view_partition(core, hold->partition)->promised;
    if (hold->mode != HOLD_TAKE) {
        /* What it promised in an older era may be forgotten anyway; the sources have noted the new
         * one, so no ballot of an older era is accepted by a quorum any more. */
        promised = (struct ballot){0};
        if (era_compare(work->entry.promised.era, hold->era) < 0)
            work->entry.promised = promised;
    }
    take->status = replica_store(work, &promised, &theirs, take->settled, true);
}

static void take_done(struct core *core, struct replica_work *work)
{
    struct take *take = pool_get(&core->move->takes, work->handle);
    struct hold *hold = pool_get(&core->move->holds, take->hold);
    if (hold && take->status == TOYSTORE_REFUSED && !BROKEN(core, move_drops)) {
        coord_settle(core, take->key, take_settled, take->self, 0);
        return;
    }
    bool taken = take->status == TOYSTORE_OK ||
                 (take->status == TOYSTORE_REFUSED && BROKEN(core, move_drops));
    if (hold && (work->status != 0 || !taken)) {
        core_log(core, LOG_WARNING, "partition %u: a record could not be taken (%d, %d)",
                 hold->partition, work->status, (int)take->status);
        hold->failed = true;
    }
    take_end(core, take);
}

static uint32_t source_of(const struct hold *hold, uint64_t sync)
{
    for (unsigned i = 0; i < hold->electorate.member_count; i++)
        if (hold->syncs[i] == sync)
            return (uint32_t)1 << i;
    return 0;
}

void hold_differs(struct core *core, uint64_t sync, uint64_t handle, struct slice key,
                  struct slice theirs, bool theirs_settled)
{
    struct hold *hold = pool_get(&core->move->holds, handle);
    pool_handle self;
    bool own_matters = hold && (hold->strict || hold->mode == HOLD_SALVAGE || sync_unknown(theirs));
    if (!hold || hold->failed || (theirs.size == 0 && !own_matters)) {
        sync_next(core, sync);
        return;
    }
    struct take *take = pool_new(&core->move->takes, &self);
    if (!take) {
        hold->failed = true;
        sync_next(core, sync);
        return;
    }
    *take = (struct take){.self = self,
                          .hold = handle,
                          .sync = sync,
                          .source = source_of(hold, sync),
                          .key = key,
                          .theirs = theirs,
                          .settled = theirs_settled};
    replica_run(core, key, take_work, take_done, self, 0);
}

/* ---- strict: what nobody showed ---- */

static void damaged_forget(struct core *core, struct slice key)
{
    map_remove(&core->move->damaged, key);
}

static void suspect_free(struct suspect *suspect)
{
    blob_unref(&suspect->best);
    free(suspect);
}

void suspects_free(struct map *suspects)
{
    MAP_EACH(entry, suspects)
    suspect_free(entry->value);
    map_free(suspects);
    *suspects = (struct map){0};
}

/* Its copy is damaged, and no source gave a whole one: will none come? What was chosen in a layout,
 * F sources of it show; but one whose own copy is damaged shows nothing, and says nothing either.
 * Then, and where there are not F, all others of the layout must have been asked: who was not may
 * have it. So a single owner that takes part in a move has nobody to ask in the older layout. */
static bool suspect_is_lost(const struct core *core, const struct hold *hold,
                            const struct suspect *suspect)
{
    int self = electorate_index(&hold->electorate, core->id);
    uint32_t own = self >= 0 ? (uint32_t)1 << self : 0;
    bool none_shows = (hold->given & ~suspect->lacking) == 0 && !suspect->unknown;
    uint32_t known = hold->sources | own | hold_gone(core, hold);
    for (unsigned i = 0; i < hold->electorate.layout_count; i++) {
        uint32_t unasked = hold->electorate.layouts[i].mask & ~known;
        if (unasked != 0 && !((hold->met >> i & 1) != 0 && none_shows))
            return false;
    }
    return true;
}

static void drop_work(struct core *core, struct replica_work *work)
{
    struct hold *hold = pool_get(&core->move->holds, work->handle);
    struct suspect *suspect = hold ? map_get(&hold->suspects, work->key) : NULL;
    struct record best = {0};
    if (!suspect)
        return;
    bool lost = work->damaged && suspect_is_lost(core, hold, suspect);
    if (!work->damaged || lost)
        damaged_forget(core, work->key);
    if (work->damaged) {
        work->drop = lost;
        hold->failed = hold->failed || !work->drop;
        if (work->drop)
            core_log(core, LOG_ERROR, "\"%.*s\" was damaged, and no other owner has it",
                     (int)min_size(work->key.size, 200), (const char *)work->key.data);
        return;
    }
    if ((hold->given & ~suspect->lacking) != 0)
        return; /* it was damaged, and one of the sources gave what stands here now */
    if (!work->record.has_register ||
        ballot_compare(&work->record.reg.ballot, &suspect->ballot) != 0)
        return; /* something newer was taken meanwhile */
    if (suspect->best && record_decode(&work->arena, blob_slice(suspect->best), &best) != 0)
        return;
    work->record.has_register = best.has_register;
    work->record.reg = best.reg;
    work->entry.settled = false;
    work->write = true;
    if (!best.has_register && work->record.sloppy_count == 0)
        work->drop = true;
}

static void drop_done(struct core *core, struct replica_work *work)
{
    struct hold *hold = pool_get(&core->move->holds, work->handle);
    if (!hold)
        return;
    hold->failed = hold->failed || work->status != 0;
    if (--hold->suspects_open != 0)
        return;
    if (hold->failed)
        hold_end(core, hold, HOLD_RETRY_MS);
    else
        hold_done(core, hold);
}

/* Keys whose own copy is known to be damaged are looked at whatever the sources said: had one of
 * them been left damaged, the partition would have to recover again at once, for ever. */
static void add_damaged(struct core *core, struct hold *hold)
{
    MAP_EACH(entry, &core->move->damaged)
    {
        struct slice key = map_key(entry);
        if (hold->mode == HOLD_TAKE || view_partition_of(core, key) != hold->partition)
            continue;
        suspect_get(hold, key)->damaged = true;
    }
}

void hold_drop_suspects(struct core *core, struct hold *hold)
{
    add_damaged(core, hold);
    hold->suspects_open = 1;
    MAP_EACH(entry, &hold->suspects)
    {
        struct suspect *suspect = entry->value;
        if ((hold->given & ~suspect->lacking) != 0 && !suspect->damaged)
            continue;
        hold->suspects_open++;
        replica_run(core, map_key(entry), drop_work, drop_done, hold->self, 0);
    }
    if (--hold->suspects_open == 0)
        hold_done(core, hold);
}
