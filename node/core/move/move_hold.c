/* move_hold: in every new era every owner takes each of its partitions from F owners (PROTOCOL 7
 * hold): hash trees find what differs, records are taken by store() (move_take.c), then they and
 * the fact of holding are fsynced and told. Enters from the step of move, from move_recover.c and
 * from sync; leaves to sync, the disk, and move_tell.c. */
#include <stdlib.h>

#include "core/move/move_hold.h"
#include "core/coord/lead.h"
#include "core/members/members.h"
#include "core/replica/sync.h"
#include "core/retire/retire.h"

/* ---- whom to take from ---- */

static unsigned bits(uint32_t mask)
{
    return (unsigned)__builtin_popcount(mask);
}

/* The layouts that F owners must be asked of. While two are live, those of the older; after a raise
 * the own layout's besides. Who comes late, when the layout before is finished, takes from F owners
 * of that, which keeps everything until everybody holds; or, where these are no more to be had,
 * from F of its own: these meet the q that hold. */
static void choose_electorate(struct core *core, struct hold *hold)
{
    uint32_t partition = hold->partition;
    const struct layout *newest = view_newest(core), *oldest = view_oldest(core);
    struct era held = view_partition(core, partition)->held;
    bool raised = held.layout != 0 && view_of(core, partition).epoch > held.epoch;
    hold->layouts_wanted = 1;
    if (oldest != newest) {
        electorate_init(&hold->electorate, oldest, newest, partition, 0, 0);
        hold->layouts_wanted = raised ? 3 : 1;
        if (BROKEN(core, hold_from_own) && raised)
            hold->layouts_wanted = 2;
        return;
    }
    const struct layout *before = view_layout(core, newest->number - 1);
    if (held.layout == newest->number || !before) {
        electorate_init(&hold->electorate, newest, newest, partition, 0, 0);
        return;
    }
    electorate_init(&hold->electorate, before, newest, partition, 0, 0);
    hold->layouts_wanted = raised ? 2 : 3;
    hold->any_layout = true;
}

/* Those that were removed for good: there is nothing to wait for. */
uint32_t hold_gone(const struct core *core, const struct hold *hold)
{
    uint32_t gone = 0;
    for (unsigned i = 0; i < hold->electorate.member_count; i++)
        if (gone_is(core, hold->electorate.members[i]))
            gone |= (uint32_t)1 << i;
    return gone;
}

/* How many of a layout's owners it takes from. Whose own copy is a base only does not count itself;
 * all the others, where they are fewer than F, meet every quorum of two owners or more. */
static unsigned wanted(const struct core *core, const struct hold *hold, unsigned at)
{
    uint32_t mask = hold->electorate.layouts[at].mask;
    int self = electorate_index(&hold->electorate, core->id);
    uint32_t own = self >= 0 ? (uint32_t)1 << self : 0;
    unsigned others = bits(mask & ~own & ~hold_gone(core, hold));
    unsigned f = hold->electorate.layouts[at].f;
    return hold->strict ? (unsigned)min_u64(f, others) : f;
}

static bool enough(const struct core *core, const struct hold *hold)
{
    bool stays = hold->mode == HOLD_TAKE && !hold->strict;
    if (BROKEN(core, hold_unasked) && stays)
        return true;
    (void)stays;
    if (hold->mode != HOLD_TAKE)
        return (hold->taken & hold->sources) == hold->sources;
    for (unsigned i = 0; i < hold->electorate.layout_count; i++) {
        bool met = bits(hold->taken & hold->electorate.layouts[i].mask) >= wanted(core, hold, i);
        if ((hold->layouts_wanted >> i & 1) != 0 && met == hold->any_layout)
            return met;
    }
    return !hold->any_layout;
}

/* Would this member bring a layout nearer to its F? */
static bool useful(const struct core *core, const struct hold *hold, unsigned member)
{
    uint32_t bit = (uint32_t)1 << member;
    if ((hold->tried & bit) != 0)
        return false;
    if (hold->mode != HOLD_TAKE)
        return (hold->sources & bit) != 0;
    for (unsigned i = 0; i < hold->electorate.layout_count; i++)
        if ((hold->layouts_wanted >> i & 1) != 0 && (hold->electorate.layouts[i].mask & bit) != 0 &&
            bits((hold->taken | hold->open) & hold->electorate.layouts[i].mask) <
                wanted(core, hold, i))
            return true;
    return false;
}

/* ---- one taking ---- */

void hold_end(struct core *core, struct hold *hold, unsigned again_ms)
{
    struct move *move = core->move;
    for (unsigned i = 0; i < hold->electorate.member_count; i++)
        if (hold->syncs[i] != 0)
            sync_cancel(core, hold->syncs[i]);
    move->not_before_us[hold->partition] = core->now_us + again_ms * 1000ull;
    /* Whom it may recover from is asked anew: one of them may have gone. */
    move->approvals[hold->partition] = (struct approval){0};
    suspects_free(&hold->suspects);
    pool_delete(&move->holds, hold->self);
}

static void taken_from(struct core *core, uint64_t handle, node_id from,
                       enum toystore_status status);

static void ask_sources(struct core *core, struct hold *hold)
{
    for (unsigned i = 0; i < hold->electorate.member_count; i++) {
        node_id id = hold->electorate.members[i];
        bool answers = hold->mode == HOLD_TAKE ? view_reachable(core, hold->partition, id)
                                               : rpc_reachable(core, id);
        if (id == core->id || !useful(core, hold, i) || !answers)
            continue;
        if (hold->strict && hold->given == 0 && hold->open != 0)
            return; /* the first alone: the others are compared with what it gave */
        hold->tried |= (uint32_t)1 << i;
        hold->open |= (uint32_t)1 << i;
        hold->syncs[i] =
            sync_start(core, hold->partition, id, 1, hold_differs, taken_from, hold->self);
    }
}

static void commit_held(struct core *core);

/* Everything is taken; what nobody showed has gone. */
void hold_done(struct core *core, struct hold *hold)
{
    struct move *move = core->move;
    if (move->held_count == move->held_capacity) {
        move->held_capacity = move->held_capacity ? move->held_capacity * 2 : 64;
        move->held = base_realloc(move->held, move->held_capacity * sizeof *move->held);
    }
    uint32_t partition = hold->partition;
    move->held[move->held_count++] =
        (struct view_held){partition, hold->era, hold->mode != HOLD_TAKE};
    if (hold->mode != HOLD_TAKE)
        move->targets[partition] = 0;
    hold_end(core, hold, 0);
    move->not_before_us[partition] = UINT64_MAX; /* until that is noted, however long it takes */
    commit_held(core);
    move_wake(core);
}

/* Found damaged, or forgotten, since it began: it must not count itself, as a taking does, and be
 * heard again when that is over. It recovers. */
static bool went_mute(struct core *core, const struct hold *hold)
{
    return hold->mode == HOLD_TAKE && view_partition(core, hold->partition)->mute;
}

static void hold_pump(struct core *core, struct hold *hold)
{
    if (era_compare(hold->era, view_era(view_of(core, hold->partition))) != 0 || hold->failed ||
        went_mute(core, hold)) {
        hold_end(core, hold, hold->failed ? HOLD_RETRY_MS : 0);
        return;
    }
    if (!enough(core, hold))
        ask_sources(core, hold);
    if (hold->open != 0)
        return;
    if (!enough(core, hold))
        hold_end(core, hold, HOLD_RETRY_MS);
    else
        hold_drop_suspects(core, hold);
}

static void taken_from(struct core *core, uint64_t handle, node_id from,
                       enum toystore_status status)
{
    struct hold *hold = pool_get(&core->move->holds, handle);
    if (!hold)
        return;
    int index = electorate_index(&hold->electorate, from);
    hold->syncs[index] = 0;
    hold->open &= ~((uint32_t)1 << index);
    bool given = (status == TOYSTORE_OK && (hold->damaged >> index & 1) == 0) ||
                 (status == TOYSTORE_MUTE && hold->mode == HOLD_SALVAGE);
    if (given && !retire_learned(core, from)) {
        hold->failed = true; /* it is telling this node the retired sessions, too */
    } else if (given) {
        hold->taken |= (uint32_t)1 << index;
        hold->given |= (uint32_t)1 << index;
    } else if (hold->mode != HOLD_TAKE) {
        hold->failed = true;
    }
    if (status == TOYSTORE_MUTE)
        view_note_mute(core, hold->partition, from);
    hold_pump(core, hold);
}

/* Has this node owned the partition without a break since it held it? Else what it has on disk from
 * an earlier time is a base only (PROTOCOL 7 hold): others may have deleted it meanwhile, and have
 * forgotten that. Of layouts that are not known here any more nothing is said. */
static bool owned_all_along(const struct core *core, const struct hold *hold, struct era held)
{
    const struct layout *newest = view_newest(core), *oldest = view_oldest(core);
    const struct layout *before = view_layout(core, newest->number - 1);
    if (held.layout == newest->number)
        return true;
    const struct layout *source = oldest != newest || !before ? oldest : before;
    if (!layout_owns(source, hold->partition, core->id))
        return false;
    for (uint32_t number = held.layout + 1; held.layout != 0 && number < source->number; number++) {
        const struct layout *layout = view_layout(core, number);
        if (layout && !layout_owns(layout, hold->partition, core->id))
            return false;
    }
    return true;
}

/* The approval is for those that recover. */
static void hold_begin(struct core *core, uint32_t partition, enum hold_mode mode,
                       const struct approval *approval)
{
    struct move *move = core->move;
    pool_handle handle;
    struct hold *hold = pool_new(&move->holds, &handle);
    assert(hold); /* move_hold counts */
    hold->self = handle;
    hold->partition = partition;
    hold->era = view_era(view_of(core, partition));
    hold->mode = mode;
    hold->sources = mode == HOLD_TAKE ? 0 : approval->sources;
    hold->met = mode == HOLD_TAKE ? 0 : approval->met;
    move->not_before_us[partition] = UINT64_MAX;
    if (mode == HOLD_TAKE)
        choose_electorate(core, hold);
    else
        view_electorate(core, partition, 0, 0, &hold->electorate);
    int self = electorate_index(&hold->electorate, core->id);
    bool stays = owned_all_along(core, hold, view_partition(core, partition)->held);
    hold->strict = mode == HOLD_RECOVER || (mode == HOLD_TAKE && !stays);
    if (self >= 0 && mode == HOLD_TAKE && !hold->strict)
        hold->taken |= (uint32_t)1 << self;
    hold_pump(core, hold);
}

/* ---- the fact of holding ---- */

static void held_noted(struct core *core, const struct core_event *event, struct resume resume)
{
    (void)event;
    (void)resume;
    struct move *move = core->move;
    for (size_t i = 0; i < move->noting_count; i++)
        move->not_before_us[move->noting[i].partition] = 0;
    move->committing = false;
    move->version++;
    commit_held(core);
    move_tell(core);
    move_check_finish(core);
    lead_on_member(core);
}

/* What becomes ready while one commit is under way goes together with the next. */
static void commit_held(struct core *core)
{
    struct move *move = core->move;
    if (move->committing || move->held_count == 0)
        return;
    move->committing = true;
    move->noting = base_realloc(move->noting, move->held_count * sizeof *move->noting);
    memcpy(move->noting, move->held, move->held_count * sizeof *move->noting);
    move->noting_count = move->held_count;
    move->held_count = 0;
    view_note_held(core, move->noting, move->noting_count, resume_to(held_noted, 0, 0));
}

static bool due(struct core *core, uint32_t partition)
{
    if (core->move->not_before_us[partition] > core->now_us || view_holds(core, partition))
        return false;
    if (view_partition(core, partition)->mute)
        return move_approved(core, partition);
    return layout_owns(view_newest(core), partition, core->id);
}

void move_hold(struct core *core)
{
    struct move *move = core->move;
    uint32_t count = view_partition_count(core);
    if (!core->config.storing || count == 0)
        return;
    for (uint32_t i = 0; i < count && move->holds.count < HOLDS_MAX; i++) {
        uint32_t partition = (move->cursor + i) % count;
        const struct approval *approval = &move->approvals[partition];
        if (!due(core, partition))
            continue;
        if (view_partition(core, partition)->mute)
            hold_begin(core, partition, approval->mode, approval);
        else
            hold_begin(core, partition, HOLD_TAKE, approval);
    }
}

void move_holds_init(struct move *move)
{
    pool_init(&move->holds, sizeof(struct hold), HOLDS_MAX);
    pool_init(&move->takes, sizeof(struct take), TAKES_MAX);
}

void move_holds_free(struct move *move)
{
    for (size_t i = 0; i < move->holds.capacity; i++)
        if (move->holds.objects[i])
            suspects_free(&((struct hold *)move->holds.objects[i])->suspects);
    for (size_t i = 0; i < move->takes.capacity; i++)
        if (move->takes.objects[i])
            blob_unref(&((struct take *)move->takes.objects[i])->frame);
    pool_free(&move->holds);
    pool_free(&move->takes);
    free(move->held);
    free(move->noting);
    free(move->not_before_us);
}
