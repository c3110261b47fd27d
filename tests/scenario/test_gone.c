/* A layout is finished when enough of its owners hold what they own: not by what one has held that
 * is gone for ever (PROTOCOL 7). Built to be broken as well, with a core that must fail it. */
#include "keys.h"

enum { FOUNDER, TAKES, LAGS };

static bool took_all(unsigned node)
{
    struct core *core = cluster_core(node);
    if (!view_newest(core) || view_newest(core)->member_count != 3)
        return false;
    for (uint32_t i = 0; i < view_partition_count(core); i++)
        if (layout_owns(view_newest(core), i, core->id) && !view_holds(core, i))
            return false;
    return true;
}

/* The founder has everything, and gives it to two that join at once. One of them takes its part,
 * and is removed by force; the other one has nothing yet. */
static bool what_was_taken_by_the_gone_is_there(void)
{
    cluster_copies(2);
    cluster_start(1);
    put_all(FOUNDER);
    cluster_kill(FOUNDER);
    cluster_restart_weight(FOUNDER, 1); /* it keeps next to nothing */
    cluster_run_ms(2000);
    assert_int_equal(cluster_begin(), TAKES);
    assert_int_equal(cluster_begin(), LAGS);
    cluster_slow(METHOD_FETCH, LAGS, FOUNDER, 100000);
    for (unsigned ms = 0; !took_all(TAKES); ms += 10) {
        assert_true(ms < 20000);
        cluster_run_ms(10);
    }
    node_id gone = cluster_id(TAKES);
    cluster_kill(TAKES);
    for (unsigned ms = 0; rpc_reachable(cluster_core(FOUNDER), gone); ms += 10) {
        assert_true(ms < 20000);
        cluster_run_ms(10);
    }
    assert_int_equal(cluster_change(FOUNDER, "remove", gone, true, true), TOYSTORE_OK);
    cluster_run_ms(1000);
    assert_false(took_all(LAGS));
    cluster_slow(METHOD_FETCH, LAGS, FOUNDER, 0);
    cluster_run_ms(20000);
    bool there = shows_all(FOUNDER) && shows_all(LAGS);
    cluster_stop();
    cluster_copies(0);
    return there;
}

#ifdef TOYSTORE_BREAKABLE

static void it_is_lost(void **state)
{
    (void)state;
    cluster_break(1 + BROKEN_gone_holds);
    assert_false(what_was_taken_by_the_gone_is_there());
}
#define STORY it_is_lost

#else

static void what_the_gone_have_taken_is_taken_anew(void **state)
{
    (void)state;
    assert_true(what_was_taken_by_the_gone_is_there());
}
#define STORY what_the_gone_have_taken_is_taken_anew

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(STORY)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
