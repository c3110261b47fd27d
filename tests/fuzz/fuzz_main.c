/* The driver without coverage: examples, mutated, from a seed, for some seconds.
 *
 *     fuzz_NAME [--seconds S] [--seed N] [FILE]...      files are run instead
 *
 * Without --seconds, FUZZ_SECONDS says how long; else it is one.
 */
#include "fuzz.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MUTATIONS_MAX = 8, EXAMPLE_TURNS = 64, INSERT_MAX = 32 };

/* What a crash is told by; a handler may only read these. */
static char reproduce[128];

static void on_crash(int signal)
{
    ssize_t written = write(STDERR_FILENO, reproduce, strlen(reproduce));
    (void)written;
    raise(signal); /* the handler is gone: SA_RESETHAND */
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* An allocation of exactly that size, so that a sanitizer sees a read beyond the end. */
static void run_exactly(struct slice bytes)
{
    uint8_t *copy = malloc(bytes.size ? bytes.size : 1);
    if (!copy)
        abort();
    if (bytes.size)
        memcpy(copy, bytes.data, bytes.size);
    fuzz_one(slice_of(copy, bytes.size));
    free(copy);
}

/* Bytes that decoders look at twice: heads of lengths and counts, limits of numbers. */
static uint8_t telling_byte(struct prng *prng)
{
    static const uint8_t telling[] = {0x00, 0x01, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                      0xc0, 0xc1, 0xc4, 0xc6, 0xc9, 0xcb, 0xcf, 0xd3, 0xd8,
                                      0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff};
    return prng_chance(prng, 1, 2) ? telling[prng_below(prng, sizeof telling)]
                                   : (uint8_t)prng_next(prng);
}

static void insert_bytes(struct prng *prng, struct buf *buf, size_t at)
{
    size_t more = 1 + prng_below(prng, INSERT_MAX);
    buf_reserve(buf, more);
    uint8_t *data = buf->blob->data;
    memmove(data + at + more, data + at, buf->size - at);
    for (size_t i = 0; i < more; i++)
        data[at + i] = telling_byte(prng);
    buf->size += more;
}

static void mutate(struct prng *prng, struct buf *buf)
{
    if (buf->size == 0) {
        insert_bytes(prng, buf, 0);
        return;
    }
    uint8_t *data = buf->blob->data;
    size_t at = prng_below(prng, buf->size);
    size_t span = 1 + prng_below(prng, min_size(buf->size - at, INSERT_MAX));
    switch (prng_below(prng, 6)) {
    case 0:
        data[at] ^= (uint8_t)(1u << prng_below(prng, 8));
        break;
    case 1:
        data[at] = telling_byte(prng);
        break;
    case 2:
        buf->size = at;
        break;
    case 3:
        insert_bytes(prng, buf, at);
        break;
    case 4:
        memmove(data + at, data + at + span, buf->size - at - span);
        buf->size -= span;
        break;
    default:
        memmove(data + prng_below(prng, buf->size - span + 1), data + at, span);
        break;
    }
}

static void fuzz_round(uint64_t seed)
{
    struct prng prng;
    struct buf example = {0};
    prng_seed(&prng, seed);
    fuzz_example(&prng, &example);
    run_exactly(buf_slice(&example));
    for (int turn = 0; turn < EXAMPLE_TURNS; turn++) {
        struct buf bytes = {0};
        buf_append(&bytes, buf_slice(&example).data, example.size);
        for (uint64_t i = 1 + prng_below(&prng, MUTATIONS_MAX); i > 0; i--)
            mutate(&prng, &bytes);
        run_exactly(buf_slice(&bytes));
        buf_free(&bytes);
    }
    buf_free(&example);
}

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return 1;
    }
    struct buf bytes = {0};
    uint8_t part[4096];
    size_t size;
    while ((size = fread(part, 1, sizeof part, file)) > 0)
        buf_append(&bytes, part, size);
    fclose(file);
    run_exactly(buf_slice(&bytes));
    buf_free(&bytes);
    return 0;
}

int main(int argc, char **argv)
{
    const char *wanted = getenv("FUZZ_SECONDS");
    uint64_t seed = 1, seconds = wanted ? strtoull(wanted, NULL, 10) : 1, rounds = 0;
    for (; argc > 2 && argv[1][0] == '-'; argc -= 2, argv += 2) {
        if (strcmp(argv[1], "--seed") == 0)
            seed = strtoull(argv[2], NULL, 10);
        else if (strcmp(argv[1], "--seconds") == 0)
            seconds = strtoull(argv[2], NULL, 10);
        else
            return 2;
    }
    for (int i = 1; i < argc; i++) {
        if (run_file(argv[i]) != 0)
            return 1;
    }
    if (argc > 1)
        return 0;
    struct sigaction action = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGABRT, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    for (uint64_t end = now_ms() + seconds * 1000; now_ms() < end; seed++, rounds++) {
        snprintf(reproduce, sizeof reproduce, "\nfails with --seed %llu\n",
                 (unsigned long long)seed);
        fuzz_round(seed);
    }
    printf("%llu inputs\n", (unsigned long long)(rounds * (EXAMPLE_TURNS + 1)));
    return 0;
}
