/* A collection that an owner has not heard of yet (PROTOCOL 8): the era in which a partition was
 * collected is part of the view, so it hears of it before anything else. Built to be broken as
 * well, with a core that must fail it. */
#include "cluster.h"

#define KEY "k"

static struct era collected_at(unsigned node)
{
    struct core *core = cluster_core(node);
    return view_of(core, view_partition_of(core, slice_str(KEY))).collected;
}

static struct era noted_at(unsigned node)
{
    struct core *core = cluster_core(node);
    return view_partition(core, view_partition_of(core, slice_str(KEY)))->collected;
}

/* The last owner is told late. It is asked for the key, and asks the others; then a client, which
 * nobody tells, puts it again. */
static bool hears_in_time(void)
{
    unsigned owners[CLUSTER_MAX];
    cluster_start(3);
    unsigned client = cluster_join_client();
    assert_int_equal(cluster_put(0, KEY, "here"), TOYSTORE_OK);
    assert_int_equal(cluster_put(0, "another", "here"), TOYSTORE_OK);
    assert_int_equal(cluster_owners(KEY, owners), 3);
    unsigned first = owners[0], last = owners[2];
    cluster_slow(METHOD_COLLECT, first, last, 300);
    struct toystore_request delete = {
        .type = TOYSTORE_PUT, .key = bytes_text(KEY), .change = TOYSTORE_DELETE};
    assert_int_equal(cluster_call(first, &delete)->status, TOYSTORE_OK);
    cluster_core(first)->config.collect_min = 1;
    for (unsigned ms = 0; noted_at(first).layout == 0; ms++) {
        assert_true(ms < 20000);
        cluster_run_ms(1);
    }
    struct era collected = noted_at(first);
    assert_int_equal(noted_at(last).layout, 0);
    assert_int_equal(noted_at(client).layout, 0);
    struct toystore_request get = {.type = TOYSTORE_GET, .key = bytes_text(KEY)};
    cluster_ask(last, &get);
    cluster_run_ms(10);
    assert_int_equal(cluster_answer()->status, TOYSTORE_NOT_FOUND);
    bool heard = era_compare(collected_at(last), collected) == 0;
    assert_int_equal(cluster_put(client, KEY, "new"), TOYSTORE_OK);
    assert_true(shows(cluster_get(client, KEY), "new"));
    heard = heard && era_compare(collected_at(client), collected) == 0;
    assert_true(shows(cluster_get(last, KEY), "new"));
    cluster_stop();
    return heard;
}

#ifdef TOYSTORE_BREAKABLE

static void goes_on_without(void **state)
{
    (void)state;
    cluster_break(1 + BROKEN_collect_unviewed);
    assert_false(hears_in_time());
}
#define STORY goes_on_without

#else

static void hears_of_it_before_anything_else(void **state)
{
    (void)state;
    assert_true(hears_in_time());
}
#define STORY hears_of_it_before_anything_else

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(STORY)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
