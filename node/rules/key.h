/* key: which keys are allowed, and the reserved ones below .toystore/. */
#ifndef TOYSTORE_RULES_KEY_H
#define TOYSTORE_RULES_KEY_H

#include "wire/types.h"

#define KEY_RESERVED ".toystore"
#define KEY_LAYOUTS  ".toystore/layouts/"
#define KEY_SESSIONS ".toystore/sessions/"
#define KEY_FILES    ".toystore/files/"
#define KEY_CHUNKS   ".toystore/chunks/"
#define KEY_PAGES    ".toystore/pages/"
#define KEY_LOCKS    ".toystore/locks/"

/* OK; INVALID, TOO_LARGE with the reason in `error`. The empty key is the root directory. */
enum toystore_status key_check(struct slice key, char *error, size_t error_size);
bool key_is_reserved(struct slice key);
bool key_is_immutable(struct slice key); /* chunks and pages */
bool key_is_durable(struct slice key);   /* promises and ballots fsynced: layouts, sessions */
bool key_has_prefix(struct slice key, const char *prefix);
struct slice key_parent(struct slice key); /* "" for a top-level key */
struct slice key_name(struct slice key);

/* 63 bits: the readdir cookie of a name; never 0. */
uint64_t key_cookie(struct slice name);
/* Keys of the spaces (toystore/store.h). */
struct hash128 key_token(struct slice key);
void key_listing(struct buf *out, struct slice parent, uint64_t cookie, struct slice name);

/* 40 hex digits: session then sequence. */
enum { OP_TEXT_SIZE = 2 * SESSION_SIZE + 16 };
void op_text(char text[OP_TEXT_SIZE + 1], const struct op_id *op);

#endif
