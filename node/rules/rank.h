/* rank: the order in which a partition prefers the members of a layout. */
#ifndef TOYSTORE_RULES_RANK_H
#define TOYSTORE_RULES_RANK_H

#include "rules/layout.h"

/* Work space for one layout, used for partition after partition. */
struct ranker;
struct ranker *ranker_new(const struct layout *layout);
void ranker_free(struct ranker *ranker);
/* The first `count` members (by index) of the partition's rank order. */
void ranker_walk(struct ranker *ranker, uint32_t partition, uint16_t *ret_ranked, size_t count);

#endif
