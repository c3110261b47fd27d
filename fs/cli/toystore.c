/* toystore: the command line. One connection to one node.
 *
 * Enters from the shell; leaves to the file of the command, and to a node by cli/remote.h. */
#include "cli/cli.h"
#include "cli/dial.h"
#include "cli/render.h"
#include "cli/repair.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORDS_SIZE = 1024 };

/* ---- reports ---- */

static int run_report(struct cli *cli)
{
    enum toystore_status status = TOYSTORE_UNAVAILABLE;
    char *text = NULL;
    struct slice argument = slice_str(cli->argc > 1 ? cli->argv[1] : "");
    bool alive = remote_report(cli->remote, cli->argv[0], argument, &status, &text);
    if (alive && status != TOYSTORE_OK)
        cli_explain(cli, status, text);
    else if (alive && (cli->json || !render(text)))
        puts(text);
    free(text);
    cli->exit_status = cli_exit_of(status);
    return cli_finish(cli, alive);
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
    {"status", run_status, 0, 0, "[--wait SECONDS | --no-wait]", "how this node and its cluster are"},
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
    fprintf(out, "usage: toystore [--node HOST[:RPCPORT]] [--json] [--strict] COMMAND\n\n");
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        fprintf(out, "  %-8s %-43s %s\n", commands[i].name, commands[i].words, commands[i].help);
    fprintf(out,
            "\n--node defaults to 127.0.0.1:3001. Exit status: 0 done, 1 not found or refused,\n"
            "2 usage, 3 no quorum or no node (nothing happened), 4 indeterminate; of status:\n"
            "0 all is well, 1 something moves, waits or is missing. See toystore(1).\n");
}

/* An option that would do nothing is a mistake. */
static bool options_fit(const struct cli *cli, const struct command *command)
{
    const struct change_options *change = &cli->change;
    bool replaces = command->run == run_replace;
    bool removes = command->run == run_remove || replaces;
    bool fits = (!change->wait || command->run == run_status || replaces) &&
                (removes || (!change->force && !change->accept_loss)) &&
                (!change->no_wait || removes || command->run == run_leave ||
                 (command->run == run_status && !change->wait)) &&
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
    fprintf(stderr, "toystore: no such command: %s; see toystore --help\n", cli->argv[0]);
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
    if (!dial_is_node(cli.node)) {
        fprintf(stderr, "toystore: --node %s: want HOST[:RPCPORT]\n", cli.node);
        return EXIT_USAGE;
    }
    char error[300];
    cli.remote = remote_open(cli.node, error, sizeof error);
    if (cli.remote == NULL)
        return cli_complain("no connection", error);
    if (cli.strict)
        remote_be_strict(cli.remote);
    status = command->run(&cli);
    if (fflush(stdout) != 0 && status == EXIT_DONE)
        status = cli_complain("standard output", strerror(errno));
    remote_close(cli.remote);
    return status;
}
