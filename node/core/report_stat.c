/* report_stat: what each owner keeps under one key: its ballot, its versions, side by side. For
 * people; nothing is settled or repaired by looking. */
#include "core/report.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/core_priv.h"
#include "core/json.h"
#include "core/key.h"

enum { STATS_MAX = 64 };

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
    unsigned arrived;
};

struct reports {
    struct pool stats;
};

struct reports *reports_new(void)
{
    struct reports *reports = base_alloc(sizeof *reports);
    pool_init(&reports->stats, sizeof(struct stat), STATS_MAX);
    return reports;
}

static void stat_drop(struct stat *stat)
{
    blob_unref(&stat->key);
    for (unsigned i = 0; i < ELECTORATE_MAX; i++)
        blob_unref(&stat->answers[i].frame);
}

void reports_free(struct reports *reports)
{
    for (size_t i = 0; i < reports->stats.capacity; i++)
        if (reports->stats.objects[i] != NULL)
            stat_drop(reports->stats.objects[i]);
    pool_free(&reports->stats);
    free(reports);
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
    json_open(json, "versions", '[');
    if (error == 0 && record.has_register)
        put_version(json, &record.reg.version, "register");
    for (size_t i = 0; error == 0 && i < record.sloppy_count; i++)
        put_version(json, &record.sloppy[i].version,
                    sloppy_visible(&record, i) ? "sibling" : "covered");
    json_close(json, ']');
    arena_free(&arena);
}

static void put_answer(const struct core *core, struct json *json, node_id id,
                       const struct stat_answer *answer)
{
    const struct member *member = swim_find(core, id);
    enum toystore_status status = answer->status;
    if (status == TOYSTORE_OK)
        status = (enum toystore_status)answer->reply.status;
    json_open(json, NULL, '{');
    json_text(json, "node", member ? member->name : "");
    json_hex64(json, "id", id);
    json_text(json, "status", toystore_status_word(status));
    if (answer->status == TOYSTORE_OK)
        put_record(json, &answer->reply);
    json_close(json, '}');
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
        put_answer(core, &json, stat->electorate.members[i], &stat->answers[i]);
    json_close(&json, ']');
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
    if (++stat->arrived == stat->electorate.member_count)
        stat_finish(core, stat, handle);
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
    for (unsigned i = 0; i < stat->electorate.member_count; i++)
        rpc_call(core, stat->electorate.members[i], METHOD_GET, blob_ref(params),
                 REPLICA_TIMEOUT_MS, on_answer, handle, i);
    blob_unref(&params);
}
