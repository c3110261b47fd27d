/* lock_file: flock on a file that holds the process id of who has it. */
#include "io/lock_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

static long read_holder(int fd)
{
    char text[32];
    ssize_t size = pread(fd, text, sizeof text - 1, 0);
    if (size <= 0)
        return 0;
    text[size] = '\0';
    return strtol(text, NULL, 10);
}

int lock_file_take(const char *path, int *ret_fd, long *ret_holder)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int status = errno == EWOULDBLOCK ? -EBUSY : -errno;
        if (ret_holder != NULL)
            *ret_holder = read_holder(fd);
        close(fd);
        return status;
    }
    char text[32];
    int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    /* The id is for messages only: a disk that cannot take it does not keep the node away. */
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)size, 0) != size)
        errno = 0;
    *ret_fd = fd;
    return 0;
}

void lock_file_release(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}
