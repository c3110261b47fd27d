/* grave: the index of what collection must look at. A pair's key is "grave/", the partition's
 * number in two bytes, then the key; its value is the kind and the era.
 * Enters from replica_commit.c, boot and collect; leaves to the disk. */
#include "core/replica/grave.h"
#include "core/view/view.h"
#include "rules/version.h"

#include <stdlib.h>

#include "core/state/state.h"
#include "rules/key.h"
#include "wire/values.h"

#define META_GRAVE "grave/"
enum {
    GRAVE_HEAD_SIZE = sizeof META_GRAVE - 1 + 2,
    GRAVE_SCAN_MAX = 256,
    GRAVE_BYTES_MAX = 1024 /* a longer record of an immutable key is no tombstone */
};

struct grave_slot {
    struct era era; /* what `fresh` is counted for */
    uint32_t total, fresh, covered;
};

struct graves {
    struct grave_slot slots[PARTITIONS_MAX];
};

struct graves *graves_new(void)
{
    return base_alloc(sizeof(struct graves));
}

void graves_free(struct graves *graves)
{
    free(graves);
}

/* ---- what is one ---- */

static struct era later(struct era a, struct era b)
{
    return era_compare(a, b) >= 0 ? a : b;
}

static bool tombstone_alone(const struct record *record)
{
    return record->has_register && record->sloppy_count == 0 &&
           record->reg.version.kind == TOYSTORE_TOMBSTONE;
}

/* A tombstone of an immutable key has no ballot: its era is the one that it was made in. */
static struct era record_era(const struct record *record)
{
    const struct reg *reg = &record->reg;
    return ballot_none(&reg->ballot) ? reg->born : reg->ballot.era;
}

static bool covers_some(const struct record *record)
{
    for (size_t i = 0; record->has_register && i < record->sloppy_count; i++)
        if (register_has(&record->reg, &record->sloppy[i].version.op))
            return true;
    return false;
}

/* The keys of layouts have owners of their own, and their promises are for ever. */
static bool indexed(struct slice key)
{
    return !key_has_prefix(key, KEY_LAYOUTS);
}

struct grave grave_of(struct slice key, const struct ballot *promised, const struct record *record)
{
    if (!indexed(key))
        return (struct grave){GRAVE_NONE, {0}};
    if (tombstone_alone(record))
        return (struct grave){GRAVE_TOMBSTONE, later(record_era(record), promised->era)};
    if (covers_some(record))
        return (struct grave){GRAVE_COVERED, {0}};
    bool empty = !record->has_register && record->sloppy_count == 0;
    if (empty && !ballot_none(promised))
        return (struct grave){GRAVE_PROMISE, promised->era};
    return (struct grave){GRAVE_NONE, {0}};
}

struct grave grave_of_bytes(struct slice key, const struct ballot *promised, struct slice bytes)
{
    struct arena arena = {0};
    struct record record = {0};
    struct grave grave = {GRAVE_NONE, {0}};
    if (bytes.size <= GRAVE_BYTES_MAX && record_decode(&arena, bytes, &record) == 0)
        grave = grave_of(key, promised, &record);
    arena_free(&arena);
    return grave;
}

bool grave_collected(struct core *core, uint32_t partition, const struct record *record)
{
    return tombstone_alone(record) &&
           era_compare(record_era(record), view_partition(core, partition)->collected) < 0;
}

/* ---- the pairs ---- */

static struct blob *pair_key(uint32_t partition, struct slice key)
{
    struct buf out = {0};
    uint8_t number[2] = {(uint8_t)(partition >> 8), (uint8_t)partition};
    buf_append(&out, META_GRAVE, sizeof META_GRAVE - 1);
    buf_append(&out, number, sizeof number);
    buf_append(&out, key.data, key.size);
    return buf_take(&out);
}

static bool same(const struct grave *a, const struct grave *b)
{
    return a->kind == b->kind && era_compare(a->era, b->era) == 0;
}

void grave_write(struct core *core, struct slice key, const struct grave *before,
                 const struct grave *after, struct batch *batch)
{
    if (same(before, after))
        return;
    struct blob *pair = pair_key(view_partition_of(core, key), key);
    if (after->kind == GRAVE_NONE) {
        batch_remove(batch, TOYSTORE_META, blob_slice(pair));
    } else {
        struct buf value = {0};
        wire_put_U32(&value, after->kind);
        wire_put_ERA(&value, after->era);
        batch_put_blob(batch, TOYSTORE_META, blob_slice(pair), buf_take(&value));
    }
    blob_unref(&pair);
}

bool grave_pair(struct slice meta_key, struct slice value, struct slice *ret_key,
                struct grave *ret_grave)
{
    struct cursor cursor = cursor_of(value);
    uint32_t kind;
    if (meta_key.size < GRAVE_HEAD_SIZE || !wire_get_U32(&cursor, &kind) || kind > GRAVE_COVERED ||
        !wire_get_ERA(&cursor, &ret_grave->era))
        return false;
    ret_grave->kind = (enum grave_kind)kind;
    *ret_key = slice_of(meta_key.data + GRAVE_HEAD_SIZE, meta_key.size - GRAVE_HEAD_SIZE);
    return true;
}

void grave_scan(struct core *core, uint32_t partition, struct slice after, struct resume resume)
{
    struct blob *from = pair_key(partition, after),
                *to = pair_key(partition + 1, slice_of(NULL, 0));
    struct buf next = {0};
    buf_append(&next, from->data, from->size);
    if (after.size > 0)
        buf_append(&next, "", 1); /* the next key there could be */
    disk_scan(core, TOYSTORE_META, buf_slice(&next), blob_slice(to), GRAVE_SCAN_MAX, resume);
    buf_free(&next);
    blob_unref(&from);
    blob_unref(&to);
}

/* ---- how many ---- */

static struct grave_slot *slot_of(struct core *core, uint32_t partition)
{
    struct grave_slot *slot = &core->graves->slots[partition];
    struct era now = view_era(view_of(core, partition));
    if (era_compare(slot->era, now) != 0) {
        slot->era = now;
        slot->fresh = 0;
    }
    return slot;
}

static void count(struct grave_slot *slot, const struct grave *grave, bool comes)
{
    uint32_t *counters[2] = {NULL, NULL};
    if (grave->kind == GRAVE_COVERED)
        counters[0] = &slot->covered;
    else if (grave->kind != GRAVE_NONE) {
        counters[0] = &slot->total;
        counters[1] = era_compare(grave->era, slot->era) >= 0 ? &slot->fresh : NULL;
    }
    for (size_t i = 0; i < 2; i++) {
        if (counters[i] == NULL)
            continue;
        if (comes)
            ++*counters[i];
        else if (*counters[i] > 0) /* a damaged record's grave was not known */
            --*counters[i];
    }
}

void grave_follow(struct core *core, struct slice key, const struct grave *before,
                  const struct grave *after)
{
    if (same(before, after))
        return;
    struct grave_slot *slot = slot_of(core, view_partition_of(core, key));
    count(slot, before, false);
    count(slot, after, true);
}

/* Layouts are read later: all count as old until a collection has looked at them. */
void grave_restore(struct core *core, struct slice meta_key, struct slice value)
{
    struct slice key;
    struct grave grave;
    if (!grave_pair(meta_key, value, &key, &grave)) {
        core_log(core, LOG_ERROR, "a malformed grave was found in the store");
        return;
    }
    uint32_t partition =
        (uint32_t)meta_key.data[GRAVE_HEAD_SIZE - 2] << 8 | meta_key.data[GRAVE_HEAD_SIZE - 1];
    if (partition >= PARTITIONS_MAX)
        return;
    struct grave_slot *slot = &core->graves->slots[partition];
    slot->covered += grave.kind == GRAVE_COVERED;
    slot->total += grave.kind != GRAVE_COVERED;
}

struct grave_counts grave_counts(struct core *core, uint32_t partition)
{
    const struct grave_slot *slot = slot_of(core, partition);
    uint32_t fresh = (uint32_t)min_u64(slot->fresh, slot->total);
    return (struct grave_counts){slot->total - fresh, fresh, slot->covered};
}

void grave_counted(struct core *core, uint32_t partition, const struct grave_counts *counts)
{
    struct grave_slot *slot = slot_of(core, partition);
    slot->total = counts->old + counts->fresh;
    slot->fresh = counts->fresh;
    slot->covered = counts->covered;
}
