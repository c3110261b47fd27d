/* wire_random: random fields of messages.def, for round trips. */
#ifndef TOYSTORE_TESTS_WIRE_RANDOM_H
#define TOYSTORE_TESTS_WIRE_RANDOM_H

#include "base/prng.h"
#include "wire/messages.h"
#include "wire/pack.h"

/* All sizes of numbers are equally likely, so that every form of MessagePack comes up. */
static inline uint64_t random_u64(struct prng *prng)
{
    uint64_t bits = prng_below(prng, 65);
    return bits == 0 ? 0 : prng_next(prng) >> (64 - bits);
}

static inline void random_U32(struct prng *prng, struct arena *arena, wire_U32 *ret)
{
    (void)arena;
    *ret = (uint32_t)(random_u64(prng) >> 32);
    if (prng_chance(prng, 1, 2))
        *ret = (uint32_t)random_u64(prng);
}

static inline void random_U64(struct prng *prng, struct arena *arena, wire_U64 *ret)
{
    (void)arena;
    *ret = random_u64(prng);
}

static inline void random_BOOL(struct prng *prng, struct arena *arena, wire_BOOL *ret)
{
    (void)arena;
    *ret = prng_chance(prng, 1, 2);
}

static inline void random_NODE(struct prng *prng, struct arena *arena, wire_NODE *ret)
{
    random_U64(prng, arena, ret);
}

static inline void random_BYTES(struct prng *prng, struct arena *arena, wire_BYTES *ret)
{
    size_t size = prng_below(prng, prng_chance(prng, 1, 20) ? 70000 : 300);
    uint8_t *bytes = arena_alloc(arena, size + 1);
    prng_bytes(prng, bytes, size);
    *ret = slice_of(bytes, size);
}

static inline void random_SESSION(struct prng *prng, struct arena *arena, wire_SESSION *ret)
{
    (void)arena;
    prng_bytes(prng, ret->bytes, sizeof ret->bytes);
}

static inline void random_HASH(struct prng *prng, struct arena *arena, wire_HASH *ret)
{
    (void)arena;
    prng_bytes(prng, ret->bytes, sizeof ret->bytes);
}

static inline void random_OPID(struct prng *prng, struct arena *arena, wire_OPID *ret)
{
    random_SESSION(prng, arena, &ret->session);
    ret->sequence = random_u64(prng);
}

static inline void random_ERA(struct prng *prng, struct arena *arena, wire_ERA *ret)
{
    random_U32(prng, arena, &ret->layout);
    random_U32(prng, arena, &ret->epoch);
}

static inline void random_OP(struct prng *prng, struct arena *arena, wire_OP *ret)
{
    random_OPID(prng, arena, &ret->id);
    ret->time_us = random_u64(prng);
    random_ERA(prng, arena, &ret->era);
}

static inline void random_VIEW(struct prng *prng, struct arena *arena, wire_VIEW *ret)
{
    random_U32(prng, arena, &ret->oldest);
    random_U32(prng, arena, &ret->newest);
    random_U32(prng, arena, &ret->epoch);
}

static inline void random_BALLOT(struct prng *prng, struct arena *arena, wire_BALLOT *ret)
{
    random_ERA(prng, arena, &ret->era);
    ret->counter = random_u64(prng);
    ret->node = random_u64(prng);
    ret->turn = random_u64(prng);
}

static inline void random_ATTRIBUTES(struct prng *prng, struct arena *arena, wire_ATTRIBUTES *ret)
{
    struct op_id file;
    random_U32(prng, arena, &ret->mode);
    random_U32(prng, arena, &ret->uid);
    random_U32(prng, arena, &ret->gid);
    random_U32(prng, arena, &ret->flags);
    ret->size = random_u64(prng);
    ret->rdev = random_u64(prng);
    ret->atime_ns = (int64_t)random_u64(prng);
    ret->mtime_ns = -(int64_t)(random_u64(prng) >> 1);
    ret->ctime_ns = (int64_t)random_u64(prng);
    random_OPID(prng, arena, &file);
    ret->file = op_to_public(file);
}

/* Items of any kind: what a list holds is its reader's business. */
static inline void random_LIST(struct prng *prng, struct arena *arena, wire_LIST *ret)
{
    struct buf items = {0};
    ret->count = (uint32_t)prng_below(prng, 40);
    for (uint32_t i = 0; i < ret->count; i++) {
        wire_ERA era;
        random_ERA(prng, arena, &era);
        wire_put_ERA(&items, era);
    }
    ret->items = arena_copy(arena, buf_slice(&items));
    buf_free(&items);
}

#define RANDOM_FIELD(type, name) random_##type(prng, arena, &ret->name);
#define WIRE_STRUCT(name)                                                                          \
    static inline void random_##name(struct prng *prng, struct arena *arena, struct name *ret)     \
    {                                                                                              \
        FIELDS_##name(RANDOM_FIELD)                                                                \
    }
STRUCTS(WIRE_STRUCT)
#undef WIRE_STRUCT
#undef RANDOM_FIELD

#endif
