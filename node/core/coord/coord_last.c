/* coord_last: the last put of each session to each key that this node was asked for, its own and
 * its clients'. A later put of a session stands for its earlier ones (PROTOCOL 1), also for one
 * that went through a quorum, of which a sloppy put's own side of a split may know nothing: who
 * makes a sloppy put looks here for what it must have read, and for what has overtaken it
 * (coord_sloppy.c).
 *
 * Enters from: ask_put.c. Bounded: the oldest are forgotten, and of which sessions any was, is
 * remembered. */
#include "core/coord/coord_priv.h"

#include <stdlib.h>

#include "base/hash.h"

enum { FORGOTTEN_MAX = 4096 }; /* sessions; beyond that, anything may have been */

struct last_put {
    struct list link;    /* in the order in which they were put */
    struct hash128 name; /* of session and key */
    struct session session;
    uint64_t sequence;
};

static struct slice name_of(const struct hash128 *name)
{
    return slice_of(name->bytes, sizeof name->bytes);
}

static struct slice session_of(const struct session *session)
{
    return slice_of(session->bytes, SESSION_SIZE);
}

static struct last_put *last_find(const struct core *core, struct slice line)
{
    struct hash128 name = hash128(line);
    return map_get(&core->coord->last, name_of(&name));
}

uint64_t last_put(const struct core *core, struct slice line)
{
    const struct coord *coord = core->coord;
    const struct last_put *last = last_find(core, line);
    if (last)
        return last->sequence;
    bool forgot = coord->last_forgotten.count >= FORGOTTEN_MAX ||
                  map_get(&coord->last_forgotten, slice_of(line.data, SESSION_SIZE)) != NULL;
    return forgot ? LAST_UNKNOWN : 0;
}

static void drop_oldest(struct coord *coord)
{
    struct last_put *oldest = container_of(coord->last_order.next, struct last_put, link);
    list_remove(&oldest->link);
    map_remove(&coord->last, name_of(&oldest->name));
    free(oldest);
}

static void forget_oldest(struct coord *coord)
{
    const struct last_put *oldest = container_of(coord->last_order.next, struct last_put, link);
    if (coord->last_forgotten.count < FORGOTTEN_MAX)
        map_put(&coord->last_forgotten, session_of(&oldest->session), coord);
    drop_oldest(coord);
}

static struct last_put *last_new(struct coord *coord, struct slice line)
{
    if (coord->last.count >= LAST_PUTS_MAX)
        forget_oldest(coord);
    struct last_put *last = base_alloc(sizeof *last);
    last->name = hash128(line);
    memcpy(last->session.bytes, line.data, SESSION_SIZE);
    map_put(&coord->last, name_of(&last->name), last);
    return last;
}

void last_put_note(struct core *core, struct slice line, uint64_t sequence)
{
    struct coord *coord = core->coord;
    struct last_put *last = last_find(core, line);
    if (sequence == 0)
        return; /* it was not begun */
    if (!last)
        last = last_new(coord, line);
    last->sequence = max_u64(last->sequence, sequence);
    list_remove(&last->link);
    list_push_back(&coord->last_order, &last->link);
}

void coord_last_init(struct coord *coord)
{
    list_init(&coord->last_order);
}

void coord_last_free_all(struct coord *coord)
{
    while (!list_empty(&coord->last_order))
        drop_oldest(coord);
    map_free(&coord->last);
    map_free(&coord->last_forgotten);
}
