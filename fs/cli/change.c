/* change: enters from toystore.c, leaves to a node by remote.h and to the terminal by watch.h. */
#include "change.h"

#include "render.h"
#include "watch.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { DONE = 0, NOT_WELL = 1, WRONG = 2, NO_NODE = 3, POLL_MS = 250, JOIN_S = 60 };

static void pause_a_little(void)
{
    struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    nanosleep(&pause, NULL);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int lost(const char *node, const struct remote *remote)
{
    fprintf(stderr, "toystore: %s: %s\n", node, remote_error(remote));
    return NO_NODE;
}

/* ---- status ---- */

static void print_status(const struct health *health, const struct change_options *options)
{
    if (health->alive && health->status && (options->json || !render(health->status)))
        puts(health->status);
}

/* In a terminal a movement is watched to its end, below the status; whoever does not want that has
 * Ctrl-C and --no-wait. With --wait the status comes behind it. */
int change_status(struct remote *remote, const char *node, const struct change_options *options)
{
    int64_t end = now_ms() + (int64_t)options->wait_s * 1000;
    struct watch watch = {.terminal = isatty(STDOUT_FILENO) != 0};
    bool live = watch.terminal && !options->json && !options->wait && !options->no_wait;
    bool printed = false;
    struct health health;
    for (;;) {
        health_ask(remote, &health);
        bool waits = options->wait && health.why[0] != 0 && now_ms() < end;
        if (!health.alive || !(waits || (live && health.moves)))
            break;
        if (live && !printed)
            print_status(&health, options);
        printed = live;
        if (!options->json)
            watch_show(&watch, &health);
        health_free(&health);
        pause_a_little();
    }
    watch_end(&watch);
    if (!printed)
        print_status(&health, options);
    int status = health.why[0] ? NOT_WELL : DONE;
    if (!health.alive || !health.status)
        status = lost(node, remote);
    else if (status != DONE)
        fprintf(stderr, "toystore: %s\n", health.why);
    health_free(&health);
    return status;
}

/* ---- leave and remove ---- */

static int refused(enum toystore_status status)
{
    switch (status) {
    case TOYSTORE_NOT_FOUND:
    case TOYSTORE_CONFLICT:
        return NOT_WELL;
    case TOYSTORE_INVALID:
        return WRONG;
    default:
        return NO_NODE;
    }
}

static int ask(struct remote *remote, const char *node, const char *what, const char *member,
               const struct change_options *options)
{
    enum toystore_status status = TOYSTORE_UNAVAILABLE;
    char *message = NULL;
    int result = DONE;
    if (!remote_change(remote, what, member, options->force, options->accept_loss, &status,
                       &message))
        result = lost(node, remote);
    else if (status != TOYSTORE_OK)
        result = refused(status);
    if (message && message[0])
        fprintf(stderr, "toystore: %s: %s\n", member[0] ? member : node, message);
    else if (result != DONE && status != TOYSTORE_UNAVAILABLE)
        fprintf(stderr, "toystore: %s: %s\n", node, toystore_status_meaning(status));
    free(message);
    return result;
}

static bool has_left(const struct health *health)
{
    return strcmp(health->place, "left") == 0 || strcmp(health->place, "removed") == 0;
}

static bool is_settled(const struct health *health)
{
    return !health->moves;
}

/* The wish is durable and goes on without us: whoever loses the node may simply ask again. */
static int watch_until(struct remote *remote, const char *node, const char *again,
                       bool (*done)(const struct health *health))
{
    struct watch watch = {.terminal = isatty(STDOUT_FILENO) != 0};
    struct health health;
    int status = DONE;
    for (bool first = true;; first = false) {
        if (!first)
            pause_a_little();
        health_ask(remote, &health);
        watch_show(&watch, &health);
        bool over = !health.alive || !health.status || done(&health);
        if (over && (!health.alive || !health.status)) {
            status = lost(node, remote);
            fprintf(stderr, "toystore: what was asked for is kept, and goes on; to watch: %s\n",
                    again);
        }
        health_free(&health);
        if (over)
            break;
    }
    watch_end(&watch);
    return status;
}

int change_leave(struct remote *remote, const char *node, const struct change_options *options)
{
    int status = ask(remote, node, "leave", "", options);
    if (status != DONE || options->no_wait)
        return status;
    status = watch_until(remote, node, "toystore leave", has_left);
    if (status == DONE)
        puts("It has left: all that it had has another home, and it may be stopped.");
    return status;
}

static bool is_called(const json_t *member, const char *word)
{
    const char *name = json_string_value(json_object_get(member, "name"));
    const char *id = json_string_value(json_object_get(member, "id"));
    return (name && strcmp(name, word) == 0) || (id && strcmp(id, word) == 0);
}

/* Is it in the newest layout that the node knows? */
static bool in_ring(struct remote *remote, const char *newcomer, bool *ret_alive)
{
    enum toystore_status status = TOYSTORE_UNAVAILABLE;
    char *body = NULL;
    bool found = false;
    size_t index;
    *ret_alive = remote_report(remote, "ring", slice_str(""), &status, &body);
    json_t *root = *ret_alive && status == TOYSTORE_OK ? json_loads(body, 0, NULL) : NULL;
    json_t *layouts = json_object_get(root, "layouts"), *member;
    json_t *newest = json_array_get(layouts, json_array_size(layouts) - 1);
    json_array_foreach(json_object_get(newest, "members"), index, member) found =
        found || is_called(member, newcomer);
    json_decref(root);
    free(body);
    return found;
}

/* Who it is that would go is the node's to say: its plan of the removal. DONE where there is
 * nothing against it, or no plan to be had; the removal itself says more then. */
static int may_replace(struct remote *remote, const char *member, const char *newcomer)
{
    enum toystore_status status = TOYSTORE_UNAVAILABLE;
    char change[300], *text = NULL;
    json_t *root = NULL, *one;
    int result = DONE;
    size_t index;
    snprintf(change, sizeof change, "remove %s", member);
    if (remote_report(remote, "plan", slice_str(change), &status, &text) && status == TOYSTORE_OK)
        root = json_loads(text, 0, NULL);
    if (status == TOYSTORE_NOT_FOUND) {
        fprintf(stderr, "toystore: %s\n", text && text[0] ? text : "there is no such member");
        result = NOT_WELL;
    }
    json_array_foreach(json_object_get(root, "members"), index, one)
    {
        bool goes = json_integer_value(json_object_get(one, "will_own")) == 0 &&
                    json_integer_value(json_object_get(one, "owns")) != 0;
        if (!goes || !is_called(one, newcomer))
            continue;
        fprintf(stderr, "toystore: replace %s %s: these are one member; give the new one's id\n",
                member, newcomer);
        result = WRONG;
    }
    json_decref(root);
    free(text);
    return result;
}

static int wait_for(struct remote *remote, const char *node, const char *newcomer, int64_t end)
{
    bool alive = true, said = false;
    while (!in_ring(remote, newcomer, &alive)) {
        if (!alive)
            return lost(node, remote);
        if (now_ms() >= end) {
            fprintf(stderr,
                    "toystore: %s is not in the ring: start it with a seed and an empty data "
                    "directory\n",
                    newcomer);
            return NOT_WELL;
        }
        if (!said)
            printf("waiting for %s to join\n", newcomer);
        fflush(stdout);
        said = true;
        pause_a_little();
    }
    return DONE;
}

int change_replace(struct remote *remote, const char *node, const char *member,
                   const char *newcomer, const struct change_options *options)
{
    int64_t end = now_ms() + (options->wait ? (int64_t)options->wait_s : JOIN_S) * 1000;
    int status = may_replace(remote, member, newcomer);
    if (status == DONE)
        status = wait_for(remote, node, newcomer, end);
    if (status == DONE)
        status = may_replace(remote, member, newcomer); /* it may have come by the same name */
    return status == DONE ? change_remove(remote, node, member, options) : status;
}

int change_remove(struct remote *remote, const char *node, const char *member,
                  const struct change_options *options)
{
    int status = ask(remote, node, "remove", member, options);
    if (status != DONE || options->no_wait)
        return status;
    status = watch_until(remote, node, "toystore status --wait SECONDS", is_settled);
    if (status == DONE)
        printf("%s is removed, and nothing moves any more.\n", member);
    return status;
}
