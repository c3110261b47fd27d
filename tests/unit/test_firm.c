/* firm: a power loss of all owners, at any request of a change, leaves the durable file that was
 * there or the one that was to take its place, whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "fs_calls.h"

enum { SIZE = 600000, SMALL = 20000, STRIPE = 2000 /* 150 of them: pages */ };

static struct fs *mount;
static uint8_t old_bytes[SIZE], new_bytes[SIZE];
static size_t old_size, new_size;

/* What is there after a power loss at the request of this number, or, 0, right after the last: each
 * key that no sync has covered as it is, or as it was synced last. */
static struct {
    size_t request, at;
    struct prng prng;
    bool taken;
    struct map versions;
} loss;

static void take_loss(void)
{
    loss.taken = true;
    MAP_EACH(entry, &store.versions)
    {
        const struct double_version *version = entry->value;
        const struct double_version *durable = map_get(&store.durable, map_key(entry));
        if (prng_chance(&loss.prng, 1, 2))
            version = durable;
        if (version)
            map_put(&loss.versions, map_key(entry), double_copy(version));
    }
}

static bool count_request(const struct toystore_request *request)
{
    (void)request;
    if (++loss.request == loss.at)
        take_loss();
    return false;
}

static void free_versions(struct map *map)
{
    MAP_EACH(entry, map)
    double_free_version(entry->value);
    map_free(map);
    *map = (struct map){0};
}

static void sync_file(const char *name)
{
    uint64_t handle = open_file(mount, name, O_RDWR);
    fs_fsync(mount, handle, keep, NULL);
    assert_int_equal(ended(), 0);
    release(mount, handle);
}

static void write_striped(const char *name, const uint8_t *bytes)
{
    uint64_t handle = open_file(mount, name, O_WRONLY | O_CREAT | O_TRUNC);
    for (size_t at = 0; at < SIZE; at += 2 * STRIPE) {
        fs_write(mount, handle, at, slice_of(bytes + at, STRIPE), 0, user, keep, NULL);
        assert_int_equal(ended(), 0);
    }
    assert_int_equal(flush(mount, handle), 0);
    release(mount, handle);
}

static void striped(uint8_t *bytes)
{
    for (size_t at = STRIPE; at < SIZE; at += 2 * STRIPE)
        memset(bytes + at, 0, STRIPE);
}

/* ---- what takes the place of "f" ---- */

static void rewrite_large(void)
{
    write_large(mount, "f", new_bytes, new_size);
}

static void rewrite_striped(void)
{
    write_striped("f", new_bytes);
}

static void append(void)
{
    uint64_t handle = open_file(mount, "f", O_WRONLY);
    for (size_t at = old_size; at < new_size; at += 100000) {
        size_t size = min_size(100000, new_size - at);
        fs_write(mount, handle, at, slice_of(new_bytes + at, size), 0, user, keep, NULL);
        assert_int_equal(ended(), 0);
    }
    assert_int_equal(flush(mount, handle), 0);
    release(mount, handle);
}

static void rename_over(void)
{
    write_large(mount, "g", new_bytes, new_size);
    fs_rename(mount, FS_ROOT, "g", FS_ROOT, "f", 0, keep, NULL);
    assert_int_equal(ended(), 0);
}

static void rename_striped(void)
{
    write_striped("g", new_bytes);
    fs_rename(mount, FS_ROOT, "g", FS_ROOT, "f", 0, keep, NULL);
    assert_int_equal(ended(), 0);
}

/* ---- */

static void check_one_of_both(struct fs *fs)
{
    uint64_t handle = open_file(fs, "f", O_RDONLY);
    assert_true(handle != 0);
    fs_read(fs, handle, 0, SIZE, keep, NULL);
    int error = ended();
    if (error < 0)
        fail_msg("cut at request %zu: %d", loss.at, error);
    bool is_old = last.size == old_size && memcmp(last.bytes, old_bytes, old_size) == 0;
    bool is_new = last.size == new_size && memcmp(last.bytes, new_bytes, new_size) == 0;
    if (!is_old && !is_new)
        fail_msg("cut at request %zu: neither the old nor the new", loss.at);
    release(fs, handle);
}

static bool change_cut_at(size_t at, uint64_t seed, void (*change)(void), bool old_striped)
{
    store_open();
    mount = mount_new();
    if (old_striped)
        write_striped("f", old_bytes);
    else
        write_large(mount, "f", old_bytes, old_size);
    sync_file("f");
    memset(&loss, 0, sizeof loss);
    loss.at = at;
    prng_seed(&loss.prng, seed);
    store.holds = count_request;
    change();
    if (at == 0)
        take_loss();
    pass_ms(30000); /* what was replaced is deleted */
    store.holds = NULL;
    bool taken = loss.taken;
    if (taken) {
        free_versions(&store.versions);
        store.versions = loss.versions;
        struct fs *after = mount_new();
        check_one_of_both(after);
        drain(after);
        fs_free(after);
    }
    drain(mount);
    fs_free(mount);
    store_close();
    return taken;
}

static void cut_everywhere(void (*change)(void), bool old_striped)
{
    size_t at = 1;
    while (change_cut_at(at, at, change, old_striped) &&
           change_cut_at(at, at + 1000000, change, old_striped))
        at++;
    assert_true(at > 5);
    for (uint64_t seed = 1; seed <= 8; seed++)
        change_cut_at(0, seed, change, old_striped);
}

static void begin(size_t from, size_t to)
{
    old_size = from;
    new_size = to;
    fill(old_bytes, SIZE, 1);
    fill(new_bytes, SIZE, 2);
}

static void a_large_file_that_is_rewritten(void **state)
{
    (void)state;
    begin(SIZE, SIZE - 100);
    cut_everywhere(rewrite_large, false);
}

static void a_small_file_that_becomes_large(void **state)
{
    (void)state;
    begin(SMALL, SIZE);
    cut_everywhere(rewrite_large, false);
}

static void a_small_file_that_grows(void **state)
{
    (void)state;
    begin(SMALL, SIZE);
    memcpy(new_bytes, old_bytes, SMALL);
    cut_everywhere(append, false);
}

static void a_large_file_that_grows(void **state)
{
    (void)state;
    begin(SIZE / 2, SIZE);
    memcpy(new_bytes, old_bytes, SIZE / 2);
    cut_everywhere(append, false);
}

static void a_file_of_many_extents(void **state)
{
    (void)state;
    begin(SIZE - STRIPE, SIZE - STRIPE);
    striped(old_bytes);
    striped(new_bytes);
    cut_everywhere(rewrite_striped, true);
}

static void a_file_that_another_is_renamed_to(void **state)
{
    (void)state;
    for (unsigned small = 0; small < 2; small++) {
        begin(small ? SMALL : SIZE, SIZE - 100);
        cut_everywhere(rename_over, false);
    }
    begin(SIZE, SIZE - STRIPE);
    striped(new_bytes);
    cut_everywhere(rename_striped, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_file_that_is_rewritten),
        cmocka_unit_test(a_small_file_that_becomes_large),
        cmocka_unit_test(a_small_file_that_grows),
        cmocka_unit_test(a_large_file_that_grows),
        cmocka_unit_test(a_file_of_many_extents),
        cmocka_unit_test(a_file_that_another_is_renamed_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
