#include "node.h"

#include "io/stores.h"
#include "options.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* How long a data directory is waited for that another process, perhaps about to end, still has. */
enum { HOLDER_WAIT_MS = 10000, HOLDER_PAUSE_MS = 50 };

int node_log_level(const struct toystore_config *config)
{
    static const char *const words[] = {"error", "warning", "info", "debug"};
    for (int i = 0; i < (int)ARRAY_COUNT(words); i++) {
        if (strcmp(config->log_level, words[i]) == 0)
            return i;
    }
    return 2;
}

/* ---- the store ---- */

/* Like mkdir -p; the last directory is the node's alone. */
static int make_directory(const char *path, char *error, size_t error_size)
{
    char *part = base_string(slice_str(path));
    int status = 0;
    for (char *at = part + 1; status == 0 && *at != '\0'; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            status = -errno;
        *at = '/';
    }
    if (status == 0 && mkdir(part, 0700) != 0 && errno != EEXIST)
        status = -errno;
    struct stat st;
    if (status == 0 && stat(part, &st) != 0)
        status = -errno;
    else if (status == 0 && !S_ISDIR(st.st_mode))
        status = -ENOTDIR;
    if (status != 0)
        snprintf(error, error_size, "--data %s: %s", path, strerror(-status));
    free(part);
    return status;
}

static bool wants_memory(const struct toystore_config *config)
{
    return config->store_ops == NULL && strcmp(config->store, "memory") == 0;
}

/* Who unmounts and mounts again at once meets the old process: it publishes, then ends. */
static int open_when_free(const struct toystore_store_ops *ops, const char *data,
                          const struct driver_options *callbacks, char *reason, size_t reason_size,
                          struct toystore_store **ret_store)
{
    const struct timespec pause = {.tv_nsec = HOLDER_PAUSE_MS * 1000000l};
    for (unsigned waited_ms = 0;; waited_ms += HOLDER_PAUSE_MS) {
        int status = ops->open(data, reason, reason_size, ret_store);
        if (status != -EBUSY || waited_ms >= HOLDER_WAIT_MS)
            return status;
        if (waited_ms == 0 && callbacks->log != NULL) {
            char line[400];
            snprintf(line, sizeof line, "%s: waiting for it to end", reason);
            callbacks->log(callbacks->arg, 1, line);
        }
        nanosleep(&pause, NULL);
    }
}

/* *ret_store stays NULL for a client. */
static int open_store(const struct toystore_config *config, const struct driver_options *callbacks,
                      struct toystore_store **ret_store, char *error, size_t error_size)
{
    const struct toystore_store_ops *ops =
        config->store_ops ? config->store_ops : store_by_name(config->store);
    if (config->data == NULL && !wants_memory(config) && config->store_ops == NULL) {
        if (config->seed_count > 0)
            return 0;
        snprintf(error, error_size,
                 "neither --seed nor --data: give a data directory to found a cluster with, or a "
                 "member to join");
        return -EINVAL;
    }
    if (ops == NULL) {
        snprintf(error, error_size, "--store %s: this build has no such store", config->store);
        return -EINVAL;
    }
    int status = config->data ? make_directory(config->data, error, error_size) : 0;
    if (status != 0)
        return status;
    char reason[300] = "";
    status = open_when_free(ops, config->data, callbacks, reason, sizeof reason, ret_store);
    if (status != 0)
        snprintf(error, error_size, "--data %s: %s", config->data ? config->data : "(memory)",
                 reason[0] ? reason : strerror(-status));
    return status;
}

/* ---- addresses ---- */

static int numeric_host(const char *host, char ret[HOST_SIZE_MAX], char *error, size_t error_size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int wrong = getaddrinfo(host, NULL, &hints, &found);
    if (wrong == 0)
        wrong = getnameinfo(found->ai_addr, found->ai_addrlen, ret, HOST_SIZE_MAX, NULL, 0,
                            NI_NUMERICHOST);
    if (found != NULL)
        freeaddrinfo(found);
    if (wrong == 0)
        return 0;
    snprintf(error, error_size, "--host %.100s: %s", host, gai_strerror(wrong));
    return -EADDRNOTAVAIL;
}

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
    options.data = config->data;
    options.rpc_port = (uint16_t)config->rpc_port;
    options.gossip_port = (uint16_t)config->gossip_port;
    options.pick_rpc_port = config->pick_ports && !option_given(config, OPTION_rpc_port);
    options.pick_gossip_port = config->pick_ports && !option_given(config, OPTION_gossip_port);
    int status = toystore_config_check(config, error, error_size);
    if (status == 0)
        status = numeric_host(config->host, options.host, error, error_size);
    if (status == 0)
        status = fill_core(config, &options, error, error_size);
    if (status == 0)
        status = open_store(config, callbacks, &options.store, error, error_size);
    if (status != 0)
        return status;
    options.core.storing = options.store != NULL;
    return driver_new(&options, ret_driver, error, error_size);
}
