/* Several sorted sets, or sets, at once: union, intersection, difference, answered, counted or stored. */
#include "common/base/mem.h"
#include "noded/cmd/engine.h"
#include "noded/cmd/notify.h"
#include "noded/cmd/stored.h"
#include "noded/cmd/zset.h"
#include "noded/store/set.h"

#include <math.h>
#include <stdlib.h>

enum op { UNION, INTER, DIFF };
enum aggregate { SUM, MIN, MAX };

struct source {
    const struct nd_value *v; /* NULL: no such key */
    double weight;
};

struct combining {
    struct nd_call *c;
    enum op op;
    bool stored, counted; /* else answered */
    enum aggregate aggregate;
    bool with_scores;
    int64_t limit; /* of a count; 0: none */
    struct source *sources;
    size_t n;
    /* The result: members that are all different, each an allocation. */
    struct nd_zmember **members;
    size_t count, cap;
};

/* ---- one source ---- */

static size_t length_of(const struct source *s)
{
    if (s->v == NULL)
        return 0;
    return s->v->type == ND_SET ? nd_set_length(s->v) : nd_zset_length(s->v);
}

/* Members of a set have the score 1. */
static bool score_of(const struct source *s, struct slice member, double *score)
{
    if (s->v == NULL)
        return false;
    *score = 1;
    return s->v->type == ND_SET ? nd_set_has(s->v, member) : nd_zset_score(s->v, member, score);
}

struct source_iter {
    bool is_set;
    struct nd_set_iter set;
    struct nd_zset_iter zset;
};

static void iterate(const struct source *s, struct source_iter *it)
{
    it->is_set = s->v->type == ND_SET;
    if (it->is_set)
        nd_set_iterate(s->v, &it->set);
    else
        nd_zset_iterate(s->v, 0, false, &it->zset);
}

static bool next(struct source_iter *it, struct slice *member, double *score)
{
    *score = 1;
    return it->is_set ? nd_set_next(&it->set, member) : nd_zset_next(&it->zset, member, score);
}

static void stop(struct source_iter *it)
{
    if (it->is_set)
        nd_set_stop(&it->set);
}

/* ---- scores ---- */

/* Infinity times 0, and infinity less infinity, count as 0. */
static double weighed(double score, double weight)
{
    double v = score * weight;
    return isnan(v) ? 0 : v;
}

static double aggregated(enum aggregate how, double a, double b)
{
    double sum;
    switch (how) {
    case MIN: return b < a ? b : a;
    case MAX: return b > a ? b : a;
    default: sum = a + b; return isnan(sum) ? 0 : sum;
    }
}

/* ---- the three ---- */

static struct nd_zmember *keep(struct combining *b, struct slice member, double score)
{
    b->members = mem_grow(b->members, b->count, &b->cap, sizeof(struct nd_zmember *));
    struct nd_zmember *m = nd_zmember_new(member, score);
    b->members[b->count++] = m;
    return m;
}

static struct slice key_of(const void *element)
{
    return nd_zmember_slice(element);
}

static const struct nd_table_kind seen_kind = {.key = key_of};

static void unite(struct combining *b)
{
    struct nd_table seen;
    nd_table_init(&seen, &seen_kind, b->c->e->config.limits.seed);
    for (size_t i = 0; i < b->n; i++) {
        const struct source *s = &b->sources[i];
        struct source_iter it;
        struct slice member;
        double score;
        if (s->v == NULL)
            continue;
        iterate(s, &it);
        while (next(&it, &member, &score)) {
            score = weighed(score, s->weight);
            struct nd_zmember *m = nd_table_find(&seen, member);
            if (m != NULL)
                m->score = aggregated(b->aggregate, m->score, score);
            else
                nd_table_add(&seen, keep(b, member, score));
        }
    }
    nd_table_clear(&seen);
}

/* Whether all sources have the member of the first; *score becomes the score of the result. */
static bool all_have(const struct combining *b, struct slice member, double *score)
{
    double first = *score, value;
    *score = weighed(first, b->sources[0].weight);
    for (size_t i = 1; i < b->n; i++) {
        const struct source *s = &b->sources[i];
        if (s->v == b->sources[0].v)
            value = first;
        else if (!score_of(s, member, &value))
            return false;
        *score = aggregated(b->aggregate, *score, value * s->weight);
    }
    return true;
}

static int64_t intersect(struct combining *b)
{
    struct source_iter it;
    struct slice member;
    double score;
    int64_t n = 0;
    if (length_of(&b->sources[0]) == 0)
        return 0;
    iterate(&b->sources[0], &it);
    while (next(&it, &member, &score)) {
        if (!all_have(b, member, &score))
            continue;
        n++;
        if (!b->counted) {
            keep(b, member, score);
        } else if (n == b->limit) {
            stop(&it);
            break;
        }
    }
    return n;
}

static void subtract(struct combining *b)
{
    struct source_iter it;
    struct slice member;
    double score, other;
    if (b->sources[0].v == NULL)
        return;
    iterate(&b->sources[0], &it);
    while (next(&it, &member, &score)) {
        size_t i = 1;
        while (i < b->n && !score_of(&b->sources[i], member, &other))
            i++;
        if (i == b->n)
            keep(b, member, score);
    }
}

/* ---- arguments ---- */

static bool open_sources(struct combining *b, size_t first)
{
    for (size_t i = 0; i < b->n; i++) {
        struct nd_entry *e = nd_lookup(b->c, b->c->argv[first + i], ND_READ);
        if (e != NULL && e->v.type != ND_SET && e->v.type != ND_ZSET) {
            nd_wrong_type(b->c);
            return false;
        }
        b->sources[i] = (struct source){.v = e != NULL ? &e->v : NULL, .weight = 1};
    }
    return true;
}

static bool read_aggregate(struct combining *b, size_t i)
{
    if (nd_arg_is(b->c, i, "SUM"))
        b->aggregate = SUM;
    else if (nd_arg_is(b->c, i, "MIN"))
        b->aggregate = MIN;
    else if (nd_arg_is(b->c, i, "MAX"))
        b->aggregate = MAX;
    else
        nd_syntax_error(b->c);
    return !b->c->failed;
}

static bool read_options(struct combining *b, size_t i)
{
    struct nd_call *c = b->c;
    bool weighs = b->op != DIFF && !b->counted;
    for (; i < c->argc && !c->failed; i++) {
        size_t left = c->argc - i - 1;
        if (weighs && left >= b->n && nd_arg_is(c, i, "WEIGHTS")) {
            for (size_t s = 0; s < b->n; s++)
                if (!nd_arg_double(c, ++i, &b->sources[s].weight, "ERR weight value is not a float"))
                    return false;
        } else if (weighs && left >= 1 && nd_arg_is(c, i, "AGGREGATE")) {
            if (!read_aggregate(b, ++i))
                return false;
        } else if (!b->stored && !b->counted && nd_arg_is(c, i, "WITHSCORES")) {
            b->with_scores = true;
        } else if (b->counted && left >= 1 && nd_arg_is(c, i, "LIMIT")) {
            if (!nd_arg_range(c, ++i, 0, INT64_MAX, &b->limit, "ERR LIMIT can't be negative"))
                return false;
        } else {
            nd_syntax_error(c);
            return false;
        }
    }
    return true;
}

static int by_length(const void *a, const void *b)
{
    size_t x = length_of(a), y = length_of(b);
    return (x > y) - (x < y);
}

/* ---- commands ---- */

static void answer(struct combining *b, const char *event)
{
    struct nd_call *c = b->c;
    if (b->stored) {
        struct nd_value v = nd_zset_from_members(b->members, b->count, &c->e->config.limits);
        nd_store_result(c, c->argv[1], v, ND_EV_ZSET, event);
        return;
    }
    nd_zmember_sort(b->members, b->count);
    nd_zset_reply_header(c, b->count, b->with_scores);
    for (size_t i = 0; i < b->count; i++) {
        nd_zset_reply_member(c, nd_zmember_slice(b->members[i]), b->members[i]->score, b->with_scores);
        free(b->members[i]);
    }
}

static void run(struct combining *b, const char *event)
{
    if (b->op != DIFF && b->n > 1)
        qsort(b->sources, b->n, sizeof *b->sources, by_length);
    if (b->op == UNION)
        unite(b);
    else if (b->op == DIFF)
        subtract(b);
    int64_t n = b->op == INTER ? intersect(b) : 0;
    if (b->counted)
        reply_int(b->c->r, n);
    else
        answer(b, event);
    free(b->members);
}

#define FEW 16

/* numkeys stands at argument i. */
static void combine(struct nd_call *c, struct combining b, size_t i, const char *name)
{
    int64_t numkeys;
    struct source few[FEW];
    if (!nd_arg_i64(c, i, &numkeys))
        return;
    if (numkeys < 1) {
        nd_error(c, "ERR at least 1 input key is needed for '%s' command", name);
        return;
    }
    if ((uint64_t)numkeys > c->argc - i - 1) {
        nd_syntax_error(c);
        return;
    }
    b.c = c;
    b.n = (size_t)numkeys;
    b.sources = b.n <= FEW ? few : mem_array(NULL, b.n, sizeof *b.sources);
    if (open_sources(&b, i + 1) && read_options(&b, i + 1 + b.n))
        run(&b, name);
    if (b.sources != few)
        free(b.sources);
}

static void zunion(struct nd_call *c)
{
    combine(c, (struct combining){.op = UNION}, 1, "zunion");
}

static void zunionstore(struct nd_call *c)
{
    combine(c, (struct combining){.op = UNION, .stored = true}, 2, "zunionstore");
}

static void zinter(struct nd_call *c)
{
    combine(c, (struct combining){.op = INTER}, 1, "zinter");
}

static void zinterstore(struct nd_call *c)
{
    combine(c, (struct combining){.op = INTER, .stored = true}, 2, "zinterstore");
}

static void zintercard(struct nd_call *c)
{
    combine(c, (struct combining){.op = INTER, .counted = true}, 1, "zintercard");
}

static void zdiff(struct nd_call *c)
{
    combine(c, (struct combining){.op = DIFF}, 1, "zdiff");
}

static void zdiffstore(struct nd_call *c)
{
    combine(c, (struct combining){.op = DIFF, .stored = true}, 2, "zdiffstore");
}

#define READS \
    .flags = ND_READONLY | ND_MOVABLE_KEYS, .keys = {{.flags = "RO ACCESS", .first = 1, .keynum = 1, .step = 1}}
#define STORES                                        \
    .flags = ND_WRITE | ND_DENYOOM | ND_MOVABLE_KEYS, \
    .keys = {ND_ZSET_KEY("OW UPDATE"), {.flags = "RO ACCESS", .first = 2, .keynum = 1, .step = 1}}
#define OPTIONS " [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>{aggregate}]"
#define INTER_COST "O(N*K)+O(M*log(M)) for K sorted sets, the smallest of N members, and a result of M."
#define UNION_COST "O(N)+O(M*log(M)) for N members of all together and a result of M."
#define DIFF_COST "O(N*K)+O(M*log(M)) for K sorted sets, the first of N members, and a result of M."

const struct nd_command nd_zset_combine_commands[] = {
    {.name = "zunion",
     .arity = -3,
     READS,
     .run = zunion,
     .syntax = "numkeys key [key ...]" OPTIONS " [WITHSCORES]",
     .summary = "Shows the members that any of the sorted sets has, with their scores aggregated.",
     .since = "6.2.0",
     .complexity = UNION_COST,
     ND_ZSET_FAMILY},
    {.name = "zunionstore",
     .arity = -4,
     STORES,
     .run = zunionstore,
     .syntax = "destination numkeys key [key ...]" OPTIONS,
     .summary = "Stores the members that any of the sorted sets has, with their scores aggregated.",
     .since = "2.0.0",
     .complexity = UNION_COST,
     ND_ZSET_FAMILY},
    {.name = "zinter",
     .arity = -3,
     READS,
     .run = zinter,
     .syntax = "numkeys key [key ...]" OPTIONS " [WITHSCORES]",
     .summary = "Shows the members that all of the sorted sets have, with their scores aggregated.",
     .since = "6.2.0",
     .complexity = INTER_COST,
     ND_ZSET_FAMILY},
    {.name = "zinterstore",
     .arity = -4,
     STORES,
     .run = zinterstore,
     .syntax = "destination numkeys key [key ...]" OPTIONS,
     .summary = "Stores the members that all of the sorted sets have, with their scores aggregated.",
     .since = "2.0.0",
     .complexity = INTER_COST,
     ND_ZSET_FAMILY},
    {.name = "zintercard",
     .arity = -3,
     READS,
     .run = zintercard,
     .syntax = "numkeys key [key ...] [LIMIT limit]",
     .summary = "Counts the members that all of the sorted sets have.",
     .since = "7.0.0",
     .complexity = "O(N*K) for K sorted sets, the smallest of N members.",
     ND_ZSET_FAMILY},
    {.name = "zdiff",
     .arity = -3,
     READS,
     .run = zdiff,
     .syntax = "numkeys key [key ...] [WITHSCORES]",
     .summary = "Shows the members of the first sorted set that none of the others has.",
     .since = "6.2.0",
     .complexity = DIFF_COST,
     ND_ZSET_FAMILY},
    {.name = "zdiffstore",
     .arity = -4,
     STORES,
     .run = zdiffstore,
     .syntax = "destination numkeys key [key ...]",
     .summary = "Stores the members of the first sorted set that none of the others has.",
     .since = "6.2.0",
     .complexity = DIFF_COST,
     ND_ZSET_FAMILY},
    {0},
};
