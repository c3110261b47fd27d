/* Leading partitions, as PROTOCOL 4 tells it. */
#include "cluster.h"

static unsigned first_owner(struct core *core, uint32_t partition, unsigned nodes)
{
    node_id owners[REPLICAS_MAX];
    layout_owners(view_newest(core), partition, owners);
    for (unsigned i = 0; i < nodes; i++)
        if (cluster_id(i) == owners[0])
            return i;
    fail();
    return 0;
}

static bool leads(unsigned node, uint32_t partition)
{
    struct ballot ballot;
    return lead_leads(cluster_core(node), partition, &ballot);
}

static void every_partition_is_led_by_its_first_owner(void **state)
{
    (void)state;
    cluster_start(4);
    struct core *core = cluster_core(0);
    for (uint32_t p = 0; p < view_partition_count(core); p++)
        for (unsigned node = 0; node < 4; node++)
            assert_int_equal(leads(node, p), first_owner(core, p, 4) == node);
    cluster_stop();
}

static void many_partitions_go_in_one_message(void **state)
{
    (void)state;
    cluster_start(3);
    assert_true(cluster_sent(METHOD_LEAD) < 20);
    cluster_stop();
}

static void the_next_owner_leads_while_the_first_is_away(void **state)
{
    unsigned owners[CLUSTER_MAX];
    (void)state;
    cluster_start(3);
    uint32_t partition = view_partition_of(cluster_core(0), slice_str("k"));
    cluster_owners("k", owners);
    assert_int_equal(cluster_put(0, "k", "1"), TOYSTORE_OK);
    cluster_kill(owners[0]);
    cluster_run_ms(3000);
    assert_true(leads(owners[1], partition));
    assert_int_equal(cluster_put(owners[2], "k", "2"), TOYSTORE_OK);
    cluster_restart(owners[0]);
    cluster_run_ms(3000);
    assert_true(leads(owners[0], partition));
    assert_true(shows(cluster_get(owners[0], "k"), "2"));
    cluster_stop();
}

static void nothing_is_led_while_two_layouts_are_live(void **state)
{
    (void)state;
    cluster_start(2);
    struct core *core = cluster_core(0);
    for (uint32_t p = 0; p < view_partition_count(core); p++)
        assert_true(leads(first_owner(core, p, 2), p));
    cluster_join();
    cluster_run_ms(1000);
    for (uint32_t p = 0; p < view_partition_count(core); p++)
        for (unsigned node = 0; node < 3; node++) {
            struct ballot ballot;
            if (lead_leads(cluster_core(node), p, &ballot))
                assert_int_equal(ballot.era.layout, view_newest(core)->number);
        }
    cluster_stop();
}

static void a_deposed_leader_goes_on_by_rounds(void **state)
{
    unsigned owners[CLUSTER_MAX];
    (void)state;
    cluster_start(3);
    cluster_owners("k", owners);
    assert_int_equal(cluster_put(owners[0], "k", "1"), TOYSTORE_OK);
    cluster_pause(owners[0]);
    cluster_run_ms(5000);
    assert_int_equal(cluster_put(owners[1], "k", "2"), TOYSTORE_OK);
    cluster_continue(owners[0]);
    assert_int_equal(cluster_put(owners[0], "k", "3"), TOYSTORE_OK);
    for (unsigned i = 0; i < 3; i++)
        assert_true(shows(cluster_get(i, "k"), "3"));
    cluster_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_partition_is_led_by_its_first_owner),
        cmocka_unit_test(many_partitions_go_in_one_message),
        cmocka_unit_test(the_next_owner_leads_while_the_first_is_away),
        cmocka_unit_test(nothing_is_led_while_two_layouts_are_live),
        cmocka_unit_test(a_deposed_leader_goes_on_by_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
