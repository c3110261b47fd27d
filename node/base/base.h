/* base: what every room uses: slices of bytes, small helpers. Depends on libc only. */
#ifndef TOYSTORE_BASE_H
#define TOYSTORE_BASE_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

/* Bytes that somebody else owns. */
struct slice {
    const uint8_t *data;
    size_t size;
};

#define ARRAY_COUNT(a)           (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, m) ((type *)(void *)((char *)(p)-offsetof(type, m)))

static inline struct slice slice_of(const void *data, size_t size)
{
    return (struct slice){(const uint8_t *)data, size};
}

static inline struct slice slice_str(const char *text)
{
    return slice_of(text, strlen(text));
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* memcmp order, a prefix first. */
static inline int slice_compare(struct slice a, struct slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    if (order != 0)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Memory that is always there: a process that cannot get it stops with a message (base.c). */
void *base_alloc(size_t size);                  /* zeroed */
void *base_realloc(void *old, size_t size);     /* not zeroed */
void *base_copy(const void *data, size_t size); /* never NULL, also for size 0 */
char *base_string(struct slice text);           /* copy with a closing NUL */

#endif
