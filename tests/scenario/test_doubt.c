/* A layout changes while a key has accepts that no quorum had: which of them wins is decided before
 * the new owners hold it, and stays so (PROTOCOL 7 hold). */
#include <stdio.h>

#include "cluster.h"

enum { NEWCOMER = 0, FIRST, SECOND, THIRD, MEMBERS };

/* A key that all but NEWCOMER own, in this order. */
static void find_key(char *ret_key, size_t size)
{
    unsigned owners[CLUSTER_MAX];
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(ret_key, size, "k%u", i);
        if (cluster_owners(ret_key, owners) == 3 && owners[0] == FIRST && owners[1] == SECOND)
            return;
    }
    fail_msg("no key has these owners");
}

static void ask_if_absent(unsigned node, const char *key, const char *value)
{
    struct toystore_request put = put_request_of(key, value);
    put.condition = TOYSTORE_IF_ABSENT;
    put.exclusive = true;
    put.strict = 1;
    cluster_ask(node, &put);
}

static bool has_register(unsigned node, const char *key)
{
    struct entry entry;
    struct record record;
    return cluster_stored(node, key, &entry, &record) && record.has_register;
}

/* It dies before anybody else has heard of its accept. */
static void accept_alone(unsigned node, const char *key, const char *value)
{
    cluster_lose(METHOD_PUT, true);
    ask_if_absent(node, key, value);
    for (unsigned ms = 0; !has_register(node, key); ms++) {
        assert_true(ms < 10000);
        cluster_run_ms(1);
    }
    cluster_kill(node);
    cluster_lose(METHOD_PUT, false);
}

static bool one_layout(unsigned node, uint32_t number)
{
    const struct core *core = cluster_core(node);
    return view_oldest(core) == view_newest(core) && view_newest(core)->number >= number;
}

/* `early` at FIRST alone; `late`, with a higher ballot that THIRD has promised, at SECOND alone,
 * which is away. THIRD leaves, and NEWCOMER takes from FIRST and from it. The two that hold show
 * `early` then, and one that promised something else is no owner any more. */
static bool stays_decided(void)
{
    char key[16], winner[16];
    cluster_start(MEMBERS);
    find_key(key, sizeof key);
    uint32_t number = view_newest(cluster_core(THIRD))->number;
    accept_alone(FIRST, key, "early");
    cluster_run_ms(5000); /* SECOND leads */
    accept_alone(SECOND, key, "late");

    cluster_lose(METHOD_LEAD, true); /* nobody settles it beforehand, as a new leader does */
    cluster_cut(FIRST, THIRD);
    cluster_restart(FIRST);
    cluster_run_ms(100);
    assert_int_equal(cluster_change(THIRD, "leave", 0, false, false), TOYSTORE_OK);
    cluster_run_ms(3000);
    cluster_heal();
    for (unsigned ms = 0; !one_layout(FIRST, number + 1); ms++) {
        assert_true(ms < 10000);
        cluster_run_ms(1);
    }
    const struct toystore_result *result = cluster_get(FIRST, key);
    assert_int_equal(result->status, TOYSTORE_OK);
    snprintf(winner, sizeof winner, "%.*s", (int)result->versions[0].value.size,
             (const char *)result->versions[0].value.data);

    cluster_lose(METHOD_LEAD, false);
    cluster_restart(SECOND);
    cluster_run_ms(8000);
    bool stays = shows(cluster_get(FIRST, key), winner) && shows(cluster_get(SECOND, key), winner);
    cluster_stop();
    return stays;
}

#ifdef TOYSTORE_BREAKABLE

static void a_hold_that_copies_makes_two_winners(void **state)
{
    (void)state;
    cluster_break(1 + BROKEN_hold_copies);
    assert_false(stays_decided());
}

#define STORY a_hold_that_copies_makes_two_winners

#else

static void what_no_quorum_accepted_is_decided_before_it_moves(void **state)
{
    (void)state;
    assert_true(stays_decided());
}

#define STORY what_no_quorum_accepted_is_decided_before_it_moves

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(STORY)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
