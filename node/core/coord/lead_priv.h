/* lead_priv: what lead*.c share. */
#ifndef TOYSTORE_CORE_LEAD_PRIV_H
#define TOYSTORE_CORE_LEAD_PRIV_H

#include "core/replica/sync.h"
#include "core/state/state.h"

enum {
    LEAD_STEP_MS = 250,       /* looks at what could be led, besides events */
    LEAD_PAUSE_MS = 200,      /* first pause after being deposed or not answered; doubles */
    LEAD_PAUSE_MS_MAX = 8000, /* and at most this */
    LEAD_CALM_MS = 20000,     /* led for so long: the next pause is the first again */
    LEAD_BATCHES_MAX = 64,    /* Lead rounds under way */
    LEAD_PARKED_MAX = 4096,   /* Lead requests of others being served */
    LEAD_SYNCS_MAX = 32,      /* comparisons under way */
    LEAD_REACCEPTS_MAX = 16,  /* open keys being accepted again */
    LEAD_OPEN_MAX = 512       /* keys of a partition that may differ; more: it catches up first */
};

enum led_state {
    LED_NOT,      /* by others, or by rounds */
    LED_PROMISED, /* the own promise is being committed, or the owners are being asked */
    LED_COMPARES, /* maj owners promised; finding what differs */
    LED_LEADS
};

/* A key that differed, or is left to rounds. */
struct open_key {
    struct blob *base; /* what others showed, encoded; NULL: nothing that this node lacks */
    bool queued;       /* to be accepted again */
    bool rounds;       /* never by the leadership */
};

/* Owners that promised, and what remains to be compared. */
struct led_peer {
    node_id id;
    struct hash128 root;
};

struct led {
    enum led_state state;
    uint32_t generation; /* of the attempt; what belongs to an older one is dropped */
    struct ballot ballot;
    struct led_peer peers[REPLICAS_MAX];
    unsigned peer_count, syncs_open;
    uint64_t syncs[REPLICAS_MAX];
    bool too_many;       /* keys differ: settled one by one, led later */
    struct list waiting; /* for a place to compare, or to accept open keys again */
    struct map open;     /* key -> struct open_key */
    uint64_t not_before_us, since_us;
    unsigned pause_ms;
};

struct lead {
    uint64_t not_before_us; /* a node that has just started reaches nobody yet */
    struct timer step;
    void (*seek)(struct core *core, struct timer *timer); /* what the timer is for */
    struct led *led; /* one a partition; NULL until Q is known */
    uint32_t partition_count;
    uint64_t counter_seen;
    struct list compares, reaccept;     /* struct led.waiting */
    unsigned syncs_open;                /* of all partitions */
    bool again;                         /* an open key waits for the next step */
    struct pool batches, todos, parked; /* of lead_seek.c, lead_compare.c, lead_handle.c */
};

struct lead_batch;
struct lead_todo;

/* lead.c */
struct led *led_of(const struct core *core, uint32_t partition);
uint32_t led_number(const struct core *core, const struct led *led);
/* The attempt or the leadership ends; the next one not before a pause. */
void led_drop(struct core *core, uint32_t partition);
void led_pause(struct core *core, struct led *led);
void lead_saw_counter(struct core *core, const struct ballot *ballot);
/* Another one's higher promise was noted here. */
void led_depose(struct core *core, uint32_t partition);
struct open_key *open_add(struct core *core, uint32_t partition, struct slice key);
void open_free(struct open_key *entry);
void open_clear(struct led *led);
void lead_wake(struct core *core); /* looks at what could be led, soon */
/* lead_handle.c */
void lead_handle_init(struct lead *lead);
void lead_handle_free(struct lead *lead);
/* lead_compare.c */
void lead_compare(struct core *core, uint32_t partition);
void lead_compare_init(struct lead *lead);
void lead_compare_free(struct lead *lead);
void lead_compare_next(struct core *core);
void lead_compare_again(struct core *core);

/* A partition and its attempt in one number, for callbacks. */
static inline uint64_t led_handle(const struct core *core, uint32_t partition)
{
    return (uint64_t)core->lead->led[partition].generation << 32 | partition;
}
/* NULL: that attempt is over. */
struct led *led_from(const struct core *core, uint64_t handle);

#endif
