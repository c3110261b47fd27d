/* view_admit: the view check before every request between members (PROTOCOL 1 view), and the
 * waiting for a newer view: of a request that came under one (parked), and of an asker that was
 * told STALE (adopts).
 * Enters from replica, lead, tree ... (handlers) and coord (askers); leaves to view_learn (layouts)
 * and the disk (epochs), then back through the hook `request` or the asker's done. */
#include "core/view/view_priv.h"

static void wait_step(struct core *core, struct view_wait *wait);

static void wait_free(struct core *core, struct view_wait *wait)
{
    timer_cancel(core, &wait->timer);
    list_remove(&wait->link);
    blob_unref(&wait->request.frame);
    core->views->parked -= wait->parked;
    pool_delete(&core->views->waits, wait->self);
}

static void wait_timer(struct core *core, struct timer *timer)
{
    struct view_wait *wait = pool_get(&core->views->waits, timer->handle);
    wait_step(core, wait);
}

static struct view_wait *wait_new(struct core *core, uint32_t partition, const struct view *theirs,
                                  node_id from, unsigned timeout_ms)
{
    struct views *views = core->views;
    pool_handle handle;
    struct view_wait *wait = pool_new(&views->waits, &handle);
    if (!wait)
        return NULL;
    wait->self = handle;
    wait->partition = partition;
    wait->theirs = *theirs;
    wait->from = from;
    wait->until_us = core->now_us + timeout_ms * 1000ull;
    wait->timer.handle = handle;
    list_push_back(&views->waiting, &wait->link);
    return wait;
}

static void wait_finish(struct core *core, struct view_wait *wait, bool reached)
{
    struct rpc_request request = wait->request;
    view_done_fn *done = wait->done;
    uint64_t handle = wait->handle;
    bool parked = wait->parked;
    wait->request.frame = NULL;
    wait_free(core, wait);
    if (!parked) {
        if (done)
            done(core, handle);
        return;
    }
    if (reached)
        core->hooks->request(core, &request);
    else
        rpc_fail(core, &request.origin, TOYSTORE_BUSY, "the newer view could not be learned");
    blob_unref(&request.frame);
}

static void raised(struct core *core, const struct core_event *event, struct resume resume)
{
    struct view_wait *wait = pool_get(&core->views->waits, resume.handle);
    (void)event;
    if (!wait)
        return;
    wait->raising = false;
    wait_step(core, wait);
}

/* Is this node as far? While it leaves out what was collected it is not. */
static bool reached(const struct core *core, uint32_t partition, const struct view *theirs)
{
    const struct views *views = core->views;
    struct view mine = view_of(core, partition);
    if (!view_at_least(&mine, theirs))
        return false;
    const struct partition *own =
        partition < views->partition_count ? &views->slots[partition].now : NULL;
    return own == NULL || !own->forgets || own->mute; /* mute: others may wait for what it has */
}

/* One step nearer to their view; a step that has to wait is taken again by its timer at the
 * latest. */
static void wait_step(struct core *core, struct view_wait *wait)
{
    struct view mine = view_of(core, wait->partition);
    if (reached(core, wait->partition, &wait->theirs)) {
        wait_finish(core, wait, true);
        return;
    }
    const struct views *views = core->views;
    bool no_such = views->slots && wait->partition >= views->partition_count;
    if (no_such || core->now_us >= wait->until_us) {
        wait_finish(core, wait, false);
        return;
    }
    timer_set(core, &wait->timer, min_u64(core->now_us + VIEW_RETRY_MS * 1000, wait->until_us),
              wait_timer);
    if (mine.oldest < wait->theirs.oldest || mine.newest < wait->theirs.newest) {
        view_fetch(core, wait->from);
        return;
    }
    if (mine.epoch >= wait->theirs.epoch) {
        core->hooks->collected(core, wait->partition, wait->theirs.collected);
        return; /* soon: view_wake() */
    }
    bool written = views->slots[wait->partition].epoch_coming >= wait->theirs.epoch;
    if (wait->raising || written)
        return; /* soon: view_wake() */
    wait->raising = true;
    view_raise(core, wait->partition, wait->theirs.epoch, resume_to(raised, wait->self, 0));
}

void view_wake(struct core *core)
{
    struct views *views = core->views;
    LIST_EACH(link, &views->waiting)
    {
        /* By its timer: this is deep inside what just changed the view. */
        struct view_wait *wait = container_of(link, struct view_wait, link);
        if (!wait->raising)
            timer_set(core, &wait->timer, core->now_us, wait_timer);
    }
}

enum admit view_admit(struct core *core, uint32_t partition, const struct view *theirs,
                      const struct rpc_request *request)
{
    struct view mine = view_of(core, partition);
    bool no_such = partition >= core->views->partition_count && mine.newest != 0;
    bool nobody_knows = mine.newest == 0 && theirs->newest == 0;
    if (no_such || nobody_knows)
        return ADMIT_STALE;
    if (BROKEN(core, views_ignored) && request->method != METHOD_TREE &&
        request->method != METHOD_COMPARE)
        return ADMIT_OK;
    if (!view_at_least(theirs, &mine))
        return ADMIT_STALE;
    if (reached(core, partition, theirs))
        return ADMIT_OK;
    struct view_wait *wait = NULL;
    if (core->views->parked < VIEW_PARKED_MAX)
        wait = wait_new(core, partition, theirs, request->from, VIEW_PARK_MS);
    if (!wait) {
        rpc_fail(core, &request->origin, TOYSTORE_BUSY, "too many requests wait for a newer view");
        return ADMIT_PARKED;
    }
    wait->parked = true;
    core->views->parked++;
    wait->request = *request;
    blob_ref(request->frame);
    wait_step(core, wait);
    return ADMIT_PARKED;
}

bool view_learning(const struct core *core)
{
    const struct views *views = core->views;
    return views->fetch.running || views->installs.count != 0 || !list_empty(&views->waiting);
}

void view_adopt(struct core *core, uint32_t partition, const struct view *theirs, node_id from,
                unsigned timeout_ms, view_done_fn *done, uint64_t handle)
{
    struct view_wait *wait = wait_new(core, partition, theirs, from, timeout_ms);
    assert(wait); /* askers are this node's own: calls, and partitions that it seeks to lead */
    wait->done = done;
    wait->handle = handle;
    timer_set(core, &wait->timer, core->now_us, wait_timer); /* never from inside */
}
