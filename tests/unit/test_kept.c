/* What a mount leaves on the disks: durable files through renames and power losses, and nothing
 * that no version names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "fs_calls.h"

enum { SIZE = 1 << 20, SMALL = 20000, CHUNKS = SIZE / CHUNK_SIZE_MAX, LONG_MS = 30 * 60 * 1000 };

static struct fs *a, *b; /* mounts of one cluster */
static uint8_t one[SIZE], two[SIZE];

static void sync_file(struct fs *fs, const char *name)
{
    uint64_t handle = open_file(fs, name, O_RDWR);
    fs_fsync(fs, handle, keep, NULL);
    assert_int_equal(ended(), 0);
    release(fs, handle);
}

/* Each key as it was synced last, or as it is now. */
static void power_loss(uint64_t seed)
{
    struct prng prng;
    struct map after = {0};
    prng_seed(&prng, seed);
    MAP_EACH(entry, &store.versions)
    {
        const struct double_version *version = entry->value;
        if (prng_chance(&prng, 1, 2))
            version = map_get(&store.durable, map_key(entry));
        if (version)
            map_put(&after, map_key(entry), double_copy(version));
    }
    MAP_EACH(entry, &store.versions)
    double_free_version(entry->value);
    map_free(&store.versions);
    store.versions = after;
}

/* -1: there is no such name; -errno; else whether it is these bytes. */
static int is(struct fs *fs, const char *name, const uint8_t *bytes, size_t size)
{
    uint64_t handle = open_file(fs, name, O_RDONLY);
    if (handle == 0)
        return -1;
    fs_read(fs, handle, 0, SIZE, keep, NULL);
    int error = ended();
    bool same = last.size == size && memcmp(last.bytes, bytes, size) == 0;
    release(fs, handle);
    return error < 0 ? error : same;
}

/* ---- power loss ---- */

/* "What fsync returned for survives all of it": under its old name or under its new one. */
static void a_durable_file_that_is_moved_is_somewhere(void **state)
{
    size_t size = *(size_t *)*state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        store_open();
        struct fs *fs = mount_new();
        write_large(fs, "f", one, size);
        sync_file(fs, "f");
        fs_rename(fs, FS_ROOT, "f", FS_ROOT, "g", 0, keep, NULL);
        assert_int_equal(ended(), 0);
        power_loss(seed);
        struct fs *after = mount_new();
        int old = is(after, "f", one, size), new = is(after, "g", one, size);
        if (old != 1 && new != 1)
            fail_msg("seed %d: f %d, g %d", (int)seed, old, new);
        drain(after);
        fs_free(after);
        drain(fs);
        fs_free(fs);
        store_close();
    }
}

/* Durable and small, emptied for a moment, then large: the old, the empty or the new. */
static void a_durable_file_that_was_empty_for_a_moment(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        store_open();
        struct fs *fs = mount_new();
        write_large(fs, "f", one, SMALL);
        sync_file(fs, "f");
        uint64_t handle = open_file(fs, "f", O_WRONLY | O_TRUNC);
        assert_int_equal(flush(fs, handle), 0); /* (sleep 1; cat big) > f */
        pass_ms(1000);
        for (size_t at = 0; at < SIZE; at += 100000) {
            fs_write(fs, handle, at, slice_of(two + at, min_size(100000, SIZE - at)), 0, user, keep,
                     NULL);
            assert_int_equal(ended(), 0);
        }
        assert_int_equal(flush(fs, handle), 0);
        release(fs, handle);
        power_loss(seed);
        struct fs *after = mount_new();
        int old = is(after, "f", one, SMALL), empty = is(after, "f", one, 0),
            new = is(after, "f", two, SIZE);
        if (old != 1 && empty != 1 && new != 1)
            fail_msg("seed %d: %d %d %d", (int)seed, old, empty, new);
        drain(after);
        fs_free(after);
        drain(fs);
        fs_free(fs);
        store_close();
    }
}

/* ---- what stays for ever ---- */

static bool record_syncs(const struct toystore_request *request)
{
    return request->type == TOYSTORE_SYNC && begins(slice_from(request->keys[0]), FILES_ROOM);
}

static void write_held(struct fs *by)
{
    write_large(a, "f", one, SMALL);
    uint64_t handle = open_file(a, "f", O_WRONLY | O_TRUNC);
    for (size_t at = 0; at < SIZE; at += 100000) {
        fs_write(a, handle, at, slice_of(two + at, min_size(100000, SIZE - at)), 0, user, keep,
                 NULL);
        assert_int_equal(ended(), 0);
    }
    store.holds = record_syncs;
    fs_flush(a, handle, keep, NULL);
    pump();
    assert_false(list_empty(&store.held));
    last.given = false;
    fs_unlink(by, FS_ROOT, "f", keep, NULL);
    assert_int_equal(ended(), 0);
    let_all_go();
    pump();
    last.given = false;
    release(a, handle);
    pass_ms(LONG_MS);
    assert_int_equal(count_of(FILES_ROOM), 0);
    assert_int_equal(count_of(CHUNKS_ROOM), 0);
}

static void removed_here_before_its_reference_stands(void **state)
{
    (void)state;
    write_held(a);
}

static void removed_elsewhere_before_its_reference_stands(void **state)
{
    (void)state;
    write_held(b);
}

/* ---- versions that were never put under the key that is synced ---- */

static struct {
    char key[64];
    struct toystore_op op;
} named;

static bool notes_name(const struct toystore_request *request)
{
    if (request->type == TOYSTORE_SYNC && request->key_ops) {
        snprintf(named.key, sizeof named.key, "%.*s", (int)request->keys[0].size,
                 (const char *)request->keys[0].data);
        named.op = request->key_ops[0];
    }
    return false;
}

static void check_named_stood_there(const char *key)
{
    const struct double_version *at = map_get(&store.versions, slice_str(key));
    assert_string_equal(named.key, key);
    if (!op_none(&named.op))
        assert_true(at && op_equal(&at->op, &named.op));
}

static void check_fsync_names(const char *key, uint64_t handle)
{
    store.holds = notes_name;
    fs_fsync(a, handle, keep, NULL);
    assert_int_equal(ended(), 0);
    store.holds = NULL;
    check_named_stood_there(key);
    release(a, handle);
}

/* mount b has written it since, a renames it: a's name_op is of "f", the key is "g". */
static void fsync_after_a_rename_of_what_another_mount_wrote(void **state)
{
    (void)state;
    write_large(a, "f", one, SMALL);
    uint64_t handle = open_file(a, "f", O_RDWR);
    pass_ms(1000);
    write_large(b, "f", two, SMALL);
    pass_ms(1000);
    fs_rename(a, FS_ROOT, "f", FS_ROOT, "g", 0, keep, NULL);
    assert_int_equal(ended(), 0);
    check_fsync_names("g", handle);
}

/* In one mount: a handle on the version that was replaced by `> f`. */
static void fsync_of_an_older_version_after_a_rename(void **state)
{
    (void)state;
    write_large(a, "f", one, SMALL);
    uint64_t handle = open_file(a, "f", O_WRONLY);
    write_large(a, "f", two, SMALL);
    fs_rename(a, FS_ROOT, "f", FS_ROOT, "g", 0, keep, NULL);
    assert_int_equal(ended(), 0);
    check_fsync_names("g", handle);
}

/* ---- costs ---- */

static size_t synced_keys;

static bool counts_keys(const struct toystore_request *request)
{
    if (request->type == TOYSTORE_SYNC)
        synced_keys += request->key_count;
    return false;
}

/* A new file, then blocks of it written anew, each closed: 20 in less than five seconds. */
static void what_remains_need_is_asked_for_once(void **state)
{
    (void)state;
    enum { REWRITES = 20 };
    write_large(a, "f", one, SIZE);
    store.holds = counts_keys;
    synced_keys = 0;
    for (unsigned i = 0; i < REWRITES; i++) {
        uint64_t handle = open_file(a, "f", O_RDWR);
        fs_write(a, handle, 0, slice_of(two, CHUNK_SIZE_MAX), 0, user, keep, NULL);
        assert_int_equal(ended(), 0);
        assert_int_equal(flush(a, handle), 0);
        release(a, handle);
    }
    assert_int_equal(synced_keys, REWRITES); /* of the publications */
    synced_keys = 0;
    pass_ms(LONG_MS);
    store.holds = NULL;
    assert_true(synced_keys <= REWRITES * (1 + CHUNKS));
}

static size_t list_count(const struct list *list)
{
    size_t count = 0;
    LIST_EACH(link, list) count++;
    return count;
}

static bool reclaim_syncs(const struct toystore_request *request)
{
    return request->type == TOYSTORE_SYNC && begins(slice_from(request->keys[0]), FILES_ROOM);
}

/* A file that is written all the time, with a publication during each SYNC of reclaim.c. */
static void who_writes_all_the_time_gets_space_back(void **state)
{
    (void)state;
    write_large(a, "f", one, SIZE);
    sync_file(a, "f");
    uint64_t handle = open_file(a, "f", O_RDWR);
    store.holds = reclaim_syncs;
    for (unsigned i = 0; i < 300; i++) {
        size_t under_way = list_count(&store.held);
        pass_ms(200);
        fs_write(a, handle, 0, slice_of(i % 2 ? one : two, CHUNK_SIZE_MAX), 0, user, keep, NULL);
        assert_int_equal(ended(), 0);
        assert_int_equal(flush(a, handle), 0);
        while (under_way-- > 0)
            let_one_go();
        pump();
    }
    let_all_go();
    size_t left = count_of(CHUNKS_ROOM);
    release(a, handle);
    pass_ms(LONG_MS);
    assert_true(left < CHUNKS + 60); /* those of the last 10 s */
}

static int begin(void **state)
{
    (void)state;
    fill(one, SIZE, 1);
    fill(two, SIZE, 2);
    store_open();
    a = mount_new();
    b = mount_new();
    return 0;
}

static int end(void **state)
{
    (void)state;
    store.holds = NULL;
    let_all_go();
    drain(a);
    drain(b);
    fs_free(a);
    fs_free(b);
    store_close();
    return 0;
}

static int begin_bytes(void **state)
{
    (void)state;
    fill(one, SIZE, 1);
    fill(two, SIZE, 2);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    static size_t small = SMALL, large = SIZE;
    const struct CMUnitTest tests[] = {
        {"a_durable_small_file_that_is_moved_is_somewhere",
         a_durable_file_that_is_moved_is_somewhere, begin_bytes, NULL, &small},
        {"a_durable_large_file_that_is_moved_is_somewhere",
         a_durable_file_that_is_moved_is_somewhere, begin_bytes, NULL, &large},
        cmocka_unit_test_setup(a_durable_file_that_was_empty_for_a_moment, begin_bytes),
        TEST(removed_here_before_its_reference_stands),
        TEST(removed_elsewhere_before_its_reference_stands),
        TEST(fsync_after_a_rename_of_what_another_mount_wrote),
        TEST(fsync_of_an_older_version_after_a_rename),
        TEST(what_remains_need_is_asked_for_once),
        TEST(who_writes_all_the_time_gets_space_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
