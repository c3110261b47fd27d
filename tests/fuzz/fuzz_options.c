/* Options as words and as lines of a --config file: taken, or refused with words. */
#include "fuzz.h"

#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WORDS_MAX = 32 };

static void take_words(char *text)
{
    struct toystore_config config;
    char error[200] = "", *words[WORDS_MAX + 1] = {NULL};
    const char *file = NULL;
    int count = 0, taken = 0;
    for (char *word = strtok(text, "\n"); word && count < WORDS_MAX; word = strtok(NULL, "\n"))
        words[count++] = word;
    toystore_config_init(&config);
    for (int at = 0; at < count && taken >= 0; at++) {
        taken = options_take(&config, count, words, &at, &file, error, sizeof error);
        assert(at < count);
        assert((taken < 0) == (error[0] != '\0'));
    }
    if (taken >= 0 && toystore_config_check(&config, error, sizeof error) != 0)
        assert(error[0] != '\0');
    toystore_config_free(&config);
}

static void take_file(struct slice bytes)
{
    struct toystore_config config;
    char error[200] = "", path[64];
    int fd = memfd_create("config", 0);
    if (fd < 0 || write(fd, bytes.data, bytes.size) != (ssize_t)bytes.size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    toystore_config_init(&config);
    if (toystore_config_file(&config, path, error, sizeof error) != 0)
        assert(error[0] != '\0');
    toystore_config_free(&config);
    close(fd);
}

void fuzz_one(struct slice bytes)
{
    char *text = base_string(bytes);
    take_words(text);
    free(text);
    if (bytes.size > 0)
        take_file(bytes);
}

void fuzz_example(struct prng *prng, struct buf *out)
{
    static const char *const names[] = {
#define OPTION(field, name, type, initial, low, high, argument, help) name,
#include <toystore/options.def>
#undef OPTION
        "config"};
    static const char *const values[] = {"1",       "0",    "3",   "65536", "-1",
                                         "rocksdb", "info", "a b", ""};
    bool words = prng_chance(prng, 1, 2);
    for (uint64_t lines = prng_below(prng, 6); lines > 0; lines--) {
        char line[100];
        const char *name = names[prng_below(prng, ARRAY_COUNT(names))];
        const char *value = values[prng_below(prng, ARRAY_COUNT(values))];
        snprintf(line, sizeof line, words ? "--%s\n%s\n" : "%s = %s\n", name, value);
        buf_append(out, line, strlen(line));
    }
}
