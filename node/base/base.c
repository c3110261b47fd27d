#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

static void out_of_memory(size_t size)
{
    fprintf(stderr, "toystore: out of memory (%zu bytes wanted); stopping\n", size);
    abort();
}

void *base_alloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    if (p == NULL)
        out_of_memory(size);
    return p;
}

void *base_realloc(void *old, size_t size)
{
    void *p = realloc(old, size ? size : 1);
    if (p == NULL)
        out_of_memory(size);
    return p;
}

void *base_copy(const void *data, size_t size)
{
    void *p = base_realloc(NULL, size);
    if (size != 0)
        memcpy(p, data, size);
    return p;
}

char *base_string(struct slice text)
{
    char *p = base_realloc(NULL, text.size + 1);
    if (text.size != 0)
        memcpy(p, text.data, text.size);
    p[text.size] = '\0';
    return p;
}
