#include "noded/store/intset.h"

#include "common/base/mem.h"
#include "noded/store/little.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* As in RDB: bytes of a number (u32 LE), how many there are (u32 LE), the numbers (LE) in rising order. */
#define HEADER 8
#define COUNT_MAX (UINT32_MAX / 8)

static unsigned char *bytes_of(const struct nd_intset *s)
{
    return (unsigned char *)s;
}

static size_t width_of(const struct nd_intset *s)
{
    return nd_load32(bytes_of(s));
}

static int64_t number_at(const unsigned char *numbers, size_t width, size_t i)
{
    if (width == 2)
        return (int16_t)nd_load16(numbers + i * 2);
    if (width == 4)
        return (int32_t)nd_load32(numbers + i * 4);
    return (int64_t)nd_load64(numbers + i * 8);
}

static void put_number(unsigned char *numbers, size_t width, size_t i, int64_t v)
{
    if (width == 2)
        nd_store16(numbers + i * 2, (uint32_t)v);
    else if (width == 4)
        nd_store32(numbers + i * 4, (uint32_t)v);
    else
        nd_store64(numbers + i * 8, (uint64_t)v);
}

static size_t width_for(int64_t v)
{
    if (v >= INT16_MIN && v <= INT16_MAX)
        return 2;
    return v >= INT32_MIN && v <= INT32_MAX ? 4 : 8;
}

static void set_header(unsigned char *b, size_t width, size_t count)
{
    nd_store32(b, (uint32_t)width);
    nd_store32(b + 4, (uint32_t)count);
}

struct nd_intset *nd_intset_new(void)
{
    unsigned char *b = mem_alloc(HEADER);
    set_header(b, 2, 0);
    return (struct nd_intset *)b;
}

size_t nd_intset_count(const struct nd_intset *s)
{
    return nd_load32(bytes_of(s) + 4);
}

size_t nd_intset_bytes(const struct nd_intset *s)
{
    return HEADER + nd_intset_count(s) * width_of(s);
}

/* Index of the first number that is not below v. */
static size_t lower_bound(const struct nd_intset *s, int64_t v)
{
    const unsigned char *numbers = bytes_of(s) + HEADER;
    size_t width = width_of(s), from = 0, to = nd_intset_count(s);
    /* Numbers often come in rising order. */
    if (to > 0 && number_at(numbers, width, to - 1) < v)
        return to;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (number_at(numbers, width, middle) < v)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

bool nd_intset_has(const struct nd_intset *s, int64_t v)
{
    if (width_for(v) > width_of(s))
        return false;
    size_t i = lower_bound(s, v);
    return i < nd_intset_count(s) && nd_intset_get(s, i) == v;
}

int64_t nd_intset_get(const struct nd_intset *s, size_t index)
{
    assert(index < nd_intset_count(s));
    return number_at(bytes_of(s) + HEADER, width_of(s), index);
}

static unsigned char *reserve(unsigned char *b, size_t bytes)
{
    return malloc_usable_size(b) >= bytes ? b : mem_realloc(b, bytes);
}

/* All numbers get the width of v, which is larger or smaller than every one of them and so stands at an end. */
static struct nd_intset *widen_and_add(struct nd_intset *s, int64_t v, size_t width)
{
    size_t old_width = width_of(s), count = nd_intset_count(s);
    unsigned char *b = reserve(bytes_of(s), HEADER + (count + 1) * width);
    unsigned char *numbers = b + HEADER;
    size_t shift = v < 0 ? 1 : 0;
    /* From the last on: a number's new place is never in front of one that is still to be read. */
    for (size_t i = count; i-- > 0;)
        put_number(numbers, width, i + shift, number_at(numbers, old_width, i));
    put_number(numbers, width, v < 0 ? 0 : count, v);
    set_header(b, width, count + 1);
    return (struct nd_intset *)b;
}

struct nd_intset *nd_intset_add(struct nd_intset *s, int64_t v, bool *added)
{
    size_t width = width_of(s), count = nd_intset_count(s);
    assert(count < COUNT_MAX);
    if (width_for(v) > width) {
        *added = true;
        return widen_and_add(s, v, width_for(v));
    }
    size_t i = lower_bound(s, v);
    *added = i == count || nd_intset_get(s, i) != v;
    if (!*added)
        return s;
    unsigned char *b = reserve(bytes_of(s), HEADER + (count + 1) * width);
    unsigned char *at = b + HEADER + i * width;
    memmove(at + width, at, (count - i) * width);
    put_number(b + HEADER, width, i, v);
    set_header(b, width, count + 1);
    return (struct nd_intset *)b;
}

struct nd_intset *nd_intset_remove(struct nd_intset *s, int64_t v, bool *removed)
{
    size_t width = width_of(s), count = nd_intset_count(s), i = 0;
    *removed = false;
    if (width_for(v) <= width) {
        i = lower_bound(s, v);
        *removed = i < count && nd_intset_get(s, i) == v;
    }
    if (!*removed)
        return s;
    unsigned char *b = bytes_of(s), *at = b + HEADER + i * width;
    memmove(at, at + width, (count - i - 1) * width);
    set_header(b, width, count - 1);
    size_t bytes = HEADER + (count - 1) * width;
    if (malloc_usable_size(b) > 2 * bytes + 64)
        b = mem_realloc(b, bytes);
    return (struct nd_intset *)b;
}

struct nd_intset *nd_intset_dup(const struct nd_intset *s)
{
    size_t n = nd_intset_bytes(s);
    return memcpy(mem_alloc(n), s, n);
}

struct slice nd_intset_raw(const struct nd_intset *s)
{
    return (struct slice){.p = (const char *)s, .n = nd_intset_bytes(s)};
}

struct nd_intset *nd_intset_load(struct slice bytes)
{
    const unsigned char *b = (const unsigned char *)bytes.p;
    if (bytes.n < HEADER)
        return NULL;
    uint64_t width = nd_load32(b), count = nd_load32(b + 4);
    if ((width != 2 && width != 4 && width != 8) || count == 0 || bytes.n - HEADER != width * count)
        return NULL;
    for (size_t i = 1; i < count; i++)
        if (number_at(b + HEADER, width, i - 1) >= number_at(b + HEADER, width, i))
            return NULL;
    return memcpy(mem_alloc(bytes.n), b, bytes.n);
}
