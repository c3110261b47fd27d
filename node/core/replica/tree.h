/* tree: a hash tree per partition over (key, record), folded in memory from the digest that is
 * stored per key in TOYSTORE_TOKENS (Dynamo 4.7). Root = XOR of its
 * TREE_BUCKETS buckets; a bucket = XOR of the digests of the tokens that fall in it. */
#ifndef TOYSTORE_CORE_TREE_H
#define TOYSTORE_CORE_TREE_H

#include "core/rpc/rpc.h"
#include "wire/record.h"

struct trees;
struct trees *trees_new(void);
void trees_free(struct trees *trees);
void trees_size(struct core *core, uint32_t partitions); /* once Q is known */
/* From a stored pair of TOYSTORE_TOKENS at the start. */
void tree_restore(struct core *core, struct slice token, struct slice value);
/* A key's digest changed; NULL: no such key before or after. */
void tree_update(struct core *core, uint32_t partition, const struct hash128 *token,
                 const struct hash128 *before, const struct hash128 *after);
struct hash128 tree_root(const struct core *core, uint32_t partition);
uint64_t tree_key_count(const struct core *core, uint32_t partition);
/* Over the key, the canonical record, never over promise or settled. */
struct hash128 tree_digest(struct slice key, struct slice record);
/* A value of TOYSTORE_TOKENS: the digest, then the key. */
void token_encode(struct buf *out, const struct hash128 *digest, struct slice key);
bool token_decode(struct slice value, struct hash128 *ret_digest, struct slice *ret_key);

/* In place of a digest, for a key whose stored copy was found damaged: it differs from what any
 * other node has, damaged copies included, so that the key is looked at and taken from others. */
struct hash128 token_damaged(const struct core *core, const struct hash128 *token);
/* Does the tree count the key so? Its copy may be whole again: what was read wrong once, was read
 * right the next time. */
bool tree_marked(const struct core *core, const struct hash128 *token);
bool tree_any_marked(const struct core *core); /* seldom: saves making tokens */

/* TREE and FETCH: what others read to compare with, and to take from, this node. */
void tree_handle(struct core *core, const struct rpc_request *request);

#endif
