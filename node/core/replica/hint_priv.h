/* hint_priv: what hint.c, hint_set.c and hint_deliver.c share. */
#ifndef TOYSTORE_CORE_HINT_PRIV_H
#define TOYSTORE_CORE_HINT_PRIV_H

#include "core/state/pace.h"
#include "core/state/state.h"

/* The keys of one owner's hints, by their 64-bit hashes: 16 bytes a hint at most, since there can
 * be as many as keys. It says how many there are and whether a key is among them; what is on the
 * disk is what counts. */
struct hint_set {
    uint64_t *slots; /* 0: free */
    size_t count, capacity;
};

uint64_t hint_hash(struct slice key); /* never 0 */
bool hint_set_has(const struct hint_set *set, uint64_t hash);
void hint_set_add(struct hint_set *set, uint64_t hash);
void hint_set_remove(struct hint_set *set, uint64_t hash);
void hint_set_free(struct hint_set *set);

/* Whom something is kept for, and the pass over it that is under way. */
struct hint_owner {
    node_id id;
    struct hint_set keys;
    int64_t since_us; /* wall clock: since when something has waited for it; 0: not known */
    bool sweep;       /* the view changed: look at all, deliverable or not */

    bool passing, more, stop;
    bool wanted; /* another pass was asked for meanwhile */
    bool added;  /* since the pass began */
    size_t found;
    struct blob *queue[HINT_SCAN_MAX]; /* keys that were read and wait */
    size_t queue_first, queue_count;
    struct blob *after; /* the last of them */
    struct list sends;  /* hint_send.link */
    unsigned open;
    struct pace pace;
    struct timer pause; /* until the next may be sent */
};

/* One hint on its way to its owner. */
struct hint_send {
    struct list link;
    pool_handle handle;
    struct hint_owner *owner;
    struct blob *key;
    uint64_t sent_us;
    bool again; /* the hint was made once more since the record was read */
    bool fallback;
    struct hash128 sent; /* of the record */
};

struct hints {
    struct hint_owner **owners; /* by id */
    size_t owner_count;
    struct pool sends;
    struct timer round;
    bool started;
};

struct hint_owner *hint_owner_find(const struct hints *hints, node_id id); /* or NULL */
struct hint_owner *hint_owner_get(struct hints *hints, node_id id);
/* The pair's key: the owner, then the key. */
struct blob *hint_pair(node_id owner, struct slice key);
bool hint_pair_key(struct slice pair, node_id *ret_owner, struct slice *ret_key);
bool hint_kept(const struct core *core, struct slice key); /* for anybody */
void hint_remove(struct core *core, struct hint_owner *owner, struct slice key,
                 struct batch *batch);

void hint_pass(struct core *core, struct hint_owner *owner);
void hint_queue_drop(struct hint_owner *owner);

#endif
