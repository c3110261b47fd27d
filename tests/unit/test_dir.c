/* dir: what a reader of a directory is told, and who else is told it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "store_double.h"

#include <fcntl.h>

static struct fs *a, *b; /* mounts of one cluster */
static const struct fs_caller reader = {1000, 1000, 11}, other = {1000, 1000, 22};

static struct fs_answer last;
static bool given;

static void keep(void *arg, const struct fs_answer *answer)
{
    (void)arg;
    given = true;
    last = *answer;
}

static int ended(void)
{
    pump();
    assert_true(given);
    given = false;
    return last.error;
}

static int look_up(struct fs *fs, const char *name, struct fs_caller caller)
{
    fs_lookup(fs, FS_ROOT, name, caller, keep, NULL);
    return ended();
}

static void make_file(struct fs *fs, const char *name, size_t size)
{
    static const char bytes[50000];
    fs_create(fs, FS_ROOT, name, 0644, O_WRONLY, reader, keep, NULL);
    assert_int_equal(ended(), 0);
    uint64_t handle = last.handle;
    fs_write(fs, handle, 0, slice_of(bytes, size), 0, reader, keep, NULL);
    assert_int_equal(ended(), 0);
    fs_flush(fs, handle, keep, NULL);
    assert_int_equal(ended(), 0);
    fs_release(fs, handle, keep, NULL);
    assert_int_equal(ended(), 0);
}

static void remove_file(struct fs *fs, const char *name)
{
    fs_unlink(fs, FS_ROOT, name, keep, NULL);
    assert_int_equal(ended(), 0);
}

static uint64_t open_root(struct fs *fs)
{
    fs_opendir(fs, FS_ROOT, reader, keep, NULL);
    assert_int_equal(ended(), 0);
    return last.handle;
}

/* What one readdir gave. */
static struct {
    size_t count, room, nodes;
    uint64_t next;
    struct {
        char name[64];
        struct fs_entry entry;
    } entries[4000];
} got;

static bool note_entry(void *arg, const char *name, const struct fs_entry *entry, uint64_t next)
{
    (void)arg;
    if (got.count == got.room)
        return false;
    snprintf(got.entries[got.count].name, sizeof got.entries[0].name, "%s", name);
    got.entries[got.count++].entry = *entry;
    got.nodes += entry->node != 0;
    got.next = next;
    return true;
}

static void read_dir(struct fs *fs, uint64_t handle, uint64_t offset, size_t room)
{
    memset(&got, 0, sizeof got);
    got.room = room;
    fs_readdir(fs, handle, offset, 1000, note_entry, keep, NULL);
    assert_int_equal(ended(), 0);
}

static const struct fs_entry *entry_named(const char *name)
{
    for (size_t i = 0; i < got.count; i++)
        if (strcmp(got.entries[i].name, name) == 0)
            return &got.entries[i].entry;
    fail_msg("%s was not listed", name);
    return &got.entries[0].entry;
}

static void who_looks_at_what_it_reads_is_given_all_of_it(void **state)
{
    (void)state;
    make_file(a, "small", 100);
    make_file(a, "large", 50000);
    fs_symlink(a, FS_ROOT, "link", "small", reader, keep, NULL);
    assert_int_equal(ended(), 0);
    fs_mkdir(a, FS_ROOT, "directory", 0755, reader, keep, NULL);
    assert_int_equal(ended(), 0);

    uint64_t handle = open_root(b);
    read_dir(b, handle, 0, 100);
    assert_int_equal(got.count, 6); /* with . and .. */
    assert_int_equal(got.nodes, 0); /* names alone, so far */
    size_t gets = store.gets;
    assert_int_equal(look_up(b, "small", reader), 0);
    assert_int_equal(last.attr.st_size, 100);
    assert_int_equal(store.gets, gets);
    assert_int_equal(look_up(b, "large", reader), 0);
    assert_int_equal(last.attr.st_size, 50000);
    assert_int_equal(store.gets, gets + 1); /* its file record */

    read_dir(b, handle, 0, 100);
    assert_int_equal(got.count, 6);
    assert_int_equal(got.nodes, 3);
    assert_int_equal(entry_named("small")->attr.st_size, 100);
    assert_int_equal(entry_named("large")->attr.st_size, 50000);
    assert_int_equal(entry_named("link")->attr.st_mode, S_IFLNK | 0777);
    assert_int_equal(entry_named("directory")->node, 0);
    assert_int_equal(entry_named("directory")->attr.st_mode, S_IFDIR);
    uint64_t node = entry_named("large")->node, ino = entry_named("large")->attr.st_ino;
    assert_int_equal(look_up(a, "large", reader), 0);
    assert_int_equal(last.attr.st_ino, ino);
    fs_open(b, node, O_RDONLY, reader, keep, NULL);
    assert_int_equal(ended(), 0);
    fs_release(b, last.handle, keep, NULL);
    assert_int_equal(ended(), 0);
    fs_releasedir(b, handle);
}

/* Two lookups and one entry were counted; what had no room was not. */
static void an_entry_that_is_taken_counts_one_lookup(void **state)
{
    (void)state;
    make_file(a, "f", 1);
    uint64_t handle = open_root(b);
    read_dir(b, handle, 0, 3);
    assert_int_equal(look_up(b, "f", reader), 0);
    uint64_t node = last.node;
    read_dir(b, handle, 0, 2); /* room for . and .. alone */
    assert_int_equal(got.nodes, 0);
    read_dir(b, handle, 0, 3);
    assert_int_equal(entry_named("f")->node, node);
    fs_forget(b, node, 1);
    fs_getattr(b, node, 0, keep, NULL);
    assert_int_equal(ended(), 0);
    fs_forget(b, node, 1);
    fs_getattr(b, node, 0, keep, NULL);
    assert_int_equal(ended(), -ESTALE);
    fs_releasedir(b, handle);
}

static void nobody_else_is_told_what_one_was_listed(void **state)
{
    (void)state;
    make_file(a, "f", 1);
    uint64_t handle = open_root(b);
    read_dir(b, handle, 0, 100);
    assert_int_equal(look_up(b, "f", reader), 0);
    uint64_t node = last.node;
    remove_file(a, "f");
    assert_int_equal(look_up(b, "f", other), -ENOENT);
    fs_open(b, node, O_WRONLY, reader, keep, NULL);
    assert_int_equal(ended(), -ESTALE); /* so that the kernel looks again, and may create it */
    pass_ms(LISTED_MS);
    assert_int_equal(look_up(b, "f", reader), -ENOENT);
    make_file(a, "f", 2);
    read_dir(b, handle, 0, 100);
    assert_int_equal(look_up(b, "f", reader), 0);
    fs_releasedir(b, handle);
    remove_file(a, "f");
    assert_int_equal(look_up(b, "f", reader), -ENOENT); /* it does not read any more */
}

static void a_reader_sees_what_its_own_mount_changes(void **state)
{
    (void)state;
    make_file(a, "f", 1);
    make_file(a, "g", 1);
    uint64_t handle = open_root(a);
    read_dir(a, handle, 0, 100);
    assert_int_equal(look_up(a, "f", reader), 0);
    remove_file(a, "g");
    assert_int_equal(look_up(a, "g", reader), -ENOENT);
    struct stat attr = {.st_size = 5};
    assert_int_equal(look_up(a, "f", reader), 0);
    fs_setattr(a, last.node, 0, &attr, FS_SET_SIZE, reader, keep, NULL);
    assert_int_equal(ended(), 0);
    assert_int_equal(look_up(a, "f", reader), 0);
    assert_int_equal(last.attr.st_size, 5);
    read_dir(a, handle, 0, 100);
    assert_int_equal(got.count, 3);
    assert_int_equal(entry_named("f")->attr.st_size, 5);
    fs_releasedir(a, handle);
}

static void an_unreadable_file_record_keeps_no_name_back(void **state)
{
    (void)state;
    make_file(a, "large", 50000);
    make_file(a, "small", 1);
    uint64_t handle = open_root(b);
    read_dir(b, handle, 0, 100);
    assert_int_equal(look_up(b, "small", reader), 0);
    store.get_fails = TOYSTORE_UNAVAILABLE;
    read_dir(b, handle, 0, 100);
    assert_int_equal(got.count, 4);
    assert_int_equal(entry_named("large")->node, 0);
    assert_int_equal(look_up(b, "large", reader), -EIO);
    fs_releasedir(b, handle);
}

/* Names that stand all the time are listed once, whatever comes and goes beside them. */
static void large_directories_are_listed_whole(void **state)
{
    (void)state;
    enum { STABLE = 3000, AT_ONCE = 70 };
    static unsigned seen[STABLE];
    memset(seen, 0, sizeof seen);
    char name[32];
    for (unsigned i = 0; i < STABLE; i++) {
        snprintf(name, sizeof name, "stable-%u", i);
        make_file(a, name, 1);
    }
    uint64_t handle = open_root(b), offset = 0;
    for (unsigned round = 0;; round++) {
        read_dir(b, handle, offset, AT_ONCE);
        if (got.count == 0)
            break;
        for (size_t i = 0; i < got.count; i++) {
            unsigned number;
            if (sscanf(got.entries[i].name, "stable-%u", &number) == 1)
                seen[number]++;
        }
        offset = got.next;
        snprintf(name, sizeof name, "passing-%u", round);
        make_file(round % 2 ? a : b, name, 1);
        if (round > 3) {
            snprintf(name, sizeof name, "passing-%u", round - 3);
            remove_file(round % 3 ? a : b, name);
        }
        if (round % 4 == 0)
            look_up(b, got.entries[0].name, reader);
    }
    for (unsigned i = 0; i < STABLE; i++)
        assert_int_equal(seen[i], 1);
    fs_releasedir(b, handle);
}

static void make_directory(uint64_t parent, const char *name)
{
    fs_mkdir(a, parent, name, 0755, reader, keep, NULL);
    assert_int_equal(ended(), 0);
}

static bool touches(const struct toystore_request *request)
{
    return request->change == TOYSTORE_TOUCH;
}

/* A put of its times may take longer than it takes until the next one is due. */
static void a_directory_is_remembered_until_all_its_touches_are_answered(void **state)
{
    (void)state;
    make_directory(FS_ROOT, "d");
    uint64_t directory = last.node;
    store.holds = touches;
    for (const char *name = "x"; name; name = name[0] == 'x' ? "y" : NULL) {
        make_directory(directory, name);
        pass_ms(TOUCH_DELAY_MS);
    }
    int64_t touched_ns = parent_touched(a, slice_str("d"));
    assert_true(touched_ns > 0);
    let_one_go();
    let_one_go(); /* of the root */
    pump();
    assert_int_equal(parent_touched(a, slice_str("d")), touched_ns);
    let_all_go();
    pump();
    assert_int_equal(parent_touched(a, slice_str("d")), 0);
}

static int begin(void **state)
{
    (void)state;
    store_open();
    struct fs_config config = {.face = double_face};
    a = fs_new(&config);
    b = fs_new(&config);
    return 0;
}

static void note_drained(void *arg)
{
    *(bool *)arg = true;
}

static int finish(void **state)
{
    (void)state;
    bool drained = false;
    store.get_fails = TOYSTORE_OK;
    fs_drain(a, note_drained, &drained);
    pass_ms(20000);
    assert_true(drained);
    fs_free(a);
    fs_free(b);
    store_close();
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)
    const struct CMUnitTest tests[] = {
        TEST(who_looks_at_what_it_reads_is_given_all_of_it),
        TEST(an_entry_that_is_taken_counts_one_lookup),
        TEST(nobody_else_is_told_what_one_was_listed),
        TEST(a_reader_sees_what_its_own_mount_changes),
        TEST(an_unreadable_file_record_keeps_no_name_back),
        TEST(large_directories_are_listed_whole),
        TEST(a_directory_is_remembered_until_all_its_touches_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
