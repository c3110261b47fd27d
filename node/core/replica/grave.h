/* grave: an index of what collection must look at (PROTOCOL 8): keys whose record is nothing but a
 * tombstone, promises without a record, and records with sloppy puts that their register covers.
 * One pair "grave/PARTITION KEY" of TOYSTORE_META each, written with the record that it is about,
 * so that nothing else has to be read to find them; and how many there are, in memory. */
#ifndef TOYSTORE_CORE_GRAVE_H
#define TOYSTORE_CORE_GRAVE_H

#include "core/replica/replica.h"

enum grave_kind {
    GRAVE_NONE,
    GRAVE_TOMBSTONE, /* nothing but a tombstone, the register's or that of an immutable key */
    GRAVE_PROMISE,   /* a promise without a record */
    GRAVE_COVERED    /* not to be dropped, but sloppy puts are to leave the disk first */
};

struct grave {
    enum grave_kind kind;
    struct era era; /* the newest of what it consists of: collected in a newer one */
};

struct graves;
struct graves *graves_new(void);
void graves_free(struct graves *graves);

/* What this entry is; `record` is decoded from it. */
struct grave grave_of(struct slice key, const struct ballot *promised, const struct record *record);
/* The same for a stored record that was not decoded: only immutable keys and empty ones count. */
struct grave grave_of_bytes(struct slice key, const struct ballot *promised, struct slice record);
/* Was this collected, so that no owner takes it any more? `record` is what another owner shows of
 * a key of which this one has nothing. */
bool grave_collected(struct core *core, uint32_t partition, const struct record *record);

/* The write that makes the index say `after` instead of `before`. */
void grave_write(struct core *core, struct slice key, const struct grave *before,
                 const struct grave *after, struct batch *batch);
/* The counts follow it (or go back: with the two exchanged). */
void grave_follow(struct core *core, struct slice key, const struct grave *before,
                  const struct grave *after);
void grave_restore(struct core *core, struct slice meta_key, struct slice value);

/* The pairs of a partition behind `after`, in order: EVENT_SCANNED. */
void grave_scan(struct core *core, uint32_t partition, struct slice after, struct resume resume);
/* False: malformed. */
bool grave_pair(struct slice meta_key, struct slice value, struct slice *ret_key,
                struct grave *ret_grave);

struct grave_counts {
    uint32_t old, fresh; /* of an older era than the partition's; of this one */
    uint32_t covered;
};
struct grave_counts grave_counts(struct core *core, uint32_t partition);
/* A scan of the whole partition has found exactly these. */
void grave_counted(struct core *core, uint32_t partition, const struct grave_counts *counts);

#endif
