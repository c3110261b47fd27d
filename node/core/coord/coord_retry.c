/* coord_retry: what callers may try again: the name, time and era with which an op that ended
 * without a clear outcome was first asked. A retry must carry the same, or it could be applied
 * twice.
 *
 * Enters from: ask_put.c. Bounded: the oldest are forgotten. */
#include "core/coord/coord_priv.h"

#include <stdlib.h>

struct tried {
    struct list link;
    struct op_id id; /* as the caller names it */
    struct retry retry;
};

static struct slice op_key(const struct op_id *id, uint8_t bytes[SESSION_SIZE + 8])
{
    memcpy(bytes, id->session.bytes, SESSION_SIZE);
    memcpy(bytes + SESSION_SIZE, &id->sequence, 8);
    return slice_of(bytes, SESSION_SIZE + 8);
}

static void forget_oldest(struct coord *coord)
{
    struct tried *oldest = container_of(coord->tried_order.next, struct tried, link);
    uint8_t bytes[SESSION_SIZE + 8];
    list_remove(&oldest->link);
    map_remove(&coord->tried, op_key(&oldest->id, bytes));
    free(oldest);
}

void retry_remember(struct coord *coord, const struct op_id *id, const struct retry *retry)
{
    uint8_t bytes[SESSION_SIZE + 8];
    struct slice key = op_key(id, bytes);
    struct tried *before = map_get(&coord->tried, key);
    if (before) {
        before->retry = *retry;
        return;
    }
    if (coord->tried.count >= COORD_TRIED_MAX)
        forget_oldest(coord);
    struct tried *tried = base_alloc(sizeof *tried);
    tried->id = *id;
    tried->retry = *retry;
    list_push_back(&coord->tried_order, &tried->link);
    map_put(&coord->tried, key, tried);
}

const struct retry *retry_find(const struct coord *coord, const struct op_id *id)
{
    uint8_t bytes[SESSION_SIZE + 8];
    const struct tried *tried = map_get(&coord->tried, op_key(id, bytes));
    return tried ? &tried->retry : NULL;
}

void coord_retry_init(struct coord *coord)
{
    list_init(&coord->tried_order);
}

void coord_retry_free_all(struct coord *coord)
{
    while (!list_empty(&coord->tried_order))
        forget_oldest(coord);
    map_free(&coord->tried);
}
