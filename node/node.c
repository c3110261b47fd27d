/* node: the composition root: a configuration becomes a data directory, addresses and a core's
 * configuration, and these become a driver.
 *
 * Enters from node/libtoystore.c; leaves to io/driver.c. */
#include "node.h"

#include "directory.h"
#include "host.h"
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

int node_log_level(const struct toystore_config *config)
{
    static const char *const words[] = {"error", "warning", "info", "debug"};
    for (int i = 0; i < (int)ARRAY_COUNT(words); i++) {
        if (strcmp(config->log_level, words[i]) == 0)
            return i;
    }
    return 2;
}

/* ---- addresses ---- */

/* Is this seed the node itself? Compared as text: a name that leads home is merely asked once. */
static bool seed_is_self(const struct toystore_config *config, const char *host, const char *seed)
{
    const char *colon = strrchr(seed, ':');
    size_t size =
        colon != NULL && strchr(seed, ':') == colon ? (size_t)(colon - seed) : strlen(seed);
    unsigned port = size < strlen(seed) ? (unsigned)strtoul(colon + 1, NULL, 10) : 7946;
    struct slice name = slice_of(seed, size);
    return port == config->gossip_port &&
           (slice_equal(name, slice_str(host)) || slice_equal(name, slice_str(config->host)));
}

/* ---- the core's configuration ---- */

static void copy_word(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from ? from : "");
}

static void read_boot_id(char *to, size_t size)
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    to[0] = '\0';
    if (file == NULL)
        return;
    if (fgets(to, (int)size, file) == NULL)
        to[0] = '\0';
    to[strcspn(to, "\n")] = '\0';
    fclose(file);
}

static void copy_seeds(const struct toystore_config *config, const char *host,
                       struct core_config *core)
{
    for (unsigned i = 0; i < config->seed_count; i++) {
        if (!seed_is_self(config, host, config->seeds[i]))
            copy_word(core->seeds[core->seed_count++], sizeof core->seeds[0], config->seeds[i]);
    }
}

static int fill_core(const struct toystore_config *config, struct driver_options *options,
                     char *error, size_t error_size)
{
    struct core_config *core = &options->core;
    copy_word(core->name, sizeof core->name, config->name);
    copy_word(core->cluster_name, sizeof core->cluster_name, config->cluster);
    copy_word(core->zone, sizeof core->zone, config->zone);
    core->weight = config->weight;
    core->replicas = config->replicas;
    core->write_quorum = config->write_quorum;
    core->read_quorum = config->read_quorum;
    core->partitions = config->partitions;
    core->replicas_given = option_given(config, OPTION_replicas);
    core->partitions_given = option_given(config, OPTION_partitions);
    core->write_quorum_given = option_given(config, OPTION_write_quorum);
    core->read_quorum_given = option_given(config, OPTION_read_quorum);
    core->strict_quorum = config->strict_quorum != 0;
    core->handoff_interval_ms = config->handoff_interval_ms;
    core->probe_interval_ms = config->probe_interval_ms;
    core->log_level = node_log_level(config);
    copy_seeds(config, options->host, core);
    read_boot_id(core->boot_id, sizeof core->boot_id);
    if (getrandom(&core->random_seed, sizeof core->random_seed, 0) == sizeof core->random_seed)
        return 0;
    snprintf(error, error_size, "the kernel gives no random numbers");
    return -EIO;
}

int node_open(const struct toystore_config *config, const struct driver_options *callbacks,
              struct driver **ret_driver, char *error, size_t error_size)
{
    struct driver_options options = *callbacks;
    struct opened_store opened;
    options.data = config->data;
    options.rpc_port = (uint16_t)config->rpc_port;
    options.gossip_port = (uint16_t)config->gossip_port;
    options.pick_rpc_port = config->pick_ports && !option_given(config, OPTION_rpc_port);
    options.pick_gossip_port = config->pick_ports && !option_given(config, OPTION_gossip_port);
    int status = toystore_config_check(config, error, error_size);
    if (status == 0)
        status = host_find(config, options.host, error, error_size);
    if (status == 0)
        status = fill_core(config, &options, error, error_size);
    if (status == 0)
        status = directory_open(config, callbacks, &opened, error, error_size);
    if (status != 0)
        return status;
    options.store = opened.store;
    options.core.storing = opened.store != NULL;
    options.core.store_repaired = opened.repaired;
    return driver_new(&options, ret_driver, error, error_size);
}
