/* tcp: listens, connects and closes; which connection is which.
 *
 * Enters from io/driver.c and from libuv; leaves to io/tcp_stream.c, and to the core as
 * EVENT_OPENED and EVENT_CLOSED. */
#include "io/tcp.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { BACKLOG = 512, SWEEP_MS = 500 };

static struct slice id_slice(const uint64_t *id)
{
    return slice_of(id, sizeof *id);
}

static struct tcp_conn *find(const struct tcp *tcp, uint64_t id)
{
    return map_get(&tcp->conns, id_slice(&id));
}

int tcp_init(struct tcp *tcp, struct driver *driver)
{
    *tcp = (struct tcp){.driver = driver};
    list_init(&tcp->all);
    list_init(&tcp->dirty);
    list_init(&tcp->waiting);
    uv_timer_init(&driver->loop, &tcp->sweep);
    tcp->sweep.data = tcp;
    return 0;
}

static struct tcp_conn *conn_new(struct tcp *tcp, uint64_t id)
{
    struct tcp_conn *conn = base_alloc(sizeof *conn);
    conn->tcp = tcp;
    conn->id = id;
    uv_tcp_init(&tcp->driver->loop, &conn->handle);
    conn->handle.data = conn;
    map_put(&tcp->conns, id_slice(&id), conn);
    list_push_back(&tcp->all, &conn->all);
    if (id & CONN_INBOUND)
        tcp->inbound_count++;
    return conn;
}

static void on_closed(uv_handle_t *handle)
{
    struct tcp_conn *conn = handle->data;
    for (size_t i = 0; i < conn->out_count; i++)
        blob_unref(&conn->out[i].blob);
    free(conn->out);
    buf_free(&conn->in);
    free(conn);
}

void tcp_conn_close(struct tcp_conn *conn, bool tell)
{
    struct tcp *tcp = conn->tcp;
    uint64_t id = conn->id;
    if (conn->closing)
        return;
    conn->closing = true;
    map_remove(&tcp->conns, id_slice(&id));
    list_remove(&conn->all);
    list_remove(&conn->dirty);
    list_remove(&conn->turn);
    if (id & CONN_INBOUND)
        tcp->inbound_count--;
    if (conn->connecting)
        tcp->connecting_count--;
    uv_close((uv_handle_t *)&conn->handle, on_closed);
    if (tell)
        driver_event(tcp->driver, &(struct core_event){.type = EVENT_CLOSED, .conn = id});
}

/* Connections that stay open for days: small frames leave at once, and a peer whose machine is
 * gone is noticed. */
static void set_options(struct tcp_conn *conn)
{
    unsigned timeout = UNACKED_TIMEOUT_MS;
    uv_os_fd_t fd;
    uv_tcp_nodelay(&conn->handle, 1);
    uv_tcp_keepalive(&conn->handle, 1, 10);
    if (uv_fileno((uv_handle_t *)&conn->handle, &fd) == 0)
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
}

/* ---- inbound ---- */

static void on_inbound(uv_stream_t *listener, int status)
{
    struct tcp *tcp = listener->data;
    if (status < 0 || tcp->driver->closing)
        return;
    struct tcp_conn *conn = conn_new(tcp, CONN_INBOUND | ++tcp->inbound_id);
    struct sockaddr_storage peer;
    int size = sizeof peer;
    status = uv_accept(listener, (uv_stream_t *)&conn->handle);
    if (status == 0 && tcp->inbound_count > CONNECTIONS_MAX) {
        driver_log(tcp->driver, 1, "a connection is refused: there are %d already",
                   CONNECTIONS_MAX);
        status = UV_EMFILE;
    }
    if (status == 0)
        status = uv_tcp_getpeername(&conn->handle, (struct sockaddr *)&peer, &size);
    if (status < 0) {
        tcp_conn_close(conn, false);
        return;
    }
    struct core_event event = {.type = EVENT_OPENED, .conn = conn->id};
    address_from_socket((struct sockaddr *)&peer, &event.from);
    set_options(conn);
    tcp_conn_read(conn);
    driver_event(tcp->driver, &event);
}

int tcp_listen(struct tcp *tcp, size_t listener, const char *host, uint16_t *port)
{
    uv_tcp_t *handle = &tcp->listeners[listener];
    struct address address = {.port = *port};
    struct sockaddr_storage socket;
    int size = sizeof socket;
    memcpy(address.host, host, strnlen(host, sizeof address.host - 1));
    int status = address_to_socket(&address, &socket);
    if (status < 0)
        return status;
    uv_tcp_init(&tcp->driver->loop, handle);
    handle->data = tcp;
    status = uv_tcp_bind(handle, (struct sockaddr *)&socket, 0);
    if (status == 0)
        status = uv_listen((uv_stream_t *)handle, BACKLOG, on_inbound);
    if (status == 0)
        status = uv_tcp_getsockname(handle, (struct sockaddr *)&socket, &size);
    if (status < 0) {
        tcp_unlisten(tcp, listener);
        return status;
    }
    address_from_socket((struct sockaddr *)&socket, &address);
    *port = address.port;
    return 0;
}

void tcp_unlisten(struct tcp *tcp, size_t listener)
{
    /* The handle is used again only after its close has been seen. */
    uv_close((uv_handle_t *)&tcp->listeners[listener], NULL);
    uv_run(&tcp->driver->loop, UV_RUN_NOWAIT);
}

/* ---- outbound ---- */

static void on_sweep(uv_timer_t *timer)
{
    struct tcp *tcp = timer->data;
    uint64_t now = uv_now(&tcp->driver->loop);
    LIST_EACH(link, &tcp->all)
    {
        struct tcp_conn *conn = container_of(link, struct tcp_conn, all);
        if (conn->connecting && now - conn->connecting_since_ms >= CONNECT_TIMEOUT_MS)
            tcp_conn_close(conn, true);
    }
    if (tcp->connecting_count == 0)
        uv_timer_stop(timer);
}

static void on_connected(uv_connect_t *request, int status)
{
    struct tcp_conn *conn = request->data;
    if (conn->closing)
        return;
    conn->connecting = false;
    conn->tcp->connecting_count--;
    if (status < 0) {
        tcp_conn_close(conn, true);
        return;
    }
    set_options(conn);
    tcp_conn_read(conn);
    driver_event(conn->tcp->driver, &(struct core_event){.type = EVENT_OPENED, .conn = conn->id});
}

/* Others know this node by one address: what it sends comes from there, too. */
static void bind_source(struct tcp_conn *conn, const struct sockaddr_storage *to)
{
    struct address self = {.port = 0};
    struct sockaddr_storage source;
    memcpy(self.host, conn->tcp->driver->options.host, sizeof self.host);
    if (address_to_socket(&self, &source) == 0 && source.ss_family == to->ss_family)
        uv_tcp_bind(&conn->handle, (struct sockaddr *)&source, 0);
}

void tcp_connect(struct tcp *tcp, uint64_t id, const struct address *to)
{
    struct sockaddr_storage socket;
    struct tcp_conn *conn = conn_new(tcp, id);
    int status = address_to_socket(to, &socket);
    if (status == 0) {
        bind_source(conn, &socket);
        conn->connect.data = conn;
        status =
            uv_tcp_connect(&conn->connect, &conn->handle, (struct sockaddr *)&socket, on_connected);
    }
    if (status < 0) {
        tcp_conn_close(conn, true);
        return;
    }
    conn->connecting = true;
    conn->connecting_since_ms = uv_now(&tcp->driver->loop);
    if (tcp->connecting_count++ == 0)
        uv_timer_start(&tcp->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
}

/* ---- frames out, closing ---- */

static void add_piece(struct tcp_conn *conn, struct tcp_piece piece)
{
    if (conn->out_count == conn->out_capacity) {
        conn->out_capacity = conn->out_capacity ? 2 * conn->out_capacity : 8;
        conn->out = base_realloc(conn->out, conn->out_capacity * sizeof *conn->out);
    }
    conn->out[conn->out_count++] = piece;
}

enum { GATHER_MAX = 4096, GATHER_SIZE = 32 * 1024 };

/* Small pieces are gathered in one buffer: a vector of thousands costs more than the copy. */
static void add_out(struct tcp_conn *conn, struct blob **blob)
{
    if (*blob == NULL)
        return;
    size_t size = (*blob)->size;
    conn->out_bytes += size;
    if (size > GATHER_MAX) {
        add_piece(conn, (struct tcp_piece){*blob, size, false});
        *blob = NULL;
        return;
    }
    struct tcp_piece *last = conn->out_count ? &conn->out[conn->out_count - 1] : NULL;
    if (last == NULL || !last->gathering || last->blob->size - last->size < size) {
        add_piece(conn, (struct tcp_piece){blob_new(GATHER_SIZE), 0, true});
        last = &conn->out[conn->out_count - 1];
    }
    memcpy(last->blob->data + last->size, (*blob)->data, size);
    last->size += size;
    blob_unref(blob);
}

void tcp_send(struct tcp *tcp, uint64_t id, struct blob **head, struct blob **body)
{
    struct tcp_conn *conn = find(tcp, id);
    if (conn == NULL)
        return; /* it broke meanwhile, and the core has heard or will hear */
    add_out(conn, head);
    add_out(conn, body);
    if (!list_linked(&conn->dirty))
        list_push_back(&tcp->dirty, &conn->dirty);
    if (tcp_conn_unsent(conn) > OUT_BYTES_MAX) {
        driver_log(tcp->driver, 1, "a connection is closed: its peer does not read");
        tcp_conn_close(conn, true);
    }
}

void tcp_close(struct tcp *tcp, uint64_t id)
{
    struct tcp_conn *conn = find(tcp, id);
    if (conn == NULL)
        return;
    tcp_conn_write(conn); /* what was sent before, as far as the kernel takes it */
    if (!conn->closing)
        tcp_conn_close(conn, false);
}

void tcp_flush(struct tcp *tcp)
{
    for (struct list *link; (link = list_pop_front(&tcp->dirty)) != NULL;)
        tcp_conn_write(container_of(link, struct tcp_conn, dirty));
}

bool tcp_go_on(struct tcp *tcp)
{
    struct list now;
    list_init(&now);
    for (struct list *link; (link = list_pop_front(&tcp->waiting)) != NULL;)
        list_push_back(&now, link);
    bool any = !list_empty(&now);
    while (!list_empty(&now))
        tcp_conn_go_on(container_of(now.next, struct tcp_conn, turn));
    return any;
}

bool tcp_unsent(const struct tcp *tcp)
{
    LIST_EACH(link, &tcp->all)
    {
        if (tcp_conn_unsent(container_of(link, struct tcp_conn, all)) > 0)
            return true;
    }
    return false;
}

void tcp_close_all(struct tcp *tcp)
{
    LIST_EACH(link, &tcp->all)
    tcp_conn_close(container_of(link, struct tcp_conn, all), false);
}

void tcp_free(struct tcp *tcp)
{
    map_free(&tcp->conns);
    free(tcp->scratch);
}
