/* keys: as many keys as have one in every partition or so, for stories of moves. */
#ifndef TOYSTORE_SCENARIO_KEYS_H
#define TOYSTORE_SCENARIO_KEYS_H

#include <stdio.h>

#include "cluster.h"

enum { KEYS = 40 };

static const char *key_of(unsigned i)
{
    static char key[16];
    snprintf(key, sizeof key, "k%u", i);
    return key;
}

static void put_all(unsigned node)
{
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(cluster_put(node, key_of(i), key_of(i)), TOYSTORE_OK);
}

static inline bool shows_all(unsigned node)
{
    bool all = true;
    for (unsigned i = 0; i < KEYS; i++)
        all = shows(cluster_get(node, key_of(i)), key_of(i)) && all;
    return all;
}

static inline void check_all(unsigned node)
{
    assert_true(shows_all(node));
}

#endif
