/* libtoystore: the embedding API (toystore/toystore.h) over one driver: a thread of its own or the
 * caller's, and what makes the calls safe from any thread.
 *
 * Enters from any program; leaves to the node's thread by driver_post. */
#include "node.h"
#include "options.h"

#include "base/base.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct toystore {
    struct driver *driver;
    struct toystore_config log_config; /* log and log_arg alone */
    pthread_t thread, runner;
    bool threaded;
    unsigned join_timeout_ms;

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    bool running, ready, stopped;
    int stop_status;
    toystore_event_fn *event;
    void *event_arg;
};

/* ---- what the driver tells, on the node's thread ---- */

static void on_log(void *arg, int level, const char *line)
{
    static const char *const words[] = {"error", "warning", "info", "debug"};
    struct toystore *node = arg;
    if (node->log_config.log != NULL) {
        node->log_config.log(node->log_config.log_arg, level, line);
        return;
    }
    struct timespec t;
    struct tm parts;
    char stamp[32];
    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &parts);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &parts);
    fprintf(stderr, "%s.%03ldZ %s: %s\n", stamp, t.tv_nsec / 1000000,
            words[level < 0 || level > 3 ? 3 : level], line);
}

static void on_member(void *arg, enum toystore_event_type type,
                      const struct toystore_member *member)
{
    struct toystore *node = arg;
    pthread_mutex_lock(&node->mutex);
    toystore_event_fn *event = node->event;
    void *event_arg = node->event_arg;
    pthread_mutex_unlock(&node->mutex);
    if (event != NULL)
        event(event_arg, type, member);
}

static void on_ready(void *arg)
{
    struct toystore *node = arg;
    pthread_mutex_lock(&node->mutex);
    node->ready = true;
    pthread_cond_broadcast(&node->changed);
    pthread_mutex_unlock(&node->mutex);
}

/* ---- beginning and end ---- */

int toystore_new(const struct toystore_config *config, struct toystore **ret_node, char *error,
                 size_t error_size)
{
    struct toystore *node = base_alloc(sizeof *node);
    node->log_config.log = config->log;
    node->log_config.log_arg = config->log_arg;
    node->join_timeout_ms = config->join_timeout_ms;
    pthread_mutex_init(&node->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&node->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    struct driver_options callbacks = {
        .log = on_log, .member = on_member, .ready = on_ready, .arg = node};
    int status = node_open(config, &callbacks, &node->driver, error, error_size);
    if (status != 0) {
        pthread_cond_destroy(&node->changed);
        pthread_mutex_destroy(&node->mutex);
        free(node);
        return status;
    }
    *ret_node = node;
    return 0;
}

static void out_of_time(void *arg)
{
    struct toystore *node = arg;
    pthread_mutex_lock(&node->mutex);
    bool late = !node->ready;
    if (late)
        node->stop_status = -ETIMEDOUT;
    pthread_mutex_unlock(&node->mutex);
    if (late)
        driver_stop(node->driver);
}

int toystore_run(struct toystore *node)
{
    pthread_mutex_lock(&node->mutex);
    node->running = true;
    node->runner = pthread_self();
    pthread_mutex_unlock(&node->mutex);
    if (node->join_timeout_ms != 0)
        driver_after(node->driver, node->join_timeout_ms, out_of_time, node);
    int status = driver_run(node->driver);
    pthread_mutex_lock(&node->mutex);
    node->running = false;
    node->stopped = true;
    if (status != 0 || node->stop_status == 0)
        node->stop_status = status;
    status = node->stop_status;
    pthread_cond_broadcast(&node->changed);
    pthread_mutex_unlock(&node->mutex);
    return status;
}

static void *run_thread(void *arg)
{
    toystore_run(arg);
    return NULL;
}

int toystore_start(struct toystore *node)
{
    pthread_mutex_lock(&node->mutex);
    int status = pthread_create(&node->thread, NULL, run_thread, node);
    node->threaded = node->running = status == 0; /* from here on only its thread touches it */
    pthread_mutex_unlock(&node->mutex);
    return -status;
}

static struct timespec in_ms(unsigned ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    return t;
}

int toystore_wait_ready(struct toystore *node, unsigned timeout_ms)
{
    struct timespec until = in_ms(timeout_ms);
    int late = 0;
    pthread_mutex_lock(&node->mutex);
    while (!node->ready && !node->stopped && late == 0)
        late = timeout_ms ? pthread_cond_timedwait(&node->changed, &node->mutex, &until)
                          : pthread_cond_wait(&node->changed, &node->mutex);
    int status = node->ready && !node->stopped ? 0 : -ETIMEDOUT;
    if (node->stopped)
        status = node->stop_status != 0 ? node->stop_status : -ESHUTDOWN;
    pthread_mutex_unlock(&node->mutex);
    return status;
}

void toystore_stop(struct toystore *node)
{
    driver_stop(node->driver);
}

const char *toystore_stop_reason(struct toystore *node)
{
    return driver_stop_reason(node->driver);
}

static void stop_here(void *arg)
{
    struct toystore *node = arg;
    driver_stop(node->driver);
}

void toystore_free(struct toystore *node)
{
    if (node == NULL)
        return;
    if (node->threaded) {
        /* Not from here: it may have ended by itself, and its descriptors with it. */
        driver_post(node->driver, stop_here, node);
        pthread_join(node->thread, NULL);
    }
    driver_free(node->driver);
    pthread_cond_destroy(&node->changed);
    pthread_mutex_destroy(&node->mutex);
    free(node);
}

unsigned toystore_rpc_port(const struct toystore *node)
{
    return driver_rpc_port(node->driver);
}

unsigned toystore_gossip_port(const struct toystore *node)
{
    return driver_gossip_port(node->driver);
}

/* ---- the node's thread ---- */

static bool on_thread(struct toystore *node)
{
    pthread_mutex_lock(&node->mutex);
    bool here = node->running && pthread_equal(node->runner, pthread_self()) != 0;
    pthread_mutex_unlock(&node->mutex);
    return here;
}

int toystore_post(struct toystore *node, void (*call)(void *arg), void *arg)
{
    return driver_post(node->driver, call, arg);
}

/* Runs `call` on the node's thread and waits for it. Before and after the node runs there is no
 * such thread, and the caller's own is as good. */
struct visit {
    struct toystore *node;
    void (*call)(void *arg);
    void *arg;
    bool done;
};

static void visit_run(void *arg)
{
    struct visit *visit = arg;
    visit->call(visit->arg);
    pthread_mutex_lock(&visit->node->mutex);
    visit->done = true;
    pthread_cond_broadcast(&visit->node->changed);
    pthread_mutex_unlock(&visit->node->mutex);
}

/* False: the node's thread takes no calls any more. */
static bool visit_posted(struct visit *visit)
{
    int error;
    while ((error = driver_post(visit->node->driver, visit_run, visit)) == -EBUSY)
        sched_yield();
    return error == 0;
}

static void on_node(struct toystore *node, void (*call)(void *arg), void *arg)
{
    struct visit visit = {.node = node, .call = call, .arg = arg};
    if (on_thread(node)) {
        call(arg);
        return;
    }
    pthread_mutex_lock(&node->mutex);
    if (node->running) {
        pthread_mutex_unlock(&node->mutex);
        bool posted = visit_posted(&visit);
        pthread_mutex_lock(&node->mutex);
        while (posted ? !visit.done : node->running)
            pthread_cond_wait(&node->changed, &node->mutex);
    }
    if (!visit.done) /* with the mutex held: it does not begin to run meanwhile */
        call(arg);
    pthread_mutex_unlock(&node->mutex);
}

int toystore_watch(struct toystore *node, int fd, void (*ready)(void *arg, int fd), void *arg)
{
    return driver_watch(node->driver, fd, ready, arg);
}

uint64_t toystore_after(struct toystore *node, unsigned ms, void (*fire)(void *arg), void *arg)
{
    return driver_after(node->driver, ms, fire, arg);
}

void toystore_cancel(struct toystore *node, uint64_t timer)
{
    driver_cancel(node->driver, timer);
}

uint64_t toystore_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int64_t toystore_wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- members and reports ---- */

void toystore_on_event(struct toystore *node, toystore_event_fn *event, void *arg)
{
    pthread_mutex_lock(&node->mutex);
    node->event = event;
    node->event_arg = arg;
    pthread_mutex_unlock(&node->mutex);
}

struct member_list {
    struct driver *driver;
    struct member_copy *copies;
    size_t count, capacity;
};

static void copy_member(void *arg, const struct toystore_member *member)
{
    struct member_list *list = arg;
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 16;
        list->copies = base_realloc(list->copies, list->capacity * sizeof *list->copies);
    }
    struct member_copy *copy = &list->copies[list->count++];
    copy->member = *member;
    snprintf(copy->name, sizeof copy->name, "%s", member->name);
    snprintf(copy->host, sizeof copy->host, "%s", member->host);
    snprintf(copy->zone, sizeof copy->zone, "%s", member->zone);
}

static void list_members(void *arg)
{
    struct member_list *list = arg;
    core_members(driver_core(list->driver), copy_member, list);
}

void toystore_members(struct toystore *node,
                      void (*each)(void *arg, const struct toystore_member *member), void *arg)
{
    struct member_list list = {.driver = node->driver};
    on_node(node, list_members, &list);
    for (size_t i = 0; i < list.count; i++) {
        struct member_copy *copy = &list.copies[i];
        copy->member.name = copy->name;
        copy->member.host = copy->host;
        copy->member.zone = copy->zone;
        each(arg, &copy->member);
    }
    free(list.copies);
}

struct report {
    struct driver *driver;
    struct slice what, argument;
    struct buf out;
    bool found;
};

static void make_report(void *arg)
{
    struct report *report = arg;
    report->found =
        core_report(driver_core(report->driver), report->what, report->argument, &report->out);
}

char *toystore_report(struct toystore *node, const char *what)
{
    const char *space = strchr(what, ' ');
    struct report report = {
        .driver = node->driver,
        .what = slice_of(what, space ? (size_t)(space - what) : strlen(what)),
        .argument = slice_str(space ? space + 1 : ""),
    };
    on_node(node, make_report, &report);
    char *text = report.found ? base_string(buf_slice(&report.out)) : NULL;
    buf_free(&report.out);
    return text;
}

/* ---- requests ---- */

struct op_wish {
    struct driver *driver;
    struct op_id id;
};

static void make_op(void *arg)
{
    struct op_wish *wish = arg;
    wish->id = core_op_new(driver_core(wish->driver));
}

/* From the core: its session has one sequence, whoever asks. */
struct toystore_op toystore_op_new(struct toystore *node)
{
    struct op_wish wish = {.driver = node->driver};
    on_node(node, make_op, &wish);
    return op_to_public(wish.id);
}

/* A request on its way from another thread to the node's. */
struct courier {
    struct toystore *node;
    struct toystore_request request;
    toystore_done_fn *done;
    void *arg;
    struct arena arena;
};

static struct toystore_bytes copy_bytes(struct arena *arena, struct toystore_bytes bytes)
{
    struct slice copy = arena_copy(arena, slice_of(bytes.data, bytes.size));
    return (struct toystore_bytes){copy.data, copy.size};
}

static struct courier *courier_new(struct toystore *node, const struct toystore_request *request,
                                   toystore_done_fn *done, void *arg)
{
    struct courier *courier = base_alloc(sizeof *courier);
    *courier = (struct courier){.node = node, .request = *request, .done = done, .arg = arg};
    struct toystore_request *copy = &courier->request;
    copy->key = copy_bytes(&courier->arena, request->key);
    copy->value = copy_bytes(&courier->arena, request->value);
    copy->extra = copy_bytes(&courier->arena, request->extra);
    struct toystore_bytes match = {request->match, request->match_count * sizeof *request->match};
    copy->match = copy_bytes(&courier->arena, match).data;
    struct toystore_bytes *keys =
        arena_alloc(&courier->arena, request->key_count * sizeof(struct toystore_bytes));
    for (size_t i = 0; i < request->key_count; i++)
        keys[i] = copy_bytes(&courier->arena, request->keys[i]);
    copy->keys = keys;
    struct toystore_bytes ops = {request->key_ops, request->key_count * sizeof *request->key_ops};
    if (request->key_ops != NULL)
        copy->key_ops = copy_bytes(&courier->arena, ops).data;
    return courier;
}

static void courier_free(struct courier *courier)
{
    arena_free(&courier->arena);
    free(courier);
}

/* What the node refuses when it is too late to say so to the caller becomes a result. */
static enum toystore_status refusal(int error)
{
    return error == -EINVAL  ? TOYSTORE_INVALID
           : error == -EBUSY ? TOYSTORE_BUSY
                             : TOYSTORE_STOPPING;
}

static void courier_arrives(void *arg)
{
    struct courier *courier = arg;
    int error =
        driver_submit(courier->node->driver, &courier->request, courier->done, courier->arg);
    if (error != 0) {
        struct toystore_result result = {.status = refusal(error), .message = ""};
        courier->done(courier->arg, &result);
    }
    courier_free(courier);
}

int toystore_submit(struct toystore *node, const struct toystore_request *request,
                    toystore_done_fn *done, void *arg)
{
    if (on_thread(node))
        return driver_submit(node->driver, request, done, arg);
    struct courier *courier = courier_new(node, request, done, arg);
    int error = driver_post(node->driver, courier_arrives, courier);
    if (error != 0)
        courier_free(courier);
    return error;
}

/* ---- the simple calls ---- */

struct simple {
    struct toystore *node;
    bool done;
    enum toystore_status status;
    char *value;
    size_t size;
};

static void simple_done(void *arg, const struct toystore_result *result)
{
    struct simple *simple = arg;
    simple->status = result->status;
    if (result->status == TOYSTORE_OK && result->version_count > 0) {
        const struct toystore_version *version = &result->versions[0];
        if (version->kind == TOYSTORE_DIRECTORY)
            simple->status = TOYSTORE_IS_DIRECTORY;
        else if (version->kind == TOYSTORE_REFERENCE)
            simple->status = TOYSTORE_TOO_LARGE;
        simple->value = base_string(slice_of(version->value.data, version->value.size));
        simple->size = version->value.size;
    }
    pthread_mutex_lock(&simple->node->mutex);
    simple->done = true;
    pthread_cond_broadcast(&simple->node->changed);
    pthread_mutex_unlock(&simple->node->mutex);
}

/* Waits for the answer; on the node's own thread it would never come. */
static enum toystore_status simple_call(struct toystore *node,
                                        const struct toystore_request *request, char **ret_value,
                                        size_t *ret_size)
{
    struct simple simple = {.node = node};
    if (on_thread(node))
        return TOYSTORE_INVALID;
    int error = toystore_submit(node, request, simple_done, &simple);
    if (error != 0)
        return refusal(error);
    pthread_mutex_lock(&node->mutex);
    while (!simple.done)
        pthread_cond_wait(&node->changed, &node->mutex);
    pthread_mutex_unlock(&node->mutex);
    if (ret_value != NULL && simple.status == TOYSTORE_OK) {
        *ret_value = simple.value;
        *ret_size = simple.size;
    } else {
        free(simple.value);
    }
    return simple.status;
}

static struct toystore_bytes key_bytes(const char *key)
{
    return (struct toystore_bytes){key, strlen(key)};
}

enum toystore_status toystore_put(struct toystore *node, const char *key, const void *value,
                                  size_t size)
{
    return simple_call(node,
                       &(struct toystore_request){.type = TOYSTORE_PUT,
                                                  .key = key_bytes(key),
                                                  .change = TOYSTORE_SET_VALUE,
                                                  .value = {value, size},
                                                  .simple = true},
                       NULL, NULL);
}

enum toystore_status toystore_get(struct toystore *node, const char *key, void **ret_value,
                                  size_t *ret_size)
{
    char *value = NULL;
    enum toystore_status status = simple_call(
        node,
        &(struct toystore_request){.type = TOYSTORE_GET, .key = key_bytes(key), .simple = true},
        &value, ret_size);
    if (status == TOYSTORE_OK)
        *ret_value = value;
    return status;
}

enum toystore_status toystore_put_string(struct toystore *node, const char *key, const char *text)
{
    return toystore_put(node, key, text, strlen(text));
}

char *toystore_get_string(struct toystore *node, const char *key, enum toystore_status *ret_status)
{
    void *value = NULL;
    size_t size = 0;
    enum toystore_status status = toystore_get(node, key, &value, &size);
    if (ret_status != NULL)
        *ret_status = status;
    return status == TOYSTORE_OK ? value : NULL;
}

enum toystore_status toystore_delete(struct toystore *node, const char *key)
{
    return simple_call(
        node,
        &(struct toystore_request){
            .type = TOYSTORE_PUT, .key = key_bytes(key), .change = TOYSTORE_DELETE, .simple = true},
        NULL, NULL);
}
