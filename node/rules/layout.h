/* layout: who owns what (PROTOCOL 1). Pure: a layout is a numbered list of storing
 * members; the ring follows from it alone, in integers, equal on every machine.
 *
 * Source: Dynamo 4.2-4.3 (partitioning, preference lists), with weighted rendezvous hashing in
 * place of tokens: each partition ranks all members, zones first; the first N own it. */
#ifndef TOYSTORE_RULES_LAYOUT_H
#define TOYSTORE_RULES_LAYOUT_H

#include "base/buf.h"
#include "wire/types.h"

enum {
    CLUSTER_ID_SIZE = 16,
    ZONE_SIZE_MAX = 64,
    WEIGHT_MAX = 10000,
    MEMBERS_MAX = 1024,   /* members of any kind that a node remembers */
    PARTITIONS_MAX = 4096 /* Q at most */
};

struct layout_member {
    node_id id;
    uint32_t weight;
    bool gone; /* removed by force: counts as away for ever */
    char zone[ZONE_SIZE_MAX + 1];
};

struct layout {
    uint32_t number; /* from 1 */
    uint8_t cluster[CLUSTER_ID_SIZE];
    uint32_t partitions, n, w, r; /* Q, N, R, W of the cluster */
    size_t member_count;
    struct layout_member *members; /* sorted by id */
    uint16_t *owners;              /* the ring: partitions x layout_owner_count, members by index */
};

struct layout *layout_new(uint32_t number, const uint8_t cluster[CLUSTER_ID_SIZE],
                          uint32_t partitions, uint32_t n, uint32_t w, uint32_t r,
                          const struct layout_member *members, size_t member_count);
void layout_free(struct layout *layout);
void layout_encode(struct buf *out, const struct layout *layout);
struct layout *layout_decode(struct slice bytes); /* NULL: malformed */

const struct layout_member *layout_find(const struct layout *layout, node_id id); /* or NULL */
size_t layout_owner_count(const struct layout *layout); /* n = min(N, members) */
/* The owners of a partition in rank order; returns n. */
size_t layout_owners(const struct layout *layout, uint32_t partition,
                     node_id ret_owners[REPLICAS_MAX]);
bool layout_owns(const struct layout *layout, uint32_t partition, node_id id);
/* All members in rank order (owners first, then fallbacks), `max` at most; returns how many. */
size_t layout_rank(const struct layout *layout, uint32_t partition, node_id *ret_ranked,
                   size_t max);

/* The seed's FindN: for each of the first n owners its target: itself when it is not in `failed`,
 * else the next fallback in rank that is neither failed nor taken, with the owner as hint; 0 when
 * there is none. Ends for every subset of failures. */
struct layout_target {
    node_id owner, target; /* target == owner: no hint needed; 0: nobody left */
};
size_t layout_targets(const struct layout *layout, uint32_t partition,
                      bool (*failed)(void *arg, node_id id), void *arg,
                      struct layout_target ret_targets[REPLICAS_MAX]);

/* Partitions that a member owns in `to` and not in `from` (NULL: owns nothing); a count, and a
 * bitmap of partitions when `ret_bitmap` is not NULL. */
size_t layout_gains(const struct layout *from, const struct layout *to, node_id id,
                    uint8_t *ret_bitmap);

static inline uint32_t partition_of(const struct hash128 *token, uint32_t partitions)
{
    uint64_t high = 0;
    for (int i = 0; i < 8; i++)
        high = high << 8 | token->bytes[i];
    __extension__ unsigned __int128 product = (unsigned __int128)high * partitions;
    return (uint32_t)(product >> 64);
}

/* The first token of a partition (partition == partitions: none, returns false). */
bool partition_first_token(uint32_t partition, uint32_t partitions, struct hash128 *ret_token);

#endif
