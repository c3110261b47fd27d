/* What a replica keeps for a key: one byte of format, 8 bytes of checksum, then the promise, the
 * mark of what is settled and the record. The first nine bytes mean the same in every format, so
 * that a damaged entry is never taken for a newer one. */
#include "wire/record.h"

#include "wire/messages.h"
#include "wire/pack.h"
#include "wire/values.h"

enum { ENTRY_FORMAT = 1, ENTRY_HEAD_SIZE = 9 };

/* Where the checksum goes, and all before the bytes of the record; what is behind the checksum. */
static struct slice begin(struct buf *out, const struct entry *entry)
{
    uint8_t head[ENTRY_HEAD_SIZE] = {ENTRY_FORMAT};
    size_t at = out->size + ENTRY_HEAD_SIZE;
    buf_append(out, head, sizeof head);
    pack_array(out, 3);
    wire_put_BALLOT(out, entry->promised);
    pack_bool(out, entry->settled);
    pack_bytes_head(out, entry->record.size);
    return slice_of(out->blob->data + at, out->size - at);
}

static void set_checksum(const struct slice *body, uint64_t checksum)
{
    uint8_t *at = (uint8_t *)(uintptr_t)body->data - sizeof checksum;
    for (size_t i = 0; i < sizeof checksum; i++)
        at[i] = (uint8_t)(checksum >> (56 - 8 * i));
}

void entry_encode_head(struct buf *out, const struct entry *entry)
{
    struct slice body = begin(out, entry);
    set_checksum(&body, hash64_of_two(body, entry->record, ENTRY_FORMAT));
}

void entry_encode(struct buf *out, const struct entry *entry)
{
    buf_reserve(out, ENTRY_HEAD_SIZE + 64 + entry->record.size);
    struct slice body = begin(out, entry);
    size_t at = (size_t)(body.data - out->blob->data);
    buf_append(out, entry->record.data, entry->record.size);
    body = slice_of(out->blob->data + at, out->size - at);
    set_checksum(&body, hash64_seeded(body, ENTRY_FORMAT));
}

int entry_decode(struct slice bytes, struct entry *ret_entry)
{
    if (bytes.size < ENTRY_HEAD_SIZE)
        return -EUCLEAN;
    uint64_t checksum = 0;
    for (size_t i = 0; i < sizeof checksum; i++)
        checksum = checksum << 8 | bytes.data[1 + i];
    struct slice body = slice_of(bytes.data + ENTRY_HEAD_SIZE, bytes.size - ENTRY_HEAD_SIZE);
    if (checksum != hash64_seeded(body, bytes.data[0]))
        return -EUCLEAN;
    if (bytes.data[0] > ENTRY_FORMAT)
        return -EPROTO;
    struct entry entry;
    struct cursor cursor = cursor_of(body);
    cursor.canonical = true;
    uint32_t tail;
    if (bytes.data[0] != ENTRY_FORMAT || !wire_array_begin(&cursor, 3, &tail) ||
        !wire_get_BALLOT(&cursor, &entry.promised) || !cursor_bool(&cursor, &entry.settled) ||
        !cursor_bytes(&cursor, &entry.record) || cursor.at != cursor.end)
        return -EUCLEAN;
    *ret_entry = entry;
    return 0;
}
