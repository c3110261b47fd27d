/* Records: what is accepted is canonical. */
#include "fuzz.h"

#include "record_random.h"

void fuzz_one(struct slice bytes)
{
    struct arena arena = {0};
    struct record record;
    if (record_decode(&arena, bytes, &record) == 0) {
        struct buf again = {0};
        record_encode(&again, &record);
        assert(slice_equal(bytes, buf_slice(&again)));
        buf_free(&again);
    }
    arena_free(&arena);
}

void fuzz_example(struct prng *prng, struct buf *out)
{
    struct arena arena = {0};
    struct record record;
    random_record(prng, &arena, &record);
    record_encode(out, &record);
    arena_free(&arena);
}
