/* report_plan: what a change of the layout would move, before anybody makes it. The next layout is
 * computed as those that choose would (move_choose.c); how much a partition weighs is asked of the
 * storing members that answer. Nothing is changed by asking.
 *
 *     leave | remove NODE | join [WEIGHT [ZONE]] | weight NODE WEIGHT | zone NODE [ZONE]
 *
 * Enters from REPORT "plan"; leaves to SIZES at the members, then to who asked. */
#include "core/members/members.h"
#include "core/move/move.h"
#include "core/report/report.h"
#include "core/view/view.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "core/state/state.h"

enum { WORDS_MAX = 3, WORD_SIZE_MAX = 300, WEIGHT_USUAL = 100 };

/* One that does not exist yet; no member draws 1. What it would own depends on the id that it will
 * draw, how much it would own hardly. */
enum { NEWCOMER_ID = 1 };

struct plan_size {
    uint64_t keys, bytes;
};

struct plan {
    struct rpc_origin origin;
    struct blob *change;
    struct layout *now, *then;
    struct plan_size *sizes; /* a partition: the most that one of its owners has */
    size_t calls_open, silent;
    node_id *asked;
    size_t asked_count;
};

const size_t report_plan_size = sizeof(struct plan);

struct words {
    char words[WORDS_MAX][WORD_SIZE_MAX];
    size_t count;
    bool too_many;
};

struct planning { /* the members of the next layout, while words are read */
    const struct core *core;
    struct layout_member *members;
    size_t count;
    enum toystore_status status; /* of `error` */
    char error[400];
};

/* ---- what is asked ---- */

static struct words split(struct slice text)
{
    struct words words = {.count = 0};
    size_t at = 0;
    while (at < text.size) {
        size_t end = at;
        while (end < text.size && text.data[end] != ' ')
            end++;
        words.too_many = words.too_many || words.count == WORDS_MAX || end - at >= WORD_SIZE_MAX;
        if (words.too_many)
            break;
        if (end > at)
            memcpy(words.words[words.count++], text.data + at, end - at);
        at = end + 1;
    }
    return words;
}

static bool refuse(struct planning *planning, const char *why)
{
    snprintf(planning->error, sizeof planning->error, "%s", why);
    return false;
}

static bool read_weight(struct planning *planning, const char *word, uint32_t *ret)
{
    char *end;
    unsigned long value = strtoul(word, &end, 10);
    if (end == word || *end != 0 || value < 1 || value > WEIGHT_MAX)
        return refuse(planning, "a weight is a number from 1 to 10000");
    *ret = (uint32_t)value;
    return true;
}

static bool read_zone(struct planning *planning, const char *word, char zone[ZONE_SIZE_MAX + 1])
{
    if (strlen(word) > ZONE_SIZE_MAX)
        return refuse(planning, "no zone has so long a name");
    snprintf(zone, ZONE_SIZE_MAX + 1, "%s", word);
    return true;
}

static struct layout_member *find(struct planning *planning, node_id id)
{
    for (size_t i = 0; i < planning->count; i++)
        if (planning->members[i].id == id)
            return &planning->members[i];
    refuse(planning, "that member owns nothing: it is not in the ring");
    return NULL;
}

static bool without(struct planning *planning, node_id id)
{
    struct layout_member *member = find(planning, id);
    if (!member)
        return false;
    if (planning->count == 1)
        return refuse(planning, "it is the last member: its data would have nowhere to go");
    *member = planning->members[--planning->count];
    return true;
}

static bool with_one_more(struct planning *planning, const struct words *words)
{
    struct layout_member *member = &planning->members[planning->count];
    *member = (struct layout_member){.id = NEWCOMER_ID, .weight = WEIGHT_USUAL};
    if (planning->count == MEMBERS_MAX)
        return refuse(planning, "there are as many members as there can be");
    planning->count++;
    return (words->count < 2 || read_weight(planning, words->words[1], &member->weight)) &&
           (words->count < 3 || read_zone(planning, words->words[2], member->zone));
}

/* Changes the members as the words say; false: `error` says why not. */
static bool carry_out(struct planning *planning, const struct words *words)
{
    const char *what = words->count ? words->words[0] : "";
    struct layout_member *member;
    node_id id;
    if (words->too_many)
        return refuse(planning, "too many words for a plan");
    if (strcmp(what, "leave") == 0 && words->count == 1)
        return without(planning, planning->core->id);
    if (strcmp(what, "join") == 0)
        return with_one_more(planning, words);
    bool remove = strcmp(what, "remove") == 0 && words->count == 2;
    bool weight = strcmp(what, "weight") == 0 && words->count == 3;
    bool zone = strcmp(what, "zone") == 0 && words->count >= 2;
    if (!remove && !weight && !zone)
        return refuse(planning, "a plan is: leave, remove NODE, join [WEIGHT [ZONE]], weight NODE "
                                "WEIGHT or zone NODE [ZONE]");
    if (!move_member_named(planning->core, slice_str(words->words[1]), &id, planning->error,
                           sizeof planning->error)) {
        planning->status = TOYSTORE_NOT_FOUND;
        return false;
    }
    if (remove)
        return without(planning, id);
    member = find(planning, id);
    if (!member)
        return false;
    return weight ? read_weight(planning, words->words[2], &member->weight)
                  : read_zone(planning, words->words[2], member->zone);
}

/* ---- the answer ---- */

static const char *name_of(const struct core *core, node_id id)
{
    const struct member *member = members_find(core, id);
    return id == NEWCOMER_ID ? "(the newcomer)" : member ? member->name : "";
}

/* What a member would take (from now to then) or be rid of (the other way round). */
static struct plan_size gains(const struct plan *plan, node_id id, bool gives,
                              uint32_t *ret_partitions)
{
    const struct layout *from = gives ? plan->then : plan->now;
    const struct layout *to = gives ? plan->now : plan->then;
    struct plan_size sum = {0};
    *ret_partitions = 0;
    for (uint32_t p = 0; p < to->partitions; p++) {
        if (!layout_owns(to, p, id) || layout_owns(from, p, id))
            continue;
        ++*ret_partitions;
        sum.keys += plan->sizes[p].keys;
        sum.bytes += plan->sizes[p].bytes;
    }
    return sum;
}

static struct plan_size put_member(const struct core *core, struct json *json,
                                   const struct plan *plan, node_id id)
{
    uint32_t taken, given;
    struct plan_size takes = gains(plan, id, false, &taken), gives = gains(plan, id, true, &given);
    json_open(json, NULL, '{');
    json_text(json, "name", name_of(core, id));
    if (id != NEWCOMER_ID)
        json_hex64(json, "id", id);
    else
        json_text(json, "id", "-");
    json_u64(json, "owns", layout_gains(NULL, plan->now, id, NULL));
    json_u64(json, "will_own", layout_gains(NULL, plan->then, id, NULL));
    json_u64(json, "takes", taken);
    json_u64(json, "takes_keys", takes.keys);
    json_u64(json, "takes_bytes", takes.bytes);
    json_u64(json, "gives", given);
    json_u64(json, "gives_keys", gives.keys);
    json_u64(json, "gives_bytes", gives.bytes);
    json_close(json, '}');
    return takes;
}

/* Everybody of the present layout, and whom the next one has besides. */
static struct plan_size put_members(const struct core *core, struct json *json,
                                    const struct plan *plan)
{
    struct plan_size all = {0};
    json_open(json, "members", '[');
    for (size_t i = 0; i < plan->now->member_count + plan->then->member_count; i++) {
        bool old = i < plan->now->member_count;
        node_id id =
            old ? plan->now->members[i].id : plan->then->members[i - plan->now->member_count].id;
        if (!old && layout_find(plan->now, id))
            continue;
        struct plan_size takes = put_member(core, json, plan, id);
        all.keys += takes.keys;
        all.bytes += takes.bytes;
    }
    json_close(json, ']');
    return all;
}

static uint32_t partitions_moving(const struct plan *plan)
{
    uint32_t count = 0;
    for (uint32_t p = 0; p < plan->now->partitions; p++) {
        node_id owners[REPLICAS_MAX];
        size_t n = layout_owners(plan->then, p, owners), same = 0;
        for (size_t i = 0; i < n; i++)
            same += layout_owns(plan->now, p, owners[i]);
        count += same != n || n != layout_owner_count(plan->now);
    }
    return count;
}

static void plan_drop(struct plan *plan)
{
    blob_unref(&plan->change);
    layout_free(plan->now);
    layout_free(plan->then);
    free(plan->sizes);
    free(plan->asked);
}

static void plan_finish(struct core *core, struct plan *plan, pool_handle handle)
{
    struct buf out = {0};
    struct json json = {.out = &out};
    json_open(&json, NULL, '{');
    json_bytes(&json, "change", blob_slice(plan->change));
    json_u64(&json, "layout", plan->now->number);
    json_bool(&json, "moving", view_oldest(core) != view_newest(core));
    json_u64(&json, "partitions", plan->now->partitions);
    json_u64(&json, "partitions_moving", partitions_moving(plan));
    struct plan_size all = put_members(core, &json, plan);
    json_u64(&json, "keys_moving", all.keys);
    json_u64(&json, "bytes_moving", all.bytes);
    json_u64(&json, "members_asked", plan->asked_count);
    json_u64(&json, "members_silent", plan->silent);
    report_why(core, &json, plan->then);
    json_close(&json, '}');
    buf_append(&out, "\n", 1);
    RPC_REPLY(core, &plan->origin, report_reply, {.status = TOYSTORE_OK, .json = buf_slice(&out)});
    buf_free(&out);
    plan_drop(plan);
    pool_delete(&core->reports->plans, handle);
}

/* ---- how much there is ---- */

static void on_sizes(struct core *core, uint64_t handle, uint64_t index,
                     const struct rpc_answer *answer)
{
    struct plan *plan = pool_get(&core->reports->plans, handle);
    struct sizes_reply reply;
    bool good = answer->status == TOYSTORE_OK && sizes_reply_decode(answer->result, &reply) &&
                reply.status == TOYSTORE_OK && reply.keys.count == plan->now->partitions;
    struct cursor cursor = cursor_of(good ? reply.keys.items : slice_of(NULL, 0));
    for (uint32_t p = 0; good && p < plan->now->partitions; p++) {
        uint64_t keys;
        if (!wire_get_U64(&cursor, &keys))
            break;
        if (!layout_owns(plan->now, p, plan->asked[index]) || keys < plan->sizes[p].keys)
            continue;
        uint64_t mean = min_u64(reply.bytes_per_key, UINT32_MAX);
        plan->sizes[p] = (struct plan_size){keys, min_u64(keys, UINT32_MAX) * mean};
    }
    plan->silent += !good;
    if (--plan->calls_open == 0)
        plan_finish(core, plan, handle);
}

/* Those that do not answer count as silent at once; the own node is asked like all others. */
static void ask_members(struct core *core, struct plan *plan, pool_handle handle)
{
    const struct layout *now = plan->now;
    plan->asked = base_alloc(now->member_count * sizeof *plan->asked);
    for (size_t i = 0; i < now->member_count; i++)
        plan->asked[i] = now->members[i].id;
    plan->asked_count = plan->calls_open = now->member_count;
    struct blob *params = RPC_PARAMS(sizes_request, {.asker = core->id});
    for (size_t i = 0; i < plan->asked_count; i++)
        rpc_call(core, plan->asked[i], METHOD_SIZES, blob_ref(params), REPLICA_TIMEOUT_MS, on_sizes,
                 handle, i);
    blob_unref(&params);
}

void report_plan(struct core *core, const struct rpc_request *request, struct slice change)
{
    const struct layout *now = view_newest(core);
    pool_handle handle;
    struct words words = split(change);
    if (!now) {
        rpc_fail(core, &request->origin, TOYSTORE_UNAVAILABLE, "not in a cluster yet");
        return;
    }
    struct planning planning = {
        .core = core, .count = now->member_count, .status = TOYSTORE_INVALID};
    planning.members = base_alloc((now->member_count + 1) * sizeof *planning.members);
    memcpy(planning.members, now->members, now->member_count * sizeof *now->members);
    struct plan *plan = NULL;
    if (!carry_out(&planning, &words)) {
        rpc_fail(core, &request->origin, planning.status, planning.error);
    } else if ((plan = pool_new(&core->reports->plans, &handle)) == NULL) {
        rpc_fail(core, &request->origin, TOYSTORE_BUSY, "too many reports under way");
    } else {
        plan->origin = request->origin;
        plan->change = blob_copy(change);
        plan->now = layout_new(now->number, now->cluster, now->partitions, now->n, now->w, now->r,
                               now->members, now->member_count);
        plan->then = layout_new(now->number + 1, now->cluster, now->partitions, now->n, now->w,
                                now->r, planning.members, planning.count);
        plan->sizes = base_alloc(now->partitions * sizeof *plan->sizes);
        ask_members(core, plan, handle);
    }
    free(planning.members);
}

void report_plan_clear(void *plan)
{
    if (plan)
        plan_drop(plan);
}
