/* host: the address that a node listens on and is found at. */
#ifndef TOYSTORE_HOST_H
#define TOYSTORE_HOST_H

#include <toystore/toystore.h>

#include "core/core.h"

/* --host as a numeric address. When it was not given, the address from which this machine reaches
 * the first seed that has one: a node at 127.0.0.1 could not be found by others. */
int host_find(const struct toystore_config *config, char ret[HOST_SIZE_MAX], char *error,
              size_t error_size);

#endif
