/* listing: what TOYSTORE_LISTING keeps for a key, so that a directory is listed without reading
 * values. Written in the batch that writes the record. The pair's key
 * is made by key_listing (rules/key.h); the entries of a directory are those from
 * key_listing(directory, after, after_name) to key_listing(directory, UINT64_MAX, "").
 * Immutable keys and the root have no entry; a tombstone has one, since the newer of two replicas'
 * answers must win. */
#ifndef TOYSTORE_RULES_LISTING_H
#define TOYSTORE_RULES_LISTING_H

#include "wire/types.h"

struct listing {
    uint64_t cookie;   /* from the pair's key, as is name */
    struct slice name; /* borrowed */
    uint8_t kind;      /* of what stands at the name: TOYSTORE_TOMBSTONE when nothing does */
    struct op_id op;
    struct ballot ballot; /* the register's; zero: there is none */
    bool sloppy;          /* there are siblings beside the register: ask for the key */
    struct toystore_attributes attributes;
};

bool listing_wanted(struct slice key); /* does this key get an entry at all? */
/* kind to attributes, from what is visible of the record; cookie and name are left alone. */
void listing_of(const struct record *record, struct listing *ret);

void listing_encode(struct buf *out, const struct listing *listing);
/* A stored pair. False: malformed; borrows from `key`. */
bool listing_decode(struct slice key, struct slice value, struct listing *ret);

#endif
