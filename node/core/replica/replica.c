/* replica: one operation at a time per key: load, work, commit, done (PROTOCOL 3). Without the
 * queue two puts of one key would both read the old record and both write.
 * Enters from replica_request.c and local callers; leaves to the disk (core/disk.h). */
#include "core/replica/replica_priv.h"
#include "core/replica/tree.h"
#include "core/retire/retire.h"
#include "core/view/view.h"
#include "rules/key.h"
#include "rules/version.h"

#include <stdlib.h>

/* An operation that found its queue full: its caller hears so from outside. */
struct refusal {
    struct list link;
    struct replica_work work;
    struct blob *key;
    replica_work_fn *done;
};

struct replica *replica_new(struct core *core)
{
    (void)core;
    struct replica *replica = base_alloc(sizeof *replica);
    pool_init(&replica->ops, sizeof(struct replica_op), REPLICA_OPS_MAX);
    pool_init(&replica->requests, sizeof(struct replica_request), RPC_INBOUND_MAX);
    list_init(&replica->refused);
    return replica;
}

static void replica_op_clear(struct replica_op *op)
{
    arena_free(&op->work.arena);
    batch_free(&op->work.batch);
    blob_unref(&op->stored);
}

static void refusal_free(struct refusal *refusal)
{
    arena_free(&refusal->work.arena);
    batch_free(&refusal->work.batch);
    blob_unref(&refusal->key);
    free(refusal);
}

void replica_free(struct replica *replica)
{
    if (replica == NULL)
        return;
    MAP_EACH(entry, &replica->keys)
    {
        struct replica_key *queue = entry->value;
        LIST_EACH(link, &queue->waiting)
        replica_op_clear(container_of(link, struct replica_op, link));
        blob_unref(&queue->name);
        free(queue);
    }
    for (size_t i = 0; i < replica->requests.capacity; i++) {
        struct replica_request *request = replica->requests.objects[i];
        if (request != NULL) {
            blob_unref(&request->frame);
            free(request->items);
            free(request->results);
        }
    }
    LIST_EACH(link, &replica->refused)
    refusal_free(container_of(link, struct refusal, link));
    map_free(&replica->keys);
    pool_free(&replica->ops);
    pool_free(&replica->requests);
    free(replica);
}

/* ---- the queue ---- */

static void replica_loaded(struct core *core, const struct core_event *event, struct resume resume);

static struct replica_op *queue_first(struct replica_key *queue)
{
    return container_of(queue->waiting.next, struct replica_op, link);
}

static void queue_start(struct core *core, struct replica_key *queue)
{
    struct replica_op *op = queue_first(queue);
    disk_load(core, TOYSTORE_RECORDS, blob_slice(queue->name),
              resume_to(replica_loaded, op->handle, 0));
}

static void refuse_all(struct core *core, struct timer *timer)
{
    (void)timer;
    struct list *link;
    while ((link = list_pop_front(&core->replica->refused)) != NULL) {
        struct refusal *refusal = container_of(link, struct refusal, link);
        refusal->done(core, &refusal->work);
        refusal_free(refusal);
    }
}

static void refuse(struct core *core, struct slice key, replica_work_fn *done, uint64_t handle,
                   uint64_t index)
{
    struct refusal *refusal = base_alloc(sizeof *refusal);
    refusal->key = blob_copy(key);
    refusal->work = (struct replica_work){
        .key = blob_slice(refusal->key), .status = -EBUSY, .handle = handle, .index = index};
    refusal->done = done;
    list_push_back(&core->replica->refused, &refusal->link);
    timer_set(core, &core->replica->refuse, core->now_us, refuse_all);
}

static void run(struct core *core, struct slice key, enum replica_depth depth,
                replica_work_fn *work, replica_work_fn *done, uint64_t handle, uint64_t index)
{
    struct replica *replica = core->replica;
    struct replica_key *queue = map_get(&replica->keys, key);
    struct replica_op *op = NULL;
    pool_handle op_handle;
    if (queue == NULL || queue->count < KEY_QUEUE_MAX)
        op = pool_new(&replica->ops, &op_handle);
    if (op == NULL) {
        refuse(core, key, done, handle, index);
        return;
    }
    if (queue == NULL) {
        queue = base_alloc(sizeof *queue);
        queue->name = blob_copy(key);
        list_init(&queue->waiting);
        map_put(&replica->keys, key, queue);
    }
    op->handle = op_handle;
    op->queue = queue;
    op->depth = depth;
    op->work_fn = work;
    op->done_fn = done;
    op->work.key = blob_slice(queue->name);
    op->work.handle = handle;
    op->work.index = index;
    list_push_back(&queue->waiting, &op->link);
    if (queue->count++ == 0)
        queue_start(core, queue);
}

void replica_run(struct core *core, struct slice key, replica_work_fn *work, replica_work_fn *done,
                 uint64_t handle, uint64_t index)
{
    run(core, key, REPLICA_DECODED, work, done, handle, index);
}

void replica_run_raw(struct core *core, struct slice key, replica_work_fn *work,
                     replica_work_fn *done, uint64_t handle, uint64_t index)
{
    run(core, key, REPLICA_RAW, work, done, handle, index);
}

/* done may put more operations on the same key: they wait behind this one until it is gone. */
static void replica_finish(struct core *core, struct replica_op *op, int status)
{
    struct replica *replica = core->replica;
    struct replica_key *queue = op->queue;
    op->work.status = status;
    op->done_fn(core, &op->work);
    list_remove(&op->link);
    replica_op_clear(op);
    pool_delete(&replica->ops, op->handle);
    if (--queue->count > 0) {
        queue_start(core, queue);
        return;
    }
    map_remove(&replica->keys, blob_slice(queue->name));
    blob_unref(&queue->name);
    free(queue);
}

/* ---- one operation: loaded, its token if the copy is damaged, worked, committed ---- */

static void replica_committed(struct core *core, const struct core_event *event,
                              struct resume resume)
{
    struct replica_op *op = pool_get(&core->replica->ops, resume.handle);
    op->work.written = event->written && !BROKEN(core, written_undone);
    if (event->status != 0) {
        if (!op->work.written)
            replica_tree_undo(core, op);
        if (event->status != -ESHUTDOWN)
            core_log(core, LOG_ERROR, "a write was not made%s: %s",
                     event->written ? " durable" : "", strerror(-event->status));
    } else if (op->work.write) {
        retire_record_stored(core, op->work.key, &op->work.record);
    }
    if (event->status == 0 && op->was_damaged && (op->work.write || op->work.drop)) {
        core->replica->mended++;
        core_log(core, LOG_INFO, "the damaged copy of \"%.*s\" is replaced",
                 (int)min_size(op->work.key.size, 200), (const char *)op->work.key.data);
    }
    replica_finish(core, op, event->status);
}

/* A register that is made of this may leave their covers out. */
static void leave_out_collected(struct core *core, struct replica_work *work)
{
    if (BROKEN(core, collect_unviewed) || work->record.sloppy_count == 0 ||
        view_partition_count(core) == 0)
        return;
    struct view view = view_of(core, view_partition_of(core, work->key));
    work->forgot = record_forget(&work->arena, &work->record, view.collected);
}

static void replica_work(struct core *core, struct replica_op *op)
{
    struct replica_work *work = &op->work;
    op->before = work->entry.record;
    replica_grave_before(op);
    leave_out_collected(core, work);
    op->work_fn(core, work);
    replica_collect(core, op);
    if (work->batch.count == 0 && !work->durable) {
        replica_finish(core, op, 0);
        return;
    }
    replica_tree_follow(core, op);
    bool durable = work->durable || (work->write && key_is_durable(work->key));
    disk_commit(core, &work->batch, durable, resume_to(replica_committed, op->handle, 0));
}

static void replica_token_loaded(struct core *core, const struct core_event *event,
                                 struct resume resume)
{
    struct replica_op *op = pool_get(&core->replica->ops, resume.handle);
    struct slice key;
    if (event->status == 0 && token_decode(blob_slice(event->bytes), &op->digest_before, &key)) {
        struct hash128 mark = token_damaged(core, &op->token_id);
        op->had = true;
        op->marked = memcmp(&op->digest_before, &mark, sizeof mark) == 0;
    }
    core->replica->damaged += !op->marked;
    if (!op->marked)
        core_log(core, LOG_ERROR, "the stored copy of \"%.*s\" is damaged",
                 (int)min_size(op->work.key.size, 200), (const char *)op->work.key.data);
    core->hooks->damaged(core, op->work.key);
    replica_work(core, op);
}

/* What the tree counts for this key is not known from the damaged copy: the token says it. */
static void replica_damaged(struct core *core, struct replica_op *op)
{
    op->was_damaged = op->work.damaged = true;
    op->work.entry = (struct entry){0};
    op->work.record = (struct record){0};
    op->token_id = key_token(op->work.key);
    disk_load(core, TOYSTORE_TOKENS, slice_of(op->token_id.bytes, sizeof op->token_id.bytes),
              resume_to(replica_token_loaded, op->handle, 0));
}

static void replica_loaded(struct core *core, const struct core_event *event, struct resume resume)
{
    struct replica_op *op = pool_get(&core->replica->ops, resume.handle);
    struct replica_work *work = &op->work;
    int status = event->status;
    if (status == 0) {
        op->stored = blob_ref(event->bytes);
        status = entry_decode(blob_slice(op->stored), &work->entry);
        if (status == 0 && op->depth == REPLICA_DECODED)
            status = record_decode(&work->arena, work->entry.record, &work->record);
    }
    if (status == -EUCLEAN || status == -EBADMSG) {
        replica_damaged(core, op);
    } else if (status == 0 || status == -ENOENT) {
        replica_work(core, op);
    } else {
        core_log(core, LOG_ERROR, "an entry could not be read: %s", strerror(-status));
        replica_finish(core, op, -EIO);
    }
}
