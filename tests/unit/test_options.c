/* options: every option says what is wrong with it, by its name. */
#include "options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char error[300];

static int take(struct toystore_config *config, const char *word, const char *value)
{
    char a[100], b[100];
    snprintf(a, sizeof a, "%s", word);
    snprintf(b, sizeof b, "%s", value ? value : "");
    char *argv[] = {a, b};
    int at = 0;
    const char *file = NULL;
    error[0] = '\0';
    return options_take(config, value ? 2 : 1, argv, &at, &file, error, sizeof error);
}

static void defaults_are_the_table(void **state)
{
    (void)state;
    struct toystore_config config;
    toystore_config_init(&config);
    assert_string_equal(config.host, "127.0.0.1");
    assert_int_equal(config.rpc_port, 3001);
    assert_int_equal(config.replicas, 3);
    assert_null(config.data);
    assert_int_equal(config.given, 0);
    assert_int_equal(options_finish(&config, NULL, error, sizeof error), 0);
    toystore_config_free(&config);
}

static void values_are_taken_in_both_forms(void **state)
{
    (void)state;
    struct toystore_config config;
    toystore_config_init(&config);
    assert_int_equal(take(&config, "--rpc-port", "4000"), 1);
    assert_int_equal(take(&config, "--zone=east", NULL), 1);
    assert_int_equal(take(&config, "--strict-quorum", NULL), 1);
    assert_int_equal(take(&config, "--seed", "10.0.0.1"), 1);
    assert_int_equal(take(&config, "--seed", "10.0.0.2:99"), 1);
    assert_int_equal(config.rpc_port, 4000);
    assert_string_equal(config.zone, "east");
    assert_int_equal(config.strict_quorum, 1);
    assert_int_equal(config.seed_count, 2);
    assert_true(option_given(&config, OPTION_zone));
    assert_false(option_given(&config, OPTION_host));
    assert_int_equal(take(&config, "--unheard-of", "1"), 0);
    toystore_config_free(&config);
}

static void what_is_wrong_names_the_option(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"--rpc-port", "0"},
        {"--rpc-port", "70000"},
        {"--replicas", "x"},
        {"--write-quorum", "-1"},
        {"--store", "sqlite"},
        {"--store", "rocks"},
        {"--host", ""},
        {"--seed", ":7946"},
        {"--seed", "host:no"},
        {"--seed", "a:7946:b"},
        {"--data", NULL},
        {"--log-level", "loud"},
        {"--strict-quorum=maybe", NULL},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct toystore_config config;
        toystore_config_init(&config);
        assert_int_equal(take(&config, wrong[i][0], wrong[i][1]), -EINVAL);
        assert_non_null(strstr(error, "--"));
        assert_int_equal(strncmp(error, wrong[i][0], 5), 0);
        toystore_config_free(&config);
    }
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    struct toystore_config config;
    toystore_config_init(&config);
    take(&config, "--replicas", "2");
    take(&config, "--write-quorum", "3");
    assert_int_equal(options_finish(&config, NULL, error, sizeof error), -EINVAL);
    assert_non_null(strstr(error, "--write-quorum"));
    toystore_config_free(&config);

    toystore_config_init(&config);
    take(&config, "--replicas", "1"); /* the default quorums follow */
    assert_int_equal(options_finish(&config, NULL, error, sizeof error), 0);
    assert_int_equal(config.write_quorum, 1);
    toystore_config_free(&config);
}

static void the_command_line_wins_over_the_file(void **state)
{
    (void)state;
    char path[] = "/tmp/toystore-options.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    const char text[] = "# a comment\n\nzone = west\nrpc-port=5000\n seed = a\nseed = b\n";
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    struct toystore_config config;
    toystore_config_init(&config);
    take(&config, "--zone", "east");
    assert_int_equal(options_finish(&config, path, error, sizeof error), 0);
    assert_string_equal(config.zone, "east");
    assert_int_equal(config.rpc_port, 5000);
    assert_int_equal(config.seed_count, 2);
    toystore_config_free(&config);

    FILE *file = fopen(path, "w");
    fputs("zone = east\nnonsense = 1\n", file);
    fclose(file);
    toystore_config_init(&config);
    assert_int_equal(options_finish(&config, path, error, sizeof error), -EINVAL);
    assert_non_null(strstr(error, ":2: nonsense"));
    toystore_config_free(&config);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_table),
        cmocka_unit_test(values_are_taken_in_both_forms),
        cmocka_unit_test(what_is_wrong_names_the_option),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(the_command_line_wins_over_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
