/* ops: the table of FUSE's low-level requests, each unpacked, started and answered once. */
#ifndef TOYSTORE_FS_OPS_H
#define TOYSTORE_FS_OPS_H

#define FUSE_USE_VERSION 35
#include <fuse3/fuse_lowlevel.h>

#include "fs.h"

#include "base/list.h"

/* What the handlers find behind fuse_req_userdata. */
struct ops {
    struct fs *fs;
    struct store_face face;
    struct list requests; /* under way, oldest first */
    unsigned timeout_ms;
    bool local_locks; /* locks are the kernel's, in this mount alone */
    struct fuse_session *session;
};

extern const struct fuse_lowlevel_ops ops_table;

void ops_init(struct ops *ops);
/* Answers what has waited longer than any request may; nobody is left unkillable. */
void ops_sweep(struct ops *ops);

#endif
