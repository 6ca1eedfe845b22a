/* Members from the ends of sorted sets: ZPOPMIN, ZPOPMAX, ZMPOP, and their forms that wait. */
#include "noded/cmd/engine.h"
#include "noded/cmd/notify.h"
#include "noded/cmd/zset.h"

#include <stdio.h>

struct popping {
    bool high;    /* from the high end */
    bool counted; /* COUNT or a count was meant, also of 1: the answer has a list */
    int64_t count;
    const struct slice *keys; /* n of them */
    size_t n;
};

/* Takes up to count members out and answers them, as pairs when nested. Returns how many. */
static size_t take(struct nd_call *c, struct slice key, struct nd_entry *e, const struct popping *p, bool nested)
{
    size_t length = nd_zset_length(&e->v), n = (uint64_t)p->count < length ? (size_t)p->count : length;
    size_t from = p->high ? length - n : 0;
    struct nd_zset_iter it;
    struct slice member;
    double score;
    if (nested)
        reply_array(c->r, n);
    nd_zset_iterate(&e->v, p->high ? length - 1 : 0, p->high, &it);
    for (size_t i = 0; i < n && nd_zset_next(&it, &member, &score); i++) {
        if (nested)
            reply_array(c->r, 2);
        reply_bulk(c->r, member.p, member.n);
        reply_double(c->r, score);
    }
    nd_zset_remove_range(&e->v, from, from + n);
    nd_zset_removed(c, key, e, n, p->high ? "zpopmax" : "zpopmin");
    return n;
}

/* ---- from one key ---- */

static void pop(struct nd_call *c, bool high)
{
    struct popping p = {.high = high, .counted = c->argc == 3, .count = 1};
    struct nd_entry *e;
    if (c->argc > 3) {
        nd_syntax_error(c);
        return;
    }
    if (p.counted && !nd_arg_range(c, 2, 0, INT64_MAX, &p.count, "ERR value is out of range, must be positive"))
        return;
    if (!nd_typed(c, c->argv[1], ND_ZSET, ND_CHANGE, &e))
        return;
    if (e == NULL || p.count == 0) {
        reply_array(c->r, 0);
        return;
    }
    bool nested = p.counted && c->r->proto >= 3;
    size_t length = nd_zset_length(&e->v), n = (uint64_t)p.count < length ? (size_t)p.count : length;
    if (!nested)
        reply_array(c->r, n * 2);
    take(c, c->argv[1], e, &p, nested);
}

static void zpopmin(struct nd_call *c)
{
    pop(c, false);
}

static void zpopmax(struct nd_call *c)
{
    pop(c, true);
}

/* ---- from the first of several keys ---- */

/* The copies get ZPOPMIN or ZPOPMAX of what was taken. */
static void pop_effect(struct nd_call *c, struct slice key, const struct popping *p, size_t n)
{
    char text[24];
    struct slice words[3] = {slice_of(p->high ? "ZPOPMAX" : "ZPOPMIN"), key};
    if (p->counted)
        words[2] = (struct slice){text, (size_t)snprintf(text, sizeof text, "%zu", n)};
    nd_effect(c, p->counted ? 3 : 2, words);
}

static void pop_with_key(struct nd_call *c, struct slice key, struct nd_entry *e, const struct popping *p)
{
    reply_array(c->r, p->counted ? 2 : 3);
    reply_bulk(c->r, key.p, key.n);
    size_t n = take(c, key, e, p, p->counted);
    pop_effect(c, key, p, n);
}

/* true: answered, with members or an error. */
static bool pop_first(struct nd_call *c, const struct popping *p)
{
    for (size_t i = 0; i < p->n; i++) {
        struct nd_entry *e;
        if (!nd_typed(c, p->keys[i], ND_ZSET, ND_CHANGE, &e))
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
    if (e == NULL || e->v.type != ND_ZSET)
        return false;
    pop_with_key(c, c->ready_key, e, p);
    return true;
}

static void timed_out(struct nd_call *c)
{
    reply_null_array(c->r);
}

static void pop_or_wait(struct nd_call *c, const struct popping *p, size_t timeout_arg)
{
    int64_t timeout_ms;
    if (!nd_arg_timeout(c, timeout_arg, &timeout_ms))
        return;
    if (c->ready_key.p != NULL ? pop_ready(c, p) : pop_first(c, p))
        return;
    if (nd_may_block(c))
        nd_block(c, ND_ZSET, p->keys, p->n, timeout_ms, timed_out);
    else
        timed_out(c);
}

static void blocking_pop(struct nd_call *c, bool high)
{
    struct popping p = {.high = high, .count = 1, .keys = c->argv + 1, .n = c->argc - 2};
    pop_or_wait(c, &p, c->argc - 1);
}

static void bzpopmin(struct nd_call *c)
{
    blocking_pop(c, false);
}

static void bzpopmax(struct nd_call *c)
{
    blocking_pop(c, true);
}

/* numkeys key [key ...] MIN|MAX [COUNT count], from argument i on. */
static bool mpop_args(struct nd_call *c, size_t i, struct popping *p)
{
    int64_t numkeys;
    if (!nd_arg_range(c, i, 1, INT64_MAX, &numkeys, "ERR numkeys should be greater than 0"))
        return false;
    size_t left = c->argc - i - 1;
    if ((uint64_t)numkeys >= left) {
        nd_syntax_error(c);
        return false;
    }
    *p = (struct popping){.counted = true, .keys = c->argv + i + 1, .n = (size_t)numkeys};
    i += p->n + 1;
    p->high = nd_arg_is(c, i, "MAX");
    if (!p->high && !nd_arg_is(c, i, "MIN")) {
        nd_syntax_error(c);
        return false;
    }
    for (i++; i < c->argc; i += 2) {
        if (p->count > 0 || i + 1 == c->argc || !nd_arg_is(c, i, "COUNT")) {
            nd_syntax_error(c);
            return false;
        }
        if (!nd_arg_range(c, i + 1, 1, INT64_MAX, &p->count, "ERR count should be greater than 0"))
            return false;
    }
    if (p->count == 0)
        p->count = 1;
    return true;
}

static void zmpop(struct nd_call *c)
{
    struct popping p;
    if (mpop_args(c, 1, &p) && !pop_first(c, &p))
        reply_null_array(c->r);
}

static void bzmpop(struct nd_call *c)
{
    struct popping p;
    if (mpop_args(c, 2, &p))
        pop_or_wait(c, &p, 1);
}

const struct nd_command nd_zset_pop_commands[] = {
    {.name = "zpopmin",
     .arity = -2,
     .flags = ND_WRITE | ND_FAST,
     .run = zpopmin,
     .keys = {ND_ZSET_KEY("RW ACCESS DELETE")},
     .syntax = "key [count]",
     .summary = "Takes the members with the lowest scores out and answers them.",
     .since = "5.0.0",
     .complexity = "O(log(N)*M) for M members that go out of N.",
     ND_ZSET_FAMILY},
    {.name = "zpopmax",
     .arity = -2,
     .flags = ND_WRITE | ND_FAST,
     .run = zpopmax,
     .keys = {ND_ZSET_KEY("RW ACCESS DELETE")},
     .syntax = "key [count]",
     .summary = "Takes the members with the highest scores out and answers them.",
     .since = "5.0.0",
     .complexity = "O(log(N)*M) for M members that go out of N.",
     ND_ZSET_FAMILY},
    {.name = "zmpop",
     .arity = -4,
     .flags = ND_WRITE | ND_MOVABLE_KEYS,
     .run = zmpop,
     .keys = {{.flags = "RW ACCESS DELETE", .first = 1, .keynum = 1, .step = 1}},
     .syntax = "numkeys key [key ...] <MIN | MAX>{where} [COUNT count]",
     .summary = "Takes members from an end of the first of several sorted sets that has any.",
     .since = "7.0.0",
     .complexity = "O(K)+O(M*log(N)) for K keys and M members that go out of N.",
     ND_ZSET_FAMILY},
    {.name = "bzpopmin",
     .arity = -3,
     .flags = ND_WRITE | ND_NOSCRIPT | ND_BLOCKING | ND_FAST,
     .run = bzpopmin,
     .keys = {{.flags = "RW ACCESS DELETE", .first = 1, .last = -2, .step = 1}},
     .syntax = "key [key ...] timeout",
     .summary = "Takes the lowest member of the first of several sorted sets that has any; waits for one.",
     .since = "5.0.0",
     .complexity = "O(log(N)) in a sorted set of N.",
     ND_ZSET_FAMILY},
    {.name = "bzpopmax",
     .arity = -3,
     .flags = ND_WRITE | ND_NOSCRIPT | ND_BLOCKING | ND_FAST,
     .run = bzpopmax,
     .keys = {{.flags = "RW ACCESS DELETE", .first = 1, .last = -2, .step = 1}},
     .syntax = "key [key ...] timeout",
     .summary = "Takes the highest member of the first of several sorted sets that has any; waits for one.",
     .since = "5.0.0",
     .complexity = "O(log(N)) in a sorted set of N.",
     ND_ZSET_FAMILY},
    {.name = "bzmpop",
     .arity = -5,
     .flags = ND_WRITE | ND_BLOCKING | ND_MOVABLE_KEYS,
     .run = bzmpop,
     .keys = {{.flags = "RW ACCESS DELETE", .first = 2, .keynum = 1, .step = 1}},
     .syntax = "timeout numkeys key [key ...] <MIN | MAX>{where} [COUNT count]",
     .summary = "Takes members from an end of the first of several sorted sets that has any; waits for one.",
     .since = "7.0.0",
     .complexity = "O(K)+O(M*log(N)) for K keys and M members that go out of N.",
     ND_ZSET_FAMILY},
    {0},
};
