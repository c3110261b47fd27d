/* Encoders and decoders of messages.def, and the names of methods. */
#include "wire/messages.h"

#include "wire/pack.h"
#include "wire/values.h"

/* What a later version says besides, and an older one skips. */
static void put_tail(struct buf *out)
{
    for (int i = 0; i < PROTOCOL_TAIL; i++)
        pack_bytes(out, slice_str("of a later version"));
}

#define WIRE_COUNT(type, name) +1
#define WIRE_PUT(type, name)   wire_put_##type(out, message->name);
#define WIRE_GET(type, name)   &&wire_get_##type(cursor, &ret->name)

#define WIRE_STRUCT(name)                                                                          \
    void name##_encode(struct buf *out, const struct name *message)                                \
    {                                                                                              \
        pack_array(out, PROTOCOL_TAIL FIELDS_##name(WIRE_COUNT));                                  \
        FIELDS_##name(WIRE_PUT) put_tail(out);                                                     \
    }                                                                                              \
    bool name##_read(struct cursor *cursor, struct name *ret)                                      \
    {                                                                                              \
        uint32_t tail;                                                                             \
        return wire_array_begin(cursor, 0 FIELDS_##name(WIRE_COUNT), &tail)                        \
                   FIELDS_##name(WIRE_GET) &&                                                      \
               wire_array_end(cursor, tail);                                                       \
    }                                                                                              \
    bool name##_decode(struct slice bytes, struct name *ret)                                       \
    {                                                                                              \
        struct cursor cursor = cursor_of(bytes);                                                   \
        return name##_read(&cursor, ret) && cursor.at == cursor.end;                               \
    }
STRUCTS(WIRE_STRUCT)

static const char *const method_names[METHOD_COUNT] = {[METHOD_NONE] = "",
#define M(constant, name, request, reply, who) [METHOD_##constant] = name,
                                                       METHODS(M)
#undef M
#define M(constant, name) [METHOD_##constant] = name,
                                                           CLIENT_METHODS(M)
#undef M
};

const char *wire_method_name(enum wire_method method)
{
    return method < METHOD_COUNT ? method_names[method] : "";
}

enum wire_method wire_method_find(struct slice name)
{
    for (int i = METHOD_NONE + 1; i < METHOD_COUNT; i++) {
        if (slice_equal(name, slice_str(method_names[i])))
            return (enum wire_method)i;
    }
    return METHOD_NONE;
}
