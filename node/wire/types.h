/* types: the words of the protocol (op, view, ballot, record) as values, and their order.
 * A record decoded is a tree of borrowed slices: the bytes that it was decoded from must live as
 * long as it does; its arrays live in the arena that was given. */
#ifndef TOYSTORE_WIRE_TYPES_H
#define TOYSTORE_WIRE_TYPES_H

#include <toystore/toystore.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/hash.h"

typedef uint64_t node_id; /* 0: none */

enum {
    SESSION_SIZE = 12,
    REPLICAS_MAX = 16,            /* N at most */
    RECENT_MAX = 16,              /* sessions remembered in a register's chain */
    RECORD_SIZE_MAX = 1100 * 1024 /* an encoded record: a value and what stands around it */
};

struct session {
    uint8_t bytes[SESSION_SIZE];
};

struct op_id {
    struct session session;
    uint64_t sequence; /* 0: no op */
};

struct era {
    uint32_t layout, epoch;
};

struct view {
    uint32_t oldest, newest, epoch; /* live layouts, and the partition's epoch */
    struct era collected;           /* and the era in which its tombstones were collected last */
};

/* PROTOCOL: compared in this order. All zero: none. */
struct ballot {
    struct era era;
    uint64_t counter;
    node_id node;
    uint64_t turn;
};

/* An operation as it travels: its name, its asker's time (microseconds) and era. */
struct op {
    struct op_id id;
    uint64_t time_us;
    struct era era;
};

struct cover {
    struct session session;
    uint64_t sequence;
    struct era era;
};

struct recent {
    struct session session;
    uint64_t sequence;
    uint64_t time_us;
    struct era era;
    uint8_t answer; /* enum toystore_status: OK or CONFLICT or another refusal */
};

/* One version: the register's, or a sloppy sibling. */
struct version {
    struct op_id op;
    uint8_t kind; /* enum toystore_kind */
    struct toystore_attributes attributes;
    struct slice value, extra;
    uint64_t checksum; /* hash64 of value and extra */
    uint64_t time_us;
    node_id node;         /* who coordinated it, for display */
    struct cover *covers; /* sorted by session */
    size_t cover_count;
};

struct reg {
    struct ballot ballot;
    struct version version;
    struct recent recent[RECENT_MAX]; /* oldest first */
    size_t recent_count;
    uint64_t floor; /* highest op time that has left recent */
    struct era born;
};

struct sloppy {
    struct version version;
    struct ballot sees;
};

/* What members exchange for a key. Zeroed: no record. */
struct record {
    bool has_register;
    struct reg reg;
    struct sloppy *sloppy; /* sorted by op id */
    size_t sloppy_count;
};

/* ---- order ---- */

static inline int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static inline int session_compare(const struct session *a, const struct session *b)
{
    return memcmp(a->bytes, b->bytes, SESSION_SIZE);
}

static inline bool op_id_equal(const struct op_id *a, const struct op_id *b)
{
    return a->sequence == b->sequence && session_compare(&a->session, &b->session) == 0;
}

static inline int op_id_compare(const struct op_id *a, const struct op_id *b)
{
    int order = session_compare(&a->session, &b->session);
    return order ? order : compare_u64(a->sequence, b->sequence);
}

static inline int era_compare(struct era a, struct era b)
{
    int order = compare_u64(a.layout, b.layout);
    return order ? order : compare_u64(a.epoch, b.epoch);
}

static inline struct era view_era(struct view view)
{
    return (struct era){view.newest, view.epoch};
}

#ifdef BALLOT_BREAKABLE /* a deliberately broken build (tests/sim/broken.def) */
extern bool ballot_era_minor;
#define BALLOT_ERA_MINOR ballot_era_minor
#else
#define BALLOT_ERA_MINOR false
#endif

static inline int ballot_compare(const struct ballot *a, const struct ballot *b)
{
    int order = BALLOT_ERA_MINOR ? compare_u64(a->counter, b->counter) : 0;
    if (order == 0)
        order = era_compare(a->era, b->era);
    if (order == 0)
        order = compare_u64(a->counter, b->counter);
    if (order == 0)
        order = compare_u64(a->node, b->node);
    return order ? order : compare_u64(a->turn, b->turn);
}

static inline bool ballot_none(const struct ballot *b)
{
    return b->era.layout == 0 && b->counter == 0;
}

static inline struct op_id op_from_public(struct toystore_op op)
{
    struct op_id id = {.sequence = op.sequence};
    memcpy(id.session.bytes, op.session, SESSION_SIZE);
    return id;
}

static inline struct toystore_op op_to_public(struct op_id id)
{
    struct toystore_op op = {.sequence = id.sequence};
    memcpy(op.session, id.session.bytes, SESSION_SIZE);
    return op;
}

#endif
