/* sync: compares this node's copy of a partition with another's by their hash trees and reports
 * every key that differs, in both directions (Dynamo 4.7).
 *
 * ROOT tells the own root and is told all bucket digests, where it differs; for each bucket that
 * differs PAGE reads some of their tokens and SCAN as many of ours, up to where both are known;
 * FETCH reads the records of theirs that differ. Then the keys are handed to the caller,
 * SYNC_OPEN_MAX at a time, and the next page is asked for when all of these are dealt with. Enters
 * from sync_start; leaves to rpc (TREE, FETCH), the disk, and the caller's differ and done.
 */
#include "core/replica/sync.h"
#include "core/replica/tree.h"
#include "core/replica/tree_priv.h"
#include "core/retire/retire.h"
#include "core/view/view.h"
#include "rules/key.h"

#include <stdlib.h>

struct sync {
    pool_handle handle;
    uint32_t partition, purpose;
    node_id from;
    struct hash128 root; /* of this node's tree, as it was told */
    struct view view;    /* under which it began: one that has changed is answered STALE */
    sync_differ_fn *differ;
    sync_done_fn *done;
    uint64_t done_handle;
    enum toystore_status ends; /* with; MUTE once the giver has said so */

    uint64_t buckets; /* bits: still to be looked at; the lowest is the present one */
    struct hash128 after;
    struct blob *page; /* their tokens: the answer to TREE */
    struct tree_reply theirs;

    struct hash128 wanted[TREE_ITEMS_MAX]; /* theirs that differ; fetched from wanted_first on */
    size_t wanted_first, wanted_count;
    struct blob *ours[TREE_ITEMS_MAX]; /* keys that only this node has */
    size_t ours_first, ours_count;
    struct blob *fetched; /* records of theirs: the answer to FETCH */
    struct cursor records;
    uint32_t records_left;

    unsigned open; /* keys that the caller deals with */
    bool pumping;
};

_Static_assert(TREE_BUCKETS == 64, "buckets are bits of a word");

enum { ROOT_COMPARED, ROOT_TOLD }; /* how the root was asked for: rpc_call's index */

struct syncs {
    struct pool all;
};

struct syncs *syncs_new(void)
{
    struct syncs *syncs = base_alloc(sizeof *syncs);
    pool_init(&syncs->all, sizeof(struct sync), SYNCS_MAX);
    return syncs;
}

size_t syncs_open(const struct core *core)
{
    return core->syncs->all.count;
}

static void sync_clear(struct sync *sync)
{
    if (sync == NULL)
        return;
    for (size_t i = 0; i < sync->ours_count; i++)
        blob_unref(&sync->ours[i]);
    blob_unref(&sync->page);
    blob_unref(&sync->fetched);
}

void syncs_free(struct syncs *syncs)
{
    if (!syncs)
        return;
    for (size_t i = 0; i < syncs->all.capacity; i++)
        sync_clear(syncs->all.objects[i]);
    pool_free(&syncs->all);
    free(syncs);
}

static void sync_delete(struct core *core, struct sync *sync)
{
    sync_clear(sync);
    pool_delete(&core->syncs->all, sync->handle);
}

static void sync_finish(struct core *core, struct sync *sync, enum toystore_status status)
{
    sync_done_fn *done = sync->done;
    uint64_t handle = sync->done_handle;
    node_id from = sync->from;
    sync_delete(core, sync);
    done(core, handle, from, status);
}

void sync_cancel(struct core *core, uint64_t handle)
{
    struct sync *sync = pool_get(&core->syncs->all, handle);
    if (sync != NULL)
        sync_delete(core, sync);
}

static void sync_adopted(struct core *core, uint64_t handle)
{
    struct sync *sync = pool_get(&core->syncs->all, handle);
    if (sync != NULL)
        sync_finish(core, sync, TOYSTORE_STALE);
}

/* Does the answer carry what was asked for? Otherwise the comparison has ended here. */
static bool sync_admits(struct core *core, struct sync *sync, uint32_t status,
                        const struct view *view)
{
    if (status == TOYSTORE_OK)
        return true;
    if (status == TOYSTORE_MUTE && sync->purpose == TREE_TAKE) {
        sync->ends = TOYSTORE_MUTE;
        return true;
    }
    if (status == TOYSTORE_STALE)
        view_adopt(core, sync->partition, view, sync->from, REPLICA_TIMEOUT_MS, sync_adopted,
                   sync->handle);
    else
        sync_finish(core, sync, status);
    return false;
}

/* ---- PAGE and SCAN ---- */

static void sync_pump(struct core *core, struct sync *sync);
static void sync_page(struct core *core, struct sync *sync);

static void page_done(struct core *core, struct sync *sync, bool bucket_ends)
{
    blob_unref(&sync->page);
    if (bucket_ends) {
        sync->buckets &= sync->buckets - 1;
        sync->after = (struct hash128){{0}};
    }
    sync_pump(core, sync);
}

static int token_compare(const struct hash128 *a, const struct hash128 *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

static void note_difference(struct sync *sync, const struct tree_item *theirs,
                            const struct tree_item *ours, struct slice key)
{
    if (theirs != NULL && ours != NULL && token_compare(&ours->digest, &theirs->digest) == 0)
        return;
    if (theirs != NULL)
        sync->wanted[sync->wanted_count++] = theirs->token;
    else
        sync->ours[sync->ours_count++] = blob_copy(key);
}

struct page_walk {
    struct cursor items;
    uint32_t items_left;
    struct tree_item theirs, ours;
    bool have_theirs, have_ours;
    const struct core_event *event;
    size_t next_pair;
    struct slice key;
};

static void walk_theirs(struct page_walk *walk)
{
    walk->have_theirs = walk->items_left > 0 && tree_item_read(&walk->items, &walk->theirs);
    walk->items_left -= walk->have_theirs;
}

static void walk_ours(struct page_walk *walk)
{
    walk->have_ours = false;
    while (!walk->have_ours && walk->next_pair < walk->event->pair_count) {
        const struct scan_pair *pair = &walk->event->pairs[walk->next_pair++];
        if (pair->key.size == sizeof walk->ours.token.bytes &&
            token_decode(pair->value, &walk->ours.digest, &walk->key)) {
            memcpy(walk->ours.token.bytes, pair->key.data, pair->key.size);
            walk->have_ours = true;
        }
    }
}

/* Both lists are in token order. Where one was cut at its limit, what lies behind its end is not
 * known yet: the next page begins there. */
static bool compare_page(struct sync *sync, const struct core_event *event)
{
    struct page_walk walk = {.items = cursor_of(sync->theirs.items.items),
                             .items_left = sync->theirs.items.count,
                             .event = event};
    walk_theirs(&walk);
    walk_ours(&walk);
    while (walk.have_theirs || walk.have_ours) {
        int order = !walk.have_theirs ? 1
                    : !walk.have_ours ? -1
                                      : token_compare(&walk.theirs.token, &walk.ours.token);
        if ((!walk.have_theirs && sync->theirs.more) || (!walk.have_ours && event->more))
            return false;
        sync->after = order <= 0 ? walk.theirs.token : walk.ours.token;
        note_difference(sync, order <= 0 ? &walk.theirs : NULL, order >= 0 ? &walk.ours : NULL,
                        walk.key);
        if (order <= 0)
            walk_theirs(&walk);
        if (order >= 0)
            walk_ours(&walk);
    }
    return !sync->theirs.more && !event->more;
}

static void page_scanned(struct core *core, const struct core_event *event, struct resume resume)
{
    struct sync *sync = pool_get(&core->syncs->all, resume.handle);
    if (sync == NULL)
        return;
    if (event->status != 0) {
        sync_finish(core, sync, TOYSTORE_IO);
        return;
    }
    struct hash128 before = sync->after;
    bool bucket_ends = compare_page(sync, event);
    if (!bucket_ends && token_compare(&before, &sync->after) >= 0)
        sync_finish(core, sync, TOYSTORE_INVALID); /* an answer that leads nowhere */
    else
        page_done(core, sync, bucket_ends);
}

static void page_answered(struct core *core, uint64_t handle, uint64_t index,
                          const struct rpc_answer *answer)
{
    (void)index;
    struct sync *sync = pool_get(&core->syncs->all, handle);
    if (sync == NULL)
        return;
    if (answer->status != TOYSTORE_OK) {
        sync_finish(core, sync, answer->status);
        return;
    }
    if (!tree_reply_decode(answer->result, &sync->theirs) ||
        sync->theirs.items.count > TREE_ITEMS_MAX) {
        sync_finish(core, sync, TOYSTORE_INVALID);
        return;
    }
    if (!sync_admits(core, sync, sync->theirs.status, &sync->theirs.view))
        return;
    sync->page = blob_ref(answer->frame);
    tree_scan_bucket(core, sync->partition, (uint32_t)__builtin_ctzll(sync->buckets), &sync->after,
                     resume_to(page_scanned, sync->handle, 0));
}

static void sync_page(struct core *core, struct sync *sync)
{
    if (sync->buckets == 0) {
        sync_finish(core, sync, sync->ends);
        return;
    }
    sync->wanted_first = sync->wanted_count = 0;
    sync->ours_first = sync->ours_count = 0;
    struct blob *params =
        RPC_PARAMS(tree_request, {.view = sync->view,
                                  .partition = sync->partition,
                                  .bucket = (uint32_t)__builtin_ctzll(sync->buckets),
                                  .after = sync->after,
                                  .purpose = sync->purpose});
    rpc_call(core, sync->from, METHOD_TREE, params, REPLICA_TIMEOUT_MS, page_answered, sync->handle,
             0);
}

/* ---- FETCH, and handing over ---- */

/* Passes what was wanted up to this record: what the giver left out before it has just gone,
 * which does not say that it never had it. */
static bool was_wanted(struct sync *sync, struct slice key)
{
    struct hash128 token = key_token(key);
    while (sync->wanted_first < sync->wanted_count) {
        if (token_compare(&sync->wanted[sync->wanted_first++], &token) == 0)
            return true;
    }
    return false;
}

static void fetch_answered(struct core *core, uint64_t handle, uint64_t index,
                           const struct rpc_answer *answer)
{
    (void)index;
    struct sync *sync = pool_get(&core->syncs->all, handle);
    struct fetch_reply reply;
    if (sync == NULL)
        return;
    if (answer->status != TOYSTORE_OK) {
        sync_finish(core, sync, answer->status);
        return;
    }
    if (!fetch_reply_decode(answer->result, &reply)) {
        sync_finish(core, sync, TOYSTORE_INVALID);
        return;
    }
    if (!sync_admits(core, sync, reply.status, &reply.view))
        return;
    if (reply.records.count == 0) /* it has none of them whole */
        sync->wanted_first += min_size(sync->wanted_count - sync->wanted_first, FETCH_TOKENS_MAX);
    sync->fetched = blob_ref(answer->frame);
    sync->records = cursor_of(reply.records.items);
    sync->records_left = reply.records.count;
    sync_pump(core, sync);
}

static void sync_fetch(struct core *core, struct sync *sync)
{
    struct buf tokens = {0};
    size_t count = min_size(sync->wanted_count - sync->wanted_first, FETCH_TOKENS_MAX);
    for (size_t i = 0; i < count; i++)
        wire_put_HASH(&tokens, sync->wanted[sync->wanted_first + i]);
    struct blob *params =
        RPC_PARAMS(fetch_request, {.view = sync->view,
                                   .partition = sync->partition,
                                   .purpose = sync->purpose,
                                   .tokens = {(uint32_t)count, buf_slice(&tokens)}});
    buf_free(&tokens);
    rpc_call(core, sync->from, METHOD_FETCH, params, FETCH_TIMEOUT_MS, fetch_answered, sync->handle,
             0);
}

/* The next key that differs, or false: none is known yet. */
static bool hand_over(struct core *core, struct sync *sync)
{
    if (sync->records_left > 0) {
        struct transfer_item item;
        sync->records_left--;
        if (!transfer_item_read(&sync->records, &item) || !was_wanted(sync, item.key)) {
            sync->records_left = 0; /* a malformed answer: the rest of this page is left */
            sync->wanted_first = sync->wanted_count;
            return true;
        }
        sync->open++;
        struct slice theirs = item.record.size > 0 ? item.record : SYNC_UNKNOWN;
        sync->differ(core, sync->handle, sync->done_handle, item.key, theirs, item.settled);
        return true;
    }
    if (sync->ours_first < sync->ours_count) {
        struct slice key = blob_slice(sync->ours[sync->ours_first++]);
        sync->open++;
        sync->differ(core, sync->handle, sync->done_handle, key, slice_of(NULL, 0), false);
        return true;
    }
    return false;
}

static void sync_pump(struct core *core, struct sync *sync)
{
    if (sync->pumping)
        return;
    uint64_t handle = sync->handle;
    sync->pumping = true;
    bool more = true;
    while (more && sync->open < SYNC_OPEN_MAX) {
        more = hand_over(core, sync);
        if (pool_get(&core->syncs->all, handle) == NULL) /* cancelled by the caller */
            return;
    }
    sync->pumping = false;
    if (sync->open > 0)
        return;
    /* nothing is borrowed any more */
    blob_unref(&sync->fetched);
    for (size_t i = 0; i < sync->ours_count; i++)
        blob_unref(&sync->ours[i]);
    if (sync->wanted_first < sync->wanted_count)
        sync_fetch(core, sync);
    else
        sync_page(core, sync);
}

void sync_next(struct core *core, uint64_t handle)
{
    struct sync *sync = pool_get(&core->syncs->all, handle);
    if (sync == NULL)
        return;
    assert(sync->open > 0);
    sync->open--;
    sync_pump(core, sync);
}

/* ---- ROOT ---- */

static void root_answered(struct core *core, uint64_t handle, uint64_t index,
                          const struct rpc_answer *answer);

static void root_ask(struct core *core, struct sync *sync)
{
    sync->root = tree_root(core, sync->partition);
    struct blob *params = RPC_PARAMS(compare_request, {.view = sync->view,
                                                       .partition = sync->partition,
                                                       .root = sync->root,
                                                       .purpose = sync->purpose});
    rpc_call(core, sync->from, METHOD_COMPARE, params, REPLICA_TIMEOUT_MS, root_answered,
             sync->handle, ROOT_COMPARED);
}

/* Of who does not know COMPARE yet: all buckets, always. */
static void root_ask_older(struct core *core, struct sync *sync)
{
    struct blob *params = RPC_PARAMS(tree_request, {.view = sync->view,
                                                    .partition = sync->partition,
                                                    .bucket = TREE_ROOT,
                                                    .purpose = sync->purpose});
    rpc_call(core, sync->from, METHOD_TREE, params, REPLICA_TIMEOUT_MS, root_answered, sync->handle,
             ROOT_TOLD);
}

static void root_answered(struct core *core, uint64_t handle, uint64_t index,
                          const struct rpc_answer *answer)
{
    struct sync *sync = pool_get(&core->syncs->all, handle);
    struct tree_reply reply;
    if (sync == NULL)
        return;
    if (answer->status == TOYSTORE_NO_METHOD && index == ROOT_COMPARED) {
        root_ask_older(core, sync);
        return;
    }
    if (answer->status != TOYSTORE_OK) {
        sync_finish(core, sync, answer->status);
        return;
    }
    if (!tree_reply_decode(answer->result, &reply)) {
        sync_finish(core, sync, TOYSTORE_INVALID);
        return;
    }
    if (!sync_admits(core, sync, reply.status, &reply.view))
        return;
    core->hooks->collected(core, sync->partition, reply.collected);
    retire_heard(core, sync->from, &reply.retired);
    if (reply.items.count == 0 && token_compare(&reply.root, &sync->root) == 0) {
        sync_pump(core, sync); /* equal to what this node had when it asked */
        return;
    }
    struct cursor cursor = cursor_of(reply.items.items);
    for (uint32_t i = 0; i < TREE_BUCKETS; i++) {
        struct hash128 theirs, ours = tree_bucket(core, sync->partition, i);
        if (reply.items.count != TREE_BUCKETS || !wire_get_HASH(&cursor, &theirs)) {
            sync_finish(core, sync, TOYSTORE_INVALID);
            return;
        }
        if (token_compare(&theirs, &ours) != 0)
            sync->buckets |= 1ull << i;
    }
    sync_pump(core, sync);
}

uint64_t sync_start(struct core *core, uint32_t partition, node_id from, uint32_t purpose,
                    sync_differ_fn *differ, sync_done_fn *done, uint64_t handle)
{
    pool_handle own;
    struct sync *sync = pool_new(&core->syncs->all, &own);
    if (sync == NULL)
        return 0;
    sync->handle = own;
    sync->partition = partition;
    sync->from = from;
    sync->purpose = purpose;
    sync->view = view_of(core, partition);
    sync->differ = differ;
    sync->done = done;
    sync->done_handle = handle;
    sync->ends = TOYSTORE_OK;
    root_ask(core, sync);
    return own;
}
