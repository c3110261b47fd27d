/* disk: a simulated store: ordered maps in memory whose last writes are not synced yet. */
#ifndef TOYSTORE_SIM_DISK_H
#define TOYSTORE_SIM_DISK_H

#include "core/core.h"

struct disk_pair {
    struct blob *key, *value;
};

struct disk_space {
    struct disk_pair *pairs; /* in order of key */
    size_t count, capacity;
};

/* What a write replaced, so that a power loss can take it back. */
struct disk_undo {
    uint64_t write;
    enum toystore_space space;
    struct blob *key, *before; /* before NULL: it was not there */
};

struct disk {
    struct disk_space spaces[TOYSTORE_SPACES];
    struct disk_undo *undos;
    size_t undo_count, undo_capacity;
    uint64_t writes, synced; /* batches made; of these, the first that survive a power loss */
};

struct blob *disk_get(const struct disk *disk, enum toystore_space space, struct slice key);
void disk_write(struct disk *disk, const struct batch *batch); /* all or none; counts as one */
void disk_sync(struct disk *disk, uint64_t writes);            /* the first so many are safe */
/* Takes back all but the first `writes`, which are at least those synced. */
void disk_lose(struct disk *disk, uint64_t writes);
/* Index of the first pair at or behind the key. */
size_t disk_find(const struct disk *disk, enum toystore_space space, struct slice key);
/* Changes a stored value behind the node's back. */
void disk_damage(struct disk *disk, enum toystore_space space, size_t index, size_t at);
void disk_wipe(struct disk *disk);

#endif
