/* transfer: whole files by key, in and out, for a program that is not a mount: `toystore put` of a
 * large file and `cp` into a mount make the same file.
 *
 * Enters from the command line; leaves to the store by a store_face. */
#ifndef TOYSTORE_FS_TRANSFER_H
#define TOYSTORE_FS_TRANSFER_H

#include "base/base.h"
#include "store_face.h"

enum { TRANSFER_INLINE_MAX = 32 * 1024 }; /* to this size a file is one record: a plain put does */

/* The next bytes of the source into `buffer`: how many, 0 at the end, or a negative errno. */
typedef ssize_t transfer_read_fn(void *arg, void *buffer, size_t size);
/* The next bytes of the file, in order: 0, or a negative errno that ends the transfer. */
typedef int transfer_write_fn(void *arg, const void *data, size_t size);
/* Once: 0, or a negative errno. Never from inside the call that began the transfer. */
typedef void transfer_done_fn(void *arg, int error);

/* Replaces the content of `key` (and makes it when it is not there) by what `read` gives, in one
 * step: readers see the old file or the new one. -EISDIR, -ENOTDIR, -EIO (no quorum) ... */
void transfer_put(const struct store_face *face, struct slice key, transfer_read_fn *read,
                  void *read_arg, transfer_done_fn *done, void *done_arg);
/* Gives one version of the file from beginning to end. -ENOENT, -EISDIR, -EIO ... */
void transfer_get(const struct store_face *face, struct slice key, transfer_write_fn *write,
                  void *write_arg, transfer_done_fn *done, void *done_arg);

#endif
