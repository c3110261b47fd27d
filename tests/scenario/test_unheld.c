/* A collection waits until all owners hold the partition and show the same (PROTOCOL 8): else who
 * has missed a delete brings back what it deleted. Built to be broken as well, with a core that
 * must fail it. */
#include "cluster.h"

#define KEY "k"

static bool stored(unsigned node)
{
    struct entry entry;
    struct record record;
    return cluster_stored(node, KEY, &entry, &record);
}

/* The first owner ends after two have acknowledged a delete, before it has noted that the last one
 * missed it: there is no hint. */
static void delete_with_one_left_out(unsigned first, unsigned last)
{
    struct toystore_request delete = {
        .type = TOYSTORE_PUT, .key = bytes_text(KEY), .change = TOYSTORE_DELETE};
    cluster_slow(METHOD_PUT, first, last, 60000);
    assert_int_equal(cluster_call(first, &delete)->status, TOYSTORE_OK);
    cluster_kill(first);
    cluster_slow(METHOD_PUT, first, last, 0);
    cluster_restart(first);
}

/* How the deleted key is read after the collection. */
static enum toystore_status read_after_a_collection(void)
{
    unsigned owners[CLUSTER_MAX];
    cluster_start(3);
    assert_int_equal(cluster_put(0, KEY, "here"), TOYSTORE_OK);
    cluster_run_ms(1000);
    assert_int_equal(cluster_owners(KEY, owners), 3);
    cluster_lose_comparing(true);
    delete_with_one_left_out(owners[0], owners[2]);
    for (unsigned node = 0; node < 3; node++)
        cluster_core(node)->config.collect_min = 1;
    cluster_run_ms(10000);
    assert_true(stored(owners[2]));
    cluster_lose_comparing(false);
    cluster_run_ms(20000);
    enum toystore_status status = cluster_get(owners[1], KEY)->status;
    for (unsigned node = 0; node < 3 && status == TOYSTORE_NOT_FOUND; node++)
        assert_false(stored(node));
    cluster_stop();
    return status;
}

#ifdef TOYSTORE_BREAKABLE

static void a_deleted_key_returns(void **state)
{
    (void)state;
    cluster_break(1 + BROKEN_collect_unheld);
    assert_int_equal(read_after_a_collection(), TOYSTORE_OK);
}
#define STORY a_deleted_key_returns

#else

static void who_missed_a_delete_is_waited_for(void **state)
{
    (void)state;
    assert_int_equal(read_after_a_collection(), TOYSTORE_NOT_FOUND);
}
#define STORY who_missed_a_delete_is_waited_for

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(STORY)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
