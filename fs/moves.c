/* moves: a name's memory of where its files went: for a handle that publishes behind a rename.
 *
 * The `extra` of a name's version, its tombstone included: u8 format (1), then entries, newest
 * last: 12+8 bytes FILEID, u16 size, the new key. */
#include "fs_priv.h"

enum { MOVES_FORMAT = 1, MOVE_HEAD = 22 };

struct move {
    struct toystore_op file;
    struct slice to, whole;
};

static bool next_move(struct slice *in, struct move *ret)
{
    if (in->size < MOVE_HEAD)
        return false;
    memcpy(ret->file.session, in->data, sizeof ret->file.session);
    ret->file.sequence = 0;
    for (size_t i = 0; i < 8; i++)
        ret->file.sequence |= (uint64_t)in->data[sizeof ret->file.session + i] << (8 * i);
    size_t size = (size_t)(in->data[20] | in->data[21] << 8);
    if (size > in->size - MOVE_HEAD)
        return false;
    ret->to = slice_of(in->data + MOVE_HEAD, size);
    ret->whole = slice_of(in->data, MOVE_HEAD + size);
    *in = slice_of(in->data + MOVE_HEAD + size, in->size - MOVE_HEAD - size);
    return true;
}

static struct slice entries(struct slice moves)
{
    if (moves.size == 0 || moves.data[0] != MOVES_FORMAT)
        return slice_of(NULL, 0);
    return slice_of(moves.data + 1, moves.size - 1);
}

bool moves_find(struct slice moves, const struct toystore_op *file, struct slice *ret_to)
{
    struct slice in = entries(moves);
    struct move move;
    bool found = false;
    while (next_move(&in, &move))
        if (op_equal(&move.file, file)) {
            *ret_to = move.to;
            found = true; /* the newest counts */
        }
    return found;
}

struct blob *moves_add(const struct blob *moves, const struct toystore_op *file, struct slice to)
{
    struct slice in = entries(blob_slice(moves)), counted = in;
    struct move move;
    size_t count = 0;
    while (next_move(&counted, &move))
        count++;
    struct buf out = {0};
    uint8_t format = MOVES_FORMAT;
    buf_append(&out, &format, 1);
    for (; next_move(&in, &move); count--)
        if (count < MOVES_MAX)
            buf_append(&out, move.whole.data, move.whole.size);
    uint8_t head[MOVE_HEAD];
    memcpy(head, file->session, sizeof file->session);
    for (size_t i = 0; i < 8; i++)
        head[sizeof file->session + i] = (uint8_t)(file->sequence >> (8 * i));
    head[20] = (uint8_t)to.size;
    head[21] = (uint8_t)(to.size >> 8);
    buf_append(&out, head, sizeof head);
    buf_append(&out, to.data, to.size);
    return buf_take(&out);
}
