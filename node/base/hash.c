#include "base/hash.h"

/* States on the stack: the library is of the same package as its header. */
#define XXH_STATIC_LINKING_ONLY
#if defined(__x86_64__)
#include <xxhash.h>
/* Chooses by the processor: twice as fast on large values as what the compiler may assume. */
#include <xxh_x86dispatch.h>
#else
#define XXH_INLINE_ALL
#include <xxhash.h>
#endif

uint64_t hash64(struct slice bytes)
{
    return XXH3_64bits(bytes.data, bytes.size);
}

uint64_t hash64_seeded(struct slice bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes.data, bytes.size, seed);
}

uint64_t hash64_of_two(struct slice first, struct slice second, uint64_t seed)
{
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_64bits_reset_withSeed(&state, seed);
    XXH3_64bits_update(&state, first.data, first.size);
    XXH3_64bits_update(&state, second.data, second.size);
    return XXH3_64bits_digest(&state);
}

struct hash128 hash128(struct slice bytes)
{
    XXH128_hash_t h = XXH3_128bits(bytes.data, bytes.size);
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, h);
    struct hash128 result;
    memcpy(result.bytes, canonical.digest, sizeof result.bytes);
    return result;
}
