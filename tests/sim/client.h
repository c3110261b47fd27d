/* client: the state of the workload, for its checks. */
#ifndef TOYSTORE_SIM_CLIENT_H
#define TOYSTORE_SIM_CLIENT_H

#include "sim/history.h"
#include "sim/sim.h"

struct client;

struct clients {
    struct client *client; /* the last one reads everything at the end */
    unsigned count;
    size_t asked, reads_left;
    uint64_t values;
    bool stopped;
    bool ruined[KEYS_MAX]; /* every copy was damaged at once */
    struct history history;
};

static inline const char *client_key(unsigned key)
{
    static const char *const keys[KEYS_MAX] = {"a", "b", "d/c", "d/e", "f", "g"};
    return keys[key];
}

#endif
