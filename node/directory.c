/* directory: opens a node's data directory.
 *
 * Enters from node/node.c; leaves to the store.
 *
 * The file CLUSTER says in words what the directory is: format, cluster, store. It is written
 * first and completely, so a directory that has files but not this one is somebody else's. */
#include "directory.h"

#include "base/base.h"
#include "io/stores.h"
#include "reindex.h"
#include "unmounted.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DIRECTORY_FORMAT = 1, HOLDER_WAIT_MS = 10000, HOLDER_PAUSE_MS = 50 };

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

/* ---- whose directory it is ---- */

struct label {
    unsigned format;
    char cluster[128], store[64];
};

static bool read_label(const char *path, struct label *ret)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    *ret = (struct label){0};
    int read = fscanf(file, "toystore %u cluster %127[^\n] store %63[^\n]", &ret->format,
                      ret->cluster, ret->store);
    if (read != 3)
        ret->format = 0;
    fclose(file);
    return true;
}

static int check_label(const struct toystore_config *config, const char *store,
                       const struct label *label, char *error, size_t error_size)
{
    if (label->format == 0)
        snprintf(error, error_size, "--data %s: the file CLUSTER in it is damaged", config->data);
    else if (label->format > DIRECTORY_FORMAT)
        snprintf(
            error, error_size,
            "--data %s: made by a newer toystore, in format %u; this one reads up to format %d",
            config->data, label->format, DIRECTORY_FORMAT);
    else if (strcmp(label->cluster, config->cluster) != 0)
        snprintf(error, error_size,
                 "--data %s belongs to the cluster \"%s\", not to \"%s\": see --cluster",
                 config->data, label->cluster, config->cluster);
    else if (strcmp(label->store, store) != 0)
        snprintf(error, error_size, "--data %s was made with --store %s, not %s", config->data,
                 label->store, store);
    else
        return 0;
    return -EPROTO;
}

/* Hidden files and what a fresh file system has do not count. */
static bool holds_files(const char *path)
{
    DIR *directory = opendir(path);
    bool any = false;
    if (directory == NULL)
        return false;
    for (struct dirent *item; !any && (item = readdir(directory)) != NULL;)
        any = item->d_name[0] != '.' && strcmp(item->d_name, "lost+found") != 0;
    closedir(directory);
    return any;
}

/* Complete or not at all: linked under its name once it is written. */
static int write_label(const struct toystore_config *config, const char *store, const char *path)
{
    char draft[PATH_MAX];
    snprintf(draft, sizeof draft, "%s/.cluster-%ld", config->data, (long)getpid());
    FILE *file = fopen(draft, "we");
    if (file == NULL)
        return -errno;
    int status = 0;
    if (fprintf(file, "toystore %d\ncluster %s\nstore %s\n", DIRECTORY_FORMAT, config->cluster,
                store) < 0 ||
        fflush(file) != 0 || fsync(fileno(file)) != 0)
        status = -errno;
    if (fclose(file) != 0 && status == 0)
        status = -errno;
    if (status == 0 && link(draft, path) != 0 && errno != EEXIST)
        status = -errno;
    unlink(draft);
    return status;
}

static int claim(const struct toystore_config *config, const char *store, char *error,
                 size_t error_size)
{
    char path[PATH_MAX];
    struct label label;
    snprintf(path, sizeof path, "%s/CLUSTER", config->data);
    if (!read_label(path, &label)) {
        if (holds_files(config->data)) {
            snprintf(error, error_size,
                     "--data %s: the directory holds files that are not toystore's; give an empty "
                     "one",
                     config->data);
            return -ENOTEMPTY;
        }
        int status = write_label(config, store, path);
        if (status != 0 || !read_label(path, &label)) {
            status = status != 0 ? status : -EIO;
            snprintf(error, error_size, "--data %s: %s", config->data, strerror(-status));
            return status;
        }
    }
    return check_label(config, store, &label, error, error_size);
}

/* ---- the store in it ---- */

__attribute__((format(printf, 2, 3))) static void say(const struct driver_options *callbacks,
                                                      const char *format, ...)
{
    char line[600];
    va_list args;
    if (callbacks->log == NULL)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    callbacks->log(callbacks->arg, 1, line);
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
        if (waited_ms == 0)
            say(callbacks, "%s: waiting for it to end", reason);
        nanosleep(&pause, NULL);
    }
}

static int open_store(const struct toystore_store_ops *ops, const char *data,
                      const struct driver_options *callbacks, struct opened_store *ret, char *error,
                      size_t error_size)
{
    char reason[300] = "";
    int status = open_when_free(ops, data, callbacks, reason, sizeof reason, &ret->store);
    if (status == -EUCLEAN && ops->repair != NULL) {
        say(callbacks, "--data %s is damaged (%s): saving what can be saved", data, reason);
        status = ops->repair(data, reason, sizeof reason);
        if (status == 0)
            status = ops->open(data, reason, sizeof reason, &ret->store);
        ret->repaired = status == 0;
        if (status == 0)
            status = reindex(ret->store);
        if (status < 0 && ret->repaired)
            ret->store->ops->close(ret->store);
    }
    if (status != 0)
        snprintf(error, error_size, "--data %s: %s", data ? data : "(none)",
                 reason[0] ? reason : strerror(-status));
    return status;
}

static const struct toystore_store_ops *find_ops(const struct toystore_config *config)
{
    return config->store_ops != NULL ? config->store_ops : store_by_name(config->store);
}

int directory_open(const struct toystore_config *config, const struct driver_options *callbacks,
                   struct opened_store *ret, char *error, size_t error_size)
{
    const struct toystore_store_ops *ops = find_ops(config);
    *ret = (struct opened_store){0};
    if (ops == NULL) {
        snprintf(error, error_size, "--store %s: this build has no such store", config->store);
        return -EINVAL;
    }
    bool keeps = ops != &store_memory;
    if (config->data == NULL && config->store_ops == NULL && keeps) {
        if (config->seed_count > 0)
            return 0;
        snprintf(error, error_size,
                 "neither --seed nor --data: give a data directory to found a cluster with, or a "
                 "member to join");
        return -EINVAL;
    }
    int status = 0;
    if (config->data != NULL && keeps) {
        status = unmounted_check(config->data, error, error_size);
        if (status == 0)
            status = make_directory(config->data, error, error_size);
        if (status == 0)
            status = claim(config, ops->name, error, error_size);
        if (status == 0)
            unmounted_note(config->data);
    }
    if (status == 0)
        status = open_store(ops, config->data, callbacks, ret, error, error_size);
    return status;
}
