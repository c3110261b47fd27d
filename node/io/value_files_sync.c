/* value_files_sync: makes value files durable, and removes those that nothing names any more.
 *
 * Enters from io/store_rocksdb.c, the sync from its own thread; leaves to the file system below. */
#include "io/value_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* From so many files on, one syncfs costs less than an fsync each. */
enum { SYNCFS_MIN = 256 };

static int fsync_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno; /* removed since: nobody needs it */
    int status = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return status;
}

/* After a failed fsync the kernel takes the pages for clean, and the next one would succeed without
 * having written them: they are made dirty once more. What cannot be read stays as it is, and is
 * found damaged when it is asked for. */
static void write_again(const char *path)
{
    uint8_t bytes[65536];
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ssize_t got = 1;
    for (off_t at = 0; fd >= 0 && got > 0; at += got) {
        got = pread(fd, bytes, sizeof bytes, at);
        if (got > 0 && pwrite(fd, bytes, (size_t)got, at) != got)
            got = 0;
    }
    if (fd >= 0)
        close(fd);
}

static void write_all_again(const struct value_files *files, const struct numbers *numbers)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < numbers->count; i++) {
        unsigned long long number = numbers->items[i];
        snprintf(path, sizeof path, "%s/%08llx/%016llx", files->directory, number >> 12, number);
        write_again(path);
    }
}

static int syncfs_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int status = syncfs(fd) < 0 ? -errno : 0;
    close(fd);
    return status;
}

/* Files in the order in which they were made share directories: each is synced once a run. */
static int fsync_each(const struct value_files *files, const struct numbers *fresh)
{
    char path[PATH_MAX];
    uint64_t folder = UINT64_MAX;
    int status = 0;
    for (size_t i = 0; i < fresh->count && status == 0; i++) {
        unsigned long long number = fresh->items[i];
        snprintf(path, sizeof path, "%s/%08llx/%016llx", files->directory, number >> 12, number);
        status = fsync_path(path);
        if (status == 0 && folder != number >> 12) {
            folder = number >> 12;
            snprintf(path, sizeof path, "%s/%08llx", files->directory, number >> 12);
            status = fsync_path(path);
        }
    }
    return status == 0 && fresh->count > 0 ? fsync_path(files->directory) : status;
}

static void append(struct numbers *into, struct numbers *from)
{
    for (size_t i = 0; i < from->count; i++)
        numbers_add(into, from->items[i]);
    numbers_free(from);
}

int value_files_sync_begin(struct value_files *files, struct value_sync *ret_sync)
{
    pthread_mutex_lock(&files->mutex);
    *ret_sync = (struct value_sync){files->fresh, files->dead};
    files->fresh = files->dead = (struct numbers){0};
    pthread_mutex_unlock(&files->mutex);
    int status = ret_sync->fresh.count >= SYNCFS_MIN ? syncfs_path(files->directory)
                                                     : fsync_each(files, &ret_sync->fresh);
    if (status < 0)
        write_all_again(files, &ret_sync->fresh);
    return status;
}

int value_files_sync_urgent(struct value_files *files)
{
    pthread_mutex_lock(&files->mutex);
    struct numbers urgent = files->urgent;
    files->urgent = (struct numbers){0};
    pthread_mutex_unlock(&files->mutex);
    int status = fsync_each(files, &urgent);
    if (status == 0) {
        numbers_free(&urgent);
        return 0;
    }
    write_all_again(files, &urgent);
    pthread_mutex_lock(&files->mutex);
    append(&files->urgent, &urgent);
    pthread_mutex_unlock(&files->mutex);
    return status;
}

int value_files_sync_log_begin(struct value_files *files, struct value_sync *ret_sync)
{
    pthread_mutex_lock(&files->mutex);
    *ret_sync = (struct value_sync){.dead = files->dead};
    files->dead = (struct numbers){0};
    pthread_mutex_unlock(&files->mutex);
    return value_files_sync_urgent(files);
}

void value_files_sync_end(struct value_files *files, struct value_sync *sync, int error)
{
    if (error == 0) {
        for (size_t i = 0; i < sync->dead.count; i++)
            value_files_remove(files, sync->dead.items[i]);
        numbers_free(&sync->fresh);
        numbers_free(&sync->dead);
        return;
    }
    pthread_mutex_lock(&files->mutex);
    append(&files->fresh, &sync->fresh);
    append(&files->dead, &sync->dead);
    pthread_mutex_unlock(&files->mutex);
}

static int compare_numbers(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static bool is_live(const struct numbers *live, uint64_t number)
{
    return live->count > 0 &&
           bsearch(&number, live->items, live->count, sizeof number, compare_numbers) != NULL;
}

static int sweep_folder(struct value_files *files, const char *path, const struct numbers *live)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return errno == ENOTDIR ? 0 : -errno;
    for (struct dirent *item; (item = readdir(folder)) != NULL;) {
        char *end;
        uint64_t number = strtoull(item->d_name, &end, 16);
        if (strlen(item->d_name) != 16 || *end != '\0')
            continue;
        if (!is_live(live, number))
            unlinkat(dirfd(folder), item->d_name, 0);
        files->next = max_u64(files->next, number + 1);
    }
    closedir(folder);
    rmdir(path); /* fails where a file is left, as it should */
    return 0;
}

int value_files_sweep(struct value_files *files, const struct numbers *live)
{
    DIR *top = opendir(files->directory);
    if (top == NULL)
        return -errno;
    int status = 0;
    for (struct dirent *item; status == 0 && (item = readdir(top)) != NULL;) {
        char path[PATH_MAX];
        if (item->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%.16s", files->directory, item->d_name);
        status = sweep_folder(files, path, live);
    }
    closedir(top);
    /* A number is never used again, whether its file was found or not. */
    if (live->count > 0)
        files->next = max_u64(files->next, live->items[live->count - 1] + 1);
    return status;
}
