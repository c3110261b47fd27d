/* store: what any store must do (include/toystore/store.h), asked of each that comes with us. */
#include <toystore/store.h>

#include "base/base.h"
#include "base/prng.h"
#include "io/stores.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LARGE = 100 * 1000 };

static const struct toystore_store_ops *ops; /* under test */
static char directory[64];
static struct toystore_store *store;
static uint8_t large[LARGE];

static void open_store(void)
{
    char error[200] = "";
    if (ops->open(directory, error, sizeof error, &store) != 0)
        fail_msg("open: %s", error);
}

static int setup(void **state)
{
    (void)state;
    struct prng prng;
    prng_seed(&prng, 3);
    prng_bytes(&prng, large, sizeof large);
    strcpy(directory, "/tmp/toystore-store-XXXXXX");
    assert_non_null(mkdtemp(directory));
    open_store();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[100];
    if (store != NULL)
        ops->close(store);
    store = NULL;
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static struct toystore_bytes text(const char *string)
{
    return (struct toystore_bytes){string, strlen(string)};
}

static int write_one(const char *key, struct toystore_bytes value)
{
    struct toystore_write write = {.key = text(key), .value = value};
    return ops->write(store, &write, 1);
}

static int put(const char *key, const char *value)
{
    return write_one(key, text(value));
}

static int put_large(const char *key)
{
    return write_one(key, (struct toystore_bytes){large, sizeof large});
}

struct got {
    uint8_t bytes[LARGE];
    size_t size;
};

static void take(void *arg, struct toystore_bytes value)
{
    struct got *got = arg;
    assert_true(value.size <= sizeof got->bytes);
    if (value.size > 0)
        memcpy(got->bytes, value.data, value.size);
    got->size = value.size;
}

static int get(const char *key, struct got *got)
{
    return ops->get(store, TOYSTORE_RECORDS, text(key), take, got);
}

static void expect(const char *key, const char *value)
{
    static struct got got;
    assert_int_equal(get(key, &got), 0);
    assert_int_equal(got.size, strlen(value));
    assert_memory_equal(got.bytes, value, got.size);
}

static bool is_there(const char *key)
{
    static struct got got;
    return get(key, &got) != -ENOENT;
}

static void expect_large(const char *key)
{
    static struct got got;
    assert_int_equal(get(key, &got), 0);
    assert_int_equal(got.size, LARGE);
    assert_memory_equal(got.bytes, large, LARGE);
}

static size_t count_files(void)
{
    char command[120], line[32] = "";
    snprintf(command, sizeof command, "find %s/values -type f | wc -l", directory);
    FILE *pipe = popen(command, "r");
    assert_non_null(fgets(line, sizeof line, pipe));
    pclose(pipe);
    return (size_t)atol(line);
}

/* Runs a shell command with the name of the only value file. */
static void on_value_file(const char *command)
{
    char line[200];
    snprintf(line, sizeof line, "f=$(find %s/values -type f | head -n 1) && %s", directory,
             command);
    assert_int_equal(system(line), 0);
}

static bool on_disk(void)
{
    return ops == &store_rocksdb;
}

static void gives_back_what_was_written(void **state)
{
    (void)state;
    static struct got got;
    assert_int_equal(get("a", &got), -ENOENT);
    assert_int_equal(put("a", "1"), 0);
    assert_int_equal(put("a", "two"), 0);
    assert_int_equal(put("empty", ""), 0);
    expect("a", "two");
    expect("empty", "");
    assert_int_equal(put_large("big"), 0);
    expect_large("big");
}

static void a_batch_works_in_order(void **state)
{
    (void)state;
    static struct got got;
    struct toystore_bytes big = {large, sizeof large};
    assert_int_equal(put_large("gone"), 0);
    struct toystore_write writes[] = {
        {.key = text("a"), .value = text("1")},
        {.key = text("b"), .value = text("2")},
        {.key = text("a"), .remove = true},
        {.key = text("c"), .value = big},
        {.key = text("c"), .value = text("3")},
        {.key = text("gone"), .remove = true},
        {.key = text("d"), .value = text("4")},
        {.key = text("d"), .value = big},
        {.space = TOYSTORE_META, .key = text("a"), .value = text("other space")},
    };
    assert_int_equal(ops->write(store, writes, ARRAY_COUNT(writes)), 0);
    assert_int_equal(get("a", &got), -ENOENT);
    assert_int_equal(get("gone", &got), -ENOENT);
    expect("b", "2");
    expect("c", "3");
    expect_large("d");
    assert_int_equal(ops->get(store, TOYSTORE_META, text("a"), take, &got), 0);
    assert_int_equal(got.size, strlen("other space"));
}

struct seen {
    char keys[200];
    size_t limit;
};

static bool see(void *arg, struct toystore_bytes key, struct toystore_bytes value)
{
    struct seen *seen = arg;
    assert_true(value.size == LARGE || value.size == 1);
    strncat(seen->keys, key.data, key.size);
    strcat(seen->keys, " ");
    return --seen->limit > 0;
}

static void scans_in_order_between_bounds(void **state)
{
    (void)state;
    const char *keys[] = {"d", "a", "ab", "c", "b"};
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
        assert_int_equal(put(keys[i], "x"), 0);
    assert_int_equal(put_large("bb"), 0);
    struct seen all = {.limit = 100}, some = {.limit = 100}, few = {.limit = 2};
    assert_int_equal(ops->scan(store, TOYSTORE_RECORDS, text(""), text(""), see, &all), 0);
    assert_int_equal(ops->scan(store, TOYSTORE_RECORDS, text("ab"), text("c"), see, &some), 0);
    assert_int_equal(ops->scan(store, TOYSTORE_RECORDS, text("b"), text(""), see, &few), 0);
    assert_string_equal(all.keys, "a ab b bb c d ");
    assert_string_equal(some.keys, "ab b bb ");
    assert_string_equal(few.keys, "b bb ");
}

static void agrees_with_a_model(void **state)
{
    (void)state;
    struct prng prng;
    char values[50][24] = {{0}}, key[8];
    prng_seed(&prng, 11);
    for (int step = 0; step < 2000; step++) {
        size_t i = prng_below(&prng, 50);
        snprintf(key, sizeof key, "k%02zu", i);
        if (prng_chance(&prng, 1, 3)) {
            struct toystore_write write = {.key = text(key), .remove = true};
            assert_int_equal(ops->write(store, &write, 1), 0);
            values[i][0] = '\0';
        } else {
            snprintf(values[i], sizeof values[i], "v%d", step);
            assert_int_equal(put(key, values[i]), 0);
        }
    }
    for (size_t i = 0; i < 50; i++) {
        static struct got got;
        snprintf(key, sizeof key, "k%02zu", i);
        if (values[i][0] == '\0')
            assert_int_equal(get(key, &got), -ENOENT);
        else
            expect(key, values[i]);
    }
}

static void survives_a_restart(void **state)
{
    (void)state;
    if (!on_disk())
        return;
    assert_int_equal(put("a", "1"), 0);
    assert_int_equal(put_large("big"), 0);
    ops->close(store);
    open_store();
    expect("a", "1");
    expect_large("big");
    assert_int_equal(put_large("another"), 0);
    expect_large("big");
}

static void survives_a_kill(void **state)
{
    (void)state;
    if (!on_disk())
        return;
    ops->close(store);
    store = NULL;
    pid_t child = fork();
    if (child == 0) {
        open_store();
        _exit(put("a", "1") != 0 || put_large("big") != 0 || put_large("a") != 0 ||
              kill(getpid(), SIGKILL) != 0);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFSIGNALED(result));
    open_store();
    expect_large("a");
    expect_large("big");
}

static void removes_replaced_files_after_a_sync(void **state)
{
    (void)state;
    if (!on_disk())
        return;
    assert_int_equal(put_large("a"), 0);
    assert_int_equal(put_large("a"), 0);
    assert_int_equal(put_large("b"), 0);
    assert_int_equal(put("b", "small"), 0);
    assert_int_equal(count_files(), 3);
    assert_int_equal(ops->sync(store), 0);
    assert_true(ops->sync_log == NULL || ops->sync_log(store) == 0);
    assert_int_equal(count_files(), 1);
    expect_large("a");
    expect("b", "small");
}

static void sweeps_what_nothing_names(void **state)
{
    (void)state;
    if (!on_disk())
        return;
    assert_int_equal(put_large("a"), 0);
    on_value_file("cp $f ${f%????}ffff");
    assert_int_equal(count_files(), 2);
    ops->close(store);
    open_store();
    assert_int_equal(count_files(), 1);
    expect_large("a");
    assert_int_equal(put_large("b"), 0);
    expect_large("a");
}

static void tells_damaged_values_from_absent_ones(void **state)
{
    (void)state;
    static struct got got;
    static const char *const harms[] = {
        "truncate -s 1000 $f",
        "printf x | dd of=$f bs=1 seek=50000 conv=notrunc status=none",
        "rm $f",
    };
    for (size_t i = 0; on_disk() && i < ARRAY_COUNT(harms); i++) {
        assert_int_equal(put_large("a"), 0);
        assert_int_equal(ops->sync(store), 0);
        on_value_file(harms[i]);
        assert_int_equal(get("a", &got), -EUCLEAN);
        assert_int_equal(put_large("a"), 0);
        expect_large("a");
        assert_int_equal(ops->sync(store), 0);
    }
}

static void belongs_to_one_holder(void **state)
{
    (void)state;
    char error[200];
    struct toystore_store *second;
    if (!on_disk())
        return;
    assert_int_equal(ops->open(directory, error, sizeof error, &second), -EBUSY);
    assert_non_null(strstr(error, "in use"));
}

static void refuses_a_newer_format(void **state)
{
    (void)state;
    char command[100], error[200];
    if (!on_disk())
        return;
    ops->close(store);
    snprintf(command, sizeof command, "echo 99 > %s/FORMAT", directory);
    assert_int_equal(system(command), 0);
    assert_int_equal(ops->open(directory, error, sizeof error, &store), -EPROTO);
    store = NULL;
}

static void repairs_what_is_damaged(void **state)
{
    (void)state;
    char command[200], error[200];
    if (!on_disk())
        return;
    assert_int_equal(put_large("a"), 0);
    ops->close(store);
    open_store(); /* the log becomes tables, which name their families */
    ops->close(store);
    store = NULL;
    snprintf(command, sizeof command, "truncate -s 20 %s/db/MANIFEST-*", directory);
    assert_int_equal(system(command), 0);
    assert_int_equal(ops->open(directory, error, sizeof error, &store), -EUCLEAN);
    assert_int_equal(ops->repair(directory, error, sizeof error), 0);
    open_store();
    expect_large("a");
}

/* Eight bytes in the middle of every table. */
static void flip_bits_in_tables(void)
{
    char line[300];
    snprintf(
        line, sizeof line,
        "for f in %s/db/*.sst; do s=$(stat -c %%s $f); [ $s -lt 20000 ] || printf flipped_ | dd "
        "of=$f bs=1 seek=$((s / 2)) conv=notrunc status=none || exit 1; done",
        directory);
    assert_int_equal(system(line), 0);
}

/* As a compaction leaves it. */
static void mark_as_damaged(void)
{
    char line[100];
    snprintf(line, sizeof line, "touch %s/db.is-damaged", directory);
    assert_int_equal(system(line), 0);
}

enum { MANY = 3000 };

static void name_of(int i, char name[16])
{
    snprintf(name, 16, "k%05d", i * 7919 % MANY);
}

static bool count_key(void *arg, struct toystore_bytes key, struct toystore_bytes value)
{
    assert_int_equal(value.size, 0);
    assert_true(key.size > 0);
    ++*(int *)arg;
    return true;
}

/* What is lost is the block, and not what lies before and behind it. */
static void salvages_what_can_be_read(void **state)
{
    (void)state;
    char error[200], name[16], value[200];
    int there = 0, keys = 0;
    if (!on_disk())
        return;
    for (int i = 0; i < MANY; i++) {
        name_of(i, name);
        snprintf(value, sizeof value, "%s %0150d", name, i);
        assert_int_equal(put(name, value), 0);
    }
    assert_int_equal(put_large("large"), 0);
    ops->close(store);
    open_store(); /* the log becomes tables */
    ops->close(store);
    store = NULL;
    flip_bits_in_tables();
    mark_as_damaged();
    assert_int_equal(ops->open(directory, error, sizeof error, &store), -EUCLEAN);
    assert_int_equal(ops->repair(directory, error, sizeof error), 0);
    open_store();
    expect_large("large");
    for (int i = 0; i < MANY; i++) {
        name_of(i, name);
        snprintf(value, sizeof value, "%s %0150d", name, i);
        if (is_there(name)) {
            expect(name, value);
            there++;
        }
    }
    assert_true(there < MANY && there > MANY - 200);
    assert_int_equal(ops->scan_keys(store, TOYSTORE_RECORDS, text(""), text(""), count_key, &keys),
                     0);
    assert_int_equal(keys, there + 1);
}

static void put_many(void)
{
    char key[16];
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof key, "many%d", i);
        assert_int_equal(put(key, "x"), 0);
    }
}

/* Runs a shell command with the name of the newest log of the database. */
static void on_log(const char *command)
{
    char line[200];
    snprintf(line, sizeof line, "f=$(ls -t %s/db/*.log | head -n 1) && %s", directory, command);
    assert_int_equal(system(line), 0);
}

static void a_torn_end_of_the_log_is_normal(void **state)
{
    (void)state;
    if (!on_disk())
        return;
    put_many();
    ops->close(store);
    on_log("truncate -s 2000 $f");
    open_store();
    expect("many0", "x");
}

static void damage_inside_the_log_is_told(void **state)
{
    (void)state;
    char error[200];
    if (!on_disk())
        return;
    assert_int_equal(put("early", "kept"), 0);
    ops->close(store);
    open_store(); /* the log becomes a table */
    put_many();
    ops->close(store);
    store = NULL;
    on_log("printf xxxx | dd of=$f bs=1 seek=500 conv=notrunc status=none");
    assert_int_equal(ops->open(directory, error, sizeof error, &store), -EUCLEAN);
    assert_int_equal(ops->repair(directory, error, sizeof error), 0);
    open_store();
    expect("early", "kept");
}

/* Writes that the system refuses (a limit on file sizes stands in for a failing disk) are errors,
 * not losses; when the cause is gone, the same store works again. */
static void write_errors_pass(void **state)
{
    (void)state;
    struct rlimit old, small;
    static char value[20000];
    if (!on_disk())
        return;
    signal(SIGXFSZ, SIG_IGN);
    memset(value, 'v', sizeof value - 1);
    assert_int_equal(put("before", "kept"), 0);
    getrlimit(RLIMIT_FSIZE, &old);
    for (rlim_t limit = 0; limit < 60000; limit += 7000) {
        small = (struct rlimit){limit, old.rlim_max};
        setrlimit(RLIMIT_FSIZE, &small);
        int first = put("k", value), second = put_large("big");
        setrlimit(RLIMIT_FSIZE, &old);
        assert_true(first == 0 || first == -EIO);
        assert_int_equal(second, -EIO);
        expect("before", "kept");
        assert_int_equal(put("k", value), 0);
        expect("k", value);
    }
    assert_int_equal(put_large("big"), 0);
    expect_large("big");
    assert_int_equal(ops->sync(store), 0);
}

static void what_is_staged_waits_for_its_name(void **state)
{
    (void)state;
    if (ops->stage == NULL)
        return;
    struct toystore_bytes parts[2] = {{large, 9}, {large + 9, sizeof large - 9}};
    struct toystore_staged staged, dropped;
    assert_true(sizeof large >= ops->stage_min);
    assert_int_equal(ops->stage(store, parts, &staged), 0);
    assert_int_equal(ops->stage(store, parts, &dropped), 0);
    assert_int_equal(count_files(), 2);
    struct toystore_write writes[] = {
        {.key = text("a"), .staged = &staged},
        {.key = text("b"), .value = text("1")},
    };
    assert_int_equal(ops->write(store, writes, ARRAY_COUNT(writes)), 0);
    expect_large("a");
    expect("b", "1");
    ops->unstage(store, &dropped);
    assert_int_equal(count_files(), 1);
    assert_int_equal(ops->stage(store, parts, &dropped), 0); /* never named */
    ops->close(store);
    open_store();
    assert_int_equal(count_files(), 1);
    expect_large("a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gives_back_what_was_written, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_works_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(scans_in_order_between_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(agrees_with_a_model, setup, teardown),
        cmocka_unit_test_setup_teardown(survives_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(survives_a_kill, setup, teardown),
        cmocka_unit_test_setup_teardown(removes_replaced_files_after_a_sync, setup, teardown),
        cmocka_unit_test_setup_teardown(sweeps_what_nothing_names, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_damaged_values_from_absent_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(belongs_to_one_holder, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_newer_format, setup, teardown),
        cmocka_unit_test_setup_teardown(repairs_what_is_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(salvages_what_can_be_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_torn_end_of_the_log_is_normal, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_inside_the_log_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_staged_waits_for_its_name, setup, teardown),
        cmocka_unit_test_setup_teardown(write_errors_pass, setup, teardown),
    };
    int failed = 0;
    for (size_t i = 0; toystore_stores[i] != NULL; i++) {
        ops = toystore_stores[i];
        printf("store %s\n", ops->name);
        failed += cmocka_run_group_tests(tests, NULL, NULL);
    }
    return failed;
}
