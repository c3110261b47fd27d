/* coord: the coordinator's state as a whole; each kind of operation has its own file. */
#include "core/coord/coord_priv.h"

#include <stdlib.h>

struct coord *coord_new(struct core *core)
{
    (void)core;
    struct coord *coord = base_alloc(sizeof *coord);
    list_init(&coord->refused);
#define PART(name) coord_##name##_init(coord);
    COORD_PARTS(PART)
#undef PART
    return coord;
}

size_t coord_busy(const struct core *core)
{
    return core->coord->keys.count;
}

void coord_free(struct coord *coord)
{
    if (!coord)
        return;
#define PART(name) coord_##name##_free_all(coord);
    COORD_PARTS(PART)
#undef PART
    coord_refusals_free(coord);
    coord_forget_led(coord);
    free(coord);
}
