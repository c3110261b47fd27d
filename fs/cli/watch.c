#include "watch.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BAR_WIDTH = 40, TEXT_MAX = 4096, LINES_PAUSE_S = 2 };

static long long number(const json_t *report, const char *name)
{
    return json_integer_value(json_object_get(report, name));
}

static const char *text(const json_t *report, const char *name)
{
    const char *value = json_string_value(json_object_get(report, name));
    return value ? value : "";
}

/* The first that is found is told. */
__attribute__((format(printf, 2, 3))) static void not_well(struct health *health,
                                                           const char *format, ...)
{
    va_list args;
    if (health->why[0] != 0)
        return;
    va_start(args, format);
    vsnprintf(health->why, sizeof health->why, format, args);
    va_end(args);
}

/* ---- one node's report ---- */

static bool named(const json_t *names, const char *name)
{
    size_t index;
    const json_t *one;
    json_array_foreach(names, index, one)
    {
        if (strcmp(json_string_value(one), name) == 0)
            return true;
    }
    return false;
}

/* Who does not answer takes nothing, and what it would have taken is kept for it. */
static bool moves(const json_t *report)
{
    const json_t *absent = json_object_get(report, "absent"), *movement;
    size_t index;
    if (json_is_true(json_object_get(report, "moving")) ||
        json_array_size(json_object_get(report, "leaving")) != 0 ||
        number(report, "partitions_unheld") != 0 || strcmp(text(report, "place"), "leaving") == 0 ||
        strcmp(text(report, "place"), "joining") == 0)
        return true;
    json_array_foreach(json_object_get(report, "movements"), index, movement)
    {
        if (!named(absent, text(movement, "name")))
            return true;
    }
    return json_array_size(absent) == 0 && number(report, "keys_to_give") != 0;
}

static void judge(struct health *health, const json_t *report)
{
    const char *name = text(report, "name");
    const json_t *absent = json_object_get(report, "absent");
    health->moves = health->moves || moves(report);
    if (!json_is_true(json_object_get(report, "ready")))
        not_well(health, "%s is not ready", name);
    if (json_array_size(absent) != 0)
        not_well(health, "%s does not answer", json_string_value(json_array_get(absent, 0)));
    if (json_is_true(json_object_get(report, "moving")))
        not_well(health, "%s: two layouts are live", name);
    const json_t *leaving = json_array_get(json_object_get(report, "leaving"), 0);
    if (leaving != NULL)
        not_well(health, "%s is leaving", text(leaving, text(leaving, "name")[0] ? "name" : "id"));
    if (number(report, "partitions_unheld") != 0)
        not_well(health, "%s has %lld partitions still to take", name,
                 number(report, "partitions_unheld"));
    if (json_array_size(json_object_get(report, "movements")) != 0)
        not_well(health, "%s still takes partitions",
                 text(json_array_get(json_object_get(report, "movements"), 0), "name"));
    if (strcmp(text(report, "place"), "leaving") == 0 ||
        strcmp(text(report, "place"), "joining") == 0)
        not_well(health, "%s is not done with joining or leaving", name);
    if (number(report, "keys_to_give") != 0)
        not_well(health, "%s has %lld keys still to give up", name, number(report, "keys_to_give"));
    if (number(report, "hints") != 0)
        not_well(health, "%s keeps %lld hints", name, number(report, "hints"));
}

static json_t *report_of(struct remote *remote, const char *what, bool *ret_alive, char **ret_text)
{
    enum toystore_status status = TOYSTORE_UNAVAILABLE;
    char *body = NULL;
    *ret_alive = remote_report(remote, what, slice_str(""), &status, &body);
    json_t *root = *ret_alive && status == TOYSTORE_OK && body ? json_loads(body, 0, NULL) : NULL;
    if (ret_text)
        *ret_text = body;
    else
        free(body);
    return root;
}

/* ---- the others ---- */

static void ask_member(struct health *health, const json_t *member)
{
    char address[300], error[300];
    const char *host = text(member, "host");
    bool alive = false;
    snprintf(address, sizeof address, strchr(host, ':') ? "[%s]:%lld" : "%s:%lld", host,
             number(member, "rpc_port"));
    struct remote *remote = remote_open(address, error, sizeof error);
    json_t *report = remote ? report_of(remote, "status", &alive, NULL) : NULL;
    if (report)
        judge(health, report);
    else
        not_well(health, "%s does not answer", text(member, "name"));
    json_decref(report);
    if (remote)
        remote_close(remote);
}

void health_ask(struct remote *remote, struct health *ret)
{
    *ret = (struct health){0};
    json_t *own = report_of(remote, "status", &ret->alive, &ret->status), *member;
    if (!own) {
        not_well(ret, "%s", "the node gives no report");
        return;
    }
    snprintf(ret->place, sizeof ret->place, "%s", text(own, "place"));
    snprintf(ret->id, sizeof ret->id, "%s", text(own, "id"));
    judge(ret, own);
    json_decref(own);
    json_t *members = report_of(remote, "members", &ret->alive, NULL);
    size_t index;
    json_array_foreach(members, index, member)
    {
        const char *state = text(member, "state");
        bool up = strcmp(state, "alive") == 0 || strcmp(state, "suspect") == 0;
        if (up && json_is_true(json_object_get(member, "storing")) &&
            strcmp(text(member, "id"), ret->id) != 0 && (ret->why[0] == 0 || !ret->moves))
            ask_member(ret, member);
    }
    json_decref(members);
}

void health_free(struct health *health)
{
    free(health->status);
    health->status = NULL;
}

/* ---- drawing ---- */

static void add(char out[TEXT_MAX], const char *line)
{
    size_t used = strlen(out);
    snprintf(out + used, TEXT_MAX - used, "%s\n", line);
}

static void add_bar(char out[TEXT_MAX], bool terminal, const char *name, long long done,
                    long long all)
{
    char line[256], bar[BAR_WIDTH + 1];
    int full = all > 0 ? (int)(done * BAR_WIDTH / all) : 0;
    for (int i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < full ? '#' : '.';
    bar[BAR_WIDTH] = 0;
    if (terminal)
        snprintf(line, sizeof line, "%-16s [%s] %lld of %lld partitions", name, bar, done, all);
    else
        snprintf(line, sizeof line, "%s has taken %lld of %lld partitions", name, done, all);
    add(out, line);
}

static void draw(char out[TEXT_MAX], bool terminal, const json_t *own)
{
    size_t index;
    json_t *item;
    char line[256];
    json_array_foreach(json_object_get(own, "leaving"), index, item)
    {
        const char *name = text(item, "name"); /* none of one that was removed for good */
        snprintf(line, sizeof line, "%s (%s) is leaving", name[0] ? name : "a removed member",
                 text(item, "id"));
        add(out, line);
    }
    json_array_foreach(json_object_get(own, "movements"), index, item)
        add_bar(out, terminal, text(item, "name"), number(item, "partitions_taken"),
                number(item, "partitions_owned"));
    if (number(own, "keys_to_give") != 0 || number(own, "hints") != 0) {
        snprintf(line, sizeof line, "%s has %lld keys to give up and %lld hints to deliver",
                 text(own, "name"), number(own, "keys_to_give"), number(own, "hints"));
        add(out, line);
    }
}

void watch_show(struct watch *watch, const struct health *health)
{
    char out[TEXT_MAX] = "";
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!watch->terminal && watch->said && now.tv_sec - watch->said_at_s < LINES_PAUSE_S)
        return;
    json_t *own = health->status ? json_loads(health->status, 0, NULL) : NULL;
    if (own)
        draw(out, watch->terminal, own);
    if (out[0] == 0 && health->moves && health->why[0] != 0)
        add(out, health->why); /* the node that was asked takes no part in it */
    json_decref(own);
    if (watch->said && strcmp(watch->said, out) == 0)
        return;
    if (watch->terminal && watch->lines > 0)
        printf("\033[%uA\033[J", watch->lines);
    fputs(out, stdout);
    fflush(stdout);
    watch->lines = 0;
    for (const char *at = out; *at; at++)
        watch->lines += *at == '\n';
    free(watch->said);
    watch->said = base_string(slice_str(out));
    watch->said_at_s = now.tv_sec;
}

void watch_end(struct watch *watch)
{
    free(watch->said);
    watch->said = NULL;
}
