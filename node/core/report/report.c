/* report: members, ring, status, metrics and locate KEY, from local memory: they work when the
 * cluster does not. */
#include "core/report/report.h"
#include "core/collect/collect.h"
#include "core/coord/lead.h"
#include "core/move/move.h"
#include "core/repair/entropy.h"
#include "core/replica/hint.h"
#include "core/replica/tree.h"
#include "core/retire/retire.h"
#include "core/view/view.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "core/replica/replica_priv.h"
#include "core/rpc/rpc_priv.h"
#include "core/swim/swim_priv.h"
#include "rules/key.h"

enum { REPORTS_MAX = 64 }; /* of each kind that asks others */

struct reports *reports_new(void)
{
    struct reports *reports = base_alloc(sizeof *reports);
    pool_init(&reports->stats, report_stat_size, REPORTS_MAX);
    pool_init(&reports->plans, report_plan_size, REPORTS_MAX);
    pool_init(&reports->samples, report_sample_size, REPORTS_MAX);
    return reports;
}

static void clear(struct pool *pool, void (*clear_one)(void *object))
{
    for (size_t i = 0; i < pool->capacity; i++)
        clear_one(pool->objects[i]);
    pool_free(pool);
}

void reports_free(struct reports *reports)
{
    clear(&reports->stats, report_stat_clear);
    clear(&reports->plans, report_plan_clear);
    clear(&reports->samples, report_sample_clear);
    free(reports);
}

static const char *state_word(enum toystore_member_state state)
{
    static const char *const words[] = {"alive", "suspect", "dead", "left"};
    return words[state];
}

void report_cluster(struct json *json, const char *name, const uint8_t *id)
{
    char text[2 * CLUSTER_ID_SIZE + 1];
    for (size_t i = 0; i < CLUSTER_ID_SIZE; i++)
        snprintf(text + 2 * i, 3, "%02x", id[i]);
    json_text(json, name, text);
}

/* ---- members ---- */

static void report_members(const struct core *core, struct json *json)
{
    json_open(json, NULL, '[');
    for (size_t i = 0; i < members_count(core); i++) {
        const struct member *member = members_at(core, i);
        json_open(json, NULL, '{');
        json_text(json, "name", member->name);
        json_hex64(json, "id", member->id);
        json_text(json, "state", state_word(member->state));
        json_bool(json, "storing", member->storing);
        json_text(json, "host", member->rpc.host);
        json_u64(json, "rpc_port", member->rpc.port);
        json_u64(json, "gossip_port", member->gossip.port);
        json_text(json, "zone", member->zone);
        json_u64(json, "weight", member->weight);
        json_u64(json, "layout", member->layout_newest);
        json_u64(json, "incarnation", member->incarnation);
        json_i64(json, "clock_ahead_ms", swim_clock_ahead_us(core, i) / 1000);
        json_close(json, '}');
    }
    json_close(json, ']');
}

/* ---- status ---- */

struct partition_counts {
    size_t owned, held, mute, led;
    uint64_t keys;
};

static struct partition_counts count_partitions(struct core *core)
{
    struct partition_counts counts = {0};
    struct ballot ballot;
    for (uint32_t p = 0; core->config.storing && p < view_partition_count(core); p++) {
        const struct partition *partition = view_partition(core, p);
        counts.keys += tree_key_count(core, p);
        if (!view_owner(core, p, core->id))
            continue;
        counts.owned++;
        counts.held += view_holds(core, p);
        counts.mute += partition->mute;
        counts.led += lead_leads(core, p, &ballot);
    }
    return counts;
}

/* Members whose wall clocks are far ahead of this node's. */
static void put_clocks(const struct core *core, struct json *json)
{
    json_open(json, "clocks_ahead", '[');
    for (size_t i = 1; i < members_count(core); i++)
        if (swim_clock_wrong(core, i) && members_alive(core, members_at(core, i)->id))
            json_text(json, NULL, members_at(core, i)->name);
    json_close(json, ']');
}

static int64_t clock_ahead_max(const struct core *core)
{
    int64_t ahead_us = 0;
    for (size_t i = 1; i < members_count(core); i++)
        if (swim_clock_ahead_us(core, i) > ahead_us && members_alive(core, members_at(core, i)->id))
            ahead_us = swim_clock_ahead_us(core, i);
    return ahead_us;
}

static void put_address(struct json *json, const char *name, const struct address *address)
{
    char text[HOST_SIZE_MAX + 10];
    snprintf(text, sizeof text, strchr(address->host, ':') ? "[%s]:%u" : "%s:%u", address->host,
             address->port);
    json_text(json, name, text);
}

static void report_status(struct core *core, struct json *json)
{
    const struct layout *oldest = view_oldest(core), *newest = view_newest(core);
    struct partition_counts counts = count_partitions(core);
    json_open(json, NULL, '{');
    json_text(json, "name", core->self.name);
    json_hex64(json, "id", core->id);
    put_address(json, "rpc_address", &core->self.rpc);
    json_text(json, "version", TOYSTORE_VERSION);
    json_text(json, "cluster_name", core->config.cluster_name);
    report_cluster(json, "cluster", core->self.cluster);
    json_bool(json, "ready", core->ready);
    json_bool(json, "storing", core->config.storing);
    json_text(json, "place", core->config.storing ? move_place(core) : "client");
    json_u64(json, "layout", newest ? newest->number : 0);
    json_u64(json, "layout_members", newest ? newest->member_count : 0);
    json_u64(json, "live_layouts", newest ? newest->number - oldest->number + 1 : 0);
    json_bool(json, "moving", newest != oldest);
    json_u64(json, "members_alive", members_alive_count(core));
    json_u64(json, "members", members_count(core));
    report_absent(core, json);
    put_clocks(core, json);
    json_u64(json, "partitions_owned", counts.owned);
    json_u64(json, "partitions_held", counts.held);
    json_u64(json, "partitions_unheld", counts.owned - counts.held);
    json_u64(json, "partitions_recovering", counts.mute);
    json_u64(json, "partitions_led", counts.led);
    json_u64(json, "keys", counts.keys);
    json_u64(json, "hints", hints_count(core, 0));
    hints_report(core, json);
    struct entropy_progress repair;
    entropy_progress(core, &repair);
    json_u64(json, "repair_left", repair.left);
    json_u64(json, "repair_lag_ms", repair.lag_us / 1000);
    json_u64(json, "scrub_permille", repair.permille);
    report_movements(core, json);
    collect_report(core, json);
    retire_report(core, json);
    json_close(json, '}');
}

/* ---- metrics ---- */

static void report_metrics(struct core *core, struct json *json)
{
    struct entropy_progress repair;
    entropy_progress(core, &repair);
    const struct rpc *rpc = core->rpc;
    const struct swim *swim = core->swim;
    json_open(json, NULL, '{');
    json_u64(json, "uptime_ms", (core->now_us - swim->started_us) / 1000);
    json_u64(json, "operations", core->sequence);
    json_u64(json, "calls_open", core->calls_open);
    json_u64(json, "rpc_calls", rpc->calls);
    json_u64(json, "rpc_answers", rpc->answers);
    json_u64(json, "rpc_timeouts", rpc->timeouts);
    json_u64(json, "rpc_refused", rpc->refused);
    json_u64(json, "rpc_open", rpc->open_count);
    json_u64(json, "rpc_served", rpc->served);
    json_u64(json, "rpc_serving", rpc->inbound_open);
    json_u64(json, "rpc_p95_us", rpc->p95_us);
    json_u64(json, "connections_in", rpc->inbounds.count);
    json_u64(json, "connections_out", rpc->peers_by_conn.count);
    json_u64(json, "probes", swim->probes);
    json_u64(json, "probes_failed", swim->probes_failed);
    json_u64(json, "suspicions_refuted", swim->refutes);
    json_u64(json, "awareness", swim->awareness);
    json_i64(json, "clock_ahead_ms_max", clock_ahead_max(core) / 1000);
    json_u64(json, "datagrams_in", swim->datagrams_in);
    json_u64(json, "datagrams_out", swim->datagrams_out);
    json_u64(json, "datagrams_bad", swim->datagrams_bad);
    json_u64(json, "hints", hints_count(core, 0));
    json_u64(json, "repair_lag_ms", repair.lag_us / 1000);
    json_u64(json, "scrub_passes", repair.passes);
    json_u64(json, "scrub_read", repair.read);
    json_u64(json, "copies_damaged", core->replica->damaged);
    json_u64(json, "copies_mended", core->replica->mended);
    retire_report(core, json);
    json_close(json, '}');
}

/* ---- locate ---- */

static void put_place(const struct core *core, struct json *json, node_id id, const char *role)
{
    const struct member *member = members_find(core, id);
    json_open(json, NULL, '{');
    json_text(json, "role", role);
    json_hex64(json, "id", id);
    json_text(json, "name", member ? member->name : "");
    json_text(json, "host", member ? member->rpc.host : "");
    json_u64(json, "rpc_port", member ? member->rpc.port : 0);
    json_text(json, "state", member ? state_word(member->state) : "unknown");
    json_close(json, '}');
}

static void report_locate(struct core *core, struct json *json, struct slice key)
{
    const struct layout *layout = view_newest(core);
    json_open(json, NULL, '{');
    json_bytes(json, "key", key);
    if (layout != NULL) {
        uint32_t partition = view_partition_of(core, key);
        node_id ranked[REPLICAS_MAX];
        struct electorate electorate;
        view_electorate_key(core, key, 0, 0, &electorate);
        json_u64(json, "partition", partition);
        json_u64(json, "layout", layout->number);
        json_open(json, "replicas", '[');
        for (unsigned i = 0; i < electorate.member_count; i++)
            put_place(core, json, electorate.members[i], "owner");
        size_t count = layout_rank(layout, partition, ranked, REPLICAS_MAX);
        for (size_t i = 0; i < count; i++)
            if (electorate_index(&electorate, ranked[i]) < 0)
                put_place(core, json, ranked[i], "fallback");
        json_close(json, ']');
    }
    json_close(json, '}');
}

/* ---- the doors ---- */

bool report_make(struct core *core, struct slice what, struct slice argument, struct buf *out)
{
    struct json json = {.out = out};
    if (!core->started)
        return false;
    if (slice_equal(what, slice_str("members")))
        report_members(core, &json);
    else if (slice_equal(what, slice_str("ring")))
        report_ring(core, &json);
    else if (slice_equal(what, slice_str("status")))
        report_status(core, &json);
    else if (slice_equal(what, slice_str("metrics")))
        report_metrics(core, &json);
    else if (slice_equal(what, slice_str("locate")))
        report_locate(core, &json, argument);
    else
        return false;
    buf_append(out, "\n", 1);
    return true;
}

void report_handle(struct core *core, const struct rpc_request *request)
{
    struct report_request ask;
    char error[160];
    if (!report_request_decode(request->params, &ask)) {
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "malformed Report");
        return;
    }
    bool of_key =
        slice_equal(ask.what, slice_str("stat")) || slice_equal(ask.what, slice_str("locate"));
    enum toystore_status status =
        of_key ? key_check(ask.argument, error, sizeof error) : TOYSTORE_OK;
    if (status != TOYSTORE_OK) {
        rpc_fail(core, &request->origin, status, error);
        return;
    }
    if (slice_equal(ask.what, slice_str("stat"))) {
        report_stat(core, request, ask.argument);
        return;
    }
    if (slice_equal(ask.what, slice_str("plan"))) {
        report_plan(core, request, ask.argument);
        return;
    }
    struct buf out = {0};
    if (slice_equal(ask.what, slice_str("collect"))) {
        collect_asked(core);
        ask.what = slice_str("status");
    }
    if (report_make(core, ask.what, ask.argument, &out))
        RPC_REPLY(core, &request->origin, report_reply,
                  {.status = TOYSTORE_OK, .json = buf_slice(&out)});
    else
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "no such report");
    buf_free(&out);
}
