/* move: the life of a cluster seen from one member: founding it or being taken in, then following
 * its layouts (PROTOCOL 7). One timer looks at what is due; events only make it come sooner.
 * Enters from boot (start), view (something changed) and swim (members); leaves to move_*.c. */
#include "core/move/move_priv.h"

#include <stdlib.h>

struct move *move_new(struct core *core)
{
    (void)core;
    struct move *move = base_alloc(sizeof *move);
    move->version = 1;
    move_holds_init(move);
    move_raises_init(move);
    move_changes_init(move);
    move_give_init(move);
    return move;
}

void move_free(struct move *move)
{
    if (!move)
        return;
    blob_unref(&move->proposal);
    move_holds_free(move);
    move_raises_free(move);
    pool_free(&move->changes);
    free(move->removals);
    move_recover_free(move);
    move_give_free(move);
    free(move);
}

/* Layout 1 has the founder alone, which holds everything. */
static void found_cluster(struct core *core)
{
    const struct core_config *config = &core->config;
    uint8_t cluster[CLUSTER_ID_SIZE];
    prng_bytes(&core->prng, cluster, sizeof cluster);
    struct layout_member self = {.id = core->id, .weight = config->weight};
    memcpy(self.zone, config->zone, sizeof self.zone);
    struct layout *layout = layout_new(1, cluster, config->partitions, config->replicas,
                                       config->write_quorum, config->read_quorum, &self, 1);
    core->move->founding = true;
    core_log(core, LOG_INFO, "founds a new cluster");
    view_found(core, layout);
}

static bool in_cluster(const struct core *core)
{
    static const uint8_t none[CLUSTER_ID_SIZE];
    return view_newest(core) || memcmp(core->self.cluster, none, CLUSTER_ID_SIZE) != 0;
}

static void check_ready(struct core *core)
{
    const struct layout *newest = view_newest(core);
    bool outside = core->move->place != PLACE_IN; /* it coordinates for others, owning nothing */
    if (!core->ready && newest &&
        (!core->config.storing || outside || layout_find(newest, core->id))) {
        founding_compare(core);
        core_set_ready(core);
    }
}

static void say_waiting(struct core *core)
{
    struct move *move = core->move;
    if (core->ready || move->founding || core->now_us < move->say_at_us)
        return;
    move->say_at_us = core->now_us + MOVE_SAY_MS * 1000;
    if (!in_cluster(core))
        core_log(core, LOG_WARNING, "waiting for a seed to answer (%s%s)",
                 core->config.seed_count ? core->config.seeds[0] : "none given",
                 core->config.seed_count > 1 ? " and others" : "");
    else
        core_log(core, LOG_WARNING, "waiting to be taken into the cluster's layout");
}

/* Q is known from the first layout on. */
static bool sized(struct core *core)
{
    struct move *move = core->move;
    uint32_t count = view_partition_count(core);
    if (move->not_before_us || count == 0)
        return count != 0;
    move->not_before_us = base_alloc(count * sizeof *move->not_before_us);
    move->targets = base_alloc(count * sizeof *move->targets);
    move->approvals = base_alloc(count * sizeof *move->approvals);
    move->kept = base_alloc(count * sizeof *move->kept);
    return true;
}

static void step(struct core *core, struct timer *timer)
{
    timer_set_after_ms(core, timer, MOVE_STEP_MS, step);
    say_waiting(core);
    move_choose(core);
    if (!core->config.storing || !sized(core))
        return;
    move_recover(core);
    move_hold(core);
    move_tell(core);
    move_check_finish(core); /* of what was held before a start, too */
    move_give(core);
}

void move_wake(struct core *core)
{
    if (core->started)
        timer_set(core, &core->move->step, core->now_us, step);
}

void move_start(struct core *core)
{
    struct move *move = core->move;
    move->say_at_us = core->now_us + MOVE_SAY_MS * 1000 / 5;
    timer_set_after_ms(core, &move->step, MOVE_STEP_MS, step);
    if (core->config.storing && core->config.seed_count == 0 && !in_cluster(core))
        found_cluster(core);
    move_place_changed(core);
    check_ready(core);
}

void move_view_changed(struct core *core)
{
    core->move->version++;
    move_place_changed(core);
    check_ready(core);
    move_wake(core);
}

void move_on_member(struct core *core, const struct member *member)
{
    (void)member;
    move_wake(core);
}
