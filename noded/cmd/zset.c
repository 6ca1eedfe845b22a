#include "noded/cmd/zset.h"

#include "common/base/mem.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/notify.h"
#include "noded/cmd/scan.h"

#include <stdio.h>
#include <stdlib.h>

static const struct nd_limits *limits(const struct nd_call *c)
{
    return &c->e->config.limits;
}

/* ---- what the other files share ---- */

void nd_zset_reply_header(struct nd_call *c, size_t n, bool with_scores)
{
    reply_array(c->r, with_scores && c->r->proto < 3 ? n * 2 : n);
}

void nd_zset_reply_member(struct nd_call *c, struct slice member, double score, bool with_scores)
{
    if (with_scores && c->r->proto >= 3)
        reply_array(c->r, 2);
    reply_bulk(c->r, member.p, member.n);
    if (with_scores)
        reply_double(c->r, score);
}

void nd_zset_reply_ranks(struct nd_call *c, const struct nd_value *v, size_t from, size_t to, bool backwards,
                         bool with_scores)
{
    struct nd_zset_iter it;
    struct slice member;
    double score;
    nd_zset_reply_header(c, to - from, with_scores);
    if (from == to)
        return;
    nd_zset_iterate(v, backwards ? to - 1 : from, backwards, &it);
    for (size_t n = to - from; n > 0 && nd_zset_next(&it, &member, &score); n--)
        nd_zset_reply_member(c, member, score, with_scores);
}

void nd_zset_removed(struct nd_call *c, struct slice key, struct nd_entry *e, size_t n, const char *event)
{
    if (n == 0)
        return;
    nd_changed(c, key, (int64_t)n);
    nd_notify(c, ND_EV_ZSET, event, key);
    nd_drop_if_empty(c, e);
}

/* ---- ZADD and ZINCRBY ---- */

struct adding {
    unsigned flags;
    bool changed_too; /* CH: those whose score changed are counted too */
    size_t first;     /* argument of the first score */
    size_t pairs;
};

static bool add_options(struct nd_call *c, struct adding *a, unsigned flags)
{
    static const struct {
        const char *word;
        unsigned flag;
    } words[] = {{"nx", ND_Z_NX}, {"xx", ND_Z_XX}, {"gt", ND_Z_GT}, {"lt", ND_Z_LT}, {"incr", ND_Z_INCR}};
    size_t i = 2;
    a->flags = flags;
    a->changed_too = false;
    for (; i < c->argc; i++) {
        size_t w = 0;
        /* A score begins with a digit, a sign or a point, "inf" aside; so one look is mostly enough. */
        if (c->argv[i].n < 2 || c->argv[i].n > 4 || c->argv[i].p[0] < 'A')
            break;
        while (w < sizeof words / sizeof words[0] && !slice_ieq(c->argv[i], words[w].word))
            w++;
        if (w < sizeof words / sizeof words[0])
            a->flags |= words[w].flag;
        else if (slice_ieq(c->argv[i], "ch"))
            a->changed_too = true;
        else
            break;
    }
    a->first = i;
    a->pairs = (c->argc - i) / 2;
    if (c->argc == i || (c->argc - i) % 2 != 0)
        nd_syntax_error(c);
    else if ((a->flags & ND_Z_NX) && (a->flags & ND_Z_XX))
        nd_error(c, "ERR XX and NX options at the same time are not compatible");
    else if (((a->flags & ND_Z_GT) != 0) + ((a->flags & ND_Z_LT) != 0) + ((a->flags & ND_Z_NX) != 0) > 1)
        nd_error(c, "ERR GT, LT, and/or NX options at the same time are not compatible");
    else if ((a->flags & ND_Z_INCR) && a->pairs > 1)
        nd_error(c, "ERR INCR option supports a single increment-element pair");
    else
        return true;
    return false;
}

/* Adds the pairs and answers. Nothing is done before all scores are known to be numbers. */
static void add(struct nd_call *c, const struct adding *a, const double *scores)
{
    struct slice key = c->argv[1];
    bool incr = a->flags & ND_Z_INCR;
    struct nd_entry *e;
    if (!nd_typed(c, key, ND_ZSET, ND_CHANGE, &e))
        return;
    int64_t added = 0, changed = 0;
    double score = 0;
    bool held = true;
    if (e == NULL && !(a->flags & ND_Z_XX))
        e = nd_add_key(c, key, nd_zset_new(c->argv[a->first + 1], limits(c)));
    for (size_t i = 0; e != NULL && i < a->pairs; i++) {
        score = scores[i];
        enum nd_zput put = nd_zset_put(&e->v, c->argv[a->first + 2 * i + 1], &score, a->flags, limits(c));
        if (put == ND_ZPUT_NAN) {
            nd_error(c, "ERR resulting score is not a number (NaN)");
            return;
        }
        added += put == ND_ZPUT_ADDED;
        changed += put == ND_ZPUT_CHANGED;
        held = put == ND_ZPUT_HELD;
    }
    if (added + changed > 0) {
        nd_changed(c, key, added + changed);
        nd_notify(c, ND_EV_ZSET, incr ? "zincr" : "zadd", key);
    }
    if (!incr)
        reply_int(c->r, a->changed_too ? added + changed : added);
    else if (held)
        reply_null(c->r);
    else
        reply_double(c->r, score);
}

#define FEW 16

static void add_pairs(struct nd_call *c, unsigned flags)
{
    struct adding a;
    double few[FEW], *scores = few;
    if (!add_options(c, &a, flags))
        return;
    if (a.pairs > FEW)
        scores = mem_array(NULL, a.pairs, sizeof *scores);
    size_t i = 0;
    while (i < a.pairs && nd_arg_double(c, a.first + 2 * i, &scores[i], NULL))
        i++;
    if (i == a.pairs)
        add(c, &a, scores);
    if (scores != few)
        free(scores);
}

static void zadd(struct nd_call *c)
{
    add_pairs(c, 0);
}

/* ZADD INCR by another name: the words that are options there are none as an increment here either. */
static void zincrby(struct nd_call *c)
{
    add_pairs(c, ND_Z_INCR);
}

static void zrem(struct nd_call *c)
{
    struct slice key = c->argv[1];
    struct nd_entry *e;
    if (!nd_typed(c, key, ND_ZSET, ND_CHANGE, &e))
        return;
    size_t removed = 0;
    for (size_t i = 2; e != NULL && i < c->argc; i++)
        removed += nd_zset_remove(&e->v, c->argv[i]);
    nd_zset_removed(c, key, e, removed, "zrem");
    reply_int(c->r, (int64_t)removed);
}

/* ---- asking ---- */

static void zcard(struct nd_call *c)
{
    struct nd_entry *e;
    if (nd_typed(c, c->argv[1], ND_ZSET, ND_READ, &e))
        reply_int(c->r, e != NULL ? (int64_t)nd_zset_length(&e->v) : 0);
}

static void reply_score(struct nd_call *c, const struct nd_entry *e, struct slice member)
{
    double score;
    if (e != NULL && nd_zset_score(&e->v, member, &score))
        reply_double(c->r, score);
    else
        reply_null(c->r);
}

static void zscore(struct nd_call *c)
{
    struct nd_entry *e;
    if (nd_typed(c, c->argv[1], ND_ZSET, ND_READ, &e))
        reply_score(c, e, c->argv[2]);
}

static void zmscore(struct nd_call *c)
{
    struct nd_entry *e;
    if (!nd_typed(c, c->argv[1], ND_ZSET, ND_READ, &e))
        return;
    reply_array(c->r, c->argc - 2);
    for (size_t i = 2; i < c->argc; i++)
        reply_score(c, e, c->argv[i]);
}

static void rank(struct nd_call *c, bool from_high_end)
{
    struct nd_entry *e;
    size_t at;
    double score;
    if (!nd_typed(c, c->argv[1], ND_ZSET, ND_READ, &e))
        return;
    if (e == NULL || !nd_zset_rank(&e->v, c->argv[2], &at, &score))
        reply_null(c->r);
    else
        reply_int(c->r, (int64_t)(from_high_end ? nd_zset_length(&e->v) - 1 - at : at));
}

static void zrank(struct nd_call *c)
{
    rank(c, false);
}

static void zrevrank(struct nd_call *c)
{
    rank(c, true);
}

struct scanning {
    const struct nd_scan *scan;
    struct nd_scan_found found;
    int64_t seen;
    bool packed;
};

static void scanned(void *owner, struct slice member, double score)
{
    struct scanning *s = owner;
    char text[ND_DOUBLE_TEXT];
    int64_t whole;
    s->seen++;
    if (!nd_scan_fits(s->scan, member))
        return;
    nd_scan_put(&s->found, member);
    /* A listpack has whole scores as numbers, and Redis shows them here as they stand. */
    size_t n = s->packed && nd_number_whole(score, &whole)
                   ? (size_t)snprintf(text, sizeof text, "%lld", (long long)whole)
                   : nd_number_double_text(score, text);
    nd_scan_put(&s->found, (struct slice){text, n});
}

#define SCAN_ROUNDS 10 /* steps for each element asked for, so that a sparse table does not make a call long */

static void zscan(struct nd_call *c)
{
    struct nd_scan scan;
    struct nd_entry *e;
    if (!nd_scan_open(c, ND_ZSET, &scan, &e))
        return;
    struct scanning s = {.scan = &scan, .packed = e->v.enc == ND_ENC_LISTPACK};
    nd_scan_begin(c, &s.found);
    uint64_t cursor = scan.cursor;
    int64_t rounds = scan.count < INT64_MAX / SCAN_ROUNDS ? scan.count * SCAN_ROUNDS : INT64_MAX;
    do
        cursor = nd_zset_scan(&e->v, cursor, scanned, &s);
    while (cursor != 0 && s.seen < scan.count && --rounds > 0);
    nd_scan_end(c, &s.found, cursor);
}

const struct nd_command nd_zset_commands[] = {
    {.name = "zadd",
     .arity = -4,
     .flags = ND_WRITE | ND_DENYOOM | ND_FAST,
     .run = zadd,
     .keys = {ND_ZSET_KEY("RW UPDATE")},
     .syntax = "key [NX | XX]{condition @3.0.2} [GT | LT]{comparison @6.2.0} [CH]{change @3.0.2} "
               "[INCR]{increment @3.0.2} score member [score member ...]",
     .summary = "Adds members with their scores to a sorted set, or gives those that are there other scores.",
     .since = "1.2.0",
     .complexity = "O(log(N)) for each member, in a sorted set of N.",
     ND_ZSET_FAMILY},
    {.name = "zincrby",
     .arity = 4,
     .flags = ND_WRITE | ND_DENYOOM | ND_FAST,
     .run = zincrby,
     .keys = {ND_ZSET_KEY("RW ACCESS UPDATE")},
     .syntax = "key increment member",
     .summary = "Adds to the score of a member, which begins with 0.",
     .since = "1.2.0",
     .complexity = "O(log(N)) in a sorted set of N.",
     ND_ZSET_FAMILY},
    {.name = "zrem",
     .arity = -3,
     .flags = ND_WRITE | ND_FAST,
     .run = zrem,
     .keys = {ND_ZSET_KEY("RW DELETE")},
     .syntax = "key member [member ...]",
     .summary = "Takes members out of a sorted set; an empty one is deleted.",
     .since = "1.2.0",
     .complexity = "O(log(N)) for each member, in a sorted set of N.",
     ND_ZSET_FAMILY},
    {.name = "zcard",
     .arity = 2,
     .flags = ND_READONLY | ND_FAST,
     .run = zcard,
     .keys = {ND_ZSET_KEY("RO")},
     .syntax = "key",
     .summary = "Counts the members of a sorted set.",
     .since = "1.2.0",
     .complexity = "O(1)",
     ND_ZSET_FAMILY},
    {.name = "zscore",
     .arity = 3,
     .flags = ND_READONLY | ND_FAST,
     .run = zscore,
     .keys = {ND_ZSET_KEY("RO ACCESS")},
     .syntax = "key member",
     .summary = "Shows the score of a member.",
     .since = "1.2.0",
     .complexity = "O(1)",
     ND_ZSET_FAMILY},
    {.name = "zmscore",
     .arity = -3,
     .flags = ND_READONLY | ND_FAST,
     .run = zmscore,
     .keys = {ND_ZSET_KEY("RO ACCESS")},
     .syntax = "key member [member ...]",
     .summary = "Shows the scores of several members.",
     .since = "6.2.0",
     .complexity = "O(1) for each member.",
     ND_ZSET_FAMILY},
    {.name = "zrank",
     .arity = 3,
     .flags = ND_READONLY | ND_FAST,
     .run = zrank,
     .keys = {ND_ZSET_KEY("RO ACCESS")},
     .syntax = "key member",
     .summary = "Says how many members have a lower place.",
     .since = "2.0.0",
     .complexity = "O(log(N)) in a sorted set of N.",
     ND_ZSET_FAMILY},
    {.name = "zrevrank",
     .arity = 3,
     .flags = ND_READONLY | ND_FAST,
     .run = zrevrank,
     .keys = {ND_ZSET_KEY("RO ACCESS")},
     .syntax = "key member",
     .summary = "Says how many members have a higher place.",
     .since = "2.0.0",
     .complexity = "O(log(N)) in a sorted set of N.",
     ND_ZSET_FAMILY},
    {.name = "zscan",
     .arity = -3,
     .flags = ND_READONLY,
     .run = zscan,
     .keys = {ND_ZSET_KEY("RO ACCESS")},
     .syntax = "key cursor [MATCH pattern] [COUNT count]",
     .summary = "Walks over the members of a sorted set and their scores with a cursor.",
     .since = "2.8.0",
     .complexity = "O(1) for each call, O(N) for the whole walk over N members.",
     .tips = "nondeterministic_output",
     ND_ZSET_FAMILY},
    {0},
};
