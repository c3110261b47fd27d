/* founding: options that found a cluster, given to a node of one that was founded with others: they
 * are not taken in silence. N and Q stay the founder's; W and R become what requests
 * that are asked of this node wait for, W never less than the cluster's.
 *
 * Enters from: move.c, once, when the node is ready. */
#include "core/move/move.h"

#include "core/state/state.h"
#include "core/view/view.h"
#include "rules/layout.h"

static void stays(struct core *core, bool given, const char *option, uint32_t asked,
                  uint32_t founded)
{
    if (given && asked != founded)
        core_log(core, LOG_WARNING, "--%s %u changes nothing: this cluster was founded with %u",
                 option, asked, founded);
}

void founding_compare(struct core *core)
{
    const struct core_config *config = &core->config;
    const struct layout *layout = view_newest(core);
    uint32_t w = config->write_quorum, r = config->read_quorum;
    stays(core, config->replicas_given, "replicas", config->replicas, layout->n);
    stays(core, config->partitions_given, "partitions", config->partitions, layout->partitions);
    stays(core, config->write_quorum_given && w < layout->w, "write-quorum", w, layout->w);
    if (config->write_quorum_given && w > layout->w)
        core_log(core, LOG_INFO,
                 "--write-quorum %u: what is put through this node waits for %u copies, not for "
                 "the cluster's %u",
                 w, w, layout->w);
    if (config->read_quorum_given && r != layout->r)
        core_log(core, r < layout->r ? LOG_WARNING : LOG_INFO,
                 "--read-quorum %u: gets through this node wait for %u answers, not for the "
                 "cluster's %u%s",
                 r, r, layout->r, r < layout->r ? ", and may miss the newest" : "");
}
