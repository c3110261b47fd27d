/* entropy: which partitions are compared with whom, and when. Each tick (the hand-off interval)
 * looks at the roots of the trees in memory: a partition whose root has come to rest and is not
 * known to be equal everywhere is due, with every other owner; so is everything that is shared with
 * a member that has come back. A cluster at rest compares each partition every 300 ticks.
 * Enters from timers, gossip and the view; leaves to sync, and to entropy_key.c by its differences.
 */
#include "core/repair/entropy_priv.h"
#include "core/replica/sync.h"
#include "core/replica/tree.h"
#include "core/view/view.h"

#include <stdlib.h>

struct entropy *entropy_new(void)
{
    struct entropy *entropy = base_alloc(sizeof *entropy);
    pool_init(&entropy->syncs, sizeof(struct entropy_sync), ENTROPY_SYNCS_MAX);
    pool_init(&entropy->keys, entropy_key_size, ENTROPY_KEYS_MAX);
    list_init(&entropy->waiting);
    pool_init(&entropy->rechecks, entropy_recheck_size, ENTROPY_RECHECKS_MAX);
    return entropy;
}

void entropy_free(struct entropy *entropy)
{
    if (entropy == NULL)
        return;
    for (size_t i = 0; i < entropy->keys.capacity; i++)
        entropy_key_clear(entropy->keys.objects[i]);
    for (size_t i = 0; i < entropy->rechecks.capacity; i++)
        entropy_recheck_clear(entropy->rechecks.objects[i]);
    scrub_free(&entropy->scrub);
    pool_free(&entropy->syncs);
    pool_free(&entropy->keys);
    pool_free(&entropy->rechecks);
    free(entropy->partitions);
    free(entropy);
}

/* ---- what is due ---- */

/* While two layouts are live, and until this owner holds, its holds compare (PROTOCOL 7). */
bool entropy_compares(struct core *core, uint32_t partition, struct electorate *ret)
{
    if (view_oldest(core) != view_newest(core) || view_partition(core, partition)->mute ||
        !view_owner(core, partition, core->id) || !view_holds(core, partition))
        return false;
    view_electorate(core, partition, 0, 0, ret);
    return true;
}

uint32_t entropy_peers(const struct core *core, const struct electorate *electorate)
{
    int self = electorate_index(electorate, core->id);
    return electorate_all(electorate) & ~(self >= 0 ? 1u << self : 0);
}

static bool same_hash(const struct hash128 *a, const struct hash128 *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static void partition_tick(struct core *core, uint32_t number)
{
    struct entropy *entropy = core->entropy;
    struct entropy_partition *partition = &entropy->partitions[number];
    struct hash128 root = tree_root(core, number);
    struct electorate electorate;
    partition->tried = 0;
    bool rests = same_hash(&root, &partition->root);
    partition->root = root;
    bool full = (entropy->ticks + number) % ENTROPY_FULL_TICKS == 0;
    if (!full && !rests && ++partition->busy < ENTROPY_BUSY_TICKS)
        return;
    partition->busy = 0;
    if (!entropy_compares(core, number, &electorate))
        return;
    uint32_t peers = entropy_peers(core, &electorate);
    if (!full && rests && same_hash(&root, &partition->equal))
        peers &= ~partition->equal_with;
    partition->due |= peers;
}

/* An owner without anything asks nobody: those that have something ask it. */
static void know_nothing(struct entropy_partition *partition)
{
    partition->equal = (struct hash128){{0}};
    partition->equal_with = UINT32_MAX;
}

static bool entropy_sized(struct core *core)
{
    struct entropy *entropy = core->entropy;
    uint32_t count = view_partition_count(core);
    if (entropy->partition_count == 0 && count > 0) {
        entropy->partitions = base_alloc(count * sizeof *entropy->partitions);
        entropy->partition_count = count;
        for (uint32_t i = 0; i < count; i++) {
            know_nothing(&entropy->partitions[i]);
            entropy->partitions[i].compared_us = core->now_us;
        }
    }
    return core->config.storing && entropy->partition_count > 0;
}

static void tick_fire(struct core *core, struct timer *timer)
{
    struct entropy *entropy = core->entropy;
    entropy->ticks++;
    if (entropy_sized(core) && !core->stopping && !BROKEN(core, no_repair)) {
        for (uint32_t i = 0; i < entropy->partition_count; i++)
            partition_tick(core, i);
        entropy_pump(core);
        scrub_tick(core);
    }
    timer_set_after_ms(core, timer, max_u64(core->config.handoff_interval_ms, 1), tick_fire);
}

void entropy_start(struct core *core)
{
    core->entropy->started = true;
    core->entropy->started_us = core->now_us;
    tick_fire(core, &core->entropy->tick);
}

void entropy_on_member(struct core *core, node_id id)
{
    struct entropy *entropy = core->entropy;
    if (!entropy->started || !entropy_sized(core))
        return;
    for (uint32_t i = 0; i < entropy->partition_count; i++) {
        struct electorate electorate;
        if (id == core->id || !view_owner(core, i, id) || !entropy_compares(core, i, &electorate))
            continue;
        int peer = electorate_index(&electorate, id);
        entropy->partitions[i].due |= 1u << peer;
        entropy->partitions[i].tried &= ~(1u << peer);
    }
    entropy_pump(core);
}

bool entropy_behind(struct core *core, uint32_t partition)
{
    struct entropy *entropy = core->entropy;
    struct electorate electorate;
    struct hash128 root = tree_root(core, partition), nothing = {{0}};
    if (!entropy_sized(core) || core->now_us > entropy->started_us + ENTROPY_BEHIND_MS * 1000ull ||
        same_hash(&root, &nothing) || BROKEN(core, no_repair))
        return false;
    return !entropy->partitions[partition].caught_up &&
           entropy_compares(core, partition, &electorate) && electorate.member_count > 1;
}

/* Bits stand for other peers now. */
void entropy_view_changed(struct core *core)
{
    struct entropy *entropy = core->entropy;
    for (uint32_t i = 0; i < entropy->partition_count; i++) {
        struct entropy_partition *partition = &entropy->partitions[i];
        partition->due = partition->tried = partition->asked = 0;
        partition->compared_us = core->now_us;
        know_nothing(partition);
    }
}

/* A root that changes between two comparisons is known to be equal to the last peer's alone. */
static void note_equal(struct core *core, const struct entropy_sync *sync)
{
    struct entropy_partition *partition = &core->entropy->partitions[sync->partition];
    struct hash128 root = tree_root(core, sync->partition);
    if (sync->differed) {
        partition->equal_with &= ~sync->peer; /* compared again once it rests */
        return;
    }
    if (!same_hash(&root, &sync->root))
        return;
    if (!same_hash(&root, &partition->equal))
        partition->equal_with = 0;
    partition->equal = root;
    partition->equal_with |= sync->peer;
}

/* ---- comparing ---- */

static void compared(struct core *core, uint64_t handle, node_id from, enum toystore_status status)
{
    struct entropy *entropy = core->entropy;
    struct entropy_sync *sync = pool_get(&entropy->syncs, handle);
    struct entropy_partition *partition = &entropy->partitions[sync->partition];
    struct electorate electorate;
    partition->comparing = false;
    if (status == TOYSTORE_OK && entropy_compares(core, sync->partition, &electorate) &&
        electorate_index(&electorate, from) >= 0) {
        partition->caught_up = true;
        partition->due &= ~sync->peer;
        partition->asked &= ~sync->peer;
        note_equal(core, sync);
        if (partition->due == 0)
            partition->compared_us = core->now_us;
    } else if (status == TOYSTORE_MUTE) {
        view_note_mute(core, sync->partition, from);
    }
    pool_delete(&entropy->syncs, handle);
    entropy_pump(core);
}

static bool compare_with(struct core *core, uint32_t number, const struct electorate *electorate,
                         unsigned peer)
{
    struct entropy *entropy = core->entropy;
    struct entropy_partition *partition = &entropy->partitions[number];
    pool_handle handle;
    struct entropy_sync *sync = pool_new(&entropy->syncs, &handle);
    if (sync == NULL)
        return false;
    sync->handle = handle;
    sync->partition = number;
    sync->peer = 1u << peer;
    sync->root = tree_root(core, number);
    partition->tried |= sync->peer;
    if (sync_start(core, number, electorate->members[peer], 0, entropy_differs, compared, handle) ==
        0) {
        pool_delete(&entropy->syncs, handle);
        return false;
    }
    partition->comparing = true;
    return true;
}

/* One peer of a partition at a time. False: as many comparisons are under way as may be. */
static bool partition_pump(struct core *core, uint32_t number)
{
    struct entropy_partition *partition = &core->entropy->partitions[number];
    struct electorate electorate;
    uint32_t open = partition->due & ~partition->tried;
    if (open == 0 || partition->comparing || !entropy_compares(core, number, &electorate))
        return true;
    for (unsigned i = 0; i < electorate.member_count; i++) {
        if ((open >> i & 1) == 0 || !view_reachable(core, number, electorate.members[i]))
            continue;
        return compare_with(core, number, &electorate, i);
    }
    return true;
}

void entropy_pump(struct core *core)
{
    struct entropy *entropy = core->entropy;
    for (uint32_t i = 0; i < entropy->partition_count; i++) {
        uint32_t number = (entropy->cursor + i) % entropy->partition_count;
        if (entropy->syncs.count == ENTROPY_SYNCS_MAX || !partition_pump(core, number)) {
            entropy->cursor = number;
            return;
        }
    }
}
