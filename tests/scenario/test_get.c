/* Gets, as PROTOCOL 5 tells them. */
#include "cluster.h"

static void nothing_is_told_from_nobody(void **state)
{
    (void)state;
    cluster_start(3);
    assert_int_equal(cluster_get(0, "nothing")->status, TOYSTORE_NOT_FOUND);
    cluster_kill(1);
    cluster_kill(2);
    struct toystore_request get = {
        .type = TOYSTORE_GET, .key = bytes_text("nothing"), .strict = 1, .deadline_ms = 1000};
    assert_int_equal(cluster_call(0, &get)->status, TOYSTORE_UNAVAILABLE);
    cluster_stop();
}

static void a_usual_get_asks_r_owners(void **state)
{
    (void)state;
    unsigned owners[CLUSTER_MAX];
    cluster_start(3);
    cluster_owners("k", owners);
    assert_int_equal(cluster_put(0, "k", "1"), TOYSTORE_OK);
    cluster_run_ms(100);
    cluster_sent(METHOD_GET);
    assert_true(shows(cluster_get(owners[0], "k"), "1"));
    assert_int_equal(cluster_sent(METHOD_GET), 1); /* and its own copy */
    cluster_stop();
}

static void a_silent_owner_is_hedged(void **state)
{
    (void)state;
    unsigned owners[CLUSTER_MAX];
    cluster_start(3);
    cluster_owners("k", owners);
    assert_int_equal(cluster_put(0, "k", "1"), TOYSTORE_OK);
    cluster_run_ms(100);
    cluster_pause(owners[1]);
    uint64_t begun = cluster_now_us();
    assert_true(shows(cluster_get(owners[0], "k"), "1"));
    assert_true(cluster_now_us() - begun < 100000);
    cluster_stop();
}

/* One owner was cut off during a put: a get that meets it answers the newest, and repairs it. */
static void a_stale_owner_is_repaired_by_a_get(void **state)
{
    (void)state;
    unsigned owners[CLUSTER_MAX];
    struct entry entry;
    struct record record;
    cluster_start(3);
    cluster_owners("k", owners);
    assert_int_equal(cluster_put(0, "k", "1"), TOYSTORE_OK);
    cluster_cut(owners[0], owners[2]);
    assert_int_equal(cluster_put(owners[0], "k", "2"), TOYSTORE_OK);
    assert_true(shows(cluster_get(owners[2], "k"), "2"));
    cluster_run_ms(200);
    assert_true(cluster_stored(owners[2], "k", &entry, &record));
    assert_memory_equal(record.reg.version.value.data, "2", 1);
    cluster_stop();
}

static void a_deleted_key_stays_deleted(void **state)
{
    (void)state;
    unsigned owners[CLUSTER_MAX];
    cluster_start(3);
    cluster_owners("k", owners);
    assert_int_equal(cluster_put(0, "k", "1"), TOYSTORE_OK);
    cluster_kill(owners[2]);
    struct toystore_request bury = {
        .type = TOYSTORE_PUT, .key = bytes_text("k"), .change = TOYSTORE_DELETE};
    assert_int_equal(cluster_call(owners[0], &bury)->status, TOYSTORE_OK);
    cluster_kill(owners[1]);
    cluster_restart(owners[2]);
    for (int i = 0; i < 10; i++) {
        cluster_run_ms(300);
        enum toystore_status status = cluster_get(owners[0], "k")->status;
        assert_true(status == TOYSTORE_NOT_FOUND || status == TOYSTORE_UNAVAILABLE);
    }
    assert_int_equal(cluster_get(owners[2], "k")->status, TOYSTORE_NOT_FOUND);
    cluster_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_told_from_nobody),
        cmocka_unit_test(a_usual_get_asks_r_owners),
        cmocka_unit_test(a_silent_owner_is_hedged),
        cmocka_unit_test(a_stale_owner_is_repaired_by_a_get),
        cmocka_unit_test(a_deleted_key_stays_deleted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
