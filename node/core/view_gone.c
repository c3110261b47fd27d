/* view_gone: members of which it was stated that they will never come back (PROTOCOL 7 Gone). They
 * are marked in every layout that is known here, so that no quorum is larger than what is left;
 * nobody hears them, nobody waits for them, and their ids are refused for ever.
 *
 * The set only grows. Who knows it later waits a little longer for those who will never answer, and
 * so does nothing that others would not.
 * Enters from move (remove --force, and what others tell); leaves to view_changed. */
#include <stdlib.h>

#include "core/view_priv.h"
#include "wire/pack.h"

bool view_is_gone(const struct core *core, node_id id)
{
    const struct views *views = core->views;
    for (size_t i = 0; i < views->gone_count; i++)
        if (views->gone[i] == id)
            return true;
    return false;
}

size_t view_gone_count(const struct core *core)
{
    return core->views->gone_count;
}

node_id view_gone_at(const struct core *core, size_t index)
{
    assert(index < core->views->gone_count);
    return core->views->gone[index];
}

static void mark(struct layout *layout, node_id id)
{
    for (size_t i = 0; i < layout->member_count; i++)
        layout->members[i].gone = layout->members[i].gone || layout->members[i].id == id;
}

void view_mark_gone(const struct views *views, struct layout *layout)
{
    for (size_t i = 0; i < views->gone_count; i++)
        mark(layout, views->gone[i]);
}

static void add(struct views *views, node_id id)
{
    views->gone = base_realloc(views->gone, (views->gone_count + 1) * sizeof *views->gone);
    views->gone[views->gone_count++] = id;
    for (size_t i = 0; i < VIEW_LAYOUTS_MAX; i++)
        if (views->layouts[i])
            mark(views->layouts[i], id);
}

void view_restore_gone(struct core *core, struct slice value)
{
    struct cursor cursor = cursor_of(value);
    uint32_t count;
    node_id id;
    if (!cursor_array(&cursor, &count))
        return;
    for (uint32_t i = 0; i < count && cursor_u64(&cursor, &id); i++)
        if (!view_is_gone(core, id) && core->views->gone_count < GONE_MAX)
            add(core->views, id);
}

/* ---- noting ---- */

static void gone_write(struct core *core, uint64_t handle);

static void gone_again(struct core *core, struct timer *timer)
{
    gone_write(core, timer->handle);
}

static void noted(struct core *core, const struct core_event *event, struct resume resume)
{
    struct gone_noting *own = pool_get(&core->views->gone_notings, resume.handle);
    struct resume next = own->resume;
    own->again.handle = resume.handle;
    if (disk_again(core, event->status, &own->again, gone_again))
        return;
    pool_delete(&core->views->gone_notings, resume.handle);
    if (event->status != 0)
        core_stop(core, event->status, "which members are gone could not be written");
    if (next.fn)
        next.fn(core, event, next);
}

static void gone_write(struct core *core, uint64_t handle)
{
    const struct views *views = core->views;
    struct batch batch = {0};
    struct buf value = {0};
    pack_array(&value, (uint32_t)views->gone_count);
    for (size_t i = 0; i < views->gone_count; i++)
        pack_u64(&value, views->gone[i]);
    batch_put_blob(&batch, TOYSTORE_META, slice_str(META_GONE), buf_take(&value));
    disk_commit(core, &batch, true, resume_to(noted, handle, 0));
}

bool view_note_gone(struct core *core, const node_id *ids, size_t count, struct resume resume)
{
    struct views *views = core->views;
    size_t before = views->gone_count;
    pool_handle handle;
    if (view_gone_count(core) + count > GONE_MAX)
        return false;
    struct gone_noting *waiting = pool_new(&views->gone_notings, &handle);
    if (!waiting)
        return false;
    waiting->resume = resume;
    for (size_t i = 0; i < count; i++)
        if (!view_is_gone(core, ids[i]))
            add(views, ids[i]);
    gone_write(core, handle);
    if (views->gone_count == before)
        return true;
    for (size_t i = before; i < views->gone_count; i++) {
        const struct member *member = swim_find(core, views->gone[i]);
        core_log(core, LOG_WARNING,
                 "%s (%016llx) was removed for good: should it come back, it stops",
                 member != NULL ? member->name : "a member", (unsigned long long)views->gone[i]);
        if (views->gone[i] == core->id)
            core_stop(core, -EOWNERDEAD, CORE_GONE_MESSAGE);
        swim_on_gone(core, views->gone[i]);
    }
    if (!core->stopped && views->newest != 0)
        view_changed(core);
    return true;
}
