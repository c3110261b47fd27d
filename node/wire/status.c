/* The words of status.def. */
#include <toystore/toystore.h>

const char *toystore_status_word(enum toystore_status status)
{
    switch (status) {
#define STATUS(name, number, word, meaning)                                                        \
    case TOYSTORE_##name:                                                                          \
        return word;
#include <toystore/status.def>
#undef STATUS
    }
    return "INVALID";
}

const char *toystore_status_meaning(enum toystore_status status)
{
    switch (status) {
#define STATUS(name, number, word, meaning)                                                        \
    case TOYSTORE_##name:                                                                          \
        return meaning;
#include <toystore/status.def>
#undef STATUS
    }
    return "a status that this version does not know";
}
