/* host: finds the address that a node listens on and is found at.
 *
 * Enters from node/node.c. */
#include "host.h"

#include "options.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

static int numeric(const struct sockaddr *socket, socklen_t size, char ret[HOST_SIZE_MAX])
{
    return getnameinfo(socket, size, ret, HOST_SIZE_MAX, NULL, 0, NI_NUMERICHOST);
}

/* An address that means "any" is none that others could be told. */
static bool is_any(const struct sockaddr *address)
{
    const void *raw = address;
    const struct sockaddr_in *v4 = raw;
    const struct sockaddr_in6 *v6 = raw;
    if (address->sa_family == AF_INET)
        return v4->sin_addr.s_addr == INADDR_ANY;
    return address->sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
}

static int from_option(const char *host, char ret[HOST_SIZE_MAX], char *error, size_t error_size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int wrong = getaddrinfo(host, NULL, &hints, &found);
    bool any = wrong == 0 && is_any(found->ai_addr);
    if (wrong == 0)
        wrong = numeric(found->ai_addr, found->ai_addrlen, ret);
    if (found != NULL)
        freeaddrinfo(found);
    if (wrong == 0 && !any)
        return 0;
    snprintf(error, error_size, "--host %.100s: %s", host,
             any ? "give the address at which others find this node" : gai_strerror(wrong));
    return -EADDRNOTAVAIL;
}

/* Connecting a datagram socket sends nothing, but chooses the source address. */
static bool source_towards(const struct addrinfo *to, char ret[HOST_SIZE_MAX])
{
    struct sockaddr_storage own;
    socklen_t size = sizeof own;
    int fd = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    void *raw = &own;
    bool known = connect(fd, to->ai_addr, to->ai_addrlen) == 0 &&
                 getsockname(fd, raw, &size) == 0 && numeric(raw, size, ret) == 0;
    close(fd);
    return known;
}

static bool from_seed(const char *seed, char ret[HOST_SIZE_MAX])
{
    char host[300];
    const char *colon = strrchr(seed, ':');
    bool bracket = seed[0] == '[';
    bool has_port =
        colon != NULL && (bracket ? strchr(seed, ']') < colon : strchr(seed, ':') == colon);
    size_t size = has_port ? (size_t)(colon - seed) : strlen(seed);
    if (bracket && size >= 2 && seed[size - 1] == ']') {
        seed++;
        size -= 2;
    }
    snprintf(host, sizeof host, "%.*s", (int)size, seed);
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *found = NULL;
    if (getaddrinfo(host, "9", &hints, &found) != 0)
        return false;
    bool known = source_towards(found, ret);
    freeaddrinfo(found);
    return known;
}

int host_find(const struct toystore_config *config, char ret[HOST_SIZE_MAX], char *error,
              size_t error_size)
{
    if (!option_given(config, OPTION_host)) {
        for (unsigned i = 0; i < config->seed_count; i++) {
            if (from_seed(config->seeds[i], ret))
                return 0;
        }
    }
    return from_option(config->host, ret, error, error_size);
}
