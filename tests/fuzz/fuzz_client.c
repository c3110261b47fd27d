/* Parameters of the methods for any client: the first byte says which method. */
#include "fuzz.h"

#include "wire/client.h"
#include "wire/context.h"
#include "wire_random.h"

static const enum wire_method methods[] = {METHOD_COORDINATE_GET, METHOD_COORDINATE_PUT,
                                           METHOD_COORDINATE_DELETE, METHOD_COORDINATE_LIST,
                                           METHOD_GET};

void fuzz_one(struct slice bytes)
{
    struct client_request request;
    char error[80] = "";
    if (bytes.size == 0)
        return;
    enum toystore_status status =
        client_decode(methods[bytes.data[0] % ARRAY_COUNT(methods)],
                      slice_of(bytes.data + 1, bytes.size - 1), &request, error, sizeof error);
    assert((status == TOYSTORE_OK) == (error[0] == '\0'));
    if (status == TOYSTORE_OK) {
        assert(request.request.key.size <= TOYSTORE_KEY_SIZE_MAX);
        assert(request.request.match_count <= CLIENT_MATCH_MAX);
    }
}

static void put_option(struct prng *prng, struct buf *out)
{
    static const char *const names[] = {"r",         "w",        "durable", "limit",
                                        "if_absent", "if_match", "after"};
    pack_text(out, slice_str(names[prng_below(prng, ARRAY_COUNT(names))]));
    struct toystore_op ops[3] = {{.sequence = 1}, {.sequence = 2}, {.sequence = 3}};
    switch (prng_below(prng, 3)) {
    case 0:
        pack_u64(out, random_u64(prng));
        break;
    case 1:
        pack_bool(out, prng_chance(prng, 1, 2));
        break;
    default:
        context_put(out, ops, prng_below(prng, 4));
        break;
    }
}

void fuzz_example(struct prng *prng, struct buf *out)
{
    uint8_t which = (uint8_t)prng_below(prng, ARRAY_COUNT(methods));
    bool put = methods[which] == METHOD_COORDINATE_PUT;
    buf_append(out, &which, 1);
    pack_array(out, put ? 3 : 2);
    pack_text(out, slice_str("users/alice"));
    if (put)
        pack_bytes(out, slice_str("value"));
    uint32_t options = (uint32_t)prng_below(prng, 4);
    pack_map(out, options);
    for (uint32_t i = 0; i < options; i++)
        put_option(prng, out);
}
