/* Strings that are numbers. */
#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/notify.h"
#include "noded/store/number.h"
#include "noded/store/string.h"

#include <math.h>

static void add(struct nd_call *c, int64_t by)
{
    struct nd_entry *e;
    int64_t v = 0;
    if (!nd_typed(c, c->argv[1], ND_STRING, ND_CHANGE, &e))
        return;
    if (e != NULL && !nd_string_number(&e->v, &v)) {
        nd_not_integer(c);
        return;
    }
    if (by < 0 ? v < INT64_MIN - by : v > INT64_MAX - by) {
        nd_error(c, "ERR increment or decrement would overflow");
        return;
    }
    v += by;
    if (e != NULL && e->v.enc == ND_ENC_INT) {
        e->v.num = v;
    } else {
        struct nd_value number = {.type = ND_STRING, .enc = ND_ENC_INT, .num = v};
        if (e != NULL)
            nd_db_set_value(c->db, e, number, nd_entry_expire(e));
        else
            nd_add_key(c, c->argv[1], number);
    }
    nd_changed(c, c->argv[1], 1);
    nd_notify(c, ND_EV_STRING, "incrby", c->argv[1]);
    reply_int(c->r, v);
}

static void incr(struct nd_call *c)
{
    add(c, 1);
}

static void decr(struct nd_call *c)
{
    add(c, -1);
}

static void incrby(struct nd_call *c)
{
    int64_t by;
    if (nd_arg_i64(c, 2, &by))
        add(c, by);
}

static void decrby(struct nd_call *c)
{
    int64_t by;
    if (!nd_arg_i64(c, 2, &by))
        return;
    if (by == INT64_MIN) {
        nd_error(c, "ERR decrement would overflow");
        return;
    }
    add(c, -by);
}

static bool float_or_error(struct nd_call *c, struct slice s, long double *out)
{
    if (nd_number_long_double(s, out))
        return true;
    nd_error(c, "ERR value is not a valid float");
    return false;
}

static void incrbyfloat(struct nd_call *c)
{
    struct nd_entry *e;
    long double v = 0, by;
    char tmp[ND_INT_TEXT], text[ND_LONG_DOUBLE_TEXT];
    if (!nd_typed(c, c->argv[1], ND_STRING, ND_CHANGE, &e) ||
        (e != NULL && !float_or_error(c, nd_string_slice(&e->v, tmp), &v)) || !float_or_error(c, c->argv[2], &by))
        return;
    v += by;
    if (isnan(v) || isinf(v)) {
        nd_error(c, "ERR increment would produce NaN or Infinity");
        return;
    }
    struct slice sum = {text, nd_number_long_double_text(v, text)};
    nd_put_string(c, e, c->argv[1], sum, false, e != NULL ? nd_entry_expire(e) : ND_NO_EXPIRE);
    nd_changed(c, c->argv[1], 1);
    nd_notify(c, ND_EV_STRING, "incrbyfloat", c->argv[1]);
    reply_bulk(c->r, sum.p, sum.n);
    /* Sums of floats differ from machine to machine. */
    struct slice words[] = {slice_of("SET"), c->argv[1], sum, slice_of("KEEPTTL")};
    nd_effect(c, 4, words);
}

#define ROW(word, args, arguments, text, version)                                                              \
    {                                                                                                          \
        .name = #word, .arity = (args), .flags = ND_WRITE | ND_DENYOOM | ND_FAST, .categories = ND_CAT_STRING, \
        .run = word, .keys = {{.flags = "RW ACCESS UPDATE", .first = 1, .step = 1}}, .syntax = (arguments),    \
        .summary = (text), .since = (version), .group = "string", .complexity = "O(1)"                         \
    }

const struct nd_command nd_string_number_commands[] = {
    ROW(decr, 2, "key", "Takes one from a whole number; a key that is not there counts as 0.", "1.0.0"),
    ROW(decrby, 3, "key decrement", "Takes a whole number from another; a key that is not there counts as 0.", "1.0.0"),
    ROW(incr, 2, "key", "Adds one to a whole number; a key that is not there counts as 0.", "1.0.0"),
    ROW(incrby, 3, "key increment", "Adds a whole number to another; a key that is not there counts as 0.", "1.0.0"),
    ROW(incrbyfloat, 3, "key increment{:double}",
        "Adds a number with a fraction to another; a key that is not there counts as 0.", "2.6.0"),
    {0},
};
