/* TREE, COMPARE and FETCH at the giver: what others read to compare with this node's copy of a
 * partition, and to take from it. The view is noted before anything is given (PROTOCOL 7 hold); a
 * mute giver says so, to those that take together with what it has, to others instead of it. Enters
 * from core.c; leaves to the disk or the keys' queues, and to the reply. */
#include "core/replica/replica_priv.h"
#include "core/replica/tree.h"
#include "core/replica/tree_priv.h"
#include "core/retire/retire.h"
#include "core/view/view.h"

#include <stdlib.h>

struct tree_serving {
    pool_handle handle;
    struct rpc_origin origin;
    struct blob *frame; /* what tokens borrow from */
    uint32_t partition, purpose;
    struct view view;
    struct cursor tokens;
    uint32_t tokens_left;
    struct buf records;
    uint32_t record_count;
};

const size_t tree_serving_size = sizeof(struct tree_serving);

void tree_serving_clear(struct tree_serving *serving)
{
    if (serving == NULL)
        return;
    blob_unref(&serving->frame);
    buf_free(&serving->records);
}

static void serving_free(struct core *core, struct tree_serving *serving)
{
    tree_serving_clear(serving);
    pool_delete(tree_servings(core), serving->handle);
}

static struct tree_serving *serving_new(struct core *core, const struct rpc_request *request,
                                        uint32_t partition, const struct view *view)
{
    pool_handle handle;
    struct tree_serving *serving = pool_new(tree_servings(core), &handle);
    if (serving == NULL) {
        rpc_fail(core, &request->origin, TOYSTORE_BUSY, "too many requests are being served");
        return NULL;
    }
    serving->handle = handle;
    serving->origin = request->origin;
    serving->frame = blob_ref(request->frame);
    serving->partition = partition;
    serving->view = *view;
    return serving;
}

/* What is said of this node's copy. OK and MUTE may come with data, see tree_gives. */
static enum toystore_status tree_standing(struct core *core, uint32_t partition,
                                          const struct view *view)
{
    struct view now = view_of(core, partition);
    if (!view_at_least(view, &now))
        return TOYSTORE_STALE;
    return view_partition(core, partition)->mute ? TOYSTORE_MUTE : TOYSTORE_OK;
}

static enum admit tree_admit(struct core *core, const struct rpc_request *request,
                             uint32_t partition, const struct view *view)
{
    if (BROKEN(core, give_unnoted))
        return ADMIT_OK;
    return view_admit(core, partition, view, request);
}

static bool tree_gives(enum toystore_status status, uint32_t purpose)
{
    return status == TOYSTORE_OK || (status == TOYSTORE_MUTE && purpose == TREE_TAKE);
}

static void tree_answer(struct core *core, const struct rpc_origin *origin, uint32_t partition,
                        struct tree_reply reply)
{
    reply.view = view_of(core, partition);
    reply.root = tree_root(core, partition);
    reply.holds = view_holds(core, partition);
    reply.promised = view_partition(core, partition)->promised;
    reply.collected = view_partition(core, partition)->collected;
    reply.retired = retire_digest(core);
    struct buf out = {0};
    tree_reply_encode(&out, &reply);
    rpc_reply(core, origin, &out);
}

static void answer_buckets(struct core *core, const struct rpc_origin *origin, uint32_t partition,
                           enum toystore_status status)
{
    struct buf items = {0};
    for (uint32_t i = 0; i < TREE_BUCKETS; i++)
        wire_put_HASH(&items, tree_bucket(core, partition, i));
    tree_answer(core, origin, partition,
                (struct tree_reply){.status = status, .items = {TREE_BUCKETS, buf_slice(&items)}});
    buf_free(&items);
}

static void bucket_scanned(struct core *core, const struct core_event *event, struct resume resume)
{
    struct tree_serving *serving = pool_get(tree_servings(core), resume.handle);
    enum toystore_status status = tree_standing(core, serving->partition, &serving->view);
    struct tree_reply reply = {.status = event->status ? TOYSTORE_IO : status};
    struct buf items = {0};
    if (event->status == 0 && tree_gives(status, serving->purpose)) {
        for (size_t i = 0; i < event->pair_count; i++) {
            struct tree_item item;
            struct slice key, token = event->pairs[i].key;
            if (token.size != sizeof item.token.bytes ||
                !token_decode(event->pairs[i].value, &item.digest, &key))
                continue;
            memcpy(item.token.bytes, token.data, token.size);
            tree_item_encode(&items, &item);
            reply.items.count++;
        }
        reply.items.items = buf_slice(&items);
        reply.more = event->more;
    }
    tree_answer(core, &serving->origin, serving->partition, reply);
    buf_free(&items);
    serving_free(core, serving);
}

/* COMPARE is a TREE for all buckets that knows a root which needs no answer. */
static bool read_request(struct core *core, const struct rpc_request *request,
                         struct tree_request *ret, struct compare_request *compare)
{
    if (request->method == METHOD_TREE)
        return tree_request_decode(request->params, ret) &&
               ret->partition < view_partition_count(core) &&
               (ret->bucket < TREE_BUCKETS || ret->bucket == TREE_ROOT);
    if (!compare_request_decode(request->params, compare))
        return false;
    *ret = (struct tree_request){.view = compare->view,
                                 .partition = compare->partition,
                                 .bucket = TREE_ROOT,
                                 .purpose = compare->purpose};
    return ret->partition < view_partition_count(core);
}

static void serve_tree(struct core *core, const struct rpc_request *request)
{
    struct tree_request tree;
    struct compare_request compare;
    if (!read_request(core, request, &tree, &compare)) {
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "malformed request for a hash tree");
        return;
    }
    enum admit admit = tree_admit(core, request, tree.partition, &tree.view);
    if (admit == ADMIT_PARKED)
        return;
    enum toystore_status status =
        admit == ADMIT_STALE ? TOYSTORE_STALE : tree_standing(core, tree.partition, &tree.view);
    if (!tree_gives(status, tree.purpose)) {
        tree_answer(core, &request->origin, tree.partition, (struct tree_reply){.status = status});
        return;
    }
    struct hash128 root = tree_root(core, tree.partition);
    if (request->method == METHOD_COMPARE && memcmp(&root, &compare.root, sizeof root) == 0) {
        tree_answer(core, &request->origin, tree.partition, (struct tree_reply){.status = status});
        return;
    }
    if (tree.bucket == TREE_ROOT) {
        answer_buckets(core, &request->origin, tree.partition, status);
        return;
    }
    struct tree_serving *serving = serving_new(core, request, tree.partition, &tree.view);
    if (serving == NULL)
        return;
    serving->purpose = tree.purpose;
    tree_scan_bucket(core, tree.partition, tree.bucket, &tree.after,
                     resume_to(bucket_scanned, serving->handle, 0));
}

/* ---- FETCH ---- */

static void fetch_next(struct core *core, struct tree_serving *serving);

static void fetch_work(struct core *core, struct replica_work *work)
{
    (void)core;
    (void)work;
}

static void fetch_done(struct core *core, struct replica_work *work)
{
    struct tree_serving *serving = pool_get(tree_servings(core), work->handle);
    /* A damaged one is given as UNKNOWN, which is an empty record: it is not absent. */
    if (work->status == 0 && (work->damaged || work->entry.record.size > 0)) {
        transfer_item_encode(&serving->records,
                             &(struct transfer_item){.key = work->key,
                                                     .record = work->entry.record,
                                                     .settled = work->entry.settled});
        serving->record_count++;
    }
    fetch_next(core, serving);
}

static void fetch_token(struct core *core, const struct core_event *event, struct resume resume)
{
    struct tree_serving *serving = pool_get(tree_servings(core), resume.handle);
    struct hash128 digest;
    struct slice key;
    if (event->status == 0 && token_decode(blob_slice(event->bytes), &digest, &key))
        replica_run_raw(core, key, fetch_work, fetch_done, serving->handle, 0);
    else
        fetch_next(core, serving);
}

static void fetch_answer(struct core *core, struct tree_serving *serving)
{
    enum toystore_status status = tree_standing(core, serving->partition, &serving->view);
    struct fetch_reply reply = {.status = status, .view = view_of(core, serving->partition)};
    if (tree_gives(status, serving->purpose))
        reply.records = (struct wire_list){serving->record_count, buf_slice(&serving->records)};
    struct buf out = {0};
    fetch_reply_encode(&out, &reply);
    rpc_reply(core, &serving->origin, &out);
    serving_free(core, serving);
}

/* One token after the other: an answer is bounded by its bytes, of which the asker knows nothing;
 * it asks again for what was left out. */
static void fetch_next(struct core *core, struct tree_serving *serving)
{
    struct hash128 token;
    if (serving->tokens_left == 0 || serving->records.size >= TRANSFER_BYTES_MAX ||
        !wire_get_HASH(&serving->tokens, &token)) {
        fetch_answer(core, serving);
        return;
    }
    serving->tokens_left--;
    disk_load(core, TOYSTORE_TOKENS, slice_of(token.bytes, sizeof token.bytes),
              resume_to(fetch_token, serving->handle, 0));
}

static void serve_fetch(struct core *core, const struct rpc_request *request)
{
    struct fetch_request fetch;
    if (!fetch_request_decode(request->params, &fetch) ||
        fetch.partition >= view_partition_count(core) || fetch.tokens.count > FETCH_TOKENS_MAX) {
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "malformed fetch");
        return;
    }
    enum admit admit = tree_admit(core, request, fetch.partition, &fetch.view);
    if (admit == ADMIT_PARKED)
        return;
    enum toystore_status status =
        admit == ADMIT_STALE ? TOYSTORE_STALE : tree_standing(core, fetch.partition, &fetch.view);
    if (!tree_gives(status, fetch.purpose)) {
        RPC_REPLY(core, &request->origin, fetch_reply,
                  {.status = status, .view = view_of(core, fetch.partition)});
        return;
    }
    struct tree_serving *serving = serving_new(core, request, fetch.partition, &fetch.view);
    if (serving == NULL)
        return;
    serving->purpose = fetch.purpose;
    serving->tokens = cursor_of(fetch.tokens.items);
    serving->tokens_left = fetch.tokens.count;
    fetch_next(core, serving);
}

void tree_handle(struct core *core, const struct rpc_request *request)
{
    if (!core->config.storing || view_partition_count(core) == 0)
        rpc_fail(core, &request->origin, TOYSTORE_UNAVAILABLE, "this member stores nothing");
    else if (request->method == METHOD_FETCH)
        serve_fetch(core, request);
    else
        serve_tree(core, request);
}
