/* coord_sloppy: a put without a majority (PROTOCOL 6): reads what owners and fallbacks show, makes
 * a sibling that covers what it read, and stores it with the same op at reachable owners, then
 * fallbacks in rank order, which keep a hint for the owner they stand for. W distinct storing
 * members make it OK.
 *
 * Enters from: ask_put.c. Leaves to: GET and HINT_PUT (replica_request.c). */
#include "core/coord/coord_own.h"
#include "core/view/view.h"

/* A storing member that takes the put: an owner, or a fallback that stands for one. */
struct stand {
    node_id id, owner; /* owner 0: it is one itself */
    struct blob *frame;
    bool shown, stored;
};

enum { STANDS_MAX = ELECTORATE_MAX };

struct coord_sloppy {
    struct operation op;
    ask_done_fn *done;
    uint64_t done_handle;
    struct arena arena;
    struct toystore_request request;
    struct slice key;
    struct op name;
    uint32_t partition;
    struct view view;
    unsigned w;
    uint64_t before; /* see struct retry */
    bool insists; /* it was refused where its copies are siblings already: only these are spread */
    struct stand stands[STANDS_MAX];
    unsigned stand_count, open, stored;
    struct record base;
    struct blob *record;
    struct timer timer;
    uint64_t deadline_us;
};

enum { SLOPPY_NEW, SLOPPY_READ, SLOPPY_STORE, SLOPPY_DONE };

#define STATE(name) SLOPPY_##name
#define TO(name)    (1u << SLOPPY_##name)

static void sloppy_read(struct core *core, struct operation *operation);
static void sloppy_store(struct core *core, struct operation *operation);
static void sloppy_end(struct core *core, struct operation *operation);

#define SLOPPY_STATES(S)                                                                           \
    S(NEW, NULL, TO(READ))                                                                         \
    S(READ, sloppy_read, TO(STORE) | TO(DONE))                                                     \
    S(STORE, sloppy_store, TO(DONE))                                                               \
    S(DONE, sloppy_end, 0)

OPERATION_TABLE(sloppy_table, "sloppy put", SLOPPY_STATES)

static struct coord_sloppy *sloppy_of(struct operation *operation)
{
    return container_of(operation, struct coord_sloppy, op);
}

static struct coord_sloppy *sloppy_find(struct core *core, uint64_t handle)
{
    return pool_get(&core->coord->sloppies, handle);
}

static void sloppy_release(struct coord_sloppy *put)
{
    for (unsigned i = 0; i < put->stand_count; i++)
        blob_unref(&put->stands[i].frame);
    blob_unref(&put->record);
    arena_free(&put->arena);
}

static void sloppy_end(struct core *core, struct operation *operation)
{
    struct coord_sloppy *put = sloppy_of(operation);
    timer_cancel(core, &put->timer);
    sloppy_release(put);
    pool_delete(&core->coord->sloppies, put->op.handle);
}

static void finish(struct core *core, struct coord_sloppy *put, enum toystore_status status)
{
    if (status == TOYSTORE_OK && !own_remember(core, put->key, &put->name, put->record))
        status = TOYSTORE_INDETERMINATE;
    struct toystore_result result = {
        .status = status, .message = "", .sloppy = true, .op = op_to_public(put->name.id)};
    if (status == TOYSTORE_CONFLICT)
        result_versions(&put->arena, &put->base, &result);
    operation_answer(core, &put->op, toystore_status_word(status));
    put->done(core, put->done_handle, &result);
    operation_move(core, &put->op, SLOPPY_DONE);
}

/* ---- who takes it ---- */

static bool cannot(void *arg, node_id id)
{
    return !rpc_reachable(arg, id);
}

static bool stands_already(const struct coord_sloppy *put, node_id id)
{
    for (unsigned i = 0; i < put->stand_count; i++)
        if (put->stands[i].id == id)
            return true;
    return false;
}

/* Each owner of a live layout, or the next fallback for it: distinct storing members. */
static void choose_stands(struct core *core, struct coord_sloppy *put)
{
    const struct layout *layouts[2] = {view_newest(core), view_oldest(core)};
    for (unsigned l = 0; l < (layouts[0] == layouts[1] ? 1u : 2u); l++) {
        struct layout_target targets[REPLICAS_MAX];
        size_t count = layout_targets(layouts[l], put->partition, cannot, core, targets);
        for (size_t i = 0; i < count && put->stand_count < STANDS_MAX; i++) {
            if (targets[i].target == 0 || stands_already(put, targets[i].target))
                continue;
            bool owner = view_owner(core, put->partition, targets[i].target);
            put->stands[put->stand_count++] =
                (struct stand){.id = targets[i].target, .owner = owner ? 0 : targets[i].owner};
        }
    }
}

/* ---- what is there ---- */

static void read_done(struct core *core, struct coord_sloppy *put)
{
    bool shown = false;
    struct era collected = view_collected(core, put->key);
    for (unsigned i = 0; i < put->stand_count; i++) {
        struct replica_reply reply;
        struct record record = {0};
        if (!put->stands[i].shown ||
            !replica_reply_decode(blob_slice(put->stands[i].frame), &reply))
            continue;
        if (reply.record.size > 0 &&
            record_take(&put->arena, reply.record, collected, &record) != 0)
            continue;
        if (put->stands[i].owner) /* a register counts only from an owner */
            record.has_register = false;
        record_merge(&put->arena, &put->base, &record, &put->base);
        shown = true;
    }
    own_merge(core, put->key, &put->arena, &put->base);
    if (shown)
        operation_move(core, &put->op, SLOPPY_STORE);
    else
        finish(core, put, TOYSTORE_NOT_APPLIED);
}

static void on_read(struct core *core, uint64_t handle, uint64_t index,
                    const struct rpc_answer *answer)
{
    struct coord_sloppy *put = sloppy_find(core, handle);
    if (!put || put->op.state != SLOPPY_READ)
        return;
    put->open--;
    struct replica_reply reply = {.status = TOYSTORE_UNAVAILABLE};
    if (answer->status == TOYSTORE_OK && replica_reply_decode(answer->result, &reply) &&
        reply.status == TOYSTORE_OK) {
        put->stands[index].shown = true;
        put->stands[index].frame = blob_copy(answer->result);
    } else if (answer->status == TOYSTORE_OK && reply.status == TOYSTORE_STALE) {
        /* No owner may be there to tell it: the asker's next pass knows. */
        view_adopt(core, put->partition, &reply.view, answer->from, REPLICA_TIMEOUT_MS, NULL, 0);
    }
    if (put->open == 0)
        read_done(core, put);
}

static void sloppy_read(struct core *core, struct operation *operation)
{
    struct coord_sloppy *put = sloppy_of(operation);
    choose_stands(core, put);
    if (put->stand_count < put->w || !own_room(core, put->key, &put->name.id)) {
        finish(core, put, TOYSTORE_NOT_APPLIED);
        return;
    }
    struct blob *params = RPC_PARAMS(get_request, {.view = put->view, .key = put->key});
    put->open = put->stand_count;
    for (unsigned i = 0; i < put->stand_count; i++)
        rpc_call(core, put->stands[i].id, METHOD_GET, blob_ref(params),
                 until_ms(core, put->deadline_us, 2 * SILENT_MS), on_read, put->op.handle, i);
    blob_unref(&params);
}

/* ---- the sibling ---- */

static bool named(const struct coord_sloppy *put, const struct op_id *op)
{
    if (put->request.condition == TOYSTORE_ALWAYS)
        return true; /* replaces all that its writer could see */
    for (size_t i = 0; i < put->request.match_count; i++) {
        struct op_id match = op_from_public(put->request.match[i]);
        if (op_id_equal(&match, op))
            return true;
    }
    return false;
}

/* PROTOCOL 2: covers of a sloppy put are the sloppy puts that its writer read and replaces, their
 * covers, and covers and recent of the register it read; `sees` is that register's ballot. */
static void cover_read(struct coord_sloppy *put, struct sloppy *sloppy)
{
    const struct record *base = &put->base;
    struct era era = view_era(put->view);
    for (size_t i = 0; i < base->sloppy_count; i++) {
        const struct sloppy *other = &base->sloppy[i];
        if (op_id_equal(&other->version.op, &sloppy->version.op))
            continue; /* its own copy of an earlier try */
        bool buried = other->version.kind == TOYSTORE_TOMBSTONE && sloppy_visible(base, i);
        if (sloppy_visible(base, i) && !buried && !named(put, &other->version.op))
            continue;
        covers_add_one(&put->arena, &sloppy->version, &other->version.op, era);
        if (!VERSION_SHALLOW)
            covers_add(&put->arena, &sloppy->version, other->version.covers,
                       other->version.cover_count);
        if (ballot_compare(&other->sees, &sloppy->sees) > 0)
            sloppy->sees = other->sees;
    }
    if (!base->has_register)
        return;
    const struct reg *reg = &base->reg;
    covers_add(&put->arena, &sloppy->version, reg->version.covers, reg->version.cover_count);
    for (size_t i = 0; i < reg->recent_count; i++) {
        if (reg->recent[i].answer != TOYSTORE_OK)
            continue; /* what was refused has replaced nothing */
        struct op_id op = {reg->recent[i].session, reg->recent[i].sequence};
        covers_add_one(&put->arena, &sloppy->version, &op, reg->recent[i].era);
    }
    if (ballot_compare(&reg->ballot, &sloppy->sees) > 0)
        sloppy->sees = reg->ballot;
}

static void judge_words(const struct core *core, const struct coord_sloppy *put,
                        struct op_id *match, struct judge_put *ret)
{
    const struct toystore_request *request = &put->request;
    for (size_t i = 0; i < request->match_count; i++)
        match[i] = op_from_public(request->match[i]);
    *ret = (struct judge_put){.op = put->name,
                              .condition = request->condition,
                              .match = match,
                              .match_count = request->match_count,
                              .change = request->change,
                              .kind = request->kind,
                              .attributes = request->attributes,
                              .value = slice_public(request->value),
                              .extra = slice_public(request->extra),
                              .node = core->id,
                              .era = view_era(put->view),
                              .heedless = BROKEN(core, own_sibling)};
}

static bool too_many(const struct coord_sloppy *put)
{
    size_t left = 0;
    for (size_t i = 0; i < put->base.sloppy_count; i++)
        left += !named(put, &put->base.sloppy[i].version.op);
    return left >= SIBLINGS_MAX;
}

static void pack_sibling(struct coord_sloppy *put, struct sloppy *sloppy)
{
    struct record record = {.sloppy = sloppy, .sloppy_count = 1};
    struct buf bytes = {0};
    record_encode(&bytes, &record);
    put->record = buf_take(&bytes);
}

/* As its first try made it: what stands there now it has not seen, and does not replace. */
static enum toystore_status find_sibling(struct coord_sloppy *put)
{
    for (size_t i = 0; i < put->base.sloppy_count; i++) {
        if (!op_id_equal(&put->base.sloppy[i].version.op, &put->name.id))
            continue;
        pack_sibling(put, &put->base.sloppy[i]);
        return TOYSTORE_OK;
    }
    return TOYSTORE_NOT_APPLIED;
}

/* Would it stand for a put of its own session that those who answer do not show, and that its
 * writer so has not read? One that went through a quorum is not remembered as sloppy ones are. */
static bool last_unread(const struct core *core, const struct coord_sloppy *put,
                        const struct judge_put *words)
{
    struct op_id last = {put->name.id.session, put->before};
    (void)core;
    return put->before != 0 && !judge_whole(words) && !record_has(&put->base, &last) &&
           !BROKEN(core, last_unread);
}

/* A later op of its session is there, which stands for it: nobody would see it. */
static bool overtaken(const struct coord_sloppy *put)
{
    struct op_id later = put->name.id;
    later.sequence++;
    return record_has(&put->base, &later);
}

/* Somebody has read it already, as a coordinator's accept or an earlier copy, and put something
 * over it: made now, it would replace that in turn, which it has caused. */
static bool was_replaced(const struct coord_sloppy *put)
{
    const struct record *base = &put->base;
    const struct op_id *op = &put->name.id;
    bool covered = base->has_register && !op_id_equal(&base->reg.version.op, op) &&
                   version_covers(&base->reg.version, op);
    for (size_t i = 0; i < base->sloppy_count; i++)
        covered |= !op_id_equal(&base->sloppy[i].version.op, op) &&
                   version_covers(&base->sloppy[i].version, op);
    return covered;
}

/* OK: put->record is the sibling alone. */
static enum toystore_status make_sibling(struct core *core, struct coord_sloppy *put)
{
    struct judge_put words;
    struct sloppy sloppy = {0};
    judge_words(core, put,
                arena_alloc(&put->arena, (put->request.match_count + 1) * sizeof(struct op_id)),
                &words);
    if (words.condition == TOYSTORE_IF_MATCH &&
        !record_matches(&put->base, words.match, words.match_count))
        return TOYSTORE_CONFLICT;
    enum toystore_status status = judge_change(&put->base, &words, &sloppy.version);
    if (status != TOYSTORE_OK)
        return status;
    if (too_many(put))
        return TOYSTORE_CONFLICT;
    if (overtaken(put) || judge_own_sibling(&put->base, &words) || last_unread(core, put, &words))
        return TOYSTORE_RETIRED;
    if (was_replaced(put))
        return TOYSTORE_INDETERMINATE;
    cover_read(put, &sloppy);
    for (size_t i = 0; BROKEN(core, covers_unseen) && i < sloppy.version.cover_count; i++)
        sloppy.version.covers[i].sequence++;
    pack_sibling(put, &sloppy);
    return TOYSTORE_OK;
}

/* ---- storing ---- */

static void on_stored(struct core *core, uint64_t handle, uint64_t index,
                      const struct rpc_answer *answer)
{
    struct coord_sloppy *put = sloppy_find(core, handle);
    if (!put || put->op.state != SLOPPY_STORE)
        return;
    put->open--;
    struct replica_reply reply;
    if (answer->status == TOYSTORE_OK && replica_reply_decode(answer->result, &reply) &&
        reply.status == TOYSTORE_OK) {
        put->stands[index].stored = true;
        put->stored++;
    }
    if (put->stored >= put->w)
        finish(core, put, TOYSTORE_OK);
    else if (put->open == 0)
        finish(core, put, TOYSTORE_INDETERMINATE);
}

static void sloppy_store(struct core *core, struct operation *operation)
{
    struct coord_sloppy *put = sloppy_of(operation);
    enum toystore_status status = put->insists ? find_sibling(put) : make_sibling(core, put);
    if (status != TOYSTORE_OK) {
        finish(core, put, status);
        return;
    }
    put->open = put->stand_count;
    for (unsigned i = 0; i < put->stand_count; i++)
        rpc_call(core, put->stands[i].id, METHOD_HINT_PUT,
                 RPC_PARAMS(hint_put_request, {.view = put->view,
                                               .owner = put->stands[i].owner,
                                               .key = put->key,
                                               .record = blob_slice(put->record),
                                               .op = put->name,
                                               .first = true,
                                               .durable = put->request.durable}),
                 until_ms(core, put->deadline_us, REPLICA_TIMEOUT_MS), on_stored, put->op.handle,
                 i);
}

/* ---- the door ---- */

static void start(struct core *core, struct timer *timer)
{
    operation_move(core, &sloppy_find(core, timer->handle)->op, SLOPPY_READ);
}

void coord_sloppy(struct core *core, const struct toystore_request *request,
                  const struct retry *retry, uint64_t deadline_us, ask_done_fn *done,
                  uint64_t handle)
{
    pool_handle own;
    struct coord_sloppy *put = pool_new(&core->coord->sloppies, &own);
    if (!put) {
        ask_refuse(core, done, handle, TOYSTORE_NOT_APPLIED, "too many requests");
        return;
    }
    put->op = (struct operation){.table = &sloppy_table, .handle = own};
    put->done = done;
    put->done_handle = handle;
    request_copy(&put->arena, request, &put->request);
    put->key = slice_public(put->request.key);
    put->name = retry->op;
    put->insists = retry->refused;
    put->before = retry->before;
    put->partition = view_partition_of(core, put->key);
    put->view = view_of(core, put->partition);
    struct electorate electorate;
    view_electorate_key(core, put->key, request->w, 0, &electorate);
    put->w = electorate.layouts[electorate.layout_count - 1].w;
    put->deadline_us = deadline_us;
    put->timer.handle = own;
    timer_set(core, &put->timer, core->now_us, start);
}

void coord_sloppy_init(struct coord *coord)
{
    pool_init(&coord->sloppies, sizeof(struct coord_sloppy), COORD_OPS_MAX);
}

void coord_sloppy_free_all(struct coord *coord)
{
    for (size_t i = 0; i < coord->sloppies.capacity; i++)
        if (coord->sloppies.objects[i])
            sloppy_release(coord->sloppies.objects[i]);
    pool_free(&coord->sloppies);
}
