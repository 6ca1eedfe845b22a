/* Hash commands that name their fields. */
#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/notify.h"
#include "noded/store/hash.h"
#include "noded/store/number.h"

#include "common/base/text.h"

#include <math.h>
#include <stdio.h>

/* ---- reading ---- */

static void reply_field(struct nd_call *c, const struct nd_entry *e, struct slice field)
{
    char tmp[ND_PACK_INT_TEXT];
    struct slice value;
    if (e != NULL && nd_hash_get(&e->v, field, &value, tmp))
        reply_bulk(c->r, value.p, value.n);
    else
        reply_null(c->r);
}

static void hget(struct nd_call *c)
{
    struct nd_entry *e;
    if (nd_typed(c, c->argv[1], ND_HASH, ND_READ, &e))
        reply_field(c, e, c->argv[2]);
}

static void hmget(struct nd_call *c)
{
    struct nd_entry *e;
    if (!nd_typed(c, c->argv[1], ND_HASH, ND_READ, &e))
        return;
    reply_array(c->r, c->argc - 2);
    for (size_t i = 2; i < c->argc; i++)
        reply_field(c, e, c->argv[i]);
}

static void hlen(struct nd_call *c)
{
    struct nd_entry *e;
    if (nd_typed(c, c->argv[1], ND_HASH, ND_READ, &e))
        reply_int(c->r, e != NULL ? (int64_t)nd_hash_length(&e->v) : 0);
}

/* The value of argument 2's field. false: answered; or no such field, then the answer is 0. */
static bool find_field(struct nd_call *c, struct slice *value, char tmp[ND_PACK_INT_TEXT])
{
    struct nd_entry *e;
    if (!nd_typed(c, c->argv[1], ND_HASH, ND_READ, &e))
        return false;
    if (e != NULL && nd_hash_get(&e->v, c->argv[2], value, tmp))
        return true;
    reply_int(c->r, 0);
    return false;
}

static void hstrlen(struct nd_call *c)
{
    char tmp[ND_PACK_INT_TEXT];
    struct slice value;
    if (find_field(c, &value, tmp))
        reply_int(c->r, (int64_t)value.n);
}

static void hexists(struct nd_call *c)
{
    char tmp[ND_PACK_INT_TEXT];
    struct slice value;
    if (find_field(c, &value, tmp))
        reply_int(c->r, 1);
}

/* ---- writing ---- */

static bool small_enough(struct nd_call *c, size_t from)
{
    for (size_t i = from; i < c->argc; i++) {
        if (c->argv[i].n > ND_HASH_BYTES_MAX) {
            nd_error(c, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
            return false;
        }
    }
    return true;
}

/* Sets a field; the key is made when it is not there, and *e is then its entry. true: the field is new. */
static bool set_field(struct nd_call *c, struct nd_entry **e, struct slice field, struct slice value)
{
    const struct nd_limits *limits = &c->e->config.limits;
    if (*e != NULL)
        return nd_hash_set(&(*e)->v, limits, field, value);
    struct nd_value v = nd_hash_new();
    nd_hash_set(&v, limits, field, value);
    *e = nd_add_key(c, c->argv[1], v);
    return true;
}

/* The fields and values from argument 2 on. Returns how many fields are new; -1: an error was answered. */
static int64_t set_fields(struct nd_call *c)
{
    struct nd_entry *e;
    if (c->argc % 2 != 0) {
        nd_arity_error(c);
        return -1;
    }
    if (!nd_typed(c, c->argv[1], ND_HASH, ND_CHANGE, &e) || !small_enough(c, 2))
        return -1;
    int64_t fresh = 0;
    for (size_t i = 2; i < c->argc; i += 2)
        fresh += set_field(c, &e, c->argv[i], c->argv[i + 1]);
    nd_notify(c, ND_EV_HASH, "hset", c->argv[1]);
    nd_changed(c, c->argv[1], (int64_t)(c->argc - 2) / 2);
    return fresh;
}

static void hset(struct nd_call *c)
{
    int64_t fresh = set_fields(c);
    if (fresh >= 0)
        reply_int(c->r, fresh);
}

static void hmset(struct nd_call *c)
{
    if (set_fields(c) >= 0)
        nd_ok(c);
}

static void hsetnx(struct nd_call *c)
{
    char tmp[ND_PACK_INT_TEXT];
    struct slice value;
    struct nd_entry *e;
    if (!nd_typed(c, c->argv[1], ND_HASH, ND_CHANGE, &e) || !small_enough(c, 2))
        return;
    if (e != NULL && nd_hash_get(&e->v, c->argv[2], &value, tmp)) {
        reply_int(c->r, 0);
        return;
    }
    set_field(c, &e, c->argv[2], c->argv[3]);
    reply_int(c->r, 1);
    nd_notify(c, ND_EV_HASH, "hset", c->argv[1]);
    nd_changed(c, c->argv[1], 1);
}

static void hdel(struct nd_call *c)
{
    struct nd_entry *e;
    int64_t gone = 0;
    if (!nd_typed(c, c->argv[1], ND_HASH, ND_CHANGE, &e))
        return;
    for (size_t i = 2; e != NULL && i < c->argc; i++)
        gone += nd_hash_remove(&e->v, c->argv[i]);
    reply_int(c->r, gone);
    if (gone == 0)
        return;
    nd_notify(c, ND_EV_HASH, "hdel", c->argv[1]);
    if (nd_hash_length(&e->v) == 0)
        nd_drop_if_empty(c, e);
    nd_changed(c, c->argv[1], gone);
}

/* ---- counting ---- */

static void hincrby(struct nd_call *c)
{
    char tmp[ND_PACK_INT_TEXT], text[ND_PACK_INT_TEXT];
    struct slice old;
    struct nd_entry *e;
    int64_t add, v = 0;
    if (!nd_arg_i64(c, 3, &add) || !nd_typed(c, c->argv[1], ND_HASH, ND_CHANGE, &e) || !small_enough(c, 2))
        return;
    if (e != NULL && nd_hash_get(&e->v, c->argv[2], &old, tmp) && !text_i64(old, &v)) {
        nd_error(c, "ERR hash value is not an integer");
        return;
    }
    if (add > 0 ? v > INT64_MAX - add : v < INT64_MIN - add) {
        nd_error(c, "ERR increment or decrement would overflow");
        return;
    }
    v += add;
    int n = snprintf(text, sizeof text, "%lld", (long long)v);
    set_field(c, &e, c->argv[2], (struct slice){text, (size_t)n});
    reply_int(c->r, v);
    nd_notify(c, ND_EV_HASH, "hincrby", c->argv[1]);
    nd_changed(c, c->argv[1], 1);
}

/* The sum depends on how the machine adds, so the copies are told what came out. */
static void hincrbyfloat(struct nd_call *c)
{
    char tmp[ND_PACK_INT_TEXT], text[ND_LONG_DOUBLE_TEXT];
    struct slice old;
    struct nd_entry *e;
    long double add, v = 0;
    if (!nd_number_long_double(c->argv[3], &add)) {
        nd_error(c, "ERR value is not a valid float");
        return;
    }
    if (isinf(add)) {
        nd_error(c, "ERR value is NaN or Infinity");
        return;
    }
    if (!nd_typed(c, c->argv[1], ND_HASH, ND_CHANGE, &e) || !small_enough(c, 2))
        return;
    if (e != NULL && nd_hash_get(&e->v, c->argv[2], &old, tmp) && !nd_number_long_double(old, &v)) {
        nd_error(c, "ERR hash value is not a float");
        return;
    }
    v += add;
    if (isnan(v) || isinf(v)) {
        nd_error(c, "ERR increment would produce NaN or Infinity");
        return;
    }
    struct slice sum = {text, nd_number_long_double_text(v, text)};
    set_field(c, &e, c->argv[2], sum);
    reply_bulk(c->r, sum.p, sum.n);
    struct slice effect[] = {slice_of("HSET"), c->argv[1], c->argv[2], sum};
    nd_effect(c, 4, effect);
    nd_notify(c, ND_EV_HASH, "hincrbyfloat", c->argv[1]);
    nd_changed(c, c->argv[1], 1);
}

/* ---- rows ---- */

#define ROW(word, args, bits, access, arguments, text, version, cost)                                   \
    {                                                                                                   \
        .name = #word, .arity = (args), .flags = (bits), .categories = ND_CAT_HASH, .run = word,        \
        .keys = {{.flags = (access), .first = 1, .step = 1}}, .syntax = (arguments), .summary = (text), \
        .since = (version), .group = "hash", .complexity = (cost)                                       \
    }
#define FAST_WRITE (ND_WRITE | ND_DENYOOM | ND_FAST)
#define FAST_READ (ND_READONLY | ND_FAST)

const struct nd_command nd_hash_commands[] = {
    ROW(hdel, -3, ND_WRITE | ND_FAST, "RW DELETE", "key field [field ...]", "Deletes fields of a hash.", "2.0.0",
        "O(N) for N fields"),
    ROW(hexists, 3, FAST_READ, "RO", "key field", "Tells whether a hash has a field.", "2.0.0", "O(1)"),
    ROW(hget, 3, FAST_READ, "RO ACCESS", "key field", "Shows the value of a field of a hash.", "2.0.0", "O(1)"),
    ROW(hincrby, 4, FAST_WRITE, "RW ACCESS UPDATE", "key field increment",
        "Adds to the whole number in a field of a hash; a field that is not there counts as 0.", "2.0.0", "O(1)"),
    ROW(hincrbyfloat, 4, FAST_WRITE, "RW ACCESS UPDATE", "key field increment{:double}",
        "Adds to the number in a field of a hash, with a fraction; a field that is not there counts as 0.", "2.6.0",
        "O(1)"),
    ROW(hlen, 2, FAST_READ, "RO", "key", "Shows how many fields a hash has.", "2.0.0", "O(1)"),
    ROW(hmget, -3, FAST_READ, "RO ACCESS", "key field [field ...]", "Shows the values of fields of a hash.", "2.0.0",
        "O(N) for N fields"),
    ROW(hmset, -4, FAST_WRITE, "RW UPDATE", "key field value [field value ...]", "Sets fields of a hash.", "2.0.0",
        "O(N) for N fields"),
    ROW(hset, -4, FAST_WRITE, "RW UPDATE", "key field value [field value ...]",
        "Sets fields of a hash and tells how many of them are new.", "2.0.0", "O(N) for N fields"),
    ROW(hsetnx, 4, FAST_WRITE, "RW INSERT", "key field value", "Sets a field of a hash unless it is there.", "2.0.0",
        "O(1)"),
    ROW(hstrlen, 3, FAST_READ, "RO", "key field", "Shows how many bytes the value of a field of a hash has.", "3.2.0",
        "O(1)"),
    {0},
};
