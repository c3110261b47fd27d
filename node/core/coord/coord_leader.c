/* coord_leader: a put in one round (PROTOCOL 4, as leader): of a partition whose owners have
 * promised all its keys at once, or of one key after a round of this node's own. The own record is
 * judged and accepted in one turn of the key; whatever is not plainly "apply" goes by rounds.
 *
 * Enters from: coord_put.c. Leaves to: coord_accept.c, or coord_round.c when it may not. */
#include "core/coord/coord_put.h"
#include "core/coord/lead.h"
#include "core/view/view.h"

#include <stdlib.h>

static bool same_leadership(const struct ballot *a, const struct ballot *b)
{
    return era_compare(a->era, b->era) == 0 && a->counter == b->counter && a->node == b->node;
}

static bool view_equal(const struct view *a, const struct view *b)
{
    return a->oldest == b->oldest && a->newest == b->newest && a->epoch == b->epoch;
}

/* ---- keys led after a round ---- */

void put_remember_round(struct core *core, struct coord_put *put)
{
    struct coord *coord = core->coord;
    struct key_led *led = map_get(&coord->led, put->key);
    if (!led) {
        if (coord->led.count >= COORD_LED_MAX)
            coord_forget_led(coord);
        led = base_alloc(sizeof *led);
        map_put(&coord->led, put->key, led);
    }
    led->ballot = put->ballot;
    led->view = put->view;
}

void coord_forget_led(struct coord *coord)
{
    MAP_EACH(entry, &coord->led)
    free(entry->value);
    map_free(&coord->led);
}

static const struct key_led *key_led(struct core *core, const struct coord_put *put)
{
    const struct key_led *led = map_get(&core->coord->led, put->key);
    struct view view = view_of(core, put->partition);
    return led && view_equal(&led->view, &view) ? led : NULL;
}

bool put_may_lead(struct core *core, const struct coord_put *put)
{
    struct ballot ballot;
    if (put->kind == TASK_REPAIR || put->kind == TASK_REACCEPT)
        return true; /* at least looks at the own record */
    if (put->kind != TASK_PUT || put->put.again || put->rounds_only)
        return false;
    if (key_led(core, put))
        return true;
    return lead_leads(core, put->partition, &ballot) &&
           (!lead_is_open(core, put->partition, put->key) || BROKEN(core, leader_again));
}

/* ---- the own record ---- */

/* The ballot with which this node may accept without a prepare: the next turn of a leadership that
 * the own promise and the own register belong to. */
static bool leader_ballot(struct core *core, struct coord_put *put, const struct replica_work *work)
{
    struct ballot led = {0};
    const struct ballot *all = &view_partition(core, put->partition)->promised;
    const struct ballot *own = &work->entry.promised;
    const struct key_led *key = key_led(core, put);
    bool open = put->kind != TASK_REACCEPT && lead_is_open(core, put->partition, put->key);
    if (lead_leads(core, put->partition, &led) && !open && same_leadership(all, &led) &&
        (ballot_compare(own, &led) <= 0 || same_leadership(own, &led))) {
        put->ballot = led;
        put->ballot.turn = (same_leadership(own, &led) ? own->turn : 0) + 1;
        return true;
    }
    if (BROKEN(core, leader_again) && put->kind == TASK_PUT &&
        lead_leads(core, put->partition, &led) && era_compare(own->era, led.era) == 0) {
        put->ballot = led; /* over whatever came between, without asking */
        put->ballot.counter = max_u64(own->counter, led.counter) + 1;
        return true;
    }
    if (put->kind == TASK_REACCEPT || !key || !same_leadership(own, &key->ballot) ||
        !work->record.has_register || !same_leadership(&work->record.reg.ballot, own) ||
        ballot_compare(all, own) > 0)
        return false;
    put->ballot = *own;
    put->ballot.turn++;
    return true;
}

/* Where too few can be reached, a round finds out before anything is accepted: its failure then
 * says for certain that nothing has happened. */
static bool enough_reachable(const struct core *core, const struct coord_put *put)
{
    const struct electorate *electorate = &put->tally.electorate;
    uint32_t mask = electorate_reachable(core, put->partition, electorate) | put_self(core, put);
    return electorate_has(electorate, mask, QUORUM_ACCEPT);
}

/* Makes what is accepted; false: not plainly "apply". */
static bool judge_put(struct coord_put *put, struct replica_work *work, struct record *record)
{
    struct record base = work->record;
    if (put->own.sloppy_count > 0)
        record_merge(&work->arena, &base, &put->own, &base);
    judge(&work->arena, &base, &put->put, &put->judgement);
    if (put->judgement.verdict != VERDICT_APPLY)
        return false;
    *record = put->judgement.record;
    put->holds_op = true;
    put->answer = TOYSTORE_OK;
    return true;
}

static bool judge_base(struct coord_put *put, struct replica_work *work, struct record *record)
{
    struct record base = {0};
    if (put->base_bytes && put->base_bytes->size > 0 &&
        record_take(&work->arena, blob_slice(put->base_bytes), put->put.collected, &base) != 0)
        return false;
    record_merge(&work->arena, &work->record, &base, record);
    put->answer = TOYSTORE_OK;
    return record->has_register;
}

/* Chosen for all that is known here: a get that asked to have it settled may have it at once. */
static bool known_chosen(struct core *core, const struct coord_put *put,
                         const struct replica_work *work)
{
    if (!work->record.has_register)
        return false; /* nothing here; others may have it: a round tells */
    const struct ballot *ballot = &work->record.reg.ballot;
    if (ballot_compare(ballot, &put->seen) < 0)
        return false;
    bool just_now = ballot_compare(ballot, &put->at->chosen) == 0 &&
                    view_equal(&put->at->chosen_in, &put->view);
    return work->entry.settled || just_now ||
           lead_knows_chosen(core, put->partition, put->key, ballot);
}

static void lead_work(struct core *core, struct replica_work *work)
{
    struct coord_put *put = put_find(core, work->handle);
    if (!put || work->index >> 8 != put->attempt || put->op.state != PUT_LEAD)
        return;
    struct view view = view_of(core, put->partition);
    if (put_is_retired(core, put)) /* a round says what becomes of it */
        return;
    if (work->damaged || view_mute(core, put->partition) || !view_equal(&view, &put->view) ||
        era_compare(view.collected, put->view.collected) != 0)
        return;
    struct record *record = arena_alloc(&work->arena, sizeof *record);
    if (put->kind == TASK_REPAIR && known_chosen(core, put, work)) {
        struct buf bytes = {0};
        record_encode(&bytes, &work->record);
        put->record = buf_take(&bytes);
        put->chosen = true;
        return;
    }
    if (!enough_reachable(core, put) || !leader_ballot(core, put, work) ||
        ballot_compare(&put->ballot, &put->seen) < 0)
        return;
    bool apply =
        put->kind == TASK_PUT ? judge_put(put, work, record) : judge_base(put, work, record);
    put->refuses = BROKEN(core, leader_refuses) && put->judgement.verdict == VERDICT_REFUSED;
    put->leading = apply;
    if (!apply || !put_own_accept(core, put, work, record))
        put->leading = put->holds_op = false;
}

static void lead_done(struct core *core, struct replica_work *work)
{
    struct coord_put *put = put_find(core, work->handle);
    if (!put || work->index >> 8 != put->attempt || put->op.state != PUT_LEAD)
        return;
    if (work->status != 0)
        put_own_failed(core, put, work);
    else if (work->write)
        put_move(core, put, PUT_ACCEPT);
    else if (put->chosen)
        put_answer(core, put, TOYSTORE_OK);
    else if (put->kind == TASK_REACCEPT)
        put_answer(core, put, TOYSTORE_NACK);
    else if (put->refuses)
        put_answer(core, put, put->judgement.answer);
    else
        put_move(core, put, PUT_PROMISE);
}

void put_lead(struct core *core, struct operation *operation)
{
    struct coord_put *put = put_of(operation);
    if (put_begin(core, put))
        replica_run(core, put->key, lead_work, lead_done, put->op.handle, put_index(put, 0));
}
