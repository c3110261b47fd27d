/* move_finish: layout k is finished when in every partition q owners of k+1 hold it (PROTOCOL 7
 * finish); anyone may conclude this from the bitmaps.
 * Enters from move_tell.c and move_hold.c; leaves to view (k+1 alone is live). */
#include "core/move_priv.h"

static unsigned holders_of(struct core *core, const struct layout *layout, uint32_t partition)
{
    node_id owners[REPLICAS_MAX];
    size_t n = layout_owners(layout, partition, owners);
    unsigned count = 0;
    for (size_t i = 0; i < n; i++)
        count += move_peer_holds(core, owners[i], partition);
    return count;
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
    for (uint32_t i = 0; i < newest->partitions; i++) {
        struct electorate electorate;
        electorate_init(&electorate, newest, newest, i, 0, 0);
        if (holders_of(core, newest, i) < electorate.layouts[0].q)
            return;
    }
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
        if (!move_peer_took(core, owners[i], partition))
            return false;
    return true;
}
