/* retire_tell: everybody tells everybody which sessions it has noted as retired, until each has
 * acknowledged all of it; so each knows when a retirement is in force: once F owners of every
 * partition in every live layout have noted it (PROTOCOL 8). Who takes a partition does not hold it
 * before it has noted what its givers had (retire_learned).
 *
 * Of members with equal lists a digest is all that travels. An acknowledgement counts with the
 * layout that its sender knew: whoever takes a partition in a newer one takes from F owners of this
 * one, after they knew of the newer, so one of them gives it what has been acknowledged here.
 * Enters from its timer and RETIRED; leaves to METHOD_RETIRED and the disk. */
#include <stdlib.h>

#include "core/members/members.h"
#include "core/retire/retire.h"
#include "core/retire/retire_priv.h"
#include "core/view/view.h"

/* A request whose sessions are being written. */
struct retire_serving {
    struct rpc_origin origin;
    node_id from;
    struct hash128 digest;
    bool last;
    struct session *sessions;
    size_t count;
};

void retire_tell_init(struct retire *retire)
{
    pool_init(&retire->served, sizeof(struct retire_serving), RETIRE_SERVED_MAX);
}

void retire_tell_free(struct retire *retire)
{
    for (size_t i = 0; i < retire->served.capacity; i++) {
        struct retire_serving *serving = retire->served.objects[i];
        if (serving != NULL)
            free(serving->sessions);
    }
    pool_free(&retire->served);
    MAP_EACH(entry, &retire->tellers)
    free(entry->value);
    map_free(&retire->tellers);
}

static struct teller *teller_of(struct core *core, node_id id)
{
    struct map *tellers = &core->retire->tellers;
    struct slice key = slice_of(&id, sizeof id);
    struct teller *teller = map_get(tellers, key);
    if (!teller) {
        teller = base_alloc(sizeof *teller);
        teller->id = id;
        map_put(tellers, key, teller);
    }
    return teller;
}

static bool same_digest(const struct hash128 *a, const struct hash128 *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* ---- in force? ---- */

static bool noted_by(const struct core *core, node_id id, size_t index)
{
    const struct teller *teller = map_get(&core->retire->tellers, slice_of(&id, sizeof id));
    return id == core->id ||
           (teller && teller->told > index && teller->newest <= view_newest(core)->number);
}

static bool in_force_at(struct core *core, size_t index)
{
    for (uint32_t p = 0; p < view_partition_count(core); p++) {
        struct electorate electorate;
        uint32_t noted = 0;
        view_electorate(core, p, 0, 0, &electorate);
        for (unsigned i = 0; i < electorate.member_count; i++)
            if (noted_by(core, electorate.members[i], index))
                noted |= (uint32_t)1 << i;
        if (!electorate_has(&electorate, noted, QUORUM_MEET))
            return false;
    }
    return true;
}

/* Whoever has noted one has noted all before it. */
static void judge_in_force(struct core *core)
{
    struct retire *retire = core->retire;
    uint32_t newest = view_newest(core)->number;
    if (retire->judged == retire->count && retire->judged_newest == newest && !retire->told_more)
        return;
    retire->judged = retire->count;
    retire->judged_newest = newest;
    retire->told_more = false;
    size_t low = retire->in_force, high = retire->count;
    while (low < high) { /* those below low are in force */
        size_t middle = low + (high - low) / 2;
        if (BROKEN(core, retired_early) || in_force_at(core, middle))
            low = middle + 1;
        else
            high = middle;
    }
    if (low > retire->in_force)
        core_log(core, LOG_DEBUG, "%zu sessions are retired, and that is in force", low);
    retire->in_force = low;
}

bool retire_in_force(const struct core *core, const struct session *session)
{
    for (size_t i = 0; i < core->retire->in_force; i++)
        if (session_compare(&core->retire->list[i], session) == 0)
            return true;
    return false;
}

static size_t noted_in(const struct core *core, const struct layout *layout, size_t count)
{
    for (size_t i = 0; i < layout->member_count; i++) {
        node_id id = layout->members[i].id;
        while (!layout->members[i].gone && count > 0 && !noted_by(core, id, count - 1)) {
            const struct teller *teller = map_get(&core->retire->tellers, slice_of(&id, sizeof id));
            bool knows = teller && teller->newest <= view_newest(core)->number;
            count = knows ? min_size(count - 1, teller->told) : 0;
        }
    }
    return count;
}

size_t retire_complete(const struct core *core)
{
    return noted_in(core, view_oldest(core),
                    noted_in(core, view_newest(core), core->retire->count));
}

/* ---- telling ---- */

static void told(struct core *core, uint64_t id, uint64_t upto, const struct rpc_answer *answer)
{
    struct retire *retire = core->retire;
    struct teller *teller = teller_of(core, id);
    struct retired_reply reply;
    teller->telling = false;
    if (answer->status != TOYSTORE_OK || !retired_reply_decode(answer->result, &reply) ||
        reply.status != TOYSTORE_OK)
        return;
    teller->compared = true;
    teller->newest = reply.newest;
    retire->told_more = true;
    teller->told = max_size(teller->told, upto);
    if (same_digest(&reply.digest, &retire->digest))
        teller->told = retire->count;
    retire_wake(core);
}

/* The digest alone at first: who has noted the same has nothing to be told. */
static void tell(struct core *core, struct teller *teller)
{
    const struct retire *retire = core->retire;
    struct buf items = {0};
    size_t upto = teller->told;
    for (; teller->compared && upto < retire->count && upto - teller->told < RETIRE_PAGE; upto++)
        session_item_encode(&items, &(struct session_item){.session = retire->list[upto]});
    struct blob *params = RPC_PARAMS(
        retired_request, {.digest = retire->digest,
                          .last = teller->compared && upto == retire->count,
                          .sessions = {(uint32_t)(upto - teller->told), buf_slice(&items)}});
    buf_free(&items);
    teller->telling = true;
    rpc_call(core, teller->id, METHOD_RETIRED, params, REPLICA_TIMEOUT_MS, told, teller->id, upto);
}

static void client_told(struct core *core, uint64_t id, uint64_t index,
                        const struct rpc_answer *answer)
{
    (void)index;
    (void)answer;
    teller_of(core, id)->telling = false;
}

/* A client that lives, and was taken for dead: it goes on under another session, the sooner the
 * better. */
static void tell_client(struct core *core, struct teller *teller, const struct session *session)
{
    struct buf items = {0};
    session_item_encode(&items, &(struct session_item){.session = *session});
    struct blob *params = RPC_PARAMS(retired_request, {.sessions = {1, buf_slice(&items)}});
    buf_free(&items);
    teller->telling = true;
    rpc_call(core, teller->id, METHOD_RETIRED, params, REPLICA_TIMEOUT_MS, client_told, teller->id,
             0);
}

static void look_at(struct core *core, const struct member *member)
{
    if (!rpc_reachable(core, member->id))
        return;
    if (!member->storing && !retire_noted(core, &member->session))
        return;
    struct teller *teller = teller_of(core, member->id);
    if (teller->telling)
        return;
    if (!member->storing) {
        tell_client(core, teller, &member->session);
        return;
    }
    if (session_compare(&teller->process, &member->session) != 0) {
        teller->process = member->session; /* it may have another directory, or an older one */
        teller->compared = false;
        teller->told = 0;
    }
    if (BROKEN(core, retired_unheld) && !layout_find(view_oldest(core), member->id))
        return; /* later is soon enough */
    if (!teller->compared || teller->told < core->retire->count)
        tell(core, teller);
}

void retire_tell(struct core *core)
{
    for (size_t i = 1; i < members_count(core); i++)
        if (members_alive(core, members_at(core, i)->id))
            look_at(core, members_at(core, i));
    judge_in_force(core);
}

/* ---- hearing ---- */

static void reply(struct core *core, const struct rpc_origin *origin, enum toystore_status status)
{
    const struct layout *newest = view_newest(core);
    RPC_REPLY(
        core, origin, retired_reply,
        {.status = status, .newest = newest ? newest->number : 0, .digest = core->retire->digest});
}

static void noted(struct core *core, const struct core_event *event, struct resume resume)
{
    struct retire_serving *serving = pool_get(&core->retire->served, resume.handle);
    if (event->status == 0) {
        for (size_t i = 0; i < serving->count; i++)
            retire_note(core, &serving->sessions[i]);
        if (serving->last)
            teller_of(core, serving->from)->learned = serving->digest;
        retire_wake(core);
    }
    reply(core, &serving->origin, event->status == 0 ? TOYSTORE_OK : TOYSTORE_IO);
    free(serving->sessions);
    pool_delete(&core->retire->served, resume.handle);
}

static void note_all(struct core *core, const struct rpc_request *request,
                     const struct retired_request *in)
{
    pool_handle handle;
    struct retire_serving *serving = pool_new(&core->retire->served, &handle);
    struct cursor cursor = cursor_of(in->sessions.items);
    struct session_item item;
    struct batch batch = {0};
    if (!serving) {
        rpc_fail(core, &request->origin, TOYSTORE_BUSY, "too many requests are being served");
        return;
    }
    serving->origin = request->origin;
    serving->from = request->from;
    serving->digest = in->digest;
    serving->last = in->last;
    serving->sessions = base_alloc(in->sessions.count * sizeof *serving->sessions + 1);
    for (uint32_t i = 0; i < in->sessions.count && session_item_read(&cursor, &item); i++) {
        if (retire_noted(core, &item.session))
            continue;
        serving->sessions[serving->count++] = item.session;
        retire_add(&batch, &item.session, MARK_NOTED);
    }
    disk_commit(core, &batch, serving->count != 0, resume_to(noted, handle, 0));
}

static void hear_as_client(struct core *core, const struct retired_request *in)
{
    struct cursor cursor = cursor_of(in->sessions.items);
    struct session_item item;
    for (uint32_t i = 0; i < in->sessions.count && session_item_read(&cursor, &item); i++)
        session_renew(core, &item.session);
}

void retire_handle(struct core *core, const struct rpc_request *request)
{
    struct retired_request in;
    if (!retired_request_decode(request->params, &in) || in.sessions.count > RETIRE_PAGE ||
        request->from == 0) {
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "malformed Retired");
        return;
    }
    if (!core->config.storing) {
        hear_as_client(core, &in);
        reply(core, &request->origin, TOYSTORE_OK);
    } else if (in.sessions.count == 0 && !in.last) {
        reply(core, &request->origin, TOYSTORE_OK);
    } else {
        note_all(core, request, &in);
    }
}

/* ---- taking from others ---- */

void retire_heard(struct core *core, node_id from, const struct hash128 *digest)
{
    teller_of(core, from)->heard = *digest;
}

bool retire_learned(const struct core *core, node_id from)
{
    const struct teller *teller = map_get(&core->retire->tellers, slice_of(&from, sizeof from));
    if (BROKEN(core, retired_unheld))
        return true;
    return !teller || same_digest(&teller->heard, &core->retire->digest) ||
           same_digest(&teller->heard, &teller->learned);
}

/* ---- what is due ---- */

void retire_wake(struct core *core)
{
    if (core->started && core->config.storing)
        timer_set(core, &core->retire->due_timer, core->now_us, core->retire->step);
}
