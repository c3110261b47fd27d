/* mount.toystore: a node and a FUSE session in one process.
 *
 * The parent forks before anything has begun and waits for one word; the child starts the node,
 * waits until it serves, mounts, and serves the kernel on the node's own thread. The main thread
 * then sleeps until a signal, an umount or the node ends it; what is open is published first. */
#include "background.h"
#include "mount_options.h"
#include "mount_point.h"
#include "session.h"

#include "process.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_USAGE = 1, EXIT_FAILED = 32 }; /* mount(8) */

enum { START_POLL_MS = 100, END_WAIT_S = 40 };

struct mount {
    struct mount_options options;
    struct background background;
    char *mountpoint, *data;
    char fuse_options[FUSE_OPTIONS_SIZE + 300];
    struct toystore *node;
    struct session *session;
};

static void log_line(void *arg, int level, const char *line)
{
    static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
    static const char *const words[] = {"error", "warning", "info", "debug"};
    const struct mount *mount = arg;
    level = level < 0 ? 0 : level > 3 ? 3 : level;
    bool starting = background_starting(&mount->background);
    if (mount->options.foreground || (starting && level <= 1))
        fprintf(stderr, "mount.toystore: %s: %s\n", words[level], line);
    if (!mount->options.foreground)
        syslog(priorities[level], "%s", line);
}

static int fail(struct mount *mount, const char *message, int status)
{
    background_fail(&mount->background, "mount.toystore", message);
    return status;
}

/* ---- before the fork ---- */

static int choose_data(struct mount *mount, char *error, size_t error_size)
{
    struct toystore_config *config = &mount->options.config;
    bool memory = strcmp(config->store, "memory") == 0;
    if (config->data == NULL && config->seed_count == 0 && !memory) {
        char *data = mount_point_data(mount->mountpoint);
        if (data == NULL) {
            snprintf(error, error_size, "--data DIR is needed: there is no HOME to put it in");
            return -EINVAL;
        }
        int result = toystore_config_set(config, "data", data, error, error_size);
        free(data);
        if (result < 0)
            return result;
    }
    if (config->data && config->data[0] != '/') { /* the process leaves its start directory */
        char *directory = getcwd(NULL, 0), *data = NULL;
        if (directory && asprintf(&data, "%s/%s", directory, config->data) > 0)
            toystore_config_set(config, "data", data, error, error_size);
        free(directory);
        free(data);
    }
    return config->data ? mount_point_data_check(mount->mountpoint, config->data, error, error_size)
                        : 0;
}

static void choose_fuse_options(struct mount *mount)
{
    const struct mount_options *options = &mount->options;
    snprintf(mount->fuse_options, sizeof mount->fuse_options,
             "fsname=%s,subtype=toystore,default_permissions%s%s%s",
             options->source && strchr(options->source, ',') == NULL ? options->source : "toystore",
             options->allow_other && geteuid() == 0 ? ",allow_other" : "",
             options->fuse[0] ? "," : "", options->fuse);
}

/* In the parent: the kernel's first question, through the mount. */
static int check_mounted(void *arg)
{
    const struct mount *mount = arg;
    struct stat st;
    if (stat(mount->mountpoint, &st) == 0)
        return 0;
    fprintf(stderr, "mount.toystore: %s does not answer: %s\n", mount->mountpoint, strerror(errno));
    return EXIT_FAILED;
}

/* ---- the node ---- */

/* By a signal, or because who started it has been interrupted and is gone. */
static bool is_called_off(struct mount *mount, const sigset_t *signals)
{
    const struct timespec now = {0};
    return sigtimedwait(signals, NULL, &now) > 0 || background_abandoned(&mount->background);
}

static int wait_ready(struct mount *mount, const sigset_t *signals)
{
    for (unsigned waited_ms = 0;; waited_ms += START_POLL_MS) {
        if (is_called_off(mount, signals))
            return -EINTR;
        int result = toystore_wait_ready(mount->node, START_POLL_MS);
        if (result != -ETIMEDOUT || waited_ms >= mount->options.timeout_s * 1000)
            return result;
    }
}

static int start_node(struct mount *mount, const sigset_t *signals, char *error, size_t error_size)
{
    struct toystore_config *config = &mount->options.config;
    config->pick_ports = true;
    config->log = log_line;
    config->log_arg = mount;
    int result = toystore_new(config, &mount->node, error, error_size);
    if (result < 0)
        return result;
    result = toystore_start(mount->node);
    if (result == 0)
        result = wait_ready(mount, signals);
    if (result == 0)
        return 0;
    if (result == -EINTR) {
        snprintf(error, error_size, "called off before it was mounted");
        return result;
    }
    const char *reason = toystore_stop_reason(mount->node);
    if (reason[0])
        snprintf(error, error_size, "%s", reason);
    else if (result == -ETIMEDOUT && mount->options.config.seed_count > 0)
        snprintf(error, error_size, "no seed answered in %u s (first: %s)",
                 mount->options.timeout_s, mount->options.config.seeds[0]);
    else
        snprintf(error, error_size, "the node did not start: %s", strerror(-result));
    return result;
}

/* ---- the session ---- */

/* On the node's thread. The main thread is in sigwait. */
static void ended(void *arg)
{
    (void)arg;
    kill(getpid(), SIGUSR1);
}

static void serve(void *arg)
{
    struct mount *mount = arg;
    if (session_serve(mount->session) < 0)
        log_line(mount, 0, "the FUSE device cannot be watched");
}

static int begin_session(struct mount *mount, char *error, size_t error_size)
{
    struct session_config config = {.node = mount->node,
                                    .mountpoint = mount->mountpoint,
                                    .fuse_options = mount->fuse_options,
                                    .timeout_ms = mount->options.timeout_s * 1000,
                                    .debug = mount->options.debug,
                                    .local_locks = mount->options.local_locks,
                                    .show_conflicts = mount->options.show_conflicts,
                                    .log = log_line,
                                    .ended = ended,
                                    .arg = mount};
    int result = session_new(&config, &mount->session, error, error_size);
    if (result == 0)
        result = toystore_post(mount->node, serve, mount);
    return result;
}

static void end_session(void *arg)
{
    struct mount *mount = arg;
    session_end(mount->session);
}

/* Until all is published after a signal or an umount, or the node has stopped by itself. */
static void wait_for_end(struct mount *mount, const sigset_t *signals)
{
    struct timespec limit = {.tv_sec = 1};
    unsigned waited_s = 0;
    bool ending = false;
    for (;;) {
        int signal = sigtimedwait(signals, NULL, &limit);
        if (signal == SIGUSR1)
            return;
        if (signal > 0 && !ending) {
            ending = true;
            toystore_post(mount->node, end_session, mount);
        }
        if (toystore_stop_reason(mount->node)[0] || (ending && ++waited_s > END_WAIT_S))
            return;
    }
}

static int run(struct mount *mount)
{
    char error[600] = "";
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    int status = EXIT_FAILED;
    if (start_node(mount, &signals, error, sizeof error) < 0 ||
        begin_session(mount, error, sizeof error) < 0) {
        status = fail(mount, error, EXIT_FAILED);
    } else {
        background_ready(&mount->background);
        wait_for_end(mount, &signals);
        status = toystore_stop_reason(mount->node)[0] ? EXIT_FAILED : 0;
    }
    toystore_free(mount->node);
    if (mount->session)
        session_free(mount->session);
    return status;
}

static int mount_it(struct mount *mount)
{
    char error[600] = "";
    int result =
        mount_point_check(mount->options.mountpoint, &mount->mountpoint, error, sizeof error);
    if (result == 0)
        result = choose_data(mount, error, sizeof error);
    if (result < 0)
        return fail(mount, error, EXIT_FAILED);
    choose_fuse_options(mount);
    if (mount->options.fake)
        return 0;
    if (!mount->options.foreground) {
        background_begin(&mount->background, check_mounted, mount, EXIT_FAILED);
        openlog("mount.toystore", LOG_PID, LOG_DAEMON);
    }
    return run(mount);
}

int main(int argc, char **argv)
{
    struct mount mount = {.background = {.ready_fd = -1}};
    char error[600] = "";
    int status = 0;
    process_prepare();
    switch (mount_options_parse(&mount.options, argc, argv, error, sizeof error)) {
    case PARSE_WRONG:
        status = fail(&mount, error, EXIT_USAGE);
        break;
    case PARSE_GO:
        status = mount_it(&mount);
        break;
    case PARSE_DONE:
        break;
    }
    free(mount.mountpoint);
    mount_options_free(&mount.options);
    return status;
}
