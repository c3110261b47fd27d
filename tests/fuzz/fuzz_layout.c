/* Layouts: what is accepted gives a whole ring, and the same bytes again. */
#include "fuzz.h"

#include "rules/layout.h"

void fuzz_one(struct slice bytes)
{
    struct layout *layout = layout_decode(bytes);
    if (!layout)
        return;
    struct buf first = {0}, second = {0};
    layout_encode(&first, layout);
    struct layout *again = layout_decode(buf_slice(&first));
    assert(again);
    layout_encode(&second, again);
    assert(slice_equal(buf_slice(&first), buf_slice(&second)));
    node_id owners[REPLICAS_MAX];
    assert(layout_owners(layout, layout->partitions - 1, owners) == layout_owner_count(layout));
    buf_free(&first);
    buf_free(&second);
    layout_free(layout);
    layout_free(again);
}

void fuzz_example(struct prng *prng, struct buf *out)
{
    struct layout_member members[8] = {{.id = 0}};
    size_t count = 1 + prng_below(prng, ARRAY_COUNT(members));
    uint8_t cluster[CLUSTER_ID_SIZE];
    prng_bytes(prng, cluster, sizeof cluster);
    for (size_t i = 0; i < count; i++)
        members[i] = (struct layout_member){.id = 1 + i * 1000 + prng_below(prng, 1000),
                                            .weight = (uint32_t)prng_below(prng, 300) + 1,
                                            .zone = {(char)('a' + prng_below(prng, 3))}};
    uint32_t n = 1 + (uint32_t)prng_below(prng, 5);
    struct layout *layout = layout_new(1 + (uint32_t)prng_below(prng, 9), cluster,
                                       1 + (uint32_t)prng_below(prng, 32), n, 1, n, members, count);
    layout_encode(out, layout);
    layout_free(layout);
}
