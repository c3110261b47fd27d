/* A key's record as bytes, format 1: [1, register or nil, [sloppy ...]] in MessagePack, shortest
 * forms only, lists in order. No record is no bytes. */
#include "wire/record.h"

#include "wire/messages.h"
#include "wire/pack.h"
#include "wire/values.h"

/* Fewest bytes that one can take, so that a count bounds an allocation by the bytes that came. */
enum { COVER_SIZE_MIN = 18, SLOPPY_SIZE_MIN = 52 };

uint64_t version_checksum(const struct version *version)
{
    return hash64_seeded(version->extra, hash64(version->value));
}

static void put_version(struct buf *out, const struct version *version)
{
    pack_array(out, 9);
    wire_put_OPID(out, version->op);
    pack_u64(out, version->kind);
    wire_put_ATTRIBUTES(out, version->attributes);
    pack_bytes(out, version->value);
    pack_bytes(out, version->extra);
    pack_u64(out, version->checksum);
    pack_u64(out, version->time_us);
    pack_u64(out, version->node);
    pack_array(out, (uint32_t)version->cover_count);
    for (size_t i = 0; i < version->cover_count; i++) {
        const struct cover *cover = &version->covers[i];
        pack_array(out, 3);
        wire_put_SESSION(out, cover->session);
        pack_u64(out, cover->sequence);
        wire_put_ERA(out, cover->era);
    }
}

static void put_register(struct buf *out, const struct reg *reg)
{
    pack_array(out, 5);
    wire_put_BALLOT(out, reg->ballot);
    put_version(out, &reg->version);
    pack_array(out, (uint32_t)reg->recent_count);
    for (size_t i = 0; i < reg->recent_count; i++) {
        const struct recent *recent = &reg->recent[i];
        pack_array(out, 5);
        wire_put_SESSION(out, recent->session);
        pack_u64(out, recent->sequence);
        pack_u64(out, recent->time_us);
        wire_put_ERA(out, recent->era);
        pack_u64(out, recent->answer);
    }
    pack_u64(out, reg->floor);
    wire_put_ERA(out, reg->born);
}

void record_encode(struct buf *out, const struct record *record)
{
    if (!record->has_register && record->sloppy_count == 0)
        return;
    /* at once, so that a large value is not copied again when the buffer grows behind it */
    buf_reserve(out, record->reg.version.value.size + record->reg.version.extra.size + 1024);
    pack_array(out, 3);
    pack_u64(out, RECORD_FORMAT);
    if (record->has_register)
        put_register(out, &record->reg);
    else
        pack_nil(out);
    pack_array(out, (uint32_t)record->sloppy_count);
    for (size_t i = 0; i < record->sloppy_count; i++) {
        pack_array(out, 2);
        put_version(out, &record->sloppy[i].version);
        wire_put_BALLOT(out, record->sloppy[i].sees);
    }
}

static bool get_fields(struct cursor *cursor, uint32_t count)
{
    uint32_t tail;
    return wire_array_begin(cursor, count, &tail);
}

static bool get_u8(struct cursor *cursor, uint64_t max, uint8_t *ret)
{
    uint64_t value;
    if (!cursor_u64(cursor, &value))
        return false;
    if (value > max)
        return wire_fail(cursor);
    *ret = (uint8_t)value;
    return true;
}

/* An array whose items take at least `item_size` bytes each. */
static bool get_count(struct cursor *cursor, size_t item_size, size_t *ret)
{
    uint32_t count;
    if (!cursor_array(cursor, &count))
        return false;
    if (count > (size_t)(cursor->end - cursor->at) / item_size)
        return wire_fail(cursor);
    *ret = count;
    return true;
}

static bool get_covers(struct cursor *cursor, struct arena *arena, struct version *ret)
{
    if (!get_count(cursor, COVER_SIZE_MIN, &ret->cover_count))
        return false;
    if (ret->cover_count == 0)
        return true;
    ret->covers = arena_alloc(arena, ret->cover_count * sizeof *ret->covers);
    for (size_t i = 0; i < ret->cover_count; i++) {
        struct cover *cover = &ret->covers[i];
        if (!get_fields(cursor, 3) || !wire_get_SESSION(cursor, &cover->session) ||
            !cursor_u64(cursor, &cover->sequence) || !wire_get_ERA(cursor, &cover->era))
            return false;
        if (i > 0 && session_compare(&cover[-1].session, &cover->session) >= 0)
            return wire_fail(cursor);
    }
    return true;
}

static bool get_version(struct cursor *cursor, struct arena *arena, struct version *ret)
{
    return get_fields(cursor, 9) && wire_get_OPID(cursor, &ret->op) &&
           get_u8(cursor, TOYSTORE_INTERNAL, &ret->kind) &&
           wire_get_ATTRIBUTES(cursor, &ret->attributes) && cursor_bytes(cursor, &ret->value) &&
           cursor_bytes(cursor, &ret->extra) && cursor_u64(cursor, &ret->checksum) &&
           cursor_u64(cursor, &ret->time_us) && cursor_u64(cursor, &ret->node) &&
           get_covers(cursor, arena, ret);
}

static bool get_recent(struct cursor *cursor, struct reg *ret)
{
    uint32_t count;
    if (!cursor_array(cursor, &count))
        return false;
    if (count > RECENT_MAX)
        return wire_fail(cursor);
    ret->recent_count = count;
    for (size_t i = 0; i < count; i++) {
        struct recent *recent = &ret->recent[i];
        if (!get_fields(cursor, 5) || !wire_get_SESSION(cursor, &recent->session) ||
            !cursor_u64(cursor, &recent->sequence) || !cursor_u64(cursor, &recent->time_us) ||
            !wire_get_ERA(cursor, &recent->era) || !get_u8(cursor, UINT8_MAX, &recent->answer))
            return false;
    }
    return true;
}

static bool get_register(struct cursor *cursor, struct arena *arena, struct reg *ret)
{
    return get_fields(cursor, 5) && wire_get_BALLOT(cursor, &ret->ballot) &&
           get_version(cursor, arena, &ret->version) && get_recent(cursor, ret) &&
           cursor_u64(cursor, &ret->floor) && wire_get_ERA(cursor, &ret->born);
}

static bool get_sloppy(struct cursor *cursor, struct arena *arena, struct record *ret)
{
    if (!get_count(cursor, SLOPPY_SIZE_MIN, &ret->sloppy_count))
        return false;
    if (ret->sloppy_count == 0)
        return ret->has_register || wire_fail(cursor); /* nothing at all is no bytes at all */
    ret->sloppy = arena_alloc(arena, ret->sloppy_count * sizeof *ret->sloppy);
    for (size_t i = 0; i < ret->sloppy_count; i++) {
        struct sloppy *sloppy = &ret->sloppy[i];
        if (!get_fields(cursor, 2) || !get_version(cursor, arena, &sloppy->version) ||
            !wire_get_BALLOT(cursor, &sloppy->sees))
            return false;
        if (i > 0 && op_id_compare(&sloppy[-1].version.op, &sloppy->version.op) >= 0)
            return wire_fail(cursor);
    }
    return true;
}

static bool version_intact(const struct version *version)
{
    return version->checksum == version_checksum(version);
}

static bool record_intact(const struct record *record)
{
    if (record->has_register && !version_intact(&record->reg.version))
        return false;
    for (size_t i = 0; i < record->sloppy_count; i++) {
        if (!version_intact(&record->sloppy[i].version))
            return false;
    }
    return true;
}

int record_decode(struct arena *arena, struct slice bytes, struct record *ret_record)
{
    struct record record = {0};
    if (bytes.size > 0) {
        struct cursor cursor = cursor_of(bytes);
        cursor.canonical = true;
        uint32_t count;
        uint64_t format;
        if (!cursor_array(&cursor, &count) || count == 0 || !cursor_u64(&cursor, &format))
            return -EBADMSG;
        if (format > RECORD_FORMAT)
            return -EPROTO;
        if (format != RECORD_FORMAT || count != 3)
            return -EBADMSG;
        record.has_register = cursor_peek(&cursor) != CURSOR_NIL;
        bool whole =
            record.has_register ? get_register(&cursor, arena, &record.reg) : cursor_nil(&cursor);
        if (!whole || !get_sloppy(&cursor, arena, &record) || cursor.at != cursor.end)
            return -EBADMSG;
        if (!record_intact(&record))
            return -EUCLEAN;
    }
    *ret_record = record;
    return 0;
}
