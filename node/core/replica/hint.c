/* hint: entries (owner, key) in TOYSTORE_HINTS, committed with the write that the owner has missed
 * (PROTOCOL 6, Dynamo 4.6). What they stand for is read when they are delivered, so that one entry
 * a key is enough, however often it was written meanwhile.
 * Enters from the replica and the coordinator (hint_add); what is kept here hint_round.c sends. */
#include "core/replica/hint.h"
#include "core/replica/hint_priv.h"
#include "core/rpc/rpc.h"
#include "core/view/view.h"

#include <stdlib.h>

#include "wire/pack.h"

enum {
    PAIR_HEAD_SIZE = 8,
    RESTORE_PAIRS = 4096,
    NO_TIME_US = 1000000 /* hints of older versions say "1", and no time */
};

struct hints *hints_new(struct core *core)
{
    (void)core;
    struct hints *hints = base_alloc(sizeof *hints);
    pool_init(&hints->sends, sizeof(struct hint_send), HINT_WINDOW * MEMBERS_MAX);
    return hints;
}

void hint_queue_drop(struct hint_owner *owner)
{
    while (owner->queue_first < owner->queue_count)
        blob_unref(&owner->queue[owner->queue_first++]);
}

static void owner_clear(struct hint_owner *owner)
{
    hint_queue_drop(owner);
    blob_unref(&owner->after);
}

void hints_free(struct hints *hints)
{
    if (hints == NULL)
        return;
    for (size_t i = 0; i < hints->owner_count; i++) {
        struct hint_owner *owner = hints->owners[i];
        LIST_EACH(link, &owner->sends)
        blob_unref(&container_of(link, struct hint_send, link)->key);
        owner_clear(owner);
        hint_set_free(&owner->keys);
        free(owner);
    }
    free(hints->owners);
    pool_free(&hints->sends);
    free(hints);
}

/* ---- owners and pairs ---- */

static size_t owner_slot(const struct hints *hints, node_id id)
{
    size_t i = 0;
    while (i < hints->owner_count && hints->owners[i]->id < id)
        i++;
    return i;
}

struct hint_owner *hint_owner_find(const struct hints *hints, node_id id)
{
    size_t slot = owner_slot(hints, id);
    bool found = slot < hints->owner_count && hints->owners[slot]->id == id;
    return found ? hints->owners[slot] : NULL;
}

struct hint_owner *hint_owner_get(struct hints *hints, node_id id)
{
    struct hint_owner *owner = hint_owner_find(hints, id);
    if (owner != NULL)
        return owner;
    size_t slot = owner_slot(hints, id);
    hints->owners =
        base_realloc(hints->owners, (hints->owner_count + 1) * sizeof(struct hint_owner *));
    memmove(hints->owners + slot + 1, hints->owners + slot,
            (hints->owner_count - slot) * sizeof(struct hint_owner *));
    owner = base_alloc(sizeof *owner);
    owner->id = id;
    list_init(&owner->sends);
    hints->owners[slot] = owner;
    hints->owner_count++;
    return owner;
}

struct blob *hint_pair(node_id owner, struct slice key)
{
    struct blob *pair = blob_new(PAIR_HEAD_SIZE + key.size);
    for (size_t i = 0; i < PAIR_HEAD_SIZE; i++)
        pair->data[i] = (uint8_t)(owner >> (56 - 8 * i));
    if (key.size > 0)
        memcpy(pair->data + PAIR_HEAD_SIZE, key.data, key.size);
    return pair;
}

bool hint_pair_key(struct slice pair, node_id *ret_owner, struct slice *ret_key)
{
    if (pair.size < PAIR_HEAD_SIZE)
        return false;
    node_id owner = 0;
    for (size_t i = 0; i < PAIR_HEAD_SIZE; i++)
        owner = owner << 8 | pair.data[i];
    *ret_owner = owner;
    *ret_key = slice_of(pair.data + PAIR_HEAD_SIZE, pair.size - PAIR_HEAD_SIZE);
    return true;
}

/* ---- making and clearing ---- */

/* In no live layout: what ends under an older view may still make a hint for it, which nobody will
 * ever come for. */
static bool owns_nothing(const struct core *core, node_id id)
{
    const struct layout *newest = view_newest(core);
    return newest && !layout_find(newest, id) && !layout_find(view_oldest(core), id);
}

void hint_add(struct core *core, struct batch *batch, node_id id, struct slice key)
{
    if (BROKEN(core, no_repair))
        return;
    struct hint_owner *owner = hint_owner_get(core->hints, id);
    struct blob *pair = hint_pair(id, key);
    struct buf made = {0};
    pack_u64(&made, (uint64_t)(core->wall_us > 0 ? core->wall_us : 0)); /* for people to read */
    batch_put_blob(batch, TOYSTORE_HINTS, blob_slice(pair), buf_take(&made));
    blob_unref(&pair);
    if (owner->keys.count == 0)
        owner->since_us = core->wall_us;
    hint_set_add(&owner->keys, hint_hash(key));
    owner->added = true;
    owner->sweep = owner->sweep || owns_nothing(core, id);
    LIST_EACH(link, &owner->sends)
    {
        struct hint_send *send = container_of(link, struct hint_send, link);
        if (slice_equal(blob_slice(send->key), key))
            send->again = true;
    }
}

void hint_remove(struct core *core, struct hint_owner *owner, struct slice key, struct batch *batch)
{
    (void)core;
    struct blob *pair = hint_pair(owner->id, key);
    batch_remove(batch, TOYSTORE_HINTS, blob_slice(pair));
    blob_unref(&pair);
    hint_set_remove(&owner->keys, hint_hash(key));
}

void hint_clear(struct core *core, node_id id, struct slice key)
{
    struct hint_owner *owner = hint_owner_find(core->hints, id);
    if (owner == NULL || !hint_set_has(&owner->keys, hint_hash(key)))
        return;
    struct batch batch = {0};
    hint_remove(core, owner, key, &batch);
    disk_commit(core, &batch, false, (struct resume){0});
}

bool hint_kept(const struct core *core, struct slice key)
{
    uint64_t hash = hint_hash(key);
    for (size_t i = 0; i < core->hints->owner_count; i++) {
        if (hint_set_has(&core->hints->owners[i]->keys, hash))
            return true;
    }
    return false;
}

uint64_t hints_count(const struct core *core, node_id id)
{
    uint64_t count = 0;
    for (size_t i = 0; i < core->hints->owner_count; i++) {
        const struct hint_owner *owner = core->hints->owners[i];
        if (id == 0 || owner->id == id)
            count += owner->keys.count;
    }
    return count;
}

size_t hints_of_key(const struct core *core, struct slice key, node_id *ret_owners, size_t max)
{
    uint64_t hash = hint_hash(key);
    size_t count = 0;
    for (size_t i = 0; i < core->hints->owner_count && count < max; i++)
        if (hint_set_has(&core->hints->owners[i]->keys, hash))
            ret_owners[count++] = core->hints->owners[i]->id;
    return count;
}

/* ---- what is on the disk at the start ---- */

static void restore_from(struct core *core, struct slice after);

static void restore_one(struct hint_owner *owner, struct slice key, struct slice value)
{
    struct cursor cursor = cursor_of(value);
    uint64_t made_us;
    hint_set_add(&owner->keys, hint_hash(key));
    if (!cursor_u64(&cursor, &made_us) || made_us < NO_TIME_US || made_us > INT64_MAX)
        return;
    if (owner->since_us == 0 || (int64_t)made_us < owner->since_us)
        owner->since_us = (int64_t)made_us;
}

static void restored(struct core *core, const struct core_event *event, struct resume resume)
{
    (void)resume;
    if (event->status != 0) {
        core_log(core, LOG_ERROR, "the hints could not be read: %s", strerror(-event->status));
        return;
    }
    for (size_t i = 0; i < event->pair_count; i++) {
        node_id id;
        struct slice key;
        if (hint_pair_key(event->pairs[i].key, &id, &key))
            restore_one(hint_owner_get(core->hints, id), key, event->pairs[i].value);
    }
    if (event->more && event->pair_count > 0)
        restore_from(core, event->pairs[event->pair_count - 1].key);
}

static void restore_from(struct core *core, struct slice after)
{
    struct buf from = {0};
    buf_append(&from, after.data, after.size);
    if (after.size > 0)
        buf_append(&from, "", 1); /* the next key there could be */
    disk_scan(core, TOYSTORE_HINTS, buf_slice(&from), slice_of(NULL, 0), RESTORE_PAIRS,
              resume_to(restored, 0, 0));
    buf_free(&from);
}

void hints_restore(struct core *core)
{
    restore_from(core, slice_of(NULL, 0));
}
