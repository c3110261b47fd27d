/* layout: the ring of a numbered layout, in integers alone.
 *
 * Weighted rendezvous hashing: a member's score for a partition is -log2(u) / weight with u drawn
 * from the hash of (partition, member); the lowest score ranks first. The logarithm is fixed-point
 * and two scores are compared as fractions, so that every machine ranks alike. */
#include "rules/layout.h"

#include <stdlib.h>

#include "base/hash.h"
#include "rules/rank.h"
#include "wire/cursor.h"
#include "wire/pack.h"

enum { LAYOUT_FORMAT = 1, LAYOUT_FIELDS = 8, LAYOUT_MEMBER_FIELDS = 4 };

static int member_compare(const void *a, const void *b)
{
    const struct layout_member *x = a, *y = b;
    return compare_u64(x->id, y->id);
}

static void layout_ring(struct layout *layout)
{
    size_t n = layout_owner_count(layout);
    struct ranker *ranker = ranker_new(layout);
    layout->owners = base_alloc((size_t)layout->partitions * n * sizeof *layout->owners);
    for (uint32_t p = 0; p < layout->partitions; p++)
        ranker_walk(ranker, p, layout->owners + (size_t)p * n, n);
    ranker_free(ranker);
}

struct layout *layout_new(uint32_t number, const uint8_t cluster[CLUSTER_ID_SIZE],
                          uint32_t partitions, uint32_t n, uint32_t w, uint32_t r,
                          const struct layout_member *members, size_t member_count)
{
    assert(number > 0 && partitions > 0 && partitions <= PARTITIONS_MAX);
    assert(n > 0 && n <= REPLICAS_MAX && w > 0 && w <= n && r > 0 && r <= n);
    assert(member_count > 0 && member_count <= MEMBERS_MAX);
    struct layout *layout = base_alloc(sizeof *layout);
    *layout = (struct layout){.number = number,
                              .partitions = partitions,
                              .n = n,
                              .w = w,
                              .r = r,
                              .member_count = member_count};
    memcpy(layout->cluster, cluster, CLUSTER_ID_SIZE);
    layout->members = base_copy(members, member_count * sizeof *members);
    qsort(layout->members, member_count, sizeof *members, member_compare);
    layout_ring(layout);
    return layout;
}

void layout_free(struct layout *layout)
{
    if (layout == NULL)
        return;
    free(layout->members);
    free(layout->owners);
    free(layout);
}

/* ---- as bytes ---- */

void layout_encode(struct buf *out, const struct layout *layout)
{
    pack_array(out, LAYOUT_FIELDS);
    pack_u64(out, LAYOUT_FORMAT);
    pack_u64(out, layout->number);
    pack_bytes(out, slice_of(layout->cluster, CLUSTER_ID_SIZE));
    pack_u64(out, layout->partitions);
    pack_u64(out, layout->n);
    pack_u64(out, layout->w);
    pack_u64(out, layout->r);
    pack_array(out, (uint32_t)layout->member_count);
    for (size_t i = 0; i < layout->member_count; i++) {
        const struct layout_member *member = &layout->members[i];
        pack_array(out, LAYOUT_MEMBER_FIELDS);
        pack_u64(out, member->id);
        pack_u64(out, member->weight);
        pack_bool(out, member->gone);
        pack_bytes(out, slice_str(member->zone));
    }
}

static bool read_number(struct cursor *cursor, uint32_t low, uint32_t high, uint32_t *ret)
{
    uint64_t value;
    if (!cursor_u64(cursor, &value) || value < low || value > high)
        return false;
    *ret = (uint32_t)value;
    return true;
}

static bool read_member(struct cursor *cursor, node_id after, struct layout_member *ret)
{
    uint32_t fields;
    struct slice zone;
    *ret = (struct layout_member){0};
    if (!cursor_array(cursor, &fields) || fields != LAYOUT_MEMBER_FIELDS ||
        !cursor_u64(cursor, &ret->id) || ret->id <= after ||
        !read_number(cursor, 1, WEIGHT_MAX, &ret->weight) || !cursor_bool(cursor, &ret->gone) ||
        !cursor_bytes(cursor, &zone) || zone.size > ZONE_SIZE_MAX ||
        (zone.size != 0 && memchr(zone.data, 0, zone.size) != NULL))
        return false;
    if (zone.size != 0)
        memcpy(ret->zone, zone.data, zone.size);
    return true;
}

/* The fields before the member list, into a layout that has no ring yet. */
static bool read_head(struct cursor *cursor, struct layout *ret, uint32_t *ret_members)
{
    uint32_t fields, format;
    struct slice cluster;
    *ret = (struct layout){0};
    if (!cursor_array(cursor, &fields) || fields != LAYOUT_FIELDS ||
        !read_number(cursor, LAYOUT_FORMAT, LAYOUT_FORMAT, &format) ||
        !read_number(cursor, 1, UINT32_MAX, &ret->number) || !cursor_bytes(cursor, &cluster) ||
        cluster.size != CLUSTER_ID_SIZE ||
        !read_number(cursor, 1, PARTITIONS_MAX, &ret->partitions) ||
        !read_number(cursor, 1, REPLICAS_MAX, &ret->n) ||
        !read_number(cursor, 1, ret->n, &ret->w) || !read_number(cursor, 1, ret->n, &ret->r) ||
        !cursor_array(cursor, ret_members) || *ret_members == 0 || *ret_members > MEMBERS_MAX)
        return false;
    memcpy(ret->cluster, cluster.data, CLUSTER_ID_SIZE);
    return true;
}

struct layout *layout_decode(struct slice bytes)
{
    struct cursor cursor = cursor_of(bytes);
    struct layout head;
    uint32_t count;
    if (!read_head(&cursor, &head, &count))
        return NULL;
    struct layout_member *members = base_alloc(count * sizeof *members);
    struct layout *layout = NULL;
    bool good = true;
    for (uint32_t i = 0; good && i < count; i++)
        good = read_member(&cursor, i ? members[i - 1].id : 0, &members[i]);
    if (good && cursor.at == cursor.end)
        layout = layout_new(head.number, head.cluster, head.partitions, head.n, head.w, head.r,
                            members, count);
    free(members);
    return layout;
}

/* ---- who owns ---- */

const struct layout_member *layout_find(const struct layout *layout, node_id id)
{
    struct layout_member wanted = {.id = id};
    return bsearch(&wanted, layout->members, layout->member_count, sizeof wanted, member_compare);
}

size_t layout_owner_count(const struct layout *layout)
{
    return min_size(layout->n, layout->member_count);
}

size_t layout_owners(const struct layout *layout, uint32_t partition,
                     node_id ret_owners[REPLICAS_MAX])
{
    assert(partition < layout->partitions);
    size_t n = layout_owner_count(layout);
    for (size_t i = 0; i < n; i++)
        ret_owners[i] = layout->members[layout->owners[(size_t)partition * n + i]].id;
    return n;
}

bool layout_owns(const struct layout *layout, uint32_t partition, node_id id)
{
    node_id owners[REPLICAS_MAX];
    size_t n = layout_owners(layout, partition, owners);
    for (size_t i = 0; i < n; i++)
        if (owners[i] == id)
            return true;
    return false;
}

size_t layout_rank(const struct layout *layout, uint32_t partition, node_id *ret_ranked, size_t max)
{
    uint16_t ranked[MEMBERS_MAX];
    size_t count = min_size(max, layout->member_count);
    struct ranker *ranker = ranker_new(layout);
    ranker_walk(ranker, partition, ranked, count);
    ranker_free(ranker);
    for (size_t i = 0; i < count; i++)
        ret_ranked[i] = layout->members[ranked[i]].id;
    return count;
}

size_t layout_targets(const struct layout *layout, uint32_t partition,
                      bool (*failed)(void *arg, node_id id), void *arg,
                      struct layout_target ret_targets[REPLICAS_MAX])
{
    node_id ranked[MEMBERS_MAX];
    size_t n = layout_owner_count(layout);
    size_t count = layout_rank(layout, partition, ranked, MEMBERS_MAX);
    size_t next = n; /* fallbacks before it are taken, or failed */
    for (size_t i = 0; i < n; i++) {
        ret_targets[i] = (struct layout_target){.owner = ranked[i], .target = ranked[i]};
        if (!failed(arg, ranked[i]))
            continue;
        while (next < count && failed(arg, ranked[next]))
            next++;
        ret_targets[i].target = next < count ? ranked[next++] : 0;
    }
    return n;
}

size_t layout_gains(const struct layout *from, const struct layout *to, node_id id,
                    uint8_t *ret_bitmap)
{
    size_t gains = 0;
    if (ret_bitmap != NULL)
        memset(ret_bitmap, 0, (to->partitions + 7) / 8);
    for (uint32_t p = 0; p < to->partitions; p++) {
        if (!layout_owns(to, p, id) || (from != NULL && layout_owns(from, p, id)))
            continue;
        gains++;
        if (ret_bitmap != NULL)
            ret_bitmap[p / 8] |= (uint8_t)(1u << (p % 8));
    }
    return gains;
}

bool partition_first_token(uint32_t partition, uint32_t partitions, struct hash128 *ret_token)
{
    if (partition >= partitions)
        return false;
    /* The smallest high half h with h * Q / 2^64 >= partition. */
    __extension__ unsigned __int128 start = (unsigned __int128)partition << 64;
    uint64_t high = (uint64_t)((start + partitions - 1) / partitions);
    *ret_token = (struct hash128){{0}};
    for (int i = 7; i >= 0; i--, high >>= 8)
        ret_token->bytes[i] = (uint8_t)high;
    return true;
}
