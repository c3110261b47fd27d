/* salvage: a database in which bits have flipped is copied, as far as it can be read, to a new one,
 * which takes its place. RocksDB itself has no way out of a damaged block: every compaction that
 * meets it fails, and then writes do. */
#ifndef TOYSTORE_IO_SALVAGE_H
#define TOYSTORE_IO_SALVAGE_H

#include "io/rocks.h"

/* PATH must not be open. Afterwards it holds what could be read, and PATH.damaged the old one.
 * Errors as rocks_open: -EUCLEAN when it cannot even be opened. */
int salvage(const char *path, char *error, size_t error_size);

#endif
