/* coord_get_sloppy: a get where no quorum of owners answers and the caller is not strict
 * (PROTOCOL 5, sloppy get): the visible part of what r storing members show, owners and fallbacks,
 * and marked so. "Not found" only when an owner is among them.
 *
 * Enters from: coord_get.c. Leaves to: GET at the fallbacks. */
#include "core/coord/coord_own.h"
#include "core/view/view.h"

static unsigned wanted(const struct core *core, const struct coord_get *get)
{
    (void)core;
    const struct electorate *electorate = &get->tally.electorate;
    return electorate->layouts[electorate->layout_count - 1].r;
}

static void conclude(struct core *core, struct coord_get *get)
{
    unsigned owners = (unsigned)__builtin_popcount(get->tally.shown);
    if (owners + get->fallback_shown >= wanted(core, get) &&
        (owners > 0 || !record_absent(&get->tally.base)))
        get_answer(core, get, true);
    else if (get->fallback_open == 0)
        get_move(core, get, GET_PAUSE);
}

static void on_fallback(struct core *core, uint64_t handle, uint64_t index,
                        const struct rpc_answer *answer)
{
    struct coord_get *get = get_find(core, handle);
    if (!get || index >> 8 != get->attempt || get->op.state != GET_SLOPPY)
        return;
    get->fallback_open--;
    struct replica_reply reply = {.status = TOYSTORE_UNAVAILABLE};
    struct record record = {0};
    if (answer->status == TOYSTORE_OK && replica_reply_decode(answer->result, &reply) &&
        reply.status == TOYSTORE_OK) {
        struct slice bytes = arena_copy(&get->tally.arena, reply.record);
        if (bytes.size == 0 ||
            record_take(&get->tally.arena, bytes, view_collected(core, get->key), &record) == 0) {
            record.has_register = false; /* a register counts only from an owner */
            record_merge(&get->tally.arena, &get->tally.base, &record, &get->tally.base);
            get->fallback_shown++;
        }
    } else if (answer->status == TOYSTORE_OK && reply.status == TOYSTORE_STALE) {
        /* No owner may be there to tell it: the next pass knows. */
        view_adopt(core, get->partition, &reply.view, answer->from, REPLICA_TIMEOUT_MS, NULL, 0);
    }
    conclude(core, get);
}

void get_sloppy(struct core *core, struct operation *operation)
{
    struct coord_get *get = get_of(operation);
    node_id ranked[ELECTORATE_MAX + GET_FALLBACKS_MAX];
    size_t count = layout_rank(view_newest(core), get->partition, ranked, ARRAY_COUNT(ranked));
    timer_cancel(core, &get->timer);
    tally_merge(&get->tally);
    own_merge(core, get->key, &get->tally.arena, &get->tally.base);
    get->fallback_count = get->fallback_open = get->fallback_shown = 0;
    for (size_t i = 0; i < count && get->fallback_count < GET_FALLBACKS_MAX; i++) {
        if (electorate_index(&get->tally.electorate, ranked[i]) >= 0 ||
            !rpc_reachable(core, ranked[i]))
            continue;
        get->fallbacks[get->fallback_count] = ranked[i];
        get->fallback_open++;
        rpc_call(core, ranked[i], METHOD_GET, blob_ref(get->params),
                 until_ms(core, get->deadline_us, REPLICA_TIMEOUT_MS), on_fallback, get->op.handle,
                 get_index(get, GET_FALLBACK_INDEX + get->fallback_count++));
    }
    conclude(core, get);
}
