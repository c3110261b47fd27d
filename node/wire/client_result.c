/* Results of the methods for any MessagePack-RPC client: maps with string keys. */
#include "wire/client.h"

#include "wire/context.h"
#include "wire/frame.h"
#include "wire/pack.h"

/* What stands around the values in a frame: names, contexts, heads. */
enum { AROUND_VALUES = 64 * 1024 };

static void put_name(struct buf *out, const char *name)
{
    pack_text(out, slice_str(name));
}

static struct slice value_of(const struct toystore_version *version)
{
    return slice_of(version->value.data, version->value.size);
}

static void put_context(struct buf *out, const struct toystore_version *versions, size_t count)
{
    struct toystore_op ops[CLIENT_MATCH_MAX];
    count = min_size(count, CLIENT_MATCH_MAX);
    for (size_t i = 0; i < count; i++)
        ops[i] = versions[i].op;
    context_put(out, ops, count);
}

static void put_sibling(struct buf *out, const struct toystore_version *version, bool fits)
{
    pack_map(out, 4);
    put_name(out, "value");
    if (fits)
        pack_bytes(out, value_of(version));
    else
        pack_nil(out);
    put_name(out, "context");
    put_context(out, version, 1);
    put_name(out, "time");
    pack_u64(out, version->time_us);
    put_name(out, "node");
    pack_u64(out, version->node);
}

static void put_siblings(struct buf *out, const struct toystore_result *result)
{
    size_t count = result->version_count > 1 ? result->version_count : 0;
    size_t room = FRAME_SIZE_MAX - AROUND_VALUES;
    if (count > 0)
        room -= min_size(room, value_of(&result->versions[0]).size); /* stands in `value` too */
    pack_array(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        size_t size = value_of(&result->versions[i]).size;
        put_sibling(out, &result->versions[i], size <= room);
        room -= size <= room ? size : 0;
    }
}

static void encode_get(struct buf *out, const struct toystore_result *result)
{
    bool found = result->status == TOYSTORE_OK && result->version_count > 0;
    pack_map(out, 5);
    put_name(out, "found");
    pack_bool(out, found);
    put_name(out, "value");
    if (found)
        pack_bytes(out, value_of(&result->versions[0]));
    else
        pack_nil(out);
    put_name(out, "context");
    put_context(out, result->versions, found ? result->version_count : 0);
    put_name(out, "siblings");
    put_siblings(out, result);
    put_name(out, "sloppy");
    pack_bool(out, result->sloppy);
}

static void put_outcome(struct buf *out, const struct toystore_result *result)
{
    put_name(out, "outcome");
    put_name(out, toystore_status_word(result->status));
    put_name(out, "sloppy");
    pack_bool(out, result->sloppy);
}

/* The context of a put names what a get would show now: the put itself, or on CONFLICT what stood
 * in its way where that is known. */
static void encode_put(struct buf *out, const struct toystore_result *result)
{
    pack_map(out, 3);
    put_outcome(out, result);
    put_name(out, "context");
    if (result->status == TOYSTORE_OK)
        context_put(out, &result->op, 1);
    else
        put_context(out, result->versions, result->version_count);
}

static const char *kind_word(enum toystore_kind kind)
{
    switch (kind) {
    case TOYSTORE_FILE:
    case TOYSTORE_REFERENCE:
        return "file";
    case TOYSTORE_DIRECTORY:
        return "directory";
    case TOYSTORE_SYMLINK:
        return "symlink";
    case TOYSTORE_SPECIAL:
        return "special";
    case TOYSTORE_INTERNAL:
    case TOYSTORE_TOMBSTONE:
        break;
    }
    return "internal";
}

/* Well-formed as MessagePack's str wants it: no overlong forms, no surrogates. */
static bool utf8_valid(struct slice text)
{
    for (size_t i = 0; i < text.size;) {
        uint8_t first = text.data[i++];
        if (first < 0x80)
            continue;
        size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        if (first < 0xc2 || first > 0xf4 || text.size - i < more)
            return false;
        uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        for (; more > 0; more--, i++, low = 0x80, high = 0xbf) {
            if (text.data[i] < low || text.data[i] > high)
                return false;
        }
    }
    return true;
}

static void put_entry(struct buf *out, const struct toystore_entry *entry)
{
    struct slice name = slice_of(entry->name.data, entry->name.size);
    pack_map(out, 5);
    put_name(out, "name");
    if (utf8_valid(name))
        pack_text(out, name);
    else
        pack_bytes(out, name);
    put_name(out, "kind");
    put_name(out, kind_word(entry->kind));
    put_name(out, "size");
    pack_u64(out, entry->attributes.size);
    put_name(out, "mode");
    pack_u64(out, entry->attributes.mode);
    put_name(out, "mtime");
    pack_i64(out, entry->attributes.mtime_ns);
}

static void encode_list(struct buf *out, const struct toystore_result *result)
{
    pack_map(out, 2);
    put_name(out, "entries");
    pack_array(out, (uint32_t)result->entry_count);
    for (size_t i = 0; i < result->entry_count; i++)
        put_entry(out, &result->entries[i]);
    put_name(out, "next");
    if (result->more && result->entry_count > 0)
        pack_u64(out, result->entries[result->entry_count - 1].cookie);
    else
        pack_nil(out);
}

void client_encode(struct buf *out, enum wire_method method, const struct toystore_result *result)
{
    if (method == METHOD_COORDINATE_GET) {
        encode_get(out, result);
    } else if (method == METHOD_COORDINATE_PUT) {
        encode_put(out, result);
    } else if (method == METHOD_COORDINATE_LIST) {
        encode_list(out, result);
    } else {
        pack_map(out, 2);
        put_outcome(out, result);
    }
}
