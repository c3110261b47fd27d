/* Hash trees are always equal to a rebuild from the stored tokens, and sync finds what differs
 * between two copies, in both directions, however many keys there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "replica_double.h"

static struct {
    unsigned differ, theirs_only, ours_only, done;
    enum toystore_status status;
    uint64_t open[SYNC_OPEN_MAX];
    bool later; /* sync_next is left to the test */
    unsigned waiting;
} seen;

static struct blob *record_of(uint64_t counter)
{
    struct record record = {.has_register = true};
    record.reg.ballot = (struct ballot){{1, 0}, counter, 1, 0};
    record.reg.version.kind = TOYSTORE_FILE;
    record.reg.version.op = (struct op_id){{{1}}, counter};
    record.reg.version.checksum = version_checksum(&record.reg.version);
    struct buf out = {0};
    record_encode(&out, &record);
    return buf_take(&out);
}

static void put(node_id to, unsigned number, uint64_t counter)
{
    char key[32];
    snprintf(key, sizeof key, "dir/%u", number);
    struct blob *record = record_of(counter);
    struct blob *params = RPC_PARAMS(
        put_request, {.view = world.view, .key = slice_str(key), .record = blob_slice(record)});
    blob_unref(&record);
    assert_int_equal(world_ask(to, to, METHOD_PUT, params).status, TOYSTORE_OK);
    world.sent = world.delivered = 0;
}

static void differ(struct core *core, uint64_t sync, uint64_t handle, struct slice key,
                   struct slice theirs, bool settled)
{
    (void)handle;
    (void)settled;
    assert_true(key.size > 4);
    seen.differ++;
    seen.theirs_only += theirs.size > 0;
    seen.ours_only += theirs.size == 0;
    if (seen.later)
        seen.waiting++;
    else
        sync_next(core, sync);
}

static void done(struct core *core, uint64_t handle, node_id from, enum toystore_status status)
{
    (void)core;
    assert_int_equal(handle, 77);
    assert_int_equal(from, 2);
    seen.done++;
    seen.status = status;
}

static uint64_t compare(uint32_t partition, uint32_t purpose)
{
    world.sent = world.delivered = 0;
    world.bytes = 0;
    return sync_start(&world.cores[1], partition, 2, purpose, differ, done, 77);
}

static int setup(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof seen);
    world_open(3);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_close();
    return 0;
}

static void test_tree_equals_a_rebuild(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200; i++)
        put(1, i % 120, i + 1);
    struct core rebuilt = {.id = 1, .trees = trees_new()};
    trees_size(&rebuilt, PARTITIONS);
    for (size_t i = 0; i < disks[1].spaces[TOYSTORE_TOKENS].count; i++) {
        struct disk_pair *pair = &disks[1].spaces[TOYSTORE_TOKENS].pairs[i];
        tree_restore(&rebuilt, blob_slice(pair->key), blob_slice(pair->value));
    }
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        struct hash128 a = tree_root(&rebuilt, p), b = tree_root(&world.cores[1], p);
        assert_memory_equal(&a, &b, sizeof a);
        for (uint32_t i = 0; i < TREE_BUCKETS; i++) {
            a = tree_bucket(&rebuilt, p, i);
            b = tree_bucket(&world.cores[1], p, i);
            assert_memory_equal(&a, &b, sizeof a);
        }
    }
    assert_int_equal(tree_key_count(&rebuilt, 0) + tree_key_count(&rebuilt, 1), 120);
    trees_free(rebuilt.trees);
}

static void test_a_write_that_fails_leaves_the_tree(void **state)
{
    (void)state;
    put(1, 1, 1);
    uint32_t p = view_partition_of(&world.cores[1], slice_str("dir/1"));
    struct hash128 before = tree_root(&world.cores[1], p);
    struct blob *record = record_of(2);
    disks[1].fail = -ENOSPC;
    struct replica_reply reply = world_ask(
        1, 1, METHOD_PUT,
        RPC_PARAMS(put_request,
                   {.view = world.view, .key = slice_str("dir/1"), .record = blob_slice(record)}));
    blob_unref(&record);
    struct hash128 after = tree_root(&world.cores[1], p);
    assert_int_equal(reply.status, TOYSTORE_NO_SPACE);
    assert_memory_equal(&before, &after, sizeof before);
}

static void test_equal_copies_need_one_question(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        put(1, i, 1);
        put(2, i, 1);
    }
    compare(0, TREE_COMPARE);
    world_run();
    assert_int_equal(seen.done, 1);
    assert_int_equal(seen.status, TOYSTORE_OK);
    assert_int_equal(seen.differ, 0);
    assert_int_equal(world.sent, 2);
    assert_true(world.bytes < 200); /* question and answer: no digest but the root's */
}

static void test_who_knows_no_compare_is_asked_for_the_buckets(void **state)
{
    (void)state;
    world.older[2] = true;
    put(1, 1, 1);
    put(2, 1, 1);
    put(2, 2, 1);
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        compare(p, TREE_COMPARE);
        world_run();
        assert_int_equal(seen.done, p + 1);
        assert_int_equal(seen.status, TOYSTORE_OK);
    }
    assert_int_equal(seen.theirs_only, 1);
    assert_int_equal(seen.differ, 1);
}

static void test_differences_of_both_sides_are_found(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        put(1, i, 1);
        put(2, i, i % 10 == 0 ? 2 : 1);
    }
    for (unsigned i = 100; i < 107; i++)
        put(1, i, 1);
    for (unsigned i = 200; i < 213; i++)
        put(2, i, 1);
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        compare(p, TREE_COMPARE);
        world_run();
    }
    assert_int_equal(seen.done, 2);
    assert_int_equal(seen.ours_only, 7);
    assert_int_equal(seen.theirs_only, 6 + 13);
}

static void test_many_keys_come_in_pages_and_a_few_at_a_time(void **state)
{
    (void)state;
    /* one bucket of a partition: keys are chosen so that they fall in it */
    unsigned found = 0;
    for (unsigned i = 0; found < 1300; i++) {
        char key[32];
        snprintf(key, sizeof key, "dir/%u", i);
        struct hash128 token = key_token(slice_str(key));
        if (partition_of(&token, PARTITIONS * TREE_BUCKETS) != 5)
            continue;
        found++;
        put(2, i, 1);
        if (found % 3 == 0)
            put(1, i, found % 2 ? 1 : 2);
    }
    seen.later = true;
    uint64_t sync = compare(0, TREE_TAKE);
    world_run();
    while (seen.done == 0) {
        assert_in_range(seen.waiting, 1, SYNC_OPEN_MAX);
        seen.waiting--;
        sync_next(&world.cores[1], sync);
        world_run();
    }
    assert_int_equal(seen.status, TOYSTORE_OK);
    assert_int_equal(seen.theirs_only, 1300 - 433 + 216);
    assert_int_equal(seen.ours_only, 0);
}

static void test_a_mute_giver_gives_only_to_who_takes(void **state)
{
    (void)state;
    put(2, 1, 1);
    uint32_t p = view_partition_of(&world.cores[2], slice_str("dir/1"));
    world.partitions[2][p].mute = true;
    compare(p, TREE_COMPARE);
    world_run();
    assert_int_equal(seen.status, TOYSTORE_MUTE);
    assert_int_equal(seen.differ, 0);
    compare(p, TREE_TAKE);
    world_run();
    assert_int_equal(seen.status, TOYSTORE_MUTE);
    assert_int_equal(seen.differ, 1);
}

static void test_an_old_view_is_stale_and_then_known(void **state)
{
    (void)state;
    world.partitions[2][0].epoch = 3;
    compare(0, TREE_TAKE);
    world_run();
    assert_int_equal(seen.status, TOYSTORE_STALE);
    assert_int_equal(world.partitions[1][0].epoch, 3);
}

static void test_a_damaged_copy_differs_and_is_taken(void **state)
{
    (void)state;
    put(1, 1, 1);
    put(2, 1, 1);
    struct blob *stored = disk_find(&disks[1], TOYSTORE_RECORDS, slice_str("dir/1"));
    stored->data[stored->size / 2] ^= 1;
    struct replica_reply reply = world_ask(
        2, 1, METHOD_GET, RPC_PARAMS(get_request, {.view = world.view, .key = slice_str("dir/1")}));
    assert_int_equal(reply.status, TOYSTORE_UNKNOWN);
    assert_int_equal(world.damages, 1);
    compare(view_partition_of(&world.cores[1], slice_str("dir/1")), TREE_TAKE);
    world_run();
    assert_int_equal(seen.theirs_only, 1);
    assert_int_equal(seen.ours_only, 0);
}

static void test_a_damaged_promise_differs_from_nothing(void **state)
{
    (void)state;
    struct prepare_request prepare = {
        .view = world.view, .key = slice_str("dir/1"), .ballot = {{1, 0}, 9, 2, 0}};
    world_ask(2, 1, METHOD_PREPARE, rpc_pack_prepare_request(&prepare));
    struct blob *stored = disk_find(&disks[1], TOYSTORE_RECORDS, slice_str("dir/1"));
    stored->data[stored->size / 2] ^= 1;
    world_ask(2, 1, METHOD_GET,
              RPC_PARAMS(get_request, {.view = world.view, .key = slice_str("dir/1")}));
    compare(view_partition_of(&world.cores[1], slice_str("dir/1")), TREE_TAKE);
    world_run();
    assert_int_equal(seen.ours_only, 1);
}

static void test_cancel_in_the_middle(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 40; i++)
        put(i % 2 ? 1 : 2, i, 1);
    seen.later = true;
    uint64_t sync = compare(0, TREE_COMPARE);
    world_run();
    assert_true(seen.waiting > 0);
    sync_cancel(&world.cores[1], sync);
    sync_next(&world.cores[1], sync);
    world_run();
    assert_int_equal(seen.done, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tree_equals_a_rebuild),
        TEST(a_write_that_fails_leaves_the_tree),
        TEST(equal_copies_need_one_question),
        TEST(who_knows_no_compare_is_asked_for_the_buckets),
        TEST(differences_of_both_sides_are_found),
        TEST(many_keys_come_in_pages_and_a_few_at_a_time),
        TEST(a_mute_giver_gives_only_to_who_takes),
        TEST(an_old_view_is_stale_and_then_known),
        TEST(a_damaged_copy_differs_and_is_taken),
        TEST(a_damaged_promise_differs_from_nothing),
        TEST(cancel_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
