/* value_files: writes, reads and removes the files of large values.
 *
 * Enters from io/store_rocksdb.c; leaves to the file system below. */
#include "io/value_files.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/hash.h"

void numbers_add(struct numbers *numbers, uint64_t number)
{
    if (numbers->count == numbers->capacity) {
        numbers->capacity = numbers->capacity ? 2 * numbers->capacity : 64;
        numbers->items = base_realloc(numbers->items, numbers->capacity * sizeof(uint64_t));
    }
    numbers->items[numbers->count++] = number;
}

void numbers_free(struct numbers *numbers)
{
    free(numbers->items);
    *numbers = (struct numbers){0};
}

static void put_u64(uint8_t *at, uint64_t value)
{
    for (size_t i = 0; i < 8; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_u64(const uint8_t *at)
{
    uint64_t value = 0;
    for (size_t i = 8; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

void value_reference_pack(const struct value_reference *reference,
                          uint8_t ret_bytes[VALUE_REFERENCE_SIZE])
{
    put_u64(ret_bytes, reference->number);
    put_u64(ret_bytes + 8, reference->size);
    put_u64(ret_bytes + 16, reference->checksum);
}

bool value_reference_unpack(struct slice bytes, struct value_reference *ret_reference)
{
    if (bytes.size != VALUE_REFERENCE_SIZE)
        return false;
    ret_reference->number = get_u64(bytes.data);
    ret_reference->size = get_u64(bytes.data + 8);
    ret_reference->checksum = get_u64(bytes.data + 16);
    return true;
}

/* 4096 files share a directory, so that one or two directories take all writes of a second. */
static void folder_path(const struct value_files *files, uint64_t number, char ret_path[PATH_MAX])
{
    snprintf(ret_path, PATH_MAX, "%s/%08llx", files->directory, (unsigned long long)number >> 12);
}

static void file_path(const struct value_files *files, uint64_t number, char ret_path[PATH_MAX])
{
    snprintf(ret_path, PATH_MAX, "%s/%08llx/%016llx", files->directory,
             (unsigned long long)number >> 12, (unsigned long long)number);
}

int value_files_open(struct value_files *files, const char *directory)
{
    if (mkdir(directory, 0700) < 0 && errno != EEXIST)
        return -errno;
    *files = (struct value_files){.directory = base_string(slice_str(directory)), .next = 1};
    pthread_mutex_init(&files->mutex, NULL);
    return 0;
}

void value_files_close(struct value_files *files)
{
    pthread_mutex_destroy(&files->mutex);
    numbers_free(&files->fresh);
    numbers_free(&files->dead);
    numbers_free(&files->urgent);
    free(files->directory);
}

static int write_all(int fd, const struct slice parts[2])
{
    struct iovec iov[2];
    size_t left = 0;
    for (size_t i = 0; i < 2; i++) {
        iov[i] = (struct iovec){(void *)(uintptr_t)parts[i].data, parts[i].size};
        left += parts[i].size;
    }
    while (left > 0) {
        ssize_t written = writev(fd, iov, 2);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        left -= (size_t)written;
        for (size_t i = 0; i < 2; i++) {
            size_t taken = min_size((size_t)written, iov[i].iov_len);
            iov[i].iov_base = (char *)iov[i].iov_base + taken;
            iov[i].iov_len -= taken;
            written -= (ssize_t)taken;
        }
    }
    return 0;
}

static int create(const struct value_files *files, uint64_t number, int *ret_fd)
{
    char path[PATH_MAX], folder[PATH_MAX];
    file_path(files, number, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == ENOENT) {
        folder_path(files, number, folder);
        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
            return -errno;
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    }
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

static uint64_t take_number(struct value_files *files)
{
    pthread_mutex_lock(&files->mutex);
    uint64_t number = files->next++;
    pthread_mutex_unlock(&files->mutex);
    return number;
}

int value_files_write(struct value_files *files, const struct slice parts[2],
                      struct value_reference *ret_reference)
{
    uint64_t number = take_number(files);
    int fd, status = create(files, number, &fd);
    if (status < 0)
        return status;
    status = write_all(fd, parts);
    if (close(fd) < 0 && status == 0)
        status = -errno;
    if (status < 0) {
        value_files_remove(files, number);
        return status;
    }
    pthread_mutex_lock(&files->mutex);
    numbers_add(&files->fresh, number);
    pthread_mutex_unlock(&files->mutex);
    *ret_reference = (struct value_reference){number, parts[0].size + parts[1].size,
                                              hash64_of_two(parts[0], parts[1], 0)};
    return 0;
}

static int read_all(int fd, struct blob *value)
{
    size_t size = 0;
    while (size < value->size) {
        ssize_t got = read(fd, value->data + size, value->size - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -EIO;
        if (got == 0)
            return -EUCLEAN;
        size += (size_t)got;
    }
    return 0;
}

int value_files_read(struct value_files *files, const struct value_reference *reference,
                     struct blob **ret_value)
{
    char path[PATH_MAX];
    struct stat stat;
    file_path(files, reference->number, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -EUCLEAN : -EIO;
    /* The size is compared first: it may be damaged too, and would be asked of malloc. */
    if (fstat(fd, &stat) < 0 || (uint64_t)stat.st_size != reference->size) {
        close(fd);
        return -EUCLEAN;
    }
    struct blob *value = blob_new((size_t)reference->size);
    int status = read_all(fd, value);
    close(fd);
    if (status == 0 && hash64(blob_slice(value)) != reference->checksum)
        status = -EUCLEAN;
    if (status == 0)
        *ret_value = value;
    else
        blob_unref(&value);
    return status;
}

void value_files_remove(struct value_files *files, uint64_t number)
{
    char path[PATH_MAX];
    file_path(files, number, path);
    unlink(path); /* what stays behind is swept at the next open */
}

void value_files_hurry(struct value_files *files, uint64_t number)
{
    pthread_mutex_lock(&files->mutex);
    numbers_add(&files->urgent, number);
    pthread_mutex_unlock(&files->mutex);
}

void value_files_bury(struct value_files *files, uint64_t number)
{
    pthread_mutex_lock(&files->mutex);
    numbers_add(&files->dead, number);
    pthread_mutex_unlock(&files->mutex);
}
