/* frame: MessagePack-RPC over a stream: [0, id, method, params] a request, [1, id, error, result]
 * an answer, [2, method, params] a notification. */
#ifndef TOYSTORE_WIRE_FRAME_H
#define TOYSTORE_WIRE_FRAME_H

#include "wire/messages.h"

enum { FRAME_SIZE_MAX = 4 << 20 };

/* Finds where one frame ends in a stream that arrives in pieces; goes on where it stopped. */
struct frame_scanner {
    size_t scanned; /* bytes of the current frame already understood */
    size_t least;   /* so many it has at least, when more are needed */
    uint32_t depth;
    uint64_t left[WIRE_DEPTH_MAX + 1]; /* values still to come, per level */
};

/* `bytes`: all that has arrived since the frame began. >0: the size of the frame (the scanner is
 * ready for the next); 0: more bytes are needed; -EBADMSG: not MessagePack; -EMSGSIZE: too large.
 */
ssize_t frame_scan(struct frame_scanner *scanner, struct slice bytes);

enum frame_type { FRAME_REQUEST = 0, FRAME_ANSWER = 1, FRAME_NOTIFY = 2 };

struct frame {
    enum frame_type type;
    uint32_t id;
    enum wire_method method; /* METHOD_NONE with method_name set: unknown here */
    struct slice method_name;
    struct slice params;               /* one whole MessagePack value */
    bool failed;                       /* an answer whose error is not nil: */
    enum toystore_status error_status; /* {status, message} of the error, else INVALID */
    struct slice error_message;
    struct slice result; /* an answer's result: one whole value */
};

bool frame_decode(struct slice bytes, struct frame *ret);

/* The beginnings of frames; the params or result (one packed value) follow them on the wire. */
void frame_request_head(struct buf *out, uint32_t id, enum wire_method method);
void frame_answer_head(struct buf *out, uint32_t id);
void frame_notify_head(struct buf *out, enum wire_method method);
/* A whole frame: [1, id, {"status": word, "message": text}, nil]. */
void frame_error(struct buf *out, uint32_t id, enum toystore_status status, const char *message);

#endif
