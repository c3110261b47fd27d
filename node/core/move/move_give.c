/* move_give: a member gives up what it owns no more (PROTOCOL 7 give up): once every owner holds
 * the partition, and what this node alone has of sloppy puts and immutable keys is stored at the
 * owners. One partition at a time: compare with each owner, then drop, page by page, exactly what
 * was compared; whatever changes meanwhile ends the attempt, and a later one begins again. Where
 * dead owners are all that it waits for, the others are compared with, and nothing is dropped: so
 * the data has another home, and who leaves may be stopped.
 * Enters from the step of move; leaves to sync, METHOD_TRANSFER and replica_run. */
#include <stdlib.h>

#include "core/move/move_priv.h"
#include "core/replica/replica.h"
#include "core/replica/sync.h"
#include "core/replica/tree.h"
#include "rules/key.h"

enum { GIVE_PAGE = 256, GIVE_KEYS_MAX = 2 * GIVE_PAGE };

struct give {
    uint64_t attempt;
    uint32_t partition;
    node_id owners[REPLICAS_MAX];
    size_t owner_count, owner; /* compared so far */
    uint64_t sync;
    bool keeps;          /* dead owners are waited for: nothing is dropped */
    struct hash128 root; /* of what was compared, less what was dropped */
    bool changed;        /* something differs from what was compared, or could not be stored */
    unsigned open;       /* keys of a page being dropped */
};

/* A key that an owner lacks, or one that is being dropped. */
struct give_key {
    pool_handle self;
    uint64_t attempt, sync;
    struct blob *key, *theirs;
    struct hash128 digest;
    bool dropped;
};

static struct give *give_of(struct core *core, uint64_t attempt)
{
    struct give *give = core->move->give;
    return give && give->attempt == attempt ? give : NULL;
}

static void give_end(struct core *core, struct give *give, unsigned pause_ms)
{
    if (give->sync != 0)
        sync_cancel(core, give->sync);
    core->move->give_at_us = core->now_us + pause_ms * 1000ull;
    core->move->give = NULL;
    free(give);
    if (pause_ms == 0)
        move_wake(core);
}

/* Owner in no layout that is live or that was heard of, and everybody who is one holds. */
static bool may_give(struct core *core, uint32_t partition)
{
    if (BROKEN(core, given_up_early))
        return !layout_owns(view_newest(core), partition, core->id);
    return view_oldest(core) == view_newest(core) && !view_learning(core) &&
           !view_owner(core, partition, core->id) && move_everybody_holds(core, partition);
}

/* q owners hold, and those that do not cannot be reached. */
static bool only_dead_lack(struct core *core, uint32_t partition)
{
    struct electorate electorate;
    node_id owners[REPLICAS_MAX];
    unsigned hold = 0, lack = 0;
    if (view_oldest(core) != view_newest(core) || view_learning(core) ||
        view_owner(core, partition, core->id))
        return false;
    size_t n = layout_owners(view_newest(core), partition, owners);
    for (size_t i = 0; i < n; i++) {
        bool reachable = rpc_reachable(core, owners[i]);
        if (reachable && !holder_took(core, owners[i], partition))
            return false;
        hold += reachable;
        lack += !reachable;
    }
    view_electorate(core, partition, 0, 0, &electorate);
    return lack != 0 && hold >= electorate.layouts[0].q;
}

bool move_only_keeps(struct core *core, uint32_t partition)
{
    const struct move *move = core->move;
    struct hash128 root = tree_root(core, partition);
    return move->kept && only_dead_lack(core, partition) &&
           memcmp(&root, &move->kept[partition], sizeof root) == 0;
}

static struct give_key *key_new(struct core *core, struct give *give, struct slice key)
{
    pool_handle handle;
    struct give_key *item = pool_new(&core->move->give_keys, &handle);
    if (item)
        *item = (struct give_key){.self = handle, .attempt = give->attempt, .key = blob_copy(key)};
    return item;
}

static void key_free(struct core *core, struct give_key *item)
{
    blob_unref(&item->key);
    blob_unref(&item->theirs);
    pool_delete(&core->move->give_keys, item->self);
}

/* ---- what the owners lack ---- */

static void key_compared(struct core *core, struct give_key *item, bool stored)
{
    struct give *give = give_of(core, item->attempt);
    uint64_t sync = item->sync;
    if (give && !stored)
        give->changed = true;
    key_free(core, item);
    sync_next(core, sync);
}

static void key_sent(struct core *core, uint64_t handle, uint64_t index,
                     const struct rpc_answer *answer)
{
    struct transfer_reply reply;
    uint32_t status = TOYSTORE_IO;
    (void)index;
    if (answer->status == TOYSTORE_OK && transfer_reply_decode(answer->result, &reply) &&
        reply.status == TOYSTORE_OK) {
        struct cursor cursor = cursor_of(reply.results.items);
        if (!wire_get_U32(&cursor, &status))
            status = TOYSTORE_INVALID;
    }
    key_compared(core, pool_get(&core->move->give_keys, handle), status == TOYSTORE_OK);
}

static void send_key(struct core *core, const struct give *give, struct give_key *item,
                     struct slice record)
{
    struct buf records = {0};
    bool immutable = key_is_immutable(blob_slice(item->key));
    transfer_item_encode(&records,
                         &(struct transfer_item){.key = blob_slice(item->key), .record = record});
    struct blob *params =
        RPC_PARAMS(transfer_request, {.view = view_of(core, give->partition),
                                      .partition = give->partition,
                                      .reason = immutable ? TRANSFER_IMMUTABLE : TRANSFER_MOVE,
                                      .durable = true,
                                      .records = {1, buf_slice(&records)}});
    buf_free(&records);
    rpc_call(core, give->owners[give->owner], METHOD_TRANSFER, params, REPLICA_TIMEOUT_MS, key_sent,
             item->self, 0);
}

static void read_only(struct core *core, struct replica_work *work)
{
    (void)core;
    (void)work;
}

static bool deleted(const struct record *record)
{
    return record->has_register && record->reg.version.kind == TOYSTORE_TOMBSTONE;
}

/* Registers stay behind: the owners have taken, each from F, what of them matters. */
static void key_read(struct core *core, struct replica_work *work)
{
    struct give_key *item = pool_get(&core->move->give_keys, work->handle);
    struct give *give = give_of(core, item->attempt);
    struct record theirs = {0}, both;
    struct slice bytes = blob_slice(item->theirs);
    if (!give || work->status != 0 ||
        (bytes.size != 0 &&
         record_take(&work->arena, bytes, view_collected(core, work->key), &theirs) != 0)) {
        key_compared(core, item, false);
        return;
    }
    if (key_is_immutable(work->key)) {
        bool lacks = bytes.size == 0 || (deleted(&work->record) && !deleted(&theirs));
        if (lacks && !work->damaged && work->entry.record.size != 0)
            send_key(core, give, item, work->entry.record);
        else
            key_compared(core, item, true);
        return;
    }
    struct record ours = work->record;
    if (!BROKEN(core, store_from_anyone))
        ours.has_register = false;
    record_merge(&work->arena, &ours, &theirs, &both);
    if (work->damaged || (ours.sloppy_count == 0 && !ours.has_register) ||
        record_equal(&both, &theirs)) {
        key_compared(core, item, true);
        return;
    }
    struct buf record = {0};
    record_encode(&record, &ours);
    send_key(core, give, item, buf_slice(&record));
    buf_free(&record);
}

static void differs(struct core *core, uint64_t sync, uint64_t attempt, struct slice key,
                    struct slice theirs, bool theirs_settled)
{
    struct give *give = give_of(core, attempt);
    struct give_key *item = give ? key_new(core, give, key) : NULL;
    (void)theirs_settled;
    if (!item) {
        if (give)
            give->changed = true;
        sync_next(core, sync);
        return;
    }
    item->sync = sync;
    item->theirs = blob_copy(theirs);
    replica_run(core, blob_slice(item->key), read_only, key_read, item->self, 0);
}

/* ---- dropping ---- */

static void drop_page(struct core *core, struct give *give);

static void key_drop(struct core *core, struct replica_work *work)
{
    struct give_key *item = pool_get(&core->move->give_keys, work->handle);
    struct give *give = give_of(core, item->attempt);
    struct hash128 digest = tree_digest(work->key, work->entry.record);
    bool as_compared = memcmp(&digest, &item->digest, sizeof digest) == 0;
    work->drop = give && may_give(core, give->partition) && (as_compared || work->damaged);
    item->dropped = work->drop;
}

static void key_dropped(struct core *core, struct replica_work *work)
{
    struct give_key *item = pool_get(&core->move->give_keys, work->handle);
    struct give *give = give_of(core, item->attempt);
    if (give) {
        if (item->dropped && work->status == 0)
            hash128_xor(&give->root, &item->digest);
        else
            give->changed = true;
        if (--give->open == 0)
            drop_page(core, give);
    }
    key_free(core, item);
}

static void page_scanned(struct core *core, const struct core_event *event, struct resume resume)
{
    struct give *give = give_of(core, resume.handle);
    if (!give)
        return;
    if (event->status != 0 || event->pair_count == 0) {
        bool done = event->status == 0 && tree_key_count(core, give->partition) == 0;
        give_end(core, give, done ? 0 : GIVE_RETRY_MS);
        return;
    }
    give->open = 1;
    for (size_t i = 0; i < event->pair_count; i++) {
        struct hash128 digest;
        struct slice key;
        struct give_key *item = NULL;
        if (token_decode(event->pairs[i].value, &digest, &key))
            item = key_new(core, give, key);
        if (!item) {
            give->changed = true;
            continue;
        }
        item->digest = digest;
        give->open++;
        replica_run(core, blob_slice(item->key), key_drop, key_dropped, item->self, 0);
    }
    if (--give->open == 0)
        drop_page(core, give);
}

static void drop_page(struct core *core, struct give *give)
{
    struct hash128 from, to, root = tree_root(core, give->partition);
    if (give->changed || !may_give(core, give->partition) ||
        memcmp(&root, &give->root, sizeof root) != 0) {
        give_end(core, give, GIVE_RETRY_MS);
        return;
    }
    uint32_t count = view_partition_count(core);
    bool last = !partition_first_token(give->partition + 1, count, &to);
    partition_first_token(give->partition, count, &from);
    disk_scan(core, TOYSTORE_TOKENS, slice_of(from.bytes, sizeof from.bytes),
              slice_of(to.bytes, last ? 0 : sizeof to.bytes), GIVE_PAGE,
              resume_to(page_scanned, give->attempt, 0));
}

/* ---- one partition ---- */

static void compared(struct core *core, uint64_t attempt, node_id from,
                     enum toystore_status status);

static void compare_next(struct core *core, struct give *give)
{
    if (give->owner == give->owner_count && give->keeps) {
        core->move->kept[give->partition] = give->root;
        give_end(core, give, 0);
        return;
    }
    if (give->owner == give->owner_count) {
        core_log(core, LOG_DEBUG, "gives up partition %u", give->partition);
        drop_page(core, give);
        return;
    }
    give->sync = sync_start(core, give->partition, give->owners[give->owner], 0, differs, compared,
                            give->attempt);
}

static void compared(struct core *core, uint64_t attempt, node_id from, enum toystore_status status)
{
    struct give *give = give_of(core, attempt);
    (void)from;
    if (!give)
        return;
    give->sync = 0;
    if (status != TOYSTORE_OK || give->changed) {
        give_end(core, give, GIVE_RETRY_MS);
        return;
    }
    give->owner++;
    compare_next(core, give);
}

/* Those to compare with before anything is given up; of dead ones nobody knows what they lack. */
static size_t owners_to_ask(struct core *core, const struct give *give,
                            node_id ret_owners[REPLICAS_MAX])
{
    node_id owners[REPLICAS_MAX];
    size_t n = layout_owners(view_newest(core), give->partition, owners), count = 0;
    for (size_t i = 0; i < n; i++)
        if (!give->keeps || rpc_reachable(core, owners[i]))
            ret_owners[count++] = owners[i];
    return count;
}

void move_give(struct core *core)
{
    struct move *move = core->move;
    uint32_t count = view_partition_count(core);
    bool moving = view_oldest(core) != view_newest(core) && !BROKEN(core, given_up_early);
    if (move->give || core->now_us < move->give_at_us || moving)
        return;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t partition = (move->give_cursor + i) % count;
        bool may = may_give(core, partition);
        if (tree_key_count(core, partition) == 0 ||
            (!may && (!only_dead_lack(core, partition) || move_only_keeps(core, partition))))
            continue;
        struct give *give = base_alloc(sizeof *give);
        give->attempt = ++move->give_attempts;
        give->partition = partition;
        give->root = tree_root(core, partition);
        give->keeps = !may;
        if (!BROKEN(core, given_up_early))
            give->owner_count = owners_to_ask(core, give, give->owners);
        move->give_cursor = partition + 1;
        move->give = give;
        compare_next(core, give);
        return;
    }
    move->give_at_us = core->now_us + (BROKEN(core, given_up_early) ? 0 : GIVE_RETRY_MS * 1000);
}

void move_give_init(struct move *move)
{
    pool_init(&move->give_keys, sizeof(struct give_key), GIVE_KEYS_MAX);
}

void move_give_free(struct move *move)
{
    for (size_t i = 0; i < move->give_keys.capacity; i++) {
        struct give_key *item = move->give_keys.objects[i];
        if (!item)
            continue;
        blob_unref(&item->key);
        blob_unref(&item->theirs);
    }
    pool_free(&move->give_keys);
    free(move->give);
    free(move->kept);
}
