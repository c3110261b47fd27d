/* conflicts: names with siblings: as files beside the name, and as a directory of all. */
#ifndef TOYSTORE_FS_CONFLICTS_H
#define TOYSTORE_FS_CONFLICTS_H

#include "fs_dir.h"

/* ---- resolve.c: `key` is a sibling's name, of either form; `done` never comes from inside ---- */
/* -ENOENT: it is there no more. */
void sibling_remove(struct fs *fs, struct slice key, const struct toystore_op *sibling,
                    void (*done)(void *arg, int error), void *arg);
/* It becomes what stands at the name. */
void sibling_take(struct fs *fs, struct slice key, const struct toystore_op *sibling,
                  void (*done)(void *arg, int error), void *arg);

/* ---- conflicts.c: .toystore/conflicts/PATH ---- */
/* A name in it: a directory, or a file that has siblings, as directories; a sibling. */
void conflicts_lookup(struct fs *fs, struct node *parent, const char *name, fs_done_fn *done,
                      void *arg);
/* Fills `dir` with all of it; `done` when it is there. The handle may be gone by then. */
void conflicts_list(struct dir *dir, void (*done)(void *arg, int error), void *arg);
/* Adds the siblings of the names that were listed, under their own (-o conflicts=show). */
void conflicts_show(struct dir *dir, void (*done)(void *arg, int error), void *arg);

#endif
