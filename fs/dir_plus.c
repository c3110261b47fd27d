/* dir_plus: attributes of what was listed: who reads a directory and looks at each name, as `ls -l`
 * and rsync do, is answered from the listing instead of by one quorum read for each name.
 *
 * They are only for the process that has the directory open, since another's lookup must see what
 * was changed elsewhere a moment ago. What readdirplus gives to the kernel is everybody's, so it
 * holds for hardly longer than its reader needs for a bufferful, and is given only to one that was
 * seen to look. Nor is an entry shown from the listing when that is older than what a lookup saw
 * may be, when a name in the directory was put here meanwhile (a mount reads its own writes), when
 * the file is open here, or when it is a directory, since a walk through one that is gone would
 * make names below it. A name that has vanished is never an error: glibc would end the directory
 * there.
 *
 * Enters from fs_dir.c and fs.c; leaves to node.c, and to submit.c for the file records. */
#include "fs_dir.h"

#include "base/hash.h"

#include <stdlib.h>

enum { RECORDS_MAX = 128, RECORDS_A_LOOKUP = 64, RECORD_DEADLINE_MS = 1000 };

/* ---- what was listed does not hold any more ---- */

uint64_t dirs_hash(struct slice key)
{
    return hash64(key_parent_of(key));
}

void dirs_changed(struct fs *fs, uint64_t hash)
{
    LIST_EACH(link, &fs->dirs)
    {
        struct dir *dir = container_of(link, struct dir, link);
        if (dir->hash == hash)
            dir->changed = true;
    }
}

bool dir_holds(const struct dir *dir, unsigned ms)
{
    const struct store_face *face = &dir->node->fs->face;
    return dir->valid && !dir->changed &&
           face->now_ns(face->arg) - dir->at_ns < (uint64_t)ms * 1000000;
}

/* ---- the file records of references ---- */

struct fetching {
    struct fs *fs;
    uint64_t handle;
    size_t pending;
    void (*done)(void *arg);
    void *arg;
};

struct record_of {
    struct fetching *fetching;
    uint64_t cookie;
    struct toystore_op op;
};

static void fetched(struct fetching *fetching)
{
    if (--fetching->pending > 0)
        return;
    fetching->done(fetching->arg);
    free(fetching);
}

static struct dir_entry *entry_of(struct dir *dir, const struct record_of *record)
{
    for (size_t i = 0; i < dir->count; i++)
        if (dir->entries[i].cookie == record->cookie &&
            op_equal(&dir->entries[i].seen.op, &record->op))
            return &dir->entries[i];
    return NULL;
}

static void got_record(void *arg, const struct toystore_result *result)
{
    struct record_of *record = arg;
    struct fetching *fetching = record->fetching;
    struct handle *handle = pool_get(&fetching->fs->handles, fetching->handle);
    struct dir_entry *entry = handle ? entry_of(handle->dir, record) : NULL;
    if (entry && result->status == TOYSTORE_OK && result->version_count > 0) {
        seen_take_record(&entry->seen, &result->versions[0]);
        entry->recorded = true;
    } else if (handle && result->status != TOYSTORE_OK && result->status != TOYSTORE_NOT_FOUND) {
        handle->dir->no_records = true; /* the listing goes on without waiting for more */
    }
    free(record);
    fetched(fetching);
}

static void get_record(struct fetching *fetching, const struct dir_entry *entry)
{
    struct record_of *record = base_alloc(sizeof *record);
    *record = (struct record_of){fetching, entry->cookie, entry->seen.op};
    struct file_key key;
    file_record_key(&key, &entry->seen.file);
    struct toystore_request request = {.type = TOYSTORE_GET,
                                       .key = bytes_of(file_key_slice(&key)),
                                       .deadline_ms = RECORD_DEADLINE_MS};
    fetching->pending++;
    fs_submit(fetching->fs, &request, got_record, record);
}

void dir_records(struct dir *dir, uint64_t offset, unsigned limit, void (*done)(void *arg),
                 void *arg)
{
    struct fetching *fetching = base_alloc(sizeof *fetching);
    *fetching = (struct fetching){dir->node->fs, dir->handle, 1, done, arg};
    if (!dir_holds(dir, LISTED_MS) || dir->no_records)
        limit = 0;
    size_t asked = 0;
    for (size_t i = 0; i < dir->count && limit > 0; i++) {
        const struct dir_entry *entry = &dir->entries[i];
        if (entry->cookie <= offset)
            continue;
        limit--;
        if (entry->seen.kind == TOYSTORE_REFERENCE && !entry->recorded && asked++ < RECORDS_MAX)
            get_record(fetching, entry);
    }
    fetched(fetching);
}

/* ---- an entry ---- */

struct node *dir_node(const struct dir *dir, const struct dir_entry *entry, unsigned ms)
{
    struct fs *fs = dir->node->fs;
    const struct seen *seen = &entry->seen;
    struct slice key;
    if (!dir_holds(dir, ms) || seen->kind == TOYSTORE_DIRECTORY || seen->sibling ||
        (seen->kind == TOYSTORE_REFERENCE && !entry->recorded) ||
        name_join(dir->node->key, slice_str(entry->name), &key) < 0)
        return NULL;
    const struct node *there = node_at(fs, key);
    bool open = there && there->content;
    struct node *node = open ? NULL : node_for(fs, key, seen);
    slice_free(key);
    return node;
}

/* ---- a lookup by who reads the directory ---- */

struct listed_lookup {
    struct fs *fs;
    uint64_t handle;
    char *name;
    void (*done)(void *arg, struct node *node);
    void *arg;
};

/* Names are looked up in the order in which they were listed. */
static struct dir_entry *find_name(struct dir *dir, const char *name)
{
    for (size_t i = 0; i < dir->count; i++) {
        size_t at = (dir->last_found + i) % dir->count;
        if (strcmp(dir->entries[at].name, name) == 0) {
            dir->last_found = at;
            return &dir->entries[at];
        }
    }
    return NULL;
}

static void records_read(void *arg)
{
    struct listed_lookup *lookup = arg;
    struct handle *handle = pool_get(&lookup->fs->handles, lookup->handle);
    const struct dir_entry *entry = handle ? find_name(handle->dir, lookup->name) : NULL;
    lookup->done(lookup->arg, entry ? dir_node(handle->dir, entry, LISTED_MS) : NULL);
    free(lookup->name);
    free(lookup);
}

static struct dir *read_by(struct node *directory, uint32_t pid)
{
    LIST_EACH(link, &directory->fs->dirs)
    {
        struct dir *dir = container_of(link, struct dir, link);
        if (dir->node == directory && dir->pid == pid && pid != 0)
            return dir;
    }
    return NULL;
}

static void look_up_name(struct dir *dir, const char *name,
                         void (*done)(void *arg, struct node *node), void *arg)
{
    dir->looked = true;
    const struct dir_entry *entry = dir_holds(dir, LISTED_MS) ? find_name(dir, name) : NULL;
    if (entry && entry->seen.kind == TOYSTORE_REFERENCE && !entry->recorded) {
        struct listed_lookup *lookup = base_alloc(sizeof *lookup);
        *lookup = (struct listed_lookup){.fs = dir->node->fs, .handle = dir->handle};
        lookup->name = base_string(slice_str(name));
        lookup->done = done;
        lookup->arg = arg;
        dir_records(dir, entry->cookie - 1, RECORDS_A_LOOKUP, records_read, lookup);
        return;
    }
    done(arg, entry ? dir_node(dir, entry, LISTED_MS) : NULL);
}

/* Who reads a directory and names its entries by their whole path comes through it each time. */
static bool seen_just_now(const struct node *node)
{
    const struct store_face *face = &node->fs->face;
    return node->seen.kind == TOYSTORE_DIRECTORY && node->seen.at_ns && !node->gone &&
           face->now_ns(face->arg) - node->seen.at_ns < (uint64_t)LISTED_MS * 1000000;
}

void dirs_lookup(struct node *directory, struct slice key, uint32_t pid,
                 void (*done)(void *arg, struct node *node), void *arg)
{
    struct node *node = node_at(directory->fs, key);
    struct dir *dir = read_by(directory, pid);
    if (dir) {
        char *name = base_string(key_last_of(key));
        look_up_name(dir, name, done, arg);
        free(name);
        return;
    }
    if (node && read_by(node, pid) && seen_just_now(node))
        node_hold(node);
    else
        node = NULL;
    done(arg, node);
}
