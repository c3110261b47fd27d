/* What a replica keeps for a key: one byte of format, 8 bytes of checksum, then the promise, the
 * mark of what is settled and the record. The first nine bytes mean the same in every format, so
 * that a damaged entry is never taken for a newer one. */
#include "wire/record.h"

#include "wire/messages.h"
#include "wire/pack.h"
#include "wire/values.h"

enum { ENTRY_FORMAT = 1, ENTRY_HEAD_SIZE = 9 };

static uint64_t entry_checksum(uint8_t format, struct slice body)
{
    return hash64_seeded(body, format);
}

void entry_encode(struct buf *out, const struct entry *entry)
{
    uint8_t head[ENTRY_HEAD_SIZE] = {ENTRY_FORMAT};
    size_t at = out->size;
    buf_reserve(out, ENTRY_HEAD_SIZE + 64 + entry->record.size);
    buf_append(out, head, sizeof head);
    pack_array(out, 3);
    wire_put_BALLOT(out, entry->promised);
    pack_bool(out, entry->settled);
    pack_bytes(out, entry->record);
    struct slice body =
        slice_of(out->blob->data + at + ENTRY_HEAD_SIZE, out->size - at - ENTRY_HEAD_SIZE);
    uint64_t checksum = entry_checksum(ENTRY_FORMAT, body);
    for (size_t i = 0; i < sizeof checksum; i++)
        out->blob->data[at + 1 + i] = (uint8_t)(checksum >> (56 - 8 * i));
}

int entry_decode(struct slice bytes, struct entry *ret_entry)
{
    if (bytes.size < ENTRY_HEAD_SIZE)
        return -EUCLEAN;
    uint64_t checksum = 0;
    for (size_t i = 0; i < sizeof checksum; i++)
        checksum = checksum << 8 | bytes.data[1 + i];
    struct slice body = slice_of(bytes.data + ENTRY_HEAD_SIZE, bytes.size - ENTRY_HEAD_SIZE);
    if (checksum != entry_checksum(bytes.data[0], body))
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
