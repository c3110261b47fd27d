/* move_take: the records of a hold (PROTOCOL 7). A hold is a read: F owners are at least maj, so a
 * register of an older era that all sources show cannot lose any more. Where they differ, nobody
 * knows yet, and a copy of it, here or with a newcomer, would count like an acceptance of what was
 * never accepted here: so it is settled by a round in the present view. What is of the present era
 * is taken by store(), this owner's own promises decide; REFUSED: settled by a round too.
 *
 * Whose own copy is no source's (`strict`: a newcomer, or an owner that forgot) first takes one
 * source's as it is, and compares that with the others' (move_hold.c asks them one, then all). A
 * mute owner makes no rounds: the source does, or nobody where all other owners give (`all_asked`).
 *
 * Enters from sync (a key differs); leaves to replica_run, coord_settle, REPAIR, and back by
 * sync_next. */
#include <stdlib.h>

#include "core/coord/coord.h"
#include "core/move/move_hold.h"
#include "core/replica/replica_priv.h"
#include "core/replica/sync.h"
#include "rules/key.h"

static void take_end(struct core *core, struct take *take)
{
    uint64_t sync = take->sync;
    blob_unref(&take->frame);
    pool_delete(&core->move->takes, take->self);
    sync_next(core, sync);
}

static void take_settled(struct core *core, uint64_t handle, uint64_t index,
                         enum toystore_status status)
{
    struct take *take = pool_get(&core->move->takes, handle);
    struct hold *hold = pool_get(&core->move->holds, take->hold);
    (void)index;
    if (hold && status != TOYSTORE_OK) {
        core_log(core, LOG_DEBUG, "partition %u: a record could not be settled: %s",
                 hold->partition, toystore_status_word(status));
        hold->failed = true;
    }
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

/* Owners of a live layout that are no sources: what they have accepted is not known. */
static uint32_t unasked(const struct core *core, const struct hold *hold, unsigned at)
{
    int self = electorate_index(&hold->electorate, core->id);
    uint32_t own = self >= 0 ? (uint32_t)1 << self : 0;
    return hold->electorate.layouts[at].mask & ~(hold->sources | own | hold_gone(core, hold));
}

/* Whoever could have accepted something else gives: nothing is above the highest. */
static bool all_asked(const struct core *core, const struct hold *hold)
{
    uint32_t mask = 0;
    for (unsigned i = 0; i < hold->electorate.layout_count; i++)
        mask |= unasked(core, hold, i);
    return hold->mode == HOLD_RECOVER && mask == 0;
}

/* No register is below every one. */
static int compare_registers(const struct record *a, const struct record *b)
{
    if (a->has_register && b->has_register)
        return ballot_compare(&a->reg.ballot, &b->reg.ballot);
    return (int)a->has_register - (int)b->has_register;
}

/* The sources do not agree on a register of an older era, of which nobody has said that it is
 * chosen. The own copy is a source's too: that of an owner that stays, or the first source's. */
static bool in_doubt(const struct core *core, const struct hold *hold, const struct take *take,
                     const struct replica_work *work, const struct record *theirs)
{
    if (hold->mode == HOLD_SALVAGE || key_is_immutable(work->key))
        return false;
    int order = compare_registers(&work->record, theirs);
    const struct ballot *highest = order > 0 ? &work->record.reg.ballot : &theirs->reg.ballot;
    bool settled = order > 0 ? work->entry.settled : take->settled;
    return order != 0 && !settled && era_compare(highest->era, hold->era) < 0 &&
           !all_asked(core, hold);
}

/* A newcomer is an owner and votes before it holds: what it has accepted in this layout, in
 * whatever epoch, is of no earlier time. Others may count on it, a round in which it has a voice
 * now included. */
static bool accepted_here(const struct hold *hold, const struct replica_work *work)
{
    return hold->mode == HOLD_TAKE && work->record.has_register &&
           work->record.reg.ballot.era.layout == hold->era.layout;
}

/* What a newcomer, or an owner that forgot, has from an earlier time is a base only: from here on
 * its copy is the first source's. Its promises of this era stay, and all sloppy puts. */
static void give_way(const struct hold *hold, struct replica_work *work,
                     const struct record *theirs)
{
    const struct reg *own = &work->record.reg;
    if (compare_registers(&work->record, theirs) <= 0 ||
        era_compare(own->ballot.era, hold->era) >= 0)
        return;
    work->record.has_register = false;
    work->record.reg = (struct reg){0};
    work->entry.settled = false;
    work->write = true;
    work->drop = !theirs->has_register && work->record.sloppy_count == 0 &&
                 theirs->sloppy_count == 0 && ballot_none(&work->entry.promised);
}

static void take_work(struct core *core, struct replica_work *work)
{
    struct take *take = pool_get(&core->move->takes, work->handle);
    struct hold *hold = pool_get(&core->move->holds, take->hold);
    struct record theirs = {0};
    take->status = TOYSTORE_OK;
    if (!hold)
        return;
    if (take->theirs.size != 0 &&
        record_take(&work->arena, take->theirs, view_collected(core, work->key), &theirs) != 0) {
        take->status = TOYSTORE_INVALID;
        return;
    }
    bool unknown = sync_unknown(take->theirs);
    if (unknown && !source_unknown(core, hold, work)) {
        source_damaged(hold, take);
        return;
    }
    if (unknown && hold->mode != HOLD_TAKE)
        suspect_get(hold, take->key)->unknown |= take->source;
    bool gone = replica_gone(core, hold->partition, work, &theirs);
    if (hold->mode != HOLD_TAKE && work->damaged && (gone || take->theirs.size == 0))
        suspect_get(hold, take->key)->lacking |= take->source;
    if (gone)
        return;
    if (key_is_immutable(work->key)) {
        if (take->theirs.size != 0)
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
    bool first = hold->strict && hold->given == 0 && !accepted_here(hold, work);
    bool doubt = !first && !unknown && in_doubt(core, hold, take, work, &theirs) &&
                 !BROKEN(core, hold_copies);
    if (first && !unknown && !work->damaged)
        give_way(hold, work, &theirs);
    take->status = replica_store(work, &promised, &theirs, take->settled, !doubt);
    take->doubt = doubt;
    if (doubt)
        take->seen = compare_registers(&work->record, &theirs) > 0 ? work->record.reg.ballot
                                                                   : theirs.reg.ballot;
}

/* ---- what is in doubt, or refused, is settled ---- */

static void repaired_work(struct core *core, struct replica_work *work)
{
    struct take *take = pool_get(&core->move->takes, work->handle);
    struct hold *hold = pool_get(&core->move->holds, take->hold);
    struct ballot none = {0};
    struct record record = {0};
    take->status = TOYSTORE_INVALID;
    if (hold &&
        record_take(&work->arena, take->repaired, view_collected(core, work->key), &record) == 0)
        take->status = replica_store(work, &none, &record, true, true);
}

static void repaired_done(struct core *core, struct replica_work *work)
{
    struct take *take = pool_get(&core->move->takes, work->handle);
    take_settled(core, work->handle, 0,
                 work->status == 0 ? take->status : replica_status(work->status));
}

static void repaired(struct core *core, uint64_t handle, uint64_t index,
                     const struct rpc_answer *answer)
{
    struct take *take = pool_get(&core->move->takes, handle);
    struct replica_reply reply = {.status = TOYSTORE_UNAVAILABLE};
    (void)index;
    if (answer->status == TOYSTORE_OK && !replica_reply_decode(answer->result, &reply))
        reply.status = TOYSTORE_INVALID;
    if (reply.status != TOYSTORE_OK || !pool_get(&core->move->holds, take->hold)) {
        take_settled(core, handle, 0,
                     reply.status != TOYSTORE_OK ? (enum toystore_status)reply.status
                                                 : TOYSTORE_UNAVAILABLE);
        return;
    }
    take->frame = blob_ref(answer->frame);
    take->repaired = reply.record;
    replica_run(core, take->key, repaired_work, repaired_done, handle, 0);
}

/* An owner that is mute makes no rounds: the source does, and tells what was chosen. */
static void settle(struct core *core, const struct hold *hold, struct take *take)
{
    if (hold->mode == HOLD_TAKE) {
        coord_settle(core, take->key, take_settled, take->self, 0);
        return;
    }
    node_id source = hold->electorate.members[__builtin_ctz(take->source)];
    rpc_call(
        core, source, METHOD_REPAIR,
        RPC_PARAMS(repair_request,
                   {.view = view_of(core, hold->partition), .key = take->key, .seen = take->seen}),
        REPLICA_TIMEOUT_MS, repaired, take->self, 0);
}

static void take_done(struct core *core, struct replica_work *work)
{
    struct take *take = pool_get(&core->move->takes, work->handle);
    struct hold *hold = pool_get(&core->move->holds, take->hold);
    bool open = take->doubt || take->status == TOYSTORE_REFUSED;
    if (hold && work->status == 0 && open && !BROKEN(core, move_drops)) {
        settle(core, hold, take);
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
    if (!hold || hold->failed) {
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

/* ---- the own damaged copies: will nobody show a whole one? ---- */

static void damaged_forget(struct core *core, struct slice key)
{
    map_remove(&core->move->damaged, key);
}

void suspects_free(struct map *suspects)
{
    MAP_EACH(entry, suspects)
    free(entry->value);
    map_free(suspects);
    *suspects = (struct map){0};
}

/* Its copy is damaged, and no source gave a whole one: will none come? Each must have said so: that
 * their trees do not differ says nothing, since the mark of the damage may not have been written
 * (a disk that was full). What was chosen in a layout, F sources of it show; but one whose own copy
 * is damaged shows nothing, and says nothing either. Then, and where there are not F, all others of
 * the layout must have been asked: who was not may have it. So a single owner that takes part in a
 * move has nobody to ask in the older layout. */
static bool suspect_is_lost(const struct core *core, const struct hold *hold,
                            const struct suspect *suspect)
{
    if ((hold->given & ~(suspect->lacking | suspect->unknown)) != 0)
        return false;
    bool none_shows = (hold->given & ~suspect->lacking) == 0 && !suspect->unknown;
    for (unsigned i = 0; i < hold->electorate.layout_count; i++)
        if (unasked(core, hold, i) != 0 && !((hold->met >> i & 1) != 0 && none_shows))
            return false;
    return true;
}

static void drop_work(struct core *core, struct replica_work *work)
{
    struct hold *hold = pool_get(&core->move->holds, work->handle);
    struct suspect *suspect = hold ? map_get(&hold->suspects, work->key) : NULL;
    if (!suspect)
        return;
    bool lost = work->damaged && suspect_is_lost(core, hold, suspect);
    if (!work->damaged || lost)
        damaged_forget(core, work->key);
    work->drop = lost;
    hold->failed = hold->failed || (work->damaged && !lost);
    if (lost)
        core_log(core, LOG_ERROR, "\"%.*s\" was damaged, and no other owner has it",
                 (int)min_size(work->key.size, 200), (const char *)work->key.data);
}

static void suspect_done(struct core *core, struct hold *hold)
{
    if (--hold->suspects_open != 0)
        return;
    if (hold->failed)
        hold_end(core, hold, HOLD_RETRY_MS);
    else
        hold_done(core, hold);
}

static void drop_done(struct core *core, struct replica_work *work)
{
    struct hold *hold = pool_get(&core->move->holds, work->handle);
    if (!hold)
        return;
    hold->failed = hold->failed || work->status != 0;
    suspect_done(core, hold);
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
    suspect_done(core, hold);
}
