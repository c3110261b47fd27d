/* coord_accept: the accepts of a put, own first (PROTOCOL 3 and 4): the coordinator commits its
 * copy, then sends the others theirs all at once, answers at q and finishes the rest behind the
 * answer, with hints for owners that could not be reached. */
#include "core/coord/coord_put.h"
#include "core/replica/hint.h"
#include "core/view/view.h"

uint32_t put_self(const struct core *core, const struct coord_put *put)
{
    int index = electorate_index(&put->tally.electorate, core->id);
    return index < 0 ? 0 : 1u << index;
}

const struct ballot *put_promised(struct core *core, const struct coord_put *put,
                                  const struct replica_work *work)
{
    const struct ballot *all = &view_partition(core, put->partition)->promised;
    return ballot_compare(all, &work->entry.promised) > 0 ? all : &work->entry.promised;
}

uint32_t electorate_reachable(const struct core *core, uint32_t partition,
                              const struct electorate *electorate)
{
    uint32_t mask = 0;
    for (unsigned i = 0; i < electorate->member_count; i++)
        if (view_reachable(core, partition, electorate->members[i]))
            mask |= 1u << i;
    return mask;
}

uint32_t put_targets(struct core *core, struct coord_put *put, enum quorum quorum)
{
    const struct electorate *electorate = &put->tally.electorate;
    uint32_t mask = electorate_reachable(core, put->partition, electorate) | put_self(core, put);
    return electorate_has(electorate, mask, quorum) ? mask : electorate_all(electorate);
}

static bool enough(const struct core *core, const struct coord_put *put)
{
    if (BROKEN(core, quorum_write))
        return true;
    (void)core;
    const struct electorate *electorate = &put->tally.electorate;
    for (unsigned i = 0; i < electorate->layout_count; i++) {
        uint32_t in = put->accepted & electorate->layouts[i].mask;
        if ((unsigned)__builtin_popcount(in) < min_size(put->w, electorate->layouts[i].n))
            return false;
    }
    return electorate_has(electorate, put->accepted, QUORUM_ACCEPT);
}

bool put_alone(const struct coord_put *put)
{
    return put->tally.electorate.layout_count == 1 && put->tally.electorate.layouts[0].n == 1;
}

static void pack_accept(struct coord_put *put, const struct record *record)
{
    struct op_id on_behalf = {.sequence = 0};
    if (put->holds_op)
        on_behalf = put->put.op.id;
    struct buf bytes = {0};
    record_encode(&bytes, record);
    blob_unref(&put->record);
    put->record = buf_take(&bytes);
    blob_unref(&put->accept);
    put->accept = RPC_PARAMS(put_request, {.view = put->view,
                                           .key = put->key,
                                           .record = blob_slice(put->record),
                                           .on_behalf = on_behalf,
                                           .durable = put->durable,
                                           .leader = put->leading});
}

bool put_own_accept(struct core *core, struct coord_put *put, struct replica_work *work,
                    const struct record *record)
{
    assert(record->has_register);
    if (ballot_compare(put_promised(core, put, work), &put->ballot) > 0)
        return false;
    struct record before = work->record, old = before, accepted = *record;
    old.has_register = false;
    accepted.reg.ballot = put->ballot;
    record_merge(&work->arena, &old, &accepted, &work->record);
    work->entry.promised = put->ballot;
    work->entry.settled = put_alone(put);
    if (BROKEN(core, settles_joint) && put->tally.electorate.layouts[0].n == 1)
        work->entry.settled = true;
    if (BROKEN(core, sloppy_dropped))
        record_prune(&work->arena, &work->record);
    work->write = true;
    bool durable = put->durable && !BROKEN(core, durable_unsynced);
    work->durable = durable || key_is_durable(put->key);
    put->siblings = work->record.sloppy_count > 0;
    put->sent_before = put->sent;
    put->sent = put->sent || put->holds_op;
    pack_accept(put, &work->record);
    if (BROKEN(core, own_copy_skipped) && !put_alone(put))
        work->record = before;

    uint32_t asked = put_targets(core, put, QUORUM_ACCEPT);
    const struct electorate *electorate = &put->tally.electorate;
    put->others = asked & ~put_self(core, put);
    uint32_t hinted = electorate_all(electorate) & ~asked;
    for (unsigned i = 0; i < electorate->member_count; i++)
        if (hinted & 1u << i)
            hint_add(core, &work->batch, electorate->members[i], put->key);
    return true;
}

void put_own_failed(struct core *core, struct coord_put *put, const struct replica_work *work)
{
    int status = work->status;
    if (!work->written) /* else it stands there, and may be found and chosen */
        put->sent = put->sent_before;
    enum toystore_status word = status == -ENOSPC  ? TOYSTORE_NO_SPACE
                                : status == -EBUSY ? TOYSTORE_BUSY
                                                   : TOYSTORE_IO;
    put_answer(core, put, put->sent ? TOYSTORE_INDETERMINATE : word);
}

/* ---- the others ---- */

static bool settled_needed(const struct core *core, const struct coord_put *put)
{
    const struct electorate *electorate = &put->tally.electorate;
    if (put_alone(put) || view_of(core, put->partition).newest != put->view.newest)
        return false;
    for (unsigned i = 0; i < electorate->layout_count; i++)
        if (electorate->layouts[i].r < electorate->layouts[i].maj)
            return true;
    return put->siblings;
}

/* Behind the answer, where a get may otherwise have to ask more, or sloppy puts can go. */
static void send_settled(struct core *core, struct coord_put *put, uint32_t mask)
{
    if (!mask || !settled_needed(core, put))
        return;
    struct blob *params =
        RPC_PARAMS(settled_request, {.view = put->view, .key = put->key, .ballot = put->ballot});
    const struct electorate *electorate = &put->tally.electorate;
    for (unsigned i = 0; i < electorate->member_count; i++)
        if (mask & 1u << i)
            rpc_call(core, electorate->members[i], METHOD_SETTLED, blob_ref(params),
                     REPLICA_TIMEOUT_MS, NULL, 0, 0);
    blob_unref(&params);
}

static void reached(struct core *core, struct coord_put *put)
{
    put->chosen = true;
    if (put->at) {
        put->at->chosen = put->ballot;
        put->at->chosen_in = put->view;
    }
    if (!put->leading)
        put_remember_round(core, put);
    send_settled(core, put, put->accepted);
    put_answer(core, put, put->answer);
}

/* A NACK for this ballot's own leadership and a later turn: the later put settles this one too. */
static bool overtaken(const struct coord_put *put, const struct ballot *promised)
{
    struct ballot same = *promised;
    same.turn = put->ballot.turn;
    return put->leading && promised->turn > put->ballot.turn &&
           ballot_compare(&same, &put->ballot) == 0;
}

static void refused(struct core *core, struct coord_put *put, unsigned index,
                    const struct replica_reply *reply)
{
    put->refused |= 1u << index;
    if (reply->status == TOYSTORE_MUTE)
        view_note_mute(core, put->partition, put->tally.electorate.members[index]);
    if (put->op.state != PUT_ACCEPT)
        return;
    if (reply->status == TOYSTORE_NACK && !overtaken(put, &reply->promised))
        put_nacked(core, put, &reply->promised);
    else if (reply->status == TOYSTORE_STALE)
        put_stale(core, put, &reply->view, put->tally.electorate.members[index]);
}

static void behind_check(struct core *core, struct coord_put *put);

static void accept_answer(struct core *core, uint64_t handle, uint64_t index,
                          const struct rpc_answer *answer)
{
    struct coord_put *put = put_find(core, handle);
    if (!put || index >> 8 != put->attempt ||
        (put->op.state != PUT_ACCEPT && put->op.state != PUT_BEHIND))
        return;
    unsigned member = index & 0xff;
    unsigned state = put->op.state;
    struct replica_reply reply = {.status = TOYSTORE_UNAVAILABLE};
    if (answer->status == TOYSTORE_OK && !replica_reply_decode(answer->result, &reply))
        reply.status = TOYSTORE_INVALID;
    if (reply.status == TOYSTORE_OK) {
        put->accepted |= 1u << member;
        if (state == PUT_BEHIND && put->chosen)
            send_settled(core, put, 1u << member);
    } else {
        refused(core, put, member, &reply);
        if (put_find(core, handle) != put || put->op.state != state)
            return;
    }
    if (state == PUT_BEHIND) {
        behind_check(core, put);
        return;
    }
    uint32_t open = put->others & ~put->accepted & ~put->refused;
    if (enough(core, put))
        reached(core, put);
    else if (!electorate_can(&put->tally.electorate, put->accepted, open, QUORUM_ACCEPT) ||
             open == 0)
        put_short(core, put);
}

void put_accept(struct core *core, struct operation *operation)
{
    struct coord_put *put = put_of(operation);
    const struct electorate *electorate = &put->tally.electorate;
    put->accepted |= put_self(core, put);
    for (unsigned i = 0; i < electorate->member_count; i++)
        if (put->others & 1u << i)
            rpc_call(core, electorate->members[i], METHOD_PUT, blob_ref(put->accept),
                     REPLICA_TIMEOUT_MS, accept_answer, put->op.handle, put_index(put, i));
    if (enough(core, put))
        reached(core, put);
    else if (!put->others)
        put_short(core, put);
}

/* ---- behind the answer ---- */

static void behind_check(struct core *core, struct coord_put *put)
{
    if (put->others & ~put->accepted & ~put->refused)
        return;
    struct batch batch = {0};
    const struct electorate *electorate = &put->tally.electorate;
    uint32_t missed = put->others & ~put->accepted; /* also those that were full, mute or busy */
    for (unsigned i = 0; i < electorate->member_count; i++)
        if (missed & 1u << i)
            hint_add(core, &batch, electorate->members[i], put->key);
    if (batch.count > 0)
        disk_commit(core, &batch, false, (struct resume){0});
    batch_free(&batch);
    put_move(core, put, PUT_DONE);
}

void put_behind(struct core *core, struct operation *operation)
{
    struct coord_put *put = put_of(operation);
    blob_unref(&put->accept);
    behind_check(core, put);
}
