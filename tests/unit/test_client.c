/* The four methods for any MessagePack-RPC client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "wire/client.h"
#include "wire/frame.h"
#include "wire/pack.h"

struct fixture {
    struct buf params;
    struct client_request got;
    char error[200];
};

static int setup(void **state)
{
    *state = base_alloc(sizeof(struct fixture));
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    buf_free(&f->params);
    free(f);
    return 0;
}

static void text(struct fixture *f, const char *value)
{
    pack_text(&f->params, slice_str(value));
}

static enum toystore_status decode(struct fixture *f, enum wire_method method)
{
    memset(f->error, 0, sizeof f->error);
    return client_decode(method, buf_slice(&f->params), &f->got, f->error, sizeof f->error);
}

static bool is(struct toystore_bytes bytes, const char *value)
{
    return slice_equal(slice_of(bytes.data, bytes.size), slice_str(value));
}

static void test_a_put_takes_str_and_bin_and_no_options(void **state)
{
    struct fixture *f = *state;
    pack_array(&f->params, 2);
    text(f, "users/alice");
    pack_bytes(&f->params, slice_str("hi"));
    assert_int_equal(decode(f, METHOD_COORDINATE_PUT), TOYSTORE_OK);
    assert_int_equal(f->got.request.type, TOYSTORE_PUT);
    assert_int_equal(f->got.request.change, TOYSTORE_SET_VALUE);
    assert_int_equal(f->got.request.condition, TOYSTORE_ALWAYS);
    assert_true(is(f->got.request.key, "users/alice"));
    assert_true(is(f->got.request.value, "hi"));
}

static void test_options_are_taken(void **state)
{
    struct fixture *f = *state;
    pack_array(&f->params, 3);
    text(f, "k");
    text(f, "v");
    pack_map(&f->params, 4);
    text(f, "strict");
    pack_bool(&f->params, true);
    text(f, "w");
    pack_u64(&f->params, 3);
    text(f, "durable");
    pack_bool(&f->params, true);
    text(f, "if_absent");
    pack_bool(&f->params, true);
    assert_int_equal(decode(f, METHOD_COORDINATE_PUT), TOYSTORE_OK);
    assert_int_equal(f->got.request.w, 3);
    assert_true(f->got.request.durable);
    assert_int_equal(f->got.request.strict, 1);
    assert_int_equal(f->got.request.condition, TOYSTORE_IF_ABSENT);
}

static void test_an_unknown_option_is_named(void **state)
{
    struct fixture *f = *state;
    pack_array(&f->params, 2);
    text(f, "k");
    pack_map(&f->params, 1);
    text(f, "quorums");
    pack_u64(&f->params, 3);
    assert_int_equal(decode(f, METHOD_COORDINATE_GET), TOYSTORE_INVALID);
    assert_non_null(strstr(f->error, "quorums"));
}

static void test_an_option_of_another_method_is_unknown(void **state)
{
    struct fixture *f = *state;
    pack_array(&f->params, 2);
    text(f, "k");
    pack_map(&f->params, 1);
    text(f, "w");
    pack_u64(&f->params, 2);
    assert_int_equal(decode(f, METHOD_COORDINATE_GET), TOYSTORE_INVALID);
    assert_int_equal(decode(f, METHOD_COORDINATE_DELETE), TOYSTORE_OK);
}

static void test_a_wrong_shape_is_told(void **state)
{
    struct fixture *f = *state;
    pack_array(&f->params, 1);
    text(f, "k");
    assert_int_equal(decode(f, METHOD_COORDINATE_PUT), TOYSTORE_INVALID);
    assert_string_equal(f->error, "the value is missing");
    assert_int_equal(decode(f, METHOD_HELLO), TOYSTORE_NO_METHOD);
    buf_free(&f->params);
    pack_nil(&f->params);
    assert_int_equal(decode(f, METHOD_COORDINATE_GET), TOYSTORE_INVALID);
    buf_free(&f->params);
    pack_array(&f->params, 1);
    pack_u64(&f->params, 7);
    assert_int_equal(decode(f, METHOD_COORDINATE_GET), TOYSTORE_INVALID);
}

static void test_sizes_are_bounded(void **state)
{
    struct fixture *f = *state;
    static uint8_t big[TOYSTORE_VALUE_SIZE_MAX + 1];
    pack_array(&f->params, 2);
    text(f, "k");
    pack_bytes(&f->params, slice_of(big, sizeof big - 1));
    assert_int_equal(decode(f, METHOD_COORDINATE_PUT), TOYSTORE_OK);
    buf_free(&f->params);
    pack_array(&f->params, 2);
    text(f, "k");
    pack_bytes(&f->params, slice_of(big, sizeof big));
    assert_int_equal(decode(f, METHOD_COORDINATE_PUT), TOYSTORE_TOO_LARGE);
    buf_free(&f->params);
    pack_array(&f->params, 1);
    pack_bytes(&f->params, slice_of(big, TOYSTORE_KEY_SIZE_MAX + 1));
    assert_int_equal(decode(f, METHOD_COORDINATE_GET), TOYSTORE_TOO_LARGE);
}

/* The context that a get's result carries under `context`. */
static struct slice context_of(struct slice result)
{
    struct cursor cursor = cursor_of(result);
    uint32_t count;
    struct slice name, context = {NULL, 0};
    assert_true(cursor_map(&cursor, &count));
    for (uint32_t i = 0; i < count; i++) {
        assert_true(cursor_bytes(&cursor, &name));
        if (slice_equal(name, slice_str("context")))
            assert_true(cursor_bytes(&cursor, &context));
        else
            assert_true(cursor_skip(&cursor, NULL));
    }
    assert_true(cursor.at == cursor.end);
    return context;
}

static void put_if_match(struct fixture *f, struct slice context)
{
    buf_free(&f->params);
    pack_array(&f->params, 3);
    text(f, "k");
    text(f, "v");
    pack_map(&f->params, 1);
    text(f, "if_match");
    pack_bytes(&f->params, context);
}

static void test_the_context_of_a_get_is_the_condition_of_a_put(void **state)
{
    struct fixture *f = *state;
    struct buf out = {0};
    struct toystore_version versions[2] = {
        {.op = {.session = {1, 2, 3}, .sequence = 4}, .value = {"one", 3}, .time_us = 9},
        {.op = {.session = {5}, .sequence = UINT64_MAX}, .value = {"two", 3}},
    };
    struct toystore_result result = {.versions = versions, .version_count = 2};
    client_encode(&out, METHOD_COORDINATE_GET, &result);
    put_if_match(f, context_of(buf_slice(&out)));
    assert_int_equal(decode(f, METHOD_COORDINATE_PUT), TOYSTORE_OK);
    assert_int_equal(f->got.request.condition, TOYSTORE_IF_MATCH);
    assert_true(f->got.request.exclusive);
    assert_int_equal(f->got.request.match_count, 2);
    assert_memory_equal(&f->got.request.match[0], &versions[0].op, sizeof versions[0].op);
    assert_memory_equal(&f->got.request.match[1], &versions[1].op, sizeof versions[1].op);
    buf_free(&out);
}

static void test_the_context_of_nothing_is_if_absent(void **state)
{
    struct fixture *f = *state;
    struct buf out = {0};
    struct toystore_result result = {.status = TOYSTORE_NOT_FOUND};
    client_encode(&out, METHOD_COORDINATE_GET, &result);
    put_if_match(f, context_of(buf_slice(&out)));
    assert_int_equal(decode(f, METHOD_COORDINATE_PUT), TOYSTORE_OK);
    assert_int_equal(f->got.request.condition, TOYSTORE_IF_ABSENT);
    buf_free(&out);
}

static void test_a_forged_context_is_refused(void **state)
{
    struct fixture *f = *state;
    static const uint8_t forged[1 + 20 * (CLIENT_MATCH_MAX + 1)] = {1};
    const size_t sizes[] = {1, 2, 20, 22, sizeof forged};
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        put_if_match(f, slice_of(forged, sizes[i]));
        assert_int_equal(decode(f, METHOD_COORDINATE_PUT), TOYSTORE_INVALID);
        assert_non_null(strstr(f->error, "if_match"));
    }
}

static void test_cuts_are_refused(void **state)
{
    struct fixture *f = *state;
    put_if_match(f, slice_str(""));
    for (size_t size = 0; size < f->params.size; size++) {
        struct slice cut = slice_of(f->params.blob->data, size);
        assert_int_equal(
            client_decode(METHOD_COORDINATE_PUT, cut, &f->got, f->error, sizeof f->error),
            TOYSTORE_INVALID);
    }
}

static void test_siblings_stay_inside_a_frame(void **state)
{
    (void)state;
    struct buf out = {0};
    static uint8_t big[TOYSTORE_VALUE_SIZE_MAX];
    struct toystore_version versions[10] = {{.time_us = 1}};
    for (size_t i = 0; i < ARRAY_COUNT(versions); i++)
        versions[i].value = (struct toystore_bytes){big, sizeof big};
    struct toystore_result result = {.versions = versions, .version_count = 10};
    client_encode(&out, METHOD_COORDINATE_GET, &result);
    assert_true(out.size < FRAME_SIZE_MAX - 64);
    struct cursor cursor = cursor_of(buf_slice(&out));
    assert_true(cursor_skip(&cursor, NULL));
    buf_free(&out);
}

static void test_a_listing_goes_on_after_its_last_cookie(void **state)
{
    (void)state;
    struct buf out = {0};
    struct toystore_entry entries[2] = {
        {.name = {"caf\xc3\xa9", 5}, .cookie = 10, .kind = TOYSTORE_REFERENCE},
        {.name = {"\xff\xfe", 2}, .cookie = 11, .kind = TOYSTORE_DIRECTORY},
    };
    struct toystore_result result = {.entries = entries, .entry_count = 2, .more = true};
    client_encode(&out, METHOD_COORDINATE_LIST, &result);
    assert_int_equal(out.blob->data[out.size - 1], 11);
    struct slice all = buf_slice(&out);
    assert_non_null(memmem(all.data, all.size,
                           "\xa5"
                           "caf\xc3\xa9",
                           6));                                         /* str */
    assert_non_null(memmem(all.data, all.size, "\xc4\x02\xff\xfe", 4)); /* bin */
    assert_non_null(memmem(all.data, all.size, "directory", 9));
    buf_free(&out);
}

static void test_an_outcome_is_a_word(void **state)
{
    (void)state;
    struct buf out = {0};
    struct toystore_result result = {.status = TOYSTORE_INDETERMINATE};
    client_encode(&out, METHOD_COORDINATE_DELETE, &result);
    struct slice all = buf_slice(&out);
    assert_non_null(memmem(all.data, all.size, "INDETERMINATE", 13));
    buf_free(&out);
    /* and says whether a majority has it */
    enum wire_method methods[] = {METHOD_COORDINATE_PUT, METHOD_COORDINATE_DELETE};
    for (size_t i = 0; i < 4; i++) {
        result = (struct toystore_result){.status = TOYSTORE_OK, .sloppy = i % 2};
        out = (struct buf){0};
        client_encode(&out, methods[i / 2], &result);
        all = buf_slice(&out);
        assert_non_null(memmem(all.data, all.size, i % 2 ? "sloppy\xc3" : "sloppy\xc2", 7));
        struct cursor cursor = cursor_of(all);
        assert_true(cursor_skip(&cursor, NULL));
        assert_true(cursor.at == cursor.end);
        buf_free(&out);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_put_takes_str_and_bin_and_no_options),
        TEST(test_options_are_taken),
        TEST(test_an_unknown_option_is_named),
        TEST(test_an_option_of_another_method_is_unknown),
        TEST(test_a_wrong_shape_is_told),
        TEST(test_sizes_are_bounded),
        TEST(test_the_context_of_a_get_is_the_condition_of_a_put),
        TEST(test_the_context_of_nothing_is_if_absent),
        TEST(test_a_forged_context_is_refused),
        TEST(test_cuts_are_refused),
        TEST(test_siblings_stay_inside_a_frame),
        TEST(test_a_listing_goes_on_after_its_last_cookie),
        TEST(test_an_outcome_is_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
