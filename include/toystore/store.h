/* store.h: what a node keeps its data in; implement this to plug in another store.
 *
 * A store is a set of ordered maps ("spaces") from bytes to bytes, with atomic batches. The node
 * calls it from one thread, except for `sync` and `stage`, which it calls from others while the
 * first goes on. Values may be up to 1.1 MiB. A store that keeps its promises here keeps the
 * node's.
 */
#ifndef TOYSTORE_STORE_H
#define TOYSTORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The maps. Numbers are part of the format on disk. */
enum toystore_space {
    TOYSTORE_RECORDS = 0, /* key -> the replica's record */
    TOYSTORE_TOKENS = 1,  /* hash of the key (16 bytes) -> digest and key, in ring order */
    TOYSTORE_LISTING = 2, /* hash of the parent, hash of the name, name -> kind and attributes */
    TOYSTORE_HINTS = 3,   /* owner, key -> what an unreachable owner has missed */
    TOYSTORE_META = 4,    /* name -> the node's own state: identity, layouts, promises, members */
    TOYSTORE_SPACES = 5
};

struct toystore_bytes {
    const void *data;
    size_t size;
};

struct toystore_write {
    enum toystore_space space;
    bool remove; /* true: the key goes, value is not looked at */
    struct toystore_bytes key, value;
    const struct toystore_staged *staged; /* not NULL: the value is there already, and not here */
};

/* A value that `stage` has brought to the disk, in words of the store's own. */
struct toystore_staged {
    uint64_t number, size, checksum;
};

struct toystore_store; /* begins with a pointer to its ops */

/* Sees borrowed bytes, valid until it returns. scan: return false to stop. */
typedef void toystore_value_fn(void *arg, struct toystore_bytes value);
typedef bool toystore_entry_fn(void *arg, struct toystore_bytes key, struct toystore_bytes value);

struct toystore_store_ops {
    const char *name; /* as in --store NAME */

    /* Opens or creates the store in `directory` (exists, is the caller's alone; NULL for a store
     * that keeps nothing). Errors: -EBUSY another process has it, -EPROTO a newer format,
     * -EUCLEAN damaged, else what the system said; the reason in words goes to `error`. */
    int (*open)(const char *directory, char *error, size_t error_size,
                struct toystore_store **ret_store);

    /* After -EUCLEAN from open: saves what can be saved, so that open works again. The node then
     * treats this store as one that forgot. NULL: a store that cannot be damaged. A store in which
     * damage is found while it is open says so at the next open, and to `write` as soon as it
     * cannot go on. */
    int (*repair)(const char *directory, char *error, size_t error_size);

    /* Calls `value` once, if the key is there. -ENOENT: it is not; -EUCLEAN: it is but damaged;
     * -EIO: it could not be read. */
    int (*get)(struct toystore_store *store, enum toystore_space space, struct toystore_bytes key,
               toystore_value_fn *value, void *arg);

    /* All or none, in order. On return the operating system holds them: a killed process loses
     * nothing. -ENOSPC, -EIO, -EUCLEAN: none was made, and what was staged still is. */
    int (*write)(struct toystore_store *store, const struct toystore_write *writes, size_t count);

    /* For a store that keeps large values apart (else NULL): brings one of `stage_min` bytes or
     * more, given in two parts, to where they are kept. As with `write` the operating system holds
     * it then, but nothing names it until a write comes with `staged`; what never comes is given
     * back with `unstage`, or is gone at the next open. Any thread, several at once. */
    size_t stage_min;
    int (*stage)(struct toystore_store *store, const struct toystore_bytes parts[2],
                 struct toystore_staged *ret_staged);
    void (*unstage)(struct toystore_store *store, const struct toystore_staged *staged);

    /* On return what was written before the call survives a power loss. Any thread. */
    int (*sync)(struct toystore_store *store);
    /* The same for the log alone: large values that it names, but that are kept apart, may be
     * missing after a power loss (get then says -EUCLEAN), unless there was another one before. Every second, where `sync` is called for
     * durable writes, and twice a minute. NULL: the store keeps nothing apart. Any thread. */
    int (*sync_log)(struct toystore_store *store);

    /* Calls `entry` for from <= key < to in memcmp order (to.size 0: to the end). */
    int (*scan)(struct toystore_store *store, enum toystore_space space, struct toystore_bytes from,
                struct toystore_bytes to, toystore_entry_fn *entry, void *arg);
    /* The same for the keys alone: values come empty, and are not read. Only a store that has
     * `repair` needs it. */
    int (*scan_keys)(struct toystore_store *store, enum toystore_space space,
                     struct toystore_bytes from, struct toystore_bytes to, toystore_entry_fn *entry,
                     void *arg);

    void (*close)(struct toystore_store *store);
};

struct toystore_store {
    const struct toystore_store_ops *ops;
};

/* The stores that come with toystore; NULL-terminated. */
extern const struct toystore_store_ops *const toystore_stores[];

#ifdef __cplusplus
}
#endif
#endif
