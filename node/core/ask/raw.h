/* raw: one request as the raw methods and the simple calls mean it: more than one get or put each.
 * Shared by raw.c (the door, gets, deletes and listings), raw_put.c and raw_file.c. */
#ifndef TOYSTORE_CORE_RAW_H
#define TOYSTORE_CORE_RAW_H

#include "core/ask/ask_priv.h"
#include "wire/file_pieces.h"

struct raw {
    struct operation op;
    ask_done_fn *done;
    uint64_t done_handle;
    struct session session;
    struct arena arena;
    struct toystore_request request; /* a copy, in the arena */
    uint64_t deadline_us;
    unsigned tries;
    char message[200];

    /* a put, a delete */
    size_t depth; /* size of the ancestor that is looked at or made */
    bool closing; /* that parent is about to be removed: the mark is taken away */
    struct toystore_op match[VISIBLE_MAX];

    /* a get of a file whose content is in chunks */
    struct toystore_version shown; /* the reference; then the file */
    struct file_pieces pieces;
    struct slice rows; /* extents that are still to be read: the record's, then each page's */
    uint32_t page;     /* the next one */
    struct file_page at_page;
    struct file_extent extent; /* whose chunk is being fetched */
    uint8_t *content;
};

enum {
    RAW_NEW,
    RAW_PARENT, /* is the ancestor of this depth a directory? */
    RAW_MAKE,   /* makes it */
    RAW_LOOK,   /* a delete looks at what it deletes; an empty listing at its directory */
    RAW_DO,     /* the request itself */
    RAW_RECORD, /* the file record of a reference */
    RAW_PIECES, /* the next chunk, or the next page of extents */
    RAW_BEHIND, /* answered; the parent of a new name is looked at once more */
    RAW_REVIVE, /* and made again when it is gone */
    RAW_DONE
};

static inline struct raw *raw_of(struct operation *operation)
{
    return container_of(operation, struct raw, op);
}

struct raw *raw_find(struct core *core, uint64_t handle);
void raw_move(struct core *core, struct raw *raw, unsigned state);
unsigned raw_left_ms(const struct core *core, const struct raw *raw);
/* The one answer. */
void raw_answer(struct core *core, struct raw *raw, const struct toystore_result *result);
void raw_fail(struct core *core, struct raw *raw, enum toystore_status status, const char *message);

void raw_parent(struct core *core, struct operation *operation);
void raw_make(struct core *core, struct operation *operation);
void raw_behind(struct core *core, struct operation *operation);
void raw_revive(struct core *core, struct operation *operation);
/* Where a put begins: at its parent, or at once when that is known to be a directory. */
void raw_put_begin(struct core *core, struct raw *raw);

/* The key of a file record, or of a chunk or page of the file, in `text`. */
enum { PART_KEY_SIZE_MAX = 160 };
struct toystore_bytes raw_part_key(char *text, const char *room, const struct op_id *file,
                                   const struct op_id *part);

/* Files in chunks among the versions that a put has replaced: theirs go, when nothing else refers
 * to them (raw_bury.c). */
void raw_bury(struct core *core, const struct toystore_result *replaced);

void raw_record(struct core *core, struct operation *operation);
void raw_pieces(struct core *core, struct operation *operation);

#endif
