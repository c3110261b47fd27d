/* hash: XXH3, 64 and 128 bits; not against an adversary, but against chance. */
#ifndef TOYSTORE_HASH_H
#define TOYSTORE_HASH_H

#include "base/base.h"

/* 128 bits, most significant first, so that memcmp orders as numbers do. */
struct hash128 {
    uint8_t bytes[16];
};

uint64_t hash64(struct slice bytes);
uint64_t hash64_seeded(struct slice bytes, uint64_t seed);
/* The same as of both in one piece. */
uint64_t hash64_of_two(struct slice first, struct slice second, uint64_t seed);
struct hash128 hash128(struct slice bytes);

static inline void hash128_xor(struct hash128 *into, const struct hash128 *other)
{
    for (size_t i = 0; i < sizeof into->bytes; i++)
        into->bytes[i] ^= other->bytes[i];
}

#endif
