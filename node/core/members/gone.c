/* gone: members that were removed for good (PROTOCOL 7 Gone).
 *
 * Enters from move_change.c (asked for), swim and rpc (others tell), boot; leaves to the hooks
 * `gone`. */
#include <stdlib.h>

#include "core/members/members_priv.h"
#include "wire/cursor.h"
#include "wire/pack.h"

enum { GONE_NOTINGS_MAX = 1024 /* notes of who is gone, being written */ };

struct gone_noting {
    struct resume resume;
    struct timer again;
};

void gone_init(struct members *members)
{
    pool_init(&members->notings, sizeof(struct gone_noting), GONE_NOTINGS_MAX);
}

void gone_free(struct members *members)
{
    free(members->gone);
    pool_free(&members->notings);
}

bool gone_is(const struct core *core, node_id id)
{
    const struct members *members = core->members;
    for (size_t i = 0; i < members->gone_count; i++)
        if (members->gone[i] == id)
            return true;
    return false;
}

size_t gone_count(const struct core *core)
{
    return core->members->gone_count;
}

node_id gone_at(const struct core *core, size_t index)
{
    assert(index < core->members->gone_count);
    return core->members->gone[index];
}

static void add(struct core *core, node_id id)
{
    struct members *members = core->members;
    members->gone = base_realloc(members->gone, (members->gone_count + 1) * sizeof *members->gone);
    members->gone[members->gone_count++] = id;
    core->hooks->gone(core, id);
}

void gone_restore(struct core *core, struct slice value)
{
    struct cursor cursor = cursor_of(value);
    uint32_t count;
    node_id id;
    if (!cursor_array(&cursor, &count))
        return;
    for (uint32_t i = 0; i < count && cursor_u64(&cursor, &id); i++)
        if (!gone_is(core, id) && core->members->gone_count < GONE_MAX)
            add(core, id);
}

/* ---- noting ---- */

static void gone_write(struct core *core, uint64_t handle);

static void gone_again(struct core *core, struct timer *timer)
{
    gone_write(core, timer->handle);
}

static void noted(struct core *core, const struct core_event *event, struct resume resume)
{
    struct gone_noting *own = pool_get(&core->members->notings, resume.handle);
    struct resume next = own->resume;
    own->again.handle = resume.handle;
    if (disk_again(core, event->status, &own->again, gone_again))
        return;
    pool_delete(&core->members->notings, resume.handle);
    if (event->status != 0)
        core_stop(core, event->status, "which members are gone could not be written");
    if (next.fn)
        next.fn(core, event, next);
}

static void gone_write(struct core *core, uint64_t handle)
{
    const struct members *members = core->members;
    struct batch batch = {0};
    struct buf value = {0};
    pack_array(&value, (uint32_t)members->gone_count);
    for (size_t i = 0; i < members->gone_count; i++)
        pack_u64(&value, members->gone[i]);
    batch_put_blob(&batch, TOYSTORE_META, slice_str(META_GONE), buf_take(&value));
    disk_commit(core, &batch, true, resume_to(noted, handle, 0));
}

bool gone_note(struct core *core, const node_id *ids, size_t count, struct resume resume)
{
    struct members *members = core->members;
    size_t before = members->gone_count;
    pool_handle handle;
    if (gone_count(core) + count > GONE_MAX)
        return false;
    struct gone_noting *waiting = pool_new(&members->notings, &handle);
    if (!waiting)
        return false;
    waiting->resume = resume;
    for (size_t i = 0; i < count; i++)
        if (!gone_is(core, ids[i]))
            add(core, ids[i]);
    gone_write(core, handle);
    if (members->gone_count == before)
        return true;
    for (size_t i = before; i < members->gone_count; i++) {
        const struct member *member = members_find(core, members->gone[i]);
        core_log(core, LOG_WARNING,
                 "%s (%016llx) was removed for good: should it come back, it stops",
                 member != NULL ? member->name : "a member", (unsigned long long)members->gone[i]);
        if (members->gone[i] == core->id)
            core_stop(core, -EOWNERDEAD, CORE_GONE_MESSAGE);
        core->hooks->gone_noted(core, members->gone[i]);
    }
    if (!core->stopped)
        core->hooks->fewer(core);
    return true;
}
