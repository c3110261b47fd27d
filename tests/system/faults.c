/* faults: a library to preload into a node: while the file FAULTS_FILE exists, calls that its words
 * name (write, sync) fail on files below FAULTS_DIRECTORY with the errno in it ("write 5").
 *
 * Below the store and below RocksDB, so that what both make of a failing disk is seen. */
#undef _FILE_OFFSET_BITS /* pwrite and pwrite64 are two names here, as they are in the library */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* The file's own reading and writing must not come back here: raw stdio is avoided. */
static int fault_of(const char *call, int fd)
{
    const char *path = getenv("FAULTS_FILE"), *directory = getenv("FAULTS_DIRECTORY");
    char text[64] = "", link[64], target[4096];
    if (path == NULL || directory == NULL)
        return 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t size = read(file, text, sizeof text - 1);
    close(file);
    size_t word = strlen(call);
    if (size <= 0 || strncmp(text, call, word) != 0 || text[word] != ' ')
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    size = readlink(link, target, sizeof target - 1);
    if (size <= 0)
        return 0;
    target[size] = '\0';
    return strncmp(target, directory, strlen(directory)) == 0 ? atoi(text + word + 1) : 0;
}

static bool fails(const char *call, int fd)
{
    int saved = errno, fault = fault_of(call, fd);
    errno = fault != 0 ? fault : saved;
    return fault != 0;
}

/* The real call, by name. A function pointer out of a void *, as POSIX allows and C does not. */
#define REAL(name, type)                                                                           \
    static type *real;                                                                             \
    if (real == NULL) {                                                                            \
        void *found = dlsym(RTLD_NEXT, name);                                                      \
        memcpy(&real, &found, sizeof real);                                                        \
    }

typedef ssize_t write_fn(int, const void *, size_t);
typedef ssize_t pwrite_fn(int, const void *, size_t, off_t);
typedef int sync_fn(int);

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

int fsync(int fd)
{
    REAL("fsync", sync_fn)
    return fails("sync", fd) ? -1 : real(fd);
}

int fdatasync(int fd)
{
    REAL("fdatasync", sync_fn)
    return fails("sync", fd) ? -1 : real(fd);
}
