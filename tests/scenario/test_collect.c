/* Collection of tombstones, as PROTOCOL 8 tells it. */
#include <stdio.h>

#include "cluster.h"

enum { KEYS = 12 };

static const char *key_of(unsigned i)
{
    static char key[16];
    snprintf(key, sizeof key, "k%u", i);
    return key;
}

static enum toystore_status delete_key(unsigned node, const char *key)
{
    struct toystore_request request = {
        .type = TOYSTORE_PUT, .key = bytes_text(key), .change = TOYSTORE_DELETE};
    return cluster_call(node, &request)->status;
}

/* Collected as soon as there is one. */
static void collect_at_once(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        cluster_core(i)->config.collect_min = 1;
}

static void start(unsigned count)
{
    cluster_start(count);
    collect_at_once(count);
}

static unsigned kept(unsigned node)
{
    struct entry entry;
    struct record record;
    unsigned count = 0;
    for (unsigned i = 0; i < KEYS; i++)
        count += cluster_stored(node, key_of(i), &entry, &record);
    return count;
}

static void put_and_delete_all(unsigned node)
{
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(cluster_put(node, key_of(i), "here"), TOYSTORE_OK);
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(delete_key(node, key_of(i)), TOYSTORE_OK);
}

static bool status_says(unsigned node, const char *words)
{
    struct buf out = {0};
    core_report(cluster_core(node), slice_str("status"), slice_of(NULL, 0), &out);
    buf_append(&out, "", 1);
    bool found = strstr((const char *)out.blob->data, words) != NULL;
    buf_free(&out);
    return found;
}

static void deleted_keys_leave_all_disks(void **state)
{
    (void)state;
    start(3);
    put_and_delete_all(0);
    assert_int_equal(kept(0), KEYS);
    assert_false(status_says(0, "\"tombstones\": 0"));
    cluster_run_ms(6000);
    for (unsigned node = 0; node < 3; node++)
        assert_int_equal(kept(node), 0);
    assert_true(status_says(0, "\"tombstones\": 0"));
    assert_int_equal(cluster_get(1, key_of(0))->status, TOYSTORE_NOT_FOUND);
    struct toystore_request put = put_request_of(key_of(0), "new");
    put.condition = TOYSTORE_IF_ABSENT;
    assert_int_equal(cluster_call(2, &put)->status, TOYSTORE_OK);
    assert_true(shows(cluster_get(0, key_of(0)), "new"));
    cluster_stop();
}

/* Its put was replaced, and nobody remembers that any more: it is not taken for lost. */
static void a_sync_of_what_was_forgotten_is_of_what_stands_there(void **state)
{
    (void)state;
    start(3);
    struct toystore_request put = put_request_of(key_of(0), "here");
    struct toystore_op op = cluster_call(0, &put)->op;
    put_and_delete_all(1);
    cluster_run_ms(6000);
    assert_int_equal(kept(0), 0);
    struct toystore_bytes key = bytes_text(key_of(0));
    struct toystore_request sync = {
        .type = TOYSTORE_SYNC, .keys = &key, .key_count = 1, .key_ops = &op, .deadline_ms = 2000};
    assert_int_equal(cluster_call(0, &sync)->status, TOYSTORE_OK);
    cluster_stop();
}

static void a_node_alone_collects_too(void **state)
{
    (void)state;
    start(1);
    put_and_delete_all(0);
    cluster_run_ms(5000);
    assert_int_equal(kept(0), 0);
    cluster_stop();
}

static void few_tombstones_wait_until_they_outweigh(void **state)
{
    (void)state;
    cluster_start(3);
    put_and_delete_all(0);
    cluster_run_ms(5000);
    assert_int_equal(kept(1), KEYS);
    cluster_stop();
}

/* The member that is away has the value still: were the tombstones gone, it would bring it back. */
static void a_silent_member_blocks_it_and_brings_nothing_back(void **state)
{
    (void)state;
    start(3);
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(cluster_put(0, key_of(i), "here"), TOYSTORE_OK);
    cluster_run_ms(500);
    cluster_kill(2);
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(delete_key(0, key_of(i)), TOYSTORE_OK);
    cluster_run_ms(10000);
    assert_int_equal(kept(0), KEYS);
    assert_false(status_says(0, "\"tombstones_wait_for\": []"));
    cluster_restart(2);
    collect_at_once(3);
    cluster_run_ms(15000);
    for (unsigned node = 0; node < 3; node++)
        assert_int_equal(kept(node), 0);
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(cluster_get(2, key_of(i))->status, TOYSTORE_NOT_FOUND);
    cluster_stop();
}

/* It was told to leave, and ended before it had given up its data: had the tombstones been
 * collected meanwhile, it would bring back the chunks and the sloppy puts that were deleted. */
static bool the_one_that_stopped_with_data_is_waited_for(void)
{
    start(4);
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(cluster_put(0, key_of(i), "here"), TOYSTORE_OK);
    assert_int_equal(cluster_change(3, "leave", 0, false, false), TOYSTORE_OK);
    node_id id = cluster_id(3);
    while (layout_find(view_newest(cluster_core(0)), id))
        cluster_run_ms(1);
    cluster_end(3);
    assert_true(kept(3) > 0);
    cluster_run_ms(2000);
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(delete_key(0, key_of(i)), TOYSTORE_OK);
    cluster_run_ms(10000);
    return kept(0) + kept(1) + kept(2) > 0;
}

#ifdef TOYSTORE_BREAKABLE
static void who_does_not_ask_it_collects(void **state)
{
    (void)state;
    cluster_break(1 + BROKEN_stopped_unasked);
    assert_false(the_one_that_stopped_with_data_is_waited_for());
    cluster_stop();
    cluster_break(0);
}
#endif

static void who_stops_with_data_outside_of_the_layout_is_waited_for(void **state)
{
    (void)state;
    assert_true(the_one_that_stopped_with_data_is_waited_for());
    assert_true(status_says(0, "\"tombstones_wait_for\": [\"n3\"]"));
    cluster_restart(3);
    collect_at_once(4);
    cluster_run_ms(15000);
    for (unsigned node = 0; node < 4; node++)
        assert_int_equal(kept(node), 0);
    /* Now it has nothing: nobody waits for it when it stops. */
    cluster_end(3);
    put_and_delete_all(0);
    cluster_run_ms(15000);
    for (unsigned node = 0; node < 3; node++)
        assert_int_equal(kept(node), 0);
    cluster_stop();
}

/* It is dead, and no member any more; those who know that have started anew, and remember it only.
 * A newcomer, which has never heard of it, waits for it all the same: it may bring back what it
 * has. */
static void who_is_only_remembered_is_waited_for(void **state)
{
    (void)state;
    start(4);
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(cluster_put(0, key_of(i), "here"), TOYSTORE_OK);
    node_id dead = cluster_id(3);
    cluster_kill(3);
    cluster_run_ms(5000);
    assert_int_equal(cluster_change(0, "remove", dead, false, false), TOYSTORE_OK);
    while (layout_find(view_newest(cluster_core(0)), dead))
        cluster_run_ms(1);
    cluster_run_ms(2000);
    for (unsigned node = 0; node < 3; node++)
        cluster_kill(node);
    for (unsigned node = 0; node < 3; node++)
        cluster_restart(node);
    assert_int_equal(cluster_begin(), 4);
    cluster_run_ms(10000);
    assert_non_null(layout_find(view_newest(cluster_core(0)), cluster_id(4)));
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(delete_key(4, key_of(i)), TOYSTORE_OK);
    unsigned tombstones = kept(0) + kept(1) + kept(2) + kept(4);
    for (unsigned node = 0; node < 5; node++)
        if (node != 3)
            cluster_core(node)->config.collect_min = 1;
    cluster_run_ms(20000);
    assert_int_equal(kept(0) + kept(1) + kept(2) + kept(4), tombstones);
    for (unsigned node = 0; node < 5; node++) /* whoever collects */
        if (node != 3 && !status_says(node, "\"tombstones\": 0"))
            assert_true(status_says(node, "\"tombstones_wait_for\": [\"n3\"]"));
    cluster_restart(3);
    cluster_run_ms(20000);
    for (unsigned node = 0; node < 5; node++)
        assert_int_equal(kept(node), 0);
    cluster_stop();
}

static void a_kill_in_the_middle_is_made_good(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 12; at++) {
        start(3);
        put_and_delete_all(0);
        cluster_run_ms(200 + 60 * at);
        cluster_kill(at % 3);
        cluster_restart(at % 3);
        collect_at_once(3);
        cluster_run_ms(15000);
        for (unsigned node = 0; node < 3; node++)
            assert_int_equal(kept(node), 0);
        cluster_stop();
    }
}

#define CHUNK                                                                                      \
    ".toystore/chunks/000000000000000000000000000000000000000000000001/"                           \
    "000000000000000000000000-0000000000000001"

/* An owner that was away has the value still; the tombstone wins, then both go. */
static void a_deleted_chunk_goes_everywhere(void **state)
{
    struct entry entry;
    struct record record;
    (void)state;
    cluster_start(3);
    struct toystore_request store = {
        .type = TOYSTORE_STORE, .key = bytes_text(CHUNK), .value = bytes_text("bytes")};
    struct toystore_request fetch = {
        .type = TOYSTORE_FETCH, .key = bytes_text(CHUNK), .deadline_ms = 1000};
    assert_int_equal(cluster_call(0, &store)->status, TOYSTORE_OK);
    cluster_run_ms(500);
    cluster_kill(2);
    store.change = TOYSTORE_DELETE;
    assert_int_equal(cluster_call(0, &store)->status, TOYSTORE_OK);
    assert_int_equal(cluster_call(1, &fetch)->status, TOYSTORE_NOT_FOUND);
    cluster_restart(2);
    cluster_run_ms(5000);
    for (unsigned node = 0; node < 3; node++) {
        assert_true(cluster_stored(node, CHUNK, &entry, &record));
        assert_int_equal(record.reg.version.kind, TOYSTORE_TOMBSTONE);
    }
    store.change = TOYSTORE_SET; /* a late copy of it */
    cluster_call(1, &store);
    assert_int_equal(cluster_call(2, &fetch)->status, TOYSTORE_NOT_FOUND);
    collect_at_once(3);
    cluster_run_ms(8000);
    for (unsigned node = 0; node < 3; node++)
        assert_false(cluster_stored(node, CHUNK, &entry, &record));
    cluster_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deleted_keys_leave_all_disks),
        cmocka_unit_test(a_sync_of_what_was_forgotten_is_of_what_stands_there),
        cmocka_unit_test(a_node_alone_collects_too),
        cmocka_unit_test(few_tombstones_wait_until_they_outweigh),
        cmocka_unit_test(a_silent_member_blocks_it_and_brings_nothing_back),
        cmocka_unit_test(who_stops_with_data_outside_of_the_layout_is_waited_for),
#ifdef TOYSTORE_BREAKABLE
        cmocka_unit_test(who_does_not_ask_it_collects),
#endif
        cmocka_unit_test(who_is_only_remembered_is_waited_for),
        cmocka_unit_test(a_kill_in_the_middle_is_made_good),
        cmocka_unit_test(a_deleted_chunk_goes_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
