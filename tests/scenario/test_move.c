/* Changing eras, as PROTOCOL 7 tells it. */
#include <stdio.h>

#include "keys.h"

static bool owns_key(unsigned node, const char *key)
{
    unsigned owners[CLUSTER_MAX], count = cluster_owners(key, owners);
    for (unsigned i = 0; i < count; i++)
        if (owners[i] == node)
            return true;
    return false;
}

static unsigned mute_count(unsigned node)
{
    struct core *core = cluster_core(node);
    unsigned count = 0;
    for (uint32_t i = 0; i < view_partition_count(core); i++)
        count += view_partition(core, i)->mute;
    return count;
}

static bool holds_all(unsigned node)
{
    struct core *core = cluster_core(node);
    for (uint32_t i = 0; i < view_partition_count(core); i++)
        if (layout_owns(view_newest(core), i, core->id) && !view_holds(core, i))
            return false;
    return true;
}

static bool recovered(unsigned node)
{
    return core_ready(cluster_core(node)) && mute_count(node) == 0 && holds_all(node);
}

/* Runs until the node holds what it owns; fails after `limit_ms`. */
static void run_until_held(unsigned node, unsigned limit_ms)
{
    for (unsigned waited = 0; !recovered(node); waited += 20) {
        assert_true(waited < limit_ms);
        cluster_run_ms(20);
    }
}

static void newcomers_go_together(void **state)
{
    (void)state;
    cluster_start(4);
    assert_int_equal(view_newest(cluster_core(0))->number, 2);
    cluster_stop();
}

static void a_newcomer_takes_what_it_owns(void **state)
{
    struct entry entry;
    struct record record;
    (void)state;
    cluster_start(2);
    put_all(0);
    uint64_t begun = cluster_now_us();
    unsigned newcomer = cluster_join();
    run_until_held(newcomer, 3000);
    assert_true(cluster_now_us() - begun < 3000000);
    for (unsigned i = 0; i < KEYS; i++)
        assert_true(cluster_stored(newcomer, key_of(i), &entry, &record));
    check_all(newcomer);
    cluster_stop();
}

static void puts_go_on_while_somebody_joins(void **state)
{
    (void)state;
    cluster_start(3);
    put_all(0);
    for (unsigned joined = 0; joined < 2; joined++) {
        unsigned newcomer = cluster_join();
        put_all(newcomer);
        check_all(0);
    }
    cluster_stop();
}

static void former_owners_give_up_their_data(void **state)
{
    struct entry entry;
    struct record record;
    (void)state;
    cluster_start(3);
    put_all(0);
    cluster_join();
    cluster_join();
    cluster_run_ms(10000);
    for (unsigned i = 0; i < KEYS; i++)
        for (unsigned node = 0; node < 5; node++)
            assert_int_equal(cluster_stored(node, key_of(i), &entry, &record),
                             owns_key(node, key_of(i)));
    check_all(1);
    cluster_stop();
}

static void who_forgot_is_mute_until_it_has_taken(void **state)
{
    (void)state;
    cluster_start(3);
    put_all(0);
    uint32_t epoch = view_of(cluster_core(0), 0).epoch;
    cluster_kill(2);
    cluster_restart_machine(2);
    cluster_run_ms(1);
    assert_true(mute_count(2) > 0);
    run_until_held(2, 3000);
    assert_int_equal(view_of(cluster_core(2), 0).epoch, epoch + 1);
    assert_int_equal(view_of(cluster_core(0), 0).epoch, epoch + 1);
    check_all(2);
    put_all(2);
    cluster_stop();
}

static void it_waits_for_f_others(void **state)
{
    (void)state;
    cluster_start(3);
    put_all(0);
    cluster_kill(1);
    cluster_kill(2);
    cluster_restart_machine(2);
    cluster_run_ms(5000);
    assert_true(mute_count(2) > 0);
    cluster_restart(1);
    run_until_held(2, 5000);
    check_all(2);
    cluster_stop();
}

static void a_machine_alone_recovers_from_itself(void **state)
{
    (void)state;
    cluster_start(1);
    put_all(0);
    cluster_kill(0);
    cluster_restart_machine(0);
    run_until_held(0, 500);
    check_all(0);
    cluster_stop();
}

static void all_machines_recover_from_each_other(void **state)
{
    (void)state;
    cluster_start(3);
    put_all(0);
    for (unsigned i = 0; i < 3; i++)
        cluster_kill(i);
    for (unsigned i = 0; i < 3; i++)
        cluster_restart_machine(i);
    for (unsigned i = 0; i < 3; i++)
        run_until_held(i, 5000);
    check_all(1);
    put_all(0);
    cluster_stop();
}

static void a_kill_forgets_nothing(void **state)
{
    (void)state;
    cluster_start(3);
    put_all(0);
    for (unsigned i = 0; i < 3; i++)
        cluster_kill(i);
    for (unsigned i = 0; i < 3; i++)
        cluster_restart(i);
    cluster_run_ms(500);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(mute_count(i), 0);
    assert_int_equal(view_of(cluster_core(0), 0).epoch, 0);
    check_all(2);
    cluster_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newcomers_go_together),
        cmocka_unit_test(a_newcomer_takes_what_it_owns),
        cmocka_unit_test(puts_go_on_while_somebody_joins),
        cmocka_unit_test(former_owners_give_up_their_data),
        cmocka_unit_test(who_forgot_is_mute_until_it_has_taken),
        cmocka_unit_test(it_waits_for_f_others),
        cmocka_unit_test(a_machine_alone_recovers_from_itself),
        cmocka_unit_test(all_machines_recover_from_each_other),
        cmocka_unit_test(a_kill_forgets_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
