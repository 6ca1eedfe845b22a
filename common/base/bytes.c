#include "common/base/bytes.h"

#include "common/base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct slice slice_of(const char *s)
{
    return (struct slice){.p = s, .n = s != NULL ? strlen(s) : 0};
}

bool slice_eq(struct slice a, struct slice b)
{
    /* memcmp() must not see NULL, even for no bytes. */
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* tolower() depends on the locale, and the answer here must not. */
static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool slice_ieq(struct slice a, const char *s)
{
    for (size_t i = 0; i < a.n; i++)
        if (s[i] == '\0' || lower(a.p[i]) != lower(s[i]))
            return false;
    return s[a.n] == '\0';
}

bool slice_is(struct slice a, const char *s)
{
    return slice_eq(a, slice_of(s));
}

struct slice slice_cut(struct slice *rest, char sep)
{
    struct slice first = *rest;
    const char *at = rest->n > 0 ? memchr(rest->p, sep, rest->n) : NULL;
    if (at == NULL) {
        *rest = (struct slice){NULL, 0};
        return first;
    }
    first.n = (size_t)(at - rest->p);
    rest->p = at + 1;
    rest->n -= first.n + 1;
    return first;
}

struct slice slice_cut_line(struct slice *rest)
{
    struct slice line = slice_cut(rest, '\n');
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct slice slice_trim(struct slice s)
{
    while (s.n > 0 && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

char *slice_dup(struct slice s)
{
    return mem_strndup(s.p, s.n);
}

void buf_free(struct buf *b)
{
    free(b->p);
    *b = (struct buf){NULL, 0, 0};
}

void buf_clear(struct buf *b)
{
    b->n = 0;
}

void buf_reserve(struct buf *b, size_t more)
{
    if (more <= b->cap - b->n)
        return;
    if (more > SIZE_MAX - b->n)
        mem_fail(SIZE_MAX);
    size_t need = b->n + more;
    size_t cap = b->cap < SIZE_MAX / 2 ? b->cap * 2 : SIZE_MAX;
    if (cap < 64)
        cap = 64;
    if (cap < need)
        cap = need;
    b->p = mem_realloc(b->p, cap);
    b->cap = cap;
}

void buf_put(struct buf *b, const void *p, size_t n)
{
    if (n == 0)
        return;
    buf_reserve(b, n);
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

void buf_putc(struct buf *b, char c)
{
    buf_reserve(b, 1);
    b->p[b->n++] = c;
}

void buf_puts(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    buf_reserve(b, 64);
    size_t room = b->cap - b->n;
    int n = vsnprintf(b->p + b->n, room, fmt, ap);
    assert(n >= 0); /* only wide characters that cannot be encoded fail, and no format of ours has any */
    if ((size_t)n >= room) {
        buf_reserve(b, (size_t)n + 1);
        n = vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        assert(n >= 0);
    }
    va_end(again);
    b->n += (size_t)n;
}

void buf_drop(struct buf *b, size_t n)
{
    assert(n <= b->n);
    if (n > 0 && n < b->n)
        memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

const char *buf_str(struct buf *b)
{
    buf_reserve(b, 1);
    b->p[b->n] = '\0';
    return b->p;
}

struct slice buf_slice(const struct buf *b)
{
    return (struct slice){.p = b->p, .n = b->n};
}
