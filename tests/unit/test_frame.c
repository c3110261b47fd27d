/* Frames: where they end in a stream that comes in pieces, and what they say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "wire/frame.h"
#include "wire/pack.h"

#define BYTES(...) slice_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static struct buf request_frame(uint32_t id)
{
    struct buf out = {0};
    frame_request_head(&out, id, METHOD_GET);
    get_request_encode(&out, &(struct get_request){.view = {1, 2, 3}, .key = slice_str("a/b")});
    return out;
}

static void test_a_request_is_read_back(void **state)
{
    (void)state;
    struct buf out = request_frame(77);
    struct frame frame;
    struct get_request get;
    assert_true(frame_decode(buf_slice(&out), &frame));
    assert_int_equal(frame.type, FRAME_REQUEST);
    assert_int_equal(frame.id, 77);
    assert_int_equal(frame.method, METHOD_GET);
    assert_true(get_request_decode(frame.params, &get));
    assert_true(slice_equal(get.key, slice_str("a/b")));
    buf_free(&out);
}

static void test_answers_and_errors_are_read_back(void **state)
{
    (void)state;
    struct buf out = {0};
    struct frame frame;
    frame_answer_head(&out, 5);
    pack_bool(&out, true);
    assert_true(frame_decode(buf_slice(&out), &frame));
    assert_int_equal(frame.type, FRAME_ANSWER);
    assert_false(frame.failed);
    assert_true(slice_equal(frame.result, BYTES(0xc3)));
    buf_free(&out);

    frame_error(&out, 6, TOYSTORE_TOO_LARGE, "too much");
    assert_true(frame_decode(buf_slice(&out), &frame));
    assert_int_equal(frame.id, 6);
    assert_true(frame.failed);
    assert_int_equal(frame.error_status, TOYSTORE_TOO_LARGE);
    assert_true(slice_equal(frame.error_message, slice_str("too much")));
    buf_free(&out);
}

/* What a reader makes room for, before a large value has come. */
static void test_a_frame_says_how_large_it_is_at_least(void **state)
{
    (void)state;
    struct frame_scanner scanner = {0};
    struct slice head = BYTES(0x93, 2, 0xa1, 'x', 0xc6, 0, 1, 0, 0);
    struct blob *whole = blob_new(head.size + 0x10000);
    memset(whole->data, 0, whole->size);
    memcpy(whole->data, head.data, head.size);
    assert_int_equal(frame_scan(&scanner, slice_of(whole->data, 4)), 0);
    assert_int_equal(frame_scan(&scanner, slice_of(whole->data, head.size + 7)), 0);
    assert_int_equal(scanner.least, whole->size);
    assert_int_equal(frame_scan(&scanner, blob_slice(whole)), whole->size);
    assert_int_equal(scanner.least, 0);
    blob_unref(&whole);
}

static void test_errors_of_other_speakers_are_understood(void **state)
{
    (void)state;
    struct frame frame;
    assert_true(frame_decode(BYTES(0x94, 1, 1, 0xa2, 'n', 'o', 0xc0), &frame));
    assert_true(frame.failed);
    assert_int_equal(frame.error_status, TOYSTORE_INVALID);
    assert_true(slice_equal(frame.error_message, slice_str("no")));
    assert_true(frame_decode(BYTES(0x94, 1, 1, 42, 0xc0), &frame));
    assert_true(frame.failed);
}

static void test_an_unknown_method_keeps_its_name(void **state)
{
    (void)state;
    struct frame frame;
    assert_true(frame_decode(BYTES(0x93, 2, 0xa2, 'h', 'i', 0x90), &frame));
    assert_int_equal(frame.type, FRAME_NOTIFY);
    assert_int_equal(frame.method, METHOD_NONE);
    assert_true(slice_equal(frame.method_name, slice_str("hi")));
}

static void test_what_is_no_frame_is_refused(void **state)
{
    (void)state;
    struct slice wrong[] = {
        BYTES(0x93, 0, 1, 0xa1, 'x'),          /* a request of three */
        BYTES(0x94, 3, 1, 0xa1, 'x', 0x90),    /* no such type */
        BYTES(0x94, 0, 0xff, 0xa1, 'x', 0x90), /* a negative id */
        BYTES(0x94, 0, 1, 7, 0x90),            /* the method is no string */
        BYTES(0x94, 0, 1, 0xa1, 'x', 0x90, 0), /* bytes behind */
        BYTES(0x94, 1, 1, 0x81, 7, 8, 0xc0),   /* an error with a name that is no string */
        BYTES(0x94, 0, 0xcf, 1, 0, 0, 0, 0, 0, 0, 0, 0xa1, 'x', 0x90),
        BYTES(0xc0),
    };
    struct frame frame;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_false(frame_decode(wrong[i], &frame));
}

static void test_frames_are_found_however_they_are_cut(void **state)
{
    (void)state;
    struct buf stream = request_frame(1);
    size_t first = stream.size;
    struct buf second = request_frame(70000);
    buf_append(&stream, second.blob->data, second.size);
    for (size_t step = 1; step <= stream.size; step++) {
        struct frame_scanner scanner = {0};
        size_t begin = 0, frames = 0, arrived = 0;
        while (begin < stream.size) {
            ssize_t size =
                frame_scan(&scanner, slice_of(stream.blob->data + begin, arrived - begin));
            assert_true(size >= 0);
            if (size == 0) {
                assert_true(arrived < stream.size);
                arrived = min_size(arrived + step, stream.size);
                continue;
            }
            assert_int_equal(size, frames == 0 ? first : second.size);
            begin += (size_t)size;
            frames++;
        }
        assert_int_equal(frames, 2);
    }
    buf_free(&stream);
    buf_free(&second);
}

static void test_garbage_and_bombs_end_the_stream_at_once(void **state)
{
    (void)state;
    struct {
        struct slice bytes;
        int error;
    } cases[] = {
        {BYTES('G', 'E', 'T', ' ', '/'), -EBADMSG},
        {BYTES(0xc1), -EBADMSG},
        {BYTES(0x94, 0, 1, 0xc1), -EBADMSG},
        {BYTES(0xdd, 0x05, 0xf5, 0xe1, 0x00), -EBADMSG},
        {BYTES(0x94, 0, 1, 0xa1, 'x', 0xdd, 0x05, 0xf5, 0xe1, 0x00), -EMSGSIZE},
        {BYTES(0x94, 0, 1, 0xc6, 0xff, 0xff, 0xff, 0xff), -EMSGSIZE},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct frame_scanner scanner = {0};
        assert_int_equal(frame_scan(&scanner, cases[i].bytes), cases[i].error);
    }
    uint8_t deep[100];
    memset(deep, 0x93, sizeof deep);
    struct frame_scanner scanner = {0};
    assert_int_equal(frame_scan(&scanner, slice_of(deep, sizeof deep)), -EBADMSG);
}

static void test_the_size_limit_holds_to_the_byte(void **state)
{
    (void)state;
    static uint8_t bytes[FRAME_SIZE_MAX + 1];
    const uint8_t head[] = {0x93, 2, 0xa1, 'x', 0xc6};
    for (size_t more = 0; more < 2; more++) {
        uint32_t size = (uint32_t)(FRAME_SIZE_MAX - sizeof head - 4 + more);
        memcpy(bytes, head, sizeof head);
        for (size_t i = 0; i < 4; i++)
            bytes[sizeof head + i] = (uint8_t)(size >> (24 - 8 * i));
        struct frame_scanner scanner = {0};
        ssize_t found = frame_scan(&scanner, slice_of(bytes, FRAME_SIZE_MAX + more));
        assert_int_equal(found, more ? -EMSGSIZE : FRAME_SIZE_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_is_read_back),
        cmocka_unit_test(test_answers_and_errors_are_read_back),
        cmocka_unit_test(test_a_frame_says_how_large_it_is_at_least),
        cmocka_unit_test(test_errors_of_other_speakers_are_understood),
        cmocka_unit_test(test_an_unknown_method_keeps_its_name),
        cmocka_unit_test(test_what_is_no_frame_is_refused),
        cmocka_unit_test(test_frames_are_found_however_they_are_cut),
        cmocka_unit_test(test_garbage_and_bombs_end_the_stream_at_once),
        cmocka_unit_test(test_the_size_limit_holds_to_the_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
