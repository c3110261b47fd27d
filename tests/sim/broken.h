/* broken: the rows of broken.def, for core_config.broken. */
#ifndef TOYSTORE_SIM_BROKEN_H
#define TOYSTORE_SIM_BROKEN_H

enum broken {
#define BROKEN_ROW(name, flavour, text) BROKEN_##name,
#include "sim/broken.def"
#undef BROKEN_ROW
    BROKEN_COUNT
};

#endif
