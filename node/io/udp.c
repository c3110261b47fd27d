/* udp: gossip's datagrams. One that cannot be sent at once is lost, as datagrams are.
 *
 * Enters from libuv and io/driver.c; leaves to the core as EVENT_DATAGRAM. */
#include "io/driver_priv.h"

int udp_init(struct udp *udp, struct driver *driver)
{
    udp->driver = driver;
    int status = uv_udp_init(&driver->loop, &udp->socket);
    udp->socket.data = udp;
    return status;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct udp *udp = handle->data;
    (void)suggested;
    *ret = uv_buf_init((char *)udp->buffer, sizeof udp->buffer);
}

static void on_datagram(uv_udp_t *socket, ssize_t got, const uv_buf_t *buffer,
                        const struct sockaddr *from, unsigned flags)
{
    struct udp *udp = socket->data;
    if (got <= 0 || from == NULL || (flags & UV_UDP_PARTIAL) != 0 || udp->driver->closing)
        return;
    struct core_event event = {.type = EVENT_DATAGRAM,
                               .bytes = blob_copy(slice_of(buffer->base, (size_t)got))};
    address_from_socket(from, &event.from);
    driver_event(udp->driver, &event);
    blob_unref(&event.bytes);
}

/* Closes the socket and makes a fresh one, so that binding may be tried again. */
static void renew(struct udp *udp)
{
    uv_close((uv_handle_t *)&udp->socket, NULL);
    uv_run(&udp->driver->loop, UV_RUN_NOWAIT);
    udp_init(udp, udp->driver);
}

int udp_bind(struct udp *udp, const char *host, uint16_t *port)
{
    struct address address = {.port = *port};
    struct sockaddr_storage socket;
    memcpy(address.host, host, strnlen(host, sizeof address.host - 1));
    int status = address_to_socket(&address, &socket);
    if (status == 0)
        status = uv_udp_bind(&udp->socket, (struct sockaddr *)&socket, 0);
    if (status == 0)
        status = uv_udp_recv_start(&udp->socket, on_alloc, on_datagram);
    if (status < 0)
        renew(udp);
    return status;
}

void udp_send(struct udp *udp, const struct address *to, struct slice bytes)
{
    struct sockaddr_storage socket;
    uv_buf_t buffer;
    /* uv_buf_t has no const; nothing is written through it. */
    memcpy(&buffer.base, &bytes.data, sizeof buffer.base);
    buffer.len = bytes.size;
    if (address_to_socket(to, &socket) == 0)
        uv_udp_try_send(&udp->socket, &buffer, 1, (struct sockaddr *)&socket);
}
