/* ops: from the kernel's requests to fs.h and back.
 *
 * A request is one struct until it is answered, exactly once: by the file layer, by a signal that
 * its caller got (EINTR, after a moment in which most requests end by themselves), or by the sweep.
 * An answer that nobody waits for any more gives back what it carries.
 *
 * Enters from session.c (FUSE); leaves to fs.h. */
#include "ops.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/statvfs.h>

enum { INTERRUPT_GRACE_MS = 200, SWEEP_GRACE_MS = 5000, STATFS_BLOCK = 4096 };

#define DIRECTORY_ATTR_SECONDS 0.02

enum reply {
    REPLY_ERROR,
    REPLY_ENTRY,
    REPLY_ATTR,
    REPLY_OPEN,
    REPLY_CREATE,
    REPLY_WRITE,
    REPLY_READ,
    REPLY_TEXT,
    REPLY_STATFS,
    REPLY_DIR,
    REPLY_DIR_PLUS
};

struct request {
    struct list link;
    struct ops *ops;
    fuse_req_t req; /* NULL once answered */
    enum reply reply;
    struct fuse_file_info file;
    uint64_t begun_ns, timer;
    char *entries; /* readdir */
    size_t entries_size, entries_used;
    uint64_t *nodes; /* readdirplus: looked up by the entries */
    size_t node_count;
};

static void answered(struct request *request)
{
    request->req = NULL;
    list_remove(&request->link);
    if (request->timer)
        request->ops->face.cancel(request->ops->face.arg, request->timer);
    request->timer = 0;
}

static void interrupt_due(void *arg)
{
    struct request *request = arg;
    request->timer = 0;
    fuse_reply_err(request->req, EINTR);
    answered(request);
}

static void interrupted(fuse_req_t req, void *arg)
{
    struct request *request = arg;
    if (request->req != req || request->timer)
        return;
    struct store_face *face = &request->ops->face;
    request->timer = face->after(face->arg, INTERRUPT_GRACE_MS, interrupt_due, request);
}

static struct request *begin(fuse_req_t req, enum reply reply, const struct fuse_file_info *file)
{
    struct ops *ops = fuse_req_userdata(req);
    struct request *request = base_alloc(sizeof *request);
    *request = (struct request){.ops = ops, .req = req, .reply = reply};
    if (file)
        request->file = *file;
    request->begun_ns = ops->face.now_ns(ops->face.arg);
    list_push_back(&ops->requests, &request->link);
    fuse_req_interrupt_func(req, interrupted, request);
    return request;
}

void ops_init(struct ops *ops)
{
    list_init(&ops->requests);
}

void ops_sweep(struct ops *ops)
{
    uint64_t now_ns = ops->face.now_ns(ops->face.arg);
    uint64_t limit_ns = (uint64_t)(ops->timeout_ms + SWEEP_GRACE_MS) * 1000000;
    LIST_EACH(link, &ops->requests)
    {
        struct request *request = container_of(link, struct request, link);
        if (now_ns - request->begun_ns < limit_ns)
            break;
        fuse_reply_err(request->req, ETIMEDOUT);
        answered(request);
    }
}

/* ---- answers ---- */

/* A file's attributes hold for no time: pages cut at an old size would be torn. A directory's hold
 * for the walk along a path, which else asks for them once more at every component. */
static double attr_timeout(const struct stat *attr)
{
    return S_ISDIR(attr->st_mode) ? DIRECTORY_ATTR_SECONDS : 0;
}

static struct fuse_entry_param entry_of(const struct fs_answer *answer)
{
    return (struct fuse_entry_param){.ino = answer->node,
                                     .generation = 1,
                                     .attr = answer->attr,
                                     .attr_timeout = attr_timeout(&answer->attr)};
}

static void set_open(struct fuse_file_info *file, const struct fs_answer *answer)
{
    file->fh = answer->handle;
    file->direct_io = (answer->open & FS_OPEN_DIRECT) != 0;
    file->keep_cache = (answer->open & FS_OPEN_KEEP_CACHE) != 0;
    file->noflush = (answer->open & FS_OPEN_NO_FLUSH) != 0;
}

static void nobody(void *arg, const struct fs_answer *answer)
{
    (void)arg;
    (void)answer;
}

/* The kernel has forgotten the request: the lookup and the handle are not counted there. */
static void give_back(struct request *request, const struct fs_answer *answer)
{
    struct fs *fs = request->ops->fs;
    for (size_t i = 0; i < request->node_count; i++)
        fs_forget(fs, request->nodes[i], 1);
    if (answer->error < 0)
        return;
    if (request->reply == REPLY_CREATE || request->reply == REPLY_OPEN)
        fs_release(fs, answer->handle, nobody, NULL);
    if (request->reply == REPLY_CREATE || request->reply == REPLY_ENTRY)
        fs_forget(fs, answer->node, 1);
}

/* Files are as many as there is room for the smallest. */
static int reply_statfs(fuse_req_t req, const struct fs_answer *answer)
{
    struct statvfs st = {.f_bsize = STATFS_BLOCK,
                         .f_frsize = STATFS_BLOCK,
                         .f_blocks = answer->room_size / STATFS_BLOCK,
                         .f_bfree = answer->room_free / STATFS_BLOCK,
                         .f_namemax = TOYSTORE_COMPONENT_SIZE_MAX};
    st.f_bavail = st.f_bfree;
    st.f_files = st.f_blocks;
    st.f_ffree = st.f_favail = st.f_bfree;
    return fuse_reply_statfs(req, &st);
}

static int reply(struct request *request, const struct fs_answer *answer)
{
    fuse_req_t req = request->req;
    struct fuse_entry_param entry;
    if (answer->error < 0)
        return fuse_reply_err(req, -answer->error);
    switch (request->reply) {
    case REPLY_ENTRY:
        entry = entry_of(answer);
        return fuse_reply_entry(req, &entry);
    case REPLY_ATTR:
        return fuse_reply_attr(req, &answer->attr, attr_timeout(&answer->attr));
    case REPLY_OPEN:
        set_open(&request->file, answer);
        return fuse_reply_open(req, &request->file);
    case REPLY_CREATE:
        entry = entry_of(answer);
        set_open(&request->file, answer);
        return fuse_reply_create(req, &entry, &request->file);
    case REPLY_WRITE:
        return fuse_reply_write(req, answer->size);
    case REPLY_READ:
        return fuse_reply_iov(req, answer->iov, (int)answer->iov_count);
    case REPLY_TEXT:
        return fuse_reply_readlink(req, answer->text);
    case REPLY_STATFS:
        return reply_statfs(req, answer);
    case REPLY_DIR:
    case REPLY_DIR_PLUS:
        return fuse_reply_buf(req, request->entries, request->entries_used);
    case REPLY_ERROR:
        break;
    }
    return fuse_reply_err(req, 0);
}

static void done(void *arg, const struct fs_answer *answer)
{
    struct request *request = arg;
    if (request->req == NULL) {
        give_back(request, answer);
    } else {
        if (reply(request, answer) == -ENOENT)
            give_back(request, answer);
        answered(request);
    }
    free(request->entries);
    free(request->nodes);
    free(request);
}

static struct fs *fs_of(fuse_req_t req)
{
    return ((struct ops *)fuse_req_userdata(req))->fs;
}

static struct fs_caller caller_of(fuse_req_t req)
{
    const struct fuse_ctx *context = fuse_req_ctx(req);
    return (struct fs_caller){context->uid, context->gid, (uint32_t)context->pid};
}

/* ---- requests ---- */

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    const struct ops *ops = userdata;
    if (ops->local_locks)
        conn->want &= ~(unsigned)(FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS);
    /* Pages are kept by version at OPEN, not by times. A writeback cache would lose O_APPEND and
     * hide errors. The kernel's own guess who wants readdirplus misses a reader whose names it
     * knows already; dir_plus.c sees better who looks at what it reads. */
    conn->want &= ~(unsigned)(FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_AUTO_INVAL_DATA |
                              FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_SPLICE_READ |
                              FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
    conn->max_background = 128;
    conn->congestion_threshold = 96;
    conn->time_gran = 1;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    fs_lookup(fs_of(req), parent, name, caller_of(req), done, begin(req, REPLY_ENTRY, NULL));
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    fs_forget(fs_of(req), ino, count);
    fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        fs_forget(fs_of(req), forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
    fs_getattr(fs_of(req), ino, file ? file->fh : 0, done, begin(req, REPLY_ATTR, NULL));
}

static unsigned set_of(int to_set)
{
    static const struct {
        int fuse;
        unsigned ours;
    } bits[] = {{FUSE_SET_ATTR_MODE, FS_SET_MODE},
                {FUSE_SET_ATTR_UID, FS_SET_UID},
                {FUSE_SET_ATTR_GID, FS_SET_GID},
                {FUSE_SET_ATTR_SIZE, FS_SET_SIZE},
                {FUSE_SET_ATTR_ATIME, FS_SET_ATIME},
                {FUSE_SET_ATTR_MTIME, FS_SET_MTIME},
                {FUSE_SET_ATTR_ATIME_NOW, FS_SET_ATIME_NOW},
                {FUSE_SET_ATTR_MTIME_NOW, FS_SET_MTIME_NOW}};
    unsigned set = 0;
    for (size_t i = 0; i < ARRAY_COUNT(bits); i++)
        if (to_set & bits[i].fuse)
            set |= bits[i].ours;
    return set;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                       struct fuse_file_info *file)
{
    fs_setattr(fs_of(req), ino, file ? file->fh : 0, attr, set_of(to_set), caller_of(req), done,
               begin(req, REPLY_ATTR, NULL));
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    fs_readlink(fs_of(req), ino, done, begin(req, REPLY_TEXT, NULL));
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    fs_mknod(fs_of(req), parent, name, mode, rdev, caller_of(req), done,
             begin(req, REPLY_ENTRY, NULL));
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    fs_mkdir(fs_of(req), parent, name, mode, caller_of(req), done, begin(req, REPLY_ENTRY, NULL));
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    fs_symlink(fs_of(req), parent, name, target, caller_of(req), done,
               begin(req, REPLY_ENTRY, NULL));
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    fs_unlink(fs_of(req), parent, name, done, begin(req, REPLY_ERROR, NULL));
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    fs_rmdir(fs_of(req), parent, name, done, begin(req, REPLY_ERROR, NULL));
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                      const char *new_name, unsigned flags)
{
    fs_rename(fs_of(req), parent, name, new_parent, new_name, flags, done,
              begin(req, REPLY_ERROR, NULL));
}

/* A second name for a file: not here, and said so with what POSIX has for it. */
static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    (void)ino;
    (void)parent;
    (void)name;
    fuse_reply_err(req, EPERM);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
    fs_open(fs_of(req), ino, file->flags, caller_of(req), done, begin(req, REPLY_OPEN, file));
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *file)
{
    fs_create(fs_of(req), parent, name, mode, file->flags, caller_of(req), done,
              begin(req, REPLY_CREATE, file));
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *file)
{
    (void)ino;
    fs_read(fs_of(req), file->fh, (uint64_t)offset, size, done, begin(req, REPLY_READ, NULL));
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
                     struct fuse_file_info *file)
{
    (void)ino;
    fs_write(fs_of(req), file->fh, (uint64_t)offset, slice_of(data, size), file->flags,
             caller_of(req), done, begin(req, REPLY_WRITE, NULL));
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
    (void)ino;
    fs_flush(fs_of(req), file->fh, done, begin(req, REPLY_ERROR, NULL));
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *file)
{
    (void)ino;
    (void)data_only;
    fs_fsync(fs_of(req), file->fh, done, begin(req, REPLY_ERROR, NULL));
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
    (void)ino;
    fs_release(fs_of(req), file->fh, done, begin(req, REPLY_ERROR, NULL));
}

/* ---- directories ---- */

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
    fs_opendir(fs_of(req), ino, caller_of(req), done, begin(req, REPLY_OPEN, file));
}

static size_t add_plain(struct request *request, char *at, size_t room, const char *name,
                        const struct fs_entry *entry, uint64_t next)
{
    return fuse_add_direntry(request->req, at, room, name, &entry->attr, (off_t)next);
}

/* A node of 0 in readdirplus says that the kernel must look the name up. */
static size_t add_plus(struct request *request, char *at, size_t room, const char *name,
                       const struct fs_entry *entry, uint64_t next)
{
    double valid = (double)entry->valid_us / 1e6;
    struct fuse_entry_param param = {.ino = entry->node,
                                     .generation = 1,
                                     .attr = entry->attr,
                                     .attr_timeout = valid,
                                     .entry_timeout = valid};
    return fuse_add_direntry_plus(request->req, at, room, name, &param, (off_t)next);
}

static bool add_entry(void *arg, const char *name, const struct fs_entry *entry, uint64_t next)
{
    struct request *request = arg;
    if (request->req == NULL)
        return false;
    bool plus = request->reply == REPLY_DIR_PLUS;
    size_t room = request->entries_size - request->entries_used;
    char *at = request->entries + request->entries_used;
    size_t size = (plus ? add_plus : add_plain)(request, at, room, name, entry, next);
    if (size > room)
        return false;
    request->entries_used += size;
    if (entry->node)
        request->nodes[request->node_count++] = entry->node;
    return true;
}

/* What a readdirplus entry takes at least. */
enum { ENTRY_PLUS_SIZE_MIN = 152 };

static void read_directory(fuse_req_t req, enum reply reply, size_t size, off_t offset, uint64_t fh)
{
    struct request *request = begin(req, reply, NULL);
    request->entries = base_alloc(size);
    request->entries_size = size;
    unsigned plus = 0;
    if (reply == REPLY_DIR_PLUS) {
        plus = (unsigned)(size / ENTRY_PLUS_SIZE_MIN) + 1;
        request->nodes = base_alloc(plus * sizeof *request->nodes);
    }
    fs_readdir(request->ops->fs, fh, (uint64_t)offset, plus, add_entry, done, request);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *file)
{
    (void)ino;
    read_directory(req, REPLY_DIR, size, offset, file->fh);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                           struct fuse_file_info *file)
{
    (void)ino;
    read_directory(req, REPLY_DIR_PLUS, size, offset, file->fh);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
    (void)ino;
    fs_releasedir(fs_of(req), file->fh);
    fuse_reply_err(req, 0);
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *file)
{
    (void)ino;
    (void)data_only;
    fs_fsyncdir(fs_of(req), file->fh, done, begin(req, REPLY_ERROR, NULL));
}

/* ---- the whole ---- */

/* A client has no disk: the cluster's is told as large and half empty, so that nobody refuses to
 * write before asking. */
static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    (void)ino;
    fs_statfs(fs_of(req), done, begin(req, REPLY_STATFS, NULL));
}

static void op_xattr_none(fuse_req_t req)
{
    fuse_reply_err(req, EOPNOTSUPP);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                        size_t size, int flags)
{
    (void)ino;
    (void)name;
    (void)value;
    (void)size;
    (void)flags;
    op_xattr_none(req);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    (void)ino;
    (void)name;
    op_xattr_none(req);
}

/* The kernel alone would grant a lock in every mount at once. What is asked for and cannot be had
 * is refused, unless -o locks=local says that there is one mount only. */
static void op_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file,
                     struct flock *lock)
{
    (void)ino;
    (void)file;
    (void)lock;
    fuse_reply_err(req, ENOLCK);
}

static void op_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file,
                     struct flock *lock, int wait)
{
    (void)wait;
    /* Who gives back what he never had is told that it is gone. */
    if (lock->l_type == F_UNLCK)
        fuse_reply_err(req, 0);
    else
        op_getlk(req, ino, file, lock);
}

static void op_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file, int op)
{
    (void)ino;
    (void)file;
    fuse_reply_err(req, (op & LOCK_UN) != 0 ? 0 : ENOLCK);
}

const struct fuse_lowlevel_ops ops_table = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .readlink = op_readlink,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .symlink = op_symlink,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .rename = op_rename,
    .link = op_link,
    .open = op_open,
    .create = op_create,
    .read = op_read,
    .write = op_write,
    .flush = op_flush,
    .fsync = op_fsync,
    .release = op_release,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .releasedir = op_releasedir,
    .fsyncdir = op_fsyncdir,
    .statfs = op_statfs,
    .setxattr = op_setxattr,
    .removexattr = op_removexattr,
    .getlk = op_getlk,
    .setlk = op_setlk,
    .flock = op_flock,
};
