/* LPOP, RPOP, LMPOP, and their forms that wait. */
#include "noded/cmd/engine.h"
#include "noded/cmd/list.h"
#include "noded/cmd/notify.h"
#include "noded/store/list.h"

#include <stdio.h>

bool nd_list_side(struct nd_call *c, size_t i, bool *front)
{
    *front = nd_arg_is(c, i, "LEFT");
    if (*front || nd_arg_is(c, i, "RIGHT"))
        return true;
    nd_syntax_error(c);
    return false;
}

void nd_list_popped(struct nd_call *c, struct slice key, struct nd_entry *e, bool front, int64_t n)
{
    nd_notify(c, ND_EV_LIST, front ? "lpop" : "rpop", key);
    if (nd_list_length(&e->v) == 0)
        nd_drop_if_empty(c, e);
    nd_changed(c, key, n);
}

void nd_list_timeout(struct nd_call *c)
{
    reply_null_array(c->r);
}

static void take(struct nd_call *c, struct nd_entry *e, bool front)
{
    char tmp[ND_PACK_INT_TEXT];
    struct slice s = nd_list_end(&e->v, front, tmp);
    reply_bulk(c->r, s.p, s.n);
    nd_list_drop(&e->v, front);
}

/* Up to `count` elements as an array. Returns how many. */
static int64_t take_some(struct nd_call *c, struct nd_entry *e, bool front, int64_t count)
{
    int64_t length = (int64_t)nd_list_length(&e->v);
    if (count > length)
        count = length;
    reply_array(c->r, (size_t)count);
    for (int64_t i = 0; i < count; i++)
        take(c, e, front);
    return count;
}

/* ---- LPOP and RPOP ---- */

static void pop(struct nd_call *c, bool front)
{
    bool counted = c->argc == 3;
    int64_t count = 0;
    struct nd_entry *e;
    if (c->argc > 3) {
        nd_arity_error(c);
        return;
    }
    if (counted && !nd_arg_range(c, 2, 0, INT64_MAX, &count, "ERR value is out of range, must be positive"))
        return;
    if (!nd_typed(c, c->argv[1], ND_LIST, ND_CHANGE, &e))
        return;
    if (e == NULL && counted) {
        reply_null_array(c->r);
    } else if (e == NULL) {
        reply_null(c->r);
    } else if (counted && count == 0) {
        reply_array(c->r, 0);
    } else if (counted) {
        count = take_some(c, e, front, count);
        nd_list_popped(c, c->argv[1], e, front, count);
    } else {
        take(c, e, front);
        nd_list_popped(c, c->argv[1], e, front, 1);
    }
}

static void lpop(struct nd_call *c)
{
    pop(c, true);
}

static void rpop(struct nd_call *c)
{
    pop(c, false);
}

/* ---- from the first of several keys ---- */

struct popping {
    bool front;
    int64_t count;            /* 0: one element, not in an array (BLPOP) */
    const struct slice *keys; /* n of them */
    size_t n;
};

/* The copies get LPOP or RPOP of what was taken. */
static void pop_effect(struct nd_call *c, struct slice key, const struct popping *p, int64_t n)
{
    char text[24];
    struct slice words[3] = {slice_of(p->front ? "LPOP" : "RPOP"), key};
    if (p->count > 0)
        words[2] = (struct slice){text, (size_t)snprintf(text, sizeof text, "%lld", (long long)n)};
    nd_effect(c, p->count > 0 ? 3 : 2, words);
}

static void pop_with_key(struct nd_call *c, struct slice key, struct nd_entry *e, const struct popping *p)
{
    int64_t n = 1;
    reply_array(c->r, 2);
    reply_bulk(c->r, key.p, key.n);
    if (p->count > 0)
        n = take_some(c, e, p->front, p->count);
    else
        take(c, e, p->front);
    pop_effect(c, key, p, n);
    /* What a waiting BLPOP takes was counted when it was pushed; Redis counts BLMPOP's. */
    nd_list_popped(c, key, e, p->front, c->ready_key.p != NULL && p->count == 0 ? 0 : n);
}

/* true: answered, with elements or an error. */
static bool pop_first(struct nd_call *c, const struct popping *p)
{
    for (size_t i = 0; i < p->n; i++) {
        struct nd_entry *e;
        if (!nd_typed(c, p->keys[i], ND_LIST, ND_CHANGE, &e))
            return true;
        if (e != NULL) {
            pop_with_key(c, p->keys[i], e, p);
            return true;
        }
    }
    return false;
}

/* The key that woke the client is the only one looked at, and what it holds may be another type by now. */
static bool pop_ready(struct nd_call *c, const struct popping *p)
{
    struct nd_entry *e = nd_lookup(c, c->ready_key, ND_CHANGE);
    if (e == NULL || e->v.type != ND_LIST)
        return false;
    pop_with_key(c, c->ready_key, e, p);
    return true;
}

static void pop_or_wait(struct nd_call *c, const struct popping *p, size_t timeout_arg)
{
    int64_t timeout_ms;
    if (!nd_arg_timeout(c, timeout_arg, &timeout_ms))
        return;
    if (c->ready_key.p != NULL ? pop_ready(c, p) : pop_first(c, p))
        return;
    if (nd_may_block(c))
        nd_block(c, ND_LIST, p->keys, p->n, timeout_ms, nd_list_timeout);
    else
        nd_list_timeout(c);
}

static void blocking_pop(struct nd_call *c, bool front)
{
    struct popping p = {.front = front, .keys = c->argv + 1, .n = c->argc - 2};
    pop_or_wait(c, &p, c->argc - 1);
}

static void blpop(struct nd_call *c)
{
    blocking_pop(c, true);
}

static void brpop(struct nd_call *c)
{
    blocking_pop(c, false);
}

/* numkeys key [key ...] LEFT|RIGHT [COUNT count], from argument i on. */
static bool mpop_args(struct nd_call *c, size_t i, struct popping *p)
{
    int64_t numkeys;
    if (!nd_arg_range(c, i, 1, INT64_MAX, &numkeys, "ERR numkeys should be greater than 0"))
        return false;
    if ((uint64_t)numkeys >= c->argc - i - 1) {
        nd_syntax_error(c);
        return false;
    }
    p->keys = c->argv + i + 1;
    p->n = (size_t)numkeys;
    p->count = 0;
    i += p->n + 1;
    if (!nd_list_side(c, i++, &p->front))
        return false;
    while (i < c->argc) {
        if (p->count > 0 || i + 1 == c->argc || !nd_arg_is(c, i, "COUNT")) {
            nd_syntax_error(c);
            return false;
        }
        if (!nd_arg_range(c, i + 1, 1, INT64_MAX, &p->count, "ERR count should be greater than 0"))
            return false;
        i += 2;
    }
    if (p->count == 0)
        p->count = 1;
    return true;
}

static void lmpop(struct nd_call *c)
{
    struct popping p;
    if (mpop_args(c, 1, &p) && !pop_first(c, &p))
        reply_null_array(c->r);
}

static void blmpop(struct nd_call *c)
{
    struct popping p;
    if (mpop_args(c, 2, &p))
        pop_or_wait(c, &p, 1);
}

/* ---- rows ---- */

#define POP(word, from)                                                                                             \
    {                                                                                                               \
        .name = #word, .arity = -2, .flags = ND_WRITE | ND_FAST, .categories = ND_CAT_LIST, .run = word,            \
        .keys = ND_ONE_KEY("RW ACCESS DELETE"), .syntax = "key [count]{@6.2.0}",                                    \
        .summary = "Takes elements from the " from " of a list and shows them.", .since = "1.0.0", .group = "list", \
        .complexity = "O(N) for N elements taken"                                                                   \
    }
#define BLOCKING_POP(word, from)                                                                               \
    {                                                                                                          \
        .name = #word, .arity = -3, .flags = ND_WRITE | ND_NOSCRIPT | ND_BLOCKING, .categories = ND_CAT_LIST,  \
        .run = word, .keys = {{.flags = "RW ACCESS DELETE", .first = 1, .last = -2, .step = 1}},               \
        .syntax = "key [key ...] timeout",                                                                     \
        .summary = "Takes an element from the " from " of the first list that has one; waits while none has.", \
        .since = "2.0.0", .group = "list", .complexity = "O(N) for N keys"                                     \
    }

const struct nd_command nd_list_pop_commands[] = {
    {.name = "blmpop",
     .arity = -5,
     .flags = ND_WRITE | ND_BLOCKING | ND_MOVABLE_KEYS,
     .categories = ND_CAT_LIST,
     .run = blmpop,
     .keys = {{.flags = "RW ACCESS DELETE", .first = 2, .step = 1, .keynum = 1}},
     .syntax = "timeout numkeys key [key ...] <LEFT | RIGHT>{where} [COUNT count]",
     .summary = "Takes elements from the first list that has some; waits while none has.",
     .since = "7.0.0",
     .group = "list",
     .complexity = "O(N+M) for N keys and M elements taken"},
    BLOCKING_POP(blpop, "head"),
    BLOCKING_POP(brpop, "tail"),
    {.name = "lmpop",
     .arity = -4,
     .flags = ND_WRITE | ND_MOVABLE_KEYS,
     .categories = ND_CAT_LIST,
     .run = lmpop,
     .keys = {{.flags = "RW ACCESS DELETE", .first = 1, .step = 1, .keynum = 1}},
     .syntax = "numkeys key [key ...] <LEFT | RIGHT>{where} [COUNT count]",
     .summary = "Takes elements from the first list that has some.",
     .since = "7.0.0",
     .group = "list",
     .complexity = "O(N+M) for N keys and M elements taken"},
    POP(lpop, "head"),
    POP(rpop, "tail"),
    {0},
};
