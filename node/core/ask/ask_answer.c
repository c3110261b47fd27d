/* ask_answer: what a coordinator made of a put, and what its asker makes of that: done, refused (of
 * which a retry must be sure), taken back and given to the next owner, or never begun there.
 *
 * Enters from: FORWARD's answer (coord_put.c). Leaves to: ask_put.c. */
#include "core/ask/ask_put.h"
#include "core/retire/retire.h"
#include "core/view/view.h"

/* The op never began there. */
static void not_taken(struct ask_put *put, const struct given *given)
{
    assert(!given->open && put->taken > 0);
    put->taken--;
}

static void done(struct core *core, struct ask_put *put, const struct forward_reply *reply)
{
    struct toystore_result result = {.status = TOYSTORE_OK, .created = reply->created};
    struct record replaced = {0};
    if (reply->record.size > 0 && record_decode(&put->arena, reply->record, &replaced) == 0)
        result_versions(&put->arena, &replaced, &result);
    ask_finish(core, put, &result);
}

static void refused(struct core *core, struct ask_put *put, struct given *given,
                    const struct forward_reply *reply)
{
    if (put->stored) {
        put->refused = true;
        /* A publication that found no majority has left copies, which are siblings now: CONFLICT
         * would deny what readers will see. It is finished as what it has become. */
        if (!ask_any_open(put))
            ask_move(core, put, ASK_SLOPPY);
        return;
    }
    if (put->unsure) {
        put->maybe = true;
        if (!ask_any_open(put))
            ask_finish_failed(core, put);
        return;
    }
    if (given->again || (put->taken == 1 && !put->maybe)) {
        struct toystore_result result = {.status = (enum toystore_status)reply->status};
        struct record record = {0};
        if (reply->record.size > 0 && record_decode(&put->arena, reply->record, &record) == 0)
            result_versions(&put->arena, &record, &result);
        ask_finish(core, put, &result);
        return;
    }
    given->tried = false; /* judged as if it were alone: asked again, it remembers its refusal */
    if (!ask_any_open(put))
        ask_move(core, put, ASK_ROUTE);
}

/* What no chain remembers: true of this try, and nothing is known of the others. */
static void turned_down(struct core *core, struct ask_put *put, enum toystore_status status)
{
    if (put->taken == 1 && !put->maybe) {
        ask_finish_status(core, put, status);
        return;
    }
    put->maybe = true;
    if (!ask_any_open(put))
        ask_finish_failed(core, put);
}

static void new_name(struct core *core, struct ask_put *put, unsigned state)
{
    put->taken = 0;
    put->foreign_op = false;
    put->name.era = (struct era){0};
    for (unsigned i = 0; i < put->given_count; i++)
        put->given[i].tried = false;
    ask_move(core, put, state);
}

/* This node was taken for dead, or an earlier put of its session is a sibling that stays. What has
 * certainly not happened is begun anew in the new session; but not what its caller has named, or
 * tied to the old one. */
void ask_retired(struct core *core, struct ask_put *put)
{
    session_renew(core, &put->name.id.session);
    bool renewed = session_compare(&put->name.id.session, &core->session) != 0;
    if (!renewed || put->foreign_op || put->bound || put->taken > 1 || put->maybe ||
        ++put->renames >= ROUNDS_MAX) {
        turned_down(core, put, TOYSTORE_RETIRED);
        return;
    }
    ask_leave_line(core, put);
    put->name.id.session = core->session;
    new_name(core, put, ASK_WAITING);
}

/* Older than its key's chain, and never applied: a new op with a later time and era. */
static void too_late(struct core *core, struct ask_put *put, const struct forward_reply *reply)
{
    if (put->asks_only) {
        ask_finish_status(core, put, TOYSTORE_INDETERMINATE);
        return;
    }
    core_hybrid_told(core, reply->floor_us);
    put->floor_us = max_u64(put->floor_us, reply->floor_us);
    if (put->taken > 1 || put->maybe || ++put->renames >= ROUNDS_MAX) {
        put->maybe = true;
        ask_without_majority(core, put);
        return;
    }
    put->stale_view = reply->view;
    new_name(core, put, ASK_STALE);
}

static void answered(struct core *core, struct ask_put *put, struct given *given,
                     const struct forward_reply *reply)
{
    switch ((enum toystore_status)reply->status) {
    case TOYSTORE_OK:
        done(core, put, reply);
        return;
    case TOYSTORE_CONFLICT:
    case TOYSTORE_NOT_FOUND:
    case TOYSTORE_IS_DIRECTORY:
        refused(core, put, given, reply);
        return;
    case TOYSTORE_TOO_LARGE:
        turned_down(core, put, TOYSTORE_TOO_LARGE);
        return;
    case TOYSTORE_RETIRED:
        ask_retired(core, put);
        return;
    case TOYSTORE_TOO_LATE:
        put->stale_from = given->id;
        too_late(core, put, reply);
        return;
    case TOYSTORE_NOT_APPLIED:
        ask_without_majority(core, put);
        return;
    case TOYSTORE_STALE:
    case TOYSTORE_NOT_LEADER:
        not_taken(put, given);
        given->tried = reply->status == TOYSTORE_NOT_LEADER;
        put->stale_view = reply->view;
        put->stale_from = given->id;
        ask_move(core, put, ASK_STALE);
        return;
    case TOYSTORE_MUTE:
        view_note_mute(core, put->partition, given->id);
        not_taken(put, given);
        ask_move(core, put, ASK_ROUTE);
        return;
    case TOYSTORE_BUSY:
    case TOYSTORE_UNKNOWN:
    case TOYSTORE_NO_SPACE:
    case TOYSTORE_IO:
        put->last = (enum toystore_status)reply->status;
        not_taken(put, given);
        ask_move(core, put, ASK_ROUTE);
        return;
    default:
        put->maybe = true;
        ask_without_majority(core, put);
        return;
    }
}

void ask_answer(struct core *core, uint64_t handle, uint64_t index, const struct rpc_answer *answer)
{
    struct ask_put *put = ask_find(core, handle);
    if (!put || put->op.answered)
        return;
    struct given *given = &put->given[index];
    given->open = false;
    struct forward_reply reply;
    bool good = answer->status == TOYSTORE_OK && forward_reply_decode(answer->result, &reply);
    if (put->op.state != ASK_GIVEN) { /* it has gone on without this answer */
        if (good && reply.status == TOYSTORE_OK)
            ask_finish_status(core, put, TOYSTORE_OK);
        else
            put->maybe = put->maybe || answer->sent;
        return;
    }
    if (good) {
        answered(core, put, given, &reply);
        return;
    }
    if (answer->sent)
        put->maybe = true;
    else
        not_taken(put, given);
    if (!ask_any_open(put))
        ask_move(core, put, ASK_ROUTE);
}
