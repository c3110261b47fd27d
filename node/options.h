/* options: node options from one table (toystore/options.def), for command lines, --config files
 * and the embedding API. */
#ifndef TOYSTORE_OPTIONS_H
#define TOYSTORE_OPTIONS_H

#include <toystore/toystore.h>

/* Which line of options.def an option is: its bit in toystore_config.given. */
enum option_index {
#define OPTION(field, name, type, default, low, high, argument, help) OPTION_##field,
#include <toystore/options.def>
#undef OPTION
    OPTION_COUNT
};

static inline bool option_given(const struct toystore_config *config, enum option_index option)
{
    return (config->given >> option & 1u) != 0;
}

/* Takes one node option from argv at *at (`--name value`, `--name=value` or `--flag`), and moves
 * *at to its last word. 1: taken; 0: not a node option; -EINVAL: wrong, `error` names it.
 * `--config FILE` is noted in *ret_file: options_finish reads it. */
int options_take(struct toystore_config *config, int argc, char **argv, int *at,
                 const char **ret_file, char *error, size_t error_size);
/* Reads the file (may be NULL) below what the command line gave, then checks the whole. */
int options_finish(struct toystore_config *config, const char *file, char *error,
                   size_t error_size);
/* The table as lines of --help. */
void options_help(void (*line)(const char *text));

#endif
