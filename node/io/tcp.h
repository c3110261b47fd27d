/* tcp: a connection, for the two files that serve it. */
#ifndef TOYSTORE_IO_TCP_H
#define TOYSTORE_IO_TCP_H

#include "io/driver_priv.h"
#include "wire/frame.h"

/* Bytes to send: a shared blob, or one of our own that small pieces are gathered in. */
struct tcp_piece {
    struct blob *blob;
    size_t size;
    bool gathering;
};

struct tcp_conn {
    struct tcp *tcp;
    uint64_t id;
    uv_tcp_t handle;
    uv_connect_t connect;
    struct list all, dirty, turn;
    struct buf in; /* the beginning of a frame whose end has not come yet */
    struct frame_scanner scanner;
    struct tcp_piece *out; /* of this turn */
    size_t out_count, out_capacity, out_bytes;
    uint64_t connecting_since_ms;
    bool connecting, closing;
    bool paused;  /* not read while its answers are not */
    bool waiting; /* more frames have arrived than a turn takes */
};

/* Closes; `tell`: the core hears of it. */
void tcp_conn_close(struct tcp_conn *conn, bool tell);
void tcp_conn_read(struct tcp_conn *conn);  /* begins to read */
void tcp_conn_go_on(struct tcp_conn *conn); /* gives the next turn's share of frames */
void tcp_conn_write(struct tcp_conn *conn); /* sends what is gathered */
size_t tcp_conn_unsent(const struct tcp_conn *conn);

#endif
