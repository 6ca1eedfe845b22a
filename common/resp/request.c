#include "common/resp/request.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/resp/inline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct resp_limits resp_limits_default = {
    .max_args = 1024 * 1024,
    .max_bulk = (size_t)512 * 1024 * 1024,
    .max_query = (size_t)1024 * 1024 * 1024,
    .max_inline = (size_t)64 * 1024,
};

const struct resp_limits resp_limits_control = {
    .max_args = (size_t)64 * 1024,
    .max_bulk = (size_t)1024 * 1024,
    .max_query = (size_t)8 * 1024 * 1024,
    .max_inline = (size_t)64 * 1024,
};

/* A rare huge request must not cost its connection this memory for ever. */
#define KEPT_ARGS 1024
#define QUICK_ARGS 64 /* room from the start: for a pipeline of small requests */

enum state {
    AT_START,
    IN_INLINE,
    IN_COUNT,  /* "*<n>" */
    IN_LENGTH, /* "$<n>" */
    IN_BULK,
    FAILED,
};

struct span {
    size_t at, n; /* relative to the start of the request: the caller's buffer may move */
};

struct resp_parser {
    const struct resp_limits *limits;
    enum state state;
    size_t pos;     /* start of the element that is read now */
    size_t scanned; /* first byte of it that was not looked at yet */
    size_t bulk;    /* bytes of the bulk that is read now */
    size_t announced;
    struct span *spans;
    size_t nspans, spans_cap;
    struct slice *argv;
    size_t argv_cap;
    struct buf unescaped; /* arguments of an inline command */
    char error[96];
};

struct resp_parser *resp_parser_new(const struct resp_limits *limits)
{
    struct resp_parser *p = mem_zalloc(sizeof *p);
    p->limits = limits;
    return p;
}

void resp_parser_free(struct resp_parser *p)
{
    if (p == NULL)
        return;
    free(p->spans);
    free(p->argv);
    buf_free(&p->unescaped);
    free(p);
}

void resp_parser_limit(struct resp_parser *p, const struct resp_limits *limits)
{
    p->limits = limits;
}

size_t resp_wanted(const struct resp_parser *p)
{
    return p->state == IN_BULK ? p->pos + p->bulk + 2 : p->pos + 1;
}

static enum resp_status fail(struct resp_parser *p, const char *what)
{
    snprintf(p->error, sizeof p->error, "Protocol error: %s", what);
    p->state = FAILED;
    return RESP_ERROR;
}

static enum resp_status fail_size(struct resp_parser *p)
{
    char what[64];
    snprintf(what, sizeof what, "request is longer than %zu bytes", p->limits->max_query);
    return fail(p, what);
}

static void add_span(struct resp_parser *p, size_t at, size_t n)
{
    p->spans = mem_grow(p->spans, p->nspans, &p->spans_cap, sizeof *p->spans);
    p->spans[p->nspans++] = (struct span){at, n};
}

/* The request is whole: the spans become slices of `base`. */
static enum resp_status ready(struct resp_parser *p, const char *base, size_t consumed, struct resp_request *out)
{
    if (consumed > p->limits->max_query)
        return fail_size(p);
    if (p->argv_cap < p->nspans) {
        p->argv = mem_array(p->argv, p->spans_cap, sizeof *p->argv);
        p->argv_cap = p->spans_cap;
    }
    for (size_t i = 0; i < p->nspans; i++)
        p->argv[i] = (struct slice){base + p->spans[i].at, p->spans[i].n};
    out->argv = p->argv;
    out->argc = p->nspans;
    out->consumed = consumed;
    p->state = AT_START;
    return RESP_READY;
}

static void start(struct resp_parser *p)
{
    if (p->argv_cap > KEPT_ARGS || p->spans_cap > KEPT_ARGS) {
        free(p->argv);
        free(p->spans);
        p->argv = NULL;
        p->spans = NULL;
        p->argv_cap = p->spans_cap = 0;
    }
    buf_clear(&p->unescaped);
    p->nspans = 0;
    p->pos = p->scanned = 0;
}

/* Looks for `end` in what was not looked at yet of the line at p->pos. RESP_READY: *len is the length of the line
 * before it. A line that is too long is refused however its bytes are split, so the length counts even when its end is
 * there. */
static enum resp_status find_end(struct resp_parser *p, const char *data, size_t n, char end, const char *too_big,
                                 size_t *len)
{
    const char *at = p->scanned < n ? memchr(data + p->scanned, end, n - p->scanned) : NULL;
    size_t query_left = p->limits->max_query > p->pos ? p->limits->max_query - p->pos : 0;
    *len = (at != NULL ? (size_t)(at - data) : n) - p->pos;
    if (*len > query_left && query_left < p->limits->max_inline)
        return fail_size(p);
    if (*len > p->limits->max_inline)
        return fail(p, too_big);
    p->scanned = at != NULL ? (size_t)(at - data) : n;
    return at != NULL ? RESP_READY : RESP_MORE;
}

/* "<mark><number>CRLF" at p->pos. On RESP_READY p->pos is behind it. *ok: it was a number, and ended as it must. */
static enum resp_status length_line(struct resp_parser *p, const char *data, size_t n, const char *too_big, int64_t *v,
                                    bool *ok)
{
    size_t len;
    enum resp_status st = find_end(p, data, n, '\r', too_big, &len);
    if (st != RESP_READY)
        return st;
    *ok = text_i64((struct slice){data + p->pos + 1, len - 1}, v);
    if (*ok && p->pos + len + 1 >= n)
        return RESP_MORE; /* the LF is not here yet */
    *ok = *ok && data[p->pos + len + 1] == '\n';
    p->pos += len + 2;
    p->scanned = p->pos;
    return RESP_READY;
}

static enum resp_status inline_line(struct resp_parser *p, const char *data, size_t n, struct resp_request *out)
{
    size_t len;
    enum resp_status st = find_end(p, data, n, '\n', "too big inline request", &len);
    if (st != RESP_READY)
        return st;
    size_t consumed = len + 1;
    if (len > 0 && data[len - 1] == '\r')
        len--;
    struct slice rest = {data, len};
    /* Only quotes change bytes: without them the arguments are slices of the line itself. */
    bool copied = memchr(data, '"', len) != NULL || memchr(data, '\'', len) != NULL;
    for (;;) {
        size_t at = p->unescaped.n;
        struct slice word = {NULL, 0};
        enum inline_status got = copied ? inline_next_quoted(&rest, &p->unescaped) : inline_next_plain(&rest, &word);
        if (got == INLINE_END)
            break;
        if (got == INLINE_UNBALANCED)
            return fail(p, "unbalanced quotes in request");
        size_t word_n = copied ? p->unescaped.n - at : word.n;
        if (p->nspans == p->limits->max_args || word_n > p->limits->max_bulk)
            return fail(p, "too big inline request");
        add_span(p, copied ? at : (size_t)(word.p - data), word_n);
    }
    return ready(p, copied ? buf_str(&p->unescaped) : data, consumed, out);
}

static enum resp_status count_line(struct resp_parser *p, const char *data, size_t n, struct resp_request *out)
{
    int64_t count;
    bool ok;
    enum resp_status st = length_line(p, data, n, "too big mbulk count string", &count, &ok);
    if (st != RESP_READY)
        return st;
    if (ok && p->limits->unauthenticated && count > 0 && count <= INT32_MAX && (uint64_t)count > p->limits->max_args)
        return fail(p, "unauthenticated multibulk length");
    if (!ok || (count > 0 && (uint64_t)count > p->limits->max_args))
        return fail(p, "invalid multibulk length");
    if (count <= 0) /* "*0" and "*-1" are no request and get no reply */
        return ready(p, data, p->pos, out);
    p->announced = (size_t)count;
    p->state = IN_LENGTH;
    return RESP_MORE;
}

static enum resp_status bulk_line(struct resp_parser *p, const char *data, size_t n)
{
    if (p->pos >= n)
        return RESP_MORE;
    char c = data[p->pos];
    if (c != '$') {
        char what[48];
        if (c == '\r' || c == '\n')
            c = ' '; /* as Redis shows it: an end of line would break the reply that carries this text */
        if (c >= ' ' && c <= '~')
            snprintf(what, sizeof what, "expected '$', got '%c'", c);
        else
            snprintf(what, sizeof what, "expected '$', got '\\x%02x'", (unsigned)(unsigned char)c);
        return fail(p, what);
    }
    int64_t len;
    bool ok;
    enum resp_status st = length_line(p, data, n, "too big bulk count string", &len, &ok);
    if (st != RESP_READY)
        return st;
    if (ok && p->limits->unauthenticated && len > 0 && (uint64_t)len > p->limits->max_bulk)
        return fail(p, "unauthenticated bulk length");
    if (!ok || len < 0 || (uint64_t)len > p->limits->max_bulk)
        return fail(p, "invalid bulk length");
    p->bulk = (size_t)len;
    if (p->bulk > SIZE_MAX / 2 || p->pos + p->bulk + 2 > p->limits->max_query)
        return fail_size(p);
    p->state = IN_BULK;
    return RESP_MORE;
}

static enum resp_status bulk_body(struct resp_parser *p, const char *data, size_t n, struct resp_request *out)
{
    size_t end = p->pos + p->bulk;
    /* Redis skips two bytes here whatever they are. A client that sends others has lost count of its own bytes: what it
     * sends next must not be executed. */
    if ((end < n && data[end] != '\r') || (end + 1 < n && data[end + 1] != '\n'))
        return fail(p, "bulk is not followed by CRLF");
    if (end + 2 > n)
        return RESP_MORE;
    add_span(p, p->pos, p->bulk);
    p->pos = p->scanned = end + 2;
    if (p->nspans == p->announced)
        return ready(p, data, p->pos, out);
    p->state = IN_LENGTH;
    return RESP_MORE;
}

/* ---- the quick way ---- */

/* "<mark><number>CRLF" at *at, a number without sign, leading zero or more than eight digits; *at becomes what follows.
 * false: it is something else, or not whole. */
static inline bool quick_line(const char **at, const char *end, char mark, size_t *out)
{
    const char *c = *at;
    if (end - c < 4 || *c++ != mark || *c < '0' || *c > '9')
        return false;
    size_t v = (size_t)(*c++ - '0');
    if (*c != '\r') {
        if (v == 0)
            return false;
        const char *last = end - c > 8 ? c + 8 : end;
        while (c < last && *c >= '0' && *c <= '9')
            v = v * 10 + (size_t)(*c++ - '0');
    }
    if (end - c < 2 || c[0] != '\r' || c[1] != '\n')
        return false;
    *out = v;
    *at = c + 2;
    return true;
}

/* Room for `count` arguments behind the first `from`. false: there is none without moving these. */
static bool quick_room(struct resp_parser *p, size_t from, size_t count)
{
    if (p->argv_cap > KEPT_ARGS) /* start() gives that memory back */
        return false;
    if (from + count <= p->argv_cap)
        return true;
    if (from > 0)
        return false;
    p->argv_cap = count < QUICK_ARGS ? QUICK_ARGS : count;
    p->argv = mem_array(p->argv, p->argv_cap, sizeof *p->argv);
    return true;
}

/* A whole array of bulk strings, as nearly all requests are, in one pass; its arguments get into p->argv from `from`
 * on. Returns what follows it. NULL: it is anything else, or not whole, or breaks a rule; the states find out what, and
 * nothing has been changed for them. */
static const char *quick(struct resp_parser *p, const char *data, const char *end, size_t from, size_t *argc)
{
    const char *at = data;
    size_t count;
    if (!quick_line(&at, end, '*', &count) || count == 0 || count > KEPT_ARGS || count > p->limits->max_args ||
        !quick_room(p, from, count))
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t len;
        if (!quick_line(&at, end, '$', &len) || len > p->limits->max_bulk || (size_t)(end - at) < len + 2 ||
            at[len] != '\r' || at[len + 1] != '\n')
            return NULL;
        p->argv[from + i] = (struct slice){at, len};
        at += len + 2;
    }
    *argc = count;
    return (size_t)(at - data) <= p->limits->max_query ? at : NULL;
}

size_t resp_parse_ahead(struct resp_parser *p, const char *data, size_t n, struct resp_request *out, size_t max)
{
    const char *at = data, *end = data + n;
    size_t got = 0, args = 0;
    while (p->state == AT_START && got < max && at < end) {
        size_t argc;
        const char *next = quick(p, at, end, args, &argc);
        if (next == NULL)
            break;
        out[got++] = (struct resp_request){.argv = p->argv + args, .argc = argc, .consumed = (size_t)(next - at)};
        args += argc;
        at = next;
    }
    return got;
}

/* One step; RESP_MORE with a changed state means that the next step may find more. */
static enum resp_status step(struct resp_parser *p, const char *data, size_t n, struct resp_request *out)
{
    switch (p->state) {
    case AT_START:
        start(p);
        if (n > 0)
            p->state = data[0] == '*' ? IN_COUNT : IN_INLINE;
        return RESP_MORE;
    case IN_INLINE: return inline_line(p, data, n, out);
    case IN_COUNT: return count_line(p, data, n, out);
    case IN_LENGTH: return bulk_line(p, data, n);
    case IN_BULK: return bulk_body(p, data, n, out);
    case FAILED: break;
    }
    return RESP_ERROR;
}

enum resp_status resp_parse(struct resp_parser *p, const char *data, size_t n, struct resp_request *out)
{
    *out = (struct resp_request){0};
    if (resp_parse_ahead(p, data, n, out, 1) == 1)
        return RESP_READY;
    enum resp_status st;
    enum state before;
    do {
        before = p->state;
        st = step(p, data, n, out);
    } while (st == RESP_MORE && p->state != before);
    if (st == RESP_ERROR)
        out->error = p->error;
    return st;
}
