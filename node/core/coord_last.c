/* coord_last: the last put of each session to each key that this node was asked for, its own and
 * its clients'. A later put of a session stands for its earlier ones (PROTOCOL 1), also for one
 * that went through a quorum, of which a sloppy put's own side of a split may know nothing: who
 * makes a sloppy put looks here for what it must have read (coord_sloppy.c).
 *
 * Enters from: ask_put.c. Bounded: the oldest are forgotten, which is remembered. */
#include "core/coord_priv.h"

#include <stdlib.h>

struct last_put {
    struct list link; /* in the order in which they were put */
    uint64_t sequence;
    size_t name_size;
    uint8_t name[];
};

static struct slice name_of(const struct last_put *last)
{
    return slice_of(last->name, last->name_size);
}

static bool of_present_session(const struct core *core, struct slice line)
{
    return memcmp(line.data, core->session.bytes, SESSION_SIZE) == 0;
}

uint64_t last_put(const struct core *core, struct slice line)
{
    const struct coord *coord = core->coord;
    const struct last_put *last = map_get(&coord->last, line);
    bool forgot = of_present_session(core, line) ? coord->last_forgot : coord->last_forgot_others;
    return last ? last->sequence : forgot ? LAST_UNKNOWN : 0;
}

static void drop_oldest(struct coord *coord)
{
    struct last_put *oldest = container_of(coord->last_order.next, struct last_put, link);
    list_remove(&oldest->link);
    map_remove(&coord->last, name_of(oldest));
    free(oldest);
}

static void forget_oldest(struct core *core)
{
    struct coord *coord = core->coord;
    struct last_put *oldest = container_of(coord->last_order.next, struct last_put, link);
    if (of_present_session(core, name_of(oldest)))
        coord->last_forgot = true;
    else
        coord->last_forgot_others = true;
    drop_oldest(coord);
}

static struct last_put *last_new(struct core *core, struct slice line)
{
    struct coord *coord = core->coord;
    if (coord->last.count >= LAST_PUTS_MAX)
        forget_oldest(core);
    struct last_put *last = base_alloc(sizeof *last + line.size);
    last->name_size = line.size;
    memcpy(last->name, line.data, line.size);
    map_put(&coord->last, line, last);
    return last;
}

void last_put_note(struct core *core, struct slice line, uint64_t sequence)
{
    struct coord *coord = core->coord;
    struct last_put *last = map_get(&coord->last, line);
    if (sequence == 0)
        return; /* it was not begun */
    if (!last)
        last = last_new(core, line);
    last->sequence = max_u64(last->sequence, sequence);
    list_remove(&last->link);
    list_push_back(&coord->last_order, &last->link);
}

void last_put_renewed(struct core *core)
{
    struct coord *coord = core->coord;
    coord->last_forgot_others = coord->last_forgot_others || coord->last_forgot;
    coord->last_forgot = false;
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
}
