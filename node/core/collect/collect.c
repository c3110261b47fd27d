/* collect: which partitions are due. A partition's first owner in reach collects it when its
 * tombstones outweigh an eighth of its keys, or when a person has asked for it; nothing is begun
 * while a storing member is out of reach, since each of them has to take part.
 * Enters from its timer and the report "collect"; leaves to collect_batch.c. */
#include <stdlib.h>

#include "core/collect/collect.h"
#include "core/collect/collect_priv.h"
#include "core/members/members.h"
#include "core/replica/tree.h"
#include "core/swim/swim.h"
#include "core/view/view.h"

struct collect *collect_new(void)
{
    struct collect *collect = base_alloc(sizeof *collect);
    collect_serve_init(collect);
    return collect;
}

void collect_free(struct collect *collect)
{
    if (collect == NULL)
        return;
    collect_batch_free(collect);
    collect_serve_free(collect);
    blob_unref(&collect->drop_after);
    free(collect->asked);
    free(collect->not_before_us);
    free(collect->to_drop);
    free(collect);
}

bool collect_sized(struct core *core)
{
    struct collect *collect = core->collect;
    uint32_t count = view_partition_count(core);
    if (collect->partition_count == 0 && count != 0) {
        collect->asked = base_alloc(count);
        collect->to_drop = base_alloc(count);
        collect->not_before_us = base_alloc(count * sizeof *collect->not_before_us);
        collect->partition_count = count;
        /* What a crash has left: what is of no older era than was collected stays. */
        for (uint32_t p = 0; p < count; p++) {
            struct grave_counts counts = grave_counts(core, p);
            collect->to_drop[p] =
                core->config.storing && counts.old + counts.fresh + counts.covered != 0;
        }
    }
    return core->config.storing && collect->partition_count != 0;
}

/* ---- what is due ---- */

static bool first_in_reach(struct core *core, uint32_t partition)
{
    node_id owners[REPLICAS_MAX];
    size_t n = layout_owners(view_newest(core), partition, owners);
    for (size_t i = 0; i < n; i++)
        if (view_reachable(core, partition, owners[i]))
            return owners[i] == core->id;
    return false;
}

static uint32_t least(const struct core *core)
{
    return core->config.collect_min ? core->config.collect_min : COLLECT_MIN;
}

static bool outweighs(struct core *core, uint32_t partition, uint32_t count)
{
    return count >= least(core) &&
           (uint64_t)count * COLLECT_SHARE > tree_key_count(core, partition);
}

/* Is there anything to do, and does it need a new era? What is of an older era than this one needs
 * none: an epoch may have been raised for another reason, or by a collection that was cut short. */
static bool due(struct core *core, uint32_t partition, struct collect_job *ret)
{
    struct collect *collect = core->collect;
    struct grave_counts counts = grave_counts(core, partition);
    struct view view = view_of(core, partition);
    bool asked = collect->asked[partition];
    if (counts.old + counts.fresh == 0)
        collect->asked[partition] = false;
    if (counts.old + counts.fresh == 0 || collect->not_before_us[partition] > core->now_us)
        return false;
    bool old_due = asked ? counts.fresh == 0 : outweighs(core, partition, counts.old);
    if (BROKEN(core, collect_promises)) /* and as often as it can */
        old_due = true;
    if (!asked && !old_due && !outweighs(core, partition, counts.old + counts.fresh))
        return false;
    if (!view_owner(core, partition, core->id) || !view_holds(core, partition) ||
        !first_in_reach(core, partition))
        return false;
    *ret = (struct collect_job){.partition = partition, .era = view_era(view), .raise = !old_due};
    ret->era.epoch += ret->raise;
    return true;
}

static void begin(struct core *core)
{
    struct collect *collect = core->collect;
    struct collect_job jobs[COLLECT_BATCH];
    unsigned count = 0;
    for (uint32_t i = 0; i < collect->partition_count && count < COLLECT_BATCH; i++) {
        uint32_t partition = (collect->cursor + i) % collect->partition_count;
        if (due(core, partition, &jobs[count]))
            count++;
    }
    if (count == 0)
        return;
    if (collect_begin(core, jobs, count))
        collect->cursor = (jobs[count - 1].partition + 1) % collect->partition_count;
}

static void step(struct core *core, struct timer *timer)
{
    timer_set_after_ms(core, timer, COLLECT_STEP_MS, step);
    if (core->stopping || !collect_sized(core))
        return;
    collect_drop_step(core);
    if (core->collect->batch)
        collect_batch_step(core);
    else if (view_oldest(core) == view_newest(core) && !view_learning(core))
        begin(core);
}

void collect_wake(struct core *core)
{
    if (core->started)
        timer_set(core, &core->collect->step, core->now_us, step);
}

void collect_start(struct core *core)
{
    if (core->config.storing)
        timer_set_after_ms(core, &core->collect->step, COLLECT_STEP_MS, step);
}

/* ---- a person asks ---- */

void collect_asked(struct core *core)
{
    struct blob *params = NULL;
    for (size_t i = 0; i < members_count(core); i++) {
        const struct member *member = members_at(core, i);
        if (!member->storing || (i != 0 && !members_alive(core, member->id)))
            continue;
        if (!params)
            params = RPC_PARAMS(collect_request, {.stage = COLLECT_ASKED});
        rpc_call(core, member->id, METHOD_COLLECT, blob_ref(params), REPLICA_TIMEOUT_MS, NULL, 0,
                 0);
    }
    blob_unref(&params);
}

/* ---- status ---- */

static bool blocks(const struct core *core, node_id id)
{
    const struct collect *collect = core->collect;
    for (unsigned i = 0; i < collect->blocker_count; i++)
        if (collect->blockers[i] == id)
            return true;
    return !rpc_reachable(core, id) && id != core->id;
}

void collect_report(struct core *core, struct json *json)
{
    const struct layout *newest = view_newest(core);
    uint64_t waiting = 0;
    for (uint32_t p = 0; core->config.storing && p < view_partition_count(core); p++) {
        struct grave_counts counts = grave_counts(core, p);
        waiting += counts.old + counts.fresh;
    }
    json_u64(json, "tombstones", waiting);
    json_u64(json, "tombstones_collected", core->collect->collected);
    json_open(json, "tombstones_wait_for", '[');
    /* Also where another member collects: who is silent keeps everybody waiting. */
    size_t count = 0;
    node_id *members = waiting != 0 && newest ? view_everybody(core, &count) : NULL;
    for (size_t i = 0; i < count; i++) {
        const struct member *member = members_find(core, members[i]);
        if (blocks(core, members[i]))
            json_text(json, NULL, member ? member->name : "a member that was never seen");
    }
    free(members);
    json_close(json, ']');
}
