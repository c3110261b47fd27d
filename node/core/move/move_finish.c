/* move_finish: layout k is finished when in every partition q owners of k+1 hold it (PROTOCOL 7
 * finish); anyone may conclude this from the bitmaps.
 * Enters from move_tell.c and move_hold.c; leaves to view (k+1 alone is live). */
#include "core/members/members.h"
#include "core/move/move_priv.h"

/* Do q owners hold it, or all that are left? What one that is gone for ever has held is gone. */
static bool enough_hold(struct core *core, const struct layout *layout, uint32_t partition)
{
    node_id owners[REPLICAS_MAX];
    size_t n = layout_owners(layout, partition, owners);
    unsigned count = 0, left = 0;
    for (size_t i = 0; i < n; i++) {
        bool gone = gone_is(core, owners[i]);
        left += !gone;
        count += (!gone || BROKEN(core, gone_holds)) && holder_holds(core, owners[i], partition);
    }
    struct electorate electorate;
    electorate_init(&electorate, layout, layout, partition, 0, 0);
    return count >= min_size(electorate.layouts[0].q, left);
}

static void finished(struct core *core, const struct core_event *event, struct resume resume)
{
    (void)event;
    (void)resume;
    core->move->finishing = false;
}

void move_check_finish(struct core *core)
{
    const struct layout *newest = view_newest(core);
    if (!newest || view_oldest(core) == newest || core->move->finishing)
        return;
    for (uint32_t i = 0; i < newest->partitions; i++)
        if (!enough_hold(core, newest, i))
            return;
    core_log(core, LOG_INFO, "layout %u is finished", view_oldest(core)->number);
    core->move->finishing = true;
    view_finish(core, newest->number, resume_to(finished, 0, 0));
}

bool move_everybody_holds(struct core *core, uint32_t partition)
{
    const struct layout *newest = view_newest(core);
    node_id owners[REPLICAS_MAX];
    size_t n = layout_owners(newest, partition, owners);
    for (size_t i = 0; i < n; i++)
        if (!holder_took(core, owners[i], partition))
            return false;
    return true;
}
