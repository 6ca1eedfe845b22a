/* Ranges of sorted sets: shown, stored, counted, removed. Whatever a range is said in, it becomes a range of ranks. */
#include "noded/cmd/engine.h"
#include "noded/cmd/notify.h"
#include "noded/cmd/stored.h"
#include "noded/cmd/zset.h"

enum by { BY_UNSAID, BY_RANK, BY_SCORE, BY_LEX };
enum way { WAY_UNSAID, WAY_UP, WAY_DOWN };

struct range {
    enum by by;
    enum way way;
    bool with_scores;
    int64_t offset, limit; /* limit below 0: none */
    int64_t start, stop;
    struct nd_zrange scores;
    struct nd_zlex lex;
};

/* ---- reading the arguments ---- */

static bool range_options(struct nd_call *c, size_t i, bool stored, struct range *r)
{
    for (; i < c->argc; i++) {
        if (!stored && nd_arg_is(c, i, "WITHSCORES")) {
            r->with_scores = true;
        } else if (nd_arg_is(c, i, "LIMIT") && c->argc - i > 2) {
            if (!nd_arg_i64(c, i + 1, &r->offset) || !nd_arg_i64(c, i + 2, &r->limit))
                return false;
            i += 2;
        } else if (r->way == WAY_UNSAID && nd_arg_is(c, i, "REV")) {
            r->way = WAY_DOWN;
        } else if (r->by == BY_UNSAID && nd_arg_is(c, i, "BYLEX")) {
            r->by = BY_LEX;
        } else if (r->by == BY_UNSAID && nd_arg_is(c, i, "BYSCORE")) {
            r->by = BY_SCORE;
        } else {
            nd_syntax_error(c);
            return false;
        }
    }
    return true;
}

/* The ends stand at `at` and behind it; what goes down has the high end first, ranks aside. */
static bool range_ends(struct nd_call *c, size_t at, struct range *r)
{
    size_t min = r->way == WAY_DOWN ? at + 1 : at, max = r->way == WAY_DOWN ? at : at + 1;
    if (r->by == BY_SCORE)
        return nd_zset_score_ends(c, min, max, &r->scores);
    if (r->by == BY_LEX)
        return nd_zset_lex_ends(c, min, max, &r->lex);
    return nd_arg_i64(c, at, &r->start) && nd_arg_i64(c, at + 1, &r->stop);
}

static bool read_range(struct nd_call *c, size_t at, bool stored, struct range *r)
{
    r->limit = -1;
    if (!range_options(c, at + 2, stored, r))
        return false;
    if (r->by == BY_UNSAID)
        r->by = BY_RANK;
    if (r->way == WAY_UNSAID)
        r->way = WAY_UP;
    if (r->by == BY_RANK && r->limit != -1) {
        nd_error(c, "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
        return false;
    }
    if (r->by == BY_LEX && r->with_scores) {
        nd_error(c, "ERR syntax error, WITHSCORES not supported in combination with BYLEX");
        return false;
    }
    return range_ends(c, at, r);
}

/* ---- to ranks ---- */

/* LIMIT counts from the end where the walk begins. */
static void cut(const struct range *r, size_t *from, size_t *to)
{
    size_t n = *to - *from;
    size_t skipped = r->offset < 0 || (uint64_t)r->offset > n ? n : (size_t)r->offset;
    size_t kept = r->limit < 0 || (uint64_t)r->limit > n - skipped ? n - skipped : (size_t)r->limit;
    if (r->way == WAY_DOWN) {
        *to -= skipped;
        *from = *to - kept;
    } else {
        *from += skipped;
        *to = *from + kept;
    }
}

static void find(const struct range *r, const struct nd_value *v, size_t *from, size_t *to)
{
    size_t length = nd_zset_length(v);
    switch (r->by) {
    case BY_SCORE: nd_zset_find_scores(v, &r->scores, from, to); break;
    case BY_LEX: nd_zset_find_lex(v, &r->lex, r->way == WAY_DOWN, from, to); break;
    default:
        nd_zset_rank_ends(r->start, r->stop, length, from, to);
        if (r->way == WAY_DOWN) {
            size_t high = length - *from;
            *from = length - *to;
            *to = high;
        }
        return;
    }
    cut(r, from, to);
}

/* ---- showing ---- */

static void show(struct nd_call *c, struct range r)
{
    struct nd_entry *e;
    if (!read_range(c, 2, false, &r) || !nd_typed(c, c->argv[1], ND_ZSET, ND_READ, &e))
        return;
    if (e == NULL) {
        reply_array(c->r, 0);
        return;
    }
    size_t from, to;
    find(&r, &e->v, &from, &to);
    nd_zset_reply_ranks(c, &e->v, from, to, r.way == WAY_DOWN, r.with_scores);
}

static void zrange(struct nd_call *c)
{
    show(c, (struct range){0});
}

static void zrevrange(struct nd_call *c)
{
    show(c, (struct range){.by = BY_RANK, .way = WAY_DOWN});
}

static void zrangebyscore(struct nd_call *c)
{
    show(c, (struct range){.by = BY_SCORE, .way = WAY_UP});
}

static void zrevrangebyscore(struct nd_call *c)
{
    show(c, (struct range){.by = BY_SCORE, .way = WAY_DOWN});
}

static void zrangebylex(struct nd_call *c)
{
    show(c, (struct range){.by = BY_LEX, .way = WAY_UP});
}

static void zrevrangebylex(struct nd_call *c)
{
    show(c, (struct range){.by = BY_LEX, .way = WAY_DOWN});
}

static void zrangestore(struct nd_call *c)
{
    const struct nd_limits *limits = &c->e->config.limits;
    struct range r = {0};
    struct nd_entry *e;
    if (!read_range(c, 3, true, &r) || !nd_typed(c, c->argv[2], ND_ZSET, ND_READ, &e))
        return;
    struct nd_value v = nd_zset_new((struct slice){0}, limits);
    if (e != NULL) {
        size_t from, to;
        find(&r, &e->v, &from, &to);
        struct nd_zset_iter it;
        struct slice member;
        double score;
        nd_zset_iterate(&e->v, from, false, &it);
        for (; from < to && nd_zset_next(&it, &member, &score); from++)
            nd_zset_append(&v, member, score, limits);
    }
    nd_store_result(c, c->argv[1], v, ND_EV_ZSET, "zrangestore");
}

/* ---- counting and removing ---- */

static void count(struct nd_call *c, struct range r)
{
    struct nd_entry *e;
    size_t from = 0, to = 0;
    r.limit = -1;
    if (!range_ends(c, 2, &r) || !nd_typed(c, c->argv[1], ND_ZSET, ND_READ, &e))
        return;
    if (e != NULL)
        find(&r, &e->v, &from, &to);
    reply_int(c->r, (int64_t)(to - from));
}

static void zcount(struct nd_call *c)
{
    count(c, (struct range){.by = BY_SCORE, .way = WAY_UP});
}

static void zlexcount(struct nd_call *c)
{
    count(c, (struct range){.by = BY_LEX, .way = WAY_UP});
}

static void remove_range(struct nd_call *c, struct range r, const char *event)
{
    struct slice key = c->argv[1];
    struct nd_entry *e;
    size_t from = 0, to = 0;
    r.limit = -1;
    if (!range_ends(c, 2, &r) || !nd_typed(c, key, ND_ZSET, ND_CHANGE, &e))
        return;
    if (e != NULL) {
        find(&r, &e->v, &from, &to);
        nd_zset_remove_range(&e->v, from, to);
        nd_zset_removed(c, key, e, to - from, event);
    }
    reply_int(c->r, (int64_t)(to - from));
}

static void zremrangebyrank(struct nd_call *c)
{
    remove_range(c, (struct range){.by = BY_RANK, .way = WAY_UP}, "zremrangebyrank");
}

static void zremrangebyscore(struct nd_call *c)
{
    remove_range(c, (struct range){.by = BY_SCORE, .way = WAY_UP}, "zremrangebyscore");
}

static void zremrangebylex(struct nd_call *c)
{
    remove_range(c, (struct range){.by = BY_LEX, .way = WAY_UP}, "zremrangebylex");
}

#define SHOWN "O(log(N)+M) for M members out of N."
#define GONE "O(log(N)+M) for M members that go out of N."

const struct nd_command nd_zset_range_commands[] = {
    {.name = "zrange",
     .arity = -4,
     .flags = ND_READONLY,
     .run = zrange,
     .keys = {ND_ZSET_KEY("RO ACCESS")},
     .syntax = "key start{:string} stop{:string} [BYSCORE | BYLEX]{sortby @6.2.0} [REV]{@6.2.0} "
               "[LIMIT offset count]{@6.2.0} [WITHSCORES]",
     .summary = "Shows the members of a range of ranks, scores or names.",
     .since = "1.2.0",
     .complexity = SHOWN,
     ND_ZSET_FAMILY},
    {.name = "zrevrange",
     .arity = -4,
     .flags = ND_READONLY,
     .run = zrevrange,
     .keys = {ND_ZSET_KEY("RO ACCESS")},
     .syntax = "key start stop [WITHSCORES]",
     .summary = "Shows the members of a range of ranks, the highest first.",
     .since = "1.2.0",
     .complexity = SHOWN,
     ND_ZSET_FAMILY},
    {.name = "zrangebyscore",
     .arity = -4,
     .flags = ND_READONLY,
     .run = zrangebyscore,
     .keys = {ND_ZSET_KEY("RO ACCESS")},
     .syntax = "key min max [WITHSCORES]{@2.0.0} [LIMIT offset count]",
     .summary = "Shows the members of a range of scores.",
     .since = "1.0.5",
     .complexity = SHOWN,
     ND_ZSET_FAMILY},
    {.name = "zrevrangebyscore",
     .arity = -4,
     .flags = ND_READONLY,
     .run = zrevrangebyscore,
     .keys = {ND_ZSET_KEY("RO ACCESS")},
     .syntax = "key max min [WITHSCORES] [LIMIT offset count]",
     .summary = "Shows the members of a range of scores, the highest first.",
     .since = "2.2.0",
     .complexity = SHOWN,
     ND_ZSET_FAMILY},
    {.name = "zrangebylex",
     .arity = -4,
     .flags = ND_READONLY,
     .run = zrangebylex,
     .keys = {ND_ZSET_KEY("RO ACCESS")},
     .syntax = "key min{:string} max{:string} [LIMIT offset count]",
     .summary = "Shows the members between two names, all having one score.",
     .since = "2.8.9",
     .complexity = SHOWN,
     ND_ZSET_FAMILY},
    {.name = "zrevrangebylex",
     .arity = -4,
     .flags = ND_READONLY,
     .run = zrevrangebylex,
     .keys = {ND_ZSET_KEY("RO ACCESS")},
     .syntax = "key max{:string} min{:string} [LIMIT offset count]",
     .summary = "Shows the members between two names, the last first, all having one score.",
     .since = "2.8.9",
     .complexity = SHOWN,
     ND_ZSET_FAMILY},
    {.name = "zrangestore",
     .arity = -5,
     .flags = ND_WRITE | ND_DENYOOM,
     .run = zrangestore,
     .keys = {ND_ZSET_KEY("OW UPDATE"), {.flags = "RO ACCESS", .first = 2, .step = 1}},
     .syntax = "dst src min{:string} max{:string} [BYSCORE | BYLEX]{sortby} [REV] [LIMIT offset count]",
     .summary = "Stores the members of a range of ranks, scores or names.",
     .since = "6.2.0",
     .complexity = "O(log(N)+M) for M members that are stored out of N.",
     ND_ZSET_FAMILY},
    {.name = "zcount",
     .arity = 4,
     .flags = ND_READONLY | ND_FAST,
     .run = zcount,
     .keys = {ND_ZSET_KEY("RO ACCESS")},
     .syntax = "key min max",
     .summary = "Counts the members of a range of scores.",
     .since = "2.0.0",
     .complexity = "O(log(N)) in a sorted set of N.",
     ND_ZSET_FAMILY},
    {.name = "zlexcount",
     .arity = 4,
     .flags = ND_READONLY | ND_FAST,
     .run = zlexcount,
     .keys = {ND_ZSET_KEY("RO ACCESS")},
     .syntax = "key min{:string} max{:string}",
     .summary = "Counts the members between two names, all having one score.",
     .since = "2.8.9",
     .complexity = "O(log(N)) in a sorted set of N.",
     ND_ZSET_FAMILY},
    {.name = "zremrangebyrank",
     .arity = 4,
     .flags = ND_WRITE,
     .run = zremrangebyrank,
     .keys = {ND_ZSET_KEY("RW DELETE")},
     .syntax = "key start stop",
     .summary = "Takes the members of a range of ranks out.",
     .since = "2.0.0",
     .complexity = GONE,
     ND_ZSET_FAMILY},
    {.name = "zremrangebyscore",
     .arity = 4,
     .flags = ND_WRITE,
     .run = zremrangebyscore,
     .keys = {ND_ZSET_KEY("RW DELETE")},
     .syntax = "key min max",
     .summary = "Takes the members of a range of scores out.",
     .since = "1.2.0",
     .complexity = GONE,
     ND_ZSET_FAMILY},
    {.name = "zremrangebylex",
     .arity = 4,
     .flags = ND_WRITE,
     .run = zremrangebylex,
     .keys = {ND_ZSET_KEY("RW DELETE")},
     .syntax = "key min{:string} max{:string}",
     .summary = "Takes the members between two names out, all having one score.",
     .since = "2.8.9",
     .complexity = GONE,
     ND_ZSET_FAMILY},
    {0},
};
