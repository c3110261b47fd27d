/* A replica as its peers see it: requests in, answers out, and what is then on the disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "replica_double.h"

#include "rules/listing.h"

#define KEY slice_str("dir/name")

static struct ballot ballot(uint64_t counter)
{
    return (struct ballot){{1, 0}, counter, 1, 0};
}

static struct blob *record_of(uint64_t counter, uint8_t kind)
{
    struct record record = {.has_register = true};
    record.reg.ballot = ballot(counter);
    record.reg.version.kind = kind;
    record.reg.version.op = (struct op_id){{{1}}, counter + 1};
    record.reg.version.value = slice_str("value");
    record.reg.version.checksum = version_checksum(&record.reg.version);
    struct buf out = {0};
    record_encode(&out, &record);
    return buf_take(&out);
}

static struct blob *sloppy_of(uint8_t session)
{
    struct sloppy sloppy = {.version = {.op = {{{session}}, 1}, .kind = TOYSTORE_FILE}};
    sloppy.version.checksum = version_checksum(&sloppy.version);
    struct record record = {.sloppy = &sloppy, .sloppy_count = 1};
    struct buf out = {0};
    record_encode(&out, &record);
    return buf_take(&out);
}

static struct blob *chunk_of(uint64_t sequence)
{
    struct record record = {.has_register = true};
    record.reg.version.checksum = version_checksum(&record.reg.version);
    record.reg.version.op = (struct op_id){{{7}}, sequence};
    struct buf out = {0};
    record_encode(&out, &record);
    return buf_take(&out);
}

static struct replica_reply put_key(struct slice key, struct blob *record, bool durable)
{
    struct replica_reply reply = world_ask(
        1, 2, METHOD_PUT,
        RPC_PARAMS(
            put_request,
            {.view = world.view, .key = key, .record = blob_slice(record), .durable = durable}));
    blob_unref(&record);
    return reply;
}

static struct replica_reply put(uint64_t counter)
{
    return put_key(KEY, record_of(counter, TOYSTORE_FILE), false);
}

static struct replica_reply get(void)
{
    return world_ask(1, 2, METHOD_GET, RPC_PARAMS(get_request, {.view = world.view, .key = KEY}));
}

static struct replica_reply prepare(uint64_t counter)
{
    return world_ask(
        1, 2, METHOD_PREPARE,
        RPC_PARAMS(prepare_request, {.view = world.view, .key = KEY, .ballot = ballot(counter)}));
}

/* Of one record; returns its result. */
static uint32_t transfer_from(node_id from, struct slice key, struct blob *record, bool settled)
{
    struct buf items = {0};
    transfer_item_encode(&items, &(struct transfer_item){key, blob_slice(record), settled});
    blob_unref(&record);
    struct blob *params =
        RPC_PARAMS(transfer_request, {.view = world.view,
                                      .partition = view_partition_of(&world.cores[2], key),
                                      .reason = TRANSFER_REPAIR,
                                      .records = {1, buf_slice(&items)}});
    buf_free(&items);
    world_ask(from, 2, METHOD_TRANSFER, params);
    struct transfer_reply reply;
    uint32_t result = 0;
    if (world.last.status != TOYSTORE_OK)
        return world.last.status;
    assert_true(transfer_reply_decode(world.last.result, &reply));
    struct cursor cursor = cursor_of(reply.results.items);
    if (reply.status != TOYSTORE_OK)
        return reply.status;
    assert_true(wire_get_U32(&cursor, &result));
    return result;
}

static struct record decoded(struct replica_reply reply, struct arena *arena)
{
    struct record record;
    assert_int_equal(record_decode(arena, reply.record, &record), 0);
    return record;
}

static struct partition *of_key(void)
{
    return &world.partitions[2][view_partition_of(&world.cores[2], KEY)];
}

static int setup(void **state)
{
    (void)state;
    world_open(3);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_close();
    return 0;
}

static void test_put_then_get(void **state)
{
    (void)state;
    struct arena arena = {0};
    assert_int_equal(get().status, TOYSTORE_OK);
    assert_int_equal(get().record.size, 0);
    assert_int_equal(put(5).status, TOYSTORE_OK);
    struct replica_reply reply = get();
    struct record record = decoded(reply, &arena);
    struct ballot wanted = ballot(5);
    assert_int_equal(ballot_compare(&record.reg.ballot, &wanted), 0);
    assert_int_equal(ballot_compare(&reply.promised, &wanted), 0);
    assert_false(reply.settled);
    arena_free(&arena);
}

static void test_a_put_writes_record_token_and_listing_together(void **state)
{
    (void)state;
    put(5);
    assert_int_equal(disks[2].commits, 1);
    assert_int_equal(disks[2].writes, 3);
    struct disk_pair *pair = &disks[2].spaces[TOYSTORE_LISTING].pairs[0];
    struct listing listing;
    assert_true(listing_decode(blob_slice(pair->key), blob_slice(pair->value), &listing));
    assert_true(slice_equal(listing.name, slice_str("name")));
    assert_int_equal(listing.cookie, key_cookie(slice_str("name")));
    assert_int_equal(listing.kind, TOYSTORE_FILE);
    put_key(KEY, record_of(6, TOYSTORE_TOMBSTONE), false);
    pair = &disks[2].spaces[TOYSTORE_LISTING].pairs[0];
    assert_true(listing_decode(blob_slice(pair->key), blob_slice(pair->value), &listing));
    assert_int_equal(listing.kind, TOYSTORE_TOMBSTONE);
    assert_int_equal(disks[2].spaces[TOYSTORE_LISTING].count, 1);
}

static void test_a_promise_is_kept_and_rewrites_the_record_alone(void **state)
{
    (void)state;
    struct arena arena = {0};
    put(5);
    size_t writes = disks[2].writes;
    struct replica_reply reply = prepare(9);
    assert_int_equal(reply.status, TOYSTORE_OK);
    assert_true(decoded(reply, &arena).has_register);
    assert_int_equal(disks[2].writes, writes + 1);
    reply = put(7);
    assert_int_equal(reply.status, TOYSTORE_NACK);
    assert_int_equal(reply.promised.counter, 9);
    assert_int_equal(prepare(9).status, TOYSTORE_NACK);
    arena_free(&arena);
}

static void test_the_partitions_promise_counts_for_every_key(void **state)
{
    (void)state;
    of_key()->promised = ballot(20);
    struct replica_reply reply = prepare(12);
    assert_int_equal(reply.status, TOYSTORE_NACK);
    assert_int_equal(reply.promised.counter, 20);
    assert_int_equal(put(19).status, TOYSTORE_NACK);
    assert_int_equal(put(20).status, TOYSTORE_OK);
}

static void test_view_and_mute_come_first(void **state)
{
    (void)state;
    of_key()->epoch = 1;
    assert_int_equal(put(5).status, TOYSTORE_STALE);
    of_key()->epoch = 0;
    of_key()->mute = true;
    assert_int_equal(put(5).status, TOYSTORE_MUTE);
    assert_int_equal(get().status, TOYSTORE_MUTE);
    assert_int_equal(transfer_from(1, KEY, record_of(5, TOYSTORE_FILE), false), TOYSTORE_MUTE);
    assert_int_equal(disks[2].commits, 0);
}

static void test_an_era_that_changes_while_a_request_waits_is_seen(void **state)
{
    (void)state;
    struct blob *record = record_of(5, TOYSTORE_FILE);
    struct core *core = &world.cores[2];
    rpc_call(
        &world.cores[1], 2, METHOD_PUT,
        RPC_PARAMS(put_request, {.view = world.view, .key = KEY, .record = blob_slice(record)}), 0,
        world_answered, 0, 0);
    blob_unref(&record);
    deliver(&world.messages[++world.delivered]); /* its load is under way now */
    of_key()->epoch = 1;
    while (disks_step(core)) {
    }
    world_run();
    struct replica_reply reply;
    assert_true(replica_reply_decode(world.last.result, &reply));
    assert_int_equal(reply.status, TOYSTORE_STALE);
    assert_int_equal(disks[2].commits, 0);
}

static void test_a_ballot_of_another_era_is_not_gone_on_with(void **state)
{
    (void)state;
    world.view.epoch = 2;
    of_key()->epoch = 2; /* ballot() is of epoch 0 */
    assert_int_equal(put(5).status, TOYSTORE_STALE);
    assert_int_equal(prepare(5).status, TOYSTORE_STALE);
}

static void test_one_operation_at_a_time(void **state)
{
    (void)state;
    for (uint64_t counter = 1; counter <= 20; counter++) {
        struct blob *record = record_of(counter, TOYSTORE_FILE);
        rpc_call(
            &world.cores[1], 2, METHOD_PUT,
            RPC_PARAMS(put_request, {.view = world.view, .key = KEY, .record = blob_slice(record)}),
            0, world_answered, 0, 0);
        blob_unref(&record);
        deliver(&world.messages[++world.delivered]);
        assert_int_equal(disks[2].count, 1);
    }
    assert_int_equal(world.cores[2].replica->keys.count, 1);
    world_run();
    struct arena arena = {0};
    assert_int_equal(decoded(get(), &arena).reg.ballot.counter, 20);
    assert_int_equal(world.cores[2].replica->keys.count, 0);
    arena_free(&arena);
}

static void test_a_full_queue_says_busy(void **state)
{
    (void)state;
    for (unsigned i = 0; i < KEY_QUEUE_MAX; i++) {
        world.sent = world.delivered = 0;
        rpc_call(&world.cores[1], 2, METHOD_SETTLED,
                 RPC_PARAMS(settled_request, {.view = world.view, .key = KEY}), 0, NULL, 0, 0);
        deliver(&world.messages[++world.delivered]);
    }
    world.sent = world.delivered = 0;
    rpc_call(&world.cores[1], 2, METHOD_GET,
             RPC_PARAMS(get_request, {.view = world.view, .key = KEY}), 0, world_answered, 0, 0);
    deliver(&world.messages[++world.delivered]);
    struct timer *timer = container_of(heap_first(&world.cores[2].timers), struct timer, node);
    heap_remove(&world.cores[2].timers, &timer->node);
    timer->fire(&world.cores[2], timer);
    deliver(&world.messages[++world.delivered]);
    assert_int_equal(world.last.status, TOYSTORE_BUSY);
    blob_unref(&world.last_frame);
    replica_free(world.cores[2].replica); /* what still waits goes with it */
    world.cores[2].replica = NULL;
    for (struct disk_double *disk = &disks[2]; disk->count > 0; disk->count--, disk->first++)
        blob_unref(&disk->queue[disk->first].key);
}

static void test_a_full_disk_and_a_broken_one_are_told(void **state)
{
    (void)state;
    disks[2].fail = -ENOSPC;
    assert_int_equal(put(5).status, TOYSTORE_NO_SPACE);
    disks[2].fail = -EIO;
    assert_int_equal(prepare(6).status, TOYSTORE_IO);
    assert_int_equal(get().record.size, 0);
}

static void test_durable_only_where_asked_and_for_layouts(void **state)
{
    (void)state;
    put(5);
    assert_int_equal(disks[2].durables, 0);
    put_key(KEY, record_of(6, TOYSTORE_FILE), true);
    assert_int_equal(disks[2].durables, 1);
    put_key(KEY, record_of(6, TOYSTORE_FILE), true); /* there already: still made durable */
    assert_int_equal(disks[2].durables, 2);
    put_key(slice_str(".toystore/layouts/2"), record_of(5, TOYSTORE_INTERNAL), false);
    assert_int_equal(disks[2].durables, 3);
}

/* As record_of makes it; 0: none. */
static struct op_id op_of(uint64_t counter)
{
    return counter ? (struct op_id){{{1}}, counter + 1} : (struct op_id){0};
}

/* Of the key, and of another one unless that is empty. */
static enum toystore_status sync_keys(struct op_id op, struct slice other)
{
    static const struct op_id none;
    struct buf keys = {0}, ops = {0};
    wire_put_BYTES(&keys, KEY);
    wire_put_OPID(&ops, op);
    uint32_t count = other.size > 0 ? 2 : 1;
    if (count == 2) {
        wire_put_BYTES(&keys, other);
        wire_put_OPID(&ops, none);
    }
    struct sync_request request = {{count, buf_slice(&keys)}, {count, buf_slice(&ops)}};
    struct sync_reply reply;
    world_ask(1, 2, METHOD_SYNC, rpc_pack_sync_request(&request));
    assert_true(sync_reply_decode(world.last.result, &reply));
    buf_free(&keys);
    buf_free(&ops);
    return reply.status;
}

static void test_sync_makes_durable_unless_mute(void **state)
{
    (void)state;
    for (int mute = 0; mute < 2; mute++) {
        of_key()->mute = mute;
        assert_int_equal(sync_keys(op_of(0), slice_str("")), mute ? TOYSTORE_MUTE : TOYSTORE_OK);
        assert_int_equal(disks[2].durables, 1);
    }
}

static void test_sync_does_not_vouch_for_a_version_that_is_missing(void **state)
{
    (void)state;
    assert_int_equal(sync_keys(op_of(5), slice_str("")), TOYSTORE_UNKNOWN);
    put(5);
    assert_int_equal(disks[2].durables, 0);
    assert_int_equal(sync_keys(op_of(5), slice_str("")), TOYSTORE_OK);
    assert_int_equal(disks[2].durables, 1);
    assert_int_equal(sync_keys(op_of(6), slice_str("")), TOYSTORE_UNKNOWN);
    put(6); /* of the same session: stands for the earlier one */
    assert_int_equal(sync_keys(op_of(5), slice_str("")), TOYSTORE_OK);
    assert_int_equal(sync_keys(op_of(6), slice_str("")), TOYSTORE_OK);
    assert_int_equal(disks[2].durables, 3);
    assert_int_equal(sync_keys((struct op_id){{{2}}, 1}, slice_str("")), TOYSTORE_UNKNOWN);
}

static void test_sync_does_not_vouch_for_a_chunk_that_is_missing(void **state)
{
    (void)state;
    struct slice chunk = slice_str(".toystore/chunks/0011/22");
    for (int there = 0; there < 2; there++) {
        if (there)
            transfer_from(1, chunk, chunk_of(1), false);
        assert_int_equal(sync_keys(op_of(0), chunk), there ? TOYSTORE_OK : TOYSTORE_UNKNOWN);
    }
}

static void test_settled_by_message_and_by_the_second_of_two(void **state)
{
    (void)state;
    put(5);
    struct settled_request settled = {.view = world.view, .key = KEY, .ballot = ballot(5)};
    world_ask(1, 2, METHOD_SETTLED, rpc_pack_settled_request(&settled));
    assert_true(get().settled);
    put(6);
    assert_false(get().settled);
    world.owners = 2;
    put(7); /* of node 1, which has committed its own */
    assert_true(get().settled);
}

static void test_transfer_stores_and_refuses(void **state)
{
    (void)state;
    assert_int_equal(transfer_from(1, KEY, record_of(5, TOYSTORE_FILE), false), TOYSTORE_OK);
    prepare(9);
    assert_int_equal(transfer_from(1, KEY, record_of(6, TOYSTORE_FILE), false), TOYSTORE_REFUSED);
    assert_int_equal(transfer_from(1, KEY, record_of(6, TOYSTORE_FILE), true), TOYSTORE_OK);
    assert_true(get().settled);
    assert_int_equal(get().promised.counter, 9);
    assert_int_equal(transfer_from(1, KEY, blob_copy(slice_str("junk")), true), TOYSTORE_INVALID);
}

static void test_only_owners_give_registers(void **state)
{
    (void)state;
    world.owners = 2;
    assert_int_equal(transfer_from(3, KEY, record_of(5, TOYSTORE_FILE), true), TOYSTORE_OK);
    assert_int_equal(get().record.size, 0);
    assert_int_equal(transfer_from(3, KEY, sloppy_of(9), false), TOYSTORE_OK);
    assert_true(get().record.size > 0);
}

static void test_what_an_owner_has_not_held_yet_is_not_copied_from_it(void **state)
{
    (void)state;
    world.unheld = 1;
    assert_int_equal(transfer_from(1, KEY, record_of(5, TOYSTORE_FILE), false), TOYSTORE_REFUSED);
    assert_int_equal(get().record.size, 0);
    /* known to be chosen */
    assert_int_equal(transfer_from(1, KEY, record_of(5, TOYSTORE_FILE), true), TOYSTORE_OK);
    assert_int_not_equal(get().record.size, 0);
}

static void test_a_sloppy_put_at_a_fallback_leaves_a_hint(void **state)
{
    (void)state;
    struct blob *record = sloppy_of(9);
    struct hint_put_request request = {.view = world.view,
                                       .owner = 3,
                                       .key = KEY,
                                       .record = blob_slice(record),
                                       .op = {{{{9}}, 1}, 1, {1, 0}},
                                       .first = true};
    struct replica_reply reply =
        world_ask(1, 2, METHOD_HINT_PUT, rpc_pack_hint_put_request(&request));
    assert_int_equal(reply.status, TOYSTORE_OK);
    assert_int_equal(world.hints, 1);
    assert_int_equal(disks[2].spaces[TOYSTORE_HINTS].count, 1);
    assert_int_equal(disks[2].commits, 1);
    request.view.epoch = world.view.epoch = 1;
    of_key()->epoch = 1;
    request.owner = 0;
    reply = world_ask(1, 2, METHOD_HINT_PUT, rpc_pack_hint_put_request(&request));
    assert_int_equal(reply.status, TOYSTORE_TOO_LATE);
    request.first = false;
    reply = world_ask(1, 2, METHOD_HINT_PUT, rpc_pack_hint_put_request(&request));
    assert_int_equal(reply.status, TOYSTORE_OK);
    blob_unref(&record);
}

static void test_a_retired_session_is_refused(void **state)
{
    (void)state;
    struct op_id op = {{{0xab}}, 1};
    put_key(slice_str(".toystore/sessions/ab0000000000000000000000"),
            record_of(5, TOYSTORE_INTERNAL), false);
    assert_int_equal(disks[2].spaces[TOYSTORE_META].count, 1);
    struct prepare_request request = {
        .view = world.view, .key = KEY, .ballot = ballot(5), .on_behalf = op};
    assert_int_equal(world_ask(1, 2, METHOD_PREPARE, rpc_pack_prepare_request(&request)).status,
                     TOYSTORE_RETIRED);
    struct blob *record = record_of(6, TOYSTORE_FILE);
    struct put_request accept = {
        .view = world.view, .key = KEY, .record = blob_slice(record), .on_behalf = op};
    accept.leader = true;
    assert_int_equal(world_ask(1, 2, METHOD_PUT, rpc_pack_put_request(&accept)).status,
                     TOYSTORE_RETIRED);
    accept.leader = false; /* its prepare was let through before the session was retired */
    assert_int_equal(world_ask(1, 2, METHOD_PUT, rpc_pack_put_request(&accept)).status,
                     TOYSTORE_OK);
    blob_unref(&record);
    retire_restore(&world.cores[3], slice_str("session/ab0000000000000000000000"), slice_str("1"));
    assert_true(retire_noted(&world.cores[3], &op.session));
}

static void damage(void)
{
    struct blob *stored = disk_find(&disks[2], TOYSTORE_RECORDS, KEY);
    stored->data[stored->size / 2] ^= 1;
}

static void test_a_damaged_copy_is_unknown(void **state)
{
    (void)state;
    put(5);
    damage();
    assert_int_equal(get().status, TOYSTORE_UNKNOWN);
    assert_int_equal(get().record.size, 0);
    assert_int_equal(prepare(9).status, TOYSTORE_UNKNOWN);
    assert_int_equal(put(9).status, TOYSTORE_UNKNOWN);
    assert_int_equal(transfer_from(1, KEY, record_of(9, TOYSTORE_FILE), true), TOYSTORE_UNKNOWN);
    assert_true(world.damages > 0);
}

static void test_with_one_owner_a_put_replaces_a_damaged_copy(void **state)
{
    (void)state;
    put(5);
    damage();
    world.owners = 1;
    assert_int_equal(get().status, TOYSTORE_UNKNOWN);
    assert_int_equal(put(9).status, TOYSTORE_OK);
    assert_int_equal(get().status, TOYSTORE_OK);
    struct disk_pair *pair = &disks[2].spaces[TOYSTORE_TOKENS].pairs[0];
    struct core rebuilt = {.id = 3, .trees = trees_new()};
    trees_size(&rebuilt, PARTITIONS);
    tree_restore(&rebuilt, blob_slice(pair->key), blob_slice(pair->value));
    uint32_t p = view_partition_of(&rebuilt, KEY);
    struct hash128 a = tree_root(&rebuilt, p), b = tree_root(&world.cores[2], p);
    assert_memory_equal(&a, &b, sizeof a);
    trees_free(rebuilt.trees);
}

static void test_immutable_keys(void **state)
{
    (void)state;
    struct slice chunk = slice_str(".toystore/chunks/0011/22");
    struct blob *first = chunk_of(1);
    assert_int_equal(transfer_from(3, chunk, blob_ref(first), false), TOYSTORE_OK);
    size_t commits = disks[2].commits;
    assert_int_equal(transfer_from(3, chunk, blob_ref(first), false), TOYSTORE_OK);
    assert_int_equal(disks[2].commits, commits);
    assert_int_equal(disks[2].spaces[TOYSTORE_LISTING].count, 0);
    assert_int_equal(disks[2].spaces[TOYSTORE_TOKENS].count, 1);
    assert_int_equal(put_key(chunk, record_of(5, TOYSTORE_INTERNAL), false).status,
                     TOYSTORE_INVALID);
    struct blob *stored = disk_find(&disks[2], TOYSTORE_RECORDS, chunk);
    stored->data[stored->size - 1] ^= 1;
    assert_int_equal(transfer_from(3, chunk, first, false), TOYSTORE_OK);
    assert_int_equal(disks[2].commits, commits + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(put_then_get),
        TEST(a_put_writes_record_token_and_listing_together),
        TEST(a_promise_is_kept_and_rewrites_the_record_alone),
        TEST(the_partitions_promise_counts_for_every_key),
        TEST(view_and_mute_come_first),
        TEST(an_era_that_changes_while_a_request_waits_is_seen),
        TEST(a_ballot_of_another_era_is_not_gone_on_with),
        TEST(one_operation_at_a_time),
        TEST(a_full_queue_says_busy),
        TEST(a_full_disk_and_a_broken_one_are_told),
        TEST(durable_only_where_asked_and_for_layouts),
        TEST(sync_makes_durable_unless_mute),
        TEST(sync_does_not_vouch_for_a_version_that_is_missing),
        TEST(sync_does_not_vouch_for_a_chunk_that_is_missing),
        TEST(settled_by_message_and_by_the_second_of_two),
        TEST(transfer_stores_and_refuses),
        TEST(only_owners_give_registers),
        TEST(what_an_owner_has_not_held_yet_is_not_copied_from_it),
        TEST(a_sloppy_put_at_a_fallback_leaves_a_hint),
        TEST(a_retired_session_is_refused),
        TEST(a_damaged_copy_is_unknown),
        TEST(with_one_owner_a_put_replaces_a_damaged_copy),
        TEST(immutable_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
