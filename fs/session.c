/* session: the FUSE device on the node's loop: requests in as they come, answers when they are
 * ready, and the end: everything that is open is published first.
 *
 * Enters from the loop; leaves to ops.c. */
#include "session.h"

#include "ops.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { REQUESTS_A_TURN = 64, SWEEP_MS = 1000, READ_AHEAD_KIB = 1024 };

struct session {
    struct session_config config;
    struct ops ops;
    struct fuse_session *fuse;
    struct fuse_buf buffer;
    uint64_t sweep_timer;
    bool init_answered, read_ahead_set, ending, unmounted, node_freed;
};

/* ---- the device ---- */

/* libfuse 3.14 knows of parallel lookups in one directory, and of mmap beside direct_io, but does
 * not ask the kernel for them: the answer to INIT is amended on its way out. */
enum {
    INIT_FLAGS_AT = 12,
    INIT_FLAGS2_AT = 32,
    INIT_PARALLEL_DIROPS = 1 << 18,
    INIT_EXTENDED = 1 << 30,
    INIT2_DIRECT_IO_MMAP = 1 << 4 /* bit 36 of all flags */
};

static void set_bits(void *at, uint32_t bits)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    word |= bits;
    memcpy(at, &word, sizeof word);
}

static ssize_t device_writev(int fd, struct iovec *iov, int count, void *userdata)
{
    struct ops *ops = userdata;
    struct session *session = container_of(ops, struct session, ops);
    if (!session->init_answered && count >= 2 && iov[1].iov_len >= INIT_FLAGS2_AT + 4) {
        uint8_t *init = iov[1].iov_base;
        set_bits(init + INIT_FLAGS_AT, INIT_PARALLEL_DIROPS | INIT_EXTENDED);
        set_bits(init + INIT_FLAGS2_AT, INIT2_DIRECT_IO_MMAP);
    }
    session->init_answered = true;
    return writev(fd, iov, count);
}

static ssize_t device_read(int fd, void *buffer, size_t size, void *userdata)
{
    (void)userdata;
    return read(fd, buffer, size);
}

static void device_ended(struct session *session);

static void device_ready(void *arg, int fd)
{
    struct session *session = arg;
    (void)fd;
    for (int i = 0; i < REQUESTS_A_TURN; i++) {
        int size = fuse_session_receive_buf(session->fuse, &session->buffer);
        if (size == -EAGAIN || size == -EINTR)
            return;
        if (size <= 0 || fuse_session_exited(session->fuse)) {
            device_ended(session);
            return;
        }
        fuse_session_process_buf(session->fuse, &session->buffer);
    }
}

/* ---- the store under it: nothing, once the node has been freed ---- */

static int face_submit(void *arg, const struct toystore_request *request, toystore_done_fn *done,
                       void *done_arg)
{
    const struct session *session = arg;
    return toystore_submit(session->config.node, request, done, done_arg);
}

static struct toystore_op face_op_new(void *arg)
{
    const struct session *session = arg;
    return toystore_op_new(session->config.node);
}

static uint64_t face_after(void *arg, unsigned ms, void (*fire)(void *), void *fire_arg)
{
    const struct session *session = arg;
    return toystore_after(session->config.node, ms, fire, fire_arg);
}

static void face_cancel(void *arg, uint64_t timer)
{
    const struct session *session = arg;
    if (!session->node_freed) /* its timers ended with it */
        toystore_cancel(session->config.node, timer);
}

static uint64_t face_now_ns(void *arg)
{
    (void)arg;
    return toystore_now_ns();
}

static int64_t face_wall_ns(void *arg)
{
    (void)arg;
    return toystore_wall_ns();
}

static char *report(void *arg, const char *what)
{
    struct session *session = arg;
    return toystore_report(session->config.node, what);
}

/* Attributes only: pages would need the kernel's locks, which the caller may hold. */
static void invalidate(void *arg, uint64_t node)
{
    struct session *session = arg;
    fuse_lowlevel_notify_inval_inode(session->fuse, node, -1, 0);
}

static void log_line(void *arg, int level, const char *line)
{
    struct session *session = arg;
    session->config.log(session->config.arg, level, line);
}

static void make_fs(struct session *session)
{
    struct store_face face = {.arg = session,
                              .submit = face_submit,
                              .op_new = face_op_new,
                              .after = face_after,
                              .cancel = face_cancel,
                              .now_ns = face_now_ns,
                              .wall_ns = face_wall_ns};
    struct fs_config config = {.face = face,
                               .root_uid = getuid(),
                               .root_gid = getgid(),
                               .timeout_ms = session->config.timeout_ms,
                               .show_conflicts = session->config.show_conflicts,
                               .report = report,
                               .invalidate = invalidate,
                               .log = log_line,
                               .arg = session};
    session->ops = (struct ops){.face = face,
                                .timeout_ms = session->config.timeout_ms,
                                .local_locks = session->config.local_locks};
    ops_init(&session->ops);
    session->ops.fs = fs_new(&config);
}

/* ---- beginning ---- */

static int mount_fuse(struct session *session, char *error, size_t error_size)
{
    char options[4096];
    snprintf(options, sizeof options, "-o%s", session->config.fuse_options);
    char program[] = "mount.toystore", debug[] = "-d";
    char *argv[] = {program, options, debug, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(session->config.debug ? 3 : 2, argv);
    session->fuse = fuse_session_new(&args, &ops_table, sizeof ops_table, &session->ops);
    fuse_opt_free_args(&args);
    if (session->fuse == NULL) {
        snprintf(error, error_size, "FUSE did not take the options %s", options + 2);
        return -EINVAL;
    }
    session->ops.session = session->fuse;
    if (fuse_session_mount(session->fuse, session->config.mountpoint) != 0) {
        int reason = errno ? errno : EIO;
        snprintf(error, error_size, "%s could not be mounted: %s", session->config.mountpoint,
                 access("/dev/fuse", R_OK | W_OK) != 0 ? "no access to /dev/fuse"
                                                       : strerror(reason));
        return -reason;
    }
    static const struct fuse_custom_io io = {.writev = device_writev, .read = device_read};
    int fd = fuse_session_fd(session->fuse);
    int result = fuse_session_custom_io(session->fuse, &io, fd);
    if (result == 0 && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
        result = -errno;
    if (result != 0)
        snprintf(error, error_size, "the FUSE device could not be set up: %s", strerror(-result));
    return result;
}

int session_new(const struct session_config *config, struct session **ret_session, char *error,
                size_t error_size)
{
    struct session *session = base_alloc(sizeof *session);
    session->config = *config;
    make_fs(session);
    int result = mount_fuse(session, error, error_size);
    if (result < 0) {
        session_free(session);
        return result;
    }
    *ret_session = session;
    return 0;
}

/* The kernel reads ahead 128 KiB unless told otherwise; a chunk is twice that. Where /sys may not
 * be written, it stays so. */
static void set_read_ahead(const char *mountpoint)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t size = 0;
    unsigned major = 0, minor = 0, found_major = 0, found_minor = 0;
    while (file && getline(&line, &size, file) > 0) {
        char where[4096];
        if (sscanf(line, "%*s %*s %u:%u %*s %4095s", &major, &minor, where) == 3 &&
            strcmp(where, mountpoint) == 0) {
            found_major = major;
            found_minor = minor;
        }
    }
    free(line);
    if (file)
        fclose(file);
    if (found_minor == 0)
        return;
    char path[64];
    snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", found_major, found_minor);
    file = fopen(path, "we");
    if (file == NULL)
        return;
    fprintf(file, "%d\n", READ_AHEAD_KIB);
    fclose(file);
}

static void sweep(void *arg)
{
    struct session *session = arg;
    ops_sweep(&session->ops);
    if (session->init_answered && !session->read_ahead_set) {
        session->read_ahead_set = true;
        set_read_ahead(session->config.mountpoint);
    }
    session->sweep_timer = toystore_after(session->config.node, SWEEP_MS, sweep, session);
}

int session_serve(struct session *session)
{
    sweep(session);
    return toystore_watch(session->config.node, fuse_session_fd(session->fuse), device_ready,
                          session);
}

/* ---- the end ---- */

static void tell_ended(void *arg)
{
    struct session *session = arg;
    session->config.ended(session->config.arg);
}

static void device_ended(struct session *session)
{
    toystore_watch(session->config.node, fuse_session_fd(session->fuse), NULL, NULL);
    session->unmounted = true;
    if (session->ending)
        return;
    session->ending = true;
    fs_drain(session->ops.fs, tell_ended, session);
}

static void unmount(void *arg)
{
    struct session *session = arg;
    if (!session->unmounted) {
        toystore_watch(session->config.node, fuse_session_fd(session->fuse), NULL, NULL);
        fuse_session_unmount(session->fuse);
    }
    session->unmounted = true;
    fs_drain(session->ops.fs, tell_ended, session);
}

void session_end(struct session *session)
{
    if (session->ending)
        return;
    session->ending = true;
    fs_drain(session->ops.fs, unmount, session);
}

void session_free(struct session *session)
{
    session->node_freed = true;
    if (session->fuse) {
        fuse_session_unmount(session->fuse); /* it sees what the kernel has unmounted already */
        fuse_session_destroy(session->fuse);
    }
    if (fs_idle(session->ops.fs)) /* else the node has ended before it, and the process does now */
        fs_free(session->ops.fs);
    free(session->buffer.mem);
    free(session);
}
