/* Orders of events that lose data, or bring it back, in other systems: each once, exactly so. */
#include "cluster.h"

static struct toystore_request if_absent(const char *value)
{
    struct toystore_request put = put_request_of("k", value);
    put.condition = TOYSTORE_IF_ABSENT;
    put.exclusive = true;
    return put;
}

/* Puts by so many other sessions, each start is one, that a register's list of recent ones forgets
 * who came before. */
static void twenty_others_put(unsigned node)
{
    for (int i = 0; i < 20; i++) {
        cluster_kill(node);
        cluster_restart(node);
        cluster_run_ms(1000);
        assert_int_equal(cluster_put(node, "k", "others"), TOYSTORE_OK);
    }
}

/* The first owner was away when the others made it, comes back before it has heard of that, and is
 * asked to make it once more. */
static void who_was_away_does_not_let_a_second_one_win(void **state)
{
    (void)state;
    unsigned owners[CLUSTER_MAX];
    cluster_start(3);
    assert_int_equal(cluster_owners("k", owners), 3);
    cluster_kill(owners[0]);
    cluster_run_ms(2000);
    struct toystore_request put = if_absent("first");
    assert_int_equal(cluster_call(owners[1], &put)->status, TOYSTORE_OK);
    cluster_lose(METHOD_TRANSFER, true);
    cluster_lose(METHOD_TREE, true);
    cluster_restart(owners[0]);
    cluster_run_ms(3000);
    struct entry entry;
    struct record record;
    assert_false(cluster_stored(owners[0], "k", &entry, &record));
    put = if_absent("second");
    assert_int_equal(cluster_call(owners[0], &put)->status, TOYSTORE_CONFLICT);
    assert_true(shows(cluster_get(owners[0], "k"), "first"));
    cluster_stop();
}

/* An answer was lost, others went on, and it is tried again, long after the chain of puts has
 * forgotten it. */
static void an_op_that_comes_back_late_does_not_win_over_later_ones(void **state)
{
    (void)state;
    cluster_start(3);
    struct toystore_request put = put_request_of("k", "early");
    put.op = op_to_public(core_op_new(cluster_core(0)));
    assert_int_equal(cluster_call(0, &put)->status, TOYSTORE_OK);
    twenty_others_put(1);
    assert_int_equal(cluster_put(2, "k", "late"), TOYSTORE_OK);
    put.retry = true;
    cluster_call(0, &put);
    cluster_call(1, &put);
    cluster_call(2, &put);
    for (unsigned i = 0; i < 3; i++)
        assert_true(shows(cluster_get(i, "k"), "late"));
    cluster_stop();
}

/* The same when the key was deleted since, and its tombstone collected. */
static void an_op_that_comes_back_late_does_not_bring_a_deleted_key_back(void **state)
{
    (void)state;
    struct entry entry;
    struct record record;
    cluster_start(3);
    for (unsigned i = 0; i < 3; i++)
        cluster_core(i)->config.collect_min = 1;
    struct toystore_request put = put_request_of("k", "early");
    put.op = op_to_public(core_op_new(cluster_core(0)));
    assert_int_equal(cluster_call(0, &put)->status, TOYSTORE_OK);
    struct toystore_request delete = {
        .type = TOYSTORE_PUT, .key = bytes_text("k"), .change = TOYSTORE_DELETE};
    assert_int_equal(cluster_call(1, &delete)->status, TOYSTORE_OK);
    for (unsigned ms = 0; cluster_stored(0, "k", &entry, &record); ms += 100) {
        assert_true(ms < 20000);
        cluster_run_ms(100);
    }
    put.retry = true;
    for (unsigned i = 0; i < 6;
         i++) /* each is asked twice: what it has answered makes no first try */
        assert_int_equal(cluster_call(i % 3, &put)->status, TOYSTORE_INDETERMINATE);
    assert_int_equal(cluster_get(1, "k")->status, TOYSTORE_NOT_FOUND);
    cluster_stop();
}

/* A put stands at one owner alone: a get gives it or does not, and whatever it gives, later ones
 * give too, also when that owner has died. */
static void what_was_read_once_is_read_again(void **state)
{
    (void)state;
    unsigned owners[CLUSTER_MAX];
    for (unsigned reader = 0; reader < 3; reader++) {
        cluster_start(3);
        cluster_owners("k", owners);
        assert_int_equal(cluster_put(0, "k", "old"), TOYSTORE_OK);
        cluster_lose(METHOD_PUT, true);
        cluster_lose(METHOD_PREPARE, true);
        struct toystore_request put = put_request_of("k", "new");
        put.deadline_ms = 1000;
        put.strict = 1;
        assert_int_equal(cluster_call(owners[0], &put)->status, TOYSTORE_INDETERMINATE);
        cluster_lose(METHOD_PUT, false);
        cluster_lose(METHOD_PREPARE, false);
        bool fresh = shows(cluster_get(owners[reader], "k"), "new");
        cluster_kill(owners[0]);
        cluster_run_ms(1000);
        for (unsigned i = 1; i < 3; i++)
            assert_true(shows(cluster_get(owners[i], "k"), fresh ? "new" : "old"));
        cluster_stop();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_was_away_does_not_let_a_second_one_win),
        cmocka_unit_test(an_op_that_comes_back_late_does_not_win_over_later_ones),
        cmocka_unit_test(an_op_that_comes_back_late_does_not_bring_a_deleted_key_back),
        cmocka_unit_test(what_was_read_once_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
