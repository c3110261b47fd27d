/* A mount whose session is retired while a file is half written: what it had stored and not
 * published is stored anew, and swept under its old name it is not missed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "fs_calls.h"

static struct fs *a, *b;

static bool is_chunk_of(struct slice key, uint8_t session)
{
    static const char chunks[] = ".toystore/chunks/";
    enum { FILE_SIZE = 40, PREFIX = sizeof chunks - 1 };
    char word[3];
    snprintf(word, sizeof word, "%02x", session);
    return key.size > PREFIX + FILE_SIZE + 3 && memcmp(key.data, chunks, PREFIX) == 0 &&
           memcmp(strrchr((const char *)key.data + PREFIX, '/') + 1, word, 2) == 0;
}

static size_t chunks_of(uint8_t session)
{
    size_t count = 0;
    MAP_EACH(entry, &store.versions)
    {
        char text[300] = {0};
        memcpy(text, entry->key, min_size(entry->key_size, sizeof text - 1));
        count += is_chunk_of(slice_of(text, entry->key_size), session);
    }
    return count;
}

/* What a sweep may take: chunks of a retired session that no file record names. */
static void sweep_all_of(uint8_t session)
{
    MAP_EACH(entry, &store.versions)
    {
        char text[300] = {0};
        memcpy(text, entry->key, min_size(entry->key_size, sizeof text - 1));
        if (is_chunk_of(slice_of(text, entry->key_size), session))
            ((struct double_version *)entry->value)->kind = TOYSTORE_TOMBSTONE;
    }
}

static void write_piece(struct fs *fs, uint64_t handle, const uint8_t *bytes, size_t from,
                        size_t to)
{
    for (size_t at = from; at < to; at += 100000) {
        fs_write(fs, handle, at, slice_of(bytes + at, min_size(100000, to - at)), 0, user, keep,
                 NULL);
        assert_int_equal(ended(), 0);
    }
}

static void half_written(const char *name, size_t size)
{
    uint8_t *bytes = base_alloc(size);
    uint8_t old = store.session;
    fill(bytes, size, 1);
    uint64_t handle = open_file(a, name, O_WRONLY | O_CREAT | O_TRUNC);
    write_piece(a, handle, bytes, 0, size / 2);
    assert_true(chunks_of(old) >= size / 2 / CHUNK_SIZE_MAX);
    store.session++;
    write_piece(a, handle, bytes, size / 2, size);
    assert_int_equal(flush(a, handle), 0);
    release(a, handle);
    sweep_all_of(old);
    check_large(b, name, bytes, size);
    free(bytes);
}

static void a_half_written_file_arrives(void **state)
{
    (void)state;
    half_written("small", 700000);
    half_written("beyond the cache, with pages", 120 << 20);
    assert_true(store.fetches > 0);
}

/* The put of the record is refused once: it has found out only now. */
static void it_is_told_by_the_put_of_the_record(void **state)
{
    (void)state;
    size_t size = 3 << 20;
    uint8_t *bytes = base_alloc(size);
    fill(bytes, size, 1);
    uint64_t handle = open_file(a, "big", O_WRONLY | O_CREAT | O_TRUNC);
    write_piece(a, handle, bytes, 0, size);
    uint8_t old = store.session;
    store.retires_at = store.puts_tied + 1;
    assert_int_equal(flush(a, handle), 0);
    release(a, handle);
    assert_int_equal(store.session, old + 1);
    sweep_all_of(old);
    check_large(b, "big", bytes, size);
    free(bytes);
}

/* What an older version names is nobody's to sweep, and is not sent once more. */
static void what_is_published_stays(void **state)
{
    (void)state;
    size_t size = 8 << 20;
    uint8_t *bytes = base_alloc(size);
    fill(bytes, size, 1);
    write_large(a, "big", bytes, size);
    store.session++;
    size_t stores = store.stores;
    uint64_t handle = open_file(a, "big", O_RDWR);
    fill(bytes + 1000, 300000, 2);
    fs_write(a, handle, 1000, slice_of(bytes + 1000, 300000), 0, user, keep, NULL);
    assert_int_equal(ended(), 0);
    assert_int_equal(flush(a, handle), 0);
    release(a, handle);
    assert_true(store.stores <= stores + 4);
    check_large(b, "big", bytes, size);
    free(bytes);
}

/* One that was swept before its mount woke up is lost, and whoever closes the file is told. */
static void what_was_swept_is_told(void **state)
{
    (void)state;
    size_t size = 100 << 20;
    uint8_t *bytes = base_alloc(size);
    fill(bytes, size, 1);
    uint64_t handle = open_file(a, "big", O_WRONLY | O_CREAT | O_TRUNC);
    write_piece(a, handle, bytes, 0, size);
    sweep_all_of(store.session++);
    assert_int_equal(flush(a, handle), -EIO);
    release(a, handle);
    assert_string_equal(cat(b, "big"), "(none)");
    free(bytes);
}

static int begin(void **state)
{
    (void)state;
    store_open();
    a = mount_new();
    b = mount_new();
    return 0;
}

static int finish(void **state)
{
    (void)state;
    drain(a);
    fs_free(a);
    fs_free(b);
    store_close();
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
    const struct CMUnitTest tests[] = {
        TEST(a_half_written_file_arrives),
        TEST(it_is_told_by_the_put_of_the_record),
        TEST(what_is_published_stays),
        TEST(what_was_swept_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
