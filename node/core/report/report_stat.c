/* report_stat: what each owner keeps under one key: its ballot, its versions, side by side. For
 * people; nothing is settled or repaired by looking. */
#include "core/members/members.h"
#include "core/report/report.h"
#include "core/view/view.h"
#include "rules/version.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/json.h"
#include "core/state/state.h"
#include "rules/key.h"

enum { KEPT_MAX = 256, KEEPERS_MAX = 64 };

/* A hint that a storing member keeps under the key. */
struct stat_hint {
    node_id keeper, owner;
};

struct stat_answer {
    bool arrived;
    enum toystore_status status;
    struct blob *frame;
    struct replica_reply reply; /* borrows from the frame */
};

struct stat {
    struct rpc_origin origin;
    struct blob *key;
    struct electorate electorate;
    struct stat_answer answers[ELECTORATE_MAX];
    node_id keepers[KEEPERS_MAX]; /* who were asked for hints */
    struct stat_hint hints[KEPT_MAX];
    size_t keeper_count, hint_count;
    unsigned open; /* calls */
};

const size_t report_stat_size = sizeof(struct stat);

static void stat_drop(struct stat *stat)
{
    blob_unref(&stat->key);
    for (unsigned i = 0; i < ELECTORATE_MAX; i++)
        blob_unref(&stat->answers[i].frame);
}

void report_stat_clear(void *stat)
{
    if (stat)
        stat_drop(stat);
}

/* ---- as JSON ---- */

static void put_ballot(struct json *json, const char *name, const struct ballot *b)
{
    json_format(json, name, "%u.%u/%llu/%016llx/%llu", b->era.layout, b->era.epoch,
                (unsigned long long)b->counter, (unsigned long long)b->node,
                (unsigned long long)b->turn);
}

static const char *kind_word(uint8_t kind)
{
    static const char *const words[] = {"tombstone", "file",    "reference", "directory",
                                        "symlink",   "special", "internal"};
    return kind < ARRAY_COUNT(words) ? words[kind] : "unknown";
}

static void put_version(struct json *json, const struct version *version, const char *place)
{
    char op[OP_TEXT_SIZE + 1];
    op_text(op, &version->op);
    json_open(json, NULL, '{');
    json_text(json, "place", place);
    json_text(json, "op", op);
    json_text(json, "kind", kind_word(version->kind));
    json_u64(json, "value_size", version->value.size);
    json_hex64(json, "value_hash", hash64(version->value)); /* of the bytes that it has read */
    json_u64(json, "size", version->attributes.size);
    json_format(json, "mode", "%o", version->attributes.mode);
    json_u64(json, "time_us", version->time_us);
    json_hex64(json, "made_by", version->node);
    json_close(json, '}');
}

static void put_record(struct json *json, const struct replica_reply *reply)
{
    struct arena arena = {0};
    struct record record;
    int error = record_decode(&arena, reply->record, &record);
    json_bool(json, "found", error == 0 && !record_absent(&record));
    put_ballot(json, "promised", &reply->promised);
    if (error == 0 && record.has_register) {
        put_ballot(json, "ballot", &record.reg.ballot);
        json_bool(json, "settled", reply->settled);
    }
    size_t siblings = 0;
    for (size_t i = 0; error == 0 && i < record.sloppy_count; i++)
        siblings += sloppy_visible(&record, i);
    json_u64(json, "siblings", siblings);
    json_open(json, "versions", '[');
    if (error == 0 && record.has_register)
        put_version(json, &record.reg.version, "register");
    for (size_t i = 0; error == 0 && i < record.sloppy_count; i++)
        put_version(json, &record.sloppy[i].version,
                    sloppy_visible(&record, i) ? "sibling" : "covered");
    json_close(json, ']');
    arena_free(&arena);
}

/* Whom this member keeps a hint for. */
static void put_hints(const struct core *core, struct json *json, const struct stat *stat,
                      node_id keeper)
{
    json_open(json, "hints", '[');
    for (size_t i = 0; i < stat->hint_count; i++) {
        const struct member *member = members_find(core, stat->hints[i].owner);
        if (stat->hints[i].keeper == keeper)
            json_text(json, NULL, member ? member->name : "a member that was never seen");
    }
    json_close(json, ']');
}

static void put_answer(const struct core *core, struct json *json, const struct stat *stat,
                       unsigned index)
{
    const struct stat_answer *answer = &stat->answers[index];
    node_id id = stat->electorate.members[index];
    const struct member *member = members_find(core, id);
    enum toystore_status status = answer->status;
    if (status == TOYSTORE_OK)
        status = (enum toystore_status)answer->reply.status;
    json_open(json, NULL, '{');
    json_text(json, "node", member ? member->name : "");
    json_hex64(json, "id", id);
    json_text(json, "status", toystore_status_word(status));
    if (answer->status == TOYSTORE_OK)
        put_record(json, &answer->reply);
    put_hints(core, json, stat, id);
    json_close(json, '}');
}

/* Fallbacks, and members that were owners, that keep something for an owner. */
static void put_keepers(const struct core *core, struct json *json, const struct stat *stat)
{
    json_open(json, "fallbacks", '[');
    for (size_t i = 0; i < stat->keeper_count; i++) {
        const struct member *member = members_find(core, stat->keepers[i]);
        bool keeps = false;
        for (size_t j = 0; j < stat->hint_count; j++)
            keeps = keeps || stat->hints[j].keeper == stat->keepers[i];
        if (!keeps || electorate_index(&stat->electorate, stat->keepers[i]) >= 0)
            continue;
        json_open(json, NULL, '{');
        json_text(json, "node", member ? member->name : "");
        json_hex64(json, "id", stat->keepers[i]);
        put_hints(core, json, stat, stat->keepers[i]);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void stat_finish(struct core *core, struct stat *stat, pool_handle handle)
{
    struct buf out = {0};
    struct json json = {.out = &out};
    json_open(&json, NULL, '{');
    json_bytes(&json, "key", blob_slice(stat->key));
    json_u64(&json, "partition", view_partition_of(core, blob_slice(stat->key)));
    json_open(&json, "replicas", '[');
    for (unsigned i = 0; i < stat->electorate.member_count; i++)
        put_answer(core, &json, stat, i);
    json_close(&json, ']');
    put_keepers(core, &json, stat);
    json_close(&json, '}');
    buf_append(&out, "\n", 1);
    RPC_REPLY(core, &stat->origin, report_reply, {.status = TOYSTORE_OK, .json = buf_slice(&out)});
    buf_free(&out);
    stat_drop(stat);
    pool_delete(&core->reports->stats, handle);
}

/* ---- asking ---- */

static void on_answer(struct core *core, uint64_t handle, uint64_t index,
                      const struct rpc_answer *answer)
{
    struct stat *stat = pool_get(&core->reports->stats, handle);
    struct stat_answer *mine = &stat->answers[index];
    mine->status = answer->status;
    if (answer->status == TOYSTORE_OK && !replica_reply_decode(answer->result, &mine->reply))
        mine->status = TOYSTORE_INVALID;
    if (mine->status == TOYSTORE_OK)
        mine->frame = blob_ref(answer->frame);
    if (--stat->open == 0)
        stat_finish(core, stat, handle);
}

static void on_hints(struct core *core, uint64_t handle, uint64_t index,
                     const struct rpc_answer *answer)
{
    struct stat *stat = pool_get(&core->reports->stats, handle);
    struct look_reply reply;
    node_id owner;
    if (answer->status == TOYSTORE_OK && look_reply_decode(answer->result, &reply)) {
        struct cursor cursor = cursor_of(reply.hints.items);
        for (uint32_t i = 0; i < reply.hints.count && stat->hint_count < KEPT_MAX; i++)
            if (wire_get_NODE(&cursor, &owner))
                stat->hints[stat->hint_count++] = (struct stat_hint){stat->keepers[index], owner};
    }
    if (--stat->open == 0)
        stat_finish(core, stat, handle);
}

/* Any storing member may keep a hint. */
static void ask_for_hints(struct core *core, struct stat *stat, pool_handle handle)
{
    struct blob *params = RPC_PARAMS(look_request, {.key = blob_slice(stat->key)});
    for (size_t i = 0; i < members_count(core) && stat->keeper_count < KEEPERS_MAX; i++) {
        const struct member *member = members_at(core, i);
        if (member->storing && (member->id == core->id || members_alive(core, member->id)))
            stat->keepers[stat->keeper_count++] = member->id;
    }
    stat->open += (unsigned)stat->keeper_count;
    for (size_t i = 0; i < stat->keeper_count; i++)
        rpc_call(core, stat->keepers[i], METHOD_LOOK, blob_ref(params), REPLICA_TIMEOUT_MS,
                 on_hints, handle, i);
    blob_unref(&params);
}

void report_stat(struct core *core, const struct rpc_request *request, struct slice key)
{
    pool_handle handle;
    struct stat *stat = NULL;
    if (view_newest(core) == NULL) {
        rpc_fail(core, &request->origin, TOYSTORE_UNAVAILABLE, "not in a cluster yet");
        return;
    }
    stat = pool_new(&core->reports->stats, &handle);
    if (stat == NULL) {
        rpc_fail(core, &request->origin, TOYSTORE_BUSY, "too many reports under way");
        return;
    }
    stat->origin = request->origin;
    stat->key = blob_copy(key);
    view_electorate_key(core, key, 0, 0, &stat->electorate);
    struct blob *params =
        RPC_PARAMS(get_request, {.view = view_of(core, view_partition_of(core, key)), .key = key});
    stat->open = stat->electorate.member_count;
    ask_for_hints(core, stat, handle);
    for (unsigned i = 0; i < stat->electorate.member_count; i++)
        rpc_call(core, stat->electorate.members[i], METHOD_GET, blob_ref(params),
                 REPLICA_TIMEOUT_MS, on_answer, handle, i);
    blob_unref(&params);
}
