/* coord_list_serve: LIST at a member: one range of its listing index, for the partitions that it
 * owns and is not mute for. Tombstones are given too: the newest of several members' answers wins.
 *
 * Enters from: core.c. Leaves to: a scan of TOYSTORE_LISTING, then the reply. */
#include "core/coord/coord_priv.h"
#include "core/view/view.h"
#include "rules/listing.h"

#include <stdlib.h>

struct list_serve {
    struct rpc_origin origin;
    unsigned limit;
};

void coord_list_serve_init(struct coord *coord)
{
    pool_init(&coord->list_serves, sizeof(struct list_serve), COORD_OPS_MAX);
}

void coord_list_serve_free(struct coord *coord)
{
    pool_free(&coord->list_serves);
}

static struct blob *own_partitions(struct core *core)
{
    uint32_t count = view_partition_count(core);
    struct blob *bitmap = blob_new((count + 7) / 8);
    memset(bitmap->data, 0, bitmap->size);
    for (uint32_t p = 0; p < count; p++)
        if (view_owner(core, p, core->id) && !view_partition(core, p)->mute)
            bitmap->data[p / 8] |= (uint8_t)(1u << (p % 8));
    return bitmap;
}

static void reply(struct core *core, const struct rpc_origin *origin, enum toystore_status status,
                  const struct list_reply *found)
{
    struct list_reply message = found ? *found : (struct list_reply){0};
    struct view view = view_of(core, 0);
    message.status = status;
    message.layout_oldest = view.oldest;
    message.layout_newest = view.newest;
    struct buf out = {0};
    list_reply_encode(&out, &message);
    rpc_reply(core, origin, &out);
}

static void scanned(struct core *core, const struct core_event *event, struct resume resume)
{
    struct list_serve *serve = pool_get(&core->coord->list_serves, resume.handle);
    struct buf items = {0};
    struct list_reply found = {.more = event->more};
    for (size_t i = 0; event->status == 0 && i < event->pair_count; i++) {
        struct listing listing;
        if (!listing_decode(event->pairs[i].key, event->pairs[i].value, &listing))
            continue;
        list_item_encode(&items, &(struct list_item){.cookie = listing.cookie,
                                                     .name = listing.name,
                                                     .kind = listing.kind,
                                                     .op = listing.op,
                                                     .ballot = listing.ballot,
                                                     .sloppy = listing.sloppy,
                                                     .attributes = listing.attributes});
        found.entries.count++;
    }
    struct blob *bitmap = own_partitions(core);
    found.partitions = blob_slice(bitmap);
    found.entries.items = buf_slice(&items);
    reply(core, &serve->origin, event->status == 0 ? TOYSTORE_OK : TOYSTORE_IO, &found);
    blob_unref(&bitmap);
    buf_free(&items);
    pool_delete(&core->coord->list_serves, resume.handle);
}

void list_handle(struct core *core, const struct rpc_request *request)
{
    struct list_request list;
    if (!list_request_decode(request->params, &list)) {
        rpc_fail(core, &request->origin, TOYSTORE_INVALID, "List");
        return;
    }
    if (view_partition_count(core) == 0) {
        rpc_fail(core, &request->origin, TOYSTORE_UNAVAILABLE, "not in a cluster yet");
        return;
    }
    struct view theirs = view_of(core, 0);
    theirs.oldest = list.layout_oldest;
    theirs.newest = list.layout_newest;
    enum admit admit = view_admit(core, 0, &theirs, request);
    if (admit == ADMIT_PARKED)
        return;
    if (admit == ADMIT_STALE) {
        reply(core, &request->origin, TOYSTORE_STALE, NULL);
        return;
    }
    pool_handle handle;
    struct list_serve *serve = pool_new(&core->coord->list_serves, &handle);
    if (!serve) {
        rpc_fail(core, &request->origin, TOYSTORE_BUSY, "too many listings");
        return;
    }
    serve->origin = request->origin;
    struct buf from = {0}, to = {0};
    key_listing(&from, list.directory, list.after, list.after_name);
    if (list.after_name.size > 0)
        buf_append(&from, "", 1); /* after that name */
    key_listing(&to, list.directory, UINT64_MAX, slice_of(NULL, 0));
    size_t limit = list.limit ? min_size(list.limit, LIST_ENTRIES_MAX) : LIST_ENTRIES_MAX;
    disk_scan(core, TOYSTORE_LISTING, buf_slice(&from), buf_slice(&to), limit,
              resume_to(scanned, handle, 0));
    buf_free(&from);
    buf_free(&to);
}
