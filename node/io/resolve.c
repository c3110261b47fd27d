/* resolve: addresses as text, as sockets want them, and from the names of hosts.
 *
 * Enters from io/driver.c with ACTION_RESOLVE; leaves to the core as EVENT_RESOLVED. */
#include "io/driver_priv.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEFAULT_GOSSIP_PORT = 7946 };

int address_to_socket(const struct address *address, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof *ret);
    if (uv_ip4_addr(address->host, address->port, (struct sockaddr_in *)ret) == 0)
        return 0;
    return uv_ip6_addr(address->host, address->port, (struct sockaddr_in6 *)ret);
}

void address_from_socket(const struct sockaddr *socket, struct address *ret)
{
    const void *any = socket;
    *ret = (struct address){0};
    if (socket->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = any;
        uv_ip4_name(v4, ret->host, sizeof ret->host);
        ret->port = ntohs(v4->sin_port);
    } else if (socket->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = any;
        uv_ip6_name(v6, ret->host, sizeof ret->host);
        ret->port = ntohs(v6->sin6_port);
    }
}

static int parse_port(const char *text, uint16_t *ret_port)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || port == 0 || port > 65535)
        return -EINVAL;
    *ret_port = (uint16_t)port;
    return 0;
}

int address_split(const char *text, uint16_t default_port, char *ret_host, size_t host_size,
                  uint16_t *ret_port)
{
    const char *begin = text, *end, *port = NULL;
    if (*text == '[') {
        begin = text + 1;
        end = strchr(begin, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':'))
            return -EINVAL;
        port = end[1] == ':' ? end + 2 : NULL;
    } else {
        end = strchr(text, ':');
        if (end != NULL && strchr(end + 1, ':') != NULL)
            end = NULL; /* a bare IPv6 address */
        port = end != NULL ? end + 1 : NULL;
        if (end == NULL)
            end = text + strlen(text);
    }
    size_t size = (size_t)(end - begin);
    if (size == 0 || size >= host_size)
        return -EINVAL;
    memcpy(ret_host, begin, size);
    ret_host[size] = '\0';
    *ret_port = default_port;
    return port == NULL ? 0 : parse_port(port, ret_port);
}

struct resolving {
    uv_getaddrinfo_t request;
    struct driver *driver;
    struct resume resume;
    uint16_t port;
};

static void tell(struct driver *driver, struct resume resume, int status,
                 const struct address *address)
{
    struct core_event event = {.type = EVENT_RESOLVED, .resume = resume, .status = status};
    if (address != NULL)
        event.from = *address;
    driver_event(driver, &event);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct resolving *resolving = container_of(request, struct resolving, request);
    struct address address = {0};
    if (status == 0) {
        address_from_socket(found->ai_addr, &address);
        address.port = resolving->port;
    }
    if (!resolving->driver->closing)
        tell(resolving->driver, resolving->resume, status == 0 ? 0 : -EHOSTUNREACH, &address);
    uv_freeaddrinfo(found);
    free(resolving);
}

void resolve_action(struct driver *driver, const struct action *action)
{
    char host[256];
    struct address address = {0};
    struct sockaddr_storage socket;
    int status = address_split(action->text, DEFAULT_GOSSIP_PORT, host, sizeof host, &address.port);
    if (status < 0) {
        tell(driver, action->resume, status, NULL);
        return;
    }
    snprintf(address.host, sizeof address.host, "%.63s", host);
    if (address_to_socket(&address, &socket) == 0) {
        tell(driver, action->resume, 0, &address);
        return;
    }
    struct resolving *resolving = base_alloc(sizeof *resolving);
    *resolving =
        (struct resolving){.driver = driver, .resume = action->resume, .port = address.port};
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    status = uv_getaddrinfo(&driver->loop, &resolving->request, on_resolved, host, NULL, &hints);
    if (status < 0) {
        free(resolving);
        tell(driver, action->resume, -EHOSTUNREACH, NULL);
    }
}
