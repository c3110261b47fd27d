/* head: the first bytes of one MessagePack value, for the cursor and the frame scanner. */
#ifndef TOYSTORE_WIRE_HEAD_H
#define TOYSTORE_WIRE_HEAD_H

#include "wire/cursor.h"

struct head {
    enum cursor_type type;
    bool minimal;      /* no shorter head says the same */
    size_t size;       /* of the head itself */
    uint64_t number;   /* BOOL, UINT; INT as two's complement */
    uint64_t body;     /* bytes that follow it: FLOAT STR BIN EXT */
    uint64_t children; /* values that follow it: ARRAY, MAP (two per pair) */
};

enum head_result { HEAD_OK, HEAD_SHORT, HEAD_BAD };

enum head_result head_parse(struct slice bytes, struct head *ret);

#endif
