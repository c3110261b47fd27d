/* process: what our own programs set for the whole process, and a library must not. */
#ifndef TOYSTORE_PROCESS_H
#define TOYSTORE_PROCESS_H

#include <malloc.h>
#include <sys/resource.h>

/* Files and connections up to the hard limit; and few malloc arenas: the store's background
 * threads come and go, and what they freed would stay in an arena of each. */
static inline void process_prepare(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        const rlim_t wanted = 65536;
        files.rlim_cur = files.rlim_max < wanted ? files.rlim_max : wanted;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    mallopt(M_ARENA_MAX, 2);
    /* A chunk's memory is used again, not given back and asked for page by page. */
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 16 << 20);
}

#endif
