/* value: put, get and rm. A file put here and one copied into a mount are the same file: large ones
 * go by transfer.h. */
#include "cli/cli.h"
#include "transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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
        return cli_complain(cli->node, remote_error(cli->remote));
    if (wait->error != 0)
        cli_complain(cli->argv[1], strerror(-wait->error));
    return cli_exit_of_errno(wait->error);
}

static int put_large(struct cli *cli, struct source *source)
{
    struct store_face face = remote_face(cli->remote);
    struct transfer_wait wait = {0};
    transfer_put(&face, slice_str(cli->argv[1]), source_read, source, transfer_done, &wait);
    int status = transfer_end(cli, &wait);
    return wait.finished ? status : EXIT_INDETERMINATE;
}

/* The one end of a put and a delete; one without a quorum is told of, though it is kept. */
static int outcome_end(struct cli *cli, bool alive, enum toystore_status status, char *message)
{
    if (alive && status == TOYSTORE_OK && message)
        fprintf(stderr, "toystore: %s: %s\n", cli->argv[1], message);
    else if (alive)
        cli_explain(cli, status, message);
    free(message);
    cli->exit_status = cli_exit_of(status);
    return cli_finish_put(cli, alive);
}

static int put_small(struct cli *cli, struct slice value)
{
    enum toystore_status status = TOYSTORE_INDETERMINATE;
    char *message = NULL;
    bool alive = remote_put(cli->remote, slice_str(cli->argv[1]), value, &status, &message);
    return outcome_end(cli, alive, status, message);
}

int run_put(struct cli *cli)
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
        status = cli_complain("standard input", strerror((int)-n));
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
    got->cli->exit_status = cli_exit_of(result->status);
    if (result->status != TOYSTORE_OK || result->version_count == 0) {
        cli_explain(got->cli, result->status, result->message);
        return;
    }
    const struct toystore_version *version = &result->versions[0];
    if (result->sloppy)
        fprintf(stderr, "toystore: %s: no quorum; this may not be the newest value\n",
                got->cli->argv[1]);
    if (result->version_count > 1)
        fprintf(stderr,
                "toystore: %s: %zu versions stand beside each other; this is the first. A put "
                "replaces them all; a mount shows each as a file, below .toystore/conflicts\n",
                got->cli->argv[1], result->version_count);
    if (version->kind == TOYSTORE_REFERENCE) {
        got->large = true;
    } else if (version->kind == TOYSTORE_DIRECTORY) {
        cli_explain(got->cli, TOYSTORE_IS_DIRECTORY, NULL);
        got->cli->exit_status = EXIT_NO;
    } else if (write_out(NULL, version->value.data, version->value.size) != 0) {
        got->cli->exit_status = cli_complain("standard output", strerror(errno));
    }
}

int run_get(struct cli *cli)
{
    struct got got = {.cli = cli};
    struct toystore_request request = {
        .type = TOYSTORE_GET, .key = cli_key(cli->argv[1]), .strict = cli->strict};
    if (!remote_call(cli->remote, &request, get_seen, &got))
        return cli_finish(cli, false);
    if (!got.large)
        return cli->exit_status;
    struct store_face face = remote_face(cli->remote);
    struct transfer_wait wait = {0};
    transfer_get(&face, slice_str(cli->argv[1]), write_out, NULL, transfer_done, &wait);
    return transfer_end(cli, &wait);
}

/* ---- rm ---- */

int run_rm(struct cli *cli)
{
    enum toystore_status status = TOYSTORE_INDETERMINATE;
    char *message = NULL;
    bool alive = remote_delete(cli->remote, slice_str(cli->argv[1]), &status, &message);
    return outcome_end(cli, alive, status, message);
}
