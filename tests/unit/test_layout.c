/* layout: the ring, balance, zones, weights, and what a change moves.
 */
#include "rules/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/prng.h"

static const uint8_t cluster[CLUSTER_ID_SIZE] = "a test cluster..";

struct spec {
    size_t count;
    struct layout_member members[32];
};

static struct spec spec_of(size_t count)
{
    struct spec spec = {.count = count};
    for (size_t i = 0; i < count; i++)
        spec.members[i] =
            (struct layout_member){.id = 0x9e3779b97f4a7c15u * (i + 1), .weight = 100};
    return spec;
}

static struct layout *make(const struct spec *spec, uint32_t n)
{
    return layout_new(1, cluster, 1024, n, n / 2 + 1, n - n / 2, spec->members, spec->count);
}

static struct layout *make_plain(size_t count, uint32_t n)
{
    struct spec spec = spec_of(count);
    return make(&spec, n);
}

static size_t count_owned(const struct layout *layout, node_id id)
{
    return layout_gains(NULL, layout, id, NULL);
}

static void owners_lead_the_rank_and_differ(void **state)
{
    (void)state;
    for (size_t members = 1; members <= 6; members++) {
        struct layout *layout = make_plain(members, 3);
        for (uint32_t p = 0; p < layout->partitions; p++) {
            node_id owners[REPLICAS_MAX], ranked[8];
            size_t n = layout_owners(layout, p, owners);
            assert_int_equal(n, members < 3 ? members : 3);
            assert_int_equal(layout_rank(layout, p, ranked, 8), members);
            assert_memory_equal(owners, ranked, n * sizeof *owners);
            for (size_t i = 0; i < members; i++)
                for (size_t j = 0; j < i; j++)
                    assert_true(ranked[i] != ranked[j]);
        }
        layout_free(layout);
    }
}

struct failures {
    const struct layout *layout;
    unsigned mask;
};

static bool failed(void *arg, node_id id)
{
    const struct failures *failures = arg;
    size_t index = (size_t)(layout_find(failures->layout, id) - failures->layout->members);
    return (failures->mask >> index & 1) != 0;
}

/* It ends for every subset of failures, with fewer members than N too; every
 * owner has a target or there is nobody left; no member serves twice; asking twice changes nothing.
 */
static void check_targets(struct failures *failures, uint32_t partition)
{
    struct layout_target targets[REPLICAS_MAX], again[REPLICAS_MAX];
    node_id owners[REPLICAS_MAX];
    size_t n = layout_owners(failures->layout, partition, owners);
    assert_int_equal(layout_targets(failures->layout, partition, failed, failures, targets), n);
    size_t alive = failures->layout->member_count - (size_t)__builtin_popcount(failures->mask);
    size_t served = 0;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(targets[i].owner, owners[i]);
        if (targets[i].target == 0)
            continue;
        served++;
        assert_false(failed(failures, targets[i].target));
        assert_true(failed(failures, owners[i]) || targets[i].target == owners[i]);
        for (size_t j = 0; j < i; j++)
            assert_true(targets[i].target != targets[j].target);
    }
    assert_int_equal(served, min_size(n, alive));
    layout_targets(failures->layout, partition, failed, failures, again);
    assert_memory_equal(targets, again, n * sizeof *targets);
}

static void every_subset_of_failures_has_targets(void **state)
{
    (void)state;
    for (size_t members = 1; members <= 6; members++) {
        struct failures failures = {.layout = make_plain(members, 3)};
        for (failures.mask = 0; failures.mask < 1u << members; failures.mask++)
            for (uint32_t p = 0; p < 1024; p += 11)
                check_targets(&failures, p);
        layout_free((struct layout *)(uintptr_t)failures.layout);
    }
}

static void fallbacks_come_in_rank_order(void **state)
{
    (void)state;
    struct failures failures = {.layout = make_plain(6, 3)};
    for (uint32_t p = 0; p < 1024; p++) {
        node_id ranked[6];
        struct layout_target targets[REPLICAS_MAX];
        layout_rank(failures.layout, p, ranked, 6);
        size_t first = (size_t)(layout_find(failures.layout, ranked[0]) - failures.layout->members);
        failures.mask = 1u << first;
        layout_targets(failures.layout, p, failed, &failures, targets);
        assert_int_equal(targets[0].target, ranked[3]);
        assert_int_equal(targets[1].target, ranked[1]);
    }
    layout_free((struct layout *)(uintptr_t)failures.layout);
}

static void shares_are_near_the_ideal(void **state)
{
    (void)state;
    struct layout *layout = make_plain(8, 3);
    double ideal = 1024.0 * 3 / 8;
    for (size_t i = 0; i < 8; i++) {
        double share = (double)count_owned(layout, layout->members[i].id);
        assert_true(share > ideal * 0.85 && share < ideal * 1.15);
    }
    layout_free(layout);
}

static void a_join_moves_its_own_share_alone(void **state)
{
    (void)state;
    struct spec spec = spec_of(9);
    spec.count = 8;
    struct layout *before = make(&spec, 3);
    spec.count = 9;
    struct layout *after = make(&spec, 3);
    size_t moved = 0, gained = 0;
    for (size_t i = 0; i < 9; i++) {
        size_t gains = layout_gains(before, after, spec.members[i].id, NULL);
        moved += gains;
        if (i == 8)
            gained = gains;
    }
    assert_int_equal(moved, gained); /* nobody else gains anything */
    assert_true(gained > 1024 * 3 / 9 * 85 / 100 && gained < 1024 * 3 / 9 * 115 / 100);
    layout_free(before);
    layout_free(after);
}

static void a_leave_spreads_what_was_left(void **state)
{
    (void)state;
    struct spec spec = spec_of(6);
    struct layout *before = make(&spec, 3);
    node_id gone = spec.members[5].id;
    size_t had = count_owned(before, gone);
    spec.count = 5;
    struct layout *after = make(&spec, 3);
    size_t moved = 0;
    for (size_t i = 0; i < 5; i++) {
        size_t gains = layout_gains(before, after, spec.members[i].id, NULL);
        assert_true(gains > had / 5 / 2 && gains < had / 5 * 2);
        moved += gains;
    }
    assert_int_equal(moved, had);
    layout_free(before);
    layout_free(after);
}

static void gains_are_told_by_partition(void **state)
{
    (void)state;
    struct layout *before = make_plain(4, 3), *after = make_plain(5, 3);
    uint8_t bitmap[128];
    node_id id = spec_of(5).members[4].id;
    size_t gains = layout_gains(before, after, id, bitmap), bits = 0;
    for (uint32_t p = 0; p < 1024; p++) {
        bool gained = (bitmap[p / 8] >> (p % 8) & 1) != 0;
        bits += gained;
        assert_int_equal(gained, layout_owns(after, p, id) && !layout_owns(before, p, id));
    }
    assert_int_equal(bits, gains);
    layout_free(before);
    layout_free(after);
}

static void weights_divide_the_ring(void **state)
{
    (void)state;
    struct spec spec = spec_of(10);
    spec.members[3].weight = 200;
    spec.members[7].weight = 50;
    struct layout *layout = make(&spec, 1);
    double unit = 1024 / 10.5;
    double heavy = (double)count_owned(layout, spec.members[3].id);
    double light = (double)count_owned(layout, spec.members[7].id);
    assert_true(heavy > 2 * unit * 0.8 && heavy < 2 * unit * 1.2);
    assert_true(light > unit / 2 * 0.6 && light < unit / 2 * 1.4);
    layout_free(layout);
}

static void owners_stand_in_different_zones(void **state)
{
    (void)state;
    for (unsigned zones = 2; zones <= 4; zones++) {
        struct spec spec = spec_of(9);
        for (unsigned i = 0; i < 9; i++)
            spec.members[i].zone[0] = (char)('a' + i % zones);
        struct layout *layout = make(&spec, 3);
        for (uint32_t p = 0; p < 1024; p++) {
            node_id owners[REPLICAS_MAX];
            unsigned seen = 0;
            size_t n = layout_owners(layout, p, owners);
            for (size_t i = 0; i < n; i++)
                seen |= 1u << (layout_find(layout, owners[i])->zone[0] - 'a');
            assert_int_equal(__builtin_popcount(seen), zones < 3 ? zones : 3);
        }
        layout_free(layout);
    }
}

static void shuffled_lists_give_equal_rings(void **state)
{
    (void)state;
    struct prng prng;
    prng_seed(&prng, 7);
    struct spec spec = spec_of(12);
    struct layout *first = make(&spec, 3);
    for (int round = 0; round < 10; round++) {
        for (size_t i = 11; i > 0; i--) {
            size_t j = prng_below(&prng, i + 1);
            struct layout_member held = spec.members[i];
            spec.members[i] = spec.members[j];
            spec.members[j] = held;
        }
        struct layout *other = make(&spec, 3);
        assert_memory_equal(first->owners, other->owners, 1024 * 3 * sizeof *first->owners);
        layout_free(other);
    }
    layout_free(first);
}

static void bytes_keep_a_layout(void **state)
{
    (void)state;
    struct spec spec = spec_of(5);
    strcpy(spec.members[2].zone, "cellar");
    spec.members[4].gone = true;
    struct layout *layout = make(&spec, 3);
    struct buf bytes = {0};
    layout_encode(&bytes, layout);
    struct layout *copy = layout_decode(buf_slice(&bytes));
    assert_non_null(copy);
    assert_int_equal(copy->member_count, 5);
    assert_memory_equal(copy->members, layout->members, 5 * sizeof *copy->members);
    assert_memory_equal(copy->owners, layout->owners, 1024 * 3 * sizeof *copy->owners);
    assert_int_equal(copy->w, layout->w);
    layout_free(copy);
    for (size_t cut = 0; cut < bytes.size; cut++)
        assert_null(layout_decode(slice_of(bytes.blob->data, cut)));
    buf_free(&bytes);
    layout_free(layout);
}

static void partitions_cut_the_hash_space(void **state)
{
    (void)state;
    for (uint32_t q = 1; q <= 4096; q = q * 3 + 1)
        for (uint32_t p = 0; p < q; p++) {
            struct hash128 token;
            assert_true(partition_first_token(p, q, &token));
            assert_int_equal(partition_of(&token, q), p);
            if (p == 0)
                continue;
            for (int i = 7; i >= 0 && token.bytes[i]-- == 0; i--)
                ;
            assert_int_equal(partition_of(&token, q), p - 1);
        }
    struct hash128 token;
    assert_false(partition_first_token(16, 16, &token));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(owners_lead_the_rank_and_differ),
        cmocka_unit_test(every_subset_of_failures_has_targets),
        cmocka_unit_test(fallbacks_come_in_rank_order),
        cmocka_unit_test(shares_are_near_the_ideal),
        cmocka_unit_test(a_join_moves_its_own_share_alone),
        cmocka_unit_test(a_leave_spreads_what_was_left),
        cmocka_unit_test(gains_are_told_by_partition),
        cmocka_unit_test(weights_divide_the_ring),
        cmocka_unit_test(owners_stand_in_different_zones),
        cmocka_unit_test(shuffled_lists_give_equal_rings),
        cmocka_unit_test(bytes_keep_a_layout),
        cmocka_unit_test(partitions_cut_the_hash_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
