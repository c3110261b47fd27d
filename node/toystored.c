/* toystored: a storing node as a process: options in, log lines out, a clean stop on SIGTERM. */
#include "options.h"
#include "process.h"

#include "base/base.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>

static struct toystore *running; /* for the signal handler */

static void on_signal(int signal)
{
    (void)signal;
    toystore_stop(running);
}

static void print_line(const char *text)
{
    puts(text);
}

static void usage(void)
{
    puts("usage: toystored --data DIR [--seed HOST[:PORT]]... [options]\n");
    options_help(print_line);
    puts("  --help, --version\n\nSee toystored(8).");
}

/* -1: go on. */
static int parse(struct toystore_config *config, int argc, char **argv, const char **ret_file,
                 char *error, size_t error_size)
{
    for (int at = 1; at < argc; at++) {
        if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0) {
            usage();
            return 0;
        }
        if (strcmp(argv[at], "--version") == 0) {
            puts("toystored " TOYSTORE_VERSION);
            return 0;
        }
        int taken = options_take(config, argc, argv, &at, ret_file, error, error_size);
        if (taken < 0)
            return 2;
        if (taken == 0) {
            snprintf(error, error_size, "%.60s: no such option; see toystored --help", argv[at]);
            return 2;
        }
    }
    return -1;
}

static int fail(const char *error, int status)
{
    fprintf(stderr, "toystored: %s\n", error);
    return status;
}

enum { DAMAGED = -1, SOON_S = 60 };

/* DAMAGED: what was read or written of the store turned out to be so, and opening it again saves
 * what can be saved. */
static int run(const struct toystore_config *config)
{
    char error[400] = "";
    if (toystore_new(config, &running, error, sizeof error) != 0)
        return fail(error, 1);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    int status = toystore_run(running);
    if (status != 0) {
        const char *reason = toystore_stop_reason(running);
        fail(reason[0] ? reason : strerror(-status), 1);
    }
    struct toystore *node = running;
    action.sa_handler = SIG_IGN;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    toystore_free(node);
    return status == -EUCLEAN ? DAMAGED : status != 0;
}

/* A node that finds its store damaged begins again at once, unless that was in vain just now. */
static int run_on(const struct toystore_config *config)
{
    for (bool in_vain = false;;) {
        time_t began = time(NULL);
        int status = run(config);
        bool soon = time(NULL) - began < SOON_S;
        if (status != DAMAGED || (soon && in_vain))
            return status == DAMAGED ? 1 : status;
        in_vain = soon;
    }
}

int main(int argc, char **argv)
{
    struct toystore_config config;
    const char *file = NULL;
    char error[400] = "";
    process_prepare();
    toystore_config_init(&config);
    int status = parse(&config, argc, argv, &file, error, sizeof error);
    if (status == 2)
        status = fail(error, 2);
    if (status < 0 && options_finish(&config, file, error, sizeof error) != 0)
        status = fail(error, 2);
    if (status < 0 && config.data == NULL && strcmp(config.store, "memory") != 0)
        status =
            fail("--data DIR is needed: where this node keeps its data (or --store memory)", 2);
    if (status < 0)
        status = run_on(&config);
    toystore_config_free(&config);
    return status;
}
