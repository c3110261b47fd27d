/* Members that leave, are removed, or weigh something else (PROTOCOL 7 choose, Gone). */
#include <stdio.h>

#include "keys.h"

static unsigned copies(const char *key, unsigned nodes)
{
    struct entry entry;
    struct record record;
    unsigned count = 0;
    for (unsigned i = 0; i < nodes; i++)
        count += cluster_stored(i, key, &entry, &record);
    return count;
}

static uint32_t layout(unsigned node)
{
    return view_newest(cluster_core(node))->number;
}

static size_t members(unsigned node)
{
    return view_newest(cluster_core(node))->member_count;
}

static void run_until_place(unsigned node, const char *place)
{
    for (unsigned waited = 0; strcmp(move_place(cluster_core(node)), place) != 0; waited += 20) {
        assert_true(waited < 30000);
        cluster_run_ms(20);
    }
}

/* One layout of so many members, and every owner that is up holds. */
static bool settled(unsigned node, size_t count)
{
    struct core *core = cluster_core(node);
    if (view_oldest(core) != view_newest(core) || members(node) != count)
        return false;
    for (uint32_t p = 0; p < view_partition_count(core); p++) {
        node_id owners[REPLICAS_MAX];
        size_t n = layout_owners(view_newest(core), p, owners);
        for (size_t i = 0; i < n; i++)
            if (rpc_reachable(core, owners[i]) && !holder_holds(core, owners[i], p))
                return false;
    }
    return true;
}

static void run_until_settled(unsigned node, size_t count)
{
    for (unsigned waited = 0; !settled(node, count); waited += 20) {
        assert_true(waited < 30000);
        cluster_run_ms(20);
    }
}

static enum toystore_status leave(unsigned node)
{
    return cluster_change(node, "leave", 0, false, false);
}

static enum toystore_status remove_node(unsigned asked, node_id id, bool force, bool accept_loss)
{
    return cluster_change(asked, "remove", id, force, accept_loss);
}

static void who_leaves_leaves_nothing_behind(void **state)
{
    (void)state;
    cluster_start(4);
    put_all(0);
    assert_int_equal(leave(3), TOYSTORE_OK);
    put_all(3); /* it coordinates as before */
    run_until_place(3, "left");
    assert_int_equal(members(0), 3);
    for (unsigned i = 0; i < KEYS; i++) {
        struct entry entry;
        struct record record;
        assert_false(cluster_stored(3, key_of(i), &entry, &record));
        assert_int_equal(copies(key_of(i), 3), 3);
    }
    check_all(3);
    cluster_kill(3);
    check_all(0);
    cluster_restart(3); /* it has not forgotten that it left */
    cluster_run_ms(5000);
    assert_int_equal(members(0), 3);
    assert_string_equal(move_place(cluster_core(3)), "left");
    check_all(3);
    cluster_stop();
}

static void three_two_one(void **state)
{
    (void)state;
    cluster_start(3);
    put_all(0);
    assert_int_equal(leave(2), TOYSTORE_OK);
    run_until_place(2, "left");
    assert_int_equal(leave(0), TOYSTORE_OK);
    run_until_place(0, "left");
    check_all(2);
    assert_int_equal(leave(1), TOYSTORE_CONFLICT);
    assert_int_equal(remove_node(2, cluster_id(1), false, true), TOYSTORE_CONFLICT);
    cluster_kill(0);
    cluster_kill(2);
    check_all(1);
    cluster_stop();
}

static void changes_go_together(void **state)
{
    (void)state;
    cluster_start(5);
    put_all(0);
    uint32_t before = layout(0);
    cluster_kill(4);
    cluster_run_ms(3000);
    cluster_kill(1);
    cluster_restart_weight(1, 300);
    assert_int_equal(leave(3), TOYSTORE_OK);
    assert_int_equal(remove_node(0, view_newest(cluster_core(0))->members[0].id, false, false) ==
                         TOYSTORE_NOT_FOUND,
                     false);
    cluster_run_ms(5000);
    assert_true(layout(0) <= before + 2);
    check_all(0);
    cluster_stop();
}

static void the_dead_are_replaced(void **state)
{
    (void)state;
    cluster_start(4);
    put_all(0);
    node_id dead = cluster_id(3);
    cluster_kill(3);
    cluster_run_ms(3000);
    put_all(1);
    assert_int_equal(remove_node(0, dead, false, false), TOYSTORE_OK);
    run_until_settled(1, 3);
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(copies(key_of(i), 3), 3);
    check_all(2);
    /* It comes back: others have its data, it owns nothing, and gives up what it had. */
    cluster_restart(3);
    run_until_place(3, "removed");
    assert_int_equal(members(3), 3);
    check_all(3);
    cluster_stop();
}

static void nobody_drops_the_last_copies_unasked(void **state)
{
    (void)state;
    cluster_start(3);
    put_all(0);
    node_id dead[2] = {cluster_id(1), cluster_id(2)};
    cluster_kill(1);
    cluster_kill(2);
    cluster_run_ms(3000);
    assert_int_equal(remove_node(0, dead[0], false, false), TOYSTORE_CONFLICT);
    assert_int_equal(remove_node(0, 12345, false, false), TOYSTORE_NOT_FOUND);
    assert_int_equal(remove_node(0, dead[0], true, false), TOYSTORE_OK);
    assert_int_equal(remove_node(0, dead[1], true, false), TOYSTORE_CONFLICT);
    assert_int_equal(remove_node(0, dead[1], true, true), TOYSTORE_OK);
    run_until_settled(0, 1);
    check_all(0);
    put_all(0);
    cluster_stops_itself(1);
    cluster_restart(1); /* its id is refused for ever */
    cluster_run_ms(5000);
    assert_true(cluster_stops_itself(1));
    assert_int_equal(members(0), 1);
    check_all(0);
    cluster_stop();
}

static void weights_move_shares(void **state)
{
    (void)state;
    cluster_start(4);
    put_all(0);
    cluster_kill(2);
    cluster_restart_weight(2, 1);
    uint32_t before = layout(0);
    for (unsigned waited = 0; layout(0) == before; waited += 20) {
        assert_true(waited < 10000);
        cluster_run_ms(20);
    }
    run_until_settled(0, 4);
    const struct layout *newest = view_newest(cluster_core(0));
    size_t owned = 0;
    for (uint32_t p = 0; p < newest->partitions; p++)
        owned += layout_owns(newest, p, cluster_id(2));
    assert_true(owned <= 1); /* of 16, where it was 12 */
    assert_int_equal(layout(0), before + 1);
    check_all(2);
    cluster_stop();
}

static void a_leave_survives_kills(void **state)
{
    (void)state;
    for (unsigned after_ms = 0; after_ms < 700; after_ms += 70) {
        cluster_start(4);
        put_all(0);
        assert_int_equal(leave(3), TOYSTORE_OK);
        cluster_run_ms(after_ms);
        cluster_kill(3);
        cluster_kill(1);
        cluster_run_ms(1500);
        cluster_restart(1);
        cluster_run_ms(500);
        cluster_restart(3);
        run_until_place(3, "left");
        assert_int_equal(members(0), 3);
        check_all(1);
        for (unsigned i = 0; i < KEYS; i++)
            assert_int_equal(copies(key_of(i), 3), 3);
        cluster_stop();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_leaves_leaves_nothing_behind),
        cmocka_unit_test(three_two_one),
        cmocka_unit_test(changes_go_together),
        cmocka_unit_test(the_dead_are_replaced),
        cmocka_unit_test(nobody_drops_the_last_copies_unasked),
        cmocka_unit_test(weights_move_shares),
        cmocka_unit_test(a_leave_survives_kills),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
