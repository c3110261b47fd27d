/* listing: the index entry of a key: what a record shows, without its value. */
#include "rules/listing.h"

#include "rules/key.h"
#include "rules/version.h"
#include "wire/messages.h"
#include "wire/pack.h"

enum { LISTING_FORMAT = 1, LISTING_FIELDS = 6, LISTING_HEAD_SIZE = 16 + 8 };

bool listing_wanted(struct slice key)
{
    return key.size > 0 && !key_is_immutable(key);
}

void listing_of(const struct record *record, struct listing *ret)
{
    struct visible visible;
    record_visible(record, &visible);
    ret->kind = TOYSTORE_TOMBSTONE;
    ret->op = (struct op_id){0};
    ret->attributes = (struct toystore_attributes){0};
    ret->ballot = record->has_register ? record->reg.ballot : (struct ballot){0};
    ret->sloppy = record->sloppy_count > 0;
    const struct version *shown = NULL;
    if (visible.count > 0)
        shown = visible.versions[0];
    else if (record->has_register)
        shown = &record->reg.version;
    if (shown == NULL)
        return;
    ret->kind = visible.count > 0 ? shown->kind : TOYSTORE_TOMBSTONE;
    ret->op = shown->op;
    ret->attributes = shown->attributes;
}

void listing_encode(struct buf *out, const struct listing *listing)
{
    pack_array(out, LISTING_FIELDS);
    wire_put_U32(out, LISTING_FORMAT);
    wire_put_U32(out, listing->kind);
    wire_put_OPID(out, listing->op);
    wire_put_BALLOT(out, listing->ballot);
    wire_put_BOOL(out, listing->sloppy);
    wire_put_ATTRIBUTES(out, listing->attributes);
}

bool listing_decode(struct slice key, struct slice value, struct listing *ret)
{
    if (key.size <= LISTING_HEAD_SIZE)
        return false;
    struct cursor cursor = cursor_of(value);
    uint32_t count, format, kind;
    struct listing listing = {0};
    if (!cursor_array(&cursor, &count) || count < LISTING_FIELDS ||
        !wire_get_U32(&cursor, &format) || format != LISTING_FORMAT ||
        !wire_get_U32(&cursor, &kind) || kind > TOYSTORE_INTERNAL ||
        !wire_get_OPID(&cursor, &listing.op) || !wire_get_BALLOT(&cursor, &listing.ballot) ||
        !wire_get_BOOL(&cursor, &listing.sloppy) ||
        !wire_get_ATTRIBUTES(&cursor, &listing.attributes))
        return false;
    listing.kind = (uint8_t)kind;
    for (size_t i = LISTING_HEAD_SIZE - 8; i < LISTING_HEAD_SIZE; i++)
        listing.cookie = listing.cookie << 8 | key.data[i];
    listing.name = slice_of(key.data + LISTING_HEAD_SIZE, key.size - LISTING_HEAD_SIZE);
    *ret = listing;
    return true;
}
