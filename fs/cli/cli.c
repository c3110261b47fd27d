/* cli: see cli.h. */
#include "cli/cli.h"

#include <stdio.h>

int cli_complain(const char *what, const char *why)
{
    fprintf(stderr, "toystore: %s: %s\n", what, why);
    return EXIT_NO_QUORUM;
}

int cli_exit_of(enum toystore_status status)
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

int cli_exit_of_errno(int error)
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

void cli_explain(const struct cli *cli, enum toystore_status status, const char *message)
{
    const char *key = cli->argc > 1 ? cli->argv[1] : cli->argv[0];
    if (status == TOYSTORE_OK)
        return;
    fprintf(stderr, "toystore: %s: %s\n", key,
            message != NULL && message[0] ? message : toystore_status_meaning(status));
}

int cli_finish(struct cli *cli, bool alive)
{
    return alive ? cli->exit_status : cli_complain(cli->node, remote_error(cli->remote));
}

/* A put whose connection broke may have happened. */
int cli_finish_put(struct cli *cli, bool alive)
{
    if (!alive)
        cli_complain(cli->node, remote_error(cli->remote));
    return alive ? cli->exit_status : EXIT_INDETERMINATE;
}
