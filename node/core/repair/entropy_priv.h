/* entropy_priv: what entropy*.c share. */
#ifndef TOYSTORE_CORE_ENTROPY_PRIV_H
#define TOYSTORE_CORE_ENTROPY_PRIV_H

#include "core/repair/entropy.h"
#include "core/replica/sync.h"
#include "core/state/pace.h"
#include "core/state/state.h"
#include "rules/electorate.h"

enum {
    ENTROPY_SYNCS_MAX = 4,      /* comparisons under way */
    ENTROPY_BUSY_TICKS = 10,    /* a partition that is written all the time is compared so often */
    ENTROPY_FULL_TICKS = 300,   /* and one that is not, this seldom */
    ENTROPY_RECHECKS_MAX = 256, /* refused keys that wait for their second look */
    ENTROPY_BEHIND_MS = 60000,  /* after a start, as long as comparing may be waited for */
    ENTROPY_PAUSE_MS = 200,     /* before it */
    ENTROPY_KEYS_MAX = ENTROPY_SYNCS_MAX * SYNC_OPEN_MAX, /* differences being dealt with */
    SCRUB_TICK_KEYS = 32,       /* records read again in one tick, and in one scan */
    SCRUB_TICK_BYTES = 2 << 20, /* what was read beyond these is paid by ticks without */
    SCRUB_ASKED_SCANS = 64,     /* scans in one tick of a pass that a person waits for */
    SCRUB_ASKED_BYTES = 64 << 20,
    SCRUB_SAVE_SCANS = 16, /* the cursor is kept after so many */
    SCRUB_REST_TICKS = 60  /* between two passes */
};

#define META_SCRUB "scrub"

/* Peers are bits: places in the partition's electorate. */
struct entropy_partition {
    struct hash128 root;  /* at the last tick */
    struct hash128 equal; /* when it was last found equal to a peer's */
    uint32_t equal_with;  /* the peers that had this very one */
    uint32_t due, tried;  /* peers to compare with; those of them asked since the last tick */
    uint32_t asked;       /* those of `due` that somebody's round waits for */
    uint64_t compared_us; /* when it was last found equal to all that can be reached */
    uint16_t busy;        /* ticks in which the root changed */
    bool comparing;
    bool caught_up; /* compared with one peer since the start */
};

/* A comparison with one peer. */
struct entropy_sync {
    pool_handle handle;
    uint32_t partition, peer; /* bit */
    struct hash128 root;      /* ours when it began */
    bool differed;
};

/* Where the scrub is (entropy_scrub.c). */
struct scrub {
    struct hash128 after;
    bool running;
    bool asked, restart; /* a pass that somebody waits for; it begins with the next scan */
    unsigned rest, scans, unsaved;
    uint64_t bytes, keys_read, passes;
    struct blob *keys[SCRUB_TICK_KEYS];
    size_t first, count;
};

struct entropy {
    struct timer tick;
    uint64_t started_us;
    unsigned ticks;
    uint32_t cursor, partition_count;
    struct entropy_partition *partitions;
    struct pool syncs, keys, rechecks;
    struct pace pace;    /* of keys being stored and sent */
    struct timer pause;  /* until the next of them may be */
    struct list waiting; /* those that are not yet */
    unsigned busy;
    bool started;
    struct scrub scrub;
};

/* The partition and its peers, while owners compare it. */
bool entropy_compares(struct core *core, uint32_t partition, struct electorate *ret);
uint32_t entropy_peers(const struct core *core, const struct electorate *electorate);
void entropy_pump(struct core *core);

void scrub_tick(struct core *core);
void scrub_begin(struct core *core); /* a pass from the beginning, without rests */
unsigned scrub_permille(const struct scrub *scrub);
void scrub_free(struct scrub *scrub);

/* A key that differs: stored here, sent there (entropy_key.c). */
struct entropy_key;
extern const size_t entropy_key_size;
sync_differ_fn entropy_differs;
void entropy_key_clear(struct entropy_key *key);

/* A key whose register was refused by a promise: a put may just be under way. After a pause it is
 * looked at once more, and settled by a round if it still differs (entropy_recheck.c). */
struct entropy_recheck;
extern const size_t entropy_recheck_size;
void entropy_recheck(struct core *core, struct slice key, node_id peer);
void entropy_recheck_clear(struct entropy_recheck *recheck);

#endif
