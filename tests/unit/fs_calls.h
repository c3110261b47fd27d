/* Calls of the file layer as a kernel makes them, over the double of the store. */
#ifndef TOYSTORE_TEST_FS_CALLS_H
#define TOYSTORE_TEST_FS_CALLS_H

#include "store_double.h"

#include <fcntl.h>
#include <stdio.h>

/* The last answer of a call, kept. */
static struct {
    bool given;
    struct fs_answer answer;
    char bytes[1 << 20];
    size_t size;
} last;

static inline void keep(void *arg, const struct fs_answer *answer)
{
    (void)arg;
    last.given = true;
    last.answer = *answer;
    last.size = 0;
    for (size_t i = 0; i < answer->iov_count; i++) {
        memcpy(last.bytes + last.size, answer->iov[i].iov_base, answer->iov[i].iov_len);
        last.size += answer->iov[i].iov_len;
    }
    if (answer->text)
        snprintf(last.bytes, sizeof last.bytes, "%s", answer->text);
}

static inline int ended(void)
{
    pump();
    assert_true(last.given);
    last.given = false;
    return last.answer.error;
}

static const struct fs_caller user = {1000, 1000, 77};

static inline uint64_t lookup(struct fs *fs, const char *name)
{
    fs_lookup(fs, FS_ROOT, name, user, keep, NULL);
    return ended() == 0 ? last.answer.node : 0;
}

static inline uint64_t open_again(struct fs *fs, const char *name, int flags, unsigned tries)
{
    uint64_t node = (flags & O_EXCL) ? 0 : lookup(fs, name);
    if (node)
        fs_open(fs, node, flags & ~O_CREAT, user, keep, NULL);
    else if (flags & O_CREAT)
        fs_create(fs, FS_ROOT, name, 0644, flags, user, keep, NULL);
    else
        return 0;
    int error = ended();
    if (error == -ESTALE && node && tries > 1) /* it may be another node by now */
        return open_again(fs, name, flags, tries - 1);
    return error == 0 ? last.answer.handle : 0;
}

/* open(2) as the kernel does it. */
static inline uint64_t open_file(struct fs *fs, const char *name, int flags)
{
    return open_again(fs, name, flags, 2);
}

static inline int write_at(struct fs *fs, uint64_t handle, uint64_t offset, const char *text,
                           int flags)
{
    fs_write(fs, handle, offset, slice_str(text), flags, user, keep, NULL);
    return ended();
}

static inline int flush(struct fs *fs, uint64_t handle)
{
    fs_flush(fs, handle, keep, NULL);
    return ended();
}

static inline void release(struct fs *fs, uint64_t handle)
{
    fs_release(fs, handle, keep, NULL);
    ended();
}

static inline const char *cat(struct fs *fs, const char *name)
{
    uint64_t handle = open_file(fs, name, O_RDONLY);
    if (handle == 0)
        return "(none)";
    fs_read(fs, handle, 0, 1000, keep, NULL);
    int error = ended();
    size_t size = last.size;
    release(fs, handle);
    if (error < 0)
        return "(error)";
    last.bytes[size] = 0;
    return last.bytes;
}

static inline void fill(uint8_t *bytes, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)((i * 2654435761u + seed) >> 7);
}

static inline void write_large(struct fs *fs, const char *name, uint8_t *bytes, size_t size)
{
    uint64_t handle = open_file(fs, name, O_WRONLY | O_CREAT | O_TRUNC);
    for (size_t at = 0; at < size; at += 100000) {
        fs_write(fs, handle, at, slice_of(bytes + at, min_size(100000, size - at)), 0, user, keep,
                 NULL);
        assert_int_equal(ended(), 0);
    }
    assert_int_equal(flush(fs, handle), 0);
    release(fs, handle);
}

static inline void check_large(struct fs *fs, const char *name, const uint8_t *bytes, size_t size)
{
    uint64_t handle = open_file(fs, name, O_RDONLY);
    assert_true(handle != 0);
    for (size_t at = 0; at <= size; at += 130000) {
        fs_read(fs, handle, at, 130000, keep, NULL);
        assert_int_equal(ended(), 0);
        size_t expected = min_size(130000, size - at);
        assert_int_equal(last.size, expected);
        assert_memory_equal(last.bytes, bytes + at, expected);
    }
    release(fs, handle);
}

/* ---- mounts of one cluster ---- */

static inline struct fs *mount_new(void)
{
    return fs_new(&(struct fs_config){.face = double_face});
}

static inline void note_drained(void *arg)
{
    *(bool *)arg = true;
}

/* As umount does. */
static inline void drain(struct fs *fs)
{
    bool drained = false;
    fs_drain(fs, note_drained, &drained);
    pass_ms(20000);
    assert_true(drained);
}

/* ---- what is in the store: keys below a prefix that are no tombstones ---- */

#define CHUNKS_ROOM ".toystore/chunks/"
#define FILES_ROOM  ".toystore/files/"

static inline bool begins(struct slice key, const char *with)
{
    return key.size > strlen(with) && memcmp(key.data, with, strlen(with)) == 0;
}

static inline size_t count_of(const char *room)
{
    size_t count = 0;
    MAP_EACH(entry, &store.versions)
    {
        const struct double_version *version = entry->value;
        count += version->kind != TOYSTORE_TOMBSTONE && begins(map_key(entry), room);
    }
    return count;
}

#endif
