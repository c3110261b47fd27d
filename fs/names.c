/* names: paths as keys, and the file layer's own keys. */
#include "names.h"

#include "base/hash.h"

#include <stdio.h>

int name_check(struct slice name)
{
    if (name.size == 0 || memchr(name.data, '/', name.size) || memchr(name.data, 0, name.size))
        return -EINVAL;
    if (slice_equal(name, slice_str(".")) || slice_equal(name, slice_str("..")))
        return -EINVAL;
    return name.size > TOYSTORE_COMPONENT_SIZE_MAX ? -ENAMETOOLONG : 0;
}

int name_join(struct slice parent, struct slice name, struct slice *ret_key)
{
    int error = name_check(name);
    if (error < 0)
        return error;
    size_t head = parent.size ? parent.size + 1 : 0;
    if (head + name.size > TOYSTORE_KEY_SIZE_MAX)
        return -ENAMETOOLONG;
    uint8_t *key = base_alloc(head + name.size + 1);
    if (head) {
        memcpy(key, parent.data, parent.size);
        key[parent.size] = '/';
    }
    memcpy(key + head, name.data, name.size);
    *ret_key = slice_of(key, head + name.size);
    return 0;
}

static const uint8_t *last_slash(struct slice key)
{
    return key.size ? memrchr(key.data, '/', key.size) : NULL;
}

struct slice key_parent_of(struct slice key)
{
    const uint8_t *slash = last_slash(key);
    return slice_of(key.data, slash ? (size_t)(slash - key.data) : 0);
}

struct slice key_last_of(struct slice key)
{
    const uint8_t *slash = last_slash(key);
    if (slash == NULL)
        return key;
    size_t head = (size_t)(slash + 1 - key.data);
    return slice_of(slash + 1, key.size - head);
}

static void hex(char *out, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
}

enum { SESSION_DIGITS = 24, SEQUENCE_DIGITS = 16 };

static void append_text(struct file_key *key, const char *text)
{
    size_t size = strlen(text);
    assert(key->size + size < sizeof key->text);
    memcpy(key->text + key->size, text, size + 1);
    key->size += size;
}

static void append_op(struct file_key *key, const struct toystore_op *op, const char *between)
{
    char text[SESSION_DIGITS + 1] = {0};
    hex(text, op->session, sizeof op->session);
    append_text(key, text);
    append_text(key, between);
    snprintf(text, sizeof text, "%016llx", (unsigned long long)op->sequence);
    append_text(key, text);
}

void file_record_key(struct file_key *ret, const struct toystore_op *file)
{
    ret->size = 0;
    append_text(ret, NAMES_RESERVED "/files/");
    append_op(ret, file, "");
}

static void part_key(struct file_key *ret, const char *room, const struct toystore_op *file,
                     const struct toystore_op *part)
{
    ret->size = 0;
    append_text(ret, room);
    append_op(ret, file, "");
    append_text(ret, "/");
    append_op(ret, part, "-");
}

void chunk_key(struct file_key *ret, const struct toystore_op *file,
               const struct toystore_op *chunk)
{
    part_key(ret, NAMES_RESERVED "/chunks/", file, chunk);
}

void page_key(struct file_key *ret, const struct toystore_op *file, const struct toystore_op *page)
{
    part_key(ret, NAMES_RESERVED "/pages/", file, page);
}

uint64_t ino_of(const struct toystore_op *file)
{
    uint8_t bytes[sizeof file->session + 8];
    memcpy(bytes, file->session, sizeof file->session);
    for (size_t i = 0; i < 8; i++)
        bytes[sizeof file->session + i] = (uint8_t)(file->sequence >> (56 - 8 * i));
    uint64_t hash = hash64(slice_of(bytes, sizeof bytes));
    return hash > 1 ? hash : hash + 2;
}
