/* repair: begins a round at every storing member that is alive, then asks each how far it is until
 * all have compared what they can and read their copies. On a terminal one line shows all of them.
 * Enters from toystore.c; leaves to the members by remote.h. */
#include "cli/repair.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MEMBERS_MAX = 1024, POLL_MS = 250, ADDRESS_SIZE = 300 };

struct site {
    char address[ADDRESS_SIZE];
    struct remote *remote;
    json_t *progress; /* the last that it told */
    long long read_before, damaged_before, mended_before;
    bool done;
};

struct round {
    struct site *sites;
    size_t count;
    unsigned unreached; /* storing members that are dead, or do not answer */
};

static long long number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static const char *text(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    return value ? value : "";
}

static void site_lost(struct round *round, struct site *site, const char *why)
{
    fprintf(stderr, "toystore: %s: %s\n", site->address, why);
    site->done = true;
    round->unreached++;
    remote_close(site->remote);
    site->remote = NULL;
}

static void site_ask(struct round *round, struct site *site, bool begin)
{
    enum toystore_status status = TOYSTORE_UNAVAILABLE;
    char *told = NULL;
    bool alive = remote_round(site->remote, begin, &status, &told);
    json_t *progress = alive && status == TOYSTORE_OK ? json_loads(told, 0, NULL) : NULL;
    if (progress != NULL) {
        json_decref(site->progress);
        site->progress = progress;
    } else {
        site_lost(round, site,
                  !alive          ? remote_error(site->remote)
                  : told && *told ? told
                                  : toystore_status_meaning(status));
    }
    free(told);
}

static void site_begin(struct round *round, struct site *site)
{
    char error[ADDRESS_SIZE];
    site->remote = remote_open(site->address, error, sizeof error);
    if (site->remote == NULL) {
        fprintf(stderr, "toystore: %s: %s\n", site->address, error);
        site->done = true;
        round->unreached++;
        return;
    }
    site_ask(round, site, true);
    site->read_before = number(site->progress, "read");
    site->damaged_before = number(site->progress, "damaged");
    site->mended_before = number(site->progress, "mended");
}

static void find_sites(struct round *round, json_t *members)
{
    size_t i;
    json_t *member;
    json_array_foreach(members, i, member)
    {
        if (!json_is_true(json_object_get(member, "storing")) || round->count == MEMBERS_MAX ||
            strcmp(text(member, "state"), "left") == 0)
            continue;
        if (strcmp(text(member, "state"), "dead") == 0) {
            fprintf(stderr, "toystore: %s is dead, and not repaired\n", text(member, "name"));
            round->unreached++;
            continue;
        }
        const char *host = text(member, "host");
        snprintf(round->sites[round->count++].address, ADDRESS_SIZE,
                 strchr(host, ':') ? "[%s]:%lld" : "%s:%lld", host, number(member, "rpc_port"));
    }
}

static void print_site(const struct site *site, bool json)
{
    const json_t *p = site->progress;
    long long read = number(p, "read") - site->read_before;
    long long damaged = number(p, "damaged") - site->damaged_before;
    long long mended = number(p, "mended") - site->mended_before;
    long long left = number(p, "left"), compared = number(p, "partitions") - left;
    if (json)
        printf("{\"name\": \"%s\", \"compared\": %lld, \"left\": %lld, \"read\": %lld, "
               "\"damaged\": %lld, \"mended\": %lld}\n",
               text(p, "name"), compared, left, read, damaged, mended);
    else
        printf("%s: %lld partitions compared, %lld wait for owners that cannot be reached, "
               "%lld copies read, %lld damaged, %lld mended\n",
               text(p, "name"), compared, left, read, damaged, mended);
    fflush(stdout);
}

/* What everybody still has to do, as one line that is written over. */
static void show(const struct round *round)
{
    long long partitions = 0, left = 0, permille = 0, sites = 0;
    for (size_t i = 0; i < round->count; i++) {
        const json_t *p = round->sites[i].progress;
        if (p == NULL)
            continue;
        sites++;
        partitions += number(p, "partitions");
        left += number(p, "left");
        permille += json_is_true(json_object_get(p, "reading")) ? number(p, "read_permille") : 1000;
    }
    enum { WIDTH = 30 };
    long long share = sites ? permille / sites : 1000;
    if (partitions > 0)
        share = (share + (partitions - left) * 1000 / partitions) / 2;
    char bar[WIDTH + 1] = {0};
    for (int i = 0; i < WIDTH; i++)
        bar[i] = i < share * WIDTH / 1000 ? '#' : '.';
    fprintf(stderr, "\r[%s] %lld of %lld partitions compared, copies read %lld %%   ", bar,
            partitions - left, partitions, sites ? permille / sites / 10 : 100);
}

/* One look at everybody. False: nothing is left to wait for. */
static bool look(struct round *round, bool json, bool terminal)
{
    bool more = false;
    for (size_t i = 0; i < round->count; i++) {
        struct site *site = &round->sites[i];
        if (site->done)
            continue;
        site_ask(round, site, false);
        if (site->done)
            continue;
        site->done = number(site->progress, "left") <= number(site->progress, "absent") &&
                     !json_is_true(json_object_get(site->progress, "reading"));
        if (site->done && !terminal)
            print_site(site, json);
        more |= !site->done;
    }
    return more;
}

static int end(struct round *round, bool json, bool terminal)
{
    int status = round->unreached > 0;
    if (terminal)
        fputc('\n', stderr);
    for (size_t i = 0; i < round->count; i++) {
        struct site *site = &round->sites[i];
        if (terminal && site->progress != NULL)
            print_site(site, json);
        status |= number(site->progress, "left") > 0;
        json_decref(site->progress);
        if (site->remote != NULL)
            remote_close(site->remote);
    }
    free(round->sites);
    return status;
}

int repair_run(struct remote *remote, const char *node, bool json)
{
    enum toystore_status status = TOYSTORE_UNAVAILABLE;
    char *told = NULL;
    struct round round = {.sites = base_alloc(MEMBERS_MAX * sizeof *round.sites)};
    bool alive = remote_report(remote, "members", slice_str(""), &status, &told);
    json_t *members = alive && status == TOYSTORE_OK ? json_loads(told, 0, NULL) : NULL;
    free(told);
    if (members == NULL) {
        fprintf(stderr, "toystore: %s: %s\n", node,
                alive ? toystore_status_meaning(status) : remote_error(remote));
        free(round.sites);
        return 3;
    }
    find_sites(&round, members);
    json_decref(members);
    for (size_t i = 0; i < round.count; i++)
        site_begin(&round, &round.sites[i]);
    bool terminal = isatty(STDERR_FILENO) != 0;
    while (look(&round, json, terminal)) {
        if (terminal)
            show(&round);
        nanosleep(&(struct timespec){0, POLL_MS * 1000000L}, NULL);
    }
    if (terminal)
        show(&round);
    return end(&round, json, terminal);
}
