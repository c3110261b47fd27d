/* lock_file: a directory that belongs to one process at a time. */
#ifndef TOYSTORE_IO_LOCK_FILE_H
#define TOYSTORE_IO_LOCK_FILE_H

#include "base/base.h"

/* -EBUSY: another process, or another part of this one, has it; `*ret_holder` (may be NULL) is
 * then its process id, 0 when unknown. The lock ends with lock_file_release or the process. */
int lock_file_take(const char *path, int *ret_fd, long *ret_holder);
void lock_file_release(int *fd); /* sets it to -1 */

#endif
