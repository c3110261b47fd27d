/* disk: what its two files share. */
#ifndef TOYSTORE_IO_DISK_H
#define TOYSTORE_IO_DISK_H

#include "io/driver_priv.h"

void disk_waiters_add(struct disk_waiters *waiters, struct disk_waiter waiter);
void disk_sync_init(struct disk *disk);
void disk_soil(struct disk *disk);        /* something was written */
void disk_sync_wanted(struct disk *disk); /* somebody may wait for a sync */

#endif
