#include "common/resp/reply.h"

#include "common/base/text.h"

#include <stdio.h>
#include <string.h>

#define HEADER_MAX 32 /* mark, sign, 20 digits, CR LF */

/* "<mark><sign><n>\r\n" to `to`, which has room for HEADER_MAX bytes; returns its length. Every answer has one, and
 * printf takes longer than all else that a small answer needs. */
static inline size_t header(char *to, char mark, bool negative, uint64_t n)
{
    if (n < 10 && !negative) { /* most of them */
        to[0] = mark;
        to[1] = (char)('0' + n);
        to[2] = '\r';
        to[3] = '\n';
        return 4;
    }
    char digits[20], *at = digits + sizeof digits, *out = to;
    *out++ = mark;
    if (negative)
        *out++ = '-';
    do
        *--at = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    size_t count = (size_t)(digits + sizeof digits - at);
    memcpy(out, at, count);
    out += count;
    *out++ = '\r';
    *out++ = '\n';
    return (size_t)(out - to);
}

static inline void reserve(struct reply *r, size_t n)
{
    if (r->out->cap - r->out->n < n)
        buf_reserve(r->out, n);
}

static void put_header(struct reply *r, char mark, size_t n)
{
    reserve(r, HEADER_MAX);
    r->out->n += header(r->out->p + r->out->n, mark, false, n);
}

void reply_end_line(struct buf *out, size_t from)
{
    for (size_t i = from; i < out->n; i++)
        if (out->p[i] == '\r' || out->p[i] == '\n')
            out->p[i] = ' ';
    buf_put(out, "\r\n", 2);
}

void reply_status(struct reply *r, const char *s)
{
    size_t from = r->out->n;
    buf_putc(r->out, '+');
    buf_puts(r->out, s);
    reply_end_line(r->out, from);
}

void reply_error(struct reply *r, const char *fmt, ...)
{
    size_t from = r->out->n;
    buf_putc(r->out, '-');
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(r->out, fmt, ap);
    va_end(ap);
    reply_end_line(r->out, from);
}

void reply_int(struct reply *r, int64_t v)
{
    reserve(r, HEADER_MAX);
    r->out->n += header(r->out->p + r->out->n, ':', v < 0, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void reply_bulk(struct reply *r, const void *p, size_t n)
{
    reserve(r, HEADER_MAX + n + 2);
    char *at = r->out->p + r->out->n;
    at += header(at, '$', false, n);
    if (n > 0)
        memcpy(at, p, n);
    at += n;
    *at++ = '\r';
    *at++ = '\n';
    r->out->n = (size_t)(at - r->out->p);
}

void reply_bulks(struct reply *r, const char *s)
{
    reply_bulk(r, s, strlen(s));
}

/* Puts a header in front of what was written since `mark`, when its length is known at last. */
static void insert_header(struct reply *r, size_t mark, char kind, size_t n)
{
    char text[HEADER_MAX];
    size_t len = header(text, kind, false, n);
    size_t tail = r->out->n - mark;
    buf_reserve(r->out, len);
    memmove(r->out->p + mark + len, r->out->p + mark, tail);
    memcpy(r->out->p + mark, text, len);
    r->out->n += len;
}

void reply_bulkf(struct reply *r, const char *fmt, ...)
{
    size_t mark = r->out->n;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(r->out, fmt, ap);
    va_end(ap);
    insert_header(r, mark, '$', r->out->n - mark);
    buf_put(r->out, "\r\n", 2);
}

void reply_bulk_int(struct reply *r, int64_t v)
{
    reply_bulkf(r, "%lld", (long long)v);
}

void reply_verbatim(struct reply *r, const char *p, size_t n)
{
    if (r->proto < 3) {
        reply_bulk(r, p, n);
        return;
    }
    put_header(r, '=', n + 4);
    buf_put(r->out, "txt:", 4);
    buf_put(r->out, p, n);
    buf_put(r->out, "\r\n", 2);
}

void reply_null(struct reply *r)
{
    buf_puts(r->out, r->proto < 3 ? "$-1\r\n" : "_\r\n");
}

void reply_null_array(struct reply *r)
{
    buf_puts(r->out, r->proto < 3 ? "*-1\r\n" : "_\r\n");
}

void reply_array(struct reply *r, size_t n)
{
    put_header(r, '*', n);
}

void reply_map(struct reply *r, size_t pairs)
{
    if (r->proto < 3)
        put_header(r, '*', pairs * 2);
    else
        put_header(r, '%', pairs);
}

void reply_set(struct reply *r, size_t n)
{
    put_header(r, r->proto < 3 ? '*' : '~', n);
}

void reply_push(struct reply *r, size_t n)
{
    put_header(r, r->proto < 3 ? '*' : '>', n);
}

void reply_double(struct reply *r, double v)
{
    char text[TEXT_DOUBLE];
    size_t n = text_put_double(v, text);
    if (r->proto < 3) {
        reply_bulk(r, text, n);
        return;
    }
    buf_putc(r->out, ',');
    buf_put(r->out, text, n);
    buf_put(r->out, "\r\n", 2);
}

void reply_bool(struct reply *r, bool v)
{
    if (r->proto < 3)
        reply_int(r, v);
    else
        buf_puts(r->out, v ? "#t\r\n" : "#f\r\n");
}

size_t reply_begin(struct reply *r)
{
    return r->out->n;
}

void reply_end_array(struct reply *r, size_t mark, size_t n)
{
    insert_header(r, mark, '*', n);
}

void reply_end_set(struct reply *r, size_t mark, size_t n)
{
    insert_header(r, mark, r->proto < 3 ? '*' : '~', n);
}

void reply_end_map(struct reply *r, size_t mark, size_t pairs)
{
    if (r->proto < 3)
        insert_header(r, mark, '*', pairs * 2);
    else
        insert_header(r, mark, '%', pairs);
}
