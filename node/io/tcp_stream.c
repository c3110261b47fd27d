/* tcp_stream: frames out of a stream, and pieces into it.
 *
 * Enters from libuv with bytes and from io/tcp.c with pieces; leaves to the core as EVENT_FRAME. */
#include "io/tcp.h"

#include <stdlib.h>

enum {
    SCRATCH_SIZE = 256 * 1024,
    VECTOR_MAX = 256,
    LARGE_FRAME = 64 * 1024,   /* is read to where it stays, */
    LARGE_FRAME_MAX = 2 << 20, /* if it is not too large to believe its word */
    BEHIND_SIZE = 4096         /* with so much of what comes behind it, which is copied */
};

/* ---- in ---- */

/* How much of a large frame that has begun is still to come. */
static size_t large_missing(const struct tcp_conn *conn)
{
    size_t least = conn->scanner.least;
    bool large = least >= LARGE_FRAME && least <= LARGE_FRAME_MAX;
    return large && least > conn->in.size ? least - conn->in.size : 0;
}

/* All reads of the loop share one buffer; only the beginning of a frame is kept per connection, and
 * its end is read to behind it when it is large. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct tcp_conn *conn = handle->data;
    size_t missing = large_missing(conn);
    (void)suggested;
    if (conn->in.size > 0 && missing > 0) {
        buf_reserve(&conn->in, missing + BEHIND_SIZE);
        *ret = uv_buf_init((char *)conn->in.blob->data + conn->in.size,
                           (unsigned)(missing + BEHIND_SIZE));
        return;
    }
    if (conn->tcp->scratch == NULL)
        conn->tcp->scratch = base_alloc(SCRATCH_SIZE);
    *ret = uv_buf_init((char *)conn->tcp->scratch, SCRATCH_SIZE);
}

static void give_frame(struct tcp_conn *conn, struct slice bytes)
{
    struct core_event event = {.type = EVENT_FRAME, .conn = conn->id, .bytes = blob_copy(bytes)};
    driver_event(conn->tcp->driver, &event);
    blob_unref(&event.bytes);
}

/* A large frame at the front of what was kept leaves as it lies there, without a copy. */
static bool take_large(struct tcp_conn *conn, struct slice *bytes, size_t size)
{
    struct blob *frame = conn->in.blob;
    if (frame == NULL || bytes->data != frame->data || size < LARGE_FRAME ||
        bytes->size - size > BEHIND_SIZE)
        return false;
    struct core_event event = {.type = EVENT_FRAME, .conn = conn->id, .bytes = frame};
    conn->in = (struct buf){0};
    buf_append(&conn->in, frame->data + size, bytes->size - size);
    *bytes = buf_slice(&conn->in);
    frame->size = size;
    driver_event(conn->tcp->driver, &event);
    blob_unref(&event.bytes);
    return true;
}

/* Gives the whole frames at the front of `bytes`, a turn's share at most; the size of what is left,
 * or -EBADMSG. A peer that sends thousands at once would else have all their answers in memory
 * before the first one could be found not to be read. */
static ssize_t give_frames(struct tcp_conn *conn, struct slice bytes)
{
    unsigned given = 0;
    conn->waiting = false;
    while (bytes.size > 0) {
        if (given++ == FRAMES_PER_TURN) {
            conn->waiting = true;
            break;
        }
        ssize_t size = frame_scan(&conn->scanner, bytes);
        if (size == 0)
            break;
        if (size < 0)
            return size;
        if (take_large(conn, &bytes, (size_t)size)) {
            if (conn->closing)
                return 0;
            continue;
        }
        give_frame(conn, slice_of(bytes.data, (size_t)size));
        if (conn->closing)
            return 0;
        bytes = slice_of(bytes.data + size, bytes.size - (size_t)size);
    }
    return (ssize_t)bytes.size;
}

static void keep_rest(struct tcp_conn *conn, size_t rest)
{
    if (rest == 0) {
        buf_free(&conn->in);
    } else if (rest < conn->in.size) {
        memmove(conn->in.blob->data, conn->in.blob->data + conn->in.size - rest, rest);
        conn->in.size = rest;
    }
}

/* What is left of `bytes` waits for more of them, or for the next turn. */
static void after_frames(struct tcp_conn *conn, struct slice bytes, ssize_t rest)
{
    if (conn->closing)
        return;
    if (rest < 0) {
        driver_log(conn->tcp->driver, 2, "a connection is closed: %s",
                   rest == -EMSGSIZE ? "a frame is too large" : "not MessagePack-RPC");
        tcp_conn_close(conn, true);
        return;
    }
    if (conn->in.size == 0 && rest > 0) {
        buf_reserve(&conn->in, max_size((size_t)rest, large_missing(conn)) + BEHIND_SIZE);
        buf_append(&conn->in, bytes.data + bytes.size - rest, (size_t)rest);
    } else if (conn->in.size > 0) {
        keep_rest(conn, (size_t)rest);
    }
    if (conn->waiting) {
        uv_read_stop((uv_stream_t *)&conn->handle);
        if (!list_linked(&conn->turn))
            list_push_back(&conn->tcp->waiting, &conn->turn);
    }
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct tcp_conn *conn = stream->data;
    if (got == 0)
        return;
    if (got < 0) {
        tcp_conn_close(conn, true);
        return;
    }
    struct slice bytes = slice_of(buffer->base, (size_t)got);
    if (conn->in.blob != NULL && bytes.data == conn->in.blob->data + conn->in.size) {
        conn->in.size += bytes.size;
        bytes = buf_slice(&conn->in);
    } else if (conn->in.size > 0) {
        buf_append(&conn->in, bytes.data, bytes.size);
        bytes = buf_slice(&conn->in);
    }
    after_frames(conn, bytes, give_frames(conn, bytes));
}

void tcp_conn_go_on(struct tcp_conn *conn)
{
    struct slice bytes = buf_slice(&conn->in);
    list_remove(&conn->turn);
    if (conn->paused)
        return; /* goes on when its answers are read */
    after_frames(conn, bytes, give_frames(conn, bytes));
    if (!conn->closing && !conn->waiting)
        tcp_conn_read(conn);
}

void tcp_conn_read(struct tcp_conn *conn)
{
    uv_read_start((uv_stream_t *)&conn->handle, on_alloc, on_read);
}

/* ---- out ---- */

struct tcp_write {
    uv_write_t request;
    struct tcp_piece *pieces;
    size_t count;
};

size_t tcp_conn_unsent(const struct tcp_conn *conn)
{
    return conn->out_bytes + uv_stream_get_write_queue_size((const uv_stream_t *)&conn->handle);
}

static void pieces_free(struct tcp_piece *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++)
        blob_unref(&pieces[i].blob);
}

/* A peer that asks and does not read its answers is not listened to. Only inbound ones: answers to
 * our own requests are always read, or two nodes could wait for each other. */
static void pause_or_go_on(struct tcp_conn *conn)
{
    size_t unsent = tcp_conn_unsent(conn);
    if ((conn->id & CONN_INBOUND) == 0 || conn->closing)
        return;
    if (!conn->paused && unsent > OUT_PAUSE_BYTES) {
        conn->paused = true;
        uv_read_stop((uv_stream_t *)&conn->handle);
    } else if (conn->paused && unsent < OUT_PAUSE_BYTES / 2) {
        conn->paused = false;
        if (!conn->waiting)
            tcp_conn_read(conn);
        else if (!list_linked(&conn->turn))
            list_push_back(&conn->tcp->waiting, &conn->turn);
    }
}

static void on_written(uv_write_t *request, int status)
{
    struct tcp_write *write = container_of(request, struct tcp_write, request);
    struct tcp_conn *conn = request->handle->data;
    pieces_free(write->pieces, write->count);
    free(write->pieces);
    free(write);
    if (conn->closing)
        return;
    if (status < 0)
        tcp_conn_close(conn, true);
    else
        pause_or_go_on(conn);
}

/* What the kernel did not take at once waits in libuv's queue, which owns the pieces then. */
static void write_later(struct tcp_conn *conn, size_t first, size_t offset)
{
    struct tcp_write *write = base_alloc(sizeof *write);
    size_t count = conn->out_count - first;
    uv_buf_t *vector = base_alloc(count * sizeof *vector);
    write->pieces = base_copy(conn->out + first, count * sizeof *conn->out);
    write->count = count;
    for (size_t i = 0; i < count; i++)
        vector[i] =
            uv_buf_init((char *)write->pieces[i].blob->data, (unsigned)write->pieces[i].size);
    vector[0].base += offset;
    vector[0].len -= offset;
    conn->out_count = first;
    int status = uv_write(&write->request, (uv_stream_t *)&conn->handle, vector, (unsigned)count,
                          on_written);
    free(vector);
    if (status < 0) {
        pieces_free(write->pieces, count);
        free(write->pieces);
        free(write);
        tcp_conn_close(conn, true);
    }
}

/* Tries to send at once: in the usual case the kernel takes all. The number of bytes taken. */
static ssize_t try_write(struct tcp_conn *conn, size_t first)
{
    uv_buf_t vector[VECTOR_MAX];
    unsigned count = 0;
    for (size_t i = first; i < conn->out_count && count < VECTOR_MAX; i++)
        vector[count++] = uv_buf_init((char *)conn->out[i].blob->data, (unsigned)conn->out[i].size);
    return uv_try_write((uv_stream_t *)&conn->handle, vector, count);
}

void tcp_conn_write(struct tcp_conn *conn)
{
    size_t first = 0, offset = 0;
    list_remove(&conn->dirty);
    if (conn->closing || conn->out_count == 0)
        return;
    conn->out_bytes = 0; /* counted by libuv from here on */
    while (first < conn->out_count && offset == 0 && !conn->connecting) {
        ssize_t taken = try_write(conn, first);
        if (taken < 0 && taken != UV_EAGAIN) {
            tcp_conn_close(conn, true);
            return;
        }
        size_t left = taken < 0 ? 0 : (size_t)taken;
        if (left == 0)
            break;
        while (first < conn->out_count && left >= conn->out[first].size)
            left -= conn->out[first++].size;
        offset = left;
    }
    if (first < conn->out_count)
        write_later(conn, first, offset);
    pieces_free(conn->out, first < conn->out_count ? first : conn->out_count);
    conn->out_count = 0;
    pause_or_go_on(conn);
}
