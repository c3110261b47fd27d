/* dial: a connected, non-blocking socket to HOST:PORT. */
#ifndef TOYSTORE_FS_DIAL_H
#define TOYSTORE_FS_DIAL_H

#include <stdbool.h>
#include <stddef.h>

#define DIAL_PORT "3001"
enum { DIAL_TIMEOUT_MS = 3000 };

/* Is this HOST, HOST:PORT, or [HOST]:PORT for IPv6? */
bool dial_is_node(const char *node);
/* The socket, or -1 with the reason in `error`. */
int dial_node(const char *node, char *error, size_t error_size);

#endif
