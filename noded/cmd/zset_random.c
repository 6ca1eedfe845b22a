/* Sorted sets and chance: ZRANDMEMBER. */
#include "noded/cmd/engine.h"
#include "noded/cmd/sample.h"
#include "noded/cmd/zset.h"
#include "noded/store/set.h"

/* A random member; it is good until the sorted set changes or the next is drawn into the same iterator. */
static struct slice draw(struct nd_call *c, const struct nd_value *v, struct nd_zset_iter *it, double *score)
{
    struct slice member = {0};
    nd_zset_iterate(v, (size_t)rng_below(&c->e->rng, nd_zset_length(v)), false, it);
    nd_zset_next(it, &member, score);
    return member;
}

static void draw_many(struct nd_call *c, const struct nd_value *v, uint64_t count, bool with_scores)
{
    struct nd_sample_reply reply;
    struct nd_zset_iter it;
    double score;
    nd_sample_begin(c, count, &reply);
    nd_zset_reply_header(c, count, with_scores);
    while (nd_sample_more(c, &reply)) {
        struct slice member = draw(c, v, &it, &score);
        nd_zset_reply_member(c, member, score, with_scores);
    }
}

/* `count` different ones, by drawing until there are enough. */
static void draw_different(struct nd_call *c, const struct nd_value *v, size_t count, bool with_scores)
{
    struct nd_value drawn = nd_set_new_intset();
    struct nd_zset_iter it;
    double score;
    while (count > 0) {
        struct slice member = draw(c, v, &it, &score);
        if (!nd_set_add(&drawn, member, &c->e->config.limits))
            continue;
        nd_zset_reply_member(c, member, score, with_scores);
        count--;
    }
    nd_set_free(&drawn);
}

/* `count` different ones, by going through all. */
static void choose(struct nd_call *c, const struct nd_value *v, size_t count, bool with_scores)
{
    struct nd_zset_iter it;
    struct slice member;
    double score;
    size_t left = nd_zset_length(v);
    nd_zset_iterate(v, 0, false, &it);
    while (nd_zset_next(&it, &member, &score))
        if (nd_sample_takes(&c->e->rng, &count, &left))
            nd_zset_reply_member(c, member, score, with_scores);
}

static void random_members(struct nd_call *c)
{
    int64_t count;
    struct nd_entry *e;
    bool with_scores = nd_arg_is(c, 3, "WITHSCORES");
    if (!nd_sample_count(c, 2, -INT64_MAX, &count))
        return;
    if (c->argc > 4 || (c->argc == 4 && !with_scores)) {
        nd_syntax_error(c);
        return;
    }
    if (with_scores && (count < -(INT64_MAX / 2) || count > INT64_MAX / 2)) {
        nd_error(c, "ERR value is out of range");
        return;
    }
    if (!nd_typed(c, c->argv[1], ND_ZSET, ND_READ, &e))
        return;
    if (e == NULL || count == 0) {
        reply_array(c->r, 0);
        return;
    }
    if (count < 0) {
        draw_many(c, &e->v, (uint64_t)-count, with_scores);
        return;
    }
    size_t length = nd_zset_length(&e->v), n = (uint64_t)count < length ? (size_t)count : length;
    nd_zset_reply_header(c, n, with_scores);
    if (n < length / ND_SAMPLE_SPARSE)
        draw_different(c, &e->v, n, with_scores);
    else
        choose(c, &e->v, n, with_scores);
}

static void zrandmember(struct nd_call *c)
{
    if (c->argc > 2) {
        random_members(c);
        return;
    }
    struct nd_entry *e;
    if (!nd_typed(c, c->argv[1], ND_ZSET, ND_READ, &e))
        return;
    if (e == NULL) {
        reply_null(c->r);
        return;
    }
    struct nd_zset_iter it;
    double score;
    struct slice member = draw(c, &e->v, &it, &score);
    reply_bulk(c->r, member.p, member.n);
}

const struct nd_command nd_zset_random_commands[] = {
    {.name = "zrandmember",
     .arity = -2,
     .flags = ND_READONLY,
     .run = zrandmember,
     .keys = {ND_ZSET_KEY("RO ACCESS")},
     .syntax = "key [count [WITHSCORES]]{options}",
     .summary = "Shows random members of a sorted set; a negative count allows one to come more than once.",
     .since = "6.2.0",
     .complexity = "O(N) for N members that are shown.",
     .tips = "nondeterministic_output",
     ND_ZSET_FAMILY},
    {0},
};
