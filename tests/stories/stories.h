/* stories: what the scenarios are called. */
#ifndef TOYSTORE_TEST_STORIES_H
#define TOYSTORE_TEST_STORIES_H

#include "stories/scene.h"

struct story {
    const char *name; /* NULL: the end */
    void (*tell)(struct scene *scene);
};

extern const struct story stories[];

#endif
