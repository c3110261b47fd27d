/* mount_options: the command line of mount.toystore, by hand and as mount(8) calls it. */
#ifndef TOYSTORE_FS_MOUNT_OPTIONS_H
#define TOYSTORE_FS_MOUNT_OPTIONS_H

#include <toystore/toystore.h>

#include "base/base.h"

enum { FUSE_OPTIONS_SIZE = 1024 };

struct mount_options {
    struct toystore_config config;
    const char *config_file;
    const char *mountpoint;
    const char *source; /* as fstab names it; NULL: not given */
    bool foreground, debug, fake, sloppy, verbose, allow_other, local_locks;
    bool show_conflicts;
    unsigned timeout_s;
    char fuse[FUSE_OPTIONS_SIZE]; /* for the kernel: ro, nosuid ... */
};

enum parse_result { PARSE_GO, PARSE_DONE, PARSE_WRONG };

/* PARSE_DONE: help or a version was printed. PARSE_WRONG: `error` says what. */
enum parse_result mount_options_parse(struct mount_options *options, int argc, char **argv,
                                      char *error, size_t error_size);
void mount_options_free(struct mount_options *options);

#endif
