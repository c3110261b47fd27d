/* driver: carries out a core's actions on libuv (sockets, datagrams, timers, the store) and feeds
 * the results back as events. The simulator is the other driver of the same core.
 *
 * One loop, one thread: whoever calls driver_run. All commits of a turn become one store write;
 * durable ones wait for a sync on the thread pool, one sync serving many. All frames of a turn to
 * one peer leave in one write. */
#ifndef TOYSTORE_IO_DRIVER_H
#define TOYSTORE_IO_DRIVER_H

#include "core/core.h"

struct driver;

struct driver_options {
    struct core_config core;      /* rpc and gossip are filled in from what was bound */
    struct toystore_store *store; /* NULL: a client; closed by driver_free */
    const char *data;             /* the data directory for the full-disk check; NULL: none */
    char host[HOST_SIZE_MAX];     /* numeric address to bind, and to be found at */
    uint16_t rpc_port, gossip_port;
    bool pick_rpc_port, pick_gossip_port; /* when taken, take a free one instead */
    /* On the loop's thread. */
    void (*log)(void *arg, int level, const char *line);
    void (*member)(void *arg, enum toystore_event_type type, const struct toystore_member *member);
    void (*ready)(void *arg);
    void *arg;
};

/* Binds the ports (TCP rpc; UDP and TCP gossip); nothing runs yet. Takes the store over, also when
 * it fails. -EADDRINUSE and others with a message that names the option. */
int driver_new(const struct driver_options *options, struct driver **ret_driver, char *error,
               size_t error_size);
/* Starts the core and runs until driver_stop or until the core stops itself; 0, or the core's
 * reason (negative errno; driver_stop_reason has the words). Requests still under way at the end
 * are answered STOPPING; before that, the core has said goodbye and the store is synced. */
int driver_run(struct driver *driver);
void driver_stop(struct driver *driver); /* any thread, any signal handler */
const char *driver_stop_reason(const struct driver *driver);
void driver_free(struct driver *driver); /* not while it runs */

struct core *driver_core(struct driver *driver); /* for reports, on the loop's thread */
uint16_t driver_rpc_port(const struct driver *driver);
uint16_t driver_gossip_port(const struct driver *driver);

/* Runs `call` on the loop's thread, soon; any thread. -ESHUTDOWN once it has stopped: then `call`
 * is not called. What was accepted is called, at the latest while driver_run ends. */
int driver_post(struct driver *driver, void (*call)(void *arg), void *arg);

/* The rest only on the loop's thread, or before driver_run. */
int driver_submit(struct driver *driver, const struct toystore_request *request,
                  toystore_done_fn *done, void *arg);
int driver_watch(struct driver *driver, int fd, void (*ready)(void *arg, int fd), void *arg);
uint64_t driver_after(struct driver *driver, unsigned ms, void (*fire)(void *arg), void *arg);
void driver_cancel(struct driver *driver, uint64_t timer);

#endif
