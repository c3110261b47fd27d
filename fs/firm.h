/* firm: what is about to take the place of something becomes durable first, so that a power loss
 * leaves the old or the new and nothing in between. */
#ifndef TOYSTORE_FS_FIRM_H
#define TOYSTORE_FS_FIRM_H

#include "fs_priv.h"

/* What a version names, for the store: keys, in the order in which they were added. */
struct firm;
struct firm *firm_new(struct fs *fs);
/* `version`: the one that must be durable, or one that came after it; none: what a quorum shows. */
void firm_name(struct firm *firm, struct slice key, struct toystore_op version);
void firm_record(struct firm *firm, const struct toystore_op *file, struct toystore_op version);
void firm_page(struct firm *firm, const struct toystore_op *file, const struct toystore_op *page);
/* Of these chunks those that no sync has covered, less what `except` shows (NULL: nothing). */
void firm_chunks(struct firm *firm, const struct extents *extents, const struct extents *except);

/* Makes all of it durable at its owners and frees `firm`. 0, or the error of the first request that
 * failed. `done` comes at once when there is nothing. */
void firm_sync(struct firm *firm, void (*done)(void *arg, int error), void *arg);
/* The same for who goes on in any case: for some seconds after a failure nothing is asked, so that
 * not everything waits for owners that are away. */
void firm_try(struct firm *firm, void (*done)(void *arg, int error), void *arg);

/* All that this value of the file's record names, and the record, become durable: what a rename is
 * about to put over something. */
void firm_file(struct fs *fs, const struct seen *seen, void (*done)(void *arg, int error),
               void *arg);

#endif
