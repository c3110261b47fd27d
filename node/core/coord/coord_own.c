/* coord_own: see coord_own.h. A put is remembered when it is acknowledged as a sloppy one, and
 * forgotten when a get finds it in a chosen register's chain, or at every owner. Each handoff
 * interval some of them are looked for by a get that nobody waits for, which also spreads them.
 *
 * Enters from: coord_sloppy.c, ask_put.c, coord_get.c. Leaves to: HINT_PUT (replica_request.c). */
#include "core/coord/coord_own.h"
#include "core/view/view.h"

#include <stdlib.h>

struct own_put {
    struct op op;
    struct blob *record;
};

struct own_key {
    struct list link; /* in the order in which they are looked for */
    size_t count;
    struct own_put puts[OWN_PUTS_MAX];
    size_t name_size;
    uint8_t name[];
};

static struct slice own_name(const struct own_key *key)
{
    return slice_of(key->name, key->name_size);
}

static struct own_key *own_find(const struct core *core, struct slice key)
{
    return map_get(&core->coord->own, key);
}

static int put_of_session(const struct own_key *key, const struct session *session)
{
    for (size_t i = 0; key && i < key->count; i++)
        if (session_compare(&key->puts[i].op.id.session, session) == 0)
            return (int)i;
    return -1;
}

/* ---- remembering ---- */

bool own_room(const struct core *core, struct slice key, const struct op_id *op)
{
    const struct own_key *own = own_find(core, key);
    if (put_of_session(own, &op->session) >= 0)
        return true;
    return core->coord->own_bytes < OWN_BYTES_MAX &&
           (own ? own->count < OWN_PUTS_MAX : core->coord->own.count < OWN_KEYS_MAX);
}

static void drop_put(struct coord *coord, struct own_key *key, size_t at)
{
    coord->own_bytes -= key->puts[at].record->size;
    blob_unref(&key->puts[at].record);
    key->puts[at] = key->puts[--key->count];
}

static void drop_key(struct coord *coord, struct own_key *key)
{
    while (key->count > 0)
        drop_put(coord, key, 0);
    coord->own_bytes -= key->name_size;
    list_remove(&key->link);
    map_remove(&coord->own, own_name(key));
    free(key);
}

static void look_for_some(struct core *core, struct timer *timer);

static void look_again(struct core *core)
{
    timer_set_after_ms(core, &core->coord->own_timer, max_u64(core->config.handoff_interval_ms, 1),
                       look_for_some);
}

/* Only where it can be settled: a get that must fail would only cost. */
static bool majority_reachable(const struct core *core, struct slice key)
{
    struct electorate electorate;
    uint32_t partition = view_partition_of(core, key);
    view_electorate_key(core, key, 0, 0, &electorate);
    return electorate_has(&electorate, electorate_reachable(core, partition, &electorate),
                          QUORUM_MAJORITY);
}

static void look_for_some(struct core *core, struct timer *timer)
{
    struct coord *coord = core->coord;
    (void)timer;
    size_t count = coord->own.count, gets = 0;
    for (size_t i = 0; i < count && gets < OWN_GETS_MAX; i++) {
        struct own_key *key = container_of(coord->own_order.next, struct own_key, link);
        list_remove(&key->link);
        list_push_back(&coord->own_order, &key->link);
        if (!majority_reachable(core, own_name(key)))
            continue;
        coord_get_repair(core, own_name(key));
        gets++;
    }
    if (count > 0)
        look_again(core);
}

static struct own_key *own_new(struct core *core, struct slice name)
{
    struct coord *coord = core->coord;
    struct own_key *key = base_alloc(sizeof *key + name.size);
    key->name_size = name.size;
    memcpy(key->name, name.data, name.size);
    map_put(&coord->own, name, key);
    list_push_back(&coord->own_order, &key->link);
    coord->own_bytes += name.size;
    if (coord->own.count == 1)
        look_again(core);
    return key;
}

bool own_remember(struct core *core, struct slice name, const struct op *op, struct blob *record)
{
    if (!own_room(core, name, &op->id))
        return false;
    struct own_key *key = own_find(core, name);
    if (!key)
        key = own_new(core, name);
    int at = put_of_session(key, &op->id.session);
    if (at >= 0 && key->puts[at].op.id.sequence > op->id.sequence)
        return true;
    if (at >= 0)
        drop_put(core->coord, key, (size_t)at);
    key->puts[key->count++] = (struct own_put){*op, blob_ref(record)};
    core->coord->own_bytes += record->size;
    return true;
}

/* ---- showing ---- */

static const struct own_key *own_shown(const struct core *core, struct slice key)
{
    return BROKEN(core, own_unread) ? NULL : own_find(core, key);
}

/* A copy: it may be forgotten while the base is still in use. */
static void merge_put(struct arena *arena, const struct own_put *put, struct record *base)
{
    struct record record;
    if (record_decode(arena, arena_copy(arena, blob_slice(put->record)), &record) == 0)
        record_merge(arena, base, &record, base);
}

void own_merge(const struct core *core, struct slice name, struct arena *arena, struct record *base)
{
    const struct own_key *key = own_shown(core, name);
    for (size_t i = 0; key && i < key->count; i++)
        if (era_compare(key->puts[i].op.era, view_collected(core, name)) >= 0)
            merge_put(arena, &key->puts[i], base);
}

struct wire_list own_pack(const struct core *core, struct slice name, struct buf *out)
{
    const struct own_key *key = own_shown(core, name);
    size_t count = key ? key->count : 0;
    for (size_t i = 0; i < count; i++)
        own_item_encode(out, &(struct own_item){.op = key->puts[i].op,
                                                .record = blob_slice(key->puts[i].record)});
    return (struct wire_list){(uint32_t)count, buf_slice(out)};
}

bool own_read(struct core *core, uint32_t partition, const struct wire_list *list,
              struct arena *arena, struct record *ret_record)
{
    struct cursor cursor = cursor_of(list->items);
    *ret_record = (struct record){0};
    if (list->count > OWN_PUTS_MAX)
        return false;
    for (uint32_t i = 0; i < list->count; i++) {
        struct own_item item;
        struct record record;
        if (!own_item_read(&cursor, &item) || record_decode(arena, item.record, &record) != 0)
            return false;
        record.has_register = false; /* taken from owners alone */
        if (era_compare(item.op.era, view_partition(core, partition)->collected) >= 0)
            record_merge(arena, ret_record, &record, ret_record);
    }
    return true;
}

/* ---- giving it to the owners, before a get that would not see it ---- */

/* The owners that show this put. */
static uint32_t showing(const struct coord_get *get, const struct op_id *op)
{
    uint32_t mask = 0;
    for (unsigned i = 0; i < get->tally.electorate.member_count; i++) {
        const struct record *record = get->tally.votes[i].record;
        for (size_t s = 0; record && s < record->sloppy_count; s++)
            if (op_id_equal(&record->sloppy[s].version.op, op))
                mask |= 1u << i;
    }
    return mask;
}

static bool visible_with(const struct record *record, const struct op_id *op)
{
    for (size_t i = 0; i < record->sloppy_count; i++)
        if (op_id_equal(&record->sloppy[i].version.op, op))
            return sloppy_visible(record, i);
    return false;
}

/* One that would be visible, and that too few owners show. */
static const struct own_put *unshown(const struct core *core, struct coord_get *get)
{
    const struct own_key *key = own_shown(core, get->key);
    for (size_t i = 0; key && i < key->count; i++) {
        const struct own_put *put = &key->puts[i];
        struct record with = get->tally.base;
        if (electorate_has(&get->tally.electorate, showing(get, &put->op.id), QUORUM_SHOW))
            continue;
        merge_put(&get->tally.arena, put, &with);
        if (visible_with(&with, &put->op.id))
            return put;
    }
    return NULL;
}

bool own_unshown(const struct core *core, struct coord_get *get)
{
    return unshown(core, get) != NULL;
}

static void own_forget(struct core *core, struct slice name, const struct op_id *op)
{
    struct own_key *key = own_find(core, name);
    int at = put_of_session(key, &op->session);
    if (at < 0 || !op_id_equal(&key->puts[at].op.id, op))
        return;
    drop_put(core->coord, key, (size_t)at);
    if (key->count == 0)
        drop_key(core->coord, key);
}

static void given_check(struct core *core, struct coord_get *get)
{
    const struct electorate *electorate = &get->tally.electorate;
    if (electorate_has(electorate, get->spread, QUORUM_SHOW))
        get_move(core, get, GET_ASK);
    else if (!electorate_can(electorate, get->spread, get->spread_open, QUORUM_SHOW))
        get_no_quorum(core, get);
}

static void on_given(struct core *core, uint64_t handle, uint64_t index,
                     const struct rpc_answer *answer)
{
    struct coord_get *get = get_find(core, handle);
    if (!get || index >> 8 != get->attempt || get->op.state != GET_OWN)
        return;
    unsigned member = index & 0xff;
    struct replica_reply reply = {.status = TOYSTORE_UNAVAILABLE};
    if (answer->status == TOYSTORE_OK && !replica_reply_decode(answer->result, &reply))
        reply.status = TOYSTORE_INVALID;
    get->spread_open &= ~(1u << member);
    if (reply.status == TOYSTORE_STALE) {
        get_take_view(core, get, &reply.view, answer->from);
        return;
    }
    if (reply.status == TOYSTORE_TOO_LATE) { /* it had been delivered before it was collected */
        own_forget(core, get->key, &get->own);
        get_move(core, get, GET_ASK);
        return;
    }
    if (reply.status == TOYSTORE_OK)
        get->spread |= 1u << member;
    given_check(core, get);
}

void get_own(struct core *core, struct operation *operation)
{
    struct coord_get *get = get_of(operation);
    const struct electorate *electorate = &get->tally.electorate;
    const struct own_put *put = unshown(core, get);
    timer_cancel(core, &get->timer);
    get->own = put->op.id;
    get->spread = showing(get, &put->op.id);
    get->spread_open = electorate_all(electorate) & ~get->spread;
    struct blob *params = RPC_PARAMS(
        hint_put_request,
        {.view = get->view, .key = get->key, .record = blob_slice(put->record), .op = put->op});
    for (unsigned i = 0; i < electorate->member_count; i++)
        if (get->spread_open & 1u << i)
            rpc_call(core, electorate->members[i], METHOD_HINT_PUT, blob_ref(params),
                     until_ms(core, get->deadline_us, REPLICA_TIMEOUT_MS), on_given, get->op.handle,
                     get_index(get, i));
    blob_unref(&params);
    given_check(core, get);
}

void own_learn(struct core *core, const struct coord_get *get)
{
    const struct tally *tally = &get->tally;
    struct own_key *key = own_find(core, get->key);
    for (size_t i = 0; key && i < key->count;) {
        const struct op_id *op = &key->puts[i].op.id;
        bool held = tally->base.has_register && register_has(&tally->base.reg, op);
        bool everywhere = tally->electorate.layout_count == 1 &&
                          showing(get, op) == electorate_all(&tally->electorate);
        if (held || everywhere)
            drop_put(core->coord, key, i);
        else
            i++;
    }
    if (key && key->count == 0)
        drop_key(core->coord, key);
}

/* ---- the store of it all ---- */

void coord_own_init(struct coord *coord)
{
    list_init(&coord->own_order);
}

void coord_own_free_all(struct coord *coord)
{
    while (!list_empty(&coord->own_order))
        drop_key(coord, container_of(coord->own_order.next, struct own_key, link));
    map_free(&coord->own);
}
