/* record_random: random well-formed records. */
#ifndef TOYSTORE_TESTS_RECORD_RANDOM_H
#define TOYSTORE_TESTS_RECORD_RANDOM_H

#include "wire/record.h"
#include "wire_random.h"

static inline void random_version(struct prng *prng, struct arena *arena, struct version *ret)
{
    random_OPID(prng, arena, &ret->op);
    ret->kind = (uint8_t)prng_below(prng, TOYSTORE_INTERNAL + 1);
    random_ATTRIBUTES(prng, arena, &ret->attributes);
    random_BYTES(prng, arena, &ret->value);
    random_BYTES(prng, arena, &ret->extra);
    ret->checksum = version_checksum(ret);
    ret->time_us = random_u64(prng);
    ret->node = random_u64(prng);
    ret->cover_count = prng_below(prng, 5);
    ret->covers = arena_alloc(arena, (ret->cover_count + 1) * sizeof *ret->covers);
    for (size_t i = 0; i < ret->cover_count; i++) {
        random_SESSION(prng, arena, &ret->covers[i].session);
        ret->covers[i].session.bytes[0] = (uint8_t)i; /* in order */
        ret->covers[i].sequence = random_u64(prng);
        random_ERA(prng, arena, &ret->covers[i].era);
    }
}

static inline void random_register(struct prng *prng, struct arena *arena, struct reg *ret)
{
    random_BALLOT(prng, arena, &ret->ballot);
    random_version(prng, arena, &ret->version);
    ret->recent_count = prng_below(prng, RECENT_MAX + 1);
    for (size_t i = 0; i < ret->recent_count; i++) {
        struct recent *recent = &ret->recent[i];
        random_SESSION(prng, arena, &recent->session);
        recent->sequence = random_u64(prng);
        recent->time_us = random_u64(prng);
        random_ERA(prng, arena, &recent->era);
        recent->answer = (uint8_t)prng_next(prng);
    }
    ret->floor = random_u64(prng);
    random_ERA(prng, arena, &ret->born);
}

static inline void random_record(struct prng *prng, struct arena *arena, struct record *ret)
{
    *ret = (struct record){.has_register = prng_chance(prng, 2, 3)};
    if (ret->has_register)
        random_register(prng, arena, &ret->reg);
    ret->sloppy_count = prng_below(prng, 4);
    ret->sloppy = arena_alloc(arena, (ret->sloppy_count + 1) * sizeof *ret->sloppy);
    for (size_t i = 0; i < ret->sloppy_count; i++) {
        random_version(prng, arena, &ret->sloppy[i].version);
        ret->sloppy[i].version.op.session.bytes[0] = (uint8_t)i; /* in order */
        random_BALLOT(prng, arena, &ret->sloppy[i].sees);
    }
}

#endif
