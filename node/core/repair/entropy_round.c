/* entropy_round: a round that a person asks for (`toystore repair`): every partition is compared
 * with every other owner, and every own copy is read again; then how far it is. Enters from
 * core.c and report.c; leaves to entropy.c, entropy_scrub.c and back to who asked. */
#include "base/json.h"
#include "core/repair/entropy_priv.h"
#include "core/replica/replica_priv.h"
#include "core/retire/retire.h"
#include "core/view/view.h"

static void begin(struct core *core)
{
    struct entropy *entropy = core->entropy;
    for (uint32_t i = 0; i < entropy->partition_count; i++) {
        struct entropy_partition *partition = &entropy->partitions[i];
        struct electorate electorate;
        if (!entropy_compares(core, i, &electorate))
            continue;
        partition->asked = entropy_peers(core, &electorate);
        partition->due |= partition->asked;
        partition->tried &= ~partition->asked;
    }
    core_log(core, LOG_INFO, "a round of repair begins, as somebody asked for");
    entropy_pump(core);
    scrub_begin(core);
    retire_sweep_again(core);
}

static bool any_reachable(const struct core *core, uint32_t number, uint32_t peers,
                          const struct electorate *electorate)
{
    for (unsigned i = 0; i < electorate->member_count; i++)
        if ((peers >> i & 1) != 0 && view_reachable(core, number, electorate->members[i]))
            return true;
    return false;
}

void entropy_progress(struct core *core, struct entropy_progress *ret)
{
    struct entropy *entropy = core->entropy;
    const struct scrub *scrub = &entropy->scrub;
    *ret = (struct entropy_progress){.reading = scrub->asked,
                                     .permille = scrub_permille(scrub),
                                     .read = scrub->keys_read,
                                     .passes = scrub->passes};
    for (uint32_t i = 0; i < entropy->partition_count; i++) {
        const struct entropy_partition *partition = &entropy->partitions[i];
        struct electorate electorate;
        if (!entropy_compares(core, i, &electorate) || electorate.member_count < 2)
            continue;
        ret->partitions++;
        ret->lag_us = max_u64(ret->lag_us, core->now_us - partition->compared_us);
        ret->left += partition->asked != 0;
        ret->absent +=
            partition->asked != 0 && !any_reachable(core, i, partition->asked, &electorate);
    }
}

void entropy_round_handle(struct core *core, const struct rpc_request *request)
{
    struct round_request ask;
    struct entropy_progress progress;
    if (!round_request_decode(request->params, &ask)) {
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "malformed Round");
        return;
    }
    if (ask.begin)
        begin(core);
    entropy_progress(core, &progress);
    struct buf out = {0};
    struct json json = {.out = &out};
    json_open(&json, NULL, '{');
    json_text(&json, "name", core->self.name);
    json_u64(&json, "partitions", progress.partitions);
    json_u64(&json, "left", progress.left);
    json_u64(&json, "absent", progress.absent);
    json_bool(&json, "reading", progress.reading);
    json_u64(&json, "read_permille", progress.permille);
    json_u64(&json, "read", progress.read);
    json_u64(&json, "damaged", core->replica->damaged);
    json_u64(&json, "mended", core->replica->mended);
    json_close(&json, '}');
    RPC_REPLY(core, &request->origin, report_reply,
              {.status = TOYSTORE_OK, .json = buf_slice(&out)});
    buf_free(&out);
}
