/* report_ring: who owns what in the layouts that are live, and why they are not as one might wish:
 * zones are respected as far as the members allow. From memory alone. */
#include "base/json.h"
#include "core/members/members.h"
#include "core/report/report.h"
#include "core/view/view.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/state/state.h"

enum { UNEVEN_PERCENT = 125 }; /* of what its weight is worth: worth a sentence */

struct zone_facts {
    const char *name;
    size_t members, alive, dead; /* nothing is known of one that is to join */
    uint32_t copies, majorities; /* partitions of which it holds a majority of the owners */
};

struct zones {
    struct zone_facts *zones;
    size_t count;
};

static const char *name_of(const struct core *core, node_id id)
{
    const struct member *member = members_find(core, id);
    return member ? member->name : "";
}

static struct zone_facts *zone_of(struct zones *zones, const char *name)
{
    for (size_t i = 0; i < zones->count; i++)
        if (strcmp(zones->zones[i].name, name) == 0)
            return &zones->zones[i];
    zones->zones[zones->count] = (struct zone_facts){.name = name};
    return &zones->zones[zones->count++];
}

static void count_partition(const struct layout *layout, uint32_t partition, struct zones *zones)
{
    node_id owners[REPLICAS_MAX];
    size_t n = layout_owners(layout, partition, owners);
    for (size_t i = 0; i < n; i++) {
        const char *name = layout_find(layout, owners[i])->zone;
        size_t same = 0, before = 0;
        for (size_t j = 0; j < n; j++) {
            bool equal = strcmp(layout_find(layout, owners[j])->zone, name) == 0;
            same += equal;
            before += equal && j < i;
        }
        struct zone_facts *zone = zone_of(zones, name);
        zone->copies++;
        zone->majorities += before == 0 && same > n / 2;
    }
}

static struct zones count_zones(const struct core *core, const struct layout *layout)
{
    struct zones zones = {.zones = base_alloc(layout->member_count * sizeof *zones.zones)};
    for (size_t i = 0; i < layout->member_count; i++) {
        struct zone_facts *zone = zone_of(&zones, layout->members[i].zone);
        zone->members++;
        bool alive = members_alive(core, layout->members[i].id);
        zone->alive += alive;
        zone->dead += !alive && members_find(core, layout->members[i].id) != NULL;
    }
    for (uint32_t p = 0; p < layout->partitions; p++)
        count_partition(layout, p, &zones);
    return zones;
}

/* ---- why ---- */

static const char *called(const struct zone_facts *zone)
{
    return zone->name[0] ? zone->name : "(none)";
}

/* A member may own more or less than its weight says only because of the zones. */
static void why_uneven(const struct core *core, struct json *json, const struct layout *layout)
{
    uint64_t weights = 0, copies = (uint64_t)layout->partitions * layout_owner_count(layout);
    for (size_t i = 0; i < layout->member_count; i++)
        weights += layout->members[i].weight;
    for (size_t i = 0; i < layout->member_count; i++) {
        const struct layout_member *member = &layout->members[i];
        uint64_t owns = layout_gains(NULL, layout, member->id, NULL);
        uint64_t worth = min_u64(copies * member->weight / weights, layout->partitions);
        if (owns * 100 <= worth * UNEVEN_PERCENT)
            continue;
        json_format(json, NULL,
                    "%s owns %llu partitions where its weight is worth %llu: few other members "
                    "stand in zone %s, and each zone takes a copy first",
                    members_find(core, member->id) ? name_of(core, member->id) : "a newcomer",
                    (unsigned long long)owns, (unsigned long long)worth,
                    member->zone[0] ? member->zone : "(none)");
    }
}

static void why_zones(const struct core *core, struct json *json, const struct layout *layout,
                      const struct zones *zones)
{
    size_t n = layout_owner_count(layout);
    if (zones->count < n)
        json_format(json, NULL,
                    "%zu copies in %zu zones: some zones hold more than one copy of a key, until "
                    "members join in %zu more",
                    n, zones->count, n - zones->count);
    for (size_t i = 0; i < zones->count; i++) {
        const struct zone_facts *zone = &zones->zones[i];
        if (zone->majorities != 0)
            json_format(json, NULL,
                        "without zone %s, %u of %u partitions would be without a majority",
                        called(zone), zone->majorities, layout->partitions);
        if (zone->name[0] == 0)
            json_format(json, NULL, "%zu member%s no zone: taken together as one", zone->members,
                        zone->members == 1 ? " has" : "s have");
        if (zone->alive == 0 && zone->dead != 0)
            json_format(json, NULL, "no member of zone %s is alive", called(zone));
    }
    why_uneven(core, json, layout);
}

void report_why(const struct core *core, struct json *json, const struct layout *layout)
{
    struct zones zones = count_zones(core, layout);
    json_open(json, "why", '[');
    if (layout->member_count < layout->n)
        json_format(json, NULL,
                    "%zu storing members for %u copies: every key has %zu until more "
                    "join",
                    layout->member_count, layout->n, layout->member_count);
    if (zones.count > 1)
        why_zones(core, json, layout, &zones);
    json_close(json, ']');
    free(zones.zones);
}

/* ---- the report ---- */

static void put_zones(const struct core *core, struct json *json, const struct layout *layout)
{
    struct zones zones = count_zones(core, layout);
    json_open(json, "zones", '[');
    for (size_t i = 0; i < zones.count; i++) {
        const struct zone_facts *zone = &zones.zones[i];
        json_open(json, NULL, '{');
        json_text(json, "zone", zone->name);
        json_u64(json, "members", zone->members);
        json_u64(json, "alive", zone->alive);
        json_u64(json, "copies", zone->copies);
        json_close(json, '}');
    }
    json_close(json, ']');
    free(zones.zones);
}

static void put_layout(const struct core *core, struct json *json, const struct layout *layout)
{
    json_open(json, NULL, '{');
    json_u64(json, "layout", layout->number);
    report_cluster(json, "cluster", layout->cluster);
    json_u64(json, "partitions", layout->partitions);
    json_u64(json, "replicas", layout->n);
    json_u64(json, "write_quorum", layout->w);
    json_u64(json, "read_quorum", layout->r);
    json_open(json, "members", '[');
    for (size_t i = 0; i < layout->member_count; i++) {
        const struct layout_member *member = &layout->members[i];
        json_open(json, NULL, '{');
        json_text(json, "name", name_of(core, member->id));
        json_hex64(json, "id", member->id);
        json_u64(json, "weight", member->weight);
        json_text(json, "zone", member->zone);
        json_u64(json, "owns", layout_gains(NULL, layout, member->id, NULL));
        json_bool(json, "alive", members_alive(core, member->id));
        json_close(json, '}');
    }
    json_close(json, ']');
    put_zones(core, json, layout);
    report_why(core, json, layout);
    json_close(json, '}');
}

void report_ring(const struct core *core, struct json *json)
{
    const struct layout *oldest = view_oldest(core), *newest = view_newest(core);
    json_open(json, NULL, '{');
    json_open(json, "layouts", '[');
    if (oldest != NULL && newest != NULL && oldest->number != newest->number)
        put_layout(core, json, oldest);
    if (newest != NULL)
        put_layout(core, json, newest);
    json_close(json, ']');
    json_close(json, '}');
}
