/* identity: an id, an incarnation, the cluster and the last starts of a data directory. */
#ifndef TOYSTORE_CORE_IDENTITY_H
#define TOYSTORE_CORE_IDENTITY_H

#include "core/state/state.h"

#define META_IDENTITY "identity"
#define META_RESET    "begin-empty" /* sorts first: what follows is not restored then */

bool identity_restore(struct core *core, struct slice value);
void identity_put(const struct core *core, struct batch *batch);
/* Every start appends a nonce, so that copies of a directory can be told from each other. */
void identity_new_start(struct core *core);
/* Again, after the incarnation or the cluster changed. */
void identity_save(struct core *core);
/* This directory is a copy, or came out of a backup, and its node lives elsewhere or went on
 * (PROTOCOL 7): the node stops; started again it begins empty, under a new id. */
void identity_reset(struct core *core, const char *why);

#endif
