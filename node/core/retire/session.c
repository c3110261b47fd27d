/* session: the sessions under which this node names its operations.
 *
 * Each process has its own. A client that was taken for dead finds its session retired when it
 * wakes up, and goes on under a new one: what is begun from then on has a name that nobody refuses.
 * So does whoever has left a sibling somewhere, and goes on from another version of that key: a
 * later op of the same session would stand for it. What was begun before keeps the old name, and is
 * refused, never renamed in silence: who has named chunks under it must store them anew.
 *
 * A storing member remembers on its disk under which sessions it has stored chunks ("sessions" of
 * TOYSTORE_META). Those of earlier processes it retires when it is there again, so that what these
 * had stored and not published, or not yet deleted, is swept. Enters from ask_put.c (an operation
 * was refused), retire_tell.c (somebody says so), coord_store.c and boot; leaves to
 * retire_propose.c. */
#include "core/retire/retire.h"
#include "core/state/state.h"
#include "core/swim/swim.h"

#include <stdlib.h>

#include "wire/pack.h"

enum {
    PAST_MAX = 256
}; /* sessions that wait to be retired; of older ones chunks may stay behind */

static void save(struct core *core)
{
    struct batch batch = {0};
    struct buf out = {0};
    pack_array(&out, (uint32_t)core->past_count + core->session_stored);
    for (size_t i = 0; i < core->past_count; i++)
        pack_bytes(&out, slice_of(core->past[i].bytes, SESSION_SIZE));
    if (core->session_stored)
        pack_bytes(&out, slice_of(core->session.bytes, SESSION_SIZE));
    batch_put_blob(&batch, TOYSTORE_META, slice_str(META_SESSIONS), buf_take(&out));
    disk_commit(core, &batch, false, (struct resume){0});
}

static void add_past(struct core *core, const struct session *session)
{
    if (core->past_count == PAST_MAX)
        memmove(core->past, core->past + 1, --core->past_count * sizeof *core->past);
    core->past = base_realloc(core->past, (core->past_count + 1) * sizeof *core->past);
    core->past[core->past_count++] = *session;
}

void session_renew(struct core *core, const struct session *old)
{
    if (session_compare(&core->session, old) != 0)
        return;
    core_log(core, LOG_WARNING,
             "goes on under a new session: the old one was retired, or has a sibling that stays");
    if (core->session_stored)
        add_past(core, &core->session);
    core->session_stored = false;
    prng_bytes(&core->prng, core->session.bytes, SESSION_SIZE);
    core->self.session = core->session;
    swim_update_self(core);
}

/* The note is on its way to the disk before any chunk is. */
void session_stores(struct core *core, const struct session *session)
{
    if (!core->config.storing || core->session_stored ||
        session_compare(&core->session, session) != 0)
        return;
    core->session_stored = true;
    save(core);
}

bool session_restore(struct core *core, struct slice value)
{
    struct cursor cursor = cursor_of(value);
    uint32_t count;
    struct slice bytes;
    if (!cursor_array(&cursor, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct session session;
        if (!cursor_bytes(&cursor, &bytes) || bytes.size != SESSION_SIZE)
            return false;
        memcpy(session.bytes, bytes.data, SESSION_SIZE);
        add_past(core, &session);
    }
    return true;
}

void session_retire_past(struct core *core)
{
    size_t kept = 0;
    for (size_t i = 0; i < core->past_count; i++) {
        if (retire_noted(core, &core->past[i]))
            continue;
        core->hooks->session_over(core, &core->past[i], core->config.name);
        core->past[kept++] = core->past[i];
    }
    bool changed = kept != core->past_count;
    core->past_count = kept;
    if (changed)
        save(core);
}
