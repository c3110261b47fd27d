/* MessagePack out. The only file that includes msgpack-c. */
#include "wire/pack.h"

#include <msgpack/pack.h>

static int pack_write(void *data, const char *bytes, size_t size)
{
    buf_append(data, bytes, size);
    return 0;
}

static msgpack_packer packer(struct buf *out)
{
    return (msgpack_packer){.data = out, .callback = pack_write};
}

void pack_nil(struct buf *out)
{
    msgpack_packer pk = packer(out);
    msgpack_pack_nil(&pk);
}

void pack_bool(struct buf *out, bool value)
{
    msgpack_packer pk = packer(out);
    if (value)
        msgpack_pack_true(&pk);
    else
        msgpack_pack_false(&pk);
}

void pack_u64(struct buf *out, uint64_t value)
{
    msgpack_packer pk = packer(out);
    msgpack_pack_uint64(&pk, value);
}

void pack_i64(struct buf *out, int64_t value)
{
    msgpack_packer pk = packer(out);
    msgpack_pack_int64(&pk, value);
}

void pack_bytes_head(struct buf *out, size_t size)
{
    assert(size <= UINT32_MAX);
    msgpack_packer pk = packer(out);
    msgpack_pack_bin(&pk, size);
}

void pack_bytes(struct buf *out, struct slice bytes)
{
    buf_reserve(out, bytes.size + 5);
    pack_bytes_head(out, bytes.size);
    buf_append(out, bytes.data, bytes.size);
}

/* A head of the longest form: how many bytes will follow is not known yet. */
enum { BIN32 = 0xc6, BIN32_HEAD_SIZE = 5 };

size_t pack_bytes_begin(struct buf *out)
{
    uint8_t head[BIN32_HEAD_SIZE] = {BIN32};
    buf_append(out, head, sizeof head);
    return out->size;
}

void pack_bytes_end(struct buf *out, size_t begun)
{
    size_t size = out->size - begun;
    assert(size <= UINT32_MAX);
    for (size_t i = 0; i < 4; i++)
        out->blob->data[begun - 4 + i] = (uint8_t)(size >> (24 - 8 * i));
}

void pack_text(struct buf *out, struct slice text)
{
    assert(text.size <= UINT32_MAX);
    buf_reserve(out, text.size + 5);
    msgpack_packer pk = packer(out);
    msgpack_pack_str(&pk, text.size);
    buf_append(out, text.data, text.size);
}

void pack_array(struct buf *out, uint32_t count)
{
    msgpack_packer pk = packer(out);
    msgpack_pack_array(&pk, count);
}

void pack_map(struct buf *out, uint32_t count)
{
    msgpack_packer pk = packer(out);
    msgpack_pack_map(&pk, count);
}
