/* main: runs seeds, on every processor, and says which failed.
 *
 *     sim --seeds A-B      all of them            sim --minutes M [--seeds A-B]   for so long
 *     sim --seed S --trace one, with what happens sim --list FILE                 seeds of a file
 *     --sloppy             no plan is strict: sloppy puts, hints and siblings in every seed
 *     --flavour NAME       every plan is about this (sim.h)
 *     --break NAME         a broken core (broken.def); with --caught a failure is success
 *     --jobs J             processes
 *     --hash               the hash of each trace: a change that must change nothing leaves them
 *     --long               if TOYSTORE_SIM_MINUTES is set: for so long, whatever else was said */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim/broken.h"
#include "sim/sim.h"

enum { JOBS_MAX = 64, LIST_MAX = 4096, REPEAT_EVERY = 20, FAILURES_MAX = 20, STUCK_S = 120 };

static const char *const broken_names[] = {
#define BROKEN_ROW(name, flavour, text) #name,
#include "sim/broken.def"
#undef BROKEN_ROW
};
/* The plans under which it is caught soonest. */
static const enum flavour broken_flavours[] = {
#define BROKEN_ROW(name, flavour, text) FLAVOUR_##flavour,
#include "sim/broken.def"
#undef BROKEN_ROW
};

struct options {
    uint64_t first, last;
    uint64_t list[LIST_MAX];
    enum flavour list_flavours[LIST_MAX]; /* what each of them was found with */
    enum flavour flavour;
    size_t list_count;
    unsigned jobs, minutes;
    unsigned broken;
    bool trace, hash, caught, sloppy;
};

/* Shared by the processes. */
struct worker {
    uint64_t seed, since_s; /* being run */
    bool running;
    uint64_t runs, events;
};

struct board {
    uint64_t next; /* the next to take, as an index */
    uint64_t failures;
    bool stop;
    struct worker workers[JOBS_MAX];
};

static uint64_t now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec;
}

/* What is to be run: a seed, and what its plan is about. */
struct task {
    uint64_t seed;
    enum flavour flavour;
};

static bool run_once(const struct options *options, const struct task *task, struct sim *sim)
{
    *sim = (struct sim){.seed = task->seed,
                        .broken = options->broken,
                        .sloppy = options->sloppy,
                        .flavour = task->flavour,
                        .print = options->trace};
    bool good = sim_run(sim);
    sim_free(sim);
    return good;
}

/* One seed in some is run twice: the traces must be equal. */
static bool run_task(const struct options *options, const struct task *task, struct sim *sim)
{
    bool good = run_once(options, task, sim);
    if (good && task->seed % REPEAT_EVERY == 0 && !options->trace) {
        uint64_t hash = sim->trace_hash;
        good = run_once(options, task, sim);
        if (good && hash != sim->trace_hash) {
            snprintf(sim->reason, sizeof sim->reason, "two runs differ");
            return false;
        }
    }
    return good;
}

static void report(struct board *board, uint64_t seed, const char *reason)
{
    board->failures++;
    printf("seed %llu FAILED: %s\n", (unsigned long long)seed, reason);
    fflush(stdout);
}

static bool take(const struct options *options, struct board *board, struct task *ret)
{
    uint64_t index = __atomic_fetch_add(&board->next, 1, __ATOMIC_SEQ_CST);
    uint64_t limit = options->list_count ? options->list_count : options->last - options->first + 1;
    if (index >= limit || board->stop)
        return false;
    *ret = options->list_count ? (struct task){options->list[index], options->list_flavours[index]}
                               : (struct task){options->first + index, options->flavour};
    return true;
}

static void work(const struct options *options, struct board *board, struct worker *worker)
{
    static struct sim sim;
    struct task task;
    while (take(options, board, &task)) {
        worker->seed = task.seed;
        worker->since_s = now_s();
        worker->running = true;
        if (!run_task(options, &task, &sim))
            report(board, task.seed, sim.reason);
        if (options->hash) {
            printf("seed %llu %016llx\n", (unsigned long long)task.seed,
                   (unsigned long long)sim.trace_hash);
            fflush(stdout);
        }
        worker->running = false;
        worker->runs++;
        worker->events += sim.events;
    }
}

static pid_t hire(const struct options *options, struct board *board, unsigned index)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        work(options, board, &board->workers[index]);
        fflush(stdout);
        _exit(0);
    }
    return pid;
}

/* A process that ended in the middle of a seed: the core aborted there. True: hire another. */
static bool mourn(struct board *board, struct worker *worker, int status)
{
    if (!worker->running)
        return false;
    char reason[80];
    snprintf(reason, sizeof reason, "the core died of signal %d",
             WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    report(board, worker->seed, reason);
    worker->running = false;
    worker->runs++;
    return true;
}

static void stop_stuck(const struct board *board, const pid_t *pids, unsigned jobs)
{
    for (unsigned i = 0; i < jobs; i++)
        if (pids[i] > 0 && board->workers[i].running &&
            now_s() > board->workers[i].since_s + STUCK_S)
            kill(pids[i], SIGABRT);
}

static void supervise(const struct options *options, struct board *board)
{
    pid_t pids[JOBS_MAX] = {0};
    unsigned left = options->jobs;
    uint64_t end = options->minutes ? now_s() + 60ull * options->minutes : UINT64_MAX;
    for (unsigned i = 0; i < options->jobs; i++)
        pids[i] = hire(options, board, i);
    while (left > 0) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (now_s() >= end || board->failures >= FAILURES_MAX ||
            (options->caught && board->failures > 0))
            board->stop = true;
        if (pid <= 0) {
            stop_stuck(board, pids, options->jobs);
            usleep(20000);
            continue;
        }
        for (unsigned i = 0; i < options->jobs; i++) {
            if (pids[i] != pid)
                continue;
            pids[i] = 0;
            if (mourn(board, &board->workers[i], status) && !board->stop)
                pids[i] = hire(options, board, i);
            else
                left--;
        }
    }
}

static int run_all(const struct options *options)
{
    struct board *board =
        mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return 2;
    uint64_t began = now_s(), runs = 0, events = 0;
    supervise(options, board);
    for (unsigned i = 0; i < options->jobs; i++) {
        runs += board->workers[i].runs;
        events += board->workers[i].events;
    }
    uint64_t took = now_s() - began;
    printf("%llu seeds, %llu events, %llu s, %llu a minute; %llu failed\n",
           (unsigned long long)runs, (unsigned long long)events, (unsigned long long)took,
           (unsigned long long)(runs * 60 / (took ? took : 1)),
           (unsigned long long)board->failures);
    bool failed = board->failures > 0;
    munmap(board, sizeof *board);
    return failed == options->caught ? 0 : 1;
}

static int run_traced(const struct options *options)
{
    static struct sim sim;
    struct task task = {options->first, options->flavour};
    bool good = run_task(options, &task, &sim);
    if (good)
        printf("seed %llu holds: %llu events\n", (unsigned long long)options->first,
               (unsigned long long)sim.events);
    else
        printf("seed %llu FAILED: %s\n", (unsigned long long)options->first, sim.reason);
    return good == options->caught ? 1 : 0;
}

static bool read_flavour(const char *name, enum flavour *ret)
{
    for (unsigned i = 0; i < FLAVOUR_COUNT; i++)
        if (strcmp(flavour_names[i], name) == 0) {
            *ret = (enum flavour)i;
            return true;
        }
    return false;
}

/* A number a line, with a flavour behind it unless it is none; # begins a comment. */
static bool read_list(struct options *options, const char *path)
{
    char line[200], word[20];
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    while (fgets(line, sizeof line, file) != NULL && options->list_count < LIST_MAX) {
        unsigned long long seed;
        enum flavour flavour = FLAVOUR_NONE;
        int words = sscanf(line, "%llu %19s", &seed, word);
        if (words == 2 && word[0] != '#' && !read_flavour(word, &flavour))
            return false;
        if (words < 1)
            continue;
        options->list_flavours[options->list_count] = flavour;
        options->list[options->list_count++] = seed;
    }
    fclose(file);
    return true;
}

static bool read_broken(struct options *options, const char *name)
{
    for (unsigned i = 0; i < BROKEN_COUNT; i++)
        if (strcmp(broken_names[i], name) == 0) {
            options->broken = 1 + (unsigned)i;
            if (options->flavour == FLAVOUR_DRAWN)
                options->flavour = broken_flavours[i];
            return true;
        }
    fprintf(stderr, "no such broken core: %s\n", name);
    return false;
}

static bool read_option(struct options *options, int option, const char *value)
{
    unsigned long long first, last;
    switch (option) {
    case 'S':
        if (sscanf(value, "%llu-%llu", &first, &last) != 2 || first > last)
            return false;
        options->first = first;
        options->last = last;
        return true;
    case 's':
        options->first = options->last = strtoull(value, NULL, 10);
        return true;
    case 't':
        options->trace = true;
        return true;
    case 'H':
        options->hash = true;
        return true;
    case 'b':
        return read_broken(options, value);
    case 'm':
        options->minutes = (unsigned)atoi(value);
        return true;
    case 'j':
        options->jobs = (unsigned)atoi(value);
        return options->jobs > 0 && options->jobs <= JOBS_MAX;
    case 'l':
        return read_list(options, value);
    case 'c':
        options->caught = true;
        return true;
    case 'f':
        return read_flavour(value, &options->flavour);
    case 'p':
        options->sloppy = true;
        return true;
    case 'L':
        if (getenv("TOYSTORE_SIM_MINUTES") != NULL) {
            options->minutes = (unsigned)atoi(getenv("TOYSTORE_SIM_MINUTES"));
            options->last = UINT32_MAX;
        }
        return true;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"seeds", required_argument, NULL, 'S'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"trace", no_argument, NULL, 't'},
                                          {"hash", no_argument, NULL, 'H'},
                                          {"break", required_argument, NULL, 'b'},
                                          {"minutes", required_argument, NULL, 'm'},
                                          {"jobs", required_argument, NULL, 'j'},
                                          {"list", required_argument, NULL, 'l'},
                                          {"caught", no_argument, NULL, 'c'},
                                          {"sloppy", no_argument, NULL, 'p'},
                                          {"long", no_argument, NULL, 'L'},
                                          {"flavour", required_argument, NULL, 'f'},
                                          {NULL, 0, NULL, 0}};
    static struct options options = {.first = 1, .last = UINT32_MAX, .flavour = FLAVOUR_DRAWN};
    int option;
    options.jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
        if (!read_option(&options, option, optarg)) {
            fprintf(stderr, "usage: sim --seeds A-B | --seed S [--trace] | --list FILE "
                            "[--flavour NAME] [--minutes M] [--jobs J] [--sloppy] [--long] "
                            "[--hash] [--break NAME [--caught]]\n");
            return 2;
        }
    return options.trace ? run_traced(&options) : run_all(&options);
}
