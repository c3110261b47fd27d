#include "options.h"

#include "base/base.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum option_type { TYPE_TEXT, TYPE_NUMBER, TYPE_FLAG, TYPE_LIST, TYPE_CHOICE };
enum { LINE_SIZE_MAX = 8192 };

/* Defaults are words here, whatever their type: one column serves all. */
#define TEXT_DEFAULT(x)   x
#define CHOICE_DEFAULT(x) x
#define LIST_DEFAULT(x)   NULL
#define FLAG_DEFAULT(x)   #x
#define NUMBER_DEFAULT(x) #x

static const struct option_line {
    const char *name, *initial, *argument, *help;
    enum option_type type;
    unsigned low, high;
    size_t offset;
} lines[] = {
#define OFFSET(field) offsetof(struct toystore_config, field)
#define OPTION(field, name, type, initial, low, high, argument, help)                              \
    {name, type##_DEFAULT(initial), argument, help, TYPE_##type, low, high, OFFSET(field)},
#include <toystore/options.def>
#undef OPTION
};

static_assert(OPTION_COUNT <= 32, "toystore_config.given has 32 bits");

static char **text_field(struct toystore_config *config, const struct option_line *line)
{
    return (char **)(void *)((char *)config + line->offset);
}

static unsigned *number_field(struct toystore_config *config, const struct option_line *line)
{
    return (unsigned *)(void *)((char *)config + line->offset);
}

__attribute__((format(printf, 3, 4))) static int refuse(char *error, size_t error_size,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error, error_size, format, args);
    va_end(args);
    return -EINVAL;
}

static char *copy_text(const char *text)
{
    return base_string(slice_str(text));
}

void toystore_config_init(struct toystore_config *config)
{
    *config = (struct toystore_config){0};
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_line *line = &lines[i];
        if (line->type == TYPE_NUMBER || line->type == TYPE_FLAG)
            *number_field(config, line) = (unsigned)strtoul(line->initial, NULL, 10);
        else if (line->type != TYPE_LIST && line->initial != NULL)
            *text_field(config, line) = copy_text(line->initial);
    }
}

void toystore_config_free(struct toystore_config *config)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (lines[i].type == TYPE_TEXT || lines[i].type == TYPE_CHOICE)
            free(*text_field(config, &lines[i]));
    }
    for (unsigned i = 0; i < config->seed_count; i++)
        free(config->seeds[i]);
    *config = (struct toystore_config){0};
}

/* ---- one option, one value ---- */

static int set_text(struct toystore_config *config, const struct option_line *line,
                    const char *value, char *error, size_t error_size)
{
    size_t size = strlen(value);
    if (size < line->low || size > line->high)
        return refuse(error, error_size, "--%s: %s", line->name,
                      size < line->low ? "must not be empty" : "is too long");
    char *copy = copy_text(value);
    free(*text_field(config, line));
    *text_field(config, line) = copy;
    return 0;
}

static int set_choice(struct toystore_config *config, const struct option_line *line,
                      const char *value, char *error, size_t error_size)
{
    size_t size = strlen(value);
    for (const char *word = line->argument; word != NULL; word = strchr(word, '|')) {
        word += *word == '|';
        if (size > 0 && strncmp(word, value, size) == 0 &&
            (word[size] == '|' || word[size] == '\0'))
            return set_text(config, line, value, error, error_size);
    }
    return refuse(error, error_size, "--%s %.60s: must be one of %s", line->name, value,
                  line->argument);
}

static int set_number(struct toystore_config *config, const struct option_line *line,
                      const char *value, char *error, size_t error_size)
{
    char *end;
    errno = 0;
    unsigned long number = strtoul(value, &end, 10);
    if (!isdigit((unsigned char)value[0]) || *end != '\0' || errno != 0 || number < line->low ||
        number > line->high)
        return refuse(error, error_size, "--%s %.60s: must be a number from %u to %u", line->name,
                      value, line->low, line->high);
    *number_field(config, line) = (unsigned)number;
    return 0;
}

static int set_flag(struct toystore_config *config, const struct option_line *line,
                    const char *value, char *error, size_t error_size)
{
    bool yes = strcmp(value, "yes") == 0 || strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
    bool no = strcmp(value, "no") == 0 || strcmp(value, "false") == 0 || strcmp(value, "0") == 0;
    if (!yes && !no)
        return refuse(error, error_size, "--%s %.60s: must be yes or no", line->name, value);
    *number_field(config, line) = yes;
    return 0;
}

static int add_seed(struct toystore_config *config, const struct option_line *line,
                    const char *value, char *error, size_t error_size)
{
    size_t size = strlen(value);
    const char *colon = strrchr(value, ':');
    struct in6_addr address;
    bool several = colon != NULL && strchr(value, ':') != colon;
    if (size < line->low || size >= line->high || (value[0] == ':' && !several) ||
        (several && value[0] != '[' && inet_pton(AF_INET6, value, &address) != 1))
        return refuse(error, error_size, "--%s %.60s: must be HOST or HOST:GOSSIPPORT", line->name,
                      value);
    if (colon != NULL && !several) {
        unsigned long port = strtoul(colon + 1, NULL, 10);
        if (strspn(colon + 1, "0123456789") != strlen(colon + 1) || port < 1 || port > 65535)
            return refuse(error, error_size, "--%s %.60s: the port must be a number to 65535",
                          line->name, value);
    }
    if (config->seed_count == TOYSTORE_SEEDS_MAX)
        return refuse(error, error_size, "--%s: at most %d seeds", line->name, TOYSTORE_SEEDS_MAX);
    config->seeds[config->seed_count++] = copy_text(value);
    return 0;
}

static int set_line(struct toystore_config *config, const struct option_line *line,
                    const char *value, char *error, size_t error_size)
{
    int status = -EINVAL;
    switch (line->type) {
    case TYPE_TEXT:
        status = set_text(config, line, value, error, error_size);
        break;
    case TYPE_NUMBER:
        status = set_number(config, line, value, error, error_size);
        break;
    case TYPE_FLAG:
        status = set_flag(config, line, value, error, error_size);
        break;
    case TYPE_CHOICE:
        status = set_choice(config, line, value, error, error_size);
        break;
    case TYPE_LIST:
        status = add_seed(config, line, value, error, error_size);
        break;
    }
    if (status == 0)
        config->given |= 1u << (line - lines);
    return status;
}

static const struct option_line *line_find(struct slice name)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (slice_equal(slice_str(lines[i].name), name))
            return &lines[i];
    }
    return NULL;
}

int toystore_config_set(struct toystore_config *config, const char *option, const char *value,
                        char *error, size_t error_size)
{
    const struct option_line *line = line_find(slice_str(option));
    if (line == NULL)
        return refuse(error, error_size, "--%.60s: no such option", option);
    return set_line(config, line, value, error, error_size);
}

/* ---- the command line ---- */

int options_take(struct toystore_config *config, int argc, char **argv, int *at,
                 const char **ret_file, char *error, size_t error_size)
{
    const char *word = argv[*at];
    if (strncmp(word, "--", 2) != 0 || word[2] == '\0')
        return 0;
    const char *equals = strchr(word, '=');
    struct slice name = slice_of(word + 2, equals ? (size_t)(equals - word) - 2 : strlen(word) - 2);
    bool file = slice_equal(name, slice_str("config"));
    const struct option_line *line = line_find(name);
    if (!file && line == NULL)
        return 0;
    const char *value = equals ? equals + 1 : NULL;
    if (value == NULL && line != NULL && line->type == TYPE_FLAG) {
        value = "yes";
    } else if (value == NULL) {
        if (*at + 1 >= argc)
            return refuse(error, error_size, "--%.*s: wants a value (%s)", (int)name.size,
                          (const char *)name.data, file ? "FILE" : line->argument);
        value = argv[++*at];
    }
    if (file) {
        *ret_file = value;
        return 1;
    }
    int status = set_line(config, line, value, error, error_size);
    return status == 0 ? 1 : status;
}

/* ---- the file ---- */

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return text;
}

static int take_line(struct toystore_config *config, uint32_t given, char *text, char *error,
                     size_t error_size)
{
    text = trim(text);
    if (*text == '\0' || *text == '#')
        return 0;
    char *equals = strchr(text, '=');
    if (equals == NULL)
        return refuse(error, error_size, "want `option = value`, not `%.60s`", text);
    *equals = '\0';
    const char *name = trim(text), *value = trim(equals + 1);
    const struct option_line *line = line_find(slice_str(name));
    if (line == NULL)
        return refuse(error, error_size, "%.60s: no such option", name);
    if ((given >> (line - lines) & 1u) != 0)
        return 0; /* the command line wins */
    return set_line(config, line, value, error, error_size);
}

int toystore_config_file(struct toystore_config *config, const char *path, char *error,
                         size_t error_size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        int status = -errno;
        snprintf(error, error_size, "--config %s: %s", path, strerror(errno));
        return status;
    }
    uint32_t given = config->given;
    char *text = base_alloc(LINE_SIZE_MAX), reason[200] = "";
    int status = 0;
    for (unsigned number = 1; status == 0 && fgets(text, LINE_SIZE_MAX, file) != NULL; number++) {
        status = take_line(config, given, text, reason, sizeof reason);
        if (status != 0)
            snprintf(error, error_size, "%s:%u: %s", path, number, reason);
    }
    if (status == 0 && ferror(file)) {
        status = -EIO;
        snprintf(error, error_size, "--config %s: cannot be read", path);
    }
    free(text);
    fclose(file);
    return status;
}

/* ---- the whole ---- */

int toystore_config_check(const struct toystore_config *config, char *error, size_t error_size)
{
    unsigned n = config->replicas, w = config->write_quorum, r = config->read_quorum;
    if (w > n)
        return refuse(error, error_size, "--write-quorum %u is more than --replicas %u", w, n);
    if (r > n)
        return refuse(error, error_size, "--read-quorum %u is more than --replicas %u", r, n);
    if (config->rpc_port == config->gossip_port)
        return refuse(error, error_size, "--rpc-port and --gossip-port are both %u",
                      config->rpc_port);
    bool memory = config->store_ops == NULL && strcmp(config->store, "memory") == 0;
    if (memory && option_given(config, OPTION_data))
        return refuse(error, error_size,
                      "--store memory keeps nothing on disk: it does not go with --data");
    return 0;
}

/* --replicas 1 alone means one copy, not a contradiction with the default quorums. */
static void fit_defaults(struct toystore_config *config)
{
    if (!option_given(config, OPTION_write_quorum) && config->write_quorum > config->replicas)
        config->write_quorum = config->replicas;
    if (!option_given(config, OPTION_read_quorum) && config->read_quorum > config->replicas)
        config->read_quorum = config->replicas;
}

int options_finish(struct toystore_config *config, const char *file, char *error, size_t error_size)
{
    int status = file ? toystore_config_file(config, file, error, error_size) : 0;
    if (status != 0)
        return status;
    fit_defaults(config);
    return toystore_config_check(config, error, error_size);
}

void options_help(void (*line)(const char *text))
{
    char text[300], left[80];
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_line *option = &lines[i];
        snprintf(left, sizeof left, "--%s %s", option->name,
                 option->argument ? option->argument : "");
        bool shown = option->initial != NULL && option->initial[0] && option->type != TYPE_FLAG;
        snprintf(text, sizeof text, "  %-34s %s%s%s%s", left, option->help, shown ? " (" : "",
                 shown ? option->initial : "", shown ? ")" : "");
        line(text);
    }
    line("  --config FILE                      `option = value` lines; the command line wins");
}
