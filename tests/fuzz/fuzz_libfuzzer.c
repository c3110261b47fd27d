/* The driver that follows coverage: clang's libFuzzer. It starts from no corpus; a mutator that
 * falls back on the target's own examples gets it past the first checks. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

enum { ARGUMENTS_MAX = 60 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);

/* FUZZ_SECONDS as libFuzzer's own option, unless files are to be run. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static char seconds[60], *arguments[ARGUMENTS_MAX + 2];
    const char *wanted = getenv("FUZZ_SECONDS");
    if (*argc > ARGUMENTS_MAX)
        return 0;
    snprintf(seconds, sizeof seconds, "-max_total_time=%d", wanted ? atoi(wanted) : 1);
    memcpy(arguments, *argv, (size_t)*argc * sizeof *arguments);
    arguments[(*argc)++] = seconds;
    *argv = arguments;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_one(slice_of(data, size));
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    struct prng prng;
    prng_seed(&prng, seed);
    if (size > 1 && !prng_chance(&prng, 1, 100))
        return LLVMFuzzerMutate(data, size, size_max);
    struct buf example = {0};
    fuzz_example(&prng, &example);
    size = min_size(example.size, size_max);
    if (size > 0)
        memcpy(data, buf_slice(&example).data, size);
    buf_free(&example);
    return LLVMFuzzerMutate(data, size, size_max);
}
