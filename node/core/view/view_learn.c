/* view_learn: how a layout becomes live here: fetched from a peer that knows it, or just chosen,
 * written durably, then in force; and epochs likewise (PROTOCOL 1 view, 7 choose and raise).
 * Enters from view_admit, move (a layout was chosen or finished) and gossip; leaves to
 * view_changed.
 */
#include "core/view/view_priv.h"

#include <stdio.h>

/* ---- layouts ---- */

static void install_write(struct core *core, uint64_t handle);

static void install_again(struct core *core, struct timer *timer)
{
    install_write(core, timer->handle);
}

static void installed(struct core *core, const struct core_event *event, struct resume resume)
{
    struct views *views = core->views;
    struct install *own = pool_get(&views->installs, resume.handle), install = *own;
    own->again.handle = resume.handle;
    if (disk_again(core, event->status, &own->again, install_again))
        return;
    pool_delete(&views->installs, resume.handle);
    if (event->status != 0) {
        core_stop(core, event->status, "a layout could not be written");
        return;
    }
    bool newer = install.newest > views->newest, older_ended = install.oldest > views->oldest;
    if (newer)
        views->newest = install.newest;
    if (older_ended)
        views->oldest = install.oldest;
    if (newer) {
        view_newest_changed(core);
        memcpy(core->self.cluster, view_newest(core)->cluster, CLUSTER_ID_SIZE);
        core->hooks->self_changed(core);
    }
    if (newer || older_ended) {
        core_log(core, LOG_INFO, "layouts %u to %u are live, %zu storing members", views->oldest,
                 views->newest, view_newest(core)->member_count);
        view_changed(core);
        view_wake(core);
    }
    if (install.resume.fn)
        install.resume.fn(core, event, install.resume);
}

static void write_layout(struct batch *batch, const struct layout *layout)
{
    char name[32];
    struct buf value = {0};
    snprintf(name, sizeof name, "layout/%u", layout->number);
    layout_encode(&value, layout);
    batch_put_blob(batch, TOYSTORE_META, slice_str(name), buf_take(&value));
    if (layout->number > VIEW_LAYOUTS_MAX) {
        snprintf(name, sizeof name, "layout/%u", layout->number - VIEW_LAYOUTS_MAX);
        batch_remove(batch, TOYSTORE_META, slice_str(name));
    }
}

/* Others may be on their way, or have been written since it was tried first. */
static void install_write(struct core *core, uint64_t handle)
{
    struct views *views = core->views;
    const struct install *install = pool_get(&views->installs, handle);
    uint32_t oldest = (uint32_t)max_u64(install->oldest, views->oldest_coming);
    uint32_t newest = (uint32_t)max_u64(install->newest, views->newest_coming);
    views->oldest_coming = oldest;
    views->newest_coming = newest;
    struct batch batch = {0};
    for (uint32_t i = 0; install->founds && i < views->partition_count; i++)
        view_save_partition(core, i, &batch);
    write_layout(&batch, view_layout(core, oldest));
    if (newest != oldest)
        write_layout(&batch, view_layout(core, newest));
    struct buf value = {0};
    wire_put_U32(&value, oldest);
    wire_put_U32(&value, newest);
    batch_put_blob(&batch, TOYSTORE_META, slice_str("layouts"), buf_take(&value));
    disk_commit(core, &batch, true, resume_to(installed, handle, 0));
}

/* Makes [oldest, newest] live; both are kept already. */
static void view_install(struct core *core, uint32_t oldest, uint32_t newest, bool founds,
                         struct resume resume)
{
    struct views *views = core->views;
    view_size_partitions(core, view_layout(core, newest)->partitions);
    if (BROKEN(core, ring_differs) && core->id % 2 == 1)
        view_layout(core, newest)->owners[0] = 0;
    pool_handle handle;
    struct install *install = pool_new(&views->installs, &handle);
    assert(install); /* fetches go one at a time; the others are this node's own few */
    *install =
        (struct install){.oldest = oldest, .newest = newest, .founds = founds, .resume = resume};
    install_write(core, handle);
}

void view_found(struct core *core, struct layout *layout)
{
    struct views *views = core->views;
    uint32_t number = layout->number;
    view_size_partitions(core, layout->partitions);
    for (uint32_t i = 0; i < views->partition_count; i++)
        views->slots[i].now.held = views->slots[i].held_coming = (struct era){number, 0};
    view_keep_layout(core, layout);
    view_install(core, number, number, true, (struct resume){0});
}

void view_finish(struct core *core, uint32_t newest, struct resume resume)
{
    assert(view_layout(core, newest));
    view_install(core, newest, (uint32_t)max_u64(newest, core->views->newest), false, resume);
}

/* False: a layout of another cluster, or one that cannot follow what is known. */
static bool layout_fits(const struct core *core, const struct layout *layout)
{
    const struct views *views = core->views;
    static const uint8_t none[CLUSTER_ID_SIZE];
    if (views->slots && layout->partitions != views->partition_count)
        return false;
    return memcmp(core->self.cluster, none, CLUSTER_ID_SIZE) == 0 ||
           memcmp(core->self.cluster, layout->cluster, CLUSTER_ID_SIZE) == 0;
}

void view_learn_layout(struct core *core, struct layout *layout, uint32_t oldest,
                       struct resume resume)
{
    struct views *views = core->views;
    uint32_t newest = layout->number;
    view_keep_layout(core, layout);
    oldest = (uint32_t)max_u64(oldest, views->oldest);
    newest = (uint32_t)max_u64(max_u64(newest, oldest), views->newest);
    assert(view_layout(core, oldest) && view_layout(core, newest));
    view_install(core, oldest, newest, false, resume);
}

/* ---- from a peer ---- */

static void fetch_ask(struct core *core, uint32_t number);

static void fetch_end(struct core *core)
{
    struct fetch *fetch = &core->views->fetch;
    fetch->running = false;
    layout_free(fetch->newest_layout);
    fetch->newest_layout = NULL;
}

static void fetch_installed(struct core *core, const struct core_event *event, struct resume resume)
{
    (void)event;
    (void)resume;
    fetch_end(core);
}

static void fetch_use(struct core *core)
{
    struct views *views = core->views;
    struct fetch *fetch = &views->fetch;
    struct layout *newest = fetch->newest_layout;
    fetch->newest_layout = NULL;
    if (newest)
        view_keep_layout(core, newest);
    if (!view_layout(core, fetch->oldest)) {
        fetch_ask(core, fetch->oldest);
        return;
    }
    view_install(core, (uint32_t)max_u64(fetch->oldest, views->oldest),
                 (uint32_t)max_u64(fetch->newest, views->newest), false,
                 resume_to(fetch_installed, 0, 0));
}

static void fetch_answer(struct core *core, uint64_t handle, uint64_t number,
                         const struct rpc_answer *answer)
{
    struct views *views = core->views;
    struct fetch *fetch = &views->fetch;
    struct layout_reply reply;
    (void)handle;
    if (answer->status != TOYSTORE_OK || !layout_reply_decode(answer->result, &reply) ||
        reply.status != TOYSTORE_OK || reply.oldest == 0 || reply.newest < reply.oldest ||
        reply.newest > reply.oldest + 1) {
        fetch_end(core);
        return;
    }
    struct layout *layout = layout_decode(reply.layout);
    if (!layout || !layout_fits(core, layout) || (number != 0 && layout->number != number) ||
        (number == 0 && layout->number != reply.newest)) {
        core_log(core, LOG_WARNING, "a member sent a layout that is not one of this cluster");
        layout_free(layout);
        fetch_end(core);
        return;
    }
    if (number == 0) {
        fetch->oldest = reply.oldest;
        fetch->newest = reply.newest;
    }
    if (number == 0 && fetch->oldest <= views->oldest && fetch->newest <= views->newest) {
        layout_free(layout);
        fetch_end(core);
        return;
    }
    fetch->newest_layout = layout;
    fetch_use(core);
}

static void fetch_ask(struct core *core, uint32_t number)
{
    rpc_call(core, core->views->fetch.from, METHOD_LAYOUT,
             RPC_PARAMS(layout_request, {.number = number}), REPLICA_TIMEOUT_MS, fetch_answer, 0,
             number);
}

void view_fetch(struct core *core, node_id from)
{
    struct fetch *fetch = &core->views->fetch;
    if (fetch->running)
        return;
    fetch->running = true;
    fetch->from = from;
    fetch_ask(core, 0);
}

void view_handle_layout(struct core *core, const struct rpc_request *request)
{
    struct layout_request in;
    if (!layout_request_decode(request->params, &in)) {
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "malformed Layout");
        return;
    }
    const struct views *views = core->views;
    const struct layout *layout = view_layout(core, in.number ? in.number : views->newest);
    if (!layout || layout->number > views->newest) {
        RPC_REPLY(core, &request->origin, layout_reply, {.status = TOYSTORE_NOT_FOUND});
        return;
    }
    struct buf bytes = {0};
    layout_encode(&bytes, layout);
    RPC_REPLY(core, &request->origin, layout_reply,
              {.oldest = views->oldest, .newest = views->newest, .layout = buf_slice(&bytes)});
    buf_free(&bytes);
}
