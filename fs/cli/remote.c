/* The connection of the command line to a node.
 *
 * Enters from fs/cli/toystore.c and, by the store face, from fs/transfer.c; leaves to the node's
 * Call, Report, CoordinatePut and CoordinateDelete. */
#include "cli/remote.h"

#include "cli/dial.h"
#include "cli/results.h"

#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"
#include "wire/frame.h"
#include "wire/pack.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { READ_SIZE = 1 << 18, ANSWER_WAIT_MS = 30000 };

/* A request under way: who wants the bytes of its answer. */
struct pending {
    struct list link;
    uint32_t id;
    void (*answered)(struct pending *pending, const struct frame *frame);
    toystore_done_fn *done;
    void *done_arg;
};

struct later {
    struct list link;
    uint64_t id, at_ns;
    void (*fire)(void *arg);
    void *arg;
};

struct remote {
    int fd;
    struct session session;
    uint64_t sequence, timers;
    uint32_t ids;
    struct buf in, out;
    size_t sent; /* bytes of `out` that the socket has taken */
    bool strict;
    struct frame_scanner scanner;
    struct list pending, timers_set;
    char error[200];
};

const char *remote_error(const struct remote *remote)
{
    return remote->error;
}

static uint64_t now_ns(void *arg)
{
    (void)arg;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int64_t wall_ns(void *arg)
{
    (void)arg;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- requests ---- */

static struct pending *remote_send(struct remote *remote, enum wire_method method,
                                   struct slice params)
{
    struct pending *pending = base_alloc(sizeof *pending);
    pending->id = remote->ids++;
    list_push_back(&remote->pending, &pending->link);
    frame_request_head(&remote->out, pending->id, method);
    buf_append(&remote->out, params.data, params.size);
    return pending;
}

static void call_answered(struct pending *pending, const struct frame *frame)
{
    struct remote_result decoded;
    remote_result_decode(frame, &decoded);
    pending->done(pending->done_arg, &decoded.result);
    remote_result_free(&decoded);
}

static int face_submit(void *arg, const struct toystore_request *request, toystore_done_fn *done,
                       void *done_arg)
{
    struct remote *remote = arg;
    struct buf params = {0};
    struct toystore_request asked = *request;
    if (remote->strict)
        asked.strict = 1;
    remote_request_encode(&params, &asked);
    if (params.size + 64 > FRAME_SIZE_MAX) {
        buf_free(&params);
        return -EINVAL;
    }
    struct pending *pending = remote_send(remote, METHOD_CALL, buf_slice(&params));
    pending->answered = call_answered;
    pending->done = done;
    pending->done_arg = done_arg;
    buf_free(&params);
    return 0;
}

static struct toystore_op face_op_new(void *arg)
{
    struct remote *remote = arg;
    return op_to_public((struct op_id){remote->session, ++remote->sequence});
}

static uint64_t face_after(void *arg, unsigned ms, void (*fire)(void *fire_arg), void *fire_arg)
{
    struct remote *remote = arg;
    struct later *later = base_alloc(sizeof *later);
    later->id = ++remote->timers;
    later->at_ns = now_ns(NULL) + (uint64_t)ms * 1000000u;
    later->fire = fire;
    later->arg = fire_arg;
    list_push_back(&remote->timers_set, &later->link);
    return later->id;
}

static void face_cancel(void *arg, uint64_t timer)
{
    struct remote *remote = arg;
    LIST_EACH(link, &remote->timers_set)
    {
        struct later *later = container_of(link, struct later, link);
        if (later->id == timer) {
            list_remove(link);
            free(later);
        }
    }
}

struct store_face remote_face(struct remote *remote)
{
    return (struct store_face){.arg = remote,
                               .submit = face_submit,
                               .op_new = face_op_new,
                               .after = face_after,
                               .cancel = face_cancel,
                               .now_ns = now_ns,
                               .wall_ns = wall_ns};
}

/* ---- bytes in and out ---- */

static bool lost(struct remote *remote, const char *why)
{
    if (remote->error[0] == '\0')
        snprintf(remote->error, sizeof remote->error, "%s", why);
    return false;
}

static bool write_some(struct remote *remote)
{
    struct slice left = buf_slice(&remote->out);
    ssize_t n = write(remote->fd, left.data + remote->sent, left.size - remote->sent);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return lost(remote, strerror(errno));
    remote->sent += n > 0 ? (size_t)n : 0;
    if (remote->sent == remote->out.size)
        remote->out.size = remote->sent = 0;
    return true;
}

static bool take_frame(struct remote *remote, struct slice bytes)
{
    struct frame frame;
    if (!frame_decode(bytes, &frame))
        return lost(remote, "the node's answer is not MessagePack-RPC; is --node its RPC port?");
    if (frame.type != FRAME_ANSWER)
        return true;
    LIST_EACH(link, &remote->pending)
    {
        struct pending *pending = container_of(link, struct pending, link);
        if (pending->id != frame.id)
            continue;
        list_remove(link);
        pending->answered(pending, &frame);
        free(pending);
        return true;
    }
    return true;
}

static bool read_some(struct remote *remote)
{
    buf_reserve(&remote->in, READ_SIZE);
    uint8_t *data = remote->in.blob->data;
    ssize_t n = read(remote->fd, data + remote->in.size, READ_SIZE);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR || lost(remote, strerror(errno));
    if (n == 0)
        return lost(remote, "the node closed the connection");
    remote->in.size += (size_t)n;
    size_t at = 0;
    ssize_t size;
    while ((size = frame_scan(&remote->scanner, slice_of(data + at, remote->in.size - at))) > 0) {
        if (!take_frame(remote, slice_of(data + at, (size_t)size)))
            return false;
        at += (size_t)size;
    }
    if (size < 0)
        return lost(remote, "the node's answer is not MessagePack-RPC; is --node its RPC port?");
    memmove(data, data + at, remote->in.size - at);
    remote->in.size -= at;
    return true;
}

/* Fires what is due; returns how long poll may wait. */
static int fire_timers(struct remote *remote)
{
    int wait = ANSWER_WAIT_MS;
    LIST_EACH(link, &remote->timers_set)
    {
        struct later *later = container_of(link, struct later, link);
        uint64_t now = now_ns(NULL);
        if (later->at_ns > now) {
            uint64_t ms = (later->at_ns - now) / 1000000u + 1;
            wait = ms < (uint64_t)wait ? (int)ms : wait;
            continue;
        }
        list_remove(link);
        struct later due = *later;
        free(later);
        due.fire(due.arg);
        return 0; /* the list may have changed: look again */
    }
    return wait;
}

bool remote_run(struct remote *remote, const bool *finished)
{
    while (!*finished) {
        int wait = fire_timers(remote);
        if (*finished)
            break;
        struct pollfd poller = {.fd = remote->fd, .events = POLLIN};
        if (remote->out.size > remote->sent)
            poller.events |= POLLOUT;
        int n = poll(&poller, 1, wait);
        if (n < 0 && errno != EINTR)
            return lost(remote, strerror(errno));
        if (n == 0 && wait == ANSWER_WAIT_MS)
            return lost(remote, "the node does not answer");
        if (n <= 0)
            continue;
        if ((poller.revents & POLLOUT) != 0 && !write_some(remote))
            return false;
        if ((poller.revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !read_some(remote))
            return false;
    }
    return true;
}

/* ---- one call, waited for ---- */

struct waiting {
    toystore_done_fn *seen;
    void *arg;
    bool finished;
};

static void waited_for(void *arg, const struct toystore_result *result)
{
    struct waiting *waiting = arg;
    waiting->seen(waiting->arg, result);
    waiting->finished = true;
}

bool remote_call(struct remote *remote, const struct toystore_request *request,
                 toystore_done_fn *seen, void *arg)
{
    struct waiting waiting = {.seen = seen, .arg = arg};
    if (face_submit(remote, request, waited_for, &waiting) != 0)
        return lost(remote, "the request is larger than a frame");
    return remote_run(remote, &waiting.finished);
}

struct raw {
    bool finished;
    enum toystore_status status;
    char *text;
};

static void raw_failed(struct raw *raw, const struct frame *frame)
{
    raw->status = frame->error_status;
    raw->text = base_string(frame->error_message);
}

static void outcome_answered(struct pending *pending, const struct frame *frame)
{
    struct raw *raw = pending->done_arg;
    bool sloppy = false;
    raw->finished = true;
    if (frame->failed)
        raw_failed(raw, frame);
    else
        raw->status = remote_outcome(frame->result, &sloppy);
    if (raw->status == TOYSTORE_OK && sloppy)
        raw->text = base_string(slice_str("no quorum; others keep it until one can be reached"));
}

static void report_answered(struct pending *pending, const struct frame *frame)
{
    struct raw *raw = pending->done_arg;
    struct report_reply reply;
    raw->finished = true;
    if (frame->failed) {
        raw_failed(raw, frame);
        return;
    }
    if (!report_reply_decode(frame->result, &reply)) {
        raw->status = TOYSTORE_INVALID;
        raw->text = base_string(slice_str("the node's report is malformed"));
        return;
    }
    raw->status = (enum toystore_status)reply.status;
    raw->text = base_string(reply.json);
}

static bool raw_call(struct remote *remote, enum wire_method method, struct buf *params,
                     void (*answered)(struct pending *pending, const struct frame *frame),
                     enum toystore_status *ret_status, char **ret_text)
{
    struct raw raw = {0};
    struct pending *pending = remote_send(remote, method, buf_slice(params));
    buf_free(params);
    pending->answered = answered;
    pending->done_arg = &raw;
    bool alive = remote_run(remote, &raw.finished);
    *ret_status = raw.status;
    *ret_text = raw.text;
    return alive;
}

void remote_be_strict(struct remote *remote)
{
    remote->strict = true;
}

static void pack_strict(struct buf *params, const struct remote *remote)
{
    pack_map(params, remote->strict);
    if (remote->strict) {
        pack_text(params, slice_str("strict"));
        pack_bool(params, true);
    }
}

bool remote_put(struct remote *remote, struct slice key, struct slice value,
                enum toystore_status *ret_status, char **ret_message)
{
    struct buf params = {0};
    pack_array(&params, 3);
    pack_bytes(&params, key);
    pack_bytes(&params, value);
    pack_strict(&params, remote);
    return raw_call(remote, METHOD_COORDINATE_PUT, &params, outcome_answered, ret_status,
                    ret_message);
}

bool remote_delete(struct remote *remote, struct slice key, enum toystore_status *ret_status,
                   char **ret_message)
{
    struct buf params = {0};
    pack_array(&params, 2);
    pack_bytes(&params, key);
    pack_strict(&params, remote);
    return raw_call(remote, METHOD_COORDINATE_DELETE, &params, outcome_answered, ret_status,
                    ret_message);
}

bool remote_report(struct remote *remote, const char *what, struct slice argument,
                   enum toystore_status *ret_status, char **ret_text)
{
    struct buf params = {0};
    report_request_encode(&params,
                          &(struct report_request){.what = slice_str(what), .argument = argument});
    return raw_call(remote, METHOD_REPORT, &params, report_answered, ret_status, ret_text);
}

bool remote_round(struct remote *remote, bool begin, enum toystore_status *ret_status,
                  char **ret_text)
{
    struct buf params = {0};
    round_request_encode(&params, &(struct round_request){.begin = begin});
    return raw_call(remote, METHOD_ROUND, &params, report_answered, ret_status, ret_text);
}

static void change_answered(struct pending *pending, const struct frame *frame)
{
    struct raw *raw = pending->done_arg;
    struct change_reply reply;
    raw->finished = true;
    if (frame->failed) {
        raw_failed(raw, frame);
        return;
    }
    bool good = change_reply_decode(frame->result, &reply);
    raw->status = good ? (enum toystore_status)reply.status : TOYSTORE_INVALID;
    raw->text = base_string(good ? reply.message : slice_str("the node's answer is malformed"));
}

bool remote_change(struct remote *remote, const char *what, const char *member, bool force,
                   bool accept_loss, enum toystore_status *ret_status, char **ret_message)
{
    struct buf params = {0};
    change_request_encode(&params, &(struct change_request){.what = slice_str(what),
                                                            .member = slice_str(member),
                                                            .force = force,
                                                            .accept_loss = accept_loss});
    return raw_call(remote, METHOD_CHANGE, &params, change_answered, ret_status, ret_message);
}

/* ---- beginning and end ---- */

static void hello_answered(struct pending *pending, const struct frame *frame)
{
    struct raw *raw = pending->done_arg;
    struct hello_reply reply;
    raw->finished = true;
    if (frame->failed) {
        raw_failed(raw, frame);
    } else if (!hello_reply_decode(frame->result, &reply)) {
        raw->status = TOYSTORE_INVALID;
    } else {
        raw->status = (enum toystore_status)reply.status;
        raw->text = base_string(reply.message);
    }
}

static bool say_hello(struct remote *remote)
{
    struct buf params = {0};
    hello_request_encode(&params, &(struct hello_request){.version_low = PROTOCOL_VERSION_LOW,
                                                          .version_high = PROTOCOL_VERSION_HIGH,
                                                          .session = remote->session});
    enum toystore_status status;
    char *text;
    bool alive = raw_call(remote, METHOD_HELLO, &params, hello_answered, &status, &text);
    if (alive && status != TOYSTORE_OK)
        alive = lost(remote, text != NULL && text[0] ? text : toystore_status_meaning(status));
    free(text);
    return alive;
}

struct remote *remote_open(const char *node, char *error, size_t error_size)
{
    int fd = dial_node(node, error, error_size);
    if (fd < 0)
        return NULL;
    struct remote *remote = base_alloc(sizeof *remote);
    remote->fd = fd;
    list_init(&remote->pending);
    list_init(&remote->timers_set);
    if (getrandom(remote->session.bytes, SESSION_SIZE, 0) != SESSION_SIZE || !say_hello(remote)) {
        snprintf(error, error_size, "%s: %s", node,
                 remote->error[0] ? remote->error : "no random numbers from the kernel");
        remote_close(remote);
        return NULL;
    }
    return remote;
}

void remote_close(struct remote *remote)
{
    while (!list_empty(&remote->pending))
        free(container_of(list_pop_front(&remote->pending), struct pending, link));
    while (!list_empty(&remote->timers_set))
        free(container_of(list_pop_front(&remote->timers_set), struct later, link));
    buf_free(&remote->in);
    buf_free(&remote->out);
    close(remote->fd);
    free(remote);
}
