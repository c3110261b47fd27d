/* loop: what programs run on the node's thread: posts from other threads, requests, timers and
 * descriptors of their own.
 *
 * Enters from node/libtoystore.c and the mount; leaves to the core as EVENT_CALL, and to their
 * callbacks. */
#include "io/driver_priv.h"

#include <stdlib.h>

/* ---- posts ---- */

static void run_posts(struct embed *embed)
{
    pthread_mutex_lock(&embed->mutex);
    struct post *posts = embed->posts;
    size_t count = embed->post_count;
    embed->posts = NULL;
    embed->post_count = embed->post_capacity = 0;
    pthread_mutex_unlock(&embed->mutex);
    for (size_t i = 0; i < count; i++)
        posts[i].call(posts[i].arg);
    free(posts);
}

static void on_wake(uv_async_t *wake)
{
    run_posts(wake->data);
}

int driver_post(struct driver *driver, void (*call)(void *arg), void *arg)
{
    struct embed *embed = &driver->embed;
    int status = 0;
    pthread_mutex_lock(&embed->mutex);
    if (embed->closed) {
        status = -ESHUTDOWN;
    } else if (embed->post_count == DRIVER_POSTS_MAX) {
        status = -EBUSY;
    } else {
        if (embed->post_count == embed->post_capacity) {
            embed->post_capacity = embed->post_capacity ? 2 * embed->post_capacity : 16;
            embed->posts = base_realloc(embed->posts, embed->post_capacity * sizeof *embed->posts);
        }
        embed->posts[embed->post_count++] = (struct post){call, arg};
        uv_async_send(&embed->wake);
    }
    pthread_mutex_unlock(&embed->mutex);
    return status;
}

/* ---- requests ---- */

struct call {
    pool_handle handle;
    toystore_done_fn *done;
    void *arg;
};

int driver_submit(struct driver *driver, const struct toystore_request *request,
                  toystore_done_fn *done, void *arg)
{
    pool_handle handle;
    if (driver->stopping || driver->closing)
        return -ESHUTDOWN;
    struct call *call = driver->running ? pool_new(&driver->embed.calls, &handle) : NULL;
    if (call == NULL)
        return -EBUSY;
    *call = (struct call){handle, done, arg};
    driver_event(driver,
                 &(struct core_event){.type = EVENT_CALL, .call = handle, .request = request});
    return 0;
}

static void finish(struct embed *embed, pool_handle handle, const struct toystore_result *result)
{
    struct call *found = pool_get(&embed->calls, handle);
    if (found == NULL)
        return;
    struct call call = *found;
    pool_delete(&embed->calls, handle);
    if (call.done != NULL)
        call.done(call.arg, result);
}

void embed_reply(struct embed *embed, const struct action *action)
{
    finish(embed, action->call, &action->result->result);
    if (embed->busy_us != 0)
        embed->busy_us = uv_hrtime() / 1000;
}

static void refuse_calls(struct embed *embed)
{
    struct toystore_result result = {.status = TOYSTORE_STOPPING,
                                     .message = "the node has stopped"};
    for (size_t i = 0; i < embed->calls.capacity; i++) {
        struct call *call = embed->calls.objects[i];
        if (call != NULL)
            finish(embed, call->handle, &result);
    }
}

/* ---- timers ---- */

struct after {
    uv_timer_t timer;
    struct embed *embed;
    pool_handle handle;
    void (*fire)(void *arg);
    void *arg;
};

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void end_after(struct after *after)
{
    struct after **slot = pool_get(&after->embed->timers, after->handle);
    *slot = NULL;
    pool_delete(&after->embed->timers, after->handle);
    uv_close((uv_handle_t *)&after->timer, on_timer_closed);
}

static void on_after(uv_timer_t *timer)
{
    struct after *after = timer->data;
    void (*fire)(void *arg) = after->fire;
    void *arg = after->arg;
    end_after(after);
    fire(arg);
}

uint64_t driver_after(struct driver *driver, unsigned ms, void (*fire)(void *arg), void *arg)
{
    pool_handle handle;
    struct after **slot = driver->closing ? NULL : pool_new(&driver->embed.timers, &handle);
    if (slot == NULL)
        return 0;
    struct after *after = *slot = base_alloc(sizeof *after);
    *after = (struct after){.embed = &driver->embed, .handle = handle, .fire = fire, .arg = arg};
    uv_timer_init(&driver->loop, &after->timer);
    after->timer.data = after;
    uv_update_time(&driver->loop);
    uv_timer_start(&after->timer, on_after, ms, 0);
    return handle;
}

void driver_cancel(struct driver *driver, uint64_t timer)
{
    struct after **slot = pool_get(&driver->embed.timers, timer);
    if (slot != NULL)
        end_after(*slot);
}

static void end_timers(struct embed *embed)
{
    for (size_t i = 0; i < embed->timers.capacity; i++) {
        struct after **slot = embed->timers.objects[i];
        if (slot != NULL)
            end_after(*slot);
    }
}

/* ---- descriptors ---- */

struct watch {
    uv_poll_t poll;
    struct embed *embed;
    struct list link;
    int fd;
    void (*ready)(void *arg, int fd);
    void *arg;
};

/* A program that makes one call after the other has its next one ready in less time than it takes
 * to go to sleep and be woken. So after an answer the loop looks out for a moment; where that was
 * in vain too often it sleeps at once, and tries again now and then. */
enum { LOOK_OUT_US = 150, VAIN_MAX = 8, SKIPPED_MAX = 64 };

static void note_ready(struct embed *embed)
{
    embed->busy_us = uv_hrtime() / 1000;
    if (embed->looking)
        embed->vain = 0;
    else if (embed->vain >= VAIN_MAX && ++embed->skipped % SKIPPED_MAX == 0)
        embed->vain = VAIN_MAX - 1;
    embed->looking = false;
}

bool embed_looks_out(struct embed *embed)
{
    if (embed->busy_us == 0)
        return false;
    if (uv_hrtime() / 1000 - embed->busy_us < LOOK_OUT_US && embed->vain < VAIN_MAX) {
        embed->looking = true;
        return true;
    }
    if (embed->looking)
        embed->vain++;
    embed->looking = false;
    return false;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    (void)status, (void)events; /* an error is found by who reads */
    note_ready(watch->embed);
    watch->ready(watch->arg, watch->fd);
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void end_watch(struct watch *watch)
{
    list_remove(&watch->link);
    uv_poll_stop(&watch->poll);
    uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
}

static void unwatch(struct embed *embed, int fd)
{
    LIST_EACH(link, &embed->watch_list)
    {
        struct watch *watch = container_of(link, struct watch, link);
        if (fd < 0 || watch->fd == fd)
            end_watch(watch);
    }
}

int driver_watch(struct driver *driver, int fd, void (*ready)(void *arg, int fd), void *arg)
{
    struct embed *embed = &driver->embed;
    unwatch(embed, fd);
    if (ready == NULL)
        return 0;
    struct watch *watch = base_alloc(sizeof *watch);
    int status = uv_poll_init(&driver->loop, &watch->poll, fd);
    if (status < 0) {
        free(watch);
        return status;
    }
    watch->embed = embed;
    watch->fd = fd;
    watch->ready = ready;
    watch->arg = arg;
    watch->poll.data = watch;
    list_push_back(&embed->watch_list, &watch->link);
    return uv_poll_start(&watch->poll, UV_READABLE | UV_DISCONNECT, on_readable);
}

/* ---- beginning and end ---- */

int embed_init(struct embed *embed, struct driver *driver)
{
    *embed = (struct embed){.driver = driver};
    pthread_mutex_init(&embed->mutex, NULL);
    pool_init(&embed->timers, sizeof(struct after *), DRIVER_TIMERS_MAX);
    pool_init(&embed->calls, sizeof(struct call), DRIVER_CALLS_MAX);
    list_init(&embed->watch_list);
    int status = uv_async_init(&driver->loop, &embed->wake, on_wake);
    embed->wake.data = embed;
    return status;
}

void embed_close(struct embed *embed)
{
    pthread_mutex_lock(&embed->mutex);
    embed->closed = true;
    pthread_mutex_unlock(&embed->mutex);
    run_posts(embed);
    refuse_calls(embed);
    end_timers(embed);
    unwatch(embed, -1);
}

void embed_free(struct embed *embed)
{
    pthread_mutex_destroy(&embed->mutex);
    free(embed->posts);
    pool_free(&embed->timers);
    pool_free(&embed->calls);
}
