/* fs_dir.h: an open directory: what was listed last, in the order of its cookies. */
#ifndef TOYSTORE_FS_DIR_H
#define TOYSTORE_FS_DIR_H

#include "fs_priv.h"

struct dir_entry {
    char *name;
    uint64_t cookie;
    struct seen seen; /* as the listing has it: without value and extra */
    bool recorded;    /* a reference, and `seen` has what its file record says */
    bool siblings;    /* there are some beside it */
};

/* The entries behind `after`, as they were listed last. */
struct dir {
    struct list link; /* in fs->dirs */
    uint64_t handle;
    struct node *node; /* the handle's */
    uint64_t hash;     /* of the node's key */
    uint32_t pid;      /* who opened it */
    struct dir_entry *entries;
    size_t count, last_found;
    uint64_t after, at_ns; /* at_ns: when it was answered */
    bool valid, more;
    bool changed;    /* an entry was put here since it was asked for, or is being put */
    bool looked;     /* who reads it looks at what it reads */
    bool no_records; /* not all could be read: no more are asked for */
};

/* ---- dir_plus.c: attributes of what was listed ---- */

/* Whether attributes that were listed `ms` ago may be shown: nothing was put here meanwhile. */
bool dir_holds(const struct dir *dir, unsigned ms);
/* Reads the file records of the references among the `limit` entries behind `offset`; `done` may
 * come from inside. The handle may be gone by then. */
void dir_records(struct dir *dir, uint64_t offset, unsigned limit, void (*done)(void *arg),
                 void *arg);
/* The node of an entry, held; NULL: the kernel must look it up. */
struct node *dir_node(const struct dir *dir, const struct dir_entry *entry, unsigned ms);

#endif
