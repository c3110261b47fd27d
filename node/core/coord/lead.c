/* lead: which partitions this node leads, and when that ends (PROTOCOL 4 lead). An owner seeks to
 * lead what it is the first reachable owner of (lead_seek.c), compares with those that promised
 * (lead_compare.c), and is asked by others that seek (lead_handle.c).
 * Enters from coord (may I use the fast path?), view and swim; wakes lead_seek.c. */
#include <stdlib.h>

#include "core/coord/lead.h"
#include "core/coord/lead_priv.h"
#include "core/replica/sync.h"
#include "core/view/view.h"

struct lead *lead_new(struct core *core)
{
    (void)core;
    struct lead *lead = base_alloc(sizeof *lead);
    list_init(&lead->compares);
    list_init(&lead->reaccept);
    return lead;
}

/* ---- open keys ---- */

struct open_key *open_add(struct core *core, uint32_t partition, struct slice key)
{
    struct map *open = &core->lead->led[partition].open;
    struct open_key *entry = map_get(open, key);
    if (!entry) {
        entry = base_alloc(sizeof *entry);
        map_put(open, key, entry);
    }
    return entry;
}

void open_free(struct open_key *entry)
{
    if (!entry)
        return;
    blob_unref(&entry->base);
    free(entry);
}

void open_clear(struct led *led)
{
    MAP_EACH(entry, &led->open)
    open_free(entry->value);
    map_free(&led->open);
    led->open = (struct map){0};
}

/* ---- partitions ---- */

void lead_free(struct lead *lead)
{
    if (!lead)
        return;
    for (uint32_t i = 0; i < lead->partition_count; i++)
        open_clear(&lead->led[i]);
    free(lead->led);
    free(lead);
}

/* Q is known from the first layout on. */
static bool ready_to_lead(struct core *core)
{
    struct lead *lead = core->lead;
    if (!lead->led && view_partition_count(core) != 0) {
        lead->partition_count = view_partition_count(core);
        lead->led = base_alloc(lead->partition_count * sizeof *lead->led);
    }
    return lead->led != NULL;
}

struct led *led_of(const struct core *core, uint32_t partition)
{
    return core->lead->led && partition < core->lead->partition_count ? &core->lead->led[partition]
                                                                      : NULL;
}

struct led *led_from(const struct core *core, uint64_t handle)
{
    struct led *led = led_of(core, (uint32_t)handle);
    return led && led->generation == (uint32_t)(handle >> 32) && led->state != LED_NOT ? led : NULL;
}

uint32_t led_number(const struct core *core, const struct led *led)
{
    return (uint32_t)(led - core->lead->led);
}

void lead_saw_counter(struct core *core, const struct ballot *ballot)
{
    core->lead->counter_seen = max_u64(core->lead->counter_seen, ballot->counter);
}

void led_drop(struct core *core, uint32_t partition)
{
    struct lead *lead = core->lead;
    struct led *led = &lead->led[partition];
    for (unsigned i = 0; i < REPLICAS_MAX; i++) {
        if (led->syncs[i] == 0)
            continue;
        sync_cancel(core, led->syncs[i]);
        led->syncs[i] = 0;
        lead->syncs_open--;
    }
    list_remove(&led->waiting);
    open_clear(led);
    led->state = LED_NOT;
    led->generation++;
    led->peer_count = led->syncs_open = 0;
    led->too_many = false;
}

void led_depose(struct core *core, uint32_t partition)
{
    struct led *led = led_of(core, partition);
    if (!led || led->state == LED_NOT)
        return;
    led_drop(core, partition);
    led_pause(core, led);
}

/* Jittered, so that two that depose each other do not go on for ever. */
void led_pause(struct core *core, struct led *led)
{
    bool calm = led->since_us != 0 && core->now_us - led->since_us > LEAD_CALM_MS * 1000ull;
    unsigned last = calm ? 0 : led->pause_ms;
    led->since_us = 0;
    led->pause_ms = (unsigned)min_u64(last ? last * 2 : LEAD_PAUSE_MS, LEAD_PAUSE_MS_MAX);
    uint64_t half = led->pause_ms * 500ull;
    led->not_before_us = core->now_us + half + prng_below(&core->prng, half);
}

void lead_start(struct core *core)
{
    core->lead->not_before_us = core->now_us + core->config.probe_interval_ms * 1000ull;
    if (ready_to_lead(core))
        lead_wake(core);
}

void lead_on_member(struct core *core)
{
    if (ready_to_lead(core))
        lead_wake(core);
}

void lead_view_changed(struct core *core)
{
    struct lead *lead = core->lead;
    if (!ready_to_lead(core))
        return;
    for (uint32_t i = 0; i < lead->partition_count; i++) {
        struct view view = view_of(core, i);
        if (BROKEN(core, lead_over_view) && lead->led[i].state == LED_LEADS) {
            lead->led[i].ballot.era = view_era(view);
            view_partition(core, i)->promised = lead->led[i].ballot;
        } else if (lead->led[i].state != LED_NOT &&
                   (view.oldest != view.newest ||
                    era_compare(lead->led[i].ballot.era, view_era(view)) != 0))
            led_drop(core, i);
    }
    lead_wake(core);
}

bool lead_leads(const struct core *core, uint32_t partition, struct ballot *ret_ballot)
{
    const struct led *led = led_of(core, partition);
    if (!led || led->state != LED_LEADS)
        return false;
    *ret_ballot = led->ballot;
    return true;
}

/* The key of a layout has owners of its own, all members, and is in no hash tree: those that have
 * promised this leader are not its majority, and it has compared nothing. */
static bool is_of_no_partition(const struct core *core, struct slice key)
{
    (void)core;
    return view_layout_of_key(key) != 0 && !BROKEN(core, lead_layouts);
}

bool lead_is_open(const struct core *core, uint32_t partition, struct slice key)
{
    if (is_of_no_partition(core, key))
        return true;
    const struct led *led = led_of(core, partition);
    return led && map_get(&led->open, key) != NULL;
}

void lead_on_nack(struct core *core, uint32_t partition, struct slice key,
                  const struct ballot *promised, bool whole_partition)
{
    struct led *led = led_of(core, partition);
    lead_saw_counter(core, promised);
    if (!led || led->state == LED_NOT || ballot_compare(promised, &led->ballot) <= 0)
        return;
    if (!whole_partition && led->open.count < LEAD_OPEN_MAX) {
        open_add(core, partition, key)->rounds = true;
        return;
    }
    led_depose(core, partition);
}

/* What was below the leadership's ballot and did not differ was shown by all that were compared: a
 * majority. It is chosen if a majority is enough. */
bool lead_knows_chosen(const struct core *core, uint32_t partition, struct slice key,
                       const struct ballot *ballot)
{
    const struct led *led = led_of(core, partition);
    struct electorate electorate;
    if (!led || led->state != LED_LEADS || ballot_compare(ballot, &led->ballot) >= 0 ||
        is_of_no_partition(core, key))
        return false;
    view_electorate(core, partition, 0, 0, &electorate);
    return electorate.layouts[0].q == electorate.layouts[0].maj && map_get(&led->open, key) == NULL;
}

void lead_wake(struct core *core)
{
    if (core->config.storing && core->lead->led)
        timer_set(core, &core->lead->step, core->now_us, core->lead->seek);
}
