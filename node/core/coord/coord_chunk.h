/* coord_chunk: what storing and fetching immutable keys share (PROTOCOL 8). */
#ifndef TOYSTORE_CORE_COORD_CHUNK_H
#define TOYSTORE_CORE_COORD_CHUNK_H

#include "core/coord/coord_get.h"

enum { CHUNK_FALLBACKS_MAX = 16 };

/* Storing members that are no owners of the key, in rank order, that can be reached. */
unsigned chunk_fallbacks(struct core *core, uint32_t partition, const struct electorate *electorate,
                         node_id ret[CHUNK_FALLBACKS_MAX]);

#endif
