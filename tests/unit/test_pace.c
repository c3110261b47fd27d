/* Work that can wait gives way where it meets others, and goes fast where it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/state/pace.h"

enum { MOST = 8, QUICK_US = 300, SLOW_US = 20000 };

static struct pace pace;
static uint64_t now_us;

static void take(unsigned pieces, uint64_t took_us)
{
    for (unsigned i = 0; i < pieces; i++) {
        now_us += took_us;
        pace_took(&pace, now_us, took_us, MOST);
    }
}

static int setup(void **state)
{
    (void)state;
    pace = (struct pace){0};
    now_us = 1000000;
    return 0;
}

static void alone_it_goes_as_fast_as_it_may(void **state)
{
    (void)state;
    assert_in_range(pace_window(&pace, MOST), 1, 2);
    take(100, QUICK_US);
    assert_int_equal(pace_window(&pace, MOST), MOST);
    assert_true(pace.not_before_us <= now_us);
}

static void it_gives_way_until_it_pauses(void **state)
{
    (void)state;
    take(100, QUICK_US);
    take(50, SLOW_US);
    assert_int_equal(pace_window(&pace, MOST), 1);
    assert_true(pace.not_before_us > now_us + SLOW_US);     /* rests longer than it works */
    assert_true(pace.not_before_us < now_us + 4 * SLOW_US); /* but goes on */
}

static void it_comes_back_when_nobody_waits_any_more(void **state)
{
    (void)state;
    take(100, QUICK_US);
    take(50, SLOW_US);
    take(200, QUICK_US);
    assert_int_equal(pace_window(&pace, MOST), MOST);
}

/* Larger pieces, a slower line: what was the least once does not count for ever. */
static void what_is_usual_is_learned_anew(void **state)
{
    (void)state;
    take(10, QUICK_US);
    take(20000, SLOW_US);
    assert_int_equal(pace_window(&pace, MOST), MOST);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(alone_it_goes_as_fast_as_it_may),
        TEST(it_gives_way_until_it_pauses),
        TEST(it_comes_back_when_nobody_waits_any_more),
        TEST(what_is_usual_is_learned_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
