/* coord_list: one listing of a directory, shared by coord_list.c (asking a covering set) and
 * coord_list_merge.c (what their entries say together). */
#ifndef TOYSTORE_CORE_COORD_LIST_H
#define TOYSTORE_CORE_COORD_LIST_H

#include "core/coord/coord.h"
#include "core/coord/coord_priv.h"

struct list_member {
    node_id id;
    bool asked, failed;
    struct blob *frame; /* its answer; NULL: none yet */
    struct list_reply reply;
};

struct coord_list {
    struct operation op;
    ask_done_fn *done;
    uint64_t done_handle;
    struct arena arena;
    struct slice directory;
    unsigned limit, r;
    bool sloppy; /* a name was told without a quorum */

    unsigned page_limit; /* entries that a member is asked for */
    uint64_t after;      /* this page begins after (after, after_name) */
    struct slice after_name;
    uint32_t attempt;
    const struct layout *layouts[2]; /* oldest and newest; their numbers stay known */
    uint32_t numbers[2];
    unsigned layout_count;
    struct list_member *members;
    size_t member_count;
    unsigned open;

    struct toystore_entry *entries; /* as found so far */
    size_t entry_count, entry_capacity;
    bool more;
    bool *siblings;    /* per entry: a get must tell what stands there */
    size_t resolve_at; /* entries before it are known */
    struct timer timer, deadline;
    uint64_t deadline_us;
};

enum { LIST_NEW, LIST_ASK, LIST_MERGE, LIST_RESOLVE, LIST_PAUSE, LIST_STALE, LIST_DONE };

struct coord_list *list_find(struct core *core, uint64_t handle);
void list_move(struct core *core, struct coord_list *list, unsigned state);
static inline struct coord_list *list_of(struct operation *operation)
{
    return container_of(operation, struct coord_list, op);
}
static inline bool list_says(const struct list_reply *reply, uint32_t partition)
{
    size_t byte = partition / 8;
    return byte < reply->partitions.size && (reply->partitions.data[byte] >> (partition % 8) & 1);
}

/* The answers cover every partition: entries, then the next page or the end. */
void list_merge(struct core *core, struct operation *operation);
void list_resolve(struct core *core, struct operation *operation);
void list_finish(struct core *core, struct coord_list *list, enum toystore_status status);
void list_forget_answers(struct coord_list *list);

#endif
