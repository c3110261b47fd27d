/* fs: the file system over a double of the store: what a shell, an editor and two mounts do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "fs_calls.h"

#include <fcntl.h>

static struct fs *a, *b, *c; /* mounts of one cluster */

/* echo text > name, or >> name: what bash sends. The result is that of the WRITE. */
static int echo(struct fs *fs, const char *text, const char *name, int how)
{
    uint64_t handle = open_file(fs, name, O_WRONLY | O_CREAT | how);
    assert_true(handle != 0);
    flush(fs, handle);
    int error = write_at(fs, handle, 0, text, how & O_APPEND);
    flush(fs, handle);
    release(fs, handle);
    return error;
}

static void writes_are_read_in_both_mounts(void **state)
{
    (void)state;
    assert_int_equal(echo(a, "hello", "f", O_TRUNC), 0);
    assert_string_equal(cat(a, "f"), "hello");
    assert_string_equal(cat(b, "f"), "hello");
    assert_int_equal(echo(b, "bye", "f", O_TRUNC), 0);
    assert_string_equal(cat(a, "f"), "bye");
    assert_string_equal(cat(a, "nothing"), "(none)");
}

/* Around the kernel's pages or through them: never both while handles are open. */
static void one_files_handles_agree_on_pages(void **state)
{
    (void)state;
    echo(a, "a log", "f", O_TRUNC);
    uint64_t both = open_file(a, "f", O_RDWR);
    assert_false(last.answer.open & FS_OPEN_DIRECT);
    uint64_t writer = open_file(a, "f", O_WRONLY | O_APPEND);
    assert_false(last.answer.open & FS_OPEN_DIRECT);
    release(a, writer);
    release(a, both);
    writer = open_file(a, "f", O_WRONLY | O_APPEND);
    assert_true(last.answer.open & FS_OPEN_DIRECT);
    both = open_file(a, "f", O_RDWR);
    assert_true(last.answer.open & FS_OPEN_DIRECT);
    release(a, both);
    release(a, writer);
    both = open_file(a, "f", O_RDWR); /* pages from before the writer are not kept */
    assert_int_equal(last.answer.open & (FS_OPEN_DIRECT | FS_OPEN_KEEP_CACHE), 0);
    release(a, both);
}

static void a_redirection_never_shows_an_empty_file(void **state)
{
    (void)state;
    echo(a, "old", "f", O_TRUNC);
    uint64_t handle = open_file(a, "f", O_WRONLY | O_TRUNC);
    assert_string_equal(cat(a, "f"), "old");
    assert_string_equal(cat(b, "f"), "old");
    flush(a, handle);
    assert_string_equal(cat(a, "f"), "old");
    assert_string_equal(cat(b, "f"), "old");
    assert_int_equal(write_at(a, handle, 0, "new", 0), 0);
    assert_string_equal(cat(a, "f"), "new");
    assert_string_equal(cat(b, "f"), "new");
    flush(a, handle);
    release(a, handle);
    assert_string_equal(cat(a, "f"), "new");
}

static void an_empty_redirection_empties(void **state)
{
    (void)state;
    echo(a, "old", "f", O_TRUNC);
    uint64_t handle = open_file(a, "f", O_WRONLY | O_TRUNC);
    flush(a, handle);
    assert_string_equal(cat(b, "f"), "old");
    flush(a, handle);
    assert_string_equal(cat(b, "f"), "");
    release(a, handle);
    /* and a new one is there at its first flush */
    handle = open_file(a, "g", O_WRONLY | O_CREAT | O_TRUNC);
    assert_string_equal(cat(b, "g"), "(none)");
    flush(a, handle);
    assert_string_equal(cat(b, "g"), "");
    release(a, handle);
}

static void no_quorum_fails_the_write_and_keeps_the_old(void **state)
{
    (void)state;
    echo(a, "old", "f", O_TRUNC);
    store.put_fails = TOYSTORE_NOT_APPLIED;
    assert_int_equal(echo(a, "new", "f", O_TRUNC), -EIO);
    store.put_fails = TOYSTORE_OK;
    pass_ms(10000);
    assert_string_equal(cat(a, "f"), "old");
    assert_string_equal(cat(b, "f"), "old");
    store.get_fails = TOYSTORE_UNAVAILABLE;
    assert_int_equal(lookup(a, "f"), 0);
    assert_int_equal(last.answer.error, -EIO);
}

/* Its owners are some nodes of all; those of what is below it may be there. */
static void the_root_is_there_without_its_owners(void **state)
{
    (void)state;
    store.get_fails = TOYSTORE_UNAVAILABLE;
    fs_getattr(a, FS_ROOT, 0, keep, NULL);
    assert_int_equal(ended(), 0);
    assert_true(S_ISDIR(last.answer.attr.st_mode));
}

static void other_programs_hear_of_it_at_flush(void **state)
{
    (void)state;
    uint64_t handle = open_file(a, "f", O_WRONLY | O_CREAT);
    size_t puts = store.puts;
    assert_int_equal(write_at(a, handle, 0, "one", 0), 0);
    assert_int_equal(write_at(a, handle, 3, "two", 0), 0);
    assert_int_equal(store.puts, puts);
    store.put_fails = TOYSTORE_NO_SPACE;
    assert_int_equal(flush(a, handle), -ENOSPC);
    store.put_fails = TOYSTORE_OK;
    release(a, handle);
    assert_string_equal(cat(a, "f"), "(none)");
}

static int sync_of(uint64_t handle)
{
    fs_fsync(a, handle, keep, NULL);
    return ended();
}

/* Nobody waited for it: the program has gone on, and hears of it at its next fsync, write or close.
 */
static void what_fails_behind_is_told_once_to_each(void **state)
{
    (void)state;
    echo(a, "old", "f", O_TRUNC);
    uint64_t handle = open_file(a, "f", O_WRONLY), other = open_file(a, "f", O_WRONLY);
    assert_int_equal(write_at(a, handle, 0, "new", 0), 0);
    store.put_fails = TOYSTORE_NOT_APPLIED;
    pass_ms(6000);
    store.put_fails = TOYSTORE_OK;
    assert_int_equal(sync_of(handle), -EIO);
    assert_int_equal(sync_of(handle), 0);
    assert_int_equal(flush(a, other), 0); /* it has written nothing */
    assert_int_equal(sync_of(other), -EIO);
    assert_int_equal(sync_of(other), 0);
    assert_string_equal(cat(b, "f"), "old");
    /* what came after it is published, and its fsync tells of what was before */
    assert_int_equal(write_at(a, handle, 0, "A", 0), 0);
    store.put_fails = TOYSTORE_NO_SPACE;
    pass_ms(6000);
    store.put_fails = TOYSTORE_OK;
    assert_int_equal(write_at(a, handle, 1, "B", 0), -ENOSPC);
    assert_int_equal(write_at(a, handle, 1, "B", 0), 0);
    assert_int_equal(sync_of(handle), 0);
    assert_string_equal(cat(b, "f"), "oBd");
    release(a, handle);
    release(a, other);
    /* a new file is not there */
    handle = open_file(a, "g", O_WRONLY | O_CREAT);
    assert_int_equal(write_at(a, handle, 0, "new", 0), 0);
    store.put_fails = TOYSTORE_NOT_APPLIED;
    pass_ms(6000);
    store.put_fails = TOYSTORE_OK;
    assert_int_equal(sync_of(handle), -EIO);
    release(a, handle);
}

static void creating_writing_and_closing_is_one_put(void **state)
{
    (void)state;
    uint64_t handle = open_file(a, "f", O_WRONLY | O_CREAT);
    write_at(a, handle, 0, "one", 0);
    size_t puts = store.puts;
    assert_int_equal(flush(a, handle), 0);
    assert_int_equal(store.puts, puts + 1);
    release(a, handle);
    assert_string_equal(cat(b, "f"), "one");
}

static void appends_of_two_mounts_lose_no_line(void **state)
{
    (void)state;
    echo(a, "0", "log", O_APPEND);
    uint64_t handle = open_file(a, "log", O_WRONLY | O_APPEND);
    flush(a, handle);
    assert_int_equal(echo(b, "1", "log", O_APPEND), 0);
    assert_int_equal(write_at(a, handle, 1, "2", O_APPEND), 0);
    assert_int_equal(echo(b, "3", "log", O_APPEND), 0);
    assert_int_equal(write_at(a, handle, 1, "4", O_APPEND), 0);
    release(a, handle);
    assert_string_equal(cat(a, "log"), "01234");
}

static void a_first_append_finds_the_file_of_another(void **state)
{
    (void)state;
    uint64_t handle = open_file(a, "log", O_WRONLY | O_CREAT | O_APPEND);
    assert_int_equal(write_at(a, handle, 0, "a", O_APPEND), 0);
    assert_int_equal(echo(b, "b", "log", O_APPEND), 0);
    assert_int_equal(flush(a, handle), 0);
    release(a, handle);
    assert_string_equal(cat(a, "log"), "ba");
}

static void a_reader_keeps_its_version(void **state)
{
    (void)state;
    echo(a, "old version", "f", O_TRUNC);
    uint64_t handle = open_file(b, "f", O_RDONLY);
    echo(a, "new", "f", O_TRUNC);
    assert_string_equal(cat(b, "f"), "new");
    fs_read(b, handle, 0, 100, keep, NULL);
    ended();
    last.bytes[last.size] = 0;
    assert_string_equal(last.bytes, "old version");
    release(b, handle);
}

static void a_reader_follows_what_only_grows(void **state)
{
    (void)state;
    echo(a, "one", "f", O_TRUNC);
    uint64_t node = lookup(b, "f");
    uint64_t handle = open_file(b, "f", O_RDONLY);
    echo(a, "two", "f", O_APPEND);
    pass_ms(100);
    fs_getattr(b, node, handle, keep, NULL);
    assert_int_equal(ended(), 0);
    assert_int_equal(last.answer.attr.st_size, 6);
    fs_read(b, handle, 3, 100, keep, NULL);
    ended();
    last.bytes[last.size] = 0;
    assert_string_equal(last.bytes, "two");
    release(b, handle);
}

static void exclusive_creates_have_one_winner(void **state)
{
    (void)state;
    uint64_t handle = open_file(a, "lock", O_WRONLY | O_CREAT | O_EXCL);
    assert_true(handle != 0);
    assert_int_equal(open_file(b, "lock", O_WRONLY | O_CREAT | O_EXCL), 0);
    assert_int_equal(last.answer.error, -EEXIST);
    release(a, handle);
}

static void large_files_are_chunks_and_pages(void **state)
{
    (void)state;
    size_t size = 30 << 20;
    uint8_t *bytes = base_alloc(size);
    fill(bytes, size, 1);
    write_large(a, "big", bytes, size);
    assert_true(store.stores > 115);
    check_large(a, "big", bytes, size);
    check_large(b, "big", bytes, size);
    /* a change in the middle is a patch of the record */
    size_t stores = store.stores;
    uint64_t handle = open_file(b, "big", O_RDWR);
    assert_int_equal(write_at(b, handle, 1000000, "in the middle", 0), 0);
    assert_int_equal(flush(b, handle), 0);
    release(b, handle);
    memcpy(bytes + 1000000, "in the middle", 13);
    assert_true(store.stores <= stores + 1);
    check_large(a, "big", bytes, size);
    /* and a replacement shows the old until it is whole */
    fill(bytes, size, 2);
    write_large(a, "big", bytes, 3 << 20);
    check_large(b, "big", bytes, 3 << 20);
    free(bytes);
}

/* Each chunk once, whoever wrote it, and only once; the name and the record every time. */
static void fsync_names_what_is_not_known_to_be_durable(void **state)
{
    (void)state;
    size_t size = 5 << 20;
    uint8_t *bytes = base_alloc(size);
    fill(bytes, size, 1);
    write_large(a, "big", bytes, size);
    uint64_t handle = open_file(b, "big", O_RDWR);
    fs_fsync(b, handle, keep, NULL);
    assert_int_equal(ended(), 0);
    assert_int_equal(store.synced_chunks, store.stores);
    assert_int_equal(store.synced_keys, 2);
    assert_int_equal(store.synced_versions, 2);
    size_t stores = store.stores;
    fs_write(b, handle, size, slice_of(bytes, 300000), 0, user, keep, NULL);
    assert_int_equal(ended(), 0);
    fs_fsync(b, handle, keep, NULL);
    assert_int_equal(ended(), 0);
    assert_true(store.stores > stores);
    assert_int_equal(store.synced_chunks, store.stores);
    fs_fsync(b, handle, keep, NULL);
    assert_int_equal(ended(), 0);
    assert_int_equal(store.synced_chunks, store.stores);
    assert_int_equal(store.syncs, 4); /* one before the record was replaced */
    release(b, handle);
    free(bytes);
}

/* The name that it has now, in the version that the rename has put there. */
static void fsync_after_a_rename_names_the_new_name(void **state)
{
    (void)state;
    size_t size = 1 << 20;
    uint8_t *bytes = base_alloc(size);
    fill(bytes, size, 1);
    write_large(a, "big", bytes, size);
    uint64_t handle = open_file(a, "big", O_RDWR);
    fs_rename(a, FS_ROOT, "big", FS_ROOT, "large", 0, keep, NULL);
    assert_int_equal(ended(), 0);
    fs_write(a, handle, size, slice_of(bytes, 300000), 0, user, keep, NULL);
    assert_int_equal(ended(), 0);
    size_t before = store.synced_versions;
    fs_fsync(a, handle, keep, NULL);
    assert_int_equal(ended(), 0);
    assert_int_equal(store.synced_versions, before + 2);
    release(a, handle);
    free(bytes);
}

static void large_replacements_show_the_old_until_flushed(void **state)
{
    (void)state;
    size_t size = 1 << 20;
    uint8_t *bytes = base_alloc(size), *next = base_alloc(size);
    fill(bytes, size, 1);
    fill(next, size, 2);
    write_large(a, "big", bytes, size);
    uint64_t handle = open_file(a, "big", O_WRONLY | O_TRUNC);
    fs_write(a, handle, 0, slice_of(next, size / 2), 0, user, keep, NULL);
    ended();
    pass_ms(20000);
    check_large(a, "big", bytes, size);
    check_large(b, "big", bytes, size);
    fs_write(a, handle, size / 2, slice_of(next + size / 2, size / 2), 0, user, keep, NULL);
    ended();
    flush(a, handle);
    check_large(a, "big", next, size);
    check_large(b, "big", next, size);
    release(a, handle);
    free(bytes);
    free(next);
}

static void a_small_file_that_grows_becomes_a_reference(void **state)
{
    (void)state;
    echo(a, "small", "f", O_TRUNC);
    uint64_t reader = open_file(b, "f", O_WRONLY | O_APPEND);
    flush(b, reader);
    size_t size = 200000;
    uint8_t *bytes = base_alloc(size + 10);
    fill(bytes, size, 3);
    write_large(a, "f", bytes, size);
    assert_int_equal(write_at(b, reader, 0, "tail", O_APPEND), 0);
    memcpy(bytes + size, "tail", 4);
    release(b, reader);
    check_large(a, "f", bytes, size + 4);
    free(bytes);
}

static void a_chunk_that_cannot_be_stored_is_told(void **state)
{
    (void)state;
    size_t size = 1 << 20;
    uint8_t *bytes = base_alloc(size);
    uint64_t handle = open_file(a, "f", O_WRONLY | O_CREAT);
    flush(a, handle);
    store.store_fails = TOYSTORE_NO_SPACE;
    fs_write(a, handle, 0, slice_of(bytes, size), 0, user, keep, NULL);
    ended();
    assert_int_equal(flush(a, handle), -ENOSPC);
    store.store_fails = TOYSTORE_OK;
    release(a, handle);
    assert_string_equal(cat(b, "f"), "");
    free(bytes);
}

static void renamed_files_keep_their_handles(void **state)
{
    (void)state;
    echo(a, "text", "old", O_TRUNC);
    uint64_t handle = open_file(b, "old", O_WRONLY | O_APPEND);
    flush(b, handle);
    fs_rename(a, FS_ROOT, "old", FS_ROOT, "new", 0, keep, NULL);
    assert_int_equal(ended(), 0);
    assert_string_equal(cat(b, "old"), "(none)");
    assert_int_equal(write_at(b, handle, 0, " more", O_APPEND), 0);
    release(b, handle);
    assert_string_equal(cat(a, "new"), "text more");
    echo(a, "x", "other", O_TRUNC);
    fs_rename(a, FS_ROOT, "other", FS_ROOT, "new", 1, keep, NULL);
    assert_int_equal(ended(), -EEXIST);
    fs_rename(a, FS_ROOT, "other", FS_ROOT, "new", 2, keep, NULL);
    assert_int_equal(ended(), -EINVAL);
    fs_rename(a, FS_ROOT, "other", FS_ROOT, "new", 0, keep, NULL);
    assert_int_equal(ended(), 0);
    assert_string_equal(cat(b, "new"), "x");
}

/* Two mounts move one file at once, over something: one succeeds, nothing else is lost. */
static int move_errors[2];

static void note_move(void *arg, const struct fs_answer *answer)
{
    *(int *)arg = answer->error;
}

static void one_of_two_renames_wins(void **state)
{
    (void)state;
    store.shuffled = true;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        prng_seed(&store.prng, seed);
        echo(a, "text", "f", O_TRUNC);
        echo(a, "other", "to0", O_TRUNC);
        fs_rename(a, FS_ROOT, "f", FS_ROOT, "to0", 0, note_move, &move_errors[0]);
        fs_rename(b, FS_ROOT, "f", FS_ROOT, "to1", 0, note_move, &move_errors[1]);
        pump();
        pass_ms(100);
        assert_string_equal(cat(c, "f"), "(none)");
        assert_true((move_errors[0] == 0) != (move_errors[1] == 0));
        assert_string_equal(cat(c, "to0"), move_errors[0] == 0 ? "text" : "other");
        assert_string_equal(cat(c, "to1"), move_errors[1] == 0 ? "text" : "(none)");
        for (unsigned i = 0; i < 2; i++) {
            fs_unlink(a, FS_ROOT, i ? "to1" : "to0", keep, NULL);
            ended();
        }
    }
}

/* There and back at once: whoever wins, the file keeps a name, and its content. Small, it is in the
 * name's own record; large, in a file record. */
static void renames_there_and_back_keep_the_file(void **state)
{
    (void)state;
    size_t size = 100000;
    char *large = base_alloc(size + 1);
    memset(large, 'x', size);
    store.shuffled = true;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        const char *text = seed % 2 ? "text" : large;
        prng_seed(&store.prng, seed);
        echo(a, text, "f", O_TRUNC);
        fs_rename(a, FS_ROOT, "f", FS_ROOT, "g", 0, note_move, &move_errors[0]);
        for (uint64_t steps = prng_below(&store.prng, 8); steps > 0; steps--)
            double_answer_one();
        fs_rename(b, FS_ROOT, "g", FS_ROOT, "f", 0, note_move, &move_errors[1]);
        fs_rename(c, FS_ROOT, "f", FS_ROOT, "g", 0, note_move, &move_errors[0]);
        pump();
        pass_ms(100);
        bool there = lookup(c, "g") != 0, here = lookup(c, "f") != 0;
        if (!there && !here)
            fail_msg("seed %u: both names are gone", (unsigned)seed);
        const char *got = cat(c, there ? "g" : "f"); /* the beginning */
        assert_true(got[0] == text[0] && strncmp(got, text, strlen(got)) == 0);
        for (unsigned i = 0; i < 2; i++) {
            fs_unlink(a, FS_ROOT, i ? "f" : "g", keep, NULL);
            ended();
        }
    }
    free(large);
}

static void unlinked_files_are_read_on(void **state)
{
    (void)state;
    echo(a, "text", "f", O_TRUNC);
    uint64_t handle = open_file(a, "f", O_RDWR);
    fs_unlink(a, FS_ROOT, "f", keep, NULL);
    assert_int_equal(ended(), 0);
    assert_string_equal(cat(a, "f"), "(none)");
    assert_int_equal(write_at(a, handle, 4, "more", 0), 0);
    assert_int_equal(flush(a, handle), 0);
    fs_read(a, handle, 0, 100, keep, NULL);
    ended();
    last.bytes[last.size] = 0;
    assert_string_equal(last.bytes, "textmore");
    release(a, handle);
    assert_string_equal(cat(b, "f"), "(none)");
}

static void a_remote_unlink_is_not_undone_by_a_close(void **state)
{
    (void)state;
    echo(a, "text", "f", O_TRUNC);
    uint64_t handle = open_file(a, "f", O_WRONLY);
    write_at(a, handle, 0, "TEXT", 0);
    lookup(b, "f");
    fs_unlink(b, FS_ROOT, "f", keep, NULL);
    assert_int_equal(ended(), 0);
    assert_int_equal(flush(a, handle), 0);
    release(a, handle);
    assert_string_equal(cat(b, "f"), "(none)");
}

static size_t listed;
static char listed_names[4096];

static bool note_entry(void *arg, const char *name, const struct fs_entry *entry, uint64_t next)
{
    (void)arg;
    (void)entry;
    (void)next;
    listed++;
    strcat(listed_names, name);
    strcat(listed_names, " ");
    return true;
}

static void list_root(struct fs *fs)
{
    listed = 0;
    listed_names[0] = 0;
    fs_opendir(fs, FS_ROOT, user, keep, NULL);
    ended();
    uint64_t handle = last.answer.handle;
    fs_readdir(fs, handle, 0, 0, note_entry, keep, NULL);
    assert_int_equal(ended(), 0);
    fs_releasedir(fs, handle);
}

static void directories_come_and_go(void **state)
{
    (void)state;
    fs_mkdir(a, FS_ROOT, "d", 0755, user, keep, NULL);
    assert_int_equal(ended(), 0);
    uint64_t directory = last.answer.node;
    fs_mkdir(b, FS_ROOT, "d", 0755, user, keep, NULL);
    assert_int_equal(ended(), -EEXIST);
    fs_create(a, directory, "f", 0644, O_WRONLY, user, keep, NULL);
    assert_int_equal(ended(), 0);
    uint64_t handle = last.answer.handle;
    flush(a, handle);
    release(a, handle);
    fs_rmdir(b, FS_ROOT, "d", keep, NULL);
    assert_int_equal(ended(), -ENOTEMPTY);
    list_root(b);
    assert_string_equal(listed_names, ". .. d ");
    fs_unlink(a, directory, "f", keep, NULL);
    assert_int_equal(ended(), 0);
    fs_rmdir(b, FS_ROOT, "d", keep, NULL);
    assert_int_equal(ended(), 0);
    list_root(a);
    assert_string_equal(listed_names, ". .. ");
}

static void a_file_below_a_buried_directory_revives_it(void **state)
{
    (void)state;
    fs_mkdir(a, FS_ROOT, "d", 0755, user, keep, NULL);
    ended();
    uint64_t directory = last.answer.node;
    fs_create(a, directory, "f", 0644, O_WRONLY, user, keep, NULL); /* has not left yet */
    ended();
    uint64_t handle = last.answer.handle;
    fs_rmdir(b, FS_ROOT, "d", keep, NULL);
    assert_int_equal(ended(), 0);
    flush(a, handle);
    release(a, handle);
    list_root(b);
    assert_string_equal(listed_names, ". .. d ");
}

static void attributes_are_kept(void **state)
{
    (void)state;
    echo(a, "text", "f", O_TRUNC);
    uint64_t node = lookup(a, "f");
    struct stat attr = {.st_mode = 0600, .st_size = 2, .st_mtim = {.tv_sec = 12345}};
    fs_setattr(a, node, 0, &attr, FS_SET_MODE | FS_SET_MTIME | FS_SET_SIZE, user, keep, NULL);
    assert_int_equal(ended(), 0);
    lookup(b, "f");
    assert_int_equal(last.answer.attr.st_mode, S_IFREG | 0600);
    assert_int_equal(last.answer.attr.st_mtim.tv_sec, 12345);
    assert_int_equal(last.answer.attr.st_size, 2);
    assert_int_equal(last.answer.attr.st_uid, 1000);
    uint64_t ino = last.answer.attr.st_ino;
    fs_rename(b, FS_ROOT, "f", FS_ROOT, "g", 0, keep, NULL);
    ended();
    lookup(a, "g");
    assert_int_equal(last.answer.attr.st_ino, ino);
    assert_string_equal(cat(a, "g"), "te");
}

static void a_write_takes_set_id_bits_away(void **state)
{
    (void)state;
    echo(a, "text", "f", O_TRUNC);
    struct stat attr = {.st_mode = 06755};
    fs_setattr(a, lookup(a, "f"), 0, &attr, FS_SET_MODE, (struct fs_caller){0}, keep, NULL);
    assert_int_equal(ended(), 0);
    lookup(b, "f");
    assert_int_equal(last.answer.attr.st_mode, S_IFREG | 06755);
    echo(b, "more", "f", O_APPEND);
    lookup(a, "f");
    assert_int_equal(last.answer.attr.st_mode, S_IFREG | 0755);
}

static void times_beyond_what_is_kept_are_the_nearest(void **state)
{
    (void)state;
    echo(a, "text", "f", O_TRUNC);
    uint64_t node = lookup(a, "f");
    struct stat attr = {.st_atim = {.tv_sec = 13569465600},   /* in 2400 */
                        .st_mtim = {.tv_sec = -62135596800}}; /* in 1 */
    fs_setattr(a, node, 0, &attr, FS_SET_ATIME | FS_SET_MTIME, user, keep, NULL);
    assert_int_equal(ended(), 0);
    lookup(b, "f");
    assert_int_equal(last.answer.attr.st_atim.tv_sec, INT64_MAX / 1000000000);
    assert_int_equal(last.answer.attr.st_mtim.tv_sec, INT64_MIN / 1000000000);
}

static void symlinks_are_read(void **state)
{
    (void)state;
    fs_symlink(a, FS_ROOT, "s", "to/where", user, keep, NULL);
    assert_int_equal(ended(), 0);
    uint64_t node = lookup(b, "s");
    fs_readlink(b, node, keep, NULL);
    assert_int_equal(ended(), 0);
    assert_string_equal(last.bytes, "to/where");
}

static void stale_ids_are_refused(void **state)
{
    (void)state;
    echo(a, "text", "f", O_TRUNC);
    uint64_t node = lookup(a, "f");
    fs_forget(a, node, 100);
    fs_getattr(a, node, 0, keep, NULL);
    assert_int_equal(ended(), -ESTALE);
    fs_read(a, 12345, 0, 1, keep, NULL);
    assert_int_equal(ended(), -EBADF);
}

/* ---- many appends at once, answers in any order: each line is there once ---- */

enum { RACE_LINES = 12, RACE_MOUNTS = 2, RACE_SEEDS = 300, RACE_MOVES = 1 };

struct racer {
    struct fs *fs;
    uint64_t handle;
    unsigned name, next, failed;
    bool flushing;
};

static void race_on(void *arg, const struct fs_answer *answer);

static void race_write(struct racer *racer)
{
    char line[30000];
    size_t size = prng_chance(&store.prng, 1, 3) ? prng_below(&store.prng, sizeof line - 50) : 0;
    memset(line, '.', size);
    int end = snprintf(line + size, 50, "<%u.%u>\n", racer->name, racer->next++);
    fs_write(racer->fs, racer->handle, 0, slice_of(line, size + (size_t)end), O_APPEND, user,
             race_on, racer);
}

static void race_on(void *arg, const struct fs_answer *answer)
{
    struct racer *racer = arg;
    racer->failed += answer->error < 0;
    racer->flushing = !racer->flushing;
    if (racer->flushing)
        fs_flush(racer->fs, racer->handle, race_on, racer);
    else if (racer->next < RACE_LINES)
        race_write(racer);
}

/* A third mount moves the file meanwhile. */
static struct mover {
    struct fs *fs;
    unsigned moves;
} mover;

static void move_on(void *arg, const struct fs_answer *answer)
{
    (void)arg;
    if (answer->error < 0)
        fail_msg("rename %u: %d", mover.moves, answer->error);
    if (mover.moves == RACE_MOVES)
        return;
    bool back = mover.moves++ % 2 == 1;
    fs_rename(mover.fs, FS_ROOT, back ? "moved" : "log", FS_ROOT, back ? "log" : "moved", 0,
              move_on, NULL);
}

static unsigned count_in(const char *text, const char *word)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        count++;
    return count;
}

static void race(uint64_t seed)
{
    struct racer racers[RACE_MOUNTS] = {{.fs = a, .name = 1}, {.fs = b, .name = 2}};
    echo(a, "begin\n", "log", O_TRUNC);
    for (unsigned i = 0; i < RACE_MOUNTS; i++)
        racers[i].handle = open_file(racers[i].fs, "log", O_WRONLY | O_APPEND);
    prng_seed(&store.prng, seed);
    store.shuffled = true;
    for (unsigned i = 0; i < RACE_MOUNTS; i++) {
        racers[i].flushing = false;
        race_write(&racers[i]);
    }
    mover = (struct mover){.fs = c, .moves = seed % 2 ? 0 : RACE_MOVES};
    const struct fs_answer start = {0};
    move_on(NULL, &start);
    pump();
    for (unsigned i = 0; i < RACE_MOUNTS; i++)
        release(racers[i].fs, racers[i].handle);
    store.shuffled = false;
    static char text[RACE_MOUNTS * RACE_LINES * 30000 + 100];
    size_t size = 0;
    bool moved = mover.fs && lookup(b, "log") == 0;
    uint64_t handle = open_file(b, moved ? "moved" : "log", O_RDONLY);
    do {
        fs_read(b, handle, size, 1 << 19, keep, NULL);
        assert_int_equal(ended(), 0);
        memcpy(text + size, last.bytes, last.size);
        size += last.size;
    } while (last.size > 0);
    text[size] = 0;
    release(b, handle);
    assert_int_equal(count_in(text, "begin"), 1);
    for (unsigned i = 0; i < RACE_MOUNTS; i++) {
        assert_int_equal(racers[i].failed, 0);
        for (unsigned n = 0; n < RACE_LINES; n++) {
            char word[20];
            snprintf(word, sizeof word, "<%u.%u>", i + 1, n);
            if (count_in(text, word) != 1)
                fail_msg("seed %llu: %s is there %u times", (unsigned long long)seed, word,
                         count_in(text, word));
        }
    }
    fs_unlink(a, FS_ROOT, moved ? "moved" : "log", keep, NULL);
    ended();
}

static void appends_at_once_are_all_there_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= RACE_SEEDS; seed++)
        race(seed);
}

static int begin(void **state)
{
    (void)state;
    store_open();
    a = mount_new();
    b = mount_new();
    c = mount_new();
    return 0;
}

static int finish(void **state)
{
    (void)state;
    store.get_fails = TOYSTORE_OK;
    drain(a);
    pump();
    fs_free(a);
    fs_free(b);
    fs_free(c);
    store_close();
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
    const struct CMUnitTest tests[] = {
        TEST(writes_are_read_in_both_mounts),
        TEST(one_files_handles_agree_on_pages),
        TEST(a_redirection_never_shows_an_empty_file),
        TEST(an_empty_redirection_empties),
        TEST(no_quorum_fails_the_write_and_keeps_the_old),
        TEST(the_root_is_there_without_its_owners),
        TEST(other_programs_hear_of_it_at_flush),
        TEST(what_fails_behind_is_told_once_to_each),
        TEST(creating_writing_and_closing_is_one_put),
        TEST(appends_at_once_are_all_there_once),
        TEST(appends_of_two_mounts_lose_no_line),
        TEST(a_first_append_finds_the_file_of_another),
        TEST(a_reader_keeps_its_version),
        TEST(a_reader_follows_what_only_grows),
        TEST(exclusive_creates_have_one_winner),
        TEST(large_files_are_chunks_and_pages),
        TEST(fsync_names_what_is_not_known_to_be_durable),
        TEST(fsync_after_a_rename_names_the_new_name),
        TEST(large_replacements_show_the_old_until_flushed),
        TEST(a_small_file_that_grows_becomes_a_reference),
        TEST(a_chunk_that_cannot_be_stored_is_told),
        TEST(renamed_files_keep_their_handles),
        TEST(one_of_two_renames_wins),
        TEST(renames_there_and_back_keep_the_file),
        TEST(unlinked_files_are_read_on),
        TEST(a_remote_unlink_is_not_undone_by_a_close),
        TEST(directories_come_and_go),
        TEST(a_file_below_a_buried_directory_revives_it),
        TEST(attributes_are_kept),
        TEST(a_write_takes_set_id_bits_away),
        TEST(times_beyond_what_is_kept_are_the_nearest),
        TEST(symlinks_are_read),
        TEST(stale_ids_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
