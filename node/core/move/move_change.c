/* move_change: CHANGE: a member is asked to leave, or to have another one removed (PROTOCOL 7).
 * Whatever can be refused is refused here, with what to do instead; then the wish is written,
 * fsynced, and answered: from there on it is carried out by whoever is alive (move_wish.c), and
 * Report says how far it is.
 * Enters from core.c; leaves to move_save_changes or gone_note. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/members/members.h"
#include "core/move/move_priv.h"

struct change_parked {
    bool of_call; /* EVENT_CHANGE, else CHANGE */
    uint64_t call;
    struct rpc_origin origin;
    node_id node;
    node_id through; /* whom it was given to; 0: it is this node's */
    bool forced;
    char message[120]; /* with OK */
};

struct refusal {
    enum toystore_status status;
    char message[400];
};

__attribute__((format(printf, 3, 4))) static bool
refuse(struct refusal *refusal, enum toystore_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    refusal->status = status;
    vsnprintf(refusal->message, sizeof refusal->message, format, args);
    va_end(args);
    return false;
}

/* ---- who is meant ---- */

/* A name, 16 hex digits, or HOST:RPCPORT. */
static bool called(const struct member *member, const char *word)
{
    char id[17], address[HOST_SIZE_MAX + 10];
    snprintf(id, sizeof id, "%016llx", (unsigned long long)member->id);
    snprintf(address, sizeof address, strchr(member->rpc.host, ':') ? "[%s]:%u" : "%s:%u",
             member->rpc.host, member->rpc.port);
    return strcmp(word, id) == 0 || strcmp(word, member->name) == 0 || strcmp(word, address) == 0;
}

/* An id may be one that gossip does not know: of a member of the layout, or of nobody any more. */
static bool id_of_word(const char *word, node_id *ret)
{
    char *end;
    if (strlen(word) != 16)
        return false;
    *ret = strtoull(word, &end, 16);
    return *end == 0 && *ret != 0;
}

static bool in_a_live_layout(const struct core *core, node_id id)
{
    const struct layout *newest = view_newest(core);
    return newest && (layout_find(newest, id) || layout_find(view_oldest(core), id));
}

static bool find_member(const struct core *core, const char *word, node_id *ret,
                        struct refusal *refusal)
{
    unsigned found = 0;
    node_id id = 0;
    for (size_t i = 0; i < members_count(core); i++) {
        const struct member *member = members_at(core, i);
        /* Of several with one name those that own something are meant. */
        if (!called(member, word) || (found > 0 && !in_a_live_layout(core, member->id)))
            continue;
        found = found > 0 && in_a_live_layout(core, id) ? found + 1 : 1;
        id = member->id;
    }
    if (found > 1)
        return refuse(refusal, TOYSTORE_INVALID,
                      "%u members are called \"%s\": give the id (toystore ring)", found, word);
    if (found == 0 && (!id_of_word(word, &id) || !in_a_live_layout(core, id)))
        return refuse(refusal, TOYSTORE_NOT_FOUND,
                      "there is no member \"%s\": give a name, id or address (toystore members)",
                      word);
    *ret = id;
    return true;
}

bool move_member_named(const struct core *core, struct slice word, node_id *ret, char *error,
                       size_t error_size)
{
    char text[HOST_SIZE_MAX + NAME_SIZE_MAX];
    struct refusal refusal = {.message = "no member has so long a name"};
    snprintf(text, sizeof text, "%.*s", (int)min_size(word.size, sizeof text),
             (const char *)word.data);
    if (word.size < sizeof text && find_member(core, text, ret, &refusal))
        return true;
    snprintf(error, error_size, "%s", refusal.message);
    return false;
}

/* ---- what must not happen ---- */

static size_t staying(const struct core *core, node_id leaver)
{
    const struct layout *newest = view_newest(core);
    size_t count = 0;
    for (size_t i = 0; i < newest->member_count; i++)
        count += newest->members[i].id != leaver && !move_unwanted(core, newest->members[i].id);
    return count;
}

/* Partitions of a live layout whose acknowledged writes could all be on members that are gone, and
 * those that have fewer owners to take from than a move needs (PROTOCOL 1: F). */
static void count_short(const struct core *core, node_id leaver, bool forced, uint32_t *ret_lost,
                        uint32_t *ret_waiting)
{
    *ret_lost = *ret_waiting = 0;
    for (uint32_t p = 0; p < view_partition_count(core); p++) {
        struct electorate all;
        view_electorate(core, p, 0, 0, &all);
        bool lost = false, waits = false;
        for (unsigned at = 0; at < all.layout_count; at++) {
            const struct layout *layout = view_layout(core, all.layouts[at].number);
            unsigned gone = 0, away = 0, n = all.layouts[at].n;
            for (unsigned i = 0; i < all.member_count; i++) {
                node_id id = all.members[i];
                if ((all.layouts[at].mask >> i & 1) == 0)
                    continue;
                gone += gone_is(core, id) || (forced && id == leaver);
                away += !rpc_reachable(core, id);
            }
            unsigned w = (unsigned)min_u64(layout->w, n), acks = w > n / 2 ? w : n / 2 + 1;
            unsigned needed = all.layouts[at].f;
            lost = lost || gone >= acks;
            waits = waits || n - away < (needed < n - gone ? needed : n - gone);
        }
        *ret_lost += lost;
        *ret_waiting += waits;
    }
}

static bool check_copies(const struct core *core, node_id id, const struct core_change *in,
                         struct refusal *refusal)
{
    uint32_t lost, waiting;
    count_short(core, id, in->force, &lost, &waiting);
    if (in->accept_loss)
        return true;
    if (in->force && lost != 0)
        return refuse(refusal, TOYSTORE_CONFLICT,
                      "the last copies of acknowledged writes in %u of %u partitions may be on "
                      "members that are gone then; if that cannot be helped: --accept-loss",
                      lost, view_partition_count(core));
    if (!in->force && waiting != 0)
        return refuse(refusal, TOYSTORE_CONFLICT,
                      "%u of %u partitions have too few owners that answer to be moved: bring "
                      "members back first, or say of those that never will: remove --force",
                      waiting, view_partition_count(core));
    return true;
}

static bool may_leave(struct core *core, struct refusal *refusal, char message[120])
{
    if (!core->config.storing)
        return refuse(refusal, TOYSTORE_INVALID,
                      "this node stores nothing and owns nothing: it leaves when it ends");
    if (core->move->place != PLACE_IN) {
        snprintf(message, 120, "it is on its way out already");
        return true;
    }
    if (!view_newest(core))
        return refuse(refusal, TOYSTORE_UNAVAILABLE, "this node is in no cluster yet");
    if (staying(core, core->id) == 0)
        return refuse(refusal, TOYSTORE_CONFLICT,
                      "it is the last member: its data would have nowhere to go");
    return true;
}

static bool may_remove(const struct core *core, const struct core_change *in, node_id id,
                       struct refusal *refusal, char message[120])
{
    const struct member *member = members_find(core, id);
    if (member && !member->storing)
        return refuse(refusal, TOYSTORE_INVALID,
                      "that member stores nothing and owns nothing: it leaves when it ends");
    if (in->force && rpc_reachable(core, id))
        return refuse(refusal, TOYSTORE_CONFLICT,
                      "that member answers: stop it first, or remove it without --force");
    if (in->force && gone_is(core, id)) {
        snprintf(message, 120, "it is gone already");
        return true;
    }
    if (!in->force && !in_a_live_layout(core, id))
        return refuse(refusal, TOYSTORE_NOT_FOUND,
                      "that member owns nothing: it is not in the ring");
    if (!in->force && move_unwanted(core, id)) {
        snprintf(message, 120, "it is on its way out already");
        return true;
    }
    if (layout_find(view_newest(core), id) && staying(core, id) == 0)
        return refuse(refusal, TOYSTORE_CONFLICT,
                      "it is the last member: its data would have nowhere to go");
    return check_copies(core, id, in, refusal);
}

/* ---- the wish ---- */

static void answer(struct core *core, const struct change_parked *parked,
                   enum toystore_status status, const char *message)
{
    if (!parked->of_call) {
        RPC_REPLY(core, &parked->origin, change_reply,
                  {.status = status, .message = slice_str(message), .node = parked->node});
        return;
    }
    struct action *action = core_act(core, ACTION_REPLY);
    action->call = parked->call;
    action->result = result_copy(&(struct toystore_result){.status = status, .message = message});
}

static void kept(struct core *core, const struct core_event *event, struct resume resume)
{
    struct change_parked *parked = pool_get(&core->move->changes, resume.handle);
    if (event->status == 0)
        answer(core, parked, TOYSTORE_OK, parked->message);
    else
        answer(core, parked, TOYSTORE_IO, "the wish could not be written");
    pool_delete(&core->move->changes, resume.handle);
    core->move->version++; /* it is told */
    move_wake(core);
}

static bool add_removal(struct move *move, node_id id)
{
    for (size_t i = 0; i < move->removal_count; i++)
        if (move->removals[i] == id)
            return true;
    if (move->removal_count == CHANGES_MAX)
        return false;
    move->removals =
        base_realloc(move->removals, (move->removal_count + 1) * sizeof *move->removals);
    move->removals[move->removal_count++] = id;
    return true;
}

static bool carry_out(struct core *core, const struct change_parked *parked, struct resume resume)
{
    struct move *move = core->move;
    if (parked->forced)
        return gone_note(core, &parked->node, 1, resume);
    if (parked->node == core->id)
        move->place = move->place == PLACE_IN ? PLACE_LEAVING : move->place;
    else if (!add_removal(move, parked->node))
        return false;
    move_save_changes(core, resume);
    return true;
}

/* ---- at a node that stores nothing ---- */

/* It has no wishes of its own and keeps none: a member of the layout that it can reach is asked. */
static bool may_forward(const struct core *core, const struct core_change *in,
                        struct change_parked *parked, struct refusal *refusal)
{
    const struct layout *newest = view_newest(core);
    (void)in;
    for (size_t i = 0; newest && i < newest->member_count; i++) {
        node_id id = newest->members[i].id;
        if (id == parked->node || !rpc_reachable(core, id) || !members_alive(core, id))
            continue;
        parked->through = id;
        return true;
    }
    return refuse(refusal, TOYSTORE_UNAVAILABLE,
                  "this node stores nothing, and no other storing member answers it");
}

static void forwarded(struct core *core, uint64_t handle, uint64_t index,
                      const struct rpc_answer *answered)
{
    struct change_parked *parked = pool_get(&core->move->changes, handle);
    struct change_reply reply;
    char message[sizeof((struct refusal *)0)->message] = "the member that was asked did not answer";
    enum toystore_status status = answered->status;
    (void)index;
    if (status == TOYSTORE_OK && change_reply_decode(answered->result, &reply)) {
        status = (enum toystore_status)reply.status;
        snprintf(message, sizeof message, "%.*s", (int)min_size(reply.message.size, 300),
                 (const char *)reply.message.data);
    }
    answer(core, parked, status, message);
    pool_delete(&core->move->changes, handle);
}

static void forward(struct core *core, const struct change_parked *parked,
                    const struct core_change *in, pool_handle handle)
{
    char id[17];
    snprintf(id, sizeof id, "%016llx", (unsigned long long)parked->node);
    rpc_call(core, parked->through, METHOD_CHANGE,
             RPC_PARAMS(change_request, {.what = in->what,
                                         .member = slice_str(id),
                                         .force = in->force,
                                         .accept_loss = in->accept_loss}),
             PUT_DEADLINE_MS, forwarded, handle, 0);
}

static bool judge(struct core *core, const struct core_change *in, struct change_parked *parked,
                  struct refusal *refusal)
{
    char word[HOST_SIZE_MAX + NAME_SIZE_MAX];
    bool leave = slice_equal(in->what, slice_str("leave"));
    if (!leave && !slice_equal(in->what, slice_str("remove")))
        return refuse(refusal, TOYSTORE_INVALID, "no such change");
    if (in->member.size >= sizeof word)
        return refuse(refusal, TOYSTORE_INVALID, "no member has so long a name");
    snprintf(word, sizeof word, "%.*s", (int)in->member.size, (const char *)in->member.data);
    parked->node = core->id;
    if (!leave && !find_member(core, word, &parked->node, refusal))
        return false;
    if (!core->config.storing && !leave)
        return may_forward(core, in, parked, refusal);
    if (parked->node == core->id)
        return in->force ? refuse(refusal, TOYSTORE_INVALID,
                                  "it is this very node that answers: remove it without --force")
                         : may_leave(core, refusal, parked->message);
    if (!view_newest(core))
        return refuse(refusal, TOYSTORE_UNAVAILABLE, "this node is in no cluster yet");
    parked->forced = in->force;
    return may_remove(core, in, parked->node, refusal, parked->message);
}

static void change(struct core *core, struct change_parked parked, const struct core_change *in)
{
    struct refusal refusal = {.status = TOYSTORE_BUSY, .message = "too many changes wait"};
    pool_handle handle;
    struct change_parked *slot = NULL;
    if (judge(core, in, &parked, &refusal))
        slot = pool_new(&core->move->changes, &handle);
    if (slot) {
        *slot = parked;
        if (parked.through != 0) {
            forward(core, &parked, in, handle);
            return;
        }
        if (carry_out(core, &parked, resume_to(kept, handle, 0)))
            return;
        pool_delete(&core->move->changes, handle);
    }
    answer(core, &parked, refusal.status, refusal.message);
}

void move_change(struct core *core, uint64_t call, const struct core_change *in)
{
    change(core, (struct change_parked){.of_call = true, .call = call}, in);
}

void move_handle_change(struct core *core, const struct rpc_request *request)
{
    struct change_request in;
    if (!change_request_decode(request->params, &in)) {
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "malformed Change");
        return;
    }
    change(core, (struct change_parked){.origin = request->origin},
           &(struct core_change){in.what, in.member, in.force, in.accept_loss});
}

void move_changes_init(struct move *move)
{
    pool_init(&move->changes, sizeof(struct change_parked), CHANGES_MAX);
}
