#include "common/base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *mem_alloc(size_t size)
{
    /* malloc(0) may answer NULL, which could not be told from a failure. */
    void *p = malloc(size > 0 ? size : 1);
    if (p == NULL)
        mem_fail(size);
    return p;
}

#define SMALL 1024

/* The C library's calloc() does not use the blocks that this thread gave back last, which malloc() has at hand. For a
 * large block it knows of pages that are clear already. */
void *mem_zalloc(size_t size)
{
    if (size <= SMALL)
        return memset(mem_alloc(size), 0, size);
    void *p = calloc(1, size);
    if (p == NULL)
        mem_fail(size);
    return p;
}

void *mem_realloc(void *p, size_t size)
{
    void *moved = realloc(p, size > 0 ? size : 1);
    if (moved == NULL)
        mem_fail(size);
    return moved;
}

void *mem_array(void *p, size_t count, size_t size)
{
    if (size > 0 && count > SIZE_MAX / size)
        mem_fail(SIZE_MAX);
    return mem_realloc(p, count * size);
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

char *mem_strndup(const char *s, size_t n)
{
    if (n == SIZE_MAX)
        mem_fail(SIZE_MAX);
    char *copy = mem_alloc(n + 1);
    if (n > 0)
        memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

void *mem_grow(void *v, size_t used, size_t *cap, size_t size)
{
    if (used < *cap)
        return v;
    if (*cap > SIZE_MAX / 2)
        mem_fail(SIZE_MAX);
    size_t more = *cap > 0 ? *cap * 2 : 8;
    v = mem_array(v, more, size);
    *cap = more;
    return v;
}
