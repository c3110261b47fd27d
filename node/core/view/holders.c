/* holders: who holds which partition, as told (PROTOCOL 7 hold). What each has told is written by
 * move_tell.c and move_wish.c.
 *
 * Enters from whoever takes a record from a peer, or counts who holds. */
#include "core/view/holders.h"
#include "core/view/view.h"

#include <stdlib.h>

struct holders *holders_new(void)
{
    return base_alloc(sizeof(struct holders));
}

const struct holder *holder_find(const struct core *core, node_id id)
{
    return map_get(&core->holders->by_id, slice_of(&id, sizeof id));
}

struct holder *holder_of(struct core *core, node_id id)
{
    struct map *holders = &core->holders->by_id;
    struct slice key = slice_of(&id, sizeof id);
    struct holder *holder = map_get(holders, key);
    if (!holder) {
        holder = base_alloc(sizeof *holder);
        holder->id = id;
        map_put(holders, key, holder);
    }
    return holder;
}

void holders_free(struct holders *holders)
{
    if (!holders)
        return;
    MAP_EACH(entry, &holders->by_id)
    {
        struct holder *holder = entry->value;
        free(holder->bitmap);
        free(holder->epochs);
        free(holder->wishes);
        free(holder);
    }
    map_free(&holders->by_id);
    free(holders);
}

bool holder_took(const struct core *core, node_id id, uint32_t partition)
{
    if (id == core->id)
        return view_holds(core, partition);
    const struct holder *holder = holder_find(core, id);
    return holder && holder->bitmap && holder->newest == view_newest(core)->number &&
           (holder->bitmap[partition / 8] >> partition % 8 & 1) != 0;
}

bool holder_holds(const struct core *core, node_id id, uint32_t partition)
{
    if (id == core->id)
        return view_holds(core, partition);
    const struct holder *holder = holder_find(core, id);
    return holder_took(core, id, partition) &&
           holder->epochs[partition] >= view_of(core, partition).epoch;
}

bool holder_unheld(const struct core *core, struct slice key, node_id id,
                   const struct record *record, const struct record *own)
{
    bool above = record->has_register &&
                 (!own->has_register || ballot_compare(&record->reg.ballot, &own->reg.ballot) > 0);
    return above && record->reg.ballot.era.layout < view_newest(core)->number &&
           view_layout_of_key(key) == 0 && !holder_took(core, id, view_partition_of(core, key));
}
