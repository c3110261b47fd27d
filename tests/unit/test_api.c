/* The embedding API from many threads at once: puts, gets, submissions, reports and a stop in the
 * middle. Also built under ThreadSanitizer. */
#include <toystore/toystore.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { THREADS = 4, KEYS = 25, READY_MS = 20000 };

static struct toystore *node_new(void)
{
    struct toystore_config config;
    struct toystore *node = NULL;
    char error[300] = "";
    toystore_config_init(&config);
    config.pick_ports = true;
    assert_int_equal(toystore_config_set(&config, "store", "memory", error, sizeof error), 0);
    assert_int_equal(toystore_config_set(&config, "log-level", "error", error, sizeof error), 0);
    if (toystore_new(&config, &node, error, sizeof error) != 0)
        fail_msg("%s", error);
    toystore_config_free(&config);
    return node;
}

struct worker {
    pthread_t thread;
    struct toystore *node;
    int number, wrong;
};

static void *put_and_get(void *arg)
{
    struct worker *worker = arg;
    char key[40], value[40];
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "t%d/k%d", worker->number, i);
        snprintf(value, sizeof value, "v%d.%d", worker->number, i);
        worker->wrong += toystore_put_string(worker->node, key, value) != TOYSTORE_OK;
        char *got = toystore_get_string(worker->node, key, NULL);
        worker->wrong += got == NULL || strcmp(got, value) != 0;
        free(got);
        char *report = toystore_report(worker->node, "status");
        worker->wrong += report == NULL;
        free(report);
    }
    return NULL;
}

static void threads_share_a_node(void **state)
{
    (void)state;
    struct toystore *node = node_new();
    assert_int_equal(toystore_start(node), 0);
    assert_int_equal(toystore_wait_ready(node, READY_MS), 0);
    struct worker workers[THREADS] = {{0}};
    for (int i = 0; i < THREADS; i++) {
        workers[i].node = node;
        workers[i].number = i;
        pthread_create(&workers[i].thread, NULL, put_and_get, &workers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].wrong, 0);
    }
    toystore_free(node);
}

static atomic_int answers;

static void count_answer(void *arg, const struct toystore_result *result)
{
    (void)arg;
    (void)result;
    atomic_fetch_add(&answers, 1);
}

/* Every accepted request is answered once, also when the node stops under it. */
static void a_stop_answers_everybody(void **state)
{
    (void)state;
    struct toystore *node = node_new();
    assert_int_equal(toystore_start(node), 0);
    assert_int_equal(toystore_wait_ready(node, READY_MS), 0);
    struct toystore_request request = {
        .type = TOYSTORE_PUT, .key = {"busy", 4}, .change = TOYSTORE_SET_VALUE, .value = {"x", 1}};
    int accepted = 0;
    atomic_store(&answers, 0);
    for (int i = 0; i < 200; i++) {
        if (i == 100)
            toystore_stop(node);
        accepted += toystore_submit(node, &request, count_answer, NULL) == 0;
    }
    toystore_free(node);
    assert_true(accepted >= 100);
    assert_int_equal(atomic_load(&answers), accepted);
}

/* As a signal handler may: it cannot know. */
static void a_stop_after_the_end_does_nothing(void **state)
{
    (void)state;
    struct toystore *node = node_new();
    toystore_stop(node); /* and before the beginning */
    assert_int_equal(toystore_start(node), 0);
    for (int ms = 0; toystore_wait_ready(node, 10) != -ESHUTDOWN; ms += 10)
        assert_true(ms < READY_MS);
    for (int i = 0; i < 3; i++)
        toystore_stop(node);
    toystore_free(node);
    node = node_new();
    toystore_stop(node);
    toystore_free(node); /* never run */
}

static void ops_are_never_given_twice(void **state)
{
    (void)state;
    struct toystore *node = node_new();
    struct toystore_op first = toystore_op_new(node); /* before it runs */
    assert_int_equal(toystore_start(node), 0);
    assert_int_equal(toystore_wait_ready(node, READY_MS), 0);
    assert_int_equal(toystore_put_string(node, "k", "v"), TOYSTORE_OK);
    struct toystore_op second = toystore_op_new(node);
    assert_true(second.sequence > first.sequence + 1);
    assert_memory_equal(first.session, second.session, sizeof first.session);
    toystore_free(node);
}

static void *ask_for_ops(void *arg)
{
    struct worker *worker = arg;
    struct toystore_op last = {.sequence = 0};
    for (int i = 0; i < KEYS; i++) {
        struct toystore_op op = toystore_op_new(worker->node);
        worker->wrong += op.sequence <= last.sequence;
        last = op;
        free(toystore_report(worker->node, "members"));
    }
    return NULL;
}

/* By others than its own thread, before it has one, while it begins and while it ends. */
static void a_node_is_asked_at_any_time(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        struct toystore *node = node_new();
        struct worker workers[THREADS] = {{0}};
        for (int i = 0; i < THREADS; i++) {
            workers[i].node = node;
            pthread_create(&workers[i].thread, NULL, ask_for_ops, &workers[i]);
        }
        assert_int_equal(toystore_start(node), 0);
        struct toystore_op first = toystore_op_new(node), second = toystore_op_new(node);
        assert_true(second.sequence > first.sequence);
        if (round % 2)
            toystore_stop(node);
        for (int i = 0; i < THREADS; i++) {
            pthread_join(workers[i].thread, NULL);
            assert_int_equal(workers[i].wrong, 0);
        }
        toystore_free(node);
    }
}

static void what_is_missing_has_its_own_answer(void **state)
{
    (void)state;
    enum toystore_status status;
    struct toystore *node = node_new();
    assert_int_equal(toystore_start(node), 0);
    assert_int_equal(toystore_wait_ready(node, READY_MS), 0);
    assert_null(toystore_get_string(node, "nothing", &status));
    assert_int_equal(status, TOYSTORE_NOT_FOUND);
    assert_int_equal(toystore_put_string(node, "a//b", "x"), TOYSTORE_INVALID);
    assert_int_equal(toystore_put_string(node, ".toystore/a", "x"), TOYSTORE_RESERVED);
    assert_int_equal(toystore_delete(node, "nothing"), TOYSTORE_NOT_FOUND);
    toystore_free(node);
}

static void a_put_makes_its_directories(void **state)
{
    (void)state;
    enum toystore_status status;
    struct toystore *node = node_new();
    assert_int_equal(toystore_start(node), 0);
    assert_int_equal(toystore_wait_ready(node, READY_MS), 0);
    assert_int_equal(toystore_put_string(node, "d/e/f", "x"), TOYSTORE_OK);
    assert_int_equal(toystore_put_string(node, "d/e", "x"), TOYSTORE_IS_DIRECTORY);
    assert_int_equal(toystore_put_string(node, "d/e/f/g", "x"), TOYSTORE_NOT_DIRECTORY);
    assert_null(toystore_get_string(node, "d", &status));
    assert_int_equal(status, TOYSTORE_IS_DIRECTORY);
    assert_int_equal(toystore_delete(node, "d/e"), TOYSTORE_IS_DIRECTORY);
    assert_int_equal(toystore_delete(node, "d/e/f"), TOYSTORE_OK);
    assert_null(toystore_get_string(node, "d/e/f", &status));
    assert_int_equal(status, TOYSTORE_NOT_FOUND);
    toystore_free(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_share_a_node),
        cmocka_unit_test(a_stop_answers_everybody),
        cmocka_unit_test(a_stop_after_the_end_does_nothing),
        cmocka_unit_test(ops_are_never_given_twice),
        cmocka_unit_test(a_node_is_asked_at_any_time),
        cmocka_unit_test(what_is_missing_has_its_own_answer),
        cmocka_unit_test(a_put_makes_its_directories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
