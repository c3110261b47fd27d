/* fs: the file system on a store_face, without FUSE: one function for each request of the kernel,
 * each answered exactly once. Node ids come from a table with generations; 1 is the root.
 *
 * Enters from ops.c (the mount) and transfer.c (the command line); leaves to the store_face.
 * Everything runs on one thread; an answer may come from inside the call that asked. */
#ifndef TOYSTORE_FS_FS_H
#define TOYSTORE_FS_FS_H

#include <sys/stat.h>
#include <sys/uio.h>

#include "base/base.h"
#include "store_face.h"

struct fs;

enum { FS_ROOT = 1, FS_TIMEOUT_MS = 30000 };

struct fs_config {
    struct store_face face;
    uint32_t root_uid, root_gid, root_mode; /* of a root directory that nobody has changed */
    unsigned timeout_ms;                    /* of one request; 0: FS_TIMEOUT_MS */
    bool show_conflicts;                    /* siblings are listed beside their names */
    /* The control directory's reports, as toystore_report; NULL: there is none. */
    char *(*report)(void *arg, const char *what);
    /* Tells the kernel that a node's attributes have changed; NULL: nobody to tell. */
    void (*invalidate)(void *arg, uint64_t node);
    void (*log)(void *arg, int level, const char *line); /* NULL: silent */
    void *arg;                                           /* of the three above */
};

struct fs *fs_new(const struct fs_config *config);
/* Publishes what all handles hold and answers when that has ended, well or not. */
void fs_drain(struct fs *fs, void (*done)(void *arg), void *arg);
bool fs_idle(const struct fs *fs); /* nothing is under way at the store */
void fs_free(struct fs *fs);       /* nothing is under way any more */

struct fs_caller {
    uint32_t uid, gid;
    uint32_t pid; /* 0: unknown */
};

/* What the reader of a handle must be told with its answer to open. */
enum { FS_OPEN_DIRECT = 1, FS_OPEN_KEEP_CACHE = 2, FS_OPEN_NO_FLUSH = 4 };

struct fs_answer {
    int error;         /* 0 or a negative errno; then nothing else is set */
    uint64_t node;     /* entries: the node, one lookup counted */
    struct stat attr;  /* entries, getattr, setattr */
    uint64_t handle;   /* open, create, opendir */
    unsigned open;     /* FS_OPEN_ bits */
    const char *text;  /* readlink */
    size_t size;       /* write; read: all of iov; readdir */
    struct iovec *iov; /* read: borrowed until the answer returns */
    size_t iov_count;
    uint64_t room_size, room_free; /* statfs: bytes */
};

typedef void fs_done_fn(void *arg, const struct fs_answer *answer);

/* What all files together may take, and what is free. */
void fs_statfs(struct fs *fs, fs_done_fn *done, void *arg);

/* ---- nodes ---- */
void fs_lookup(struct fs *fs, uint64_t parent, const char *name, struct fs_caller caller,
               fs_done_fn *done, void *arg);
void fs_forget(struct fs *fs, uint64_t node, uint64_t count);
/* handle 0: none. */
void fs_getattr(struct fs *fs, uint64_t node, uint64_t handle, fs_done_fn *done, void *arg);

enum {
    FS_SET_MODE = 1,
    FS_SET_UID = 2,
    FS_SET_GID = 4,
    FS_SET_SIZE = 8,
    FS_SET_ATIME = 16,
    FS_SET_MTIME = 32,
    FS_SET_ATIME_NOW = 64,
    FS_SET_MTIME_NOW = 128
};
void fs_setattr(struct fs *fs, uint64_t node, uint64_t handle, const struct stat *attr,
                unsigned set, struct fs_caller caller, fs_done_fn *done, void *arg);
void fs_readlink(struct fs *fs, uint64_t node, fs_done_fn *done, void *arg);

/* ---- files: flags are those of open(2) ---- */
void fs_open(struct fs *fs, uint64_t node, int flags, struct fs_caller caller, fs_done_fn *done,
             void *arg);
void fs_create(struct fs *fs, uint64_t parent, const char *name, mode_t mode, int flags,
               struct fs_caller caller, fs_done_fn *done, void *arg);
void fs_read(struct fs *fs, uint64_t handle, uint64_t offset, size_t size, fs_done_fn *done,
             void *arg);
/* `data` is copied before the call returns. */
void fs_write(struct fs *fs, uint64_t handle, uint64_t offset, struct slice data, int flags,
              struct fs_caller caller, fs_done_fn *done, void *arg);
void fs_flush(struct fs *fs, uint64_t handle, fs_done_fn *done, void *arg);
void fs_fsync(struct fs *fs, uint64_t handle, fs_done_fn *done, void *arg);
void fs_release(struct fs *fs, uint64_t handle, fs_done_fn *done, void *arg);

/* ---- names ---- */
void fs_mknod(struct fs *fs, uint64_t parent, const char *name, mode_t mode, dev_t device,
              struct fs_caller caller, fs_done_fn *done, void *arg);
void fs_mkdir(struct fs *fs, uint64_t parent, const char *name, mode_t mode,
              struct fs_caller caller, fs_done_fn *done, void *arg);
void fs_symlink(struct fs *fs, uint64_t parent, const char *name, const char *target,
                struct fs_caller caller, fs_done_fn *done, void *arg);
void fs_unlink(struct fs *fs, uint64_t parent, const char *name, fs_done_fn *done, void *arg);
void fs_rmdir(struct fs *fs, uint64_t parent, const char *name, fs_done_fn *done, void *arg);
void fs_rename(struct fs *fs, uint64_t parent, const char *name, uint64_t new_parent,
               const char *new_name, unsigned flags, fs_done_fn *done, void *arg);

/* ---- directories ---- */
void fs_opendir(struct fs *fs, uint64_t node, struct fs_caller caller, fs_done_fn *done, void *arg);
struct fs_entry {
    struct stat attr;  /* st_ino and the type; all of them when there is a node */
    uint64_t node;     /* one lookup counted, if it is taken; 0: to be looked up */
    unsigned valid_us; /* so long name and attributes hold */
};
/* Calls `entry` for each name after `offset` until it says that it has no room: true, taken.
 * `plus` is how many entries may come with a node at most; 0: a plain readdir. Only a caller that
 * was seen to look up what it reads gets nodes. */
typedef bool fs_entry_fn(void *arg, const char *name, const struct fs_entry *entry, uint64_t next);
void fs_readdir(struct fs *fs, uint64_t handle, uint64_t offset, unsigned plus, fs_entry_fn *entry,
                fs_done_fn *done, void *arg);
void fs_releasedir(struct fs *fs, uint64_t handle);
void fs_fsyncdir(struct fs *fs, uint64_t handle, fs_done_fn *done, void *arg);

#endif
