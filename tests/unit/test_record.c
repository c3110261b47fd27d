/* Records and entries: canonical, checked, refused when damaged or newer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "record_random.h"

static struct buf encoded(const struct record *record)
{
    struct buf out = {0};
    record_encode(&out, record);
    return out;
}

static void test_a_record_makes_the_round_trip(void **state)
{
    (void)state;
    struct prng prng;
    prng_seed(&prng, 2);
    for (int i = 0; i < 300; i++) {
        struct arena arena = {0};
        struct record sent, got;
        random_record(&prng, &arena, &sent);
        struct buf first = encoded(&sent);
        assert_int_equal(record_decode(&arena, buf_slice(&first), &got), 0);
        struct buf second = encoded(&got);
        assert_true(slice_equal(buf_slice(&first), buf_slice(&second)));
        assert_int_equal(got.has_register, sent.has_register);
        assert_int_equal(got.sloppy_count, sent.sloppy_count);
        buf_free(&first);
        buf_free(&second);
        arena_free(&arena);
    }
}

static void test_no_record_is_no_bytes(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct record record = {.has_register = true};
    struct buf out = encoded(&(struct record){0});
    assert_int_equal(out.size, 0);
    assert_int_equal(record_decode(&arena, buf_slice(&out), &record), 0);
    assert_false(record.has_register);
    static const uint8_t nothing[] = {0x93, 1, 0xc0, 0x90};
    assert_int_equal(record_decode(&arena, slice_of(nothing, sizeof nothing), &record), -EBADMSG);
    arena_free(&arena);
}

/* Every cut is refused. A flipped bit is refused too, or gives another record: never the same. */
static void test_cuts_and_flips_are_noticed(void **state)
{
    (void)state;
    struct prng prng;
    prng_seed(&prng, 3);
    struct arena arena = {0};
    struct record record, got;
    random_record(&prng, &arena, &record);
    struct buf out = encoded(&record);
    struct blob *bytes = buf_take(&out);
    size_t step = 1 + bytes->size / 300;
    for (size_t size = 1; size < bytes->size; size += step)
        assert_int_equal(record_decode(&arena, slice_of(bytes->data, size), &got), -EBADMSG);
    for (size_t bit = 0; bit < bytes->size * 8; bit += step) {
        uint8_t mask = (uint8_t)(1u << (bit % 8));
        bytes->data[bit / 8] ^= mask;
        if (record_decode(&arena, blob_slice(bytes), &got) == 0) {
            struct buf again = encoded(&got);
            assert_true(slice_equal(buf_slice(&again), blob_slice(bytes)));
            buf_free(&again);
        }
        bytes->data[bit / 8] ^= mask;
    }
    blob_unref(&bytes);
    arena_free(&arena);
}

static void test_a_damaged_value_is_told_from_malformed_bytes(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct record record = {.has_register = true}, got;
    record.reg.version.op.sequence = 1;
    record.reg.version.value = slice_str("the value");
    record.reg.version.checksum = version_checksum(&record.reg.version) + 1;
    struct buf out = encoded(&record);
    assert_int_equal(record_decode(&arena, buf_slice(&out), &got), -EUCLEAN);
    out.blob->data[1] = RECORD_FORMAT + 1;
    assert_int_equal(record_decode(&arena, buf_slice(&out), &got), -EPROTO);
    buf_free(&out);
    arena_free(&arena);
}

static void test_lists_out_of_order_are_refused(void **state)
{
    (void)state;
    struct prng prng;
    prng_seed(&prng, 4);
    struct arena arena = {0};
    struct record record, got;
    do
        random_record(&prng, &arena, &record);
    while (record.sloppy_count < 2);
    struct sloppy first = record.sloppy[0];
    record.sloppy[0] = record.sloppy[1];
    record.sloppy[1] = first;
    struct buf out = encoded(&record);
    assert_int_equal(record_decode(&arena, buf_slice(&out), &got), -EBADMSG);
    buf_free(&out);
    record.sloppy[0] = first; /* twice the same */
    out = encoded(&record);
    assert_int_equal(record_decode(&arena, buf_slice(&out), &got), -EBADMSG);
    buf_free(&out);
    arena_free(&arena);
}

static void test_a_count_of_covers_allocates_nothing_it_has_no_bytes_for(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct record record, got;
    /* [1, nil, an array that claims a hundred million] */
    static const uint8_t bomb[] = {0x93, 1, 0xc0, 0xdd, 0x05, 0xf5, 0xe1, 0x00, 0, 0, 0, 0};
    assert_int_equal(record_decode(&arena, slice_of(bomb, sizeof bomb), &record), -EBADMSG);
    assert_int_equal(record_decode(&arena, slice_of(bomb, 8), &got), -EBADMSG);
    assert_null(arena.blocks);
    arena_free(&arena);
}

static void test_an_entry_makes_the_round_trip(void **state)
{
    (void)state;
    struct prng prng;
    prng_seed(&prng, 5);
    for (int i = 0; i < 100; i++) {
        struct arena arena = {0};
        struct entry sent, got;
        struct buf out = {0};
        random_BALLOT(&prng, &arena, &sent.promised);
        sent.settled = prng_chance(&prng, 1, 2);
        random_BYTES(&prng, &arena, &sent.record);
        buf_append(&out, "before", 6);
        entry_encode(&out, &sent);
        struct slice bytes = slice_of(out.blob->data + 6, out.size - 6);
        struct buf parts = {0};
        entry_encode_head(&parts, &sent);
        buf_append(&parts, sent.record.data, sent.record.size);
        assert_true(slice_equal(buf_slice(&parts), bytes));
        buf_free(&parts);
        assert_int_equal(entry_decode(bytes, &got), 0);
        assert_int_equal(ballot_compare(&sent.promised, &got.promised), 0);
        assert_int_equal(sent.settled, got.settled);
        assert_true(slice_equal(sent.record, got.record));
        buf_free(&out);
        arena_free(&arena);
    }
}

static void test_every_flip_and_cut_of_an_entry_is_damage(void **state)
{
    (void)state;
    struct buf out = {0};
    struct entry got;
    entry_encode(&out, &(struct entry){.settled = true, .record = slice_str("a record")});
    for (size_t bit = 0; bit < out.size * 8; bit++) {
        uint8_t mask = (uint8_t)(1u << (bit % 8));
        out.blob->data[bit / 8] ^= mask;
        assert_int_equal(entry_decode(buf_slice(&out), &got), -EUCLEAN);
        out.blob->data[bit / 8] ^= mask;
    }
    for (size_t size = 0; size < out.size; size++)
        assert_int_equal(entry_decode(slice_of(out.blob->data, size), &got), -EUCLEAN);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_makes_the_round_trip),
        cmocka_unit_test(test_no_record_is_no_bytes),
        cmocka_unit_test(test_cuts_and_flips_are_noticed),
        cmocka_unit_test(test_a_damaged_value_is_told_from_malformed_bytes),
        cmocka_unit_test(test_lists_out_of_order_are_refused),
        cmocka_unit_test(test_a_count_of_covers_allocates_nothing_it_has_no_bytes_for),
        cmocka_unit_test(test_an_entry_makes_the_round_trip),
        cmocka_unit_test(test_every_flip_and_cut_of_an_entry_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
