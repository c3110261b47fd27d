/* transfer: a whole file in or out, by the same machines that the mount uses.
 *
 * Enters from the command line; leaves to fs.h. */
#include "transfer.h"

#include "fs_priv.h"

#include <fcntl.h>
#include <stdlib.h>

enum { PIECE_SIZE = 512 * 1024 };

struct transfer {
    struct fs *fs;
    struct slice key; /* owned */
    transfer_read_fn *read;
    transfer_write_fn *write;
    void *io_arg;
    transfer_done_fn *done;
    void *arg;
    struct node *node; /* busy */
    uint64_t handle, offset;
    uint8_t *piece;
    int error;
    bool in_step, stepped; /* an answer came from inside: the loop goes on, not the stack */
};

static void finished(void *arg)
{
    struct transfer *transfer = arg;
    transfer_done_fn *done = transfer->done;
    void *done_arg = transfer->arg;
    int error = transfer->error;
    node_release(transfer->node);
    fs_free(transfer->fs);
    slice_free(transfer->key);
    free(transfer->piece);
    free(transfer);
    done(done_arg, error);
}

/* What was asked behind answers (parents, file records) must have ended before all is freed. */
static void settle(void *arg)
{
    struct transfer *transfer = arg;
    struct store_face *face = &transfer->fs->face;
    if (transfer->fs->under_way > 0 || transfer->fs->reclaiming > 0)
        face->after(face->arg, 1, settle, transfer);
    else
        finished(transfer);
}

static void closed(void *arg, const struct fs_answer *answer)
{
    struct transfer *transfer = arg;
    (void)answer;
    struct store_face *face = &transfer->fs->face;
    face->after(face->arg, 0, settle, transfer);
}

static void end(struct transfer *transfer, int error)
{
    transfer->error = error;
    if (transfer->handle)
        fs_release(transfer->fs, transfer->handle, closed, transfer);
    else
        closed(transfer, NULL);
}

static struct transfer *transfer_new(const struct store_face *face, struct slice key,
                                     transfer_done_fn *done, void *arg)
{
    struct transfer *transfer = base_alloc(sizeof *transfer);
    struct fs_config config = {.face = *face};
    transfer->fs = fs_new(&config);
    transfer->fs->reclaim_now = true;
    transfer->key = slice_of(base_string(key), key.size);
    transfer->done = done;
    transfer->arg = arg;
    transfer->piece = base_alloc(PIECE_SIZE);
    transfer->node = node_new(transfer->fs, key);
    return transfer;
}

/* ---- in ---- */

static void flushed(void *arg, const struct fs_answer *answer)
{
    end(arg, answer->error);
}

static void write_on(struct transfer *transfer);

static void written(void *arg, const struct fs_answer *answer)
{
    struct transfer *transfer = arg;
    if (answer->error < 0) {
        end(transfer, answer->error);
        return;
    }
    transfer->offset += answer->size;
    transfer->stepped = true;
    if (!transfer->in_step)
        write_on(transfer);
}

static void write_on(struct transfer *transfer)
{
    transfer->in_step = true;
    do {
        transfer->stepped = false;
        ssize_t size = transfer->read(transfer->io_arg, transfer->piece, PIECE_SIZE);
        if (size <= 0) {
            transfer->in_step = false;
            if (size < 0) {
                struct handle *handle = pool_get(&transfer->fs->handles, transfer->handle);
                handle->content->unlinked = true; /* nothing of it is published */
                end(transfer, (int)size);
            } else {
                fs_flush(transfer->fs, transfer->handle, flushed, transfer);
            }
            return;
        }
        fs_write(transfer->fs, transfer->handle, transfer->offset,
                 slice_of(transfer->piece, (size_t)size), 0, (struct fs_caller){0}, written,
                 transfer);
    } while (transfer->stepped);
    transfer->in_step = false;
}

static void put_opened(void *arg, const struct fs_answer *answer)
{
    struct transfer *transfer = arg;
    if (answer->error < 0) {
        end(transfer, answer->error);
        return;
    }
    transfer->handle = answer->handle;
    struct handle *handle = pool_get(&transfer->fs->handles, answer->handle);
    handle->written = true;            /* an empty source makes an empty file */
    handle->content->replacing = true; /* published whole, or not at all */
    write_on(transfer);
}

static void put_seen(void *arg, int error, const struct seen *seen)
{
    struct transfer *transfer = arg;
    struct fs *fs = transfer->fs;
    struct fs_caller caller = {fs->config.root_uid, fs->config.root_gid, 0};
    if (error == 0 && seen->kind == TOYSTORE_DIRECTORY)
        error = -EISDIR;
    if (error < 0 && error != -ENOENT) {
        end(transfer, error);
        return;
    }
    struct node *node = transfer->node;
    if (error == 0) {
        node_saw(node, seen);
        fs_open(fs, node->id, O_WRONLY | O_TRUNC, caller, put_opened, transfer);
        return;
    }
    node_release(node);
    transfer->node = NULL;
    struct node *parent = node_new(fs, key_parent_of(transfer->key));
    parent->seen.attributes.mode = S_IFDIR | 0755;
    char *name = base_string(key_last_of(transfer->key));
    fs_create(fs, parent->id, name, 0644, O_WRONLY, caller, put_opened, transfer);
    free(name);
    transfer->node = parent;
}

void transfer_put(const struct store_face *face, struct slice key, transfer_read_fn *read,
                  void *read_arg, transfer_done_fn *done, void *done_arg)
{
    struct transfer *transfer = transfer_new(face, key, done, done_arg);
    transfer->read = read;
    transfer->io_arg = read_arg;
    look(transfer->fs, key, put_seen, transfer);
}

/* ---- out ---- */

static void read_on(struct transfer *transfer);

static void got_piece(void *arg, const struct fs_answer *answer)
{
    struct transfer *transfer = arg;
    int error = answer->error;
    for (size_t i = 0; error == 0 && i < answer->iov_count; i++)
        error = transfer->write(transfer->io_arg, answer->iov[i].iov_base, answer->iov[i].iov_len);
    if (error < 0 || answer->size == 0) {
        end(transfer, error);
        return;
    }
    transfer->offset += answer->size;
    transfer->stepped = true;
    if (!transfer->in_step)
        read_on(transfer);
}

static void read_on(struct transfer *transfer)
{
    transfer->in_step = true;
    do {
        transfer->stepped = false;
        fs_read(transfer->fs, transfer->handle, transfer->offset, PIECE_SIZE, got_piece, transfer);
    } while (transfer->stepped);
    transfer->in_step = false;
}

static void get_opened(void *arg, const struct fs_answer *answer)
{
    struct transfer *transfer = arg;
    if (answer->error < 0) {
        end(transfer, answer->error);
        return;
    }
    transfer->handle = answer->handle;
    read_on(transfer);
}

static void get_seen(void *arg, int error, const struct seen *seen)
{
    struct transfer *transfer = arg;
    struct fs_caller caller = {0};
    if (error == 0 && seen->kind == TOYSTORE_DIRECTORY)
        error = -EISDIR;
    if (error == 0 && seen->kind != TOYSTORE_FILE && seen->kind != TOYSTORE_REFERENCE)
        error = -EINVAL;
    if (error < 0) {
        end(transfer, error);
        return;
    }
    node_saw(transfer->node, seen);
    fs_open(transfer->fs, transfer->node->id, O_RDONLY, caller, get_opened, transfer);
}

void transfer_get(const struct store_face *face, struct slice key, transfer_write_fn *write,
                  void *write_arg, transfer_done_fn *done, void *done_arg)
{
    struct transfer *transfer = transfer_new(face, key, done, done_arg);
    transfer->write = write;
    transfer->io_arg = write_arg;
    look(transfer->fs, key, get_seen, transfer);
}
