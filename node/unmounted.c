/* unmounted: a data directory whose disk is not mounted must not be taken for an empty one: its
 * node would found a second cluster, or start from nothing on the disk of the system.
 *
 * Enters from node/directory.c.
 *
 * The first start on a mounted file system leaves a note elsewhere, by the directory's path: where
 * that file system was mounted. A later start that finds no data and nothing mounted there refuses.
 * A directory that was emptied, or whose new disk is mounted in the old place, is not meant: there
 * somebody wants to begin anew. */
#include "unmounted.h"

#include "base/hash.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- where the notes are ---- */

static bool notes_directory(char *to, size_t size)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int length;
    if (state != NULL && state[0] == '/')
        length = snprintf(to, size, "%s/toystore", state);
    else if (geteuid() == 0)
        length = snprintf(to, size, "/var/lib/toystore");
    else if (home != NULL && home[0] == '/')
        length = snprintf(to, size, "%s/.local/state/toystore", home);
    else
        return false;
    return length > 0 && (size_t)length < size;
}

/* By the path as it was given, made absolute: where a symbolic link leads to may be what is
 * missing. */
static bool note_path(const char *data, char *to, size_t size)
{
    char directory[PATH_MAX], path[2 * PATH_MAX] = "";
    if (!notes_directory(directory, sizeof directory) ||
        (data[0] != '/' && getcwd(path, PATH_MAX) == NULL))
        return false;
    snprintf(path + strlen(path), PATH_MAX, "/%s", data);
    for (size_t end = strlen(path); end > 1 && path[end - 1] == '/'; end--)
        path[end - 1] = '\0';
    struct hash128 hash = hash128(slice_str(path));
    int length = snprintf(to, size, "%s/mounted/", directory);
    for (size_t i = 0; i < sizeof hash.bytes && length > 0 && (size_t)length + 3 < size; i++)
        length += snprintf(to + length, size - (size_t)length, "%02x", hash.bytes[i]);
    return length > 0 && (size_t)length + 3 < size;
}

/* Like mkdir -p of what stands before the last slash. */
static void make_parents(char *path)
{
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        mkdir(path, 0755);
        *at = '/';
    }
}

/* ---- mount points ---- */

static bool is_mount_point(const char *path)
{
    char above[PATH_MAX];
    struct stat here, there;
    if (strcmp(path, "/") == 0)
        return true;
    return snprintf(above, sizeof above, "%s/..", path) < (int)sizeof above &&
           stat(path, &here) == 0 && stat(above, &there) == 0 && here.st_dev != there.st_dev;
}

/* Cuts the path down to the mount point that it is below. */
static void to_mount_point(char *path)
{
    while (!is_mount_point(path)) {
        char *slash = strrchr(path, '/');
        slash[slash == path] = '\0';
    }
}

/* What is there lives no longer than the machine runs. */
static bool is_passing(const char *mount_point)
{
    static const char *const passing[] = {"/tmp", "/run", "/dev/shm"};
    for (size_t i = 0; i < ARRAY_COUNT(passing); i++)
        if (strcmp(mount_point, passing[i]) == 0)
            return true;
    return false;
}

/* ---- the two doors ---- */

static bool read_note(const char *path, char *to, size_t size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool read = fgets(to, (int)size, file) != NULL && to[0] == '/';
    fclose(file);
    to[strcspn(to, "\n")] = '\0';
    return read;
}

int unmounted_check(const char *data, char *error, size_t error_size)
{
    char note[PATH_MAX], label[PATH_MAX], was[PATH_MAX];
    if (!note_path(data, note, sizeof note) || !read_note(note, was, sizeof was) ||
        snprintf(label, sizeof label, "%s/CLUSTER", data) >= (int)sizeof label)
        return 0;
    if (access(label, F_OK) == 0 || is_mount_point(was))
        return 0;
    snprintf(error, error_size,
             "--data %s: its data is on a file system that was mounted at %s and is not now; mount "
             "it (or, if the data is gone for good, remove %s)",
             data, was, note);
    return -ENODEV;
}

void unmounted_note(const char *data)
{
    char path[PATH_MAX], note[PATH_MAX], was[PATH_MAX], draft[PATH_MAX + 32];
    if (realpath(data, path) == NULL || !note_path(data, note, sizeof note))
        return;
    to_mount_point(path);
    bool known = read_note(note, was, sizeof was);
    if (strcmp(path, "/") == 0 || is_passing(path)) {
        if (known)
            unlink(note);
        return;
    }
    if (known && strcmp(was, path) == 0)
        return;
    make_parents(note);
    snprintf(draft, sizeof draft, "%s.%ld", note, (long)getpid());
    FILE *file = fopen(draft, "we");
    if (file == NULL)
        return; /* nowhere to keep it: such a start is not noticed */
    bool whole = fprintf(file, "%s\n", path) > 0 && fflush(file) == 0 && fsync(fileno(file)) == 0;
    if (fclose(file) != 0 || !whole || rename(draft, note) != 0)
        unlink(draft);
}
