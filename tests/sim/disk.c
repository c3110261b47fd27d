/* disk: sorted arrays with a journal of what unsynced writes replaced. */
#include "sim/disk.h"

#include <stdlib.h>

size_t disk_find(const struct disk *disk, enum toystore_space space, struct slice key)
{
    const struct disk_space *s = &disk->spaces[space];
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_compare(blob_slice(s->pairs[middle].key), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct disk_pair *find_exact(const struct disk *disk, enum toystore_space space,
                                    struct slice key)
{
    size_t at = disk_find(disk, space, key);
    const struct disk_space *s = &disk->spaces[space];
    if (at == s->count || !slice_equal(blob_slice(s->pairs[at].key), key))
        return NULL;
    return &s->pairs[at];
}

struct blob *disk_get(const struct disk *disk, enum toystore_space space, struct slice key)
{
    const struct disk_pair *pair = find_exact(disk, space, key);
    return pair ? pair->value : NULL;
}

/* Sets a value (a reference is taken), or removes the pair when it is NULL. */
static void set(struct disk *disk, enum toystore_space space, struct blob *key, struct blob *value)
{
    struct disk_space *s = &disk->spaces[space];
    size_t at = disk_find(disk, space, blob_slice(key));
    bool there = at < s->count && slice_equal(blob_slice(s->pairs[at].key), blob_slice(key));
    if (there && value != NULL) {
        struct blob *old = s->pairs[at].value;
        s->pairs[at].value = blob_ref(value);
        blob_unref(&old);
    } else if (there) {
        blob_unref(&s->pairs[at].key);
        blob_unref(&s->pairs[at].value);
        s->count--;
        memmove(&s->pairs[at], &s->pairs[at + 1], (s->count - at) * sizeof *s->pairs);
    } else if (value != NULL) {
        if (s->count == s->capacity) {
            s->capacity = s->capacity ? s->capacity * 2 : 16;
            s->pairs = base_realloc(s->pairs, s->capacity * sizeof *s->pairs);
        }
        memmove(&s->pairs[at + 1], &s->pairs[at], (s->count - at) * sizeof *s->pairs);
        s->pairs[at] = (struct disk_pair){blob_ref(key), blob_ref(value)};
        s->count++;
    }
}

static void note_undo(struct disk *disk, enum toystore_space space, struct blob *key)
{
    if (disk->undo_count == disk->undo_capacity) {
        disk->undo_capacity = disk->undo_capacity ? disk->undo_capacity * 2 : 64;
        disk->undos = base_realloc(disk->undos, disk->undo_capacity * sizeof *disk->undos);
    }
    disk->undos[disk->undo_count++] =
        (struct disk_undo){.write = disk->writes,
                           .space = space,
                           .key = blob_ref(key),
                           .before = blob_ref(disk_get(disk, space, blob_slice(key)))};
}

void disk_write(struct disk *disk, const struct batch *batch)
{
    disk->writes++;
    for (size_t i = 0; i < batch->count; i++) {
        const struct batch_write *write = &batch->writes[i];
        note_undo(disk, write->space, write->key);
        set(disk, write->space, write->key, write->remove ? NULL : write->value);
    }
}

static void free_undo(struct disk_undo *undo)
{
    blob_unref(&undo->key);
    blob_unref(&undo->before);
}

void disk_sync(struct disk *disk, uint64_t writes)
{
    if (writes <= disk->synced)
        return;
    disk->synced = writes;
    size_t safe = 0;
    while (safe < disk->undo_count && disk->undos[safe].write <= writes)
        free_undo(&disk->undos[safe++]);
    disk->undo_count -= safe;
    memmove(disk->undos, disk->undos + safe, disk->undo_count * sizeof *disk->undos);
}

void disk_lose(struct disk *disk, uint64_t writes)
{
    assert(writes >= disk->synced && writes <= disk->writes);
    while (disk->undo_count > 0 && disk->undos[disk->undo_count - 1].write > writes) {
        struct disk_undo *undo = &disk->undos[--disk->undo_count];
        set(disk, undo->space, undo->key, undo->before);
        free_undo(undo);
    }
    disk->writes = writes;
    disk_sync(disk, writes);
}

void disk_damage(struct disk *disk, enum toystore_space space, size_t index, size_t at)
{
    struct disk_pair *pair = &disk->spaces[space].pairs[index];
    struct blob *copy = blob_copy(blob_slice(pair->value));
    copy->data[at % copy->size] ^= 0x10;
    blob_unref(&pair->value);
    pair->value = copy;
}

void disk_wipe(struct disk *disk)
{
    for (size_t i = 0; i < TOYSTORE_SPACES; i++) {
        struct disk_space *s = &disk->spaces[i];
        for (size_t j = 0; j < s->count; j++) {
            blob_unref(&s->pairs[j].key);
            blob_unref(&s->pairs[j].value);
        }
        free(s->pairs);
    }
    for (size_t i = 0; i < disk->undo_count; i++)
        free_undo(&disk->undos[i]);
    free(disk->undos);
    *disk = (struct disk){0};
}
