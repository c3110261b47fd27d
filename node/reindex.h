/* reindex: after a repair of the store its indexes say again what the records say: a record whose
 * token or listing entry is lost gets it anew, and a token without a record becomes a copy that is
 * damaged, not one that never was: it is taken from others, or read as unknown. */
#ifndef TOYSTORE_REINDEX_H
#define TOYSTORE_REINDEX_H

#include <toystore/store.h>

/* 0, or what the store said. */
int reindex(struct toystore_store *store);

#endif
