/* Every message of messages.def: the first byte says which. What is decoded and encoded again is
 * decoded to the same. */
#include "fuzz.h"

#include "wire_random.h"

typedef void message_fn(struct slice bytes);
typedef void example_fn(struct prng *prng, struct buf *out);

#define WIRE_STRUCT(name)                                                                          \
    static void one_##name(struct slice bytes)                                                     \
    {                                                                                              \
        struct name message, again;                                                                \
        struct buf first = {0}, second = {0};                                                      \
        if (!name##_decode(bytes, &message))                                                       \
            return;                                                                                \
        name##_encode(&first, &message);                                                           \
        bool same = name##_decode(buf_slice(&first), &again);                                      \
        assert(same);                                                                              \
        name##_encode(&second, &again);                                                            \
        assert(slice_equal(buf_slice(&first), buf_slice(&second)));                                \
        buf_free(&first);                                                                          \
        buf_free(&second);                                                                         \
    }                                                                                              \
    static void example_##name(struct prng *prng, struct buf *out)                                 \
    {                                                                                              \
        struct arena arena = {0};                                                                  \
        struct name message;                                                                       \
        random_##name(prng, &arena, &message);                                                     \
        name##_encode(out, &message);                                                              \
        arena_free(&arena);                                                                        \
    }
STRUCTS(WIRE_STRUCT)
#undef WIRE_STRUCT

static const struct {
    message_fn *one;
    example_fn *example;
} messages[] = {
#define WIRE_STRUCT(name) {one_##name, example_##name},
    STRUCTS(WIRE_STRUCT)
#undef WIRE_STRUCT
};

void fuzz_one(struct slice bytes)
{
    if (bytes.size > 0)
        messages[bytes.data[0] % ARRAY_COUNT(messages)].one(
            slice_of(bytes.data + 1, bytes.size - 1));
}

void fuzz_example(struct prng *prng, struct buf *out)
{
    uint8_t which = (uint8_t)prng_below(prng, ARRAY_COUNT(messages));
    buf_append(out, &which, 1);
    messages[which].example(prng, out);
}
