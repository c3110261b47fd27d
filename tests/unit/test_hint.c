/* Hints: kept until the owner has acknowledged what it missed, delivered a few at a time, and never
 * dropped before (PROTOCOL 6). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define TEST_HINTS
#include "replica_double.h"

#include "core/coord/coord.h"
#include "core/coord/lead.h"
#include "core/replica/hint_priv.h"

static unsigned settles;
static struct settle_ask {
    settle_done_fn *done;
    uint64_t handle, index;
} settle_asked;

bool rpc_reachable(const struct core *core, node_id id)
{
    (void)core;
    return !world.down[id];
}

/* Everybody is a member. */
const struct layout *view_newest(const struct core *core)
{
    (void)core;
    return NULL;
}

const struct layout *view_oldest(const struct core *core)
{
    (void)core;
    return NULL;
}

uint32_t view_layout_of_key(struct slice key)
{
    (void)key;
    return 0;
}

bool lead_knows_chosen(const struct core *core, uint32_t partition, struct slice key,
                       const struct ballot *ballot)
{
    (void)core;
    (void)partition;
    (void)key;
    (void)ballot;
    return false;
}

void coord_settle(struct core *core, struct slice key, settle_done_fn *done, uint64_t handle,
                  uint64_t index)
{
    (void)core;
    (void)key;
    settles++;
    settle_asked = (struct settle_ask){done, handle, index};
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

static void sloppy_put(node_id fallback, node_id owner, const char *key)
{
    struct sloppy sloppy = {.version = {.op = {{{9}}, 1}, .kind = TOYSTORE_FILE}};
    sloppy.version.checksum = version_checksum(&sloppy.version);
    struct record record = {.sloppy = &sloppy, .sloppy_count = 1};
    struct buf out = {0};
    record_encode(&out, &record);
    struct blob *params = RPC_PARAMS(hint_put_request, {.view = world.view,
                                                        .owner = owner,
                                                        .key = slice_str(key),
                                                        .record = buf_slice(&out),
                                                        .op = {{{{9}}, 1}, 1, {1, 0}},
                                                        .first = true});
    buf_free(&out);
    assert_int_equal(world_ask(1, fallback, METHOD_HINT_PUT, params).status, TOYSTORE_OK);
    world.sent = world.delivered = 0;
}

static void hint(node_id at, node_id owner, const char *key)
{
    struct batch batch = {0};
    hint_add(&world.cores[at], &batch, owner, slice_str(key));
    disk_commit(&world.cores[at], &batch, false, (struct resume){0});
    world_run();
}

static size_t stored(node_id id, enum toystore_space space)
{
    return disks[id].spaces[space].count;
}

/* One round at every node. */
static void next_round(void)
{
    world.sent = world.delivered = 0;
    for (node_id id = 1; id <= CORES; id++)
        world.cores[id].now_us += 1000 * 1000;
    world_run();
}

static int setup(void **state)
{
    (void)state;
    world_open(3);
    settles = 0;
    for (node_id id = 1; id <= CORES; id++) {
        world.cores[id].config.handoff_interval_ms = 1000;
        world.cores[id].hints = hints_new(&world.cores[id]);
        hints_start(&world.cores[id]);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_run();
    world_stop_timers();
    for (node_id id = 1; id <= CORES; id++)
        hints_free(world.cores[id].hints);
    world_close();
    return 0;
}

static void test_set_holds_what_was_put_in(void **state)
{
    (void)state;
    struct hint_set set = {0};
    for (uint64_t i = 1; i <= 1000; i++)
        hint_set_add(&set, i * i * 64);
    for (uint64_t i = 1; i <= 1000; i += 2)
        hint_set_remove(&set, i * i * 64);
    assert_int_equal(set.count, 500);
    for (uint64_t i = 1; i <= 1000; i++)
        assert_int_equal(hint_set_has(&set, i * i * 64), i % 2 == 0);
    hint_set_free(&set);
}

static void test_an_owner_delivers_its_current_record(void **state)
{
    (void)state;
    world.down[3] = true;
    put(1, "k", 1);
    hint(1, 3, "k");
    put(1, "k", 2); /* written again meanwhile: one hint, the newest record */
    hint(1, 3, "k");
    next_round();
    assert_int_equal(hints_count(&world.cores[1], 3), 1);
    world.down[3] = false;
    next_round();
    assert_int_equal(hints_count(&world.cores[1], 0), 0);
    assert_int_equal(stored(1, TOYSTORE_HINTS), 0);
    struct entry theirs, ours;
    assert_int_equal(
        entry_decode(blob_slice(disk_find(&disks[3], TOYSTORE_RECORDS, slice_str("k"))), &theirs),
        0);
    entry_decode(blob_slice(disk_find(&disks[1], TOYSTORE_RECORDS, slice_str("k"))), &ours);
    assert_true(slice_equal(theirs.record, ours.record));
}

static void test_news_of_the_member_delivers_at_once(void **state)
{
    (void)state;
    put(1, "k", 1);
    hint(1, 3, "k");
    hints_on_member(&world.cores[1], 3);
    world_run();
    assert_int_equal(stored(1, TOYSTORE_HINTS), 0);
    assert_int_equal(stored(3, TOYSTORE_RECORDS), 1);
}

static void test_many_go_a_few_at_a_time(void **state)
{
    (void)state;
    char key[16];
    for (unsigned i = 0; i < 200; i++) {
        snprintf(key, sizeof key, "k%u", i);
        put(1, key, i + 1);
        hint(1, 3, key);
    }
    hints_on_member(&world.cores[1], 3);
    unsigned most = 0;
    while (world_step()) {
        if (hint_owner_find(world.cores[1].hints, 3)->open > most)
            most = hint_owner_find(world.cores[1].hints, 3)->open;
    }
    assert_int_equal(most, HINT_WINDOW);
    assert_int_equal(stored(1, TOYSTORE_HINTS), 0);
    assert_int_equal(stored(3, TOYSTORE_RECORDS), 200);
}

static void test_busy_ends_the_pass(void **state)
{
    (void)state;
    char key[16];
    for (unsigned i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "k%u", i);
        put(1, key, i + 1);
        hint(1, 3, key);
    }
    world.busy[3] = true;
    next_round();
    assert_in_range(world.sent, 2, 2 * HINT_WINDOW);
    assert_int_equal(stored(1, TOYSTORE_HINTS), 50);
    world.busy[3] = false;
    next_round();
    assert_int_equal(stored(1, TOYSTORE_HINTS), 0);
}

static void test_a_hint_made_again_on_the_way_stays(void **state)
{
    (void)state;
    put(1, "k", 1);
    hint(1, 3, "k");
    hints_on_member(&world.cores[1], 3);
    while (world.sent == 0)
        world_step(); /* the record was read and is on its way */
    struct batch batch = {0};
    hint_add(&world.cores[1], &batch, 3, slice_str("k"));
    disk_commit(&world.cores[1], &batch, false, (struct resume){0});
    world_run();
    assert_int_equal(stored(1, TOYSTORE_HINTS), 1);
    next_round();
    assert_int_equal(stored(1, TOYSTORE_HINTS), 0);
}

static void test_what_is_refused_is_settled_and_sent_again(void **state)
{
    (void)state;
    put(1, "k", 1);
    put(3, "k", 1);
    struct prepare_request prepare = {
        .view = world.view, .key = slice_str("k"), .ballot = {{1, 0}, 9, 2, 0}};
    world_ask(2, 3, METHOD_PREPARE, rpc_pack_prepare_request(&prepare));
    put(1, "k", 2);
    hint(1, 3, "k");
    next_round();
    assert_int_equal(settles, 1);
    assert_int_equal(stored(1, TOYSTORE_HINTS), 1);
    put(1, "k", 10); /* what the round would do */
    settle_asked.done(&world.cores[1], settle_asked.handle, settle_asked.index, TOYSTORE_OK);
    next_round();
    assert_int_equal(stored(1, TOYSTORE_HINTS), 0);
}

static void test_a_fallback_gives_its_sloppy_put_and_keeps_nothing(void **state)
{
    (void)state;
    world.owners = 2;
    world.down[2] = true;
    sloppy_put(3, 2, "k");
    assert_int_equal(stored(3, TOYSTORE_HINTS), 1);
    next_round();
    assert_int_equal(stored(3, TOYSTORE_RECORDS), 1);
    world.down[2] = false;
    next_round();
    assert_int_equal(stored(2, TOYSTORE_RECORDS), 1);
    for (int space = TOYSTORE_RECORDS; space <= TOYSTORE_HINTS; space++)
        assert_int_equal(stored(3, (enum toystore_space)space), 0);
    assert_true(disks[2].durables > 0); /* the copy that went was perhaps a durable one */
}

static void test_an_owners_hint_dies_with_the_ownership(void **state)
{
    (void)state;
    put(1, "k", 1);
    hint(1, 3, "k");
    world.down[3] = true;
    world.owners = 2;
    hints_view_changed(&world.cores[1]);
    world_run();
    assert_int_equal(stored(1, TOYSTORE_HINTS), 0);
    assert_int_equal(stored(1, TOYSTORE_RECORDS), 1);
}

static void test_a_fallbacks_sloppy_put_moves_on_to_the_new_owners(void **state)
{
    (void)state;
    world.owners = 1;
    sloppy_put(3, 2, "k"); /* node 2 is no owner: it was when this was hinted */
    world.down[2] = true;
    hints_view_changed(&world.cores[3]);
    world_run();
    next_round();
    assert_int_equal(stored(1, TOYSTORE_RECORDS), 1);
    assert_int_equal(stored(2, TOYSTORE_RECORDS), 0);
    assert_int_equal(hints_count(&world.cores[3], 0), 0);
    assert_int_equal(stored(3, TOYSTORE_RECORDS), 0);
}

static void test_restored_counts(void **state)
{
    (void)state;
    world.down[3] = true;
    hint(1, 3, "a");
    hint(1, 3, "b");
    hint(1, 2, "a");
    heap_remove(&world.cores[1].timers, &world.cores[1].hints->round.node);
    hints_free(world.cores[1].hints);
    world.cores[1].hints = hints_new(&world.cores[1]);
    hints_restore(&world.cores[1]);
    world_run();
    assert_int_equal(hints_count(&world.cores[1], 3), 2);
    assert_int_equal(hints_count(&world.cores[1], 0), 3);
    hint_clear(&world.cores[1], 3, slice_str("a"));
    world_run();
    assert_int_equal(hints_count(&world.cores[1], 3), 1);
    assert_int_equal(stored(1, TOYSTORE_HINTS), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_holds_what_was_put_in),
        TEST(an_owner_delivers_its_current_record),
        TEST(news_of_the_member_delivers_at_once),
        TEST(many_go_a_few_at_a_time),
        TEST(busy_ends_the_pass),
        TEST(a_hint_made_again_on_the_way_stays),
        TEST(what_is_refused_is_settled_and_sent_again),
        TEST(a_fallback_gives_its_sloppy_put_and_keeps_nothing),
        TEST(an_owners_hint_dies_with_the_ownership),
        TEST(a_fallbacks_sloppy_put_moves_on_to_the_new_owners),
        TEST(restored_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
