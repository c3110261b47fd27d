/* file_load: many small files, or one large one, below a directory; prints operations (or MiB) per
 * second as one number.
 *
 *     file_load DIR create|stat|read|unlink COUNT THREADS     4 KiB files, one directory a thread
 *     file_load DIR write-seq|read-seq MIB 1                  one file in pieces of 1 MiB
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILE_SIZE = 4096, PIECE_SIZE = 1 << 20, THREADS_MAX = 64 };

struct worker {
    pthread_t thread;
    char directory[3000];
    unsigned count;
    void (*each)(const char *path);
};

static void fail(const char *path)
{
    fprintf(stderr, "file_load: %s: %s\n", path, strerror(errno));
    exit(1);
}

static void do_create(const char *path)
{
    static const char bytes[FILE_SIZE];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, bytes, sizeof bytes) != (ssize_t)sizeof bytes || close(fd) != 0)
        fail(path);
}

static void do_stat(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0 || st.st_size != FILE_SIZE)
        fail(path);
}

static void do_read(const char *path)
{
    char bytes[FILE_SIZE];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, bytes, sizeof bytes) != (ssize_t)sizeof bytes || close(fd) != 0)
        fail(path);
}

static void do_unlink(const char *path)
{
    if (unlink(path) != 0)
        fail(path);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    char path[3100];
    for (unsigned i = 0; i < worker->count; i++) {
        snprintf(path, sizeof path, "%s/f%u", worker->directory, i);
        worker->each(path);
    }
    return NULL;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double many(const char *directory, void (*each)(const char *), unsigned count,
                   unsigned threads)
{
    static struct worker workers[THREADS_MAX];
    for (unsigned i = 0; i < threads; i++) {
        workers[i].count = count / threads;
        workers[i].each = each;
        snprintf(workers[i].directory, sizeof workers[i].directory, "%s/t%u", directory, i);
        if (mkdir(workers[i].directory, 0755) != 0 && errno != EEXIST)
            fail(workers[i].directory);
    }
    double start = now();
    for (unsigned i = 0; i < threads; i++) {
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            fail("pthread_create");
    }
    for (unsigned i = 0; i < threads; i++)
        pthread_join(workers[i].thread, NULL);
    return (double)(count / threads * threads) / (now() - start);
}

static double sequential(const char *directory, bool writing, unsigned mib)
{
    char path[3100];
    snprintf(path, sizeof path, "%s/large", directory);
    char *piece = malloc(PIECE_SIZE);
    if (piece == NULL)
        fail("malloc");
    memset(piece, 'x', PIECE_SIZE);
    double start = now();
    int fd = writing ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)
                     : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail(path);
    for (unsigned i = 0; i < mib; i++) {
        memcpy(piece, &i, sizeof i); /* no two pieces alike */
        for (size_t done = 0; done < PIECE_SIZE;) {
            ssize_t n = writing ? write(fd, piece + done, PIECE_SIZE - done)
                                : read(fd, piece + done, PIECE_SIZE - done);
            if (n <= 0)
                fail(path);
            done += (size_t)n;
        }
    }
    if (close(fd) != 0)
        fail(path);
    free(piece);
    return (double)mib / (now() - start);
}

int main(int argc, char **argv)
{
    unsigned count = argc == 5 ? (unsigned)atoi(argv[3]) : 0;
    unsigned threads = argc == 5 ? (unsigned)atoi(argv[4]) : 0;
    if (count == 0 || threads == 0 || threads > THREADS_MAX || strlen(argv[1]) > 2900) {
        fprintf(stderr, "usage: file_load DIR create|stat|read|unlink|write-seq|read-seq "
                        "COUNT THREADS\n");
        return 2;
    }
    double rate = -1;
    if (strcmp(argv[2], "create") == 0)
        rate = many(argv[1], do_create, count, threads);
    else if (strcmp(argv[2], "stat") == 0)
        rate = many(argv[1], do_stat, count, threads);
    else if (strcmp(argv[2], "read") == 0)
        rate = many(argv[1], do_read, count, threads);
    else if (strcmp(argv[2], "unlink") == 0)
        rate = many(argv[1], do_unlink, count, threads);
    else if (strcmp(argv[2], "write-seq") == 0)
        rate = sequential(argv[1], true, count);
    else if (strcmp(argv[2], "read-seq") == 0)
        rate = sequential(argv[1], false, count);
    if (rate < 0)
        return 2;
    printf("%.1f\n", rate);
    return 0;
}
