/* repair: a round of repair at every storing member that can be reached, with its progress. */
#ifndef TOYSTORE_FS_REPAIR_H
#define TOYSTORE_FS_REPAIR_H

#include "cli/remote.h"

/* Finds the members by `remote`, whose address is `node`. Returns an exit status: 0 all is compared
 * and read, 1 something could not be, 3 no answer. */
int repair_run(struct remote *remote, const char *node, bool json);

#endif
