#include "noded/cmd/list.h"

#include "noded/cmd/engine.h"
#include "noded/cmd/notify.h"
#include "noded/store/list.h"

struct nd_entry *nd_list_begin(struct nd_call *c, struct slice key, bool front, struct slice s)
{
    struct nd_value v = nd_list_new(&c->e->config.limits);
    nd_list_push(&v, front, s);
    return nd_add_key(c, key, v);
}

/* ---- LPUSH, RPUSH, LPUSHX, RPUSHX ---- */

static void push(struct nd_call *c, bool front, bool must_exist)
{
    struct slice key = c->argv[1];
    struct nd_entry *e;
    if (!nd_typed(c, key, ND_LIST, ND_CHANGE, &e))
        return;
    size_t i = 2;
    if (e == NULL) {
        if (must_exist) {
            reply_int(c->r, 0);
            return;
        }
        e = nd_list_begin(c, key, front, c->argv[i++]);
    }
    for (; i < c->argc; i++)
        nd_list_push(&e->v, front, c->argv[i]);
    reply_int(c->r, (int64_t)nd_list_length(&e->v));
    nd_notify(c, ND_EV_LIST, front ? "lpush" : "rpush", key);
    nd_changed(c, key, (int64_t)c->argc - 2);
}

static void lpush(struct nd_call *c)
{
    push(c, true, false);
}

static void rpush(struct nd_call *c)
{
    push(c, false, false);
}

static void lpushx(struct nd_call *c)
{
    push(c, true, true);
}

static void rpushx(struct nd_call *c)
{
    push(c, false, true);
}

/* ---- one element ---- */

static void llen(struct nd_call *c)
{
    struct nd_entry *e;
    if (nd_typed(c, c->argv[1], ND_LIST, ND_READ, &e))
        reply_int(c->r, e != NULL ? (int64_t)nd_list_length(&e->v) : 0);
}

static void lindex(struct nd_call *c)
{
    struct nd_entry *e;
    int64_t index;
    if (!nd_typed(c, c->argv[1], ND_LIST, ND_READ, &e))
        return;
    if (e == NULL) {
        reply_null(c->r);
        return;
    }
    if (!nd_arg_i64(c, 2, &index))
        return;
    struct nd_list_at at;
    if (!nd_list_seek(&e->v, index, &at)) {
        reply_null(c->r);
        return;
    }
    char tmp[ND_PACK_INT_TEXT];
    struct slice s = nd_list_get(&at, tmp);
    reply_bulk(c->r, s.p, s.n);
}

static void lset(struct nd_call *c)
{
    struct nd_entry *e;
    int64_t index;
    if (!nd_typed(c, c->argv[1], ND_LIST, ND_CHANGE, &e))
        return;
    if (e == NULL) {
        nd_no_key(c);
        return;
    }
    if (!nd_arg_i64(c, 2, &index))
        return;
    struct nd_list_at at;
    if (!nd_list_seek(&e->v, index, &at)) {
        nd_error(c, "ERR index out of range");
        return;
    }
    nd_list_replace(&e->v, &at, c->argv[3]);
    nd_ok(c);
    nd_notify(c, ND_EV_LIST, "lset", c->argv[1]);
    nd_changed(c, c->argv[1], 1);
}

/* ---- ranges ---- */

/* Arguments 2 and 3: first and last index, negative from the end. */
static bool range_args(struct nd_call *c, int64_t *first, int64_t *last)
{
    return nd_arg_i64(c, 2, first) && nd_arg_i64(c, 3, last);
}

/* The same within a list of `length` elements. Returns how many elements it spans; *first is then in range. */
static size_t range_span(size_t length, int64_t *first, int64_t last)
{
    int64_t n = (int64_t)length;
    if (*first < 0)
        *first = *first < -n ? 0 : *first + n;
    if (last < 0)
        last += n;
    if (last >= n)
        last = n - 1;
    return last < *first ? 0 : (size_t)(last - *first + 1);
}

static void lrange(struct nd_call *c)
{
    struct nd_entry *e;
    int64_t first, last;
    if (!range_args(c, &first, &last) || !nd_typed(c, c->argv[1], ND_LIST, ND_READ, &e))
        return;
    size_t n = e != NULL ? range_span(nd_list_length(&e->v), &first, last) : 0;
    reply_array(c->r, n);
    struct nd_list_at at;
    if (n == 0 || !nd_list_seek(&e->v, first, &at))
        return;
    char tmp[ND_PACK_INT_TEXT];
    for (;;) {
        struct slice s = nd_list_get(&at, tmp);
        reply_bulk(c->r, s.p, s.n);
        if (--n == 0)
            return;
        nd_list_step(&at, false);
    }
}

static void ltrim(struct nd_call *c)
{
    struct nd_entry *e;
    int64_t first, last;
    if (!range_args(c, &first, &last) || !nd_typed(c, c->argv[1], ND_LIST, ND_CHANGE, &e))
        return;
    nd_ok(c);
    if (e == NULL)
        return;
    size_t length = nd_list_length(&e->v), kept = range_span(length, &first, last);
    size_t in_front = kept > 0 ? (size_t)first : length, behind = length - in_front - kept;
    if (behind > 0)
        nd_list_remove_range(&e->v, in_front + kept, behind);
    if (in_front > 0)
        nd_list_remove_range(&e->v, 0, in_front);
    nd_notify(c, ND_EV_LIST, "ltrim", c->argv[1]);
    nd_drop_if_empty(c, e);
    nd_changed(c, c->argv[1], (int64_t)(length - kept));
}

/* ---- rows ---- */

#define PUSH(word, to, when, version)                                                                                 \
    {                                                                                                                 \
        .name = #word, .arity = -3, .flags = ND_WRITE | ND_DENYOOM | ND_FAST, .categories = ND_CAT_LIST, .run = word, \
        .keys = ND_ONE_KEY("RW INSERT"), .syntax = "key element [element ...]",                                       \
        .summary = "Adds elements " to " of a list" when ".", .since = version, .group = "list",                      \
        .complexity = "O(1) for each element"                                                                         \
    }

const struct nd_command nd_list_commands[] = {
    {.name = "lindex",
     .arity = 3,
     .flags = ND_READONLY,
     .categories = ND_CAT_LIST,
     .run = lindex,
     .keys = ND_ONE_KEY("RO ACCESS"),
     .syntax = "key index",
     .summary = "Shows the element at a place of a list; negative places count from the tail.",
     .since = "1.0.0",
     .group = "list",
     .complexity = "O(N) for N elements from the nearer end to the place"},
    {.name = "llen",
     .arity = 2,
     .flags = ND_READONLY | ND_FAST,
     .categories = ND_CAT_LIST,
     .run = llen,
     .keys = ND_ONE_KEY("RO"),
     .syntax = "key",
     .summary = "Shows how many elements a list has.",
     .since = "1.0.0",
     .group = "list",
     .complexity = "O(1)"},
    PUSH(lpush, "in front", "", "1.0.0"),
    PUSH(lpushx, "in front", " that is there already", "2.2.0"),
    {.name = "lrange",
     .arity = 4,
     .flags = ND_READONLY,
     .categories = ND_CAT_LIST,
     .run = lrange,
     .keys = ND_ONE_KEY("RO ACCESS"),
     .syntax = "key start stop",
     .summary = "Shows the elements between two places of a list, both included.",
     .since = "1.0.0",
     .group = "list",
     .complexity = "O(S+N) for S elements from the nearer end to the first place and N elements shown"},
    {.name = "lset",
     .arity = 4,
     .flags = ND_WRITE | ND_DENYOOM,
     .categories = ND_CAT_LIST,
     .run = lset,
     .keys = ND_ONE_KEY("RW UPDATE"),
     .syntax = "key index element",
     .summary = "Puts another element at a place of a list.",
     .since = "1.0.0",
     .group = "list",
     .complexity = "O(N) for N elements from the nearer end to the place"},
    {.name = "ltrim",
     .arity = 4,
     .flags = ND_WRITE,
     .categories = ND_CAT_LIST,
     .run = ltrim,
     .keys = ND_ONE_KEY("RW DELETE"),
     .syntax = "key start stop",
     .summary = "Keeps only what is between two places of a list, both included.",
     .since = "1.0.0",
     .group = "list",
     .complexity = "O(N) for N elements taken out"},
    PUSH(rpush, "behind the tail", "", "1.0.0"),
    PUSH(rpushx, "behind the tail", " that is there already", "2.2.0"),
    {0},
};
