/* limits: the named maximum of every queue, pool, message and retry of the core. What a layout
 * and a wire format allow stands with these. */
#ifndef TOYSTORE_CORE_LIMITS_H
#define TOYSTORE_CORE_LIMITS_H

enum {
    GONE_MAX = 4096,              /* members removed by force, for ever */
    CHANGES_MAX = 256,            /* removals that one node keeps until they are done */
    RPC_PENDING_MAX = 65536,      /* requests of this node under way, to all peers together */
    RPC_PEER_QUEUE_MAX = 4096,    /* requests that wait for a connection to one peer */
    RPC_INBOUND_MAX = 65536,      /* requests of others being served */
    CALLS_MAX = 16384,            /* client requests under way */
    KEY_QUEUE_MAX = 4096,         /* operations that wait for one key */
    REPLICA_OPS_MAX = 131072,     /* operations of all keys together */
    SYNCS_MAX = 4096,             /* comparisons of partitions under way */
    SYNC_OPEN_MAX = 8,            /* keys that differ, of one comparison, being dealt with */
    FETCH_TOKENS_MAX = 64,        /* keys in one Fetch */
    HINT_WINDOW = 8,              /* hints to one owner that wait for its acknowledgement */
    HINT_SCAN_MAX = 64,           /* hints read from the disk at a time */
    TRANSFER_RECORDS_MAX = 256,   /* records in one Transfer */
    TRANSFER_BYTES_MAX = 2 << 20, /* bytes of them, beyond the first */
    TREE_ITEMS_MAX = 512,         /* digests in one answer */
    TREE_BUCKETS = 64,            /* leaves of a partition's hash tree */
    SYNC_KEYS_MAX = 16384,        /* keys in one request to make them durable */
    SYNC_BYTES_MAX = 2 << 20,     /* bytes of them */
    LEAD_PARTITIONS_MAX = 512,    /* partitions in one Lead */
    LIST_ENTRIES_MAX = 1024,      /* entries in one answer of CoordinateList */
    DAMAGED_MAX = 16384,          /* damaged keys being looked for at others; more come later */
    ROUNDS_MAX = 64,              /* tries of one put, each with a higher ballot */
    NONCES_MAX = 1024,            /* starts that a data directory remembers */
    MATCH_MAX = 256,              /* versions that one put may name */
    SIBLINGS_MAX = 32,            /* sloppy siblings that a client's put may leave on a key */

    REPLICA_TIMEOUT_MS = 1000, /* one request to one replica */
    FETCH_TIMEOUT_MS = 5000,   /* one Fetch: some MiB over a slow line */
    PUT_DEADLINE_MS = 5000,
    GET_DEADLINE_MS = 5000,
    SILENT_MS = 200, /* a peer with an open request and no word ranks last */
    HEDGE_MS_MIN = 10,
    NACK_PAUSE_MS = 5 /* first pause after a NACK; doubles, jittered */
};

#endif
