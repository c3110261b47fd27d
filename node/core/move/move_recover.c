/* move_recover: an owner that forgot something is mute until it has recovered (PROTOCOL 7
 * Forgetting): it asks what epochs the others have noted, raises them, and holds from those that
 * noted it (move_hold.c). Many partitions go in one round of messages.
 * Enters from boot and replica (what was forgotten) and the step of move; leaves to METHOD_RAISE
 * and hold_begin. */
#include <stdlib.h>

#include "core/move/move_priv.h"
#include "core/replica/replica.h"

/* What one other owner said about one partition. */
enum said { SAID_NOTHING, SAID_MUTE, SAID_FINE };

/* One mute partition in a round. */
struct patient {
    uint32_t partition;
    struct view view; /* what the electorate is of */
    struct electorate electorate;
    enum hold_mode mode;
    uint32_t fine, mute; /* masks: what the other owners said */
    uint32_t sources;    /* who must note the epoch and give; 0 with nobody else to ask */
    uint32_t noted;      /* those of them that have noted it */
    uint32_t highest;    /* epoch that any of them had noted when asked */
    bool ready;          /* sources are known */
    unsigned met;        /* bits of layouts: F of the sources there are not mute */
};

/* A round: first everybody is asked (epoch 0), then the sources are told the epoch. */
struct recover {
    struct patient *patients;
    uint32_t count;
    bool raising;
    unsigned open; /* calls, and one while they are being sent */
};

static void round_next(struct core *core);

/* ---- asking ---- */

static void said(struct core *core, struct patient *patient, node_id from,
                 const struct raise_item *item)
{
    int index = electorate_index(&patient->electorate, from);
    uint32_t *target = &core->move->targets[patient->partition];
    if (index < 0)
        return;
    uint32_t bit = (uint32_t)1 << index;
    if (core->move->recover->raising) {
        if (item->epoch == *target)
            patient->noted |= bit;
        *target = (uint32_t)max_u64(*target, item->epoch);
        return;
    }
    *(item->mute ? &patient->mute : &patient->fine) |= bit;
    patient->highest = (uint32_t)max_u64(patient->highest, item->epoch);
}

static void answered(struct core *core, uint64_t handle, uint64_t index,
                     const struct rpc_answer *answer)
{
    struct recover *recover = core->move->recover;
    struct raise_reply reply;
    (void)handle;
    (void)index;
    if (answer->status == TOYSTORE_OK && raise_reply_decode(answer->result, &reply) &&
        reply.status == TOYSTORE_OK) {
        struct cursor cursor = cursor_of(reply.items.items);
        struct raise_item item;
        uint32_t at = 0; /* both lists are in the order of partitions */
        for (uint32_t i = 0; i < reply.items.count && raise_item_read(&cursor, &item); i++) {
            while (at < recover->count && recover->patients[at].partition < item.partition)
                at++;
            if (at < recover->count && recover->patients[at].partition == item.partition)
                said(core, &recover->patients[at], answer->from, &item);
        }
    }
    if (--recover->open == 0)
        round_next(core);
}

static bool asked(const struct recover *recover, const struct patient *patient, node_id id)
{
    int index = electorate_index(&patient->electorate, id);
    return index >= 0 && (!recover->raising || (patient->sources >> index & 1) != 0);
}

static void ask_member(struct core *core, node_id id)
{
    struct recover *recover = core->move->recover;
    struct buf items = {0};
    uint32_t count = 0;
    for (uint32_t i = 0; i < recover->count; i++) {
        const struct patient *patient = &recover->patients[i];
        if (!asked(recover, patient, id))
            continue;
        uint32_t epoch = recover->raising ? core->move->targets[patient->partition] : 0;
        raise_item_encode(&items,
                          &(struct raise_item){.partition = patient->partition, .epoch = epoch});
        count++;
    }
    if (count != 0) {
        recover->open++;
        rpc_call(core, id, METHOD_RAISE,
                 RPC_PARAMS(raise_request, {.layout = view_newest(core)->number,
                                            .items = {count, buf_slice(&items)}}),
                 REPLICA_TIMEOUT_MS, answered, 0, 0);
    }
    buf_free(&items);
}

static void ask_layout(struct core *core, const struct layout *layout, const struct layout *but)
{
    for (size_t i = 0; i < layout->member_count; i++) {
        node_id id = layout->members[i].id;
        if (id != core->id && !layout->members[i].gone && (!but || !layout_find(but, id)))
            ask_member(core, id);
    }
}

static void own_noted(struct core *core, const struct core_event *event, struct resume resume)
{
    (void)event;
    (void)resume;
    if (--core->move->recover->open == 0)
        round_next(core);
}

/* This node notes the raised epochs too, fsynced, before it holds. */
static void note_own(struct core *core)
{
    struct recover *recover = core->move->recover;
    struct view_epoch *epochs = base_alloc((recover->count + 1) * sizeof *epochs);
    size_t count = 0;
    for (uint32_t i = 0; i < recover->count; i++)
        if (recover->patients[i].ready)
            epochs[count++] =
                (struct view_epoch){recover->patients[i].partition,
                                    core->move->targets[recover->patients[i].partition]};
    recover->open++;
    view_raise_many(core, epochs, count, resume_to(own_noted, 0, 0));
    free(epochs);
}

static void ask_all(struct core *core)
{
    struct recover *recover = core->move->recover;
    const struct layout *oldest = view_oldest(core), *newest = view_newest(core);
    recover->open = 1;
    if (recover->raising)
        note_own(core);
    ask_layout(core, newest, NULL);
    if (oldest != newest)
        ask_layout(core, oldest, newest);
    if (--recover->open == 0)
        round_next(core);
}

/* ---- judging ---- */

static unsigned bits(uint32_t mask)
{
    return (unsigned)__builtin_popcount(mask);
}

/* From whom it recovers in one live layout: all that can give, at least F; false: it has to wait
 * for more owners. */
static bool choose_sources(struct core *core, struct patient *patient, unsigned at)
{
    const struct electorate *electorate = &patient->electorate;
    uint32_t mask = electorate->layouts[at].mask;
    const struct layout *layout = view_layout(core, electorate->layouts[at].number);
    int self = electorate_index(electorate, core->id);
    uint32_t self_bit = self >= 0 ? (uint32_t)1 << self & mask : 0;
    unsigned n = electorate->layouts[at].n, gone = 0;
    for (unsigned i = 0; i < electorate->member_count; i++)
        gone += (mask >> i & 1) != 0 && layout_find(layout, electorate->members[i])->gone;
    uint32_t others = mask & ~self_bit;
    unsigned wanted = (unsigned)min_u64(electorate->layouts[at].f, bits(others));
    if (wanted > 0 && bits(patient->fine & mask) >= wanted) {
        patient->sources |= patient->fine & mask;
        patient->met |= 1u << at;
        return true;
    }
    uint32_t answering = (patient->fine | patient->mute | self_bit) & mask;
    unsigned mute = bits((patient->mute | self_bit) & mask) + gone;
    unsigned majority = n / 2 + 1;
    unsigned needed = n - majority + 1;
    /* Too few are left to be F others, though a majority is not mute (two of four): those that are
     * mute would wait for each other for ever. Then everybody has to give. */
    if (mute < majority)
        needed = n - mute < wanted ? n - gone : UINT32_MAX;
    if (bits(answering) < needed)
        return false;
    patient->mode = HOLD_SALVAGE;
    patient->sources |= answering & ~self_bit;
    return true;
}

static void judge(struct core *core, struct patient *patient)
{
    uint32_t *target = &core->move->targets[patient->partition];
    uint32_t own = view_of(core, patient->partition).epoch;
    patient->ready = true;
    patient->mode = HOLD_RECOVER;
    for (unsigned i = 0; i < patient->electorate.layout_count; i++)
        patient->ready = choose_sources(core, patient, i) && patient->ready;
    if (!patient->ready)
        return;
    /* One more than anybody has noted, the first time; later, whatever others raised meanwhile is
     * above what was forgotten, too. */
    uint32_t highest = (uint32_t)max_u64(own, patient->highest);
    if (BROKEN(core, raise_skipped))
        *target = highest;
    else
        *target = *target == 0 ? highest + 1 : (uint32_t)max_u64(*target, highest);
}

static void round_end(struct core *core)
{
    struct move *move = core->move;
    free(move->recover->patients);
    free(move->recover);
    move->recover = NULL;
    move->recover_at_us = core->now_us + RECOVER_RETRY_MS * 1000;
}

static void round_next(struct core *core)
{
    struct move *move = core->move;
    struct recover *recover = move->recover;
    if (!recover->raising) {
        for (uint32_t i = 0; i < recover->count; i++)
            judge(core, &recover->patients[i]);
        for (uint32_t i = 0; i < recover->count; i++)
            if (!recover->patients[i].ready)
                recover->patients[i].sources = 0;
        recover->raising = true;
        ask_all(core);
        return;
    }
    for (uint32_t i = 0; i < recover->count; i++) {
        struct patient *patient = &recover->patients[i];
        uint32_t partition = patient->partition;
        struct view now = view_of(core, partition);
        bool same = now.oldest == patient->view.oldest && now.newest == patient->view.newest;
        if (patient->ready && same && patient->noted == patient->sources &&
            now.epoch == move->targets[partition])
            move->approvals[partition] =
                (struct approval){now, patient->mode, patient->sources, patient->met};
    }
    round_end(core);
    move_hold(core);
}

/* Sources are named by their place in the electorate, so for one view only. */
bool move_approved(const struct core *core, uint32_t partition)
{
    const struct view *then = &core->move->approvals[partition].view;
    struct view now = view_of(core, partition);
    return then->oldest == now.oldest && then->newest == now.newest && then->epoch == now.epoch;
}

static bool is_patient(struct core *core, uint32_t partition)
{
    return view_partition(core, partition)->mute && view_owner(core, partition, core->id) &&
           core->move->not_before_us[partition] <= core->now_us && !move_approved(core, partition);
}

void move_recover(struct core *core)
{
    struct move *move = core->move;
    uint32_t count = view_partition_count(core);
    if (move->recover || core->now_us < move->recover_at_us || !core->config.storing)
        return;
    uint32_t patients = 0;
    for (uint32_t i = 0; i < count; i++)
        patients += is_patient(core, i);
    if (patients == 0)
        return;
    struct recover *recover = base_alloc(sizeof *recover);
    recover->patients = base_alloc(patients * sizeof *recover->patients);
    for (uint32_t i = 0; i < count; i++) {
        if (!is_patient(core, i))
            continue;
        struct patient *patient = &recover->patients[recover->count++];
        patient->partition = i;
        patient->view = view_of(core, i);
        view_electorate(core, i, 0, 0, &patient->electorate);
    }
    move->recover = recover;
    ask_all(core);
}

/* ---- what was forgotten ---- */

void move_forgot(struct core *core, struct batch *batch)
{
    for (uint32_t i = 0; i < view_partition_count(core); i++) {
        if (!view_owner(core, i, core->id))
            continue;
        view_partition(core, i)->mute = true;
        view_save_partition(core, i, batch);
    }
}

static void drop(struct core *core, struct replica_work *work)
{
    (void)core;
    work->drop = work->damaged;
}

static void dropped(struct core *core, struct replica_work *work)
{
    (void)core;
    (void)work;
}

void move_on_damage(struct core *core, struct slice key)
{
    uint32_t number = view_partition_of(core, key);
    uint32_t layout = view_layout_of_key(key);
    if (layout != 0) {
        /* A layout that is known here was chosen; nobody asks for its key any more. One that is
         * not yet chosen stays UNKNOWN until the others have chosen it. */
        if (layout <= view_newest(core)->number)
            replica_run(core, key, drop, dropped, 0, 0);
        return;
    }
    struct partition *partition = view_partition(core, number);
    struct electorate electorate;
    view_electorate_key(core, key, 0, 0, &electorate);
    if (core->move->damaged.count < DAMAGED_MAX)
        map_put(&core->move->damaged, key, core);
    if (partition->mute || electorate.member_count < 2 || !view_owner(core, number, core->id))
        return; /* alone there is nobody to take it from: UNKNOWN until it is replaced */
    core_log(core, LOG_WARNING, "partition %u recovers from the other owners", number);
    struct batch batch = {0};
    partition->mute = true;
    view_save_partition(core, number, &batch);
    disk_commit(core, &batch, true, (struct resume){0});
    core->move->version++;
    move_wake(core);
}

void move_recover_free(struct move *move)
{
    if (move->recover)
        free(move->recover->patients);
    free(move->recover);
    map_free(&move->damaged);
    free(move->targets);
    free(move->approvals);
}
