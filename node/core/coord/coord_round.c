/* coord_round: a put in two rounds (PROTOCOL 4, prepare and accept; CASPaxos): what any owner can
 * do. The own promise is committed first and its ballot is above all that this node has seen, so
 * that no ballot is used twice.
 *
 * Enters from: coord_put.c. Leaves to: coord_accept.c. */
#include "core/coord/coord_put.h"
#include "core/view/view.h"

static struct coord_put *round_of(struct core *core, const struct replica_work *work,
                                  unsigned state)
{
    struct coord_put *put = put_find(core, work->handle);
    bool mine = put && work->index >> 8 == put->attempt && put->op.state == state;
    return mine ? put : NULL;
}

static bool view_moved(const struct core *core, const struct coord_put *put)
{
    struct view view = view_of(core, put->partition);
    return view.oldest != put->view.oldest || view.newest != put->view.newest ||
           view.epoch != put->view.epoch || era_compare(view.collected, put->view.collected) != 0;
}

/* Begins again under what this node knows now, or gives up where it may not take part. */
static void round_lost(struct core *core, struct coord_put *put)
{
    if (view_mute(core, put->partition))
        put_answer(core, put, put->sent ? TOYSTORE_INDETERMINATE : TOYSTORE_MUTE);
    else if (put->unknown)
        put_answer(core, put, put->sent ? TOYSTORE_INDETERMINATE : TOYSTORE_UNKNOWN);
    else
        put_move(core, put, PUT_PAUSE);
}

/* ---- the own promise ---- */

static void promise_work(struct core *core, struct replica_work *work)
{
    struct coord_put *put = round_of(core, work, PUT_PROMISE);
    if (!put || view_moved(core, put) || view_mute(core, put->partition) ||
        put_is_retired(core, put))
        return;
    const struct ballot *promised = put_promised(core, put, work);
    struct era era = view_era(put->view);
    put->unknown = work->damaged && !put_alone(put);
    uint64_t seen = put->counter_seen;
    if (era_compare(promised->era, era) == 0)
        seen = max_u64(seen, promised->counter);
    put->ballot = (struct ballot){.era = era, .counter = seen + 1, .node = core->id};
    put->counter_seen = seen + 1;
    if (put->unknown || era_compare(promised->era, era) > 0)
        return;
    work->damaged = false;
    work->entry.promised = put->ballot;
    work->write = true;
    work->durable = key_is_durable(put->key);
    int self = electorate_index(&put->tally.electorate, core->id);
    struct buf bytes = {0};
    if (work->record.has_register || work->record.sloppy_count > 0)
        record_encode(&bytes, &work->record);
    struct blob *frame = buf_take(&bytes);
    tally_show(&put->tally, (unsigned)self, blob_slice(frame), work->entry.settled, frame);
    blob_unref(&frame);
}

static void promise_done(struct core *core, struct replica_work *work)
{
    struct coord_put *put = round_of(core, work, PUT_PROMISE);
    if (!put)
        return;
    if (work->status != 0)
        put_own_failed(core, put, work);
    else if (!work->write && put_is_retired(core, put))
        put_retired(core, put);
    else if (!work->write)
        round_lost(core, put);
    else
        put_move(core, put, PUT_PREPARE);
}

void put_promise(struct core *core, struct operation *operation)
{
    struct coord_put *put = put_of(operation);
    if (put_begin(core, put))
        replica_run(core, put->key, promise_work, promise_done, put->op.handle, put_index(put, 0));
}

/* ---- judging the base of maj promises ---- */

static void encode_base(struct coord_put *put)
{
    struct buf bytes = {0};
    record_encode(&bytes, &put->tally.base);
    blob_unref(&put->record);
    put->record = buf_take(&bytes);
}

/* What the judgement asks to be accepted, or the answer at once. */
static void judge_round(struct core *core, struct coord_put *put, bool chosen)
{
    struct judgement *judgement = &put->judgement;
    judge(&put->tally.arena, &put->tally.base, &put->put, judgement);
    put->answer = judgement->answer;
    if (put->finishing && judgement->verdict != VERDICT_ANSWERED) {
        put_retired(core, put);
        return;
    }
    put->holds_op = judgement->verdict == VERDICT_APPLY || judgement->verdict == VERDICT_REMEMBER;
    switch (judgement->verdict) {
    case VERDICT_APPLY:
    case VERDICT_REMEMBER:
        put_move(core, put, PUT_ADOPT);
        break;
    case VERDICT_ANSWERED:
    case VERDICT_REFUSED:
        judgement->record = put->tally.base;
        encode_base(put);
        if (chosen)
            put_answer(core, put, put->answer);
        else
            put_move(core, put, PUT_ADOPT);
        break;
    case VERDICT_TOO_LATE:
        put_answer(core, put, put->sent ? TOYSTORE_INDETERMINATE : TOYSTORE_TOO_LATE);
        break;
    case VERDICT_SESSION:
        put_answer(core, put, put->sent ? TOYSTORE_INDETERMINATE : TOYSTORE_RETIRED);
        break;
    case VERDICT_TOO_LARGE:
        put_answer(core, put, put->sent ? TOYSTORE_INDETERMINATE : TOYSTORE_TOO_LARGE);
        break;
    }
}

static void prepared(struct core *core, struct coord_put *put)
{
    tally_merge(&put->tally);
    bool chosen = coord_chosen(core, &put->tally) || BROKEN(core, answer_unchosen);
    if (put->own.sloppy_count > 0)
        record_merge(&put->tally.arena, &put->tally.base, &put->own, &put->tally.base);
    if (put->kind == TASK_PUT) {
        judge_round(core, put, chosen);
        return;
    }
    put->answer = TOYSTORE_OK;
    put->judgement.record = put->tally.base;
    /* A sloppy twin of what the register holds may cover more than it: with that both can go. */
    register_take_over(&put->tally.arena, &put->judgement.record.reg, &put->tally.base,
                       view_era(put->view));
    if (put->tally.base.has_register) {
        put_move(core, put, PUT_ADOPT);
        return;
    }
    encode_base(put);
    put_answer(core, put, TOYSTORE_OK); /* no register: nothing to settle */
}

/* ---- the others' promises ---- */

static void promise_refused(struct core *core, struct coord_put *put, unsigned index,
                            const struct replica_reply *reply)
{
    node_id from = put->tally.electorate.members[index];
    put->tally.failed |= 1u << index;
    if (reply->status == TOYSTORE_NACK)
        put_nacked(core, put, &reply->promised);
    else if (reply->status == TOYSTORE_STALE)
        put_stale(core, put, &reply->view, from);
    else if (reply->status == TOYSTORE_RETIRED)
        put_retired(core, put);
    else if (reply->status == TOYSTORE_MUTE)
        view_note_mute(core, put->partition, from);
}

static void check_promises(struct core *core, struct coord_put *put)
{
    struct tally *tally = &put->tally;
    if (electorate_has(&tally->electorate, tally->shown, QUORUM_MAJORITY))
        prepared(core, put);
    else if (!electorate_can(&tally->electorate, tally->shown, tally_open(tally), QUORUM_MAJORITY))
        put_short(core, put);
}

static void prepare_answer(struct core *core, uint64_t handle, uint64_t index,
                           const struct rpc_answer *answer)
{
    struct coord_put *put = put_find(core, handle);
    if (!put || index >> 8 != put->attempt || put->op.state != PUT_PREPARE)
        return;
    unsigned member = index & 0xff;
    struct replica_reply reply = {.status = TOYSTORE_UNAVAILABLE};
    if (answer->status == TOYSTORE_OK && !replica_reply_decode(answer->result, &reply))
        reply.status = TOYSTORE_INVALID;
    if (reply.status == TOYSTORE_OK)
        tally_show(&put->tally, member, reply.record, reply.settled, answer->frame);
    else
        promise_refused(core, put, member, &reply);
    if (put_find(core, handle) == put && put->op.state == PUT_PREPARE)
        check_promises(core, put);
}

void put_prepare(struct core *core, struct operation *operation)
{
    struct coord_put *put = put_of(operation);
    const struct electorate *electorate = &put->tally.electorate;
    uint32_t self = put_self(core, put);
    uint32_t others = put_targets(core, put, QUORUM_MAJORITY) & ~self;
    struct op_id on_behalf = {.sequence = 0};
    if (put->kind == TASK_PUT && !put->finishing)
        on_behalf = put->put.op.id;
    struct blob *params = RPC_PARAMS(
        prepare_request,
        {.view = put->view, .key = put->key, .ballot = put->ballot, .on_behalf = on_behalf});
    put->tally.asked = self | others;
    put->tally.failed |= self & ~put->tally.shown;
    for (unsigned i = 0; i < electorate->member_count; i++)
        if (others & 1u << i)
            rpc_call(core, electorate->members[i], METHOD_PREPARE, blob_ref(params),
                     REPLICA_TIMEOUT_MS, prepare_answer, put->op.handle, put_index(put, i));
    blob_unref(&params);
    check_promises(core, put);
}

/* ---- the own accept ---- */

static void adopt_work(struct core *core, struct replica_work *work)
{
    struct coord_put *put = round_of(core, work, PUT_ADOPT);
    if (!put || view_moved(core, put) || view_mute(core, put->partition) ||
        (put->holds_op && put_is_retired(core, put)))
        return;
    if (!put_own_accept(core, put, work, &put->judgement.record))
        put->counter_seen = max_u64(put->counter_seen, put_promised(core, put, work)->counter);
}

static void adopt_done(struct core *core, struct replica_work *work)
{
    struct coord_put *put = round_of(core, work, PUT_ADOPT);
    if (!put)
        return;
    if (work->status != 0)
        put_own_failed(core, put, work);
    else if (!work->write && put->holds_op && put_is_retired(core, put))
        put_retired(core, put);
    else if (!work->write)
        round_lost(core, put);
    else
        put_move(core, put, PUT_ACCEPT);
}

void put_adopt(struct core *core, struct operation *operation)
{
    struct coord_put *put = put_of(operation);
    replica_run(core, put->key, adopt_work, adopt_done, put->op.handle, put_index(put, 0));
}
