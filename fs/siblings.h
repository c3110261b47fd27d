/* siblings: versions of one name that did not see each other, made on both sides of a split. The
 * first one stands at the name; the others are files, too:
 *
 *     NAME.conflict-TIME-NODE                        resolves beside the name
 *     .toystore/conflicts/PATH/TIME-NODE             is the list
 *
 * TIME is the hybrid time of the put, in UTC to the microsecond, NODE the id of the node that made
 * it. Versions that say the same are one. */
#ifndef TOYSTORE_FS_SIBLINGS_H
#define TOYSTORE_FS_SIBLINGS_H

#include "names.h"

#include "base/blob.h"

#define SIBLING_MARK  ".conflict-"
#define CONFLICTS_DIR NAMES_RESERVED "/conflicts"

enum { SIBLING_TAG_SIZE = 48, SIBLINGS_MAX = 65 };

static inline bool conflicts_key(struct slice key) /* below .toystore/conflicts */
{
    static const char head[] = CONFLICTS_DIR "/";
    return key.size >= sizeof head && memcmp(key.data, head, sizeof head - 1) == 0;
}

/* TIME-NODE, closed by a NUL. */
void sibling_tag(char ret[SIBLING_TAG_SIZE], const struct toystore_version *version);
/* Is the key one of both forms above? Then of which key, and TIME-NODE; borrowed. */
bool sibling_key(struct slice key, struct slice *ret_base, struct slice *ret_tag);
/* The version that the tag names; version_count: none. */
size_t sibling_find(const struct toystore_result *result, struct slice tag);
bool sibling_same(const struct toystore_version *a, const struct toystore_version *b);
/* Is this version shown as a sibling? Not the first, and none that says what one before it says. */
bool sibling_differs(const struct toystore_result *result, size_t index);
/* The ops of those that say what the first says, which whoever replaces that replaces, too; NULL:
 * there are none. */
struct blob *siblings_equal(const struct toystore_result *result);

/* What a put replaces that goes on from one version: it, and its equals. */
struct match {
    struct toystore_op ops[SIBLINGS_MAX];
    size_t count;
};
void match_of(struct match *ret, const struct toystore_op *op, const struct blob *equal);

#endif
