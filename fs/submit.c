/* submit: requests to the store. A request that could not be sent is answered all the same, later,
 * like any other, so that no state machine has two ways to go on.
 *
 * Enters from every request of the file layer; leaves to the store_face. */
#include "fs_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUSY_PAUSE_MS = 5 };

/* A request under way; a copy of it is made only when the store was too busy to take it. */
struct submission {
    struct fs *fs;
    toystore_done_fn *done;
    void *arg;
    struct toystore_request *copy;
    uint64_t until_ns;
    uint64_t directory; /* a put: hash of the directory that it changes */
    bool put;
    int error;
};

static void finish(struct submission *submission, const struct toystore_result *result)
{
    struct fs *fs = submission->fs;
    assert(fs->under_way > 0);
    fs->under_way--;
    if (submission->put)
        dirs_changed(fs, submission->directory);
    submission->done(submission->arg, result);
    if (submission->copy) {
        free(submission->copy);
    }
    free(submission);
}

static void answered(void *arg, const struct toystore_result *result)
{
    finish(arg, result);
}

static enum toystore_status status_of(int error)
{
    switch (error) {
    case -EINVAL:
        return TOYSTORE_INVALID;
    case -ESHUTDOWN:
        return TOYSTORE_STOPPING;
    default:
        return TOYSTORE_BUSY;
    }
}

static void refused(void *arg)
{
    struct submission *submission = arg;
    struct toystore_result result = {.status = status_of(submission->error),
                                     .message = "the request could not be sent"};
    finish(submission, &result);
}

/* One block of memory: the request, then its bytes. */
static struct toystore_request *copy_request(const struct toystore_request *request)
{
    size_t matches = request->match_count * sizeof *request->match;
    size_t ops = request->key_ops ? request->key_count * sizeof *request->key_ops : 0;
    size_t size = sizeof *request + matches + ops + request->key.size + request->value.size +
                  request->extra.size;
    for (size_t i = 0; i < request->key_count; i++)
        size += sizeof *request->keys + request->keys[i].size;
    uint8_t *at = base_alloc(size);
    struct toystore_request *copy = (void *)at;
    *copy = *request;
    at += sizeof *request;
    struct toystore_bytes *keys = (void *)at;
    at += request->key_count * sizeof *keys;
    if (matches)
        memcpy(at, request->match, matches);
    copy->match = (const void *)at;
    at += matches;
    if (ops) {
        memcpy(at, request->key_ops, ops);
        copy->key_ops = (const void *)at;
        at += ops;
    }
    for (size_t i = 0; i < request->key_count + 3; i++) {
        struct toystore_bytes from = i == 0   ? request->key
                                     : i == 1 ? request->value
                                     : i == 2 ? request->extra
                                              : request->keys[i - 3];
        if (from.size)
            memcpy(at, from.data, from.size);
        *(i == 0   ? &copy->key
          : i == 1 ? &copy->value
          : i == 2 ? &copy->extra
                   : &keys[i - 3]) = (struct toystore_bytes){at, from.size};
        at += from.size;
    }
    copy->keys = keys;
    return copy;
}

static void try_again(void *arg);

static void try_later(struct submission *submission, const struct toystore_request *request,
                      int error)
{
    struct fs *fs = submission->fs;
    submission->error = error;
    if (error != -EBUSY || fs->face.now_ns(fs->face.arg) >= submission->until_ns) {
        fs->face.after(fs->face.arg, 0, refused, submission);
        return;
    }
    if (submission->copy == NULL)
        submission->copy = copy_request(request);
    fs->face.after(fs->face.arg, BUSY_PAUSE_MS, try_again, submission);
}

static void try_again(void *arg)
{
    struct submission *submission = arg;
    struct fs *fs = submission->fs;
    int error = fs->face.submit(fs->face.arg, submission->copy, answered, submission);
    if (error < 0)
        try_later(submission, submission->copy, error);
}

void fs_submit(struct fs *fs, struct toystore_request *request, toystore_done_fn *done, void *arg)
{
    struct submission *submission = base_alloc(sizeof *submission);
    *submission = (struct submission){.fs = fs, .done = done, .arg = arg};
    submission->until_ns =
        fs->face.now_ns(fs->face.arg) + (uint64_t)fs->config.timeout_ms * 1000000;
    fs->under_way++;
    submission->put = request->type == TOYSTORE_PUT;
    if (submission->put) {
        submission->directory = dirs_hash(slice_from(request->key));
        dirs_changed(fs, submission->directory);
    }
    int error = fs->face.submit(fs->face.arg, request, answered, submission);
    if (error < 0)
        try_later(submission, request, error);
}

/* The one place where the store's words become the kernel's. "Could not ask" is never ENOENT. */
int error_of(const struct toystore_result *result)
{
    switch (result->status) {
    case TOYSTORE_OK:
        return 0;
    case TOYSTORE_NOT_FOUND:
        return -ENOENT;
    case TOYSTORE_CONFLICT:
        return -EEXIST;
    case TOYSTORE_INDETERMINATE:
    case TOYSTORE_TIMEOUT:
        return -ETIMEDOUT;
    case TOYSTORE_INVALID:
        return -EINVAL;
    case TOYSTORE_TOO_LARGE:
        return -EFBIG;
    case TOYSTORE_IS_DIRECTORY:
        return -EISDIR;
    case TOYSTORE_NOT_DIRECTORY:
        return -ENOTDIR;
    case TOYSTORE_RESERVED:
        return -EPERM;
    case TOYSTORE_NO_SPACE:
        return -ENOSPC;
    default:
        return -EIO;
    }
}

int64_t fs_wall_ns(struct fs *fs)
{
    return fs->face.wall_ns(fs->face.arg);
}

void fs_log(struct fs *fs, int level, const char *format, ...)
{
    if (fs->config.log == NULL)
        return;
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fs->config.log(fs->config.arg, level, line);
}
