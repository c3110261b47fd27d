/* reclaim: chunks of replaced and deleted files go, and none that anybody can still come to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "fs_calls.h"

enum { SIZE = 1 << 20, CHUNKS = SIZE / CHUNK_SIZE_MAX, LONG_MS = 30 * 60 * 1000 };

static struct fs *a, *b; /* mounts of one cluster */
static uint8_t one[SIZE], two[SIZE];

/* Does a record name it, one that stands there or one that a power loss brings back? */
static bool named_in(const struct map *map, struct slice chunk)
{
    bool named = false;
    MAP_EACH(entry, map)
    {
        const struct double_version *version = entry->value;
        struct file_record record;
        if (!begins(map_key(entry), FILES_ROOM) || version->kind == TOYSTORE_TOMBSTONE ||
            file_record_decode(blob_slice(version->value), &version->attributes.file, &record) < 0)
            continue;
        for (size_t i = 0; i < record.extents.count; i++) {
            struct file_key key;
            chunk_key(&key, &version->attributes.file, &record.extents.items[i].segment->chunk);
            named = named || slice_equal(file_key_slice(&key), chunk);
        }
        file_record_free(&record);
    }
    return named;
}

static void look_at_deletion(struct slice chunk)
{
    assert_false(named_in(&store.versions, chunk));
    assert_false(named_in(&store.durable, chunk));
}

static void durable_file(const char *name, uint8_t *bytes)
{
    write_large(a, name, bytes, SIZE);
    uint64_t handle = open_file(a, name, O_RDWR);
    fs_fsync(a, handle, keep, NULL);
    assert_int_equal(ended(), 0);
    release(a, handle);
}

static void unlink_file(struct fs *fs, const char *name)
{
    fs_unlink(fs, FS_ROOT, name, keep, NULL);
    assert_int_equal(ended(), 0);
}

/* ---- */

static void what_was_replaced_goes_once_the_new_is_durable(void **state)
{
    (void)state;
    durable_file("f", one);
    write_large(a, "f", two, SIZE);
    assert_int_equal(count_of(CHUNKS_ROOM), 2 * CHUNKS);
    pass_ms(4000); /* others may be in the middle of reading it */
    assert_int_equal(count_of(CHUNKS_ROOM), 2 * CHUNKS);
    size_t syncs = store.syncs;
    pass_ms(4000);
    assert_int_equal(count_of(CHUNKS_ROOM), CHUNKS);
    assert_int_equal(store.syncs, syncs + 1);
    check_large(b, "f", two, SIZE);
}

static void nothing_goes_while_the_new_cannot_be_synced(void **state)
{
    (void)state;
    durable_file("f", one);
    store.sync_fails = TOYSTORE_UNAVAILABLE;
    write_large(a, "f", two, SIZE);
    write_large(a, "g", one, SIZE);
    unlink_file(a, "g");
    pass_ms(20000);
    assert_int_equal(count_of(CHUNKS_ROOM), 3 * CHUNKS);
    store.sync_fails = TOYSTORE_OK;
    pass_ms(LONG_MS);
    assert_int_equal(count_of(CHUNKS_ROOM), 2 * CHUNKS); /* the burial is not tried again */
}

static void an_open_file_keeps_what_it_shows(void **state)
{
    (void)state;
    write_large(a, "f", one, SIZE);
    uint64_t reader = open_file(a, "f", O_RDONLY);
    pass_ms(1);
    write_large(a, "f", two, SIZE);
    pass_ms(60000);
    assert_int_equal(count_of(CHUNKS_ROOM), 2 * CHUNKS);
    release(a, reader);
    pass_ms(10000);
    assert_int_equal(count_of(CHUNKS_ROOM), CHUNKS);
}

/* In another mount, whose readers nobody waits for. */
static void who_misses_a_chunk_goes_on_with_the_newest(void **state)
{
    (void)state;
    write_large(a, "f", one, SIZE);
    uint64_t reader = open_file(b, "f", O_RDONLY);
    fs_read(b, reader, 600000, 1000, keep, NULL); /* nothing is fetched ahead */
    assert_int_equal(ended(), 0);
    assert_memory_equal(last.bytes, one + 600000, 1000);
    pass_ms(1);
    write_large(a, "f", two, SIZE - 5000);
    pass_ms(10000);
    fs_read(b, reader, SIZE - 100000, 200000, keep, NULL);
    assert_int_equal(ended(), 0);
    assert_int_equal(last.size, 95000);
    assert_memory_equal(last.bytes, two + SIZE - 100000, 95000);
    /* and once more, where all readers of a handle wait for the same thing */
    write_large(a, "f", one, SIZE);
    pass_ms(10000);
    for (size_t at = 0; at < SIZE; at += 300000)
        fs_read(b, reader, at, 300000, keep, NULL);
    assert_int_equal(ended(), 0);
    fs_read(b, reader, 100000, 600000, keep, NULL);
    assert_int_equal(ended(), 0);
    assert_memory_equal(last.bytes, one + 100000, 600000);
    release(b, reader);
}

static void who_reads_a_deleted_file_is_told(void **state)
{
    (void)state;
    write_large(a, "f", one, SIZE);
    uint64_t reader = open_file(b, "f", O_RDONLY);
    unlink_file(a, "f");
    pass_ms(10000);
    fs_read(b, reader, 0, 100000, keep, NULL);
    assert_int_equal(ended(), -ESTALE);
    release(b, reader);
}

/* That nobody deleted it is no reason to show something else. */
static void a_chunk_that_is_lost_is_an_error(void **state)
{
    (void)state;
    write_large(a, "f", one, SIZE);
    uint64_t reader = open_file(b, "f", O_RDONLY);
    struct slice lost = {0};
    MAP_EACH(entry, &store.versions)
    {
        if (begins(map_key(entry), CHUNKS_ROOM))
            lost = map_key(entry);
    }
    double_set(&store.versions, lost, NULL);
    unsigned failed = 0;
    for (size_t at = 0; at < SIZE; at += CHUNK_SIZE_MAX) {
        fs_read(b, reader, at, 1000, keep, NULL);
        failed += ended() == -EIO;
    }
    assert_int_equal(failed, 1);
    release(b, reader);
}

static void a_change_in_the_middle_keeps_the_rest(void **state)
{
    (void)state;
    durable_file("f", one);
    uint64_t handle = open_file(b, "f", O_RDWR);
    fs_write(b, handle, CHUNK_SIZE_MAX, slice_of(two, CHUNK_SIZE_MAX), 0, user, keep, NULL);
    assert_int_equal(ended(), 0);
    release(b, handle);
    assert_int_equal(count_of(CHUNKS_ROOM), CHUNKS + 1);
    pass_ms(10000);
    assert_int_equal(count_of(CHUNKS_ROOM), CHUNKS);
    memcpy(one + CHUNK_SIZE_MAX, two, CHUNK_SIZE_MAX);
    check_large(a, "f", one, SIZE);
}

static void the_last_name_takes_all_with_it(void **state)
{
    (void)state;
    write_large(a, "f", one, SIZE);
    unlink_file(b, "f");
    pass_ms(10000);
    assert_int_equal(count_of(FILES_ROOM), 0);
    assert_int_equal(count_of(CHUNKS_ROOM), 0);
    write_large(a, "g", one, SIZE);
    write_large(a, "h", two, SIZE);
    fs_rename(a, FS_ROOT, "g", FS_ROOT, "h", 0, keep, NULL);
    assert_int_equal(ended(), 0);
    pass_ms(10000);
    assert_int_equal(count_of(FILES_ROOM), 1);
    assert_int_equal(count_of(CHUNKS_ROOM), CHUNKS);
    check_large(b, "h", one, SIZE);
}

/* A rename that was cut short has left two. */
static void one_of_two_names_takes_nothing(void **state)
{
    (void)state;
    write_large(a, "f", one, SIZE);
    const struct double_version *name = map_get(&store.versions, slice_str("f"));
    struct double_version *other = double_copy(name);
    fs_rename(a, FS_ROOT, "f", FS_ROOT, "g", 0, keep, NULL);
    assert_int_equal(ended(), 0);
    double_set(&store.versions, slice_str("f"), other);
    unlink_file(b, "f");
    pass_ms(10000);
    check_large(b, "g", one, SIZE);
}

/* A durable file is there after a power loss, as it was or as it became. */
static void a_power_loss_leaves_the_old_or_the_new(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct prng prng;
        prng_seed(&prng, seed);
        durable_file("f", one);
        write_large(a, "f", two, SIZE);
        store.sync_fails = seed % 2 ? TOYSTORE_UNAVAILABLE : TOYSTORE_OK;
        pass_ms(prng_below(&prng, 8000));
        pump();
        store.sync_fails = TOYSTORE_OK;
        struct toystore_op durable =
            ((struct double_version *)map_get(&store.durable, slice_str("f")))->attributes.file;
        struct file_key key;
        file_record_key(&key, &durable);
        double_power_loss(&prng);
        const struct double_version *record = map_get(&store.versions, file_key_slice(&key));
        struct file_record decoded;
        assert_non_null(record);
        assert_int_equal(file_record_decode(blob_slice(record->value), &durable, &decoded), 0);
        for (size_t i = 0; i < decoded.extents.count; i++) {
            chunk_key(&key, &durable, &decoded.extents.items[i].segment->chunk);
            const struct double_version *chunk = map_get(&store.versions, file_key_slice(&key));
            bool whole = chunk && chunk->kind != TOYSTORE_TOMBSTONE;
            bool old = named_in(&store.durable, file_key_slice(&key));
            /* The new one may have lost a chunk that was never synced: nobody was promised it. */
            assert_true(whole || !old);
        }
        file_record_free(&decoded);
        pass_ms(LONG_MS);
        double_set(&store.versions, slice_str("f"), NULL);
        double_set(&store.durable, slice_str("f"), NULL);
    }
}

/* One request fails, or is done and nobody knows: the first, the second ... until none is left. */
static void a_failure_anywhere_takes_nothing_that_is_named(void **state)
{
    bool done_all_the_same = *(bool *)*state;
    bool failed = true;
    for (size_t at = 1; failed; at++) {
        durable_file("f", one);
        write_large(a, "f", two, SIZE);
        write_large(a, "g", one, SIZE);
        store.requests = 0;
        store.fail_at = at;
        store.fail_done = done_all_the_same;
        fs_unlink(a, FS_ROOT, "g", keep, NULL);
        pump();
        pass_ms(LONG_MS);
        failed = store.requests >= at;
        store.fail_at = 0;
        check_large(b, "f", two, SIZE);
        if (lookup(b, "g"))
            unlink_file(b, "g");
        pass_ms(LONG_MS);
        unlink_file(b, "f");
        pass_ms(LONG_MS);
    }
}

static int write_part(uint64_t handle, uint8_t *bytes, size_t from, size_t to)
{
    int error = 0;
    for (size_t at = from; at < to && error >= 0; at += 100000) {
        fs_write(a, handle, at, slice_of(bytes + at, min_size(100000, to - at)), 0, user, keep,
                 NULL);
        error = ended();
    }
    return error;
}

/* Chunks that were stored before the disks were full. */
static void a_write_that_failed_leaves_nothing(void **state)
{
    (void)state;
    for (unsigned unlinked = 0; unlinked < 2; unlinked++) {
        uint64_t handle = open_file(a, "f", O_RDWR | O_CREAT);
        write_part(handle, one, 0, SIZE / 2);
        assert_true(count_of(CHUNKS_ROOM) > 0);
        store.store_fails = store.put_fails = TOYSTORE_NO_SPACE;
        int error = write_part(handle, one, SIZE / 2, SIZE);
        fs_fsync(a, handle, keep, NULL);
        int synced = ended();
        assert_int_equal(error < 0 ? error : synced, -ENOSPC); /* told once */
        store.store_fails = store.put_fails = TOYSTORE_OK;
        if (unlinked && lookup(a, "f"))
            unlink_file(a, "f");
        release(a, handle);
        pass_ms(LONG_MS);
        assert_int_equal(count_of(CHUNKS_ROOM), 0);
    }
}

static void what_is_overwritten_before_it_is_published_goes(void **state)
{
    (void)state;
    uint64_t handle = open_file(a, "f", O_RDWR | O_CREAT);
    assert_true(write_part(handle, one, 0, SIZE) >= 0);
    assert_true(write_part(handle, two, 0, SIZE) >= 0);
    assert_int_equal(flush(a, handle), 0);
    release(a, handle);
    pass_ms(LONG_MS);
    check_large(b, "f", two, SIZE);
    assert_int_equal(count_of(CHUNKS_ROOM), CHUNKS);
}

/* Opened, written to and gone before anything was published. */
static void an_unlinked_file_leaves_nothing(void **state)
{
    (void)state;
    uint64_t handle = open_file(a, "f", O_RDWR | O_CREAT);
    assert_true(write_part(handle, one, 0, SIZE) >= 0);
    unlink_file(a, "f");
    assert_true(write_part(handle, two, 0, SIZE) >= 0);
    release(a, handle);
    pass_ms(LONG_MS);
    assert_int_equal(count_of(CHUNKS_ROOM), 0);
}

static void the_end_of_a_mount_does_not_wait_for_who_is_away(void **state)
{
    (void)state;
    durable_file("f", one);
    write_large(a, "f", two, SIZE);
    store.sync_fails = TOYSTORE_UNAVAILABLE;
    bool drained = false;
    fs_drain(a, note_drained, &drained);
    pump();
    assert_true(drained);
    assert_int_equal(count_of(CHUNKS_ROOM), 2 * CHUNKS);
    store.sync_fails = TOYSTORE_OK;
}

static void the_end_of_a_mount_deletes_at_once(void **state)
{
    (void)state;
    durable_file("f", one);
    write_large(a, "f", two, SIZE);
    bool drained = false;
    fs_drain(a, note_drained, &drained);
    pump();
    assert_true(drained);
    assert_int_equal(count_of(CHUNKS_ROOM), CHUNKS);
}

static int begin(void **state)
{
    (void)state;
    store_open();
    store.deleting = look_at_deletion;
    a = mount_new();
    b = mount_new();
    fill(one, SIZE, 1);
    fill(two, SIZE, 2);
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
    static bool lost = false, done = true;
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
    const struct CMUnitTest tests[] = {
        TEST(what_was_replaced_goes_once_the_new_is_durable),
        TEST(nothing_goes_while_the_new_cannot_be_synced),
        TEST(an_open_file_keeps_what_it_shows),
        TEST(who_misses_a_chunk_goes_on_with_the_newest),
        TEST(who_reads_a_deleted_file_is_told),
        TEST(a_chunk_that_is_lost_is_an_error),
        TEST(a_change_in_the_middle_keeps_the_rest),
        TEST(the_last_name_takes_all_with_it),
        TEST(one_of_two_names_takes_nothing),
        TEST(a_power_loss_leaves_the_old_or_the_new),
        {"a request that fails", a_failure_anywhere_takes_nothing_that_is_named, begin, finish,
         &lost},
        {"a request whose answer fails", a_failure_anywhere_takes_nothing_that_is_named, begin,
         finish, &done},
        TEST(a_write_that_failed_leaves_nothing),
        TEST(what_is_overwritten_before_it_is_published_goes),
        TEST(an_unlinked_file_leaves_nothing),
        TEST(the_end_of_a_mount_does_not_wait_for_who_is_away),
        TEST(the_end_of_a_mount_deletes_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
