/* node: the composition root. From a configuration to a driver with a core and a store. */
#ifndef TOYSTORE_NODE_H
#define TOYSTORE_NODE_H

#include <toystore/toystore.h>

#include "io/driver.h"

/* Opens the store, finds the addresses, binds the ports. `callbacks` gives log, member, ready and
 * arg; the rest of it is filled in from the configuration. */
int node_open(const struct toystore_config *config, const struct driver_options *callbacks,
              struct driver **ret_driver, char *error, size_t error_size);

int node_log_level(const struct toystore_config *config); /* 0 error .. 3 debug */

#endif
