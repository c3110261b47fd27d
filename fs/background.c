/* background: fork first, then report through a pipe. */
#include "background.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char ready_word[] = "ready\n";

static void parent(int fd, int (*check)(void *arg), void *arg, int failed)
{
    char text[1024];
    size_t used = 0;
    ssize_t size;
    while ((size = read(fd, text + used, sizeof text - 1 - used)) != 0) {
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            break;
        used += (size_t)size;
        text[used] = 0;
        if (strcmp(text, ready_word) == 0)
            _exit(check(arg));
    }
    text[used] = 0;
    fprintf(stderr, "%s", used ? text : "mount.toystore: the process ended without a word\n");
    _exit(failed);
}

void background_begin(struct background *background, int (*check)(void *arg), void *arg, int failed)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) {
        perror("mount.toystore: pipe");
        exit(failed);
    }
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        perror("mount.toystore: fork");
        exit(failed);
    }
    if (child > 0) {
        close(fds[1]);
        parent(fds[0], check, arg, failed);
    }
    close(fds[0]);
    setsid();
    background->ready_fd = fds[1];
}

static void say(int fd, const char *text)
{
    size_t size = strlen(text);
    while (size > 0) {
        ssize_t written = write(fd, text, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        text += written;
        size -= (size_t)written;
    }
}

void background_ready(struct background *background)
{
    if (background->ready_fd < 0)
        return;
    say(background->ready_fd, ready_word);
    close(background->ready_fd);
    background->ready_fd = -1;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        close(null);
    }
    if (chdir("/") != 0)
        return; /* nothing to do about it: the start directory stays in use */
}

bool background_starting(const struct background *background)
{
    return background->ready_fd >= 0;
}

bool background_abandoned(const struct background *background)
{
    struct pollfd pipe = {.fd = background->ready_fd};
    return background->ready_fd >= 0 && poll(&pipe, 1, 0) > 0 && (pipe.revents & POLLERR);
}

void background_fail(struct background *background, const char *program, const char *message)
{
    char line[1024];
    snprintf(line, sizeof line, "%s: %s\n", program, message);
    say(background->ready_fd >= 0 ? background->ready_fd : 2, line);
}
