/* own: the sloppy puts of this node's own askers that no majority is known to have yet (PROTOCOL
 * 6). A later put of a session stands for all its earlier ones, so it must not be made by who has
 * not read them: until the owners have them, this node adds them to its gets, as a hint holder
 * does, and shows them to whoever coordinates its puts. In memory only: a new process is a new
 * session. */
#ifndef TOYSTORE_CORE_COORD_OWN_H
#define TOYSTORE_CORE_COORD_OWN_H

#include "core/coord/coord_get.h"

enum {
    OWN_KEYS_MAX = 65536,
    OWN_BYTES_MAX = 64 << 20, /* of records and keys */
    OWN_PUTS_MAX = 8,         /* of one key: one a session */
    OWN_GETS_MAX = 64         /* begun in one handoff interval, to spread them */
};

/* Is there room for one more sloppy put to this key, by this session? Where there is none, it is
 * not made. */
bool own_room(const struct core *core, struct slice key, const struct op_id *op);
/* It is about to be acknowledged. `record` is the sibling alone, encoded; takes its own reference.
 * False: others have taken the room meanwhile, and it must not be. */
bool own_remember(struct core *core, struct slice key, const struct op *op, struct blob *record);
/* base := its merge with what is remembered of the key. */
void own_merge(const struct core *core, struct slice key, struct arena *arena, struct record *base);

/* For Forward: the list of own_items. Empty when there are none. */
struct wire_list own_pack(const struct core *core, struct slice key, struct buf *out);
/* At the coordinator: what an asker has shown, less what is of an older era than this partition
 * was collected in: that was delivered or replaced before. False: malformed. */
bool own_read(struct core *core, uint32_t partition, const struct wire_list *list,
              struct arena *arena, struct record *ret_record);

/* ---- in a get (coord_get.c) ---- */

/* Has the base, which is chosen, one that too few owners show? Then GET_OWN. */
bool own_unshown(const struct core *core, struct coord_get *get);
/* GET_OWN: gives it to the owners, then asks everything anew. */
void get_own(struct core *core, struct operation *operation);
/* The base is chosen and was answered: what a register holds, or every owner, is forgotten. */
void own_learn(struct core *core, const struct coord_get *get);

#endif
