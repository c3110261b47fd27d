/* result: copies of results and members for those outside the core. */
#include "core/state/state.h"

#include <stdio.h>

static struct toystore_bytes copy_bytes(struct arena *arena, struct toystore_bytes bytes)
{
    struct slice copy = arena_copy(arena, slice_of(bytes.data, bytes.size));
    return (struct toystore_bytes){copy.data, copy.size};
}

struct call_result *result_copy(const struct toystore_result *result)
{
    struct call_result *copy = base_alloc(sizeof *copy);
    copy->result = *result;
    snprintf(copy->message, sizeof copy->message, "%s", result->message ? result->message : "");
    copy->result.message = copy->message;
    if (result->version_count > 0) {
        struct toystore_version *versions =
            arena_alloc(&copy->arena, result->version_count * sizeof *versions);
        for (size_t i = 0; i < result->version_count; i++) {
            versions[i] = result->versions[i];
            versions[i].value = copy_bytes(&copy->arena, result->versions[i].value);
            versions[i].extra = copy_bytes(&copy->arena, result->versions[i].extra);
        }
        copy->result.versions = versions;
    }
    if (result->entry_count > 0) {
        struct toystore_entry *entries =
            arena_alloc(&copy->arena, result->entry_count * sizeof *entries);
        for (size_t i = 0; i < result->entry_count; i++) {
            entries[i] = result->entries[i];
            entries[i].name = copy_bytes(&copy->arena, result->entries[i].name);
        }
        copy->result.entries = entries;
    }
    return copy;
}

struct toystore_member member_public(const struct member *member)
{
    return (struct toystore_member){.id = member->id,
                                    .name = member->name,
                                    .host = member->rpc.host,
                                    .zone = member->zone,
                                    .rpc_port = member->rpc.port,
                                    .gossip_port = member->gossip.port,
                                    .weight = member->weight,
                                    .storing = member->storing,
                                    .state = member->state,
                                    .incarnation = member->incarnation,
                                    .layout = member->layout_newest};
}
