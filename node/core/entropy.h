/* entropy: anti-entropy between owners (DESIGN 5, Dynamo 4.7): whose copies of a partition may
 * differ compare their hash trees, and what differs is stored where it is missing, or settled. */
#ifndef TOYSTORE_CORE_ENTROPY_H
#define TOYSTORE_CORE_ENTROPY_H

#include "core/core.h"

struct entropy;
struct entropy *entropy_new(void);
void entropy_free(struct entropy *entropy);
void entropy_start(struct core *core);
void entropy_on_member(struct core *core, node_id id); /* it is back: compare with it now */
void entropy_view_changed(struct core *core);          /* everything may differ */

#endif
