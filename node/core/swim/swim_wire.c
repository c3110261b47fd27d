/* swim_wire: gossip as bytes. A datagram is one MessagePack array of its head, then pieces of news
 * up to its end; a payload of a full exchange is pieces of news alone. Whatever is read is bounded
 * and checked: anybody can send a datagram. */
#include "core/swim/swim_priv.h"

#include "wire/messages.h"
#include "wire/pack.h"

/* DATAGRAM_LEAST: what the first version sends. */
enum { DATAGRAM_FORMAT = 1, DATAGRAM_LEAST = 7, DATAGRAM_FIELDS = 8, NEWS_FIELDS = 18 };

/* Flags; the others are kept for what comes. */
enum { NEWS_KEEPS = 1 };

static void put_text(struct buf *out, const char *text)
{
    pack_bytes(out, slice_str(text));
}

/* What a later version says besides, and an older one skips. */
static void put_tail(struct buf *out)
{
    for (int i = 0; i < PROTOCOL_TAIL; i++)
        pack_u64(out, UINT64_MAX);
}

void news_encode(struct buf *out, const struct member *member, node_id from)
{
    pack_array(out, NEWS_FIELDS + PROTOCOL_TAIL);
    pack_u64(out, member->id);
    pack_u64(out, member->incarnation);
    pack_u64(out, member->state);
    pack_u64(out, from);
    wire_put_SESSION(out, member->session);
    pack_bool(out, member->storing);
    put_text(out, member->rpc.host);
    pack_u64(out, member->rpc.port);
    put_text(out, member->gossip.host);
    pack_u64(out, member->gossip.port);
    put_text(out, member->name);
    put_text(out, member->zone);
    pack_u64(out, member->weight);
    pack_u64(out, member->nonces[0]);
    pack_u64(out, member->nonces[1]);
    pack_bytes(out, slice_of(member->cluster, CLUSTER_ID_SIZE));
    pack_u64(out, member->layout_newest);
    pack_u64(out, member->keeps ? NEWS_KEEPS : 0);
    put_tail(out);
}

/* Printable, so that logs and reports can show it. */
static bool read_text(struct cursor *cursor, char *ret, size_t ret_size)
{
    struct slice text;
    if (!cursor_bytes(cursor, &text) || text.size >= ret_size)
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < 0x20 || text.data[i] == 0x7f)
            return false;
    if (text.size > 0)
        memcpy(ret, text.data, text.size);
    ret[text.size] = 0;
    return true;
}

static bool read_address(struct cursor *cursor, struct address *ret)
{
    uint64_t port;
    if (!read_text(cursor, ret->host, sizeof ret->host) || ret->host[0] == 0 ||
        !cursor_u64(cursor, &port) || port == 0 || port > UINT16_MAX)
        return false;
    ret->port = (uint16_t)port;
    return true;
}

static bool read_attributes(struct cursor *cursor, struct member *member)
{
    struct slice cluster;
    if (!read_address(cursor, &member->rpc) || !read_address(cursor, &member->gossip) ||
        !read_text(cursor, member->name, sizeof member->name) ||
        !read_text(cursor, member->zone, sizeof member->zone) ||
        !wire_get_U32(cursor, &member->weight) || !cursor_u64(cursor, &member->nonces[0]) ||
        !cursor_u64(cursor, &member->nonces[1]) || !cursor_bytes(cursor, &cluster) ||
        cluster.size != CLUSTER_ID_SIZE || !wire_get_U32(cursor, &member->layout_newest))
        return false;
    memcpy(member->cluster, cluster.data, CLUSTER_ID_SIZE);
    return true;
}

bool news_read(struct cursor *cursor, struct news *ret)
{
    struct member *member = &ret->member;
    uint32_t count;
    uint64_t state, flags;
    *ret = (struct news){.from = 0};
    if (!cursor_array(cursor, &count) || count < NEWS_FIELDS || !cursor_u64(cursor, &member->id) ||
        member->id == 0 || !cursor_u64(cursor, &member->incarnation) ||
        !cursor_u64(cursor, &state) || state > TOYSTORE_LEFT || !cursor_u64(cursor, &ret->from) ||
        !wire_get_SESSION(cursor, &member->session) || !cursor_bool(cursor, &member->storing) ||
        !read_attributes(cursor, member) || !cursor_u64(cursor, &flags))
        return false;
    member->state = (enum toystore_member_state)state;
    member->keeps = (flags & NEWS_KEEPS) != 0;
    for (uint32_t i = NEWS_FIELDS; i < count; i++)
        if (!cursor_skip(cursor, NULL))
            return false;
    return true;
}

void datagram_begin(struct buf *out, const struct core *core, enum datagram_type type, uint64_t seq,
                    node_id target)
{
    pack_array(out, DATAGRAM_FIELDS + PROTOCOL_TAIL);
    pack_u64(out, DATAGRAM_FORMAT);
    put_text(out, core->config.cluster_name);
    pack_bytes(out, slice_of(core->self.cluster, CLUSTER_ID_SIZE));
    pack_u64(out, type);
    pack_u64(out, seq);
    pack_u64(out, core->id);
    pack_u64(out, target);
    pack_u64(out, core->wall_us > 0 ? (uint64_t)core->wall_us : 0);
    put_tail(out);
}

bool datagram_decode(struct slice bytes, struct datagram *ret)
{
    struct cursor cursor = cursor_of(bytes);
    uint32_t count;
    uint64_t format, type;
    if (bytes.size > DATAGRAM_SIZE_MAX || !cursor_array(&cursor, &count) ||
        count < DATAGRAM_LEAST || !cursor_u64(&cursor, &format) || format != DATAGRAM_FORMAT ||
        !cursor_bytes(&cursor, &ret->cluster_name) || !cursor_bytes(&cursor, &ret->cluster_id) ||
        ret->cluster_id.size != CLUSTER_ID_SIZE || !cursor_u64(&cursor, &type) ||
        type >= SWIM_TYPES || !cursor_u64(&cursor, &ret->seq) || !cursor_u64(&cursor, &ret->from) ||
        !cursor_u64(&cursor, &ret->target))
        return false;
    ret->wall_us = 0;
    if (count > DATAGRAM_LEAST && !cursor_u64(&cursor, &ret->wall_us))
        return false;
    for (uint32_t i = DATAGRAM_FIELDS; i < count; i++)
        if (!cursor_skip(&cursor, NULL))
            return false;
    ret->type = (enum datagram_type)type;
    ret->news = cursor;
    return true;
}
