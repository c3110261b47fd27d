/* driver: one core on one libuv loop: feeds events in, carries actions out, turn by turn.
 *
 * Enters from io/tcp.c, io/udp.c, io/ledger.c, io/loop.c with events; leaves to them with actions.
 *
 * A turn: everything that arrived since the last one has gone through core_step; now the actions
 * are carried out, the commits among them in one store write, whose results are events again,
 * until nothing is left; then each connection's frames leave in one write, and the loop waits. */
#include "io/driver_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t now_us(void)
{
    return uv_hrtime() / 1000;
}

static int64_t wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void driver_event(struct driver *driver, struct core_event *event)
{
    event->now_us = now_us();
    event->wall_us = wall_us();
    core_step(driver->core, event, &driver->actions);
}

void driver_log(struct driver *driver, int level, const char *format, ...)
{
    char line[512];
    if (level > driver->options.core.log_level || driver->options.log == NULL)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    driver->options.log(driver->options.arg, level, line);
}

/* ---- actions ---- */

static void stop_by_core(struct driver *driver, const struct action *action)
{
    if (driver->stopping)
        return;
    driver->stopping = true;
    driver->status = action->status;
    if (action->status == 0)
        return;
    snprintf(driver->reason, sizeof driver->reason, "%s", action->text ? action->text : "");
    atomic_store(&driver->reason_told, true);
}

static void carry_out(struct driver *driver, struct action *action)
{
    const struct driver_options *options = &driver->options;
    switch (action->type) {
    case ACTION_CONNECT:
        tcp_connect(&driver->tcp, action->conn, &action->address);
        break;
    case ACTION_CLOSE:
        tcp_close(&driver->tcp, action->conn);
        break;
    case ACTION_SEND:
        tcp_send(&driver->tcp, action->conn, &action->head, &action->body);
        break;
    case ACTION_DATAGRAM:
        udp_send(&driver->udp, &action->address, blob_slice(action->body));
        break;
    case ACTION_RESOLVE:
        resolve_action(driver, action);
        break;
    case ACTION_LOAD:
        ledger_load_action(&driver->ledger, action);
        break;
    case ACTION_COMMIT:
        ledger_commit_action(&driver->ledger, action);
        break;
    case ACTION_SCAN:
        ledger_scan_action(&driver->ledger, action);
        break;
    case ACTION_ROOM:
        ledger_room_action(&driver->ledger, action);
        break;
    case ACTION_REPLY:
        embed_reply(&driver->embed, action);
        break;
    case ACTION_MEMBER:
        if (options->member != NULL)
            options->member(options->arg, action->member_event, &action->member->member);
        break;
    case ACTION_READY:
        if (options->ready != NULL)
            options->ready(options->arg);
        break;
    case ACTION_LOG:
        driver_log(driver, action->level, "%s", action->text);
        break;
    case ACTION_STOP:
        stop_by_core(driver, action);
        break;
    }
}

/* ---- turns ---- */

static bool tick(struct driver *driver)
{
    if (core_deadline(driver->core) > now_us())
        return false;
    driver_event(driver, &(struct core_event){.type = EVENT_TICK});
    return true;
}

/* Carries out what is queued, for a while. False: time is up and something is left. */
static bool run_actions(struct driver *driver, uint64_t until)
{
    struct action action;
    for (unsigned i = 1; actions_take(&driver->actions, &action); i++) {
        carry_out(driver, &action);
        action_free(&action);
        if (i % 32 == 0 && now_us() > until)
            return false;
    }
    return true;
}

static void on_deadline(uv_timer_t *timer)
{
    (void)timer; /* the turn that follows ticks */
}

static void set_deadline(struct driver *driver)
{
    uint64_t at = core_deadline(driver->core), now = now_us();
    if (at == UINT64_MAX) {
        uv_timer_stop(&driver->deadline);
        return;
    }
    uv_update_time(&driver->loop);
    uint64_t ms = at > now ? (at - now + 999) / 1000 : 0;
    uv_timer_start(&driver->deadline, on_deadline, ms, 0);
}

static void on_more(uv_idle_t *idle)
{
    (void)idle; /* its being there keeps the loop from waiting */
}

static void close_down(struct driver *driver);

static void leave(struct driver *driver)
{
    driver->leaving = true;
    uv_timer_start(&driver->stop_timer, on_deadline, STOP_TIMEOUT_MS, 0);
    driver_event(driver, &(struct core_event){.type = EVENT_LEAVE});
}

/* The steps of stopping: goodbye, then the last frames, then everything closes. */
static void stop_in_steps(struct driver *driver)
{
    if (atomic_load(&driver->stop_asked) && !driver->leaving && !driver->stopping)
        leave(driver);
    if (driver->leaving && !driver->stopping && !uv_is_active((uv_handle_t *)&driver->stop_timer))
        driver->stopping = true; /* the core did not come to an end in time */
    if (!driver->stopping || driver->closing)
        return;
    if (!driver->lingering) {
        driver->lingering = true;
        uv_timer_start(&driver->stop_timer, on_deadline, LINGER_MS, 0);
    }
    bool time_left = uv_is_active((uv_handle_t *)&driver->stop_timer) != 0;
    if (!time_left || (!tcp_unsent(&driver->tcp) && !ledger_busy(&driver->ledger)))
        close_down(driver);
}

static void on_turn(uv_prepare_t *prepare)
{
    struct driver *driver = prepare->data;
    uint64_t until = now_us() + TURN_BUDGET_US;
    bool empty = false, again = true;
    if (driver->closing)
        return;
    stop_in_steps(driver);
    while (again && now_us() <= until) {
        empty = run_actions(driver, until);
        ledger_flush(&driver->ledger);
        again = ledger_deliver(&driver->ledger);
        again = tick(driver) || again || driver->actions.first != driver->actions.count;
    }
    tcp_flush(&driver->tcp);
    if (empty && !again) /* else there is enough to do for the next turn */
        again = tcp_go_on(&driver->tcp);
    if (!empty || again || embed_looks_out(&driver->embed))
        uv_idle_start(&driver->more, on_more);
    else
        uv_idle_stop(&driver->more);
    set_deadline(driver);
    stop_in_steps(driver);
}

/* ---- starting ---- */

/* Tells what could not be bound by the option that names it. */
static int bind_failed(char *error, size_t error_size, const char *option, unsigned port,
                       const char *host, int status)
{
    if (status == UV_EADDRNOTAVAIL)
        snprintf(error, error_size, "--host %s: this machine has no such address", host);
    else
        snprintf(error, error_size, "--%s %u: %s (on %s)", option, port, uv_strerror(status), host);
    return status;
}

static int listen_rpc(struct driver *driver, char *error, size_t error_size)
{
    const struct driver_options *options = &driver->options;
    driver->rpc_port = options->rpc_port;
    int status = tcp_listen(&driver->tcp, 0, options->host, &driver->rpc_port);
    if (status == UV_EADDRINUSE && options->pick_rpc_port) {
        driver->rpc_port = 0;
        status = tcp_listen(&driver->tcp, 0, options->host, &driver->rpc_port);
    }
    if (status == 0)
        return 0;
    return bind_failed(error, error_size, "rpc-port", options->rpc_port, options->host, status);
}

/* One number for datagrams and for exchanges over TCP. */
static int bind_gossip(struct driver *driver, uint16_t port)
{
    const char *host = driver->options.host;
    driver->gossip_port = port;
    int status = tcp_listen(&driver->tcp, 1, host, &driver->gossip_port);
    if (status < 0)
        return status;
    status = udp_bind(&driver->udp, host, &driver->gossip_port);
    if (status < 0)
        tcp_unlisten(&driver->tcp, 1);
    return status;
}

static int listen_gossip(struct driver *driver, char *error, size_t error_size)
{
    const struct driver_options *options = &driver->options;
    int status = bind_gossip(driver, options->gossip_port);
    /* A port that is free for TCP may be taken for UDP: then another one. */
    for (int i = 0; status == UV_EADDRINUSE && options->pick_gossip_port && i < 32; i++)
        status = bind_gossip(driver, 0);
    if (status == 0)
        return 0;
    return bind_failed(error, error_size, "gossip-port", options->gossip_port, options->host,
                       status);
}

static void init_handles(struct driver *driver)
{
    uv_prepare_init(&driver->loop, &driver->turn);
    uv_idle_init(&driver->loop, &driver->more);
    uv_timer_init(&driver->loop, &driver->deadline);
    uv_timer_init(&driver->loop, &driver->stop_timer);
    driver->turn.data = driver;
}

static void on_walk_close(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* Closes what is still open, and runs the loop until every close has been seen. */
static void end_loop(struct driver *driver)
{
    tcp_close_all(&driver->tcp);
    embed_close(&driver->embed);
    uv_walk(&driver->loop, on_walk_close, NULL);
    uv_run(&driver->loop, UV_RUN_DEFAULT);
    int status = uv_loop_close(&driver->loop);
    assert(status == 0);
    tcp_free(&driver->tcp);
}

static void set_addresses(struct driver *driver)
{
    struct core_config *core = &driver->options.core;
    memcpy(core->rpc.host, driver->options.host, sizeof core->rpc.host);
    memcpy(core->gossip.host, driver->options.host, sizeof core->gossip.host);
    core->rpc.port = driver->rpc_port;
    core->gossip.port = driver->gossip_port;
    if (core->name[0] == '\0')
        snprintf(core->name, sizeof core->name, "%.50s:%u", driver->options.host,
                 (unsigned)driver->rpc_port);
}

int driver_new(const struct driver_options *options, struct driver **ret_driver, char *error,
               size_t error_size)
{
    struct driver *driver = base_alloc(sizeof *driver);
    driver->options = *options;
    int status = uv_loop_init(&driver->loop);
    if (status < 0) {
        snprintf(error, error_size, "no event loop: %s", uv_strerror(status));
        goto close_store;
    }
    init_handles(driver);
    ledger_init(&driver->ledger, driver, options->store, options->data);
    tcp_init(&driver->tcp, driver);
    udp_init(&driver->udp, driver);
    embed_init(&driver->embed, driver);
    status = stop_init(driver);
    if (status < 0)
        snprintf(error, error_size, "the event loop could not be set up: %s", uv_strerror(status));
    else
        status = listen_rpc(driver, error, error_size);
    if (status == 0)
        status = listen_gossip(driver, error, error_size);
    if (status < 0)
        goto end_loop;
    set_addresses(driver);
    driver->options.core.takes_parts = true;
    driver->core = core_new(&driver->options.core);
    *ret_driver = driver;
    return 0;

end_loop:
    end_loop(driver);
    ledger_free(&driver->ledger);
    embed_free(&driver->embed);
    stop_close(driver);
    free(driver);
    return status;
close_store:
    if (options->store != NULL)
        options->store->ops->close(options->store);
    free(driver);
    return status;
}

/* ---- running and stopping ---- */

static void close_down(struct driver *driver)
{
    driver->closing = true;
    ledger_close(&driver->ledger);
    uv_stop(&driver->loop);
}

int driver_run(struct driver *driver)
{
    driver->running = true;
    uv_prepare_start(&driver->turn, on_turn);
    core_start(driver->core, now_us(), wall_us(), &driver->actions);
    uv_run(&driver->loop, UV_RUN_DEFAULT);
    driver->running = false;
    end_loop(driver);
    return driver->status;
}

const char *driver_stop_reason(const struct driver *driver)
{
    return atomic_load(&driver->reason_told) ? driver->reason : "";
}

void driver_free(struct driver *driver)
{
    if (driver == NULL)
        return;
    if (!driver->closing) { /* never run */
        driver->closing = true;
        end_loop(driver);
    }
    core_free(driver->core);
    actions_free(&driver->actions);
    ledger_free(&driver->ledger);
    embed_free(&driver->embed); /* until now others may post, in vain */
    stop_close(driver);
    free(driver);
}

struct core *driver_core(struct driver *driver)
{
    return driver->core;
}

uint16_t driver_rpc_port(const struct driver *driver)
{
    return driver->rpc_port;
}

uint16_t driver_gossip_port(const struct driver *driver)
{
    return driver->gossip_port;
}
