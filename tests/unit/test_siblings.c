/* siblings: what both sides of a split have put under one name is there as files, and goes when
 * somebody says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "fs_calls.h"

enum { LARGE = 300000 };

static struct fs *a, *b; /* b lists conflicts */
static uint8_t bytes[LARGE];
static char names[2000];

static bool add_name(void *arg, const char *name, const struct fs_entry *entry, uint64_t next)
{
    (void)arg;
    (void)entry;
    (void)next;
    if (name[0] == '.')
        return true;
    strcat(names, name);
    strcat(names, " ");
    return true;
}

static const char *list(struct fs *fs, uint64_t node)
{
    names[0] = 0;
    fs_opendir(fs, node, user, keep, NULL);
    assert_int_equal(ended(), 0);
    uint64_t handle = last.answer.handle;
    fs_readdir(fs, handle, 0, 0, add_name, keep, NULL);
    assert_int_equal(ended(), 0);
    fs_releasedir(fs, handle);
    return names;
}

static uint64_t lookup_in(struct fs *fs, uint64_t parent, const char *name)
{
    fs_lookup(fs, parent, name, user, keep, NULL);
    return ended() == 0 ? last.answer.node : 0;
}

static uint64_t conflicts_of(struct fs *fs, const char *name)
{
    uint64_t node = lookup_in(fs, lookup_in(fs, FS_ROOT, ".toystore"), "conflicts");
    return name ? lookup_in(fs, node, name) : node;
}

static void put_file(const char *name, const char *text)
{
    uint64_t handle = open_file(a, name, O_WRONLY | O_CREAT | O_TRUNC);
    assert_int_equal(write_at(a, handle, 0, text, 0), 0);
    assert_int_equal(flush(a, handle), 0);
    release(a, handle);
}

/* What stands at `other` now stands beside what is at `name`, with a time of its own. */
static const char *make_sibling(const char *name, const char *other)
{
    static char tag[SIBLING_TAG_SIZE];
    struct double_version *version = map_get(&store.versions, slice_str(name));
    struct double_version *sibling = double_copy(map_get(&store.versions, slice_str(other)));
    sibling->time_us = 1796000000123456 + ++store.ops;
    while (version->sibling)
        version = version->sibling;
    version->sibling = sibling;
    double_set(&store.versions, slice_str(other), NULL);
    struct toystore_version public = {.time_us = sibling->time_us, .node = 0xabc};
    sibling_tag(tag, &public);
    pass_ms(100); /* what was seen before is not fresh any more */
    return tag;
}

static const char *name_beside(const char *name, const char *tag)
{
    static char text[300];
    snprintf(text, sizeof text, "%s.conflict-%s", name, tag);
    return text;
}

/* ---- */

static void tags_tell_time_and_node(void **state)
{
    (void)state;
    char tag[SIBLING_TAG_SIZE];
    struct toystore_version version = {.time_us = 1796000000000042, .node = 0x1f2e};
    struct slice base, of;
    sibling_tag(tag, &version);
    assert_string_equal(tag, "20261130T005320.000042Z-0000000000001f2e");
    assert_true(sibling_key(slice_str("d/f.conflict-x"), &base, &of));
    assert_true(slice_equal(base, slice_str("d/f")) && slice_equal(of, slice_str("x")));
    assert_true(sibling_key(slice_str(".toystore/conflicts/d/f/x"), &base, &of));
    assert_true(slice_equal(base, slice_str("d/f")) && slice_equal(of, slice_str("x")));
    assert_true(sibling_key(slice_str("f.conflict-y.conflict-x"), &base, &of));
    assert_true(slice_equal(base, slice_str("f.conflict-y")));
    assert_false(sibling_key(slice_str(".conflict-x"), &base, &of));
    assert_false(sibling_key(slice_str("f.conflict-"), &base, &of));
    assert_false(sibling_key(slice_str("f.conflict-x/g"), &base, &of));
    assert_false(sibling_key(slice_str(".toystore/conflicts/x"), &base, &of));
}

static void both_can_be_read(void **state)
{
    (void)state;
    put_file("f", "one");
    put_file("other", "two");
    put_file("g", "alone");
    const char *tag = make_sibling("f", "other");
    assert_string_equal(cat(a, "f"), "one");
    assert_string_equal(cat(a, name_beside("f", tag)), "two");
    assert_string_equal(cat(a, "f.conflict-nothing"), "(none)");
    assert_string_equal(list(a, conflicts_of(a, NULL)), "f ");
    char wanted[100];
    snprintf(wanted, sizeof wanted, "%s ", tag);
    assert_string_equal(list(a, conflicts_of(a, "f")), wanted);
}

static void a_listing_shows_them_where_asked_for(void **state)
{
    (void)state;
    put_file("f", "one");
    put_file("other", "two");
    const char *tag = make_sibling("f", "other");
    assert_string_equal(list(a, FS_ROOT), "f ");
    char wanted[400];
    snprintf(wanted, sizeof wanted, "f %s ", name_beside("f", tag));
    assert_string_equal(list(b, FS_ROOT), wanted);
}

static void they_cannot_be_changed(void **state)
{
    (void)state;
    put_file("f", "one");
    put_file("other", "two");
    uint64_t f = lookup(a, "f");
    uint64_t number = last.answer.attr.st_ino;
    uint64_t node = lookup(a, name_beside("f", make_sibling("f", "other")));
    assert_true(node != 0 && f != 0);
    assert_int_equal(last.answer.attr.st_mode & 0222, 0);
    assert_int_not_equal(last.answer.attr.st_ino, number); /* cp must not take them for one */
    fs_open(a, node, O_WRONLY, user, keep, NULL);
    assert_int_equal(ended(), -EROFS);
    struct stat attr = {.st_size = 0};
    fs_setattr(a, node, 0, &attr, FS_SET_SIZE, user, keep, NULL);
    assert_int_equal(ended(), -EROFS);
}

static void removing_one_leaves_the_name(void **state)
{
    (void)state;
    put_file("f", "one");
    put_file("other", "two");
    put_file("third", "three");
    make_sibling("f", "other");
    const char *tag = make_sibling("f", "third");
    fs_unlink(a, FS_ROOT, name_beside("f", tag), keep, NULL);
    assert_int_equal(ended(), 0);
    assert_string_equal(cat(a, name_beside("f", tag)), "(none)");
    assert_string_equal(cat(a, "f"), "one");
    assert_string_equal(list(a, conflicts_of(a, NULL)), "f "); /* the other one stays */
    fs_unlink(a, FS_ROOT, name_beside("f", tag), keep, NULL);
    assert_int_equal(ended(), -ENOENT);
    put_file("f", "written");
    assert_string_equal(list(a, conflicts_of(a, NULL)), "f "); /* whatever is written */
}

static void moving_one_puts_it_at_the_name(void **state)
{
    (void)state;
    put_file("f", "one");
    put_file("other", "two");
    const char *tag = make_sibling("f", "other");
    fs_rename(a, conflicts_of(a, "f"), tag, FS_ROOT, "g", 0, keep, NULL);
    assert_int_equal(ended(), -EXDEV); /* mv copies */
    fs_rename(a, conflicts_of(a, "f"), tag, FS_ROOT, "f", 0, keep, NULL);
    assert_int_equal(ended(), 0);
    assert_string_equal(cat(a, "f"), "two");
    assert_string_equal(cat(b, "f"), "two");
    assert_string_equal(list(a, conflicts_of(a, NULL)), "");
}

static void removing_the_name_shows_the_other(void **state)
{
    (void)state;
    put_file("f", "one");
    put_file("other", "two");
    const char *tag = make_sibling("f", "other");
    fs_unlink(a, FS_ROOT, "f", keep, NULL);
    assert_int_equal(ended(), 0);
    assert_string_equal(cat(a, "f"), "two");
    assert_string_equal(cat(a, name_beside("f", tag)), "two");
    fs_unlink(a, FS_ROOT, name_beside("f", tag), keep, NULL);
    assert_int_equal(ended(), 0);
    assert_string_equal(cat(a, "f"), "(none)");
}

/* One says what the other says: there is no conflict, and whoever writes replaces both. */
static void equal_ones_are_one(void **state)
{
    (void)state;
    put_file("f", "same");
    put_file("other", "same");
    make_sibling("f", "other");
    assert_string_equal(list(a, conflicts_of(a, NULL)), "");
    assert_string_equal(list(b, FS_ROOT), "f ");
    assert_int_equal(conflicts_of(a, "f"), 0);
    put_file("f", "new");
    assert_string_equal(cat(a, "f"), "new");
    assert_string_equal(list(b, FS_ROOT), "f ");
    put_file("other", "new");
    make_sibling("f", "other");
    fs_unlink(a, FS_ROOT, "f", keep, NULL);
    assert_int_equal(ended(), 0);
    assert_string_equal(cat(a, "f"), "(none)");
}

static size_t chunk_count(void)
{
    size_t count = 0;
    MAP_EACH(entry, &store.versions)
    {
        const struct double_version *version = entry->value;
        struct slice key = map_key(entry);
        count += version->kind == TOYSTORE_INTERNAL && key.size > 18 &&
                 memcmp(key.data, ".toystore/chunks/", 17) == 0;
    }
    return count;
}

static void chunks_go_with_what_names_them(void **state)
{
    (void)state;
    write_large(a, "f", bytes, LARGE);
    size_t each = chunk_count();
    write_large(a, "other", bytes, LARGE);
    const char *tag = make_sibling("f", "other");
    /* The record says "other", where a split would have made both under one name. */
    check_large(b, name_beside("f", tag), bytes, LARGE);
    assert_int_equal(chunk_count(), 2 * each);
    fs_unlink(a, conflicts_of(a, "f"), tag, keep, NULL);
    assert_int_equal(ended(), 0);
    pass_ms(20000);
    assert_int_equal(chunk_count(), each);
    check_large(b, "f", bytes, LARGE);
    write_large(a, "other", bytes, LARGE);
    tag = make_sibling("f", "other");
    size_t synced = store.synced_chunks;
    fs_rename(a, conflicts_of(a, "f"), tag, FS_ROOT, "f", 0, keep, NULL);
    assert_int_equal(ended(), 0);
    assert_int_equal(store.synced_chunks, synced + each); /* before it takes the name */
    pass_ms(20000);
    assert_int_equal(chunk_count(), each);
    check_large(b, "f", bytes, LARGE);
}

/* Each request fails once: the name keeps one of its contents, the sibling goes or stays. */
static void a_failure_loses_neither(void **state)
{
    (void)state;
    bool failed = true;
    for (size_t at = 1; failed; at++) {
        put_file("f", "one");
        put_file("other", "two");
        char beside[300];
        snprintf(beside, sizeof beside, "%s", name_beside("f", make_sibling("f", "other")));
        store.requests = 0;
        store.fail_at = at;
        fs_unlink(a, FS_ROOT, beside, keep, NULL);
        int error = ended();
        failed = store.requests >= at;
        store.fail_at = 0;
        pass_ms(100);
        assert_string_equal(cat(a, "f"), "one");
        assert_string_equal(cat(a, beside), error ? "two" : "(none)");
        fs_unlink(a, FS_ROOT, beside, keep, NULL);
        ended();
    }
}

static void directories_are_one(void **state)
{
    (void)state;
    fs_mkdir(a, FS_ROOT, "d", 0755, user, keep, NULL);
    assert_int_equal(ended(), 0);
    pass_ms(1000);
    fs_mkdir(a, FS_ROOT, "other", 0700, user, keep, NULL);
    assert_int_equal(ended(), 0);
    pass_ms(1000);
    make_sibling("d", "other");
    assert_true(lookup(a, "d") != 0);
    assert_int_equal(last.answer.attr.st_mode, S_IFDIR | 0700); /* the later of both */
    assert_string_equal(list(a, conflicts_of(a, NULL)), "d ");  /* to go on below it */
    assert_string_equal(list(a, conflicts_of(a, "d")), "");
    assert_string_equal(list(b, FS_ROOT), "d ");
}

static char *no_report(void *arg, const char *what)
{
    (void)arg;
    (void)what;
    return NULL;
}

static int begin(void **state)
{
    (void)state;
    store_open();
    struct fs_config config = {.face = double_face, .report = no_report};
    a = fs_new(&config);
    config.show_conflicts = true;
    b = fs_new(&config);
    fill(bytes, LARGE, 3);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    bool drained = false;
    fs_drain(a, note_drained, &drained);
    fs_drain(b, note_drained, &drained);
    pass_ms(20000);
    fs_free(a);
    fs_free(b);
    store_close();
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
    const struct CMUnitTest tests[] = {
        TEST(tags_tell_time_and_node),
        TEST(both_can_be_read),
        TEST(a_listing_shows_them_where_asked_for),
        TEST(they_cannot_be_changed),
        TEST(removing_one_leaves_the_name),
        TEST(moving_one_puts_it_at_the_name),
        TEST(removing_the_name_shows_the_other),
        TEST(equal_ones_are_one),
        TEST(chunks_go_with_what_names_them),
        TEST(a_failure_loses_neither),
        TEST(directories_are_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
