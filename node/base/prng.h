/* prng: xoshiro256**; the only source of chance in the core, seeded by its driver. */
#ifndef TOYSTORE_PRNG_H
#define TOYSTORE_PRNG_H

#include "base/base.h"

struct prng {
    uint64_t state[4];
};

void prng_seed(struct prng *prng, uint64_t seed);
uint64_t prng_next(struct prng *prng);
uint64_t prng_below(struct prng *prng, uint64_t limit); /* 0 <= result < limit; limit > 0 */
bool prng_chance(struct prng *prng, uint64_t of, uint64_t out_of);
void prng_bytes(struct prng *prng, void *bytes, size_t size);

#endif
