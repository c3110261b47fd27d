#include "cli/dial.h"

#include "base/base.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Splits in place. More than one colon without brackets is an IPv6 address. */
static bool split(char *text, char **ret_host, const char **ret_port)
{
    char *close = text[0] == '[' ? strchr(text, ']') : NULL, *colon = strrchr(text, ':');
    if (close ? close[1] != ':' : colon == NULL || strchr(text, ':') != colon)
        colon = NULL;
    if (colon)
        *colon = '\0';
    if (close)
        *close = '\0';
    *ret_host = close ? text + 1 : text;
    *ret_port = colon ? colon + 1 : DIAL_PORT;
    char *end;
    unsigned long port = strtoul(*ret_port, &end, 10);
    bool half = text[0] == '[' && close == NULL;
    bool digits = (*ret_port)[0] >= '0' && (*ret_port)[0] <= '9' && *end == '\0';
    return (*ret_host)[0] != '\0' && !half && digits && port > 0 && port <= UINT16_MAX;
}

bool dial_is_node(const char *node)
{
    char *text = base_string(slice_str(node)), *host;
    const char *port;
    bool is = split(text, &host, &port);
    free(text);
    return is;
}

static int connect_within(int fd, const struct addrinfo *to)
{
    if (connect(fd, to->ai_addr, to->ai_addrlen) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return -errno;
    struct pollfd poller = {.fd = fd, .events = POLLOUT};
    if (poll(&poller, 1, DIAL_TIMEOUT_MS) != 1)
        return -ETIMEDOUT;
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return -error;
}

static int dial_address(const struct addrinfo *to)
{
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int error = connect_within(fd, to);
    if (error != 0) {
        close(fd);
        return error;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

int dial_node(const char *node, char *error, size_t error_size)
{
    char *text = base_string(slice_str(node)), *host;
    const char *port;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int fd = -1;
    if (!split(text, &host, &port)) {
        snprintf(error, error_size, "--node %s: want HOST[:RPCPORT]", node);
    } else {
        int wrong = getaddrinfo(host, port, &hints, &found);
        if (wrong != 0)
            snprintf(error, error_size, "--node %s: %s", node, gai_strerror(wrong));
        for (struct addrinfo *to = found; wrong == 0 && to != NULL && fd < 0; to = to->ai_next)
            fd = dial_address(to);
        if (wrong == 0 && fd < 0)
            snprintf(error, error_size, "no node answers at %s: %s", node, strerror(-fd));
    }
    if (found != NULL)
        freeaddrinfo(found);
    free(text);
    return fd < 0 ? -1 : fd;
}
