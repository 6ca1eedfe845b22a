#include "noded/cmd/scan.h"

#include "common/base/text.h"

#include <string.h>

/* A cursor is read as C's strtoul() reads it, which clients have come to know: up to the first NUL, with or without a
 * sign
 * ("-1" is the largest), an empty one is 0; but no white space in front. */
static bool cursor_of(struct slice s, uint64_t *out)
{
    const char *nul = s.n > 0 ? memchr(s.p, '\0', s.n) : NULL;
    if (nul != NULL)
        s.n = (size_t)(nul - s.p);
    if (s.n == 0) {
        *out = 0;
        return true;
    }
    size_t at = s.p[0] == '-' || s.p[0] == '+';
    if (at == s.n)
        return false;
    uint64_t v = 0;
    for (; at < s.n; at++) {
        unsigned digit = (unsigned)(s.p[at] - '0');
        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = s.p[0] == '-' ? 0 - v : v;
    return true;
}

static bool scan_cursor(struct nd_call *c, size_t i, uint64_t *out)
{
    if (cursor_of(c->argv[i], out))
        return true;
    nd_error(c, "ERR invalid cursor");
    return false;
}

static bool scan_options(struct nd_call *c, size_t i, bool with_type, struct nd_scan *out)
{
    out->count = 10;
    out->match = out->typed = false;
    for (; i < c->argc; i += 2) {
        bool has_value = i + 1 < c->argc;
        if (has_value && nd_arg_is(c, i, "COUNT")) {
            if (!nd_arg_i64(c, i + 1, &out->count))
                return false;
            if (out->count < 1) {
                nd_syntax_error(c);
                return false;
            }
        } else if (has_value && nd_arg_is(c, i, "MATCH")) {
            out->pattern = c->argv[i + 1];
            out->match = !slice_is(out->pattern, "*");
        } else if (has_value && with_type && nd_arg_is(c, i, "TYPE")) {
            out->typed = true;
            out->type = ND_STRING;
            while (out->type < ND_TYPES && !slice_ieq(c->argv[i + 1], nd_type_name(out->type)))
                out->type++;
        } else {
            nd_syntax_error(c);
            return false;
        }
    }
    return true;
}

bool nd_scan_args(struct nd_call *c, size_t first, struct nd_scan *out)
{
    return scan_cursor(c, first, &out->cursor) && scan_options(c, first + 1, first == 1, out);
}

bool nd_scan_open(struct nd_call *c, enum nd_type type, struct nd_scan *out, struct nd_entry **e)
{
    if (!scan_cursor(c, 2, &out->cursor) || !nd_typed(c, c->argv[1], type, ND_READ, e))
        return false;
    if (*e == NULL) {
        struct nd_scan_found none;
        nd_scan_begin(c, &none);
        nd_scan_end(c, &none, 0);
        return false;
    }
    return scan_options(c, 3, false, out);
}

bool nd_scan_fits(const struct nd_scan *s, struct slice element)
{
    return !s->match || text_glob(s->pattern, element, false);
}

void nd_scan_begin(struct nd_call *c, struct nd_scan_found *found)
{
    *found = (struct nd_scan_found){.r = {.proto = c->r->proto}};
    found->r.out = &found->buf;
}

void nd_scan_put(struct nd_scan_found *found, struct slice element)
{
    reply_bulk(&found->r, element.p, element.n);
    found->n++;
}

void nd_scan_end(struct nd_call *c, struct nd_scan_found *found, uint64_t cursor)
{
    reply_array(c->r, 2);
    reply_bulkf(c->r, "%llu", (unsigned long long)cursor);
    reply_array(c->r, found->n);
    buf_put(c->r->out, found->buf.p, found->buf.n);
    buf_free(&found->buf);
}
