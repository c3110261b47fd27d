/* report_move: what moves in the layout, and who is on the way out: the part of "status" that a
 * progress bar is drawn from. From memory alone. */
#include "base/json.h"
#include "core/members/members.h"
#include "core/move/move.h"
#include "core/replica/tree.h"
#include "core/report/report.h"
#include "core/view/holders.h"
#include "core/view/view.h"

#include <stdio.h>

#include "core/state/state.h"

static const char *name_of(const struct core *core, node_id id)
{
    const struct member *member = members_find(core, id);
    return member ? member->name : "";
}

static void put_who(const struct core *core, struct json *json, node_id id)
{
    json_text(json, "name", name_of(core, id));
    json_hex64(json, "id", id);
}

/* Storing members of a live layout that do not answer. */
void report_absent(const struct core *core, struct json *json)
{
    const struct layout *live[] = {view_newest(core), view_oldest(core)};
    json_open(json, "absent", '[');
    for (size_t at = 0; live[0] && at < (live[0] == live[1] ? 1 : 2); at++)
        for (size_t i = 0; i < live[at]->member_count; i++) {
            node_id id = live[at]->members[i].id;
            char hex[17];
            if (members_alive(core, id) || (at == 1 && layout_find(live[0], id)))
                continue;
            snprintf(hex, sizeof hex, "%016llx", (unsigned long long)id);
            json_text(json, NULL, members_find(core, id) ? name_of(core, id) : hex);
        }
    json_close(json, ']');
}

static void put_movement(const struct core *core, struct json *json, const struct layout *newest,
                         node_id id)
{
    uint64_t owned = 0, held = 0;
    for (uint32_t p = 0; p < newest->partitions; p++)
        if (layout_owns(newest, p, id)) {
            owned++;
            held += holder_holds(core, id, p);
        }
    if (held == owned)
        return;
    json_open(json, NULL, '{');
    put_who(core, json, id);
    json_u64(json, "partitions_taken", held);
    json_u64(json, "partitions_owned", owned);
    json_close(json, '}');
}

/* A client hears nothing of what others hold. */
void report_movements(struct core *core, struct json *json)
{
    const struct layout *newest = view_newest(core), *oldest = view_oldest(core);
    uint64_t to_give = 0;
    json_open(json, "movements", '[');
    for (size_t i = 0; newest && core->config.storing && i < newest->member_count; i++)
        put_movement(core, json, newest, newest->members[i].id);
    json_close(json, ']');
    json_open(json, "leaving", '[');
    for (size_t i = 0; oldest && i < oldest->member_count; i++) {
        node_id id = oldest->members[i].id;
        if (layout_find(newest, id) && !move_unwanted(core, id))
            continue;
        json_open(json, NULL, '{');
        put_who(core, json, id);
        json_close(json, '}');
    }
    json_close(json, ']');
    for (uint32_t p = 0; core->config.storing && p < view_partition_count(core); p++)
        to_give += view_owner(core, p, core->id) ? 0 : tree_key_count(core, p);
    json_u64(json, "keys_to_give", to_give);
}
