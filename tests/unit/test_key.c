/* key: what is a key, and how keys stand in the store. */
#include "rules/key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static enum toystore_status check(const char *text)
{
    char error[100];
    return key_check(slice_str(text), error, sizeof error);
}

static void keys_are_paths(void **state)
{
    (void)state;
    assert_int_equal(check(""), TOYSTORE_OK);
    assert_int_equal(check("users/alice"), TOYSTORE_OK);
    assert_int_equal(check("..."), TOYSTORE_OK);
    const char *const bad[] = {"/a", "a/", "a//b", ".", "a/..", "../a", "/"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_int_equal(check(bad[i]), TOYSTORE_INVALID);
    char error[100];
    assert_int_equal(key_check(slice_of("a\0b", 3), error, sizeof error), TOYSTORE_INVALID);
}

static void keys_have_limits(void **state)
{
    (void)state;
    char text[5000];
    memset(text, 'x', sizeof text);
    text[255] = '\0';
    assert_int_equal(check(text), TOYSTORE_OK);
    text[255] = 'x';
    text[256] = '\0';
    assert_int_equal(check(text), TOYSTORE_TOO_LARGE);
    memset(text, 'x', sizeof text);
    for (size_t i = 200; i < sizeof text; i += 200)
        text[i] = '/';
    text[4095] = '\0';
    assert_int_equal(check(text), TOYSTORE_OK);
    text[4095] = 'x';
    text[4096] = '\0';
    assert_int_equal(check(text), TOYSTORE_TOO_LARGE);
}

static void reserved_keys_are_told_apart(void **state)
{
    (void)state;
    assert_true(key_is_reserved(slice_str(".toystore")));
    assert_true(key_is_reserved(slice_str(".toystore/x")));
    assert_false(key_is_reserved(slice_str(".toystored")));
    assert_true(key_is_immutable(slice_str(".toystore/chunks/a/b")));
    assert_false(key_is_immutable(slice_str(".toystore/files/a")));
    assert_true(key_is_durable(slice_str(".toystore/layouts/2")));
    assert_false(key_is_durable(slice_str("layouts/2")));
}

static void parents_and_names(void **state)
{
    (void)state;
    assert_true(slice_equal(key_parent(slice_str("a/b/c")), slice_str("a/b")));
    assert_true(slice_equal(key_name(slice_str("a/b/c")), slice_str("c")));
    assert_true(slice_equal(key_parent(slice_str("a")), slice_str("")));
    assert_true(slice_equal(key_name(slice_str("a")), slice_str("a")));
    assert_true(slice_equal(key_parent(slice_str("")), slice_str("")));
}

static void listing_orders_by_cookie_then_name(void **state)
{
    (void)state;
    struct buf a = {0}, b = {0}, c = {0};
    key_listing(&a, slice_str("d"), 255, slice_str("z"));
    key_listing(&b, slice_str("d"), 256, slice_str("a"));
    key_listing(&c, slice_str("d"), 256, slice_str("ab"));
    assert_true(slice_compare(buf_slice(&a), buf_slice(&b)) < 0);
    assert_true(slice_compare(buf_slice(&b), buf_slice(&c)) < 0);
    assert_true(key_cookie(slice_str("x")) < 1ull << 63);
    buf_free(&a);
    buf_free(&b);
    buf_free(&c);
}

static void ops_have_a_text(void **state)
{
    (void)state;
    struct op_id op = {.session = {{0xab, 1}}, .sequence = 0x1f};
    char text[OP_TEXT_SIZE + 1];
    op_text(text, &op);
    assert_string_equal(text, "ab0100000000000000000000000000000000001f");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_paths),
        cmocka_unit_test(keys_have_limits),
        cmocka_unit_test(reserved_keys_are_told_apart),
        cmocka_unit_test(parents_and_names),
        cmocka_unit_test(listing_orders_by_cookie_then_name),
        cmocka_unit_test(ops_have_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
