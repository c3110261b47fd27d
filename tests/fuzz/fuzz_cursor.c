/* Any bytes as MessagePack values, by both kinds of cursor. */
#include "fuzz.h"

#include "wire/cursor.h"
#include "wire_random.h"

/* Every value that the cursor announces it also reads. */
static void read_value(struct cursor *cursor, unsigned depth)
{
    struct slice bytes;
    uint32_t count = 0;
    uint64_t number;
    int64_t negative;
    bool flag;
    enum cursor_type type = cursor_peek(cursor);
    bool read = type == CURSOR_NIL     ? cursor_nil(cursor)
                : type == CURSOR_BOOL  ? cursor_bool(cursor, &flag)
                : type == CURSOR_UINT  ? cursor_u64(cursor, &number)
                : type == CURSOR_INT   ? cursor_i64(cursor, &negative)
                : type == CURSOR_BIN   ? cursor_bytes(cursor, &bytes)
                : type == CURSOR_ARRAY ? cursor_array(cursor, &count)
                : type == CURSOR_MAP   ? cursor_map(cursor, &count)
                                       : cursor_skip(cursor, &bytes);
    assert(read == (type != CURSOR_END) || type >= CURSOR_FLOAT || type == CURSOR_STR);
    if (depth == 0)
        return;
    for (uint64_t i = 0; i < count * (type == CURSOR_MAP ? 2ull : 1ull) && !cursor->bad; i++)
        read_value(cursor, depth - 1);
}

void fuzz_one(struct slice bytes)
{
    for (int canonical = 0; canonical < 2; canonical++) {
        struct cursor cursor = cursor_of(bytes);
        cursor.canonical = canonical;
        while (!cursor.bad && cursor.at < cursor.end)
            read_value(&cursor, WIRE_DEPTH_MAX);
        cursor = cursor_of(bytes);
        struct slice whole;
        if (cursor_skip(&cursor, &whole))
            assert(whole.size > 0 && whole.size <= bytes.size);
        assert(cursor.at <= cursor.end);
    }
}

void fuzz_example(struct prng *prng, struct buf *out)
{
    struct arena arena = {0};
    struct call_request request;
    random_call_request(prng, &arena, &request);
    request.value = slice_of(NULL, 0);
    call_request_encode(out, &request);
    pack_map(out, 1);
    pack_text(out, slice_str("text"));
    pack_i64(out, -(int64_t)(prng_next(prng) >> 2));
    arena_free(&arena);
}
