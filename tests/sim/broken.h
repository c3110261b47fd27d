/* broken: the bits of broken.def, for core_config.broken. */
#ifndef TOYSTORE_SIM_BROKEN_H
#define TOYSTORE_SIM_BROKEN_H

#include <stdint.h>

enum broken {
#define BROKEN_ROW(name, flavour, text) BROKEN_##name,
#include "sim/broken.def"
#undef BROKEN_ROW
    BROKEN_COUNT
};

_Static_assert(BROKEN_COUNT <= 64, "one bit each");

#endif
