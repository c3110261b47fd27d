/* mount_point: where to mount, and where the data goes when nobody says. */
#ifndef TOYSTORE_FS_MOUNT_POINT_H
#define TOYSTORE_FS_MOUNT_POINT_H

#include "base/base.h"

/* The absolute path of a directory that can be mounted on, malloc()ed: exists, is empty, nothing
 * is mounted on it but what a crash left there, which is unmounted. -errno, with words. */
int mount_point_check(const char *given, char **ret_path, char *error, size_t error_size);

/* The default data directory of a mount point, malloc()ed: below /var/lib/toystore for root, else
 * below the user's data directory (XDG). NULL: there is no home to put it in. */
char *mount_point_data(const char *mountpoint);

/* 0, or -EINVAL when one lies in the other: a mount that waits for itself. */
int mount_point_data_check(const char *mountpoint, const char *data, char *error,
                           size_t error_size);

#endif
