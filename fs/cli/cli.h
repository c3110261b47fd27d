/* cli: one run of toystore, for the files of its commands: what was asked for, and how the answer
 * becomes words on standard error and an exit status. */
#ifndef TOYSTORE_CLI_H
#define TOYSTORE_CLI_H

#include "cli/change.h"
#include "cli/remote.h"

enum {
    EXIT_DONE = 0,
    EXIT_NO = 1, /* not found, or a condition failed */
    EXIT_USAGE = 2,
    EXIT_NO_QUORUM = 3,
    EXIT_INDETERMINATE = 4
};

struct cli {
    const char *node;
    bool json, strict, plan;
    struct change_options change;
    int argc; /* the command and its words */
    char **argv;
    struct remote *remote;
    int exit_status;
};

static inline struct toystore_bytes cli_key(const char *text)
{
    return (struct toystore_bytes){text, strlen(text)};
}

/* "toystore: WHAT: WHY"; EXIT_NO_QUORUM. */
int cli_complain(const char *what, const char *why);
int cli_exit_of(enum toystore_status status);
int cli_exit_of_errno(int error); /* as struct store_face has them: 0 or negative */
/* Nothing for OK; the node's message, or what the status means. */
void cli_explain(const struct cli *cli, enum toystore_status status, const char *message);
/* The exit status of a call: `alive` is false when the connection broke. A put whose connection
 * broke may have happened. */
int cli_finish(struct cli *cli, bool alive);
int cli_finish_put(struct cli *cli, bool alive);

/* The commands; the exit status. value.c: */
int run_put(struct cli *cli);
int run_get(struct cli *cli);
int run_rm(struct cli *cli);
/* list.c: */
int run_ls(struct cli *cli);

#endif
