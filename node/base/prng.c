#include "base/prng.h"

static uint64_t rotate_left(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

/* splitmix64 spreads a small seed over the whole state. */
void prng_seed(struct prng *prng, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15u;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        prng->state[i] = z ^ (z >> 31);
    }
}

uint64_t prng_next(struct prng *prng)
{
    uint64_t *s = prng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *prng, uint64_t limit)
{
    assert(limit > 0);
    uint64_t bound = UINT64_MAX - UINT64_MAX % limit;
    uint64_t x;
    do
        x = prng_next(prng);
    while (x >= bound);
    return x % limit;
}

bool prng_chance(struct prng *prng, uint64_t of, uint64_t out_of)
{
    return prng_below(prng, out_of) < of;
}

void prng_bytes(struct prng *prng, void *bytes, size_t size)
{
    uint8_t *out = bytes;
    while (size > 0) {
        uint64_t x = prng_next(prng);
        size_t n = min_size(size, sizeof x);
        memcpy(out, &x, n);
        out += n;
        size -= n;
    }
}
