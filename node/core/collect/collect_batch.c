/* collect_batch: some partitions on their way through a collection (PROTOCOL 8):
 *   (1) every storing member notes the new epoch;
 *   (2) all are asked again and again until each says that it is ready, and all owners of a
 *       partition show the same hash tree, fsynced;
 *   (3) the owners are told, and drop what is collected (collect_drop.c).
 * Of a round that is cut short, by a crash or a member that falls silent, only the epoch stays: the
 * next one goes on from there.
 * Enters from collect.c; leaves to METHOD_RAISE and METHOD_COLLECT. */
#include <stdlib.h>

#include "core/collect/collect_priv.h"
#include "core/view/view.h"

struct collect_batch {
    enum { BATCH_RAISE, BATCH_ASK, BATCH_TELL } stage;
    uint64_t generation;
    struct view view; /* its layouts; the epoch is each job's */
    struct collect_job jobs[COLLECT_BATCH];
    unsigned count, tries, open;
    node_id *members; /* who has to take part */
    size_t member_count;
};

static struct collect_batch *batch_of(struct core *core, uint64_t generation)
{
    struct collect_batch *batch = core->collect->batch;
    return batch && batch->generation == generation ? batch : NULL;
}

void collect_batch_free(struct collect *collect)
{
    if (collect->batch)
        free(collect->batch->members);
    free(collect->batch);
    collect->batch = NULL;
}

static void add_blocker(struct core *core, node_id id)
{
    struct collect *collect = core->collect;
    for (unsigned i = 0; i < collect->blocker_count; i++)
        if (collect->blockers[i] == id)
            return;
    if (collect->blocker_count < COLLECT_BLOCKERS_MAX)
        collect->blockers[collect->blocker_count++] = id;
}

/* ---- who takes part ---- */

/* All of them can be reached; else nothing is begun. */
static bool everybody_there(struct core *core, const struct collect_batch *batch)
{
    bool there = true;
    for (size_t i = 0; i < batch->member_count; i++) {
        if (batch->members[i] == core->id || rpc_reachable(core, batch->members[i]))
            continue;
        add_blocker(core, batch->members[i]);
        there = false;
    }
    return there;
}

/* ---- the end ---- */

static void job_end(struct core *core, struct collect_batch *batch, unsigned at, unsigned pause_ms)
{
    core->collect->not_before_us[batch->jobs[at].partition] = core->now_us + 1000ull * pause_ms;
    batch->jobs[at] = batch->jobs[--batch->count];
}

static unsigned pause_ms(const struct core *core)
{
    if (BROKEN(core, collect_promises))
        return 0;
    return (unsigned)max_u64(5ull * core->config.handoff_interval_ms, COLLECT_STEP_MS);
}

static void batch_end(struct core *core, struct collect_batch *batch)
{
    while (batch->count > 0)
        job_end(core, batch, batch->count - 1, pause_ms(core));
    collect_batch_free(core->collect);
}

/* Jobs of another era than the partition's are left: somebody else has raised it since. */
static void drop_stale_jobs(struct core *core, struct collect_batch *batch)
{
    for (unsigned i = batch->count; i-- > 0;) {
        struct view now = view_of(core, batch->jobs[i].partition);
        bool same = now.oldest == batch->view.oldest && now.newest == batch->view.newest &&
                    now.epoch == batch->jobs[i].era.epoch;
        if (!same && !BROKEN(core, collect_unraised))
            job_end(core, batch, i, 0);
    }
}

/* ---- (3) telling ---- */

static void told(struct core *core, uint64_t generation, uint64_t member,
                 const struct rpc_answer *answer)
{
    struct collect_batch *batch = batch_of(core, generation);
    (void)member;
    (void)answer; /* who has not heard it says so in the next collection */
    if (!batch || --batch->open != 0)
        return;
    for (unsigned i = batch->count; i-- > 0;)
        if (batch->jobs[i].ready)
            job_end(core, batch, i, pause_ms(core));
    batch->stage = BATCH_ASK;
    if (batch->count == 0)
        batch_end(core, batch);
}

/* Of a collection that not all owners have heard of, those that lag are told, too. */
static bool tells(const struct collect_job *job)
{
    return job->ready || era_compare(job->lagging, job->collected) < 0;
}

static void tell_member(struct core *core, struct collect_batch *batch, size_t member)
{
    struct buf items = {0};
    uint32_t count = 0;
    for (unsigned i = 0; i < batch->count; i++) {
        const struct collect_job *job = &batch->jobs[i];
        if (!tells(job) || !view_owner(core, job->partition, batch->members[member]))
            continue;
        collect_item_encode(&items,
                            &(struct collect_item){.partition = job->partition,
                                                   .era = job->ready ? job->era : job->collected});
        count++;
    }
    if (count != 0) {
        batch->open++;
        rpc_call(core, batch->members[member], METHOD_COLLECT,
                 RPC_PARAMS(collect_request, {.layout = batch->view.newest,
                                              .stage = COLLECT_DROP,
                                              .items = {count, buf_slice(&items)}}),
                 REPLICA_TIMEOUT_MS, told, batch->generation, member);
    }
    buf_free(&items);
}

/* ---- (2) asking ---- */

static void judge(struct core *core, struct collect_batch *batch)
{
    bool any = false;
    drop_stale_jobs(core, batch);
    for (unsigned i = 0; i < batch->count; i++) {
        struct collect_job *job = &batch->jobs[i];
        job->ready = !job->failed && job->roots == layout_owner_count(view_newest(core));
        any = any || tells(job);
    }
    if (!any)
        return; /* asked again at the next step */
    batch->stage = BATCH_TELL;
    batch->open = 1;
    for (size_t i = 0; i < batch->member_count; i++)
        tell_member(core, batch, i);
    struct rpc_answer none = {0};
    told(core, batch->generation, 0, &none);
}

static void heard(struct core *core, struct collect_batch *batch, struct collect_job *job,
                  node_id from, const struct collect_answer *answer)
{
    if (answer->missing != COLLECT_NOTHING) {
        job->failed = true;
        add_blocker(core, from);
    }
    if (!layout_owns(view_layout(core, batch->view.newest), job->partition, from))
        return;
    bool differs = memcmp(&answer->root, &job->root, sizeof answer->root) != 0;
    if (job->roots++ == 0) {
        job->root = answer->root;
        job->collected = job->lagging = answer->collected;
    } else if (differs && !BROKEN(core, collect_unheld)) {
        job->failed = true;
    }
    if (era_compare(answer->collected, job->collected) > 0)
        job->collected = answer->collected;
    if (era_compare(answer->collected, job->lagging) < 0)
        job->lagging = answer->collected;
}

static void answered(struct core *core, uint64_t generation, uint64_t member,
                     const struct rpc_answer *answer)
{
    struct collect_batch *batch = batch_of(core, generation);
    struct collect_reply reply;
    struct collect_answer one;
    unsigned at = 0;
    if (!batch)
        return;
    bool good = answer->status == TOYSTORE_OK && collect_reply_decode(answer->result, &reply) &&
                reply.status == TOYSTORE_OK && reply.items.count == batch->count;
    struct cursor cursor = cursor_of(good ? reply.items.items : slice_of(NULL, 0));
    while (good && at < batch->count) {
        good = collect_answer_read(&cursor, &one) && one.partition == batch->jobs[at].partition;
        if (good)
            heard(core, batch, &batch->jobs[at++], batch->members[member], &one);
    }
    if (!good)
        add_blocker(core, batch->members[member]);
    for (; at < batch->count; at++)
        batch->jobs[at].failed = true;
    if (--batch->open == 0)
        judge(core, batch);
}

static void ask_all(struct core *core, struct collect_batch *batch)
{
    struct buf items = {0};
    core->collect->blocker_count = 0;
    for (unsigned i = 0; i < batch->count; i++) {
        struct collect_job *job = &batch->jobs[i];
        job->failed = job->ready = false;
        job->roots = 0;
        collect_item_encode(&items,
                            &(struct collect_item){.partition = job->partition, .era = job->era});
    }
    batch->stage = BATCH_ASK;
    batch->open = (unsigned)batch->member_count;
    struct blob *params = RPC_PARAMS(collect_request, {.layout = batch->view.newest,
                                                       .stage = COLLECT_READY,
                                                       .items = {batch->count, buf_slice(&items)}});
    buf_free(&items);
    for (size_t i = 0; i < batch->member_count; i++)
        rpc_call(core, batch->members[i], METHOD_COLLECT, blob_ref(params), REPLICA_TIMEOUT_MS,
                 answered, batch->generation, i);
    blob_unref(&params);
}

/* ---- (1) raising ---- */

static void raised(struct core *core, uint64_t generation, uint64_t member,
                   const struct rpc_answer *answer)
{
    struct collect_batch *batch = batch_of(core, generation);
    (void)member;
    (void)answer; /* whoever has not noted it is not ready, and says so */
    if (batch && --batch->open == 0)
        batch->stage = BATCH_ASK;
}

static void raise_all(struct core *core, struct collect_batch *batch)
{
    struct buf items = {0};
    uint32_t count = 0;
    for (unsigned i = 0; i < batch->count; i++) {
        const struct collect_job *job = &batch->jobs[i];
        if (!job->raise)
            continue;
        raise_item_encode(
            &items, &(struct raise_item){.partition = job->partition, .epoch = job->era.epoch});
        count++;
    }
    batch->stage = BATCH_RAISE;
    batch->open = 1;
    struct blob *params = RPC_PARAMS(
        raise_request, {.layout = batch->view.newest, .items = {count, buf_slice(&items)}});
    buf_free(&items);
    for (size_t i = 0; count != 0 && i < batch->member_count; i++) {
        if (BROKEN(core, collect_unraised))
            break;
        batch->open++;
        rpc_call(core, batch->members[i], METHOD_RAISE, blob_ref(params), REPLICA_TIMEOUT_MS,
                 raised, batch->generation, i);
    }
    blob_unref(&params);
    struct rpc_answer none = {0};
    raised(core, batch->generation, 0, &none);
}

/* ---- the doors ---- */

void collect_batch_step(struct core *core)
{
    struct collect_batch *batch = core->collect->batch;
    if (batch->open != 0 || batch->stage != BATCH_ASK)
        return;
    drop_stale_jobs(core, batch);
    if (batch->count == 0 || ++batch->tries > COLLECT_TRIES)
        batch_end(core, batch);
    else
        ask_all(core, batch);
}

bool collect_begin(struct core *core, const struct collect_job *jobs, unsigned count)
{
    struct collect *collect = core->collect;
    struct collect_batch *batch = base_alloc(sizeof *batch);
    collect->blocker_count = 0;
    batch->generation = ++collect->generation;
    batch->view = view_of(core, jobs[0].partition);
    memcpy(batch->jobs, jobs, count * sizeof *jobs);
    batch->count = count;
    collect->batch = batch;
    batch->members = view_everybody(core, &batch->member_count);
    if (!everybody_there(core, batch)) {
        collect_batch_free(collect);
        return false;
    }
    raise_all(core, batch);
    return true;
}
