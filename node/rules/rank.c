/* rank: weighted rendezvous hashing, zones first.
 *
 * Members are ranked by score; then the best of each zone come first, in that order, then the
 * second best of each, and so on: the first owners stand in as many zones as there are. */
#include "rules/rank.h"

#include <stdlib.h>

#include "base/hash.h"

struct ranked {
    uint64_t cost; /* -log2(u), 32 bits of fraction */
    uint32_t weight;
    uint16_t index, zone;
    uint16_t turn; /* members of its zone that rank before it */
};

struct ranker {
    const struct layout *layout;
    size_t count, zone_count;
    uint16_t *zones; /* of each member, as a number */
    uint16_t *taken; /* per zone */
    struct ranked *ranked;
};

struct ranker *ranker_new(const struct layout *layout)
{
    struct ranker *ranker = base_alloc(sizeof *ranker);
    ranker->layout = layout;
    ranker->count = layout->member_count;
    ranker->zones = base_alloc(ranker->count * sizeof *ranker->zones);
    ranker->taken = base_alloc(ranker->count * sizeof *ranker->taken);
    ranker->ranked = base_alloc(ranker->count * sizeof *ranker->ranked);
    for (size_t i = 0; i < ranker->count; i++) {
        size_t same = 0;
        while (strcmp(layout->members[same].zone, layout->members[i].zone) != 0)
            same++;
        ranker->zones[i] = same < i ? ranker->zones[same] : (uint16_t)ranker->zone_count++;
    }
    return ranker;
}

void ranker_free(struct ranker *ranker)
{
    free(ranker->zones);
    free(ranker->taken);
    free(ranker->ranked);
    free(ranker);
}

/* log2(x) with 32 bits of fraction, x > 0: squaring a mantissa in [1, 2) gives a bit at a time. */
static uint64_t log2_fixed(uint64_t x)
{
    unsigned whole = 63u - (unsigned)__builtin_clzll(x);
    uint64_t mantissa = x << (63 - whole); /* 1.63 */
    uint64_t result = whole;
    for (int bit = 0; bit < 32; bit++) {
        __extension__ unsigned __int128 square = (unsigned __int128)mantissa * mantissa;
        bool above = (square >> 127) != 0; /* 2.126: two or more */
        mantissa = (uint64_t)(square >> (above ? 64 : 63));
        result = result << 1 | above;
    }
    return result;
}

static uint64_t draw_cost(uint32_t partition, node_id id)
{
    uint8_t bytes[12];
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(partition >> (24 - 8 * i));
    for (int i = 0; i < 8; i++)
        bytes[4 + i] = (uint8_t)(id >> (56 - 8 * i));
    uint64_t drawn = hash64(slice_of(bytes, sizeof bytes)) | 1; /* never 0 */
    return ((uint64_t)64 << 32) - log2_fixed(drawn);
}

/* cost / weight as fractions: a cost has 39 bits, a weight 14. */
static int score_compare(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    int order = compare_u64(x->cost * y->weight, y->cost * x->weight);
    return order ? order : (x->index > y->index) - (x->index < y->index);
}

static int turn_compare(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    int order = (x->turn > y->turn) - (x->turn < y->turn);
    return order ? order : score_compare(a, b);
}

void ranker_walk(struct ranker *ranker, uint32_t partition, uint16_t *ret_ranked, size_t count)
{
    assert(count <= ranker->count);
    for (size_t i = 0; i < ranker->count; i++) {
        const struct layout_member *member = &ranker->layout->members[i];
        ranker->ranked[i] = (struct ranked){.cost = draw_cost(partition, member->id),
                                            .weight = member->weight,
                                            .index = (uint16_t)i,
                                            .zone = ranker->zones[i]};
    }
    qsort(ranker->ranked, ranker->count, sizeof *ranker->ranked, score_compare);
    if (ranker->zone_count > 1) {
        memset(ranker->taken, 0, ranker->zone_count * sizeof *ranker->taken);
        for (size_t i = 0; i < ranker->count; i++)
            ranker->ranked[i].turn = ranker->taken[ranker->ranked[i].zone]++;
        qsort(ranker->ranked, ranker->count, sizeof *ranker->ranked, turn_compare);
    }
    for (size_t i = 0; i < count; i++)
        ret_ranked[i] = ranker->ranked[i].index;
}
