/* mount_point: checks before a mount. */
#include "mount_point.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

/* realpath of what may be a dead mount: its parent's, and its last component. */
static char *absolute(const char *given)
{
    char *path = strdup(given);
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        path[--size] = 0;
    char *slash = strrchr(path, '/');
    const char *last = slash ? slash + 1 : path;
    char parent[PATH_MAX];
    if (slash)
        snprintf(parent, sizeof parent, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    char *above = realpath(slash ? parent : ".", NULL);
    char *result = NULL;
    if (above && asprintf(&result, "%s/%s", strcmp(above, "/") == 0 ? "" : above, last) < 0)
        result = NULL;
    free(above);
    free(path);
    return result;
}

/* mountinfo writes blanks and the like as octal. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        unsigned code;
        if (from[0] == '\\' && sscanf(from + 1, "%3o", &code) == 1 && code < 256) {
            *to = (char)code;
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = 0;
}

/* Whether a toystore is mounted there, by the kernel's list. */
static bool is_our_mount(const char *path)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    if (file == NULL)
        return false;
    char *line = NULL;
    size_t size = 0;
    bool found = false;
    while (getline(&line, &size, file) > 0) {
        char where[PATH_MAX];
        const char *dash = strstr(line, " - ");
        if (dash == NULL || sscanf(line, "%*s %*s %*s %*s %4095s", where) != 1)
            continue;
        unescape(where);
        if (strcmp(where, path) == 0)
            found = strncmp(dash + 3, "fuse.toystore ", 14) == 0;
    }
    free(line);
    fclose(file);
    return found;
}

static int run_fusermount(const char *path)
{
    pid_t child = fork();
    if (child == 0) {
        execlp("fusermount3", "fusermount3", "-u", "-z", "--", path, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return -errno;
    return status == 0 ? 0 : -EPERM;
}

/* What a killed process leaves behind answers ENOTCONN until somebody takes it away. */
static int unmount_dead(const char *path, char *error, size_t error_size)
{
    int result = umount2(path, MNT_DETACH) == 0 ? 0 : -errno;
    if (result == -EPERM)
        result = run_fusermount(path);
    if (result < 0)
        snprintf(error, error_size,
                 "%s: a mount whose process has died could not be taken away: %s", path,
                 strerror(-result));
    return result;
}

static int check_directory(const char *path, char *error, size_t error_size)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        int result = -errno;
        snprintf(error, error_size, "%s: %s", path,
                 result == -ENOENT ? "the mount point does not exist; make it first"
                                   : strerror(-result));
        return result;
    }
    if (!S_ISDIR(st.st_mode)) {
        snprintf(error, error_size, "%s: the mount point is not a directory", path);
        return -ENOTDIR;
    }
    if (is_our_mount(path)) {
        snprintf(error, error_size, "%s: a toystore is mounted there already", path);
        return -EBUSY;
    }
    DIR *directory = opendir(path);
    if (directory == NULL) {
        int result = -errno;
        snprintf(error, error_size, "%s: %s", path, strerror(-result));
        return result;
    }
    const struct dirent *entry;
    bool empty = true;
    while ((entry = readdir(directory)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            empty = false;
    closedir(directory);
    if (!empty) {
        snprintf(error, error_size, "%s: the mount point is not empty", path);
        return -ENOTEMPTY;
    }
    return 0;
}

int mount_point_check(const char *given, char **ret_path, char *error, size_t error_size)
{
    char *path = absolute(given);
    if (path == NULL) {
        snprintf(error, error_size, "%s: the mount point does not exist; make it first", given);
        return -ENOENT;
    }
    struct statfs fs; /* which the kernel always asks for; attributes it may still know */
    int result = 0;
    while (result == 0 && statfs(path, &fs) != 0 && errno == ENOTCONN)
        result = unmount_dead(path, error, error_size);
    if (result == 0)
        result = check_directory(path, error, error_size);
    char *real = result == 0 ? realpath(path, NULL) : NULL;
    free(path);
    if (result == 0)
        *ret_path = real;
    return result;
}

/* One file name for a path: `/` becomes `-`, and what would look the same is written as its code.
 */
static char *one_name(const char *path)
{
    char *name = malloc(strlen(path) * 4 + 5), *to = name;
    if (name == NULL)
        return NULL;
    for (const char *at = path + 1; *at; at++) {
        if (*at == '/')
            *to++ = '-';
        else if (*at == '-' || *at == '\\' || (*at == '.' && to == name))
            to += sprintf(to, "\\x%02x", (unsigned char)*at);
        else
            *to++ = *at;
    }
    if (to == name)
        to += sprintf(to, "root");
    *to = 0;
    return name;
}

char *mount_point_data(const char *mountpoint)
{
    char *name = one_name(mountpoint), *path = NULL;
    const char *xdg = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int size = -1;
    if (name == NULL)
        return NULL;
    if (geteuid() == 0)
        size = asprintf(&path, "/var/lib/toystore/%s", name);
    else if (xdg && xdg[0] == '/')
        size = asprintf(&path, "%s/toystore/%s", xdg, name);
    else if (home && home[0] == '/')
        size = asprintf(&path, "%s/.local/share/toystore/%s", home, name);
    free(name);
    return size < 0 ? NULL : path;
}

/* The real path of what may not exist yet: that of the nearest directory that does, and the rest.
 */
static char *real_path_of(const char *given)
{
    char *path = strdup(given), *real = NULL, *rest = strdup("");
    while (path && rest && (real = realpath(path, NULL)) == NULL && errno == ENOENT) {
        char *slash = strrchr(path, '/'), *longer = NULL;
        if (slash == path || asprintf(&longer, "/%s%s", slash ? slash + 1 : path, rest) < 0)
            break;
        free(rest);
        rest = longer;
        if (slash)
            *slash = 0;
        else
            snprintf(path, 2, ".");
    }
    char *result = NULL;
    if (real && asprintf(&result, "%s%s", real, rest) < 0)
        result = NULL;
    free(real);
    free(rest);
    free(path);
    return result;
}

static bool lies_in(const char *inner, const char *outer)
{
    size_t size = strlen(outer);
    return strncmp(inner, outer, size) == 0 && (inner[size] == '/' || inner[size] == 0);
}

int mount_point_data_check(const char *mountpoint, const char *data, char *error, size_t error_size)
{
    char *real = real_path_of(data);
    bool below = real && lies_in(real, mountpoint);
    free(real);
    if (!below)
        return 0;
    snprintf(error, error_size,
             "--data %s: lies below the mount point, and would wait for itself for ever", data);
    return -EINVAL;
}
