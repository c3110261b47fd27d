/* Anti-entropy: owners that have come to rest are made equal, in both directions; a cluster at rest
 * asks nothing; the scrub finds what has gone bad on the disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "replica_double.h"

#include "core/coord/coord.h"
#include "core/coord/lead.h"
#include "core/repair/entropy_priv.h"

static struct layout layout = {.number = 1};
static bool chosen; /* the leader knows it */
static unsigned settles;

const struct layout *view_oldest(const struct core *core)
{
    (void)core;
    return &layout;
}

const struct layout *view_newest(const struct core *core)
{
    return view_oldest(core);
}

bool view_owner(const struct core *core, uint32_t partition, node_id id)
{
    (void)core;
    (void)partition;
    return id <= world.owners;
}

void view_electorate(const struct core *core, uint32_t partition, unsigned w, unsigned r,
                     struct electorate *ret)
{
    (void)partition;
    view_electorate_key(core, slice_str("k"), w, r, ret);
}

bool view_reachable(const struct core *core, uint32_t partition, node_id id)
{
    (void)core;
    (void)partition;
    return !world.down[id];
}

void view_note_mute(struct core *core, uint32_t partition, node_id id)
{
    (void)core;
    (void)partition;
    (void)id;
}

bool lead_knows_chosen(const struct core *core, uint32_t partition, struct slice key,
                       const struct ballot *ballot)
{
    (void)core;
    (void)partition;
    (void)key;
    (void)ballot;
    return chosen;
}

void coord_settle(struct core *core, struct slice key, settle_done_fn *done, uint64_t handle,
                  uint64_t index)
{
    (void)key;
    settles++;
    done(core, handle, index, TOYSTORE_OK);
}

static struct blob *record_of(uint64_t counter)
{
    struct record record = {.has_register = true};
    record.reg.ballot = (struct ballot){{1, 0}, counter, 1, 0};
    record.reg.version.op = (struct op_id){{{1}}, counter};
    record.reg.version.checksum = version_checksum(&record.reg.version);
    struct buf out = {0};
    record_encode(&out, &record);
    return buf_take(&out);
}

static void put(node_id to, const char *key, uint64_t counter)
{
    struct blob *record = record_of(counter);
    struct blob *params = RPC_PARAMS(
        put_request, {.view = world.view, .key = slice_str(key), .record = blob_slice(record)});
    blob_unref(&record);
    assert_int_equal(world_ask(to, to, METHOD_PUT, params).status, TOYSTORE_OK);
    world.sent = world.delivered = 0;
}

static void ticks(unsigned count)
{
    while (count-- > 0) {
        world.sent = world.delivered = 0;
        for (node_id id = 1; id <= CORES; id++)
            world.cores[id].now_us += 1000 * 1000;
        world_run();
    }
}

static void assert_equal_copies(void)
{
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        for (node_id id = 2; id <= world.owners; id++) {
            struct hash128 a = tree_root(&world.cores[1], p), b = tree_root(&world.cores[id], p);
            assert_memory_equal(&a, &b, sizeof a);
        }
    }
}

static int setup(void **state)
{
    (void)state;
    world_open(3);
    chosen = false;
    settles = 0;
    for (node_id id = 1; id <= CORES; id++) {
        world.cores[id].config.handoff_interval_ms = 1000;
        prng_seed(&world.cores[id].prng, id);
        world.cores[id].entropy = entropy_new();
        entropy_start(&world.cores[id]);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_stop_timers();
    for (node_id id = 1; id <= CORES; id++)
        entropy_free(world.cores[id].entropy);
    world_close();
    return 0;
}

static void test_copies_become_equal_and_then_all_is_quiet(void **state)
{
    (void)state;
    put(1, "only here", 1);
    put(2, "only there", 1);
    put(1, "newer here", 2);
    put(2, "newer here", 1);
    put(3, "newer here", 1);
    ticks(5);
    assert_equal_copies();
    assert_int_equal(tree_key_count(&world.cores[3], 0) + tree_key_count(&world.cores[3], 1), 3);
    ticks(1);
    assert_int_equal(world.sent, 0);
}

static void test_a_member_that_comes_back_is_compared_with_at_once(void **state)
{
    (void)state;
    world.down[3] = true;
    put(1, "k", 1);
    put(2, "k", 1);
    ticks(5);
    assert_int_equal(disks[3].spaces[TOYSTORE_RECORDS].count, 0);
    world.down[3] = false;
    entropy_on_member(&world.cores[1], 3);
    world_run();
    assert_int_equal(disks[3].spaces[TOYSTORE_RECORDS].count, 1);
}

/* What comes between two comparisons is not taken for known by all. */
static void test_a_root_is_known_to_be_equal_to_the_last_peers_alone(void **state)
{
    (void)state;
    for (node_id id = 1; id <= 3; id++)
        put(id, "k", 1);
    ticks(4);
    put(1, "new", 1);
    put(3, "new", 1);
    entropy_on_member(&world.cores[1], 3);
    entropy_on_member(&world.cores[3], 1);
    world_run();
    assert_int_equal(disks[2].spaces[TOYSTORE_RECORDS].count, 1);
    ticks(4);
    assert_int_equal(disks[2].spaces[TOYSTORE_RECORDS].count, 2);
}

static void promise(node_id at, uint64_t counter)
{
    world.partitions[at][view_partition_of(&world.cores[at], slice_str("k"))].promised =
        (struct ballot){{1, 0}, counter, 2, 0};
}

static void test_what_a_promise_refuses_is_settled_at_the_second_look(void **state)
{
    (void)state;
    put(1, "k", 1);
    put(2, "k", 1);
    promise(3, 9);
    ticks(1);
    assert_int_equal(settles, 0);
    ticks(3);
    assert_true(settles > 0);
}

static void test_what_the_other_has_not_held_yet_is_settled(void **state)
{
    (void)state;
    world.unheld = 1;
    put(1, "k", 1);
    ticks(4);
    assert_true(settles > 0);
    assert_int_equal(disks[2].spaces[TOYSTORE_RECORDS].count, 0);
    world.unheld = 0;
    ticks(4);
    assert_equal_copies();
}

static void test_what_is_known_to_be_chosen_goes_below_the_promise(void **state)
{
    (void)state;
    put(1, "k", 1);
    put(2, "k", 1);
    promise(3, 9);
    chosen = true;
    world.partitions[3][0].mute = world.partitions[3][1].mute = false;
    ticks(3);
    assert_equal_copies();
}

static void test_a_mute_owner_neither_compares_nor_is_compared_with(void **state)
{
    (void)state;
    for (uint32_t p = 0; p < PARTITIONS; p++)
        world.partitions[3][p].mute = true;
    put(1, "k", 1);
    ticks(4);
    assert_int_equal(disks[2].spaces[TOYSTORE_RECORDS].count, 1);
    assert_int_equal(disks[3].spaces[TOYSTORE_RECORDS].count, 0);
}

static void test_the_scrub_reads_everything_in_turn(void **state)
{
    (void)state;
    char key[16];
    for (unsigned i = 0; i < 3 * SCRUB_TICK_KEYS; i++) {
        snprintf(key, sizeof key, "k%u", i);
        put(1, key, 1);
    }
    struct blob *stored = disk_find(&disks[1], TOYSTORE_RECORDS, slice_str("k50"));
    stored->data[stored->size / 2] ^= 1;
    ticks(SCRUB_REST_TICKS + 4);
    assert_int_equal(world.damages > 0, 1);
}

static void test_a_pass_that_was_asked_for_does_not_wait_for_ticks(void **state)
{
    (void)state;
    char key[16];
    ticks(2); /* into the rest between two passes */
    for (unsigned i = 0; i < SCRUB_SAVE_SCANS * SCRUB_TICK_KEYS; i++) {
        snprintf(key, sizeof key, "k%u", i);
        put(1, key, 1);
    }
    uint64_t before = world.cores[1].entropy->scrub.keys_read;
    scrub_begin(&world.cores[1]);
    assert_true(world.cores[1].entropy->scrub.asked);
    ticks(2);
    assert_false(world.cores[1].entropy->scrub.asked);
    assert_true(world.cores[1].entropy->scrub.keys_read >=
                before + SCRUB_SAVE_SCANS * SCRUB_TICK_KEYS);
    assert_non_null(disk_find(&disks[1], TOYSTORE_META, slice_str(META_SCRUB)));
}

/* A pass goes on where the last process has kept that it was. */
static void test_a_pass_goes_on_after_a_restart(void **state)
{
    (void)state;
    enum { KEYS = (SCRUB_SAVE_SCANS + 8) * SCRUB_TICK_KEYS };
    char key[16];
    struct core *core = &world.cores[1];
    struct scrub *scrub = &core->entropy->scrub;
    static const struct hash128 none;
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "k%u", i);
        put(1, key, 1);
    }
    uint64_t passes = scrub->passes;
    scrub->rest = 0; /* behind the pass over nothing */
    scrub->unsaved = 0;
    do
        ticks(1);
    while (scrub->unsaved != 0);
    const struct blob *kept = disk_find(&disks[1], TOYSTORE_META, slice_str(META_SCRUB));
    assert_non_null(kept);
    assert_int_equal(scrub->passes, passes);
    assert_memory_not_equal(&scrub->after, &none, sizeof none);
    struct hash128 at = scrub->after;
    scrub->after = (struct hash128){{0}}; /* what a new process knows */
    scrub_restore(core, blob_slice(kept));
    assert_memory_equal(&scrub->after, &at, sizeof at);
    uint64_t before = scrub->keys_read;
    for (unsigned i = 0; i < 2 * SCRUB_SAVE_SCANS && scrub->passes == passes; i++)
        ticks(1);
    assert_int_equal(scrub->passes, passes + 1);
    assert_int_equal(scrub->keys_read - before, KEYS - SCRUB_SAVE_SCANS * SCRUB_TICK_KEYS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(copies_become_equal_and_then_all_is_quiet),
        TEST(a_member_that_comes_back_is_compared_with_at_once),
        TEST(a_root_is_known_to_be_equal_to_the_last_peers_alone),
        TEST(what_a_promise_refuses_is_settled_at_the_second_look),
        TEST(what_the_other_has_not_held_yet_is_settled),
        TEST(what_is_known_to_be_chosen_goes_below_the_promise),
        TEST(a_mute_owner_neither_compares_nor_is_compared_with),
        TEST(the_scrub_reads_everything_in_turn),
        TEST(a_pass_that_was_asked_for_does_not_wait_for_ticks),
        TEST(a_pass_goes_on_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
