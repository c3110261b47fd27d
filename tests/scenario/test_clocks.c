/* Wall clocks that are wrong decide nothing. */
#include "cluster.h"
#include "core/swim/swim_priv.h"

#define SECONDS (1000000ll)
#define DAY     (86400ll * SECONDS)

/* Exclusive: a put that could not be made so would else become a sloppy one, and be OK. */
static enum toystore_status put(unsigned node, const char *key, const char *value)
{
    struct toystore_request request = put_request_of(key, value);
    request.exclusive = true;
    return cluster_call(node, &request)->status;
}

/* The clock of a fresh process of `node`, as a put of it shows. */
static uint64_t time_of_put(unsigned node, const char *key)
{
    assert_int_equal(put(node, key, "x"), TOYSTORE_OK);
    const struct toystore_result *result = cluster_get(node, key);
    assert_int_equal(result->status, TOYSTORE_OK);
    return result->versions[0].time_us;
}

/* Once 16 sessions have written, the time of the oldest op is the floor that others must be above.
 */
static void a_key_that_was_written_far_ahead_can_be_written(int64_t ahead_us)
{
    struct entry entry;
    struct record record;
    cluster_start(3);
    cluster_clock(2, ahead_us);
    assert_int_equal(put(2, "k", "ahead"), TOYSTORE_OK);
    for (int session = 0; session < 20; session++) {
        cluster_kill(1);
        cluster_restart(1);
        cluster_run_ms(1000);
        assert_int_equal(put(1, "k", "after"), TOYSTORE_OK);
        assert_true(shows(cluster_get(0, "k"), "after"));
    }
    assert_true(cluster_stored(0, "k", &entry, &record));
    assert_true(record.reg.floor > time_of_put(1, "here")); /* else this tests nothing */
    cluster_clock(2, 0);
    uint64_t there = time_of_put(2, "there"), here = time_of_put(1, "here");
    assert_true(here < there + 10 * SECONDS); /* nobody has followed the clock that was wrong */
    cluster_stop();
}

static void ten_minutes_apart(void **state)
{
    (void)state;
    a_key_that_was_written_far_ahead_can_be_written(600 * SECONDS);
}

static void a_day_apart(void **state)
{
    (void)state;
    a_key_that_was_written_far_ahead_can_be_written(DAY);
}

static void nobody_follows_a_clock_far_ahead(void **state)
{
    (void)state;
    cluster_start(3);
    uint64_t before = time_of_put(0, "before");
    cluster_clock(2, DAY);
    for (int session = 0; session < 20; session++) {
        cluster_kill(2);
        cluster_restart(2);
        cluster_run_ms(1000);
        assert_int_equal(put(2, "k", "ahead"), TOYSTORE_OK);
    }
    assert_int_equal(put(0, "k", "here"), TOYSTORE_OK); /* goes above the floor */
    uint64_t passed_us = 40 * SECONDS;
    assert_in_range(time_of_put(0, "after"), before, before + passed_us);
    assert_in_range(time_of_put(1, "after"), before, before + passed_us);
    cluster_stop();
}

/* Clocks that jump while puts go on, to and fro, hold up nothing. */
static void clocks_that_jump_change_nothing(void **state)
{
    (void)state;
    static const int64_t jumps[] = {DAY, -DAY, 600 * SECONDS, -600 * SECONDS, 40 * DAY, 0};
    cluster_start(3);
    for (unsigned i = 0; i < 36; i++) {
        char value[] = {(char)('a' + i % 26), (char)('A' + i / 26), 0};
        cluster_clock(i % 3, jumps[i % 6]);
        uint64_t begin = cluster_now_us();
        assert_int_equal(put(i % 3, "k", value), TOYSTORE_OK);
        assert_true(shows(cluster_get((i + 1) % 3, "k"), value));
        assert_true(cluster_now_us() - begin < SECONDS);
        cluster_run_ms(200);
        for (unsigned node = 0; node < 3; node++)
            assert_int_equal(members_alive_count(cluster_core(node)), 3);
    }
    cluster_stop();
}

static bool told(unsigned node, unsigned of)
{
    struct core *core = cluster_core(node);
    for (size_t i = 1; i < members_count(core); i++)
        if (members_at(core, i)->id == cluster_id(of))
            return swim_clock_wrong(core, i);
    return false;
}

static void a_clock_far_ahead_is_told(void **state)
{
    (void)state;
    cluster_start(3);
    cluster_run_ms(3000);
    assert_false(told(0, 2) || told(2, 0));
    cluster_clock(2, 8 * SECONDS);
    cluster_run_ms(3000);
    assert_true(told(0, 2) && told(1, 2));
    assert_false(told(2, 0) || told(0, 1));
    cluster_clock(2, 0);
    cluster_run_ms(3000);
    assert_false(told(0, 2) || told(1, 2));
    cluster_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_minutes_apart),
        cmocka_unit_test(a_day_apart),
        cmocka_unit_test(nobody_follows_a_clock_far_ahead),
        cmocka_unit_test(clocks_that_jump_change_nothing),
        cmocka_unit_test(a_clock_far_ahead_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
