/* electorate: quorums that must meet do, by trying every pair of sets. */
#include "rules/electorate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const uint8_t cluster[CLUSTER_ID_SIZE] = "a test cluster..";

static struct layout *make(uint32_t number, uint32_t first_id, uint32_t count, uint32_t n,
                           uint32_t w, uint32_t r)
{
    struct layout_member members[16] = {{0}};
    for (uint32_t i = 0; i < count; i++)
        members[i] = (struct layout_member){.id = first_id + i, .weight = 100};
    return layout_new(number, cluster, 8, n, w, r, members, count);
}

/* Does every set that is quorum `a` share an owner with every set that is quorum `b`? */
static bool always_meet(const struct electorate *e, enum quorum a, enum quorum b)
{
    uint32_t all = electorate_all(e);
    for (uint32_t x = 0; x <= all; x++)
        for (uint32_t y = 0; y <= all; y++)
            if ((x & y) == 0 && electorate_has(e, x, a) && electorate_has(e, y, b))
                return false;
    return true;
}

static void quorums_meet_for_every_n_w_r(void **state)
{
    (void)state;
    for (uint32_t members = 1; members <= 5; members++)
        for (uint32_t n = 1; n <= 5; n++)
            for (uint32_t w = 1; w <= n; w++)
                for (uint32_t r = 1; r <= n; r++) {
                    struct layout *layout = make(1, 1, members, n, w, r);
                    struct electorate e;
                    electorate_init(&e, layout, layout, 3, 0, 0);
                    unsigned q = e.layouts[0].q, owners = e.layouts[0].n;
                    assert_int_equal(owners, min_size(n, members));
                    assert_true(always_meet(&e, QUORUM_MAJORITY, QUORUM_ACCEPT));
                    assert_true(always_meet(&e, QUORUM_MAJORITY, QUORUM_MAJORITY));
                    assert_int_equal(always_meet(&e, QUORUM_READ, QUORUM_ACCEPT),
                                     e.layouts[0].r + q > owners);
                    assert_true(always_meet(&e, QUORUM_READ, QUORUM_SHOW));
                    assert_true(always_meet(&e, QUORUM_MEET, QUORUM_READ));
                    assert_true(always_meet(&e, QUORUM_MEET, QUORUM_ACCEPT));
                    assert_true(always_meet(&e, QUORUM_MEET, QUORUM_MAJORITY));
                    assert_true(always_meet(&e, QUORUM_MEET, QUORUM_SHOW));
                    layout_free(layout);
                }
}

static void fewer_members_than_n_keep_reads_true(void **state)
{
    (void)state;
    struct layout *layout = make(1, 1, 2, 3, 2, 2);
    struct electorate e;
    electorate_init(&e, layout, layout, 0, 0, 0);
    assert_int_equal(e.layouts[0].w, 2);
    assert_int_equal(e.layouts[0].r, 1); /* two survive one death for reads */
    assert_int_equal(e.layouts[0].f, 2);
    assert_int_equal(e.layouts[0].show, 2);
    layout_free(layout);
}

static void a_request_raises_w_and_may_lower_r(void **state)
{
    (void)state;
    struct layout *layout = make(1, 1, 5, 5, 3, 3);
    struct electorate e;
    electorate_init(&e, layout, layout, 0, 5, 1);
    assert_int_equal(e.layouts[0].q, 5);
    assert_int_equal(e.layouts[0].r, 1);
    assert_int_equal(e.layouts[0].show, 3); /* what others read does not change */
    electorate_init(&e, layout, layout, 0, 1, 0);
    assert_int_equal(e.layouts[0].q, 3);
    layout_free(layout);
}

static void joint_views_need_both_layouts(void **state)
{
    (void)state;
    struct layout *old = make(1, 1, 3, 3, 2, 2), *new = make(2, 3, 3, 3, 2, 2);
    struct electorate e;
    electorate_init(&e, old, new, 0, 0, 0);
    assert_int_equal(e.layout_count, 2);
    assert_int_equal(e.member_count, 5); /* 3 is in both */
    assert_int_equal(e.layouts[0].number, 1);
    for (uint32_t mask = 0; mask <= electorate_all(&e); mask++) {
        bool both = __builtin_popcount(mask & e.layouts[0].mask) >= 2 &&
                    __builtin_popcount(mask & e.layouts[1].mask) >= 2;
        assert_int_equal(electorate_has(&e, mask, QUORUM_ACCEPT), both);
        assert_int_equal(electorate_can(&e, 0, mask, QUORUM_ACCEPT), both);
    }
    assert_int_equal(electorate_index(&e, 99), -1);
    layout_free(old);
    layout_free(new);
}

static void the_gone_do_not_block(void **state)
{
    (void)state;
    struct layout_member members[3] = {{.id = 1, .weight = 1, .gone = true},
                                       {.id = 2, .weight = 1, .gone = true},
                                       {.id = 3, .weight = 1}};
    struct layout *layout = layout_new(1, cluster, 8, 3, 2, 2, members, 3);
    struct electorate e;
    electorate_init(&e, layout, layout, 0, 0, 0);
    uint32_t left = 1u << electorate_index(&e, 3);
    assert_true(electorate_has(&e, left, QUORUM_ACCEPT));
    assert_true(electorate_has(&e, left, QUORUM_MEET));
    assert_false(electorate_has(&e, 0, QUORUM_READ));
    layout_free(layout);
}

static void all_members_choose_the_next_layout(void **state)
{
    (void)state;
    struct layout *layout = make(4, 1, 7, 3, 2, 2);
    struct electorate e;
    electorate_init_members(&e, layout, 0);
    assert_int_equal(e.member_count, 7);
    assert_true(electorate_has(&e, 0x0f, QUORUM_ACCEPT));
    assert_false(electorate_has(&e, 0x07, QUORUM_ACCEPT));
    assert_true(always_meet(&e, QUORUM_READ, QUORUM_ACCEPT));
    layout_free(layout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quorums_meet_for_every_n_w_r),
        cmocka_unit_test(fewer_members_than_n_keep_reads_true),
        cmocka_unit_test(a_request_raises_w_and_may_lower_r),
        cmocka_unit_test(joint_views_need_both_layouts),
        cmocka_unit_test(the_gone_do_not_block),
        cmocka_unit_test(all_members_choose_the_next_layout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
