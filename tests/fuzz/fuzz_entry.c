/* Entries of a replica. Their checksum stops nearly every mutation, so that a second look is taken
 * with the checksum made right. */
#include "fuzz.h"

#include "record_random.h"

enum { HEAD_SIZE = 9 };

static void decode(struct slice bytes)
{
    struct entry entry;
    struct buf again = {0};
    if (entry_decode(bytes, &entry) != 0)
        return;
    entry_encode(&again, &entry);
    assert(slice_equal(bytes, buf_slice(&again)));
    buf_free(&again);
}

void fuzz_one(struct slice bytes)
{
    decode(bytes);
    if (bytes.size < HEAD_SIZE)
        return;
    struct blob *mended = blob_copy(bytes);
    uint64_t checksum =
        hash64_seeded(slice_of(bytes.data + HEAD_SIZE, bytes.size - HEAD_SIZE), bytes.data[0]);
    for (size_t i = 0; i < 8; i++)
        mended->data[1 + i] = (uint8_t)(checksum >> (56 - 8 * i));
    decode(blob_slice(mended));
    blob_unref(&mended);
}

void fuzz_example(struct prng *prng, struct buf *out)
{
    struct arena arena = {0};
    struct entry entry = {.settled = prng_chance(prng, 1, 2)};
    random_BALLOT(prng, &arena, &entry.promised);
    random_BYTES(prng, &arena, &entry.record);
    entry_encode(out, &entry);
    arena_free(&arena);
}
