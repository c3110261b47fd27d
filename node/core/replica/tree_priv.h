/* tree_priv: what tree.c, tree_serve.c and sync.c share. */
#ifndef TOYSTORE_CORE_TREE_PRIV_H
#define TOYSTORE_CORE_TREE_PRIV_H

#include "core/state/state.h"

struct tree_serving; /* a TREE or FETCH of somebody else (tree_serve.c) */

enum { TREE_ROOT = UINT32_MAX }; /* tree_request.bucket: the root and all buckets */
enum tree_purpose { TREE_COMPARE, TREE_TAKE };

extern const size_t tree_serving_size;
struct pool *tree_servings(struct core *core);
void tree_serving_clear(struct tree_serving *serving);

struct hash128 tree_bucket(const struct core *core, uint32_t partition, uint32_t bucket);
/* Reads TREE_ITEMS_MAX tokens of the bucket behind `after` (zero: from its first). */
void tree_scan_bucket(struct core *core, uint32_t partition, uint32_t bucket,
                      const struct hash128 *after, struct resume resume);

#endif
