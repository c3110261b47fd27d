/* faults: a library to preload into a node, below the store and below RocksDB, so that what both
 * make of a bad disk is seen. It acts on files below FAULTS_DIRECTORY:
 *
 * FAULTS_FILE   while this file exists, calls that its words name (read, write, sync) fail with
 *               the errno in it ("write 5")
 * FAULTS_POWER  when set, each file that was synced notes in its attribute user.synced how much
 *               of it that was: what a power loss would leave (power_loss.py)
 * FAULTS_CLOCK  a file with a number: by so many seconds the wall clock is ahead */
#undef _FILE_OFFSET_BITS /* pwrite and pwrite64 are two names here, as they are in the library */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/* The real call, by name. A function pointer out of a void *, as POSIX allows and C does not. */
#define REAL(name, type)                                                                           \
    static type *real;                                                                             \
    if (real == NULL) {                                                                            \
        void *found = dlsym(RTLD_NEXT, name);                                                      \
        memcpy(&real, &found, sizeof real);                                                        \
    }

typedef ssize_t read_fn(int, void *, size_t);
typedef ssize_t pread_fn(int, void *, size_t, off_t);
typedef ssize_t write_fn(int, const void *, size_t);
typedef ssize_t pwrite_fn(int, const void *, size_t, off_t);
typedef int sync_fn(int);
typedef int clock_fn(clockid_t, struct timespec *);

/* The text of a file that a variable names, past the faults of its own; false: none. */
static bool text_of(const char *variable, char *text, size_t size)
{
    REAL("read", read_fn)
    const char *path = getenv(variable);
    int file = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return false;
    ssize_t got = real(file, text, size - 1);
    close(file);
    text[got > 0 ? got : 0] = '\0';
    return got > 0;
}

static bool concerned(int fd)
{
    const char *directory = getenv("FAULTS_DIRECTORY");
    char link[64], target[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, target, sizeof target - 1);
    if (size <= 0 || directory == NULL)
        return false;
    target[size] = '\0';
    return strncmp(target, directory, strlen(directory)) == 0;
}

static int fault_of(const char *call, int fd)
{
    char text[64];
    size_t word = strlen(call);
    if (!text_of("FAULTS_FILE", text, sizeof text) || strncmp(text, call, word) != 0 ||
        text[word] != ' ')
        return 0;
    return concerned(fd) ? atoi(text + word + 1) : 0;
}

static bool fails(const char *call, int fd)
{
    int saved = errno, fault = fault_of(call, fd);
    errno = fault != 0 ? fault : saved;
    return fault != 0;
}

/* ---- reads ---- */

ssize_t read(int fd, void *data, size_t size)
{
    REAL("read", read_fn)
    return fails("read", fd) ? -1 : real(fd, data, size);
}

ssize_t pread(int fd, void *data, size_t size, off_t offset)
{
    REAL("pread", pread_fn)
    return fails("read", fd) ? -1 : real(fd, data, size, offset);
}

ssize_t pread64(int fd, void *data, size_t size, off_t offset)
{
    REAL("pread64", pread_fn)
    return fails("read", fd) ? -1 : real(fd, data, size, offset);
}

/* ---- writes ---- */

ssize_t write(int fd, const void *data, size_t size)
{
    REAL("write", write_fn)
    return fails("write", fd) ? -1 : real(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    REAL("pwrite", pwrite_fn)
    return fails("write", fd) ? -1 : real(fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset)
{
    REAL("pwrite64", pwrite_fn)
    return fails("write", fd) ? -1 : real(fd, data, size, offset);
}

/* ---- syncs ---- */

/* Only what was there when the sync began is sure to be kept. */
static int sync_noted(int fd, sync_fn *real)
{
    struct stat before;
    bool notes = getenv("FAULTS_POWER") != NULL && concerned(fd) && fstat(fd, &before) == 0 &&
                 S_ISREG(before.st_mode);
    int status = real(fd), saved = errno;
    char text[32];
    if (status == 0 && notes) {
        snprintf(text, sizeof text, "%lld", (long long)before.st_size);
        if (fsetxattr(fd, "user.synced", text, strlen(text), 0) < 0)
            abort(); /* the test would say nothing */
    }
    errno = saved;
    return status;
}

int fsync(int fd)
{
    REAL("fsync", sync_fn)
    return fails("sync", fd) ? -1 : sync_noted(fd, real);
}

int fdatasync(int fd)
{
    REAL("fdatasync", sync_fn)
    return fails("sync", fd) ? -1 : sync_noted(fd, real);
}

/* ---- the wall clock ---- */

static int real_clock(clockid_t clock, struct timespec *now)
{
    REAL("clock_gettime", clock_fn)
    return real(clock, now);
}

/* Read again every 20 ms: a node looks at its clock with each event. */
static long long ahead_s(void)
{
    static _Thread_local long long ahead, read_ms = -1000;
    struct timespec now;
    char text[64];
    real_clock(CLOCK_MONOTONIC, &now);
    long long now_ms = now.tv_sec * 1000ll + now.tv_nsec / 1000000;
    if (now_ms - read_ms < 20)
        return ahead;
    int saved = errno;
    read_ms = now_ms;
    ahead = text_of("FAULTS_CLOCK", text, sizeof text) ? atoll(text) : 0;
    errno = saved;
    return ahead;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int status = real_clock(clock, now);
    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += ahead_s();
    return status;
}

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec fine;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &fine);
    *now = (struct timeval){.tv_sec = fine.tv_sec, .tv_usec = fine.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *ret)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (ret != NULL)
        *ret = now.tv_sec;
    return now.tv_sec;
}
