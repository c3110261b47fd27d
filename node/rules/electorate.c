/* electorate: the arithmetic of quorums (PROTOCOL 1 words). */
#include "rules/electorate.h"

static unsigned min_unsigned(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned max_unsigned(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

static unsigned popcount(uint32_t mask)
{
    return (unsigned)__builtin_popcount(mask);
}

/* Members that are gone for ever leave no quorum larger than what is left (PROTOCOL 7 gone). */
static void cap_quorums(struct electorate *electorate, unsigned at, unsigned left)
{
    unsigned cap = max_unsigned(left, 1);
    unsigned *const sizes[] = {&electorate->layouts[at].maj, &electorate->layouts[at].w,
                               &electorate->layouts[at].r,   &electorate->layouts[at].q,
                               &electorate->layouts[at].f,   &electorate->layouts[at].show};
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        *sizes[i] = min_unsigned(*sizes[i], cap);
}

/* F and SHOW follow from the layout's own r and w: they must meet what others do, whatever this
 * request waits for. */
static void set_quorums(struct electorate *electorate, unsigned at, const struct layout *layout,
                        unsigned request_w, unsigned request_r)
{
    unsigned n = electorate->layouts[at].n;
    unsigned maj = n / 2 + 1;
    unsigned w = min_unsigned(layout->w, n);
    unsigned r = n == layout->n ? layout->r : n - w + 1;
    unsigned least = min_unsigned(min_unsigned(r, w), min_unsigned(maj, n - r + 1));
    electorate->layouts[at].maj = maj;
    electorate->layouts[at].f = n - least + 1;
    electorate->layouts[at].show = n - r + 1;
    w = max_unsigned(w, min_unsigned(request_w, n));
    r = request_r != 0 ? min_unsigned(request_r, n) : r;
    electorate->layouts[at].w = w;
    electorate->layouts[at].r = r;
    electorate->layouts[at].q = max_unsigned(w, maj);
}

static uint32_t add_member(struct electorate *electorate, node_id id)
{
    int index = electorate_index(electorate, id);
    if (index < 0) {
        assert(electorate->member_count < ELECTORATE_MAX);
        index = (int)electorate->member_count++;
        electorate->members[index] = id;
    }
    return (uint32_t)1 << index;
}

/* Returns how many of the members are not gone. */
static unsigned add_layout(struct electorate *electorate, unsigned at, const struct layout *layout,
                           const node_id *members, size_t count)
{
    unsigned left = 0;
    electorate->layouts[at].number = layout->number;
    electorate->layouts[at].n = (unsigned)count;
    for (size_t i = 0; i < count; i++) {
        electorate->layouts[at].mask |= add_member(electorate, members[i]);
        left += !layout_find(layout, members[i])->gone;
    }
    return left;
}

void electorate_init(struct electorate *electorate, const struct layout *oldest,
                     const struct layout *newest, uint32_t partition, unsigned request_w,
                     unsigned request_r)
{
    bool joint = oldest->number != newest->number;
    const struct layout *layouts[] = {joint ? oldest : newest, newest};
    *electorate = (struct electorate){.layout_count = joint ? 2 : 1};
    for (unsigned at = electorate->layout_count; at-- > 0;) {
        node_id owners[REPLICAS_MAX];
        size_t n = layout_owners(layouts[at], partition, owners);
        unsigned left = add_layout(electorate, at, layouts[at], owners, n);
        set_quorums(electorate, at, layouts[at], request_w, request_r);
        cap_quorums(electorate, at, left);
    }
}

void electorate_init_members(struct electorate *electorate, const struct layout *layout,
                             uint32_t partition)
{
    node_id members[ELECTORATE_MAX];
    size_t n = layout_rank(layout, partition, members, ELECTORATE_MAX);
    *electorate = (struct electorate){.layout_count = 1};
    unsigned left = add_layout(electorate, 0, layout, members, n);
    unsigned maj = (unsigned)n / 2 + 1;
    electorate->layouts[0].maj = electorate->layouts[0].w = electorate->layouts[0].r = maj;
    electorate->layouts[0].q = maj;
    electorate->layouts[0].f = electorate->layouts[0].show = (unsigned)n - maj + 1;
    cap_quorums(electorate, 0, left);
}

int electorate_index(const struct electorate *electorate, node_id id)
{
    for (unsigned i = 0; i < electorate->member_count; i++)
        if (electorate->members[i] == id)
            return (int)i;
    return -1;
}

static unsigned quorum_size(const struct electorate *electorate, unsigned at, enum quorum quorum)
{
    switch (quorum) {
    case QUORUM_READ:
        return electorate->layouts[at].r;
    case QUORUM_MAJORITY:
        return electorate->layouts[at].maj;
    case QUORUM_ACCEPT:
        return electorate->layouts[at].q;
    case QUORUM_MEET:
        return electorate->layouts[at].f;
    case QUORUM_SHOW:
        return electorate->layouts[at].show;
    }
    return UINT32_MAX;
}

bool electorate_has(const struct electorate *electorate, uint32_t mask, enum quorum quorum)
{
    for (unsigned i = 0; i < electorate->layout_count; i++)
        if (popcount(mask & electorate->layouts[i].mask) < quorum_size(electorate, i, quorum))
            return false;
    return true;
}

bool electorate_can(const struct electorate *electorate, uint32_t mask, uint32_t open,
                    enum quorum quorum)
{
    return electorate_has(electorate, mask | open, quorum);
}

uint32_t electorate_all(const struct electorate *electorate)
{
    return (uint32_t)((1ull << electorate->member_count) - 1);
}
