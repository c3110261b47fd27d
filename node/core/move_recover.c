/* move_recover: an owner that forgot something recovers (PROTOCOL 7 Forgetting). */
#include "core/move_priv.h"

void move_forgot(struct core *core)
{
    struct batch batch = {0};
    if (!core->config.storing)
        return;
    for (uint32_t i = 0; i < view_partition_count(core); i++) {
        if (!view_owner(core, i, core->id))
            continue;
        view_partition(core, i)->mute = true;
        view_save_partition(core, i, &batch);
    }
    core_log(core, LOG_WARNING, "the last writes before this start may be gone: recovers");
    disk_commit(core, &batch, true, (struct resume){0});
}
