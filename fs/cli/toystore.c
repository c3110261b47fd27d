/* toystore: the command line. One connection to one node; a file put here and one copied into a
 * mount are the same file.
 *
 * Enters from the shell; leaves to a node by cli/remote.h, for large files by way of transfer.h. */
#include "cli/change.h"
#include "cli/remote.h"
#include "cli/render.h"
#include "cli/repair.h"
#include "transfer.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    EXIT_DONE = 0,
    EXIT_NO = 1, /* not found, or a condition failed */
    EXIT_USAGE = 2,
    EXIT_NO_QUORUM = 3,
    EXIT_INDETERMINATE = 4
};

enum { LIST_LIMIT = 512, WORDS_SIZE = 1024 };

struct cli {
    const char *node;
    bool json, strict, plan;
    struct change_options change;
    int argc;
    char **argv;
    struct remote *remote;
    int exit_status;
};

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "toystore: %s: %s\n", what, why);
    return EXIT_NO_QUORUM;
}

static int exit_of(enum toystore_status status)
{
    switch (status) {
    case TOYSTORE_OK:
        return EXIT_DONE;
    case TOYSTORE_NOT_FOUND:
    case TOYSTORE_CONFLICT:
    case TOYSTORE_IS_DIRECTORY:
    case TOYSTORE_NOT_DIRECTORY:
        return EXIT_NO;
    case TOYSTORE_INVALID:
    case TOYSTORE_TOO_LARGE:
    case TOYSTORE_RESERVED:
        return EXIT_USAGE;
    case TOYSTORE_INDETERMINATE:
        return EXIT_INDETERMINATE;
    default:
        return EXIT_NO_QUORUM;
    }
}

static int exit_of_errno(int error)
{
    switch (error) {
    case 0:
        return EXIT_DONE;
    case -ENOENT:
    case -EISDIR:
    case -ENOTDIR:
    case -EEXIST:
        return EXIT_NO;
    case -EINVAL:
    case -EFBIG:
    case -ENAMETOOLONG:
        return EXIT_USAGE;
    case -ETIMEDOUT: /* fs/submit.c: a put that may yet appear */
        return EXIT_INDETERMINATE;
    default:
        return EXIT_NO_QUORUM;
    }
}

static void explain(const struct cli *cli, enum toystore_status status, const char *message)
{
    const char *key = cli->argc > 1 ? cli->argv[1] : cli->argv[0];
    if (status == TOYSTORE_OK)
        return;
    fprintf(stderr, "toystore: %s: %s\n", key,
            message != NULL && message[0] ? message : toystore_status_meaning(status));
}

static struct toystore_bytes key_of(const char *text)
{
    return (struct toystore_bytes){text, strlen(text)};
}

static int finish(struct cli *cli, bool alive)
{
    return alive ? cli->exit_status : complain(cli->node, remote_error(cli->remote));
}

/* A put whose connection broke may have happened. */
static int finish_put(struct cli *cli, bool alive)
{
    if (!alive)
        complain(cli->node, remote_error(cli->remote));
    return alive ? cli->exit_status : EXIT_INDETERMINATE;
}

/* ---- put ---- */

static ssize_t read_all(int fd, void *buffer, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = read(fd, (char *)buffer + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* What was read to find out whether the value is small, then the rest of standard input. */
struct source {
    const char *head;
    size_t head_size, given;
    bool more;
};

static ssize_t source_read(void *arg, void *buffer, size_t size)
{
    struct source *source = arg;
    size_t n = min_size(size, source->head_size - source->given);
    if (n > 0) {
        memcpy(buffer, source->head + source->given, n);
        source->given += n;
        return (ssize_t)n;
    }
    return source->more ? read_all(STDIN_FILENO, buffer, size) : 0;
}

struct transfer_wait {
    bool finished;
    int error;
};

static void transfer_done(void *arg, int error)
{
    struct transfer_wait *wait = arg;
    wait->finished = true;
    wait->error = error;
}

static int transfer_end(struct cli *cli, struct transfer_wait *wait)
{
    if (!remote_run(cli->remote, &wait->finished))
        return complain(cli->node, remote_error(cli->remote));
    if (wait->error != 0)
        complain(cli->argv[1], strerror(-wait->error));
    return exit_of_errno(wait->error);
}

static int put_large(struct cli *cli, struct source *source)
{
    struct store_face face = remote_face(cli->remote);
    struct transfer_wait wait = {0};
    transfer_put(&face, slice_str(cli->argv[1]), source_read, source, transfer_done, &wait);
    int status = transfer_end(cli, &wait);
    return wait.finished ? status : EXIT_INDETERMINATE;
}

static int put_small(struct cli *cli, struct slice value)
{
    enum toystore_status status = TOYSTORE_INDETERMINATE;
    char *message = NULL;
    bool alive = remote_put(cli->remote, slice_str(cli->argv[1]), value, &status, &message);
    if (alive)
        explain(cli, status, message);
    free(message);
    cli->exit_status = exit_of(status);
    return finish_put(cli, alive);
}

static int run_put(struct cli *cli)
{
    if (cli->argc == 3 && strlen(cli->argv[2]) <= TRANSFER_INLINE_MAX)
        return put_small(cli, slice_str(cli->argv[2]));
    if (cli->argc == 3) {
        struct source source = {.head = cli->argv[2], .head_size = strlen(cli->argv[2])};
        return put_large(cli, &source);
    }
    char *head = base_alloc(TRANSFER_INLINE_MAX + 1);
    ssize_t n = read_all(STDIN_FILENO, head, TRANSFER_INLINE_MAX + 1);
    int status;
    struct source source = {.head = head, .head_size = n > 0 ? (size_t)n : 0, .more = true};
    if (n < 0)
        status = complain("standard input", strerror((int)-n));
    else if (n <= TRANSFER_INLINE_MAX)
        status = put_small(cli, slice_of(head, (size_t)n));
    else
        status = put_large(cli, &source);
    free(head);
    return status;
}

/* ---- get ---- */

static int write_out(void *arg, const void *data, size_t size)
{
    (void)arg;
    return fwrite(data, 1, size, stdout) == size ? 0 : -errno;
}

struct got {
    struct cli *cli;
    bool large; /* more than a record: by transfer */
};

static void get_seen(void *arg, const struct toystore_result *result)
{
    struct got *got = arg;
    got->cli->exit_status = exit_of(result->status);
    if (result->status != TOYSTORE_OK || result->version_count == 0) {
        explain(got->cli, result->status, result->message);
        return;
    }
    const struct toystore_version *version = &result->versions[0];
    if (result->sloppy)
        fprintf(stderr, "toystore: %s: no quorum; this may not be the newest value\n",
                got->cli->argv[1]);
    if (version->kind == TOYSTORE_REFERENCE) {
        got->large = true;
    } else if (version->kind == TOYSTORE_DIRECTORY) {
        explain(got->cli, TOYSTORE_IS_DIRECTORY, NULL);
        got->cli->exit_status = EXIT_NO;
    } else if (write_out(NULL, version->value.data, version->value.size) != 0) {
        got->cli->exit_status = complain("standard output", strerror(errno));
    }
}

static int run_get(struct cli *cli)
{
    struct got got = {.cli = cli};
    struct toystore_request request = {
        .type = TOYSTORE_GET, .key = key_of(cli->argv[1]), .strict = cli->strict};
    if (!remote_call(cli->remote, &request, get_seen, &got))
        return finish(cli, false);
    if (!got.large)
        return cli->exit_status;
    struct store_face face = remote_face(cli->remote);
    struct transfer_wait wait = {0};
    transfer_get(&face, slice_str(cli->argv[1]), write_out, NULL, transfer_done, &wait);
    return transfer_end(cli, &wait);
}

/* ---- rm, ls, reports ---- */

static int run_rm(struct cli *cli)
{
    enum toystore_status status = TOYSTORE_INDETERMINATE;
    char *message = NULL;
    bool alive = remote_delete(cli->remote, slice_str(cli->argv[1]), &status, &message);
    if (alive)
        explain(cli, status, message);
    free(message);
    cli->exit_status = exit_of(status);
    return finish_put(cli, alive);
}

struct listing {
    struct cli *cli;
    uint64_t after;
    bool more, first;
};

static void print_json_text(struct toystore_bytes text)
{
    const uint8_t *bytes = text.data;
    putchar('"');
    for (size_t i = 0; i < text.size; i++) {
        if (bytes[i] == '"' || bytes[i] == '\\')
            printf("\\%c", bytes[i]);
        else if (bytes[i] < 0x20)
            printf("\\u%04x", bytes[i]);
        else
            putchar(bytes[i]);
    }
    putchar('"');
}

static const char *entry_type(const struct toystore_entry *entry)
{
    static const char *const words[] = {"tombstone", "file",    "file",    "directory",
                                        "symlink",   "special", "internal"};
    return (size_t)entry->kind < ARRAY_COUNT(words) ? words[entry->kind] : "unknown";
}

static void print_entry(const struct listing *listing, const struct toystore_entry *entry)
{
    if (listing->cli->json) {
        printf("%s\n  {\"name\": ", listing->first ? "" : ",");
        print_json_text(entry->name);
        printf(", \"kind\": \"%s\", \"size\": %llu, \"mode\": \"%o\", \"mtime\": %lld.%09lld}",
               entry_type(entry), (unsigned long long)entry->attributes.size,
               entry->attributes.mode, (long long)(entry->attributes.mtime_ns / 1000000000),
               (long long)(entry->attributes.mtime_ns % 1000000000));
        return;
    }
    fwrite(entry->name.data, 1, entry->name.size, stdout);
    puts(entry->kind == TOYSTORE_DIRECTORY ? "/" : "");
}

static void list_seen(void *arg, const struct toystore_result *result)
{
    struct listing *listing = arg;
    listing->cli->exit_status = exit_of(result->status);
    listing->more = result->status == TOYSTORE_OK && result->more && result->entry_count > 0;
    explain(listing->cli, result->status, result->message);
    for (size_t i = 0; i < result->entry_count; i++) {
        print_entry(listing, &result->entries[i]);
        listing->after = result->entries[i].cookie;
        listing->first = false;
    }
}

static int run_ls(struct cli *cli)
{
    struct listing listing = {.cli = cli, .more = true, .first = true};
    const char *directory = cli->argc > 1 ? cli->argv[1] : "";
    if (cli->json)
        printf("[");
    while (listing.more) {
        struct toystore_request request = {.type = TOYSTORE_LIST,
                                           .key = key_of(directory),
                                           .after = listing.after,
                                           .limit = LIST_LIMIT,
                                           .strict = cli->strict};
        if (!remote_call(cli->remote, &request, list_seen, &listing))
            return finish(cli, false);
    }
    if (cli->json)
        printf("%s]\n", listing.first ? "" : "\n");
    return cli->exit_status;
}

static int run_report(struct cli *cli)
{
    enum toystore_status status = TOYSTORE_UNAVAILABLE;
    char *text = NULL;
    struct slice argument = slice_str(cli->argc > 1 ? cli->argv[1] : "");
    bool alive = remote_report(cli->remote, cli->argv[0], argument, &status, &text);
    if (alive && status != TOYSTORE_OK)
        explain(cli, status, text);
    else if (alive && (cli->json || !render(text)))
        puts(text);
    free(text);
    cli->exit_status = exit_of(status);
    return finish(cli, alive);
}

/* What a change would move: its words are one argument of the report. */
static int run_ring(struct cli *cli)
{
    char change[WORDS_SIZE] = "";
    for (int i = 1; i < cli->argc; i++) {
        size_t used = strlen(change);
        snprintf(change + used, sizeof change - used, "%s%s", i > 1 ? " " : "", cli->argv[i]);
    }
    char plan[] = "plan", *argv[] = {plan, change};
    if (cli->plan) {
        cli->argc = 2;
        cli->argv = argv;
    }
    int status = run_report(cli);
    cli->argv = NULL; /* it goes with this call */
    return status;
}

static int run_repair(struct cli *cli)
{
    return repair_run(cli->remote, cli->node, cli->json);
}

/* ---- status, leave, remove ---- */

static int run_status(struct cli *cli)
{
    cli->change.json = cli->json;
    return change_status(cli->remote, cli->node, &cli->change);
}

static int run_leave(struct cli *cli)
{
    return change_leave(cli->remote, cli->node, &cli->change);
}

static int run_remove(struct cli *cli)
{
    return change_remove(cli->remote, cli->node, cli->argv[1], &cli->change);
}

static int run_replace(struct cli *cli)
{
    return change_replace(cli->remote, cli->node, cli->argv[1], cli->argv[2], &cli->change);
}

/* ---- the words ---- */

static const struct command {
    const char *name;
    int (*run)(struct cli *cli);
    int words_min, words_max; /* after the command */
    const char *words, *help;
} commands[] = {
    {"put", run_put, 1, 2, "KEY [VALUE]", "store a value (default: standard input)"},
    {"get", run_get, 1, 1, "KEY", "print a value"},
    {"rm", run_rm, 1, 1, "KEY", "delete a key"},
    {"ls", run_ls, 0, 1, "[DIR]", "list a directory"},
    {"stat", run_report, 1, 1, "KEY", "what each replica of a key holds"},
    {"locate", run_report, 1, 1, "KEY", "where a key lives"},
    {"members", run_report, 0, 0, "", "who is there"},
    {"ring", run_ring, 0, 4, "[--plan CHANGE]", "who owns what, or what a change would move"},
    {"status", run_status, 0, 0, "[--wait SECONDS]", "how this node and its cluster are"},
    {"leave", run_leave, 0, 0, "[--no-wait]", "the node gives all it has to others"},
    {"remove", run_remove, 1, 1, "NODE [--force] [--accept-loss] [--no-wait]",
     "others take what a member had"},
    {"replace", run_replace, 2, 2, "NODE NEW [--wait SECONDS] [--force]...",
     "remove a member once another one has joined"},
    {"repair", run_repair, 0, 0, "", "compare all replicas, read all copies, mend what differs"},
    {"collect", run_report, 0, 0, "", "collect all tombstones now"},
};

static void usage(FILE *out)
{
    fprintf(out, "usage: toystore [--node HOST:RPCPORT] [--json] [--strict] COMMAND\n\n");
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        fprintf(out, "  %-8s %-43s %s\n", commands[i].name, commands[i].words, commands[i].help);
    fprintf(out,
            "\n--node defaults to 127.0.0.1:3001. Exit status: 0 done, 1 not found or refused,\n"
            "2 usage, 3 no quorum (nothing happened), 4 indeterminate; of status: 0 all is well,\n"
            "1 something moves, waits or is missing. See toystore(1).\n");
}

/* An option that would do nothing is a mistake. */
static bool options_fit(const struct cli *cli, const struct command *command)
{
    const struct change_options *change = &cli->change;
    bool replaces = command->run == run_replace;
    bool removes = command->run == run_remove || replaces;
    bool fits = (!change->wait || command->run == run_status || replaces) &&
                (removes || (!change->force && !change->accept_loss)) &&
                (!change->no_wait || removes || command->run == run_leave) &&
                (command->run == run_ring ? cli->plan == (cli->argc > 1) : !cli->plan);
    if (!fits)
        fprintf(stderr, "toystore: %s wants: %s %s\n", command->name, command->name,
                command->words);
    return fits;
}

static const struct command *command_find(const struct cli *cli)
{
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        const struct command *command = &commands[i];
        if (strcmp(command->name, cli->argv[0]) != 0)
            continue;
        if (cli->argc - 1 >= command->words_min && cli->argc - 1 <= command->words_max)
            return command;
        fprintf(stderr, "toystore: %s wants: %s %s\n", command->name, command->name,
                command->words[0] ? command->words : "(nothing more)");
        return NULL;
    }
    fprintf(stderr, "toystore: no such command: %s\n", cli->argv[0]);
    return NULL;
}

static int parse(struct cli *cli, int argc, char **argv)
{
    static const struct option options[] = {{"node", required_argument, NULL, 'n'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"strict", no_argument, NULL, 's'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {"wait", required_argument, NULL, 'w'},
                                            {"no-wait", no_argument, NULL, 'W'},
                                            {"force", no_argument, NULL, 'f'},
                                            {"accept-loss", no_argument, NULL, 'l'},
                                            {"plan", no_argument, NULL, 'p'},
                                            {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'n') {
            cli->node = optarg;
        } else if (option == 'j') {
            cli->json = true;
        } else if (option == 's') {
            cli->strict = true;
        } else if (option == 'w') {
            char *end;
            unsigned long seconds = strtoul(optarg, &end, 10);
            if (*end != 0 || end == optarg || optarg[0] == '-' || seconds > 1000000) {
                fprintf(stderr, "toystore: --wait wants seconds, not \"%s\"\n", optarg);
                return EXIT_USAGE;
            }
            cli->change.wait = true;
            cli->change.wait_s = (unsigned)seconds;
        } else if (option == 'W') {
            cli->change.no_wait = true;
        } else if (option == 'f') {
            cli->change.force = true;
        } else if (option == 'p') {
            cli->plan = true;
        } else if (option == 'l') {
            cli->change.accept_loss = true;
        } else if (option == 'h') {
            usage(stdout);
            return EXIT_DONE;
        } else if (option == 'V') {
            puts("toystore " TOYSTORE_VERSION);
            return EXIT_DONE;
        } else {
            return EXIT_USAGE;
        }
    }
    cli->argc = argc - optind;
    cli->argv = argv + optind;
    return -1;
}

int main(int argc, char **argv)
{
    struct cli cli = {.node = "127.0.0.1:3001"};
    int status = parse(&cli, argc, argv);
    if (status >= 0)
        return status;
    if (cli.argc == 0) {
        usage(stderr);
        return EXIT_USAGE;
    }
    const struct command *command = command_find(&cli);
    if (command == NULL || !options_fit(&cli, command))
        return EXIT_USAGE;
    char error[300];
    cli.remote = remote_open(cli.node, error, sizeof error);
    if (cli.remote == NULL)
        return complain("no connection", error);
    if (cli.strict)
        remote_be_strict(cli.remote);
    status = command->run(&cli);
    if (fflush(stdout) != 0 && status == EXIT_DONE)
        status = complain("standard output", strerror(errno));
    remote_close(cli.remote);
    return status;
}
