/* reclaim: the disk space of what was deleted and replaced comes back. */
#ifndef TOYSTORE_FS_RECLAIM_H
#define TOYSTORE_FS_RECLAIM_H

#include "fs_priv.h"

/* What a version of a file record names. */
struct named_pieces {
    struct toystore_op record; /* that version; none: there is no record any more */
    const struct extents *extents;
    const struct page_name *pages;
    size_t page_count;
};

/* The record of `old` was replaced by that of `now`, in an exclusive put that was answered OK. */
void reclaim_replaced(struct fs *fs, const struct toystore_op *file, const struct named_pieces *old,
                      const struct named_pieces *now);
/* A name of the file is gone: if it was the last, so is its record, then its chunks. */
void reclaim_file(struct fs *fs, const struct toystore_op *file);
/* What was stored for nothing goes: to be called where segments may have been let go of. */
void reclaim_unnamed(struct fs *fs);
/* All that can go now goes, then `done`, which may come from inside. */
void reclaim_finish(struct fs *fs, void (*done)(void *arg), void *arg);
void reclaim_free(struct fs *fs);
void reclaim_run(struct fs *fs); /* whatever can go on goes on; between burial.c and reclaim.c */

#endif
