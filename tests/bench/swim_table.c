/* swim_table [NODES...]: the failure detector on virtual time: how long a death takes to be seen,
 * who is wronged under loss, and what it costs. Clusters of 3, 10, 50 and 200 nodes with a probe
 * interval of 100 ms, a network of 0.3 to 0.6 ms each way, without and with 10 % of all datagrams
 * lost. */
#define NET_NODES_MAX 200
#include "unit/core_net.h"

enum {
    JOIN_MS = 60000,
    WATCH_NODE_SECONDS = 36000, /* ten node-hours a row */
    DEATHS = 21,                /* one row's; the middle one is its median */
    NOTICE_MS = 120000
};

static void net_on_request(struct core *core, const struct rpc_request *request)
{
    swim_handle_exchange(core, request);
}

static bool all_alive(void)
{
    for (int i = 0; i < net.count; i++)
        for (int j = 0; j < net.count; j++)
            if (net_state(i, j) != TOYSTORE_ALIVE)
                return false;
    return true;
}

static void open_cluster(int count, unsigned loss_percent, uint64_t seed)
{
    net_open(count, seed);
    for (int waited = 0; !all_alive(); waited += PROBE_MS) {
        if (waited > JOIN_MS)
            fail_msg("%d nodes do not find each other", count);
        net_run_ms(PROBE_MS);
    }
    net_run_ms(20 * PROBE_MS); /* the news of the beginning dies down */
    net.loss_percent = loss_percent;
}

struct calm {
    double suspicions;       /* raised by probes of live members, per node-hour */
    double deaths;           /* live members declared dead, at each observer, per node-hour */
    double datagrams, bytes; /* sent, per node and second */
};

static struct calm watch_calm(int count, unsigned loss_percent)
{
    uint64_t seconds = WATCH_NODE_SECONDS / (uint64_t)count;
    uint64_t suspicions = 0, deaths = 0;
    open_cluster(count, loss_percent, (uint64_t)count);
    for (int i = 0; i < count; i++) {
        suspicions -= net.nodes[i].core->swim->probes_failed;
        deaths -= net.nodes[i].left;
    }
    net.datagrams = net.datagram_bytes = 0;
    net_run_ms(seconds * 1000);
    for (int i = 0; i < count; i++) {
        suspicions += net.nodes[i].core->swim->probes_failed;
        deaths += net.nodes[i].left;
    }
    net_close();
    double node_seconds = (double)seconds * count;
    return (struct calm){(double)suspicions * 3600 / node_seconds,
                         (double)deaths * 3600 / node_seconds, (double)net.datagrams / node_seconds,
                         (double)net.datagram_bytes / node_seconds};
}

static int observers_of_death(int dead)
{
    int count = 0;
    for (int i = 0; i < net.count; i++)
        count += net.nodes[i].up && net_state(i, dead) == TOYSTORE_DEAD;
    return count;
}

struct death {
    uint64_t first_ms, all_ms;
};

static struct death watch_death(int count, unsigned loss_percent, uint64_t seed)
{
    struct death death = {0, 0};
    int observers;
    open_cluster(count, loss_percent, seed);
    int dead = (int)prng_below(&net.prng, (uint64_t)count);
    net_kill(dead);
    for (uint64_t ms = 1; (observers = observers_of_death(dead)) < count - 1; ms++) {
        if (ms > NOTICE_MS)
            fail_msg("a death among %d is not seen by all", count);
        if (observers > 0 && death.first_ms == 0)
            death.first_ms = ms;
        death.all_ms = ms;
        net_run_ms(1);
    }
    if (death.first_ms == 0)
        death.first_ms = death.all_ms;
    net_close();
    return death;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void print_row(int count, unsigned loss_percent)
{
    uint64_t first_ms[DEATHS], all_ms[DEATHS];
    for (unsigned i = 0; i < DEATHS; i++) {
        struct death death = watch_death(count, loss_percent, i + 1);
        first_ms[i] = death.first_ms;
        all_ms[i] = death.all_ms;
    }
    qsort(first_ms, DEATHS, sizeof *first_ms, by_value);
    qsort(all_ms, DEATHS, sizeof *all_ms, by_value);
    struct calm calm = watch_calm(count, loss_percent);
    printf("| %d | %u %% | %llu / %llu ms | %llu / %llu ms | %.1f | %.2f | %.0f | %.0f |\n", count,
           loss_percent, (unsigned long long)first_ms[DEATHS / 2],
           (unsigned long long)first_ms[DEATHS - 1], (unsigned long long)all_ms[DEATHS / 2],
           (unsigned long long)all_ms[DEATHS - 1], calm.suspicions, calm.deaths, calm.datagrams,
           calm.bytes);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const int usual[] = {3, 10, 50, 200};
    size_t rows = argc > 1 ? (size_t)argc - 1 : ARRAY_COUNT(usual);
    puts("| nodes | loss | first to see a death: median / worst | all see it: median / worst "
         "| suspicions | false deaths | datagrams | bytes |\n| --- | --- | --- | --- | --- | --- "
         "| --- | --- |");
    for (size_t i = 0; i < rows; i++) {
        int count = argc > 1 ? atoi(argv[i + 1]) : usual[i];
        if (count < 2 || count > NET_NODES_MAX) {
            fprintf(stderr, "swim_table: %s: 2 to %d nodes\n", argv[i + 1], NET_NODES_MAX);
            return 2;
        }
        print_row(count, 0);
        print_row(count, 10);
    }
    return 0;
}
