/* key: the rules of keys, and where a key stands in the store's spaces. */
#include "rules/key.h"

#include <stdio.h>

static enum toystore_status refuse(char *error, size_t error_size, enum toystore_status status,
                                   const char *reason)
{
    snprintf(error, error_size, "%s", reason);
    return status;
}

enum toystore_status key_check(struct slice key, char *error, size_t error_size)
{
    if (key.size == 0)
        return TOYSTORE_OK;
    if (key.size > TOYSTORE_KEY_SIZE_MAX)
        return refuse(error, error_size, TOYSTORE_TOO_LARGE, "a key has at most 4095 bytes");
    if (memchr(key.data, 0, key.size) != NULL)
        return refuse(error, error_size, TOYSTORE_INVALID, "a key must not contain a NUL byte");
    size_t start = 0;
    for (size_t at = 0; at <= key.size; at++) {
        if (at < key.size && key.data[at] != '/')
            continue;
        struct slice part = slice_of(key.data + start, at - start);
        if (part.size == 0)
            return refuse(error, error_size, TOYSTORE_INVALID,
                          "a key has no empty component: no slash first, last or twice");
        if (part.size > TOYSTORE_COMPONENT_SIZE_MAX)
            return refuse(error, error_size, TOYSTORE_TOO_LARGE,
                          "a component of a key has at most 255 bytes");
        if (slice_equal(part, slice_str(".")) || slice_equal(part, slice_str("..")))
            return refuse(error, error_size, TOYSTORE_INVALID,
                          "a component of a key must not be . or ..");
        start = at + 1;
    }
    return TOYSTORE_OK;
}

bool key_has_prefix(struct slice key, const char *prefix)
{
    size_t size = strlen(prefix);
    return key.size >= size && memcmp(key.data, prefix, size) == 0;
}

bool key_is_reserved(struct slice key)
{
    return slice_equal(key, slice_str(KEY_RESERVED)) || key_has_prefix(key, KEY_RESERVED "/");
}

bool key_is_immutable(struct slice key)
{
    return key_has_prefix(key, KEY_CHUNKS) || key_has_prefix(key, KEY_PAGES);
}

bool key_is_durable(struct slice key)
{
    return key_has_prefix(key, KEY_LAYOUTS) || key_has_prefix(key, KEY_SESSIONS);
}

struct slice key_parent(struct slice key)
{
    size_t size = key.size;
    while (size > 0 && key.data[size - 1] != '/')
        size--;
    return slice_of(key.data, size > 0 ? size - 1 : 0);
}

struct slice key_name(struct slice key)
{
    struct slice parent = key_parent(key);
    size_t start = parent.size > 0 ? parent.size + 1 : 0;
    return slice_of(key.data + start, key.size - start);
}

uint64_t key_cookie(struct slice name)
{
    uint64_t cookie = hash64(name) >> 1;
    return cookie ? cookie : 1;
}

struct hash128 key_token(struct slice key)
{
    return hash128(key);
}

void key_listing(struct buf *out, struct slice parent, uint64_t cookie, struct slice name)
{
    struct hash128 directory = hash128(parent);
    uint8_t big_endian[8];
    for (int i = 0; i < 8; i++)
        big_endian[i] = (uint8_t)(cookie >> (56 - 8 * i));
    buf_append(out, directory.bytes, sizeof directory.bytes);
    buf_append(out, big_endian, sizeof big_endian);
    buf_append(out, name.data, name.size);
}

void op_text(char text[OP_TEXT_SIZE + 1], const struct op_id *op)
{
    static const char digits[] = "0123456789abcdef";
    char *at = text;
    for (size_t i = 0; i < SESSION_SIZE; i++) {
        *at++ = digits[op->session.bytes[i] >> 4];
        *at++ = digits[op->session.bytes[i] & 15];
    }
    for (int shift = 60; shift >= 0; shift -= 4)
        *at++ = digits[op->sequence >> shift & 15];
    *at = '\0';
}
