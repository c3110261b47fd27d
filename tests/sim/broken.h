/* broken: the bits of broken.def, for core_config.broken. */
#ifndef TOYSTORE_SIM_BROKEN_H
#define TOYSTORE_SIM_BROKEN_H

enum broken_index {
#define BROKEN_ROW(name, text) BROKEN_INDEX_##name,
#include "sim/broken.def"
#undef BROKEN_ROW
    BROKEN_COUNT
};

enum broken {
#define BROKEN_ROW(name, text) BROKEN_##name = 1u << BROKEN_INDEX_##name,
#include "sim/broken.def"
#undef BROKEN_ROW
    BROKEN_NONE = 0
};

#endif
