/* hint_report: whom the hints of this node wait for, how many, and since when; from memory alone.
 * The oldest is the one that came when nothing waited for its owner: while others go and come
 * behind it, it may be delivered already. */
#include "base/json.h"
#include "core/members/members.h"
#include "core/replica/hint.h"
#include "core/replica/hint_priv.h"
#include "core/rpc/rpc.h"

void hints_report(const struct core *core, struct json *json)
{
    json_open(json, "hints_for", '[');
    for (size_t i = 0; i < core->hints->owner_count; i++) {
        const struct hint_owner *owner = core->hints->owners[i];
        const struct member *member = members_find(core, owner->id);
        if (owner->keys.count == 0)
            continue;
        json_open(json, NULL, '{');
        json_text(json, "name", member ? member->name : "");
        json_hex64(json, "id", owner->id);
        json_bool(json, "reachable", rpc_reachable(core, owner->id));
        json_u64(json, "hints", owner->keys.count);
        if (owner->since_us > 0)
            json_i64(json, "oldest_s", (core->wall_us - owner->since_us) / 1000000);
        json_close(json, '}');
    }
    json_close(json, ']');
}
