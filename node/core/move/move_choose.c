/* move_choose: the members of layout k choose layout k+1, by an exclusive put of its key (PROTOCOL
 * 7 choose): with newcomers, without those who leave or were removed, with new weights and zones,
 * all that is wanted by then; and everybody learns what was chosen. Enters from the step of move;
 * leaves to ask() and view_learn_layout. */
#include <stdio.h>
#include <stdlib.h>

#include "core/ask/ask.h"
#include "core/members/members.h"
#include "core/move/move_priv.h"
#include "rules/key.h"

static void name_layout(char name[64], uint32_t number)
{
    snprintf(name, 64, KEY_LAYOUTS "%u", number);
}

static bool same_cluster(const struct core *core, const struct member *member)
{
    static const uint8_t none[CLUSTER_ID_SIZE];
    return memcmp(member->cluster, none, CLUSTER_ID_SIZE) == 0 ||
           memcmp(member->cluster, core->self.cluster, CLUSTER_ID_SIZE) == 0;
}

/* Wants in, and says so of this very layout; a member that left or was removed never does. */
static bool newcomer(const struct core *core, const struct member *member)
{
    struct wish room;
    return member->storing && member->state == TOYSTORE_ALIVE && same_cluster(core, member) &&
           !layout_find(view_newest(core), member->id) && !gone_is(core, member->id) &&
           move_wish_to_be(core, member->id, &room);
}

/* The lowest id that is alive proposes, so that usually one does. */
static bool lowest(const struct core *core)
{
    const struct layout *layout = view_newest(core);
    for (size_t i = 0; i < layout->member_count && layout->members[i].id < core->id; i++)
        if (!layout->members[i].gone && rpc_reachable(core, layout->members[i].id))
            return false;
    return true;
}

/* ---- what was chosen ---- */

static void learned(struct core *core, const struct core_event *event, struct resume resume)
{
    (void)event;
    (void)resume;
    core->move->proposing = false;
}

static void try_later(struct core *core)
{
    core->move->proposing = false;
    core->move->propose_at_us = 0;
}

static void chosen(struct core *core, struct slice value)
{
    struct layout *layout = layout_decode(value);
    if (!layout || layout->number != view_newest(core)->number + 1) {
        layout_free(layout);
        try_later(core);
        return;
    }
    view_learn_layout(core, layout, layout->number - 1, resume_to(learned, 0, 0));
}

static void found(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    (void)handle;
    if (result->status == TOYSTORE_OK && result->version_count > 0 && !result->sloppy)
        chosen(core, slice_of(result->versions[0].value.data, result->versions[0].value.size));
    else
        try_later(core);
}

static void proposed(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct move *move = core->move;
    char name[64];
    (void)handle;
    struct blob *proposal = move->proposal;
    move->proposal = NULL;
    if (result->status == TOYSTORE_OK) {
        chosen(core, blob_slice(proposal));
    } else {
        /* Another one's may have been chosen, or this one yet be. */
        name_layout(name, view_newest(core)->number + 1);
        struct toystore_request request = {
            .type = TOYSTORE_GET, .key = {name, strlen(name)}, .strict = 1};
        ask(core, &request, NULL, found, 0);
    }
    blob_unref(&proposal);
}

/* ---- proposing ---- */

static struct layout_member wanted(const struct core *core, struct layout_member member)
{
    struct wish room;
    const struct wish *wish = move_wish_to_be(core, member.id, &room);
    if (wish) {
        member.weight = wish->weight;
        memcpy(member.zone, wish->zone, sizeof member.zone);
    }
    return member;
}

/* Who stays, with what they want to be, and who comes. Somebody has to stay. */
static size_t next_members(const struct core *core, struct layout_member *ret)
{
    const struct layout *now = view_newest(core);
    size_t count = 0;
    for (size_t i = 0; i < now->member_count; i++)
        if (!move_unwanted(core, now->members[i].id))
            ret[count++] = wanted(core, now->members[i]);
    for (size_t i = 0; i < members_count(core) && count < MEMBERS_MAX; i++) {
        const struct member *member = members_at(core, i);
        if (newcomer(core, member) && !move_unwanted(core, member->id))
            ret[count++] = wanted(core, (struct layout_member){.id = member->id});
    }
    for (size_t i = 0; i < now->member_count && count == 0; i++)
        if (!now->members[i].gone)
            ret[count++] = now->members[i];
    return count;
}

static struct layout *next_layout(const struct core *core)
{
    const struct layout *now = view_newest(core);
    struct layout_member *members =
        base_alloc((now->member_count + members_count(core)) * sizeof *members);
    size_t count = next_members(core, members);
    struct layout *next = layout_new(now->number + 1, now->cluster, now->partitions, now->n, now->w,
                                     now->r, members, count);
    free(members);
    return next;
}

static void propose(struct core *core)
{
    struct move *move = core->move;
    struct layout *next = next_layout(core);
    struct buf bytes = {0};
    char name[64];
    layout_encode(&bytes, next);
    move->proposal = buf_take(&bytes);
    move->proposing = true;
    name_layout(name, next->number);
    core_log(core, LOG_INFO, "proposes layout %u with %zu storing members", next->number,
             next->member_count);
    layout_free(next);
    struct toystore_request request = {
        .type = TOYSTORE_PUT,
        .key = {name, strlen(name)},
        .condition = TOYSTORE_IF_ABSENT,
        .change = TOYSTORE_SET,
        .kind = TOYSTORE_INTERNAL,
        .value = {move->proposal->data, move->proposal->size},
        .durable = true,
        .exclusive = true,
        .strict = 1,
    };
    ask(core, &request, NULL, proposed, 0);
}

/* Does anybody want the layout to be another one? */
static bool change_wanted(const struct core *core)
{
    const struct layout *now = view_newest(core);
    struct layout_member *members =
        base_alloc((now->member_count + members_count(core)) * sizeof *members);
    size_t count = next_members(core, members);
    bool equal = count == now->member_count; /* those who stay are in order, newcomers behind */
    for (size_t i = 0; equal && i < count; i++)
        equal = members[i].id == now->members[i].id &&
                members[i].weight == now->members[i].weight &&
                strcmp(members[i].zone, now->members[i].zone) == 0;
    free(members);
    return !equal;
}

/* Members in gossip that know a newer layout are asked for it. */
static void follow(struct core *core)
{
    uint32_t newest = view_newest(core) ? view_newest(core)->number : 0;
    for (size_t i = 1; i < members_count(core); i++) {
        const struct member *member = members_at(core, i);
        if (member->layout_newest > newest && (newest == 0 || same_cluster(core, member)) &&
            rpc_reachable(core, member->id)) {
            view_fetch(core, member->id);
            return;
        }
    }
}

void move_choose(struct core *core)
{
    struct move *move = core->move;
    const struct layout *newest = view_newest(core);
    follow(core);
    if (!newest || view_oldest(core) != newest || move->proposing ||
        !layout_find(newest, core->id) || !change_wanted(core)) {
        move->propose_at_us = 0;
        return;
    }
    if (move->propose_at_us == 0) {
        /* A little later, so that several that come together go together. */
        uint64_t pause_ms = CHOOSE_PAUSE_MS;
        if (!lowest(core))
            pause_ms += CHOOSE_OTHERS_MS + prng_below(&core->prng, CHOOSE_OTHERS_MS);
        move->propose_at_us = core->now_us + pause_ms * 1000;
    }
    if (core->now_us < move->propose_at_us)
        return;
    move->propose_at_us = 0;
    propose(core);
}
