/* control: the directory .toystore/ of a mount: what the node knows, for cat and for scripts.
 * Answered from local memory, so that it works when the cluster does not; never listed.
 *
 *     members  ring  status  metrics  locate/KEY (with %2F for each / of the key)
 *
 * conflicts/ beside them asks the cluster: conflicts.c. */
#include "fs_priv.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const reports[] = {"members", "ring", "status", "metrics"};

static struct node *make(struct fs *fs, struct node *parent, const char *name, enum control control,
                         mode_t mode)
{
    struct slice key;
    if (name_join(parent->key, slice_str(name), &key) < 0)
        return NULL;
    struct node *node = node_at(fs, key);
    if (node) {
        node_hold(node);
        slice_free(key);
        return node;
    }
    node = node_new(fs, key);
    slice_free(key);
    int64_t now_ns = fs_wall_ns(fs);
    node->control = control;
    node->seen.kind = S_ISDIR(mode) ? TOYSTORE_DIRECTORY : TOYSTORE_FILE;
    node->seen.attributes = (struct toystore_attributes){.mode = mode,
                                                         .uid = fs->config.root_uid,
                                                         .gid = fs->config.root_gid,
                                                         .atime_ns = now_ns,
                                                         .mtime_ns = now_ns,
                                                         .ctime_ns = now_ns};
    node_make_current(node);
    return node;
}

struct node *control_conflicts(struct fs *fs, struct node *parent, const char *name)
{
    return make(fs, parent, name, CONTROL_CONFLICTS, S_IFDIR | 0755);
}

struct node *control_lookup(struct fs *fs, struct node *parent, const char *name)
{
    if (fs->config.report == NULL)
        return NULL;
    if (parent == fs->root && strcmp(name, NAMES_RESERVED) == 0)
        return make(fs, parent, name, CONTROL_ROOT, S_IFDIR | 0555);
    if (parent->control == CONTROL_LOCATE)
        return make(fs, parent, name, CONTROL_REPORT, S_IFREG | 0444);
    if (parent->control != CONTROL_ROOT)
        return NULL;
    if (strcmp(name, "conflicts") == 0)
        return control_conflicts(fs, parent, name);
    if (strcmp(name, "locate") == 0)
        return make(fs, parent, name, CONTROL_LOCATE, S_IFDIR | 0555);
    for (size_t i = 0; i < ARRAY_COUNT(reports); i++)
        if (strcmp(name, reports[i]) == 0)
            return make(fs, parent, name, CONTROL_REPORT, S_IFREG | 0444);
    return NULL;
}

bool control_name(const struct node *parent, const char *name)
{
    return parent->control != CONTROL_NONE ||
           (parent == parent->fs->root && strcmp(name, NAMES_RESERVED) == 0);
}

static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (strncmp(from, "%2F", 3) == 0 || strncmp(from, "%2f", 3) == 0) {
            *to++ = '/';
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = 0;
}

int control_open(struct node *node, struct handle *handle)
{
    struct fs *fs = node->fs;
    struct slice name = key_last_of(node->key);
    struct slice parent = key_last_of(key_parent_of(node->key));
    char what[2 * TOYSTORE_COMPONENT_SIZE_MAX];
    if (slice_equal(parent, slice_str("locate")))
        snprintf(what, sizeof what, "locate %.*s", (int)name.size, (const char *)name.data);
    else
        snprintf(what, sizeof what, "%.*s", (int)name.size, (const char *)name.data);
    unescape(what);
    char *text = fs->config.report(fs->config.arg, what);
    if (text == NULL)
        return -EIO;
    size_t size = strlen(text); /* a line, as a shell has it */
    handle->text = base_realloc(text, size + 2);
    memcpy(handle->text + size, "\n", 2);
    return 0;
}

void control_list(struct node *node, uint64_t offset, fs_entry_fn *entry, void *arg)
{
    static const char *const names[] = {"members", "ring",   "status",
                                        "metrics", "locate", "conflicts"};
    if (node->control != CONTROL_ROOT)
        return;
    for (uint64_t i = offset > 2 ? offset - 2 : 0; i < ARRAY_COUNT(names); i++) {
        struct fs_entry named = {.attr = {.st_ino = i + 2, .st_mode = i < 4 ? S_IFREG : S_IFDIR}};
        if (!entry(arg, names[i], &named, i + 3))
            return;
    }
}
