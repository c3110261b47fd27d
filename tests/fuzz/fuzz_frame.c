/* A stream of frames. However it is cut, the scanner finds the same frames. */
#include "fuzz.h"

#include "wire/frame.h"
#include "wire_random.h"

enum { FRAMES_MAX = 64 };

struct found {
    ssize_t sizes[FRAMES_MAX + 1];
    size_t count;
};

static void scan(struct slice bytes, size_t step, struct found *ret)
{
    struct frame_scanner scanner = {0};
    size_t begin = 0, arrived = step;
    ret->count = 0;
    while (ret->count < FRAMES_MAX && begin < bytes.size) {
        arrived = min_size(arrived, bytes.size);
        ssize_t size = frame_scan(&scanner, slice_of(bytes.data + begin, arrived - begin));
        if (size == 0 && arrived < bytes.size) {
            arrived += step;
            continue;
        }
        ret->sizes[ret->count++] = size;
        if (size <= 0)
            return;
        struct frame frame;
        frame_decode(slice_of(bytes.data + begin, (size_t)size), &frame);
        begin += (size_t)size;
        arrived = max_size(arrived, begin);
    }
}

void fuzz_one(struct slice bytes)
{
    struct found whole, cut;
    struct frame frame;
    scan(bytes, SIZE_MAX / 2, &whole);
    scan(bytes, 1, &cut);
    assert(whole.count == cut.count);
    assert(memcmp(whole.sizes, cut.sizes, whole.count * sizeof whole.sizes[0]) == 0);
    frame_decode(bytes, &frame);
}

void fuzz_example(struct prng *prng, struct buf *out)
{
    struct arena arena = {0};
    struct get_request get;
    random_get_request(prng, &arena, &get);
    get.key = slice_of(get.key.data, min_size(get.key.size, 40));
    frame_request_head(out, (uint32_t)prng_next(prng), METHOD_GET);
    get_request_encode(out, &get);
    frame_error(out, (uint32_t)prng_next(prng), TOYSTORE_BUSY, "queue");
    frame_answer_head(out, 3);
    pack_nil(out);
    frame_notify_head(out, METHOD_HOLDING);
    pack_array(out, 0);
    arena_free(&arena);
}
