/* coord_store: an immutable key (a chunk, a page) goes to all owners of every live layout at once
 * and is acknowledged at q in each; who misses it gets a hint (PROTOCOL 8).
 *
 * Enters from: ask.c. Leaves to: TRANSFER (replica_transfer.c), HINT_PUT where owners miss. */
#include "core/coord/coord_chunk.h"
#include "core/retire/retire.h"
#include "core/view/view.h"

#include "wire/pack.h"

struct coord_store {
    struct operation op;
    ask_done_fn *done;
    uint64_t done_handle;
    struct op_id name;
    struct blob *key_bytes;
    struct blob *packed,
        *params; /* the first Transfer, whose bytes the record stays in; the last */
    struct slice key, record;
    unsigned w;
    bool strict, durable, sent, tombstone;
    uint32_t partition, attempt;
    struct view view, stale_view;
    node_id stale_from;
    struct electorate electorate;
    uint32_t asked, stored, failed;
    bool no_space;
    node_id fallbacks[CHUNK_FALLBACKS_MAX];
    unsigned fallback_count, fallback_open, fallback_stored;
    struct timer timer, deadline;
    uint64_t begun_us, deadline_us;
};

enum { STORE_NEW, STORE_ASK, STORE_PAUSE, STORE_STALE, STORE_SLOPPY, STORE_BEHIND, STORE_DONE };

#define STATE(name) STORE_##name
#define TO(name)    (1u << STORE_##name)

static void store_ask(struct core *core, struct operation *operation);
static void store_pause(struct core *core, struct operation *operation);
static void store_stale(struct core *core, struct operation *operation);
static void store_sloppy(struct core *core, struct operation *operation);
static void store_behind(struct core *core, struct operation *operation);
static void store_end(struct core *core, struct operation *operation);

#define STORE_STATES(S)                                                                            \
    S(NEW, NULL, TO(ASK))                                                                          \
    S(ASK, store_ask, TO(PAUSE) | TO(STALE) | TO(SLOPPY) | TO(BEHIND) | TO(DONE))                  \
    S(PAUSE, store_pause, TO(ASK) | TO(DONE))                                                      \
    S(STALE, store_stale, TO(ASK) | TO(DONE))                                                      \
    S(SLOPPY, store_sloppy, TO(PAUSE) | TO(DONE))                                                  \
    S(BEHIND, store_behind, TO(DONE))                                                              \
    S(DONE, store_end, 0)

OPERATION_TABLE(store_table, "store", STORE_STATES)

static struct coord_store *store_of(struct operation *operation)
{
    return container_of(operation, struct coord_store, op);
}

static struct coord_store *store_find(struct core *core, uint64_t handle)
{
    return pool_get(&core->coord->stores, handle);
}

static void store_move(struct core *core, struct coord_store *store, unsigned state)
{
    operation_move(core, &store->op, state);
}

static void store_release(struct coord_store *store)
{
    blob_unref(&store->key_bytes);
    blob_unref(&store->packed);
    blob_unref(&store->params);
}

static void store_end(struct core *core, struct operation *operation)
{
    struct coord_store *store = store_of(operation);
    assert(store->op.answered);
    timer_cancel(core, &store->timer);
    timer_cancel(core, &store->deadline);
    store_release(store);
    pool_delete(&core->coord->stores, store->op.handle);
}

static void answer(struct core *core, struct coord_store *store, enum toystore_status status,
                   unsigned next)
{
    struct toystore_result result = {.status = status,
                                     .message = "",
                                     .op = op_to_public(store->name),
                                     .sloppy = store->op.state == STORE_SLOPPY};
    operation_answer(core, &store->op, toystore_status_word(status));
    timer_cancel(core, &store->deadline);
    store->done(core, store->done_handle, &result);
    store_move(core, store, next);
}

static enum toystore_status failure(const struct coord_store *store)
{
    if (store->no_space)
        return TOYSTORE_NO_SPACE;
    return store->sent ? TOYSTORE_INDETERMINATE : TOYSTORE_NOT_APPLIED;
}

static void on_deadline(struct core *core, struct timer *timer)
{
    struct coord_store *store = store_find(core, timer->handle);
    answer(core, store, failure(store), STORE_DONE);
}

static bool enough(const struct coord_store *store)
{
    const struct electorate *electorate = &store->electorate;
    for (unsigned i = 0; i < electorate->layout_count; i++)
        if ((unsigned)__builtin_popcount(store->stored & electorate->layouts[i].mask) <
            min_size(store->w, electorate->layouts[i].n))
            return false;
    return electorate_has(electorate, store->stored, QUORUM_ACCEPT);
}

/* ---- owners ---- */

static void check(struct core *core, struct coord_store *store)
{
    uint32_t open = store->asked & ~store->stored & ~store->failed;
    if (store->op.state == STORE_BEHIND) {
        if (open == 0)
            store_move(core, store, STORE_DONE);
        return;
    }
    if (enough(store)) {
        answer(core, store, TOYSTORE_OK, STORE_BEHIND);
        return;
    }
    if (open != 0 && electorate_can(&store->electorate, store->stored, open, QUORUM_ACCEPT))
        return;
    if (store->no_space)
        answer(core, store, TOYSTORE_NO_SPACE, STORE_DONE);
    else
        store_move(core, store, store->strict ? STORE_PAUSE : STORE_SLOPPY);
}

/* An owner that has it keeps a hint for one that has not. */
static void leave_hint(struct core *core, struct coord_store *store, unsigned missing)
{
    const struct electorate *electorate = &store->electorate;
    int self = electorate_index(electorate, core->id);
    unsigned keeper = 0;
    while (keeper < electorate->member_count && !(store->stored & 1u << keeper))
        keeper++;
    if (self >= 0 && (store->stored & 1u << self))
        keeper = (unsigned)self;
    if (keeper == electorate->member_count)
        return;
    rpc_call(core, electorate->members[keeper], METHOD_HINT_PUT,
             RPC_PARAMS(hint_put_request, {.view = store->view,
                                           .owner = electorate->members[missing],
                                           .key = store->key,
                                           .record = store->record}),
             REPLICA_TIMEOUT_MS, NULL, 0, 0);
}

static enum toystore_status one_result(const struct rpc_answer *answer,
                                       struct transfer_reply *reply)
{
    uint32_t result = TOYSTORE_UNAVAILABLE;
    if (answer->status != TOYSTORE_OK || !transfer_reply_decode(answer->result, reply))
        return TOYSTORE_UNAVAILABLE;
    if (reply->status != TOYSTORE_OK)
        return (enum toystore_status)reply->status;
    struct cursor cursor = cursor_of(reply->results.items);
    if (reply->results.count != 1 || !wire_get_U32(&cursor, &result))
        return TOYSTORE_INVALID;
    return (enum toystore_status)result;
}

static void on_stored(struct core *core, uint64_t handle, uint64_t index,
                      const struct rpc_answer *answer)
{
    struct coord_store *store = store_find(core, handle);
    if (!store || index >> 8 != store->attempt ||
        (store->op.state != STORE_ASK && store->op.state != STORE_BEHIND))
        return;
    unsigned member = index & 0xff;
    struct transfer_reply reply = {0};
    enum toystore_status status = one_result(answer, &reply);
    if (status == TOYSTORE_OK) {
        store->stored |= 1u << member;
    } else {
        store->failed |= 1u << member;
        store->no_space = store->no_space || status == TOYSTORE_NO_SPACE;
        if (store->op.state == STORE_BEHIND)
            leave_hint(core, store, member);
    }
    if (status == TOYSTORE_MUTE)
        view_note_mute(core, store->partition, store->electorate.members[member]);
    if (status == TOYSTORE_STALE && store->op.state == STORE_ASK) {
        store->stale_view = reply.view;
        store->stale_from = answer->from;
        store_move(core, store, STORE_STALE);
        return;
    }
    check(core, store);
}

static struct transfer_request transfer_head(const struct coord_store *store)
{
    return (struct transfer_request){.view = store->view,
                                     .partition = store->partition,
                                     .reason = TRANSFER_IMMUTABLE,
                                     .durable = store->durable};
}

/* The record is copied once: into the Transfer that goes to all owners, and from which this node's
 * own replica gives it to its store. The fields are those of transfer_item. */
static void pack(struct coord_store *store, struct record *record, size_t value_size)
{
    struct version *version = &record->reg.version;
    version->checksum = version_checksum(version);
    struct buf out = {0};
    buf_reserve(&out, value_size + store->key.size + 2048);
    transfer_pack_head(&out, transfer_head(store));
    pack_array(&out, 3);
    pack_bytes(&out, store->key);
    size_t begun = pack_bytes_begin(&out);
    record_encode(&out, record);
    pack_bytes_end(&out, begun);
    size_t size = out.size - begun;
    pack_bool(&out, false);
    blob_unref(&store->packed);
    blob_unref(&store->params);
    store->packed = buf_take(&out);
    store->params = blob_ref(store->packed);
    store->record = slice_of(store->packed->data + begun, size);
}

/* Made in the era that it is asked for in: owners may have collected the partition in it since the
 * last try, and one of an older era would be dropped by one while others have the value. */
static void pack_tombstone(struct coord_store *store)
{
    struct record record = {.has_register = true, .reg.born = view_era(store->view)};
    record.reg.version.kind = TOYSTORE_TOMBSTONE;
    pack(store, &record, 0);
}

static void pack_value(const struct core *core, struct coord_store *store,
                       const struct toystore_request *request)
{
    struct record record = {.has_register = true};
    record.reg.version = (struct version){.op = store->name,
                                          .kind = TOYSTORE_INTERNAL,
                                          .attributes = request->attributes,
                                          .value = slice_public(request->value),
                                          .extra = slice_public(request->extra),
                                          .node = core->id};
    pack(store, &record, request->value.size + request->extra.size);
}

static void pack_again(const struct core *core, struct coord_store *store)
{
    (void)core; /* only a broken one is asked */
    if (store->tombstone && !BROKEN(core, drop_kept_era)) {
        pack_tombstone(store);
        return;
    }
    blob_unref(&store->params);
    store->params = transfer_pack(
        transfer_head(store), &(struct transfer_item){.key = store->key, .record = store->record});
}

static void store_ask(struct core *core, struct operation *operation)
{
    struct coord_store *store = store_of(operation);
    struct electorate *electorate = &store->electorate;
    store->stored = store->failed = 0;
    store->no_space = false;
    store->view = view_of(core, store->partition);
    view_electorate_key(core, store->key, 0, 0, electorate);
    if (store->attempt++ > 0)
        pack_again(core, store);
    uint32_t reachable = electorate_reachable(core, store->partition, electorate);
    bool few = !electorate_has(electorate, reachable, QUORUM_ACCEPT);
    store->asked = few ? electorate_all(electorate) : reachable;
    store->sent = true;
    for (unsigned i = 0; i < electorate->member_count; i++)
        if (store->asked & 1u << i)
            rpc_call(core, electorate->members[i], METHOD_TRANSFER, blob_ref(store->params),
                     until_ms(core, store->deadline_us, REPLICA_TIMEOUT_MS), on_stored,
                     store->op.handle, (uint64_t)store->attempt << 8 | i);
}

static void store_behind(struct core *core, struct operation *operation)
{
    struct coord_store *store = store_of(operation);
    uint32_t missing = (electorate_all(&store->electorate) & ~store->asked) | store->failed;
    for (unsigned i = 0; i < store->electorate.member_count; i++)
        if (missing & 1u << i)
            leave_hint(core, store, i);
    check(core, store);
}

/* ---- no majority of owners: W storing members, fallbacks under hints ---- */

unsigned chunk_fallbacks(struct core *core, uint32_t partition, const struct electorate *electorate,
                         node_id ret[CHUNK_FALLBACKS_MAX])
{
    node_id ranked[ELECTORATE_MAX + CHUNK_FALLBACKS_MAX];
    size_t ranked_count = layout_rank(view_newest(core), partition, ranked, ARRAY_COUNT(ranked));
    unsigned count = 0;
    for (size_t i = 0; i < ranked_count && count < CHUNK_FALLBACKS_MAX; i++)
        if (electorate_index(electorate, ranked[i]) < 0 && rpc_reachable(core, ranked[i]))
            ret[count++] = ranked[i];
    return count;
}

static void sloppy_check(struct core *core, struct coord_store *store)
{
    const struct electorate *electorate = &store->electorate;
    unsigned need = electorate->layouts[electorate->layout_count - 1].w;
    unsigned have = (unsigned)__builtin_popcount(store->stored) + store->fallback_stored;
    if (have >= max_size(need, min_size(store->w, electorate->layouts[0].n)))
        answer(core, store, TOYSTORE_OK, STORE_DONE);
    else if (store->fallback_open == 0)
        store_move(core, store, STORE_PAUSE);
}

static void on_fallback(struct core *core, uint64_t handle, uint64_t index,
                        const struct rpc_answer *answer)
{
    struct coord_store *store = store_find(core, handle);
    if (!store || index != store->attempt || store->op.state != STORE_SLOPPY)
        return;
    struct replica_reply reply;
    store->fallback_open--;
    if (answer->status == TOYSTORE_OK && replica_reply_decode(answer->result, &reply) &&
        reply.status == TOYSTORE_OK)
        store->fallback_stored++;
    sloppy_check(core, store);
}

/* Each fallback stands for one of the owners that did not take it. */
static void store_sloppy(struct core *core, struct operation *operation)
{
    struct coord_store *store = store_of(operation);
    const struct electorate *electorate = &store->electorate;
    unsigned count = chunk_fallbacks(core, store->partition, electorate, store->fallbacks);
    unsigned used = 0;
    store->fallback_open = store->fallback_stored = 0;
    for (unsigned i = 0; i < electorate->member_count && used < count; i++) {
        if (store->stored & 1u << i)
            continue;
        store->fallback_open++;
        rpc_call(core, store->fallbacks[used++], METHOD_HINT_PUT,
                 RPC_PARAMS(hint_put_request, {.view = store->view,
                                               .owner = electorate->members[i],
                                               .key = store->key,
                                               .record = store->record,
                                               .durable = store->durable}),
                 until_ms(core, store->deadline_us, REPLICA_TIMEOUT_MS), on_fallback,
                 store->op.handle, store->attempt);
    }
    sloppy_check(core, store);
}

/* ---- again ---- */

static void again(struct core *core, struct timer *timer)
{
    store_move(core, store_find(core, timer->handle), STORE_ASK);
}

static void store_pause(struct core *core, struct operation *operation)
{
    struct coord_store *store = store_of(operation);
    store->timer.handle = store->op.handle;
    timer_set_after_ms(core, &store->timer, COORD_PAUSE_MS, again);
}

static void view_taken(struct core *core, uint64_t handle)
{
    struct coord_store *store = store_find(core, handle);
    if (store && store->op.state == STORE_STALE)
        store_move(core, store, STORE_ASK);
}

static void store_stale(struct core *core, struct operation *operation)
{
    struct coord_store *store = store_of(operation);
    view_adopt(core, store->partition, &store->stale_view, store->stale_from,
               until_ms(core, store->deadline_us, REPLICA_TIMEOUT_MS), view_taken,
               store->op.handle);
}

/* ---- the door ---- */

void coord_store(struct core *core, const struct toystore_request *request, struct op_id op,
                 ask_done_fn *done, uint64_t handle)
{
    pool_handle own;
    struct coord_store *store = pool_new(&core->coord->stores, &own);
    if (!store) {
        ask_refuse(core, done, handle, TOYSTORE_BUSY, "too many requests");
        return;
    }
    store->op = (struct operation){.table = &store_table, .handle = own};
    store->done = done;
    store->done_handle = handle;
    store->name = op;
    store->key_bytes = blob_copy(slice_public(request->key));
    store->key = blob_slice(store->key_bytes);
    store->partition = view_partition_of(core, store->key);
    store->w = request->w;
    store->durable = request->durable;
    store->strict = request->exclusive || request_strict(core, request);
    store->begun_us = core->now_us;
    unsigned deadline_ms = request->deadline_ms ? request->deadline_ms : PUT_DEADLINE_MS;
    store->deadline_us = core->now_us + 1000ull * deadline_ms;
    store->deadline.handle = own;
    timer_set(core, &store->deadline, store->deadline_us, on_deadline);
    store->view = view_of(core, store->partition);
    store->tombstone = request->change == TOYSTORE_DELETE;
    if (store->tombstone) {
        pack_tombstone(store);
    } else {
        session_stores(core, &op.session);
        pack_value(core, store, request);
    }
    store_move(core, store, STORE_ASK);
}

void coord_store_init(struct coord *coord)
{
    pool_init(&coord->stores, sizeof(struct coord_store), COORD_OPS_MAX);
}

void coord_store_free_all(struct coord *coord)
{
    for (size_t i = 0; i < coord->stores.capacity; i++)
        if (coord->stores.objects[i])
            store_release(coord->stores.objects[i]);
    pool_free(&coord->stores);
}
