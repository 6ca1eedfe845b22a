#include "noded/cmd/call.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/run.h"
#include "noded/cmd/syntax.h"
#include "noded/cmd/table.h"
#include "noded/store/number.h"
#include "noded/store/string.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void nd_error(struct nd_call *c, const char *fmt, ...)
{
    struct buf *out = c->r->out;
    size_t from = out->n;
    buf_putc(out, '-');
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(out, fmt, ap);
    va_end(ap);
    reply_end_line(out, from);
    nd_count_error(c->e, (struct slice){out->p + from + 1, out->n - from - 3});
    c->failed = true;
    if (c->s->kind == ND_MASTER)
        c->e->stats.unexpected_errors++; /* it did not fail there */
}

void nd_ok(struct nd_call *c)
{
    buf_put(c->r->out, "+OK\r\n", 5);
}

void nd_wrong_type(struct nd_call *c)
{
    nd_error(c, "WRONGTYPE Operation against a key holding the wrong kind of value");
}

void nd_syntax_error(struct nd_call *c)
{
    nd_error(c, "ERR syntax error");
}

void nd_no_key(struct nd_call *c)
{
    nd_error(c, "ERR no such key");
}

void nd_not_integer(struct nd_call *c)
{
    nd_error(c, "ERR value is not an integer or out of range");
}

void nd_arity_error(struct nd_call *c)
{
    nd_error(c, "ERR wrong number of arguments for '%s' command", c->row->full_name);
}

/* A name of a command in capitals, as messages show containers of subcommands. */
static const char *capitals(const char *name, char out[ND_NAME_MAX + 1])
{
    size_t i = 0;
    for (; i < ND_NAME_MAX && name[i] != '\0'; i++)
        out[i] = (char)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - ('a' - 'A') : name[i]);
    out[i] = '\0';
    return out;
}

static void subcommand_error(struct nd_call *c, const char *what)
{
    char name[ND_NAME_MAX + 1];
    const struct nd_indexed *top = c->row->parent != NULL ? c->row->parent : c->row;
    struct slice word = c->argc > 1 ? c->argv[1] : (struct slice){"", 0};
    nd_error(c, "ERR %s '%.*s'. Try %s HELP.", what, (int)(word.n < 128 ? word.n : 128), word.p,
             capitals(top->cmd->name, name));
}

void nd_unknown_subcommand(struct nd_call *c)
{
    subcommand_error(c, "unknown subcommand");
}

void nd_subcommand_syntax(struct nd_call *c)
{
    subcommand_error(c, "unknown subcommand or wrong number of arguments for");
}

void nd_value_reply(struct nd_call *c, const struct nd_value *v)
{
    char tmp[ND_INT_TEXT];
    struct slice s = nd_string_slice(v, tmp);
    reply_bulk(c->r, s.p, s.n);
}

void nd_help(struct nd_call *c)
{
    char name[ND_NAME_MAX + 1];
    const struct nd_command *top = c->row->parent != NULL ? c->row->parent->cmd : c->cmd;
    size_t lines = 3;
    for (const struct nd_command *sub = top->subs; sub->name != NULL; sub++)
        lines += slice_is(slice_of(sub->name), "help") ? 0 : 2;
    reply_array(c->r, lines);
    buf_printf(c->r->out, "+%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n",
               capitals(top->name, name));
    for (const struct nd_command *sub = top->subs; sub->name != NULL; sub++) {
        if (slice_is(slice_of(sub->name), "help"))
            continue;
        bool words = sub->syntax != NULL && sub->syntax[0] != '\0';
        buf_printf(c->r->out, "+%s%s", capitals(sub->name, name), words ? " " : "");
        if (words)
            nd_syntax_for_people(c->r->out, sub->syntax);
        buf_puts(c->r->out, "\r\n");
        buf_printf(c->r->out, "+    %s\r\n", sub->summary);
    }
    buf_puts(c->r->out, "+HELP\r\n+    Prints this help.\r\n");
}

bool nd_arg_i64(struct nd_call *c, size_t i, int64_t *out)
{
    if (text_i64(c->argv[i], out))
        return true;
    nd_not_integer(c);
    return false;
}

bool nd_arg_int(struct nd_call *c, size_t i, int64_t *out)
{
    int64_t v;
    if (!nd_arg_i64(c, i, &v))
        return false;
    if (v < INT32_MIN || v > INT32_MAX) {
        nd_error(c, "ERR value is out of range, value must between %d and %d", INT32_MIN, INT32_MAX);
        return false;
    }
    *out = v;
    return true;
}

bool nd_arg_range(struct nd_call *c, size_t i, int64_t min, int64_t max, int64_t *out, const char *error)
{
    int64_t v;
    if (!text_i64(c->argv[i], &v)) {
        if (error != NULL)
            nd_error(c, "%s", error);
        else
            nd_not_integer(c);
        return false;
    }
    if (v < min || v > max) {
        nd_error(c, "%s", error != NULL ? error : "ERR value is out of range");
        return false;
    }
    *out = v;
    return true;
}

bool nd_arg_double(struct nd_call *c, size_t i, double *out, const char *error)
{
    if (nd_number_double(c->argv[i], out))
        return true;
    nd_error(c, "%s", error != NULL ? error : "ERR value is not a valid float");
    return false;
}

bool nd_arg_is(const struct nd_call *c, size_t i, const char *word)
{
    return i < c->argc && slice_ieq(c->argv[i], word);
}

bool nd_arg_expire(struct nd_call *c, size_t i, int64_t unit_ms, bool absolute, bool positive_only, int64_t *out)
{
    int64_t v;
    if (!nd_arg_i64(c, i, &v))
        return false;
    bool fits = (!positive_only || v > 0) && v <= INT64_MAX / unit_ms && v >= INT64_MIN / unit_ms;
    if (fits) {
        v *= unit_ms;
        fits = absolute || v <= INT64_MAX - c->now_ms;
    }
    if (!fits) {
        nd_error(c, "ERR invalid expire time in '%s' command", c->row->full_name);
        return false;
    }
    *out = absolute ? v : v + c->now_ms;
    return true;
}

bool nd_arg_timeout(struct nd_call *c, size_t i, int64_t *ms)
{
    long double seconds;
    if (!nd_number_long_double(c->argv[i], &seconds)) {
        nd_error(c, "ERR timeout is not a float or out of range");
        return false;
    }
    long double in_ms = seconds * 1000;
    /* What is too big for a number of milliseconds has the same answer as what is below zero. */
    if (in_ms <= -1 || in_ms >= 0x1p63L) {
        nd_error(c, "ERR timeout is negative");
        return false;
    }
    int64_t whole = (int64_t)in_ms;
    *ms = whole + ((long double)whole < in_ms);
    return true;
}
