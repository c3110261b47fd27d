/* messages: the structs of messages.def with an encoder and a decoder each. Decoded structs borrow
 * from the bytes they were decoded from; decoders allocate nothing. */
#ifndef TOYSTORE_WIRE_MESSAGES_H
#define TOYSTORE_WIRE_MESSAGES_H

#include "wire/cursor.h"
#include "wire/messages.def"
#include "wire/types.h"

/* The versions spoken here; a Hello agrees on the highest that both sides speak. A test builds
 * nodes of other versions: each above 1 has one field more at the end of every message. */
#ifndef PROTOCOL_LOW
#define PROTOCOL_LOW  1
#define PROTOCOL_HIGH 1
#endif
enum {
    PROTOCOL_VERSION_LOW = PROTOCOL_LOW,
    PROTOCOL_VERSION_HIGH = PROTOCOL_HIGH,
    PROTOCOL_TAIL = PROTOCOL_HIGH - 1
};

enum transfer_reason {
    TRANSFER_HINT,
    TRANSFER_REPAIR,
    TRANSFER_MOVE,
    TRANSFER_IMMUTABLE,
    TRANSFER_SETTLE
};

/* An array of items in packed form. Decoding: read item by item with a cursor over `items`.
 * Encoding: append items to a buf, count them. */
struct wire_list {
    uint32_t count;
    struct slice items;
};

typedef uint32_t wire_U32;
typedef uint64_t wire_U64;
typedef bool wire_BOOL;
typedef node_id wire_NODE;
typedef struct slice wire_BYTES;
typedef struct session wire_SESSION;
typedef struct op_id wire_OPID;
typedef struct op wire_OP;
typedef struct era wire_ERA;
typedef struct view wire_VIEW;
typedef struct ballot wire_BALLOT;
typedef struct hash128 wire_HASH;
typedef struct toystore_attributes wire_ATTRIBUTES;
typedef struct wire_list wire_LIST;

#define WIRE_FIELD(type, name) wire_##type name;
#define WIRE_STRUCT(name)                                                                          \
    struct name {                                                                                  \
        FIELDS_##name(WIRE_FIELD)                                                                  \
    };                                                                                             \
    void name##_encode(struct buf *out, const struct name *message);                               \
    /* Reads one from the cursor; false: malformed, the cursor is bad, *ret is not to be used. */  \
    bool name##_read(struct cursor *cursor, struct name *ret);                                     \
    /* The same over all of `bytes`. */                                                            \
    bool name##_decode(struct slice bytes, struct name *ret);
STRUCTS(WIRE_STRUCT)
#undef WIRE_STRUCT
#undef WIRE_FIELD

enum wire_method {
    METHOD_NONE = 0,
#define M(constant, name, request, reply, who) METHOD_##constant,
    METHODS(M)
#undef M
#define M(constant, name) METHOD_##constant,
        CLIENT_METHODS(M)
#undef M
            METHOD_COUNT
};

const char *wire_method_name(enum wire_method method);
enum wire_method wire_method_find(struct slice name); /* METHOD_NONE: no such */

/* Single values, for items of lists and for hand-written decoders. */
#define WIRE_VALUE(type)                                                                           \
    void wire_put_##type(struct buf *out, wire_##type value);                                      \
    bool wire_get_##type(struct cursor *cursor, wire_##type *ret);
WIRE_VALUE(U32)
WIRE_VALUE(U64)
WIRE_VALUE(BOOL)
WIRE_VALUE(NODE)
WIRE_VALUE(BYTES)
WIRE_VALUE(SESSION)
WIRE_VALUE(OPID)
WIRE_VALUE(OP)
WIRE_VALUE(ERA)
WIRE_VALUE(VIEW) WIRE_VALUE(BALLOT) WIRE_VALUE(HASH) WIRE_VALUE(ATTRIBUTES) WIRE_VALUE(LIST)
#undef WIRE_VALUE

#endif
