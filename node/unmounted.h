/* unmounted: tells a data directory whose disk is not mounted from an empty one. */
#ifndef TOYSTORE_UNMOUNTED_H
#define TOYSTORE_UNMOUNTED_H

#include <stddef.h>

/* Before the directory is made or claimed. 0, or -ENODEV with words: what was mounted there is not.
 */
int unmounted_check(const char *data, char *error, size_t error_size);
/* Once the directory is claimed: remembers where its file system is mounted, as well as it can. */
void unmounted_note(const char *data);

#endif
