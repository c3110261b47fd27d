/* lead_seek: asking the owners to follow (PROTOCOL 4 lead): many partitions in one message, the own
 * promise committed first.
 * Enters from the timer of lead; leaves to METHOD_LEAD at the owners, then to lead_compare.c. */
#include <stdlib.h>

#include "core/coord/lead.h"
#include "core/coord/lead_priv.h"
#include "core/repair/entropy.h"
#include "core/view/view.h"

/* One round of Lead: partitions under equal views with one ballot. */
struct lead_batch {
    struct ballot ballot;
    struct view view;
    uint32_t partitions[LEAD_PARTITIONS_MAX];
    uint64_t attempts[LEAD_PARTITIONS_MAX]; /* led_handle */
    uint32_t count;
    unsigned calls_open;
};

/* Is this node the first that it can reach itself, and are there enough to follow it? Just started,
 * it reaches nobody better yet and must not depose who leads. */
static bool should_lead(struct core *core, uint32_t partition)
{
    node_id owners[REPLICAS_MAX];
    size_t n = layout_owners(view_newest(core), partition, owners), reachable = 0;
    if (n > 1 && core->now_us < core->lead->not_before_us)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!view_reachable(core, partition, owners[i]))
            continue;
        if (reachable++ == 0 && owners[i] != core->id)
            return false;
    }
    return reachable > n / 2;
}

static bool wanted(struct core *core, uint32_t partition)
{
    const struct led *led = &core->lead->led[partition];
    struct view view = view_of(core, partition);
    return led->state == LED_NOT && led->not_before_us <= core->now_us &&
           view.oldest == view.newest && layout_owns(view_newest(core), partition, core->id) &&
           view_holds(core, partition) && should_lead(core, partition) &&
           !entropy_behind(core, partition);
}

/* ---- answers ---- */

static void adopted(struct core *core, uint64_t handle)
{
    (void)handle;
    lead_wake(core);
}

static unsigned majority(struct core *core, uint32_t partition)
{
    if (BROKEN(core, lead_alone))
        return 1;
    struct electorate electorate;
    view_electorate(core, partition, 0, 0, &electorate);
    return electorate.layouts[0].maj;
}

static void promised(struct core *core, struct led *led, node_id from, const struct hash128 *root)
{
    uint32_t partition = led_number(core, led);
    if (led->state != LED_PROMISED)
        return; /* a majority was enough; who differs behind it gets repairs */
    led->peers[led->peer_count++] = (struct led_peer){from, *root};
    if (led->peer_count + 1 >= majority(core, partition))
        lead_compare(core, partition);
}

static void item_answered(struct core *core, struct led *led, node_id from,
                          const struct lead_item *item)
{
    switch (item->status) {
    case TOYSTORE_OK:
        promised(core, led, from, &item->root);
        break;
    case TOYSTORE_NACK:
        lead_on_nack(core, item->partition, slice_of(NULL, 0), &item->promised, true);
        break;
    case TOYSTORE_STALE:
        view_adopt(core, item->partition, &item->view, from, REPLICA_TIMEOUT_MS, adopted, 0);
        break;
    case TOYSTORE_MUTE:
        view_note_mute(core, item->partition, from);
        break;
    default:
        break;
    }
}

static struct led *led_in_batch(struct core *core, const struct lead_batch *batch,
                                uint32_t partition)
{
    for (uint32_t i = 0; i < batch->count; i++)
        if (batch->partitions[i] == partition)
            return led_from(core, batch->attempts[i]);
    return NULL;
}

/* Everybody has answered or will not: who found no majority tries again after a pause. */
static void batch_end(struct core *core, pool_handle handle)
{
    struct lead_batch *batch = pool_get(&core->lead->batches, handle);
    for (uint32_t i = 0; i < batch->count; i++) {
        struct led *led = led_from(core, batch->attempts[i]);
        if (!led || led->state != LED_PROMISED)
            continue;
        led_drop(core, batch->partitions[i]);
        led_pause(core, led);
    }
    pool_delete(&core->lead->batches, handle);
    lead_wake(core);
}

static void owner_answered(struct core *core, uint64_t handle, uint64_t index,
                           const struct rpc_answer *answer)
{
    struct lead_batch *batch = pool_get(&core->lead->batches, handle);
    struct lead_reply reply;
    (void)index;
    if (answer->status == TOYSTORE_OK && lead_reply_decode(answer->result, &reply)) {
        struct cursor cursor = cursor_of(reply.items.items);
        struct lead_item item;
        for (uint32_t i = 0; i < reply.items.count && lead_item_read(&cursor, &item); i++) {
            struct led *led = led_in_batch(core, batch, item.partition);
            if (led)
                item_answered(core, led, answer->from, &item);
        }
    }
    if (--batch->calls_open == 0)
        batch_end(core, handle);
}

/* ---- asking ---- */

static void ask_owner(struct core *core, pool_handle handle, node_id owner)
{
    struct lead_batch *batch = pool_get(&core->lead->batches, handle);
    struct buf items = {0};
    uint32_t count = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        if (!layout_owns(view_newest(core), batch->partitions[i], owner))
            continue;
        wire_put_U32(&items, batch->partitions[i]);
        count++;
    }
    if (count != 0) {
        batch->calls_open++;
        rpc_call(core, owner, METHOD_LEAD,
                 RPC_PARAMS(lead_request, {.view = batch->view,
                                           .partitions = {count, buf_slice(&items)},
                                           .ballot = batch->ballot}),
                 REPLICA_TIMEOUT_MS, owner_answered, handle, 0);
    }
    buf_free(&items);
}

static void own_promise_committed(struct core *core, const struct core_event *event,
                                  struct resume resume)
{
    struct lead_batch *batch = pool_get(&core->lead->batches, resume.handle);
    if (event->status != 0) {
        batch_end(core, resume.handle);
        return;
    }
    const struct layout *layout = view_newest(core);
    for (uint32_t i = 0; i < batch->count; i++)
        if (led_from(core, batch->attempts[i]) && majority(core, batch->partitions[i]) == 1)
            lead_compare(core, batch->partitions[i]);
    for (size_t i = 0; i < layout->member_count; i++)
        if (layout->members[i].id != core->id && rpc_reachable(core, layout->members[i].id))
            ask_owner(core, resume.handle, layout->members[i].id);
    if (batch->calls_open == 0)
        batch_end(core, resume.handle);
}

/* The own promise stands in memory at once, so that nothing lower gets in before it is written. */
static void promise_self(struct core *core, struct lead_batch *lead_batch, struct batch *batch)
{
    for (uint32_t i = 0; i < lead_batch->count; i++) {
        uint32_t number = lead_batch->partitions[i];
        struct led *led = &core->lead->led[number];
        led->state = LED_PROMISED;
        led->ballot = lead_batch->ballot;
        lead_batch->attempts[i] = led_handle(core, number);
        view_partition(core, number)->promised = lead_batch->ballot;
        view_save_partition(core, number, batch);
    }
}

/* Starts one round with what can be led now; false: nothing to do. */
static bool seek_batch(struct core *core)
{
    struct lead *lead = core->lead;
    pool_handle handle;
    struct lead_batch *lead_batch = NULL;
    uint64_t counter = lead->counter_seen;
    for (uint32_t i = 0; i < lead->partition_count; i++) {
        if (!wanted(core, i))
            continue;
        struct view view = view_of(core, i);
        if (!lead_batch) {
            lead_batch = pool_new(&lead->batches, &handle);
            if (!lead_batch)
                return false;
            lead_batch->view = view;
            lead_batch->view.collected = (struct era){0}; /* each has its own, and none matters */
        }
        if (view.epoch != lead_batch->view.epoch || lead_batch->count == LEAD_PARTITIONS_MAX)
            continue;
        lead_batch->partitions[lead_batch->count++] = i;
        counter = max_u64(counter, view_partition(core, i)->promised.counter);
    }
    if (!lead_batch)
        return false;
    lead_batch->ballot = (struct ballot){
        .era = view_era(lead_batch->view), .counter = counter + 1, .node = core->id};
    lead->counter_seen = counter + 1;
    struct batch batch = {0};
    promise_self(core, lead_batch, &batch);
    disk_commit(core, &batch, true, resume_to(own_promise_committed, handle, 0));
    return true;
}

static void step(struct core *core, struct timer *timer)
{
    timer_set_after_ms(core, timer, LEAD_STEP_MS, step);
    if (!view_newest(core) || view_oldest(core) != view_newest(core))
        return;
    while (seek_batch(core))
        ;
    lead_compare_again(core);
}

void leading_init(struct lead *lead)
{
    pool_init(&lead->batches, sizeof(struct lead_batch), LEAD_BATCHES_MAX);
    lead_compare_init(lead);
    lead_handle_init(lead);
    lead->seek = step;
}

void leading_free(struct lead *lead)
{
    pool_free(&lead->batches);
    lead_compare_free(lead);
    lead_handle_free(lead);
}
