/* The codec: what was written is read back; what is malformed is refused, at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "wire/cursor.h"
#include "wire_random.h"

enum { ROUNDS = 50 };

#define BYTES(...) slice_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Encoding what was decoded gives the same bytes: equal by content, without a compare per field. */
#define WIRE_STRUCT(name)                                                                          \
    static void round_trip_##name(struct prng *prng)                                               \
    {                                                                                              \
        struct arena arena = {0};                                                                  \
        struct buf first = {0}, second = {0};                                                      \
        struct name sent = {0}, got = {0};                                                         \
        random_##name(prng, &arena, &sent);                                                        \
        name##_encode(&first, &sent);                                                              \
        struct slice bytes = buf_slice(&first);                                                    \
        assert_true(name##_decode(bytes, &got));                                                   \
        name##_encode(&second, &got);                                                              \
        assert_true(slice_equal(bytes, buf_slice(&second)));                                       \
        size_t step = 1 + bytes.size / 500;                                                        \
        for (size_t size = 0; size < bytes.size; size += step)                                     \
            assert_false(name##_decode(slice_of(bytes.data, size), &got));                         \
        buf_append(&first, "", 1);                                                                 \
        assert_false(name##_decode(buf_slice(&first), &got));                                      \
        buf_free(&first);                                                                          \
        buf_free(&second);                                                                         \
        arena_free(&arena);                                                                        \
    }
STRUCTS(WIRE_STRUCT)
#undef WIRE_STRUCT

static void test_every_message_makes_the_round_trip(void **state)
{
    (void)state;
    struct prng prng;
    prng_seed(&prng, 1);
    for (int i = 0; i < ROUNDS; i++) {
#define WIRE_STRUCT(name) round_trip_##name(&prng);
        STRUCTS(WIRE_STRUCT)
#undef WIRE_STRUCT
    }
}

static void test_a_longer_array_is_accepted_a_shorter_refused(void **state)
{
    (void)state;
    struct raise_item item;
    assert_true(raise_item_decode(BYTES(0x94, 1, 2, 0xc2, 0x91, 0xc0), &item));
    assert_int_equal(item.partition, 1);
    assert_int_equal(item.epoch, 2);
    assert_false(raise_item_decode(BYTES(0x92, 1, 2), &item));
    assert_false(raise_item_decode(BYTES(0x93, 1, 0xc0, 0xc2), &item));
    assert_false(raise_item_decode(BYTES(0x93, 1, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0, 0xc2), &item));
}

static void test_a_count_without_bytes_is_refused(void **state)
{
    (void)state;
    struct slice bombs[] = {
        BYTES(0xdd, 0x05, 0xf5, 0xe1, 0x00),
        BYTES(0xdf, 0x05, 0xf5, 0xe1, 0x00),
        BYTES(0xdf, 0xff, 0xff, 0xff, 0xff),
        BYTES(0xc6, 0xff, 0xff, 0xff, 0xff),
        BYTES(0xdb, 0xff, 0xff, 0xff, 0xff),
        BYTES(0xc9, 0xff, 0xff, 0xff, 0xff, 0x01),
        BYTES(0xc1),
        BYTES(0x92, 0xc0),
    };
    for (size_t i = 0; i < ARRAY_COUNT(bombs); i++) {
        struct cursor cursor = cursor_of(bombs[i]);
        assert_false(cursor_skip(&cursor, NULL));
        assert_true(cursor.bad);
        cursor = cursor_of(BYTES(0xc0));
        cursor.bad = true;
        assert_false(cursor_nil(&cursor));
    }
}

static void test_nesting_is_bounded(void **state)
{
    (void)state;
    uint8_t deep[WIRE_DEPTH_MAX + 2];
    memset(deep, 0x91, sizeof deep);
    deep[WIRE_DEPTH_MAX] = 0xc0;
    struct cursor cursor = cursor_of(slice_of(deep, WIRE_DEPTH_MAX + 1));
    assert_true(cursor_skip(&cursor, NULL));
    deep[WIRE_DEPTH_MAX] = 0x91;
    deep[WIRE_DEPTH_MAX + 1] = 0xc0;
    cursor = cursor_of(slice_of(deep, WIRE_DEPTH_MAX + 2));
    assert_false(cursor_skip(&cursor, NULL));
}

static void test_numbers_keep_their_sign_and_their_range(void **state)
{
    (void)state;
    static const int64_t numbers[] = {0,     1,         127,       128,       -1,       -32,
                                      -33,   -128,      -129,      32767,     -32768,   -32769,
                                      65536, INT32_MIN, INT32_MAX, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        struct buf buf = {0};
        int64_t got = 0;
        pack_i64(&buf, numbers[i]);
        struct cursor cursor = cursor_of(buf_slice(&buf));
        cursor.canonical = true;
        assert_true(cursor_i64(&cursor, &got));
        assert_true(got == numbers[i]);
        buf_free(&buf);
    }
    struct cursor cursor = cursor_of(BYTES(0xcf, 0xff, 0, 0, 0, 0, 0, 0, 0));
    int64_t got;
    assert_false(cursor_i64(&cursor, &got));
    cursor = cursor_of(BYTES(0xff));
    uint64_t positive;
    assert_false(cursor_u64(&cursor, &positive));
}

static void test_a_canonical_cursor_wants_the_shortest_form(void **state)
{
    (void)state;
    struct slice longer[] = {
        BYTES(0xcc, 0x7f),          BYTES(0xcd, 0x00, 0xff), BYTES(0xce, 0, 0, 0xff, 0xff),
        BYTES(0xd0, 0x01),          BYTES(0xd1, 0xff, 0xff), BYTES(0xdc, 0x00, 0x01, 0xc0),
        BYTES(0xc5, 0x00, 0x01, 1), BYTES(0xd9, 0x01, 'a'),
    };
    for (size_t i = 0; i < ARRAY_COUNT(longer); i++) {
        struct cursor cursor = cursor_of(longer[i]);
        assert_true(cursor_skip(&cursor, NULL));
        cursor = cursor_of(longer[i]);
        cursor.canonical = true;
        assert_false(cursor_skip(&cursor, NULL));
    }
}

static void test_methods_are_found_by_name(void **state)
{
    (void)state;
    for (int i = METHOD_NONE + 1; i < METHOD_COUNT; i++) {
        const char *name = wire_method_name((enum wire_method)i);
        assert_int_equal(wire_method_find(slice_str(name)), i);
    }
    assert_int_equal(wire_method_find(slice_str("")), METHOD_NONE);
    assert_int_equal(wire_method_find(slice_str("get")), METHOD_NONE);
}

static void test_statuses_have_words(void **state)
{
    (void)state;
    assert_string_equal(toystore_status_word(TOYSTORE_NOT_FOUND), "NOT-FOUND");
    assert_string_equal(toystore_status_meaning(TOYSTORE_OK), "done");
    assert_string_equal(toystore_status_word((enum toystore_status)250), "INVALID");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_message_makes_the_round_trip),
        cmocka_unit_test(test_a_longer_array_is_accepted_a_shorter_refused),
        cmocka_unit_test(test_a_count_without_bytes_is_refused),
        cmocka_unit_test(test_nesting_is_bounded),
        cmocka_unit_test(test_numbers_keep_their_sign_and_their_range),
        cmocka_unit_test(test_a_canonical_cursor_wants_the_shortest_form),
        cmocka_unit_test(test_methods_are_found_by_name),
        cmocka_unit_test(test_statuses_have_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
