/* view_gone: members that will never come back (PROTOCOL 7 Gone) are marked in every layout that is
 * known here, so that no quorum is larger than what is left; nobody hears them, nobody waits for
 * them, and their ids are refused for ever.
 *
 * The set only grows. Who knows it later waits a little longer for those who will never answer, and
 * so does nothing that others would not.
 * Enters from gone.c, by its hooks; leaves to view_changed. */
#include "core/members/members.h"
#include "core/view/view_priv.h"

static void mark(struct layout *layout, node_id id)
{
    for (size_t i = 0; i < layout->member_count; i++)
        layout->members[i].gone = layout->members[i].gone || layout->members[i].id == id;
}

void view_mark_gone(const struct core *core, struct layout *layout)
{
    for (size_t i = 0; i < gone_count(core); i++)
        mark(layout, gone_at(core, i));
}

void view_on_gone(struct core *core, node_id id)
{
    for (size_t i = 0; i < VIEW_LAYOUTS_MAX; i++)
        if (core->views->layouts[i])
            mark(core->views->layouts[i], id);
}

void view_on_fewer(struct core *core)
{
    if (core->views->newest != 0)
        view_changed(core);
}
