/* render: a node's report (JSON) as lines and tables for people. */
#ifndef TOYSTORE_FS_RENDER_H
#define TOYSTORE_FS_RENDER_H

#include <stdbool.h>

/* Objects as `name: value` lines, lists of objects as tables. False: not JSON. */
bool render(const char *json);

#endif
