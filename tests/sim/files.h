/* files: clients of directories and chunks, and what they were told. */
#ifndef TOYSTORE_SIM_FILES_H
#define TOYSTORE_SIM_FILES_H

#include "sim/sim.h"

enum { FILE_CLIENTS = 3, FILE_NAMES_MAX = 48, CHUNKS_MAX = 160 };

/* What is known of a name or a chunk. Once an operation on it was in doubt, nothing is: it may take
 * effect at any time. */
enum known { KNOWN_ABSENT, KNOWN_PRESENT, KNOWN_NOTHING };

struct file_name {
    enum known known;
    uint64_t since; /* the answer that told so */
    unsigned busy;  /* operations under way: at most one */
    uint64_t began; /* the last operation */
    bool sloppy;    /* any of them was */
    bool durable;   /* what stands there survives a power cut everywhere */
};

struct file_chunk {
    enum known known;
    uint64_t since;
    uint64_t began; /* the last operation */
    unsigned busy;
    uint64_t number; /* its bytes */
    size_t size;
    bool sloppy, durable;
};

enum file_kind {
    FILE_PUT,
    FILE_DELETE,
    FILE_LIST,
    FILE_STORE,
    FILE_DROP, /* a chunk */
    FILE_FETCH,
    FILE_SYNC
};

/* One call at a time. */
struct file_client {
    unsigned node;
    bool open;
    enum file_kind kind;
    unsigned index;    /* of the name or the chunk */
    uint64_t began;    /* in the order of calls and answers */
    uint64_t asked_us; /* 0: between two pages of a listing */
    uint64_t calls;    /* names them */
    bool durable;      /* FILE_PUT, FILE_DELETE, FILE_STORE, FILE_DROP */
    /* FILE_LIST */
    uint64_t after;
    bool listed[FILE_NAMES_MAX], doubtful;
    /* FILE_SYNC */
    bool syncs_name[FILE_NAMES_MAX], syncs_chunk[CHUNKS_MAX];
};

struct files {
    struct file_client client[FILE_CLIENTS + 1]; /* the last one looks at everything at the end */
    struct file_name names[FILE_NAMES_MAX];
    struct file_chunk chunks[CHUNKS_MAX];
    size_t chunk_count;
    uint64_t clock, numbers;
    bool stopped;
    unsigned last_node, last_chunk; /* what is looked at next, at the end */
};

const char *files_name(unsigned index, char room[32]); /* the key of a name */
bool files_chunk_is(const struct file_chunk *chunk, struct toystore_bytes value);

/* files_check.c: notes an answer, and fails where it must not have been given. */
void files_take(struct sim *sim, struct file_client *client, const struct toystore_result *result);

#endif
