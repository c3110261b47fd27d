/* directory: a node's data directory: whose it is, and the store in it. */
#ifndef TOYSTORE_DIRECTORY_H
#define TOYSTORE_DIRECTORY_H

#include <toystore/toystore.h>

#include "io/driver.h"

struct opened_store {
    struct toystore_store *store; /* NULL: the node is a client */
    bool repaired;                /* it was damaged: what it still holds may be old */
};

/* Makes the directory when it is not there, waits for a holder that is ending, repairs what is
 * damaged. `callbacks` gives log and arg. -EBUSY in use, -EPROTO another cluster's, another
 * store's or a newer toystore's, -ENOTEMPTY somebody else's files; the words name the option. */
int directory_open(const struct toystore_config *config, const struct driver_options *callbacks,
                   struct opened_store *ret, char *error, size_t error_size);

#endif
