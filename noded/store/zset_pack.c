#include "noded/store/zset_pack.h"

#include "noded/store/ztree_nodes.h"

#include <stdio.h>

/* ---- scores ---- */

double zpack_score(nd_pack_at score)
{
    char tmp[ND_PACK_INT_TEXT];
    int64_t whole;
    if (nd_pack_number(score, &whole))
        return (double)whole;
    double v = 0;
    nd_number_double(nd_pack_get(score, tmp), &v);
    return v;
}

/* Whole scores stand as numbers in the pack, so that they get the text of a number. */
static struct slice score_text(double score, char text[ND_DOUBLE_TEXT])
{
    int64_t whole;
    size_t n;
    if (!nd_number_whole(score, &whole))
        n = nd_number_double_text(score, text);
    else if (whole > -100000000000000000 && whole < 100000000000000000)
        n = nd_number_double_text((double)whole, text); /* no exponent, and -0 has become 0 */
    else
        n = (size_t)snprintf(text, ND_DOUBLE_TEXT, "%lld", (long long)whole);
    return (struct slice){text, n};
}

/* ---- members ---- */

nd_pack_at zpack_find(const struct nd_pack *p, struct slice member)
{
    nd_pack_at first = nd_pack_first(p);
    return first != NULL ? nd_pack_find(p, first, member, 1) : NULL;
}

static bool stands_before(const struct nd_pack *p, nd_pack_at at, double score, struct slice member)
{
    double its = zpack_score(nd_pack_next(p, at));
    if (its != score)
        return its < score;
    char tmp[ND_PACK_INT_TEXT];
    return nd_zmember_order(nd_pack_get(at, tmp), member) < 0;
}

struct nd_pack *zpack_append(struct nd_pack *p, struct slice member, double score)
{
    char text[ND_DOUBLE_TEXT];
    p = nd_pack_append(p, member);
    return nd_pack_append(p, score_text(score, text));
}

struct nd_pack *zpack_insert(struct nd_pack *p, struct slice member, double score)
{
    nd_pack_at last = nd_pack_last(p);
    /* Members often come in order. */
    if (last == NULL || stands_before(p, nd_pack_prev(p, last), score, member))
        return zpack_append(p, member, score);
    nd_pack_at at = nd_pack_first(p);
    while (stands_before(p, at, score, member))
        at = nd_pack_next(p, nd_pack_next(p, at));
    char text[ND_DOUBLE_TEXT];
    p = nd_pack_insert(p, &at, member);
    at = nd_pack_next(p, at);
    return nd_pack_insert(p, &at, score_text(score, text));
}

struct nd_pack *zpack_change(struct nd_pack *p, nd_pack_at at, struct slice member, double score)
{
    nd_pack_at its_score = nd_pack_next(p, at), next = nd_pack_next(p, its_score);
    nd_pack_at before = nd_pack_prev(p, at);
    if ((before == NULL || stands_before(p, nd_pack_prev(p, before), score, member)) &&
        (next == NULL || !stands_before(p, next, score, member))) {
        char text[ND_DOUBLE_TEXT];
        return nd_pack_replace(p, &its_score, score_text(score, text));
    }
    p = nd_pack_remove(p, &at, 2);
    return zpack_insert(p, member, score);
}

struct nd_pack *zpack_remove_range(struct nd_pack *p, size_t from, size_t to)
{
    if (from == to)
        return p;
    nd_pack_at at = nd_pack_index(p, (int64_t)from * 2);
    return nd_pack_remove(p, &at, (to - from) * 2);
}

size_t zpack_rank(const struct nd_pack *p, nd_pack_at at)
{
    size_t rank = 0;
    for (nd_pack_at i = nd_pack_first(p); i != at; i = nd_pack_next(p, nd_pack_next(p, i)))
        rank++;
    return rank;
}

/* ---- ranges ---- */

void zpack_find_scores(const struct nd_pack *p, const struct nd_zrange *range, size_t *from, size_t *to)
{
    size_t rank = 0;
    nd_pack_at at = nd_pack_first(p), score;
    for (; at != NULL; at = nd_pack_next(p, score), rank++) {
        score = nd_pack_next(p, at);
        double v = zpack_score(score);
        if (range->min_open ? v > range->min : v >= range->min)
            break;
    }
    *from = rank;
    for (; at != NULL; at = nd_pack_next(p, score), rank++) {
        score = nd_pack_next(p, at);
        double v = zpack_score(score);
        if (range->max_open ? v >= range->max : v > range->max)
            break;
    }
    *to = rank;
}

static bool above_min(nd_pack_at at, const struct nd_zlex_end *min)
{
    char tmp[ND_PACK_INT_TEXT];
    if (min->side != 0)
        return min->side < 0;
    int order = nd_zmember_order(nd_pack_get(at, tmp), min->member);
    return min->open ? order > 0 : order >= 0;
}

static bool below_max(nd_pack_at at, const struct nd_zlex_end *max)
{
    char tmp[ND_PACK_INT_TEXT];
    if (max->side != 0)
        return max->side > 0;
    int order = nd_zmember_order(nd_pack_get(at, tmp), max->member);
    return max->open ? order < 0 : order <= 0;
}

static bool is_empty_range(const struct nd_zlex *range)
{
    const struct nd_zlex_end *min = &range->min, *max = &range->max;
    if (min->side != 0 || max->side != 0)
        return min->side > max->side;
    int order = nd_zmember_order(min->member, max->member);
    return order > 0 || (order == 0 && (min->open || max->open));
}

void zpack_find_lex(const struct nd_pack *p, const struct nd_zlex *range, bool backwards, size_t *from, size_t *to)
{
    *from = *to = 0;
    nd_pack_at first = nd_pack_first(p);
    if (first == NULL || is_empty_range(range))
        return;
    nd_pack_at last = nd_pack_prev(p, nd_pack_last(p));
    if (!above_min(last, &range->min) || !below_max(first, &range->max))
        return;
    if (backwards) {
        size_t rank = nd_pack_count(p) / 2;
        nd_pack_at at = last;
        for (; at != NULL && !below_max(at, &range->max); rank--)
            at = at == first ? NULL : nd_pack_prev(p, nd_pack_prev(p, at));
        *from = *to = rank;
        for (; at != NULL && above_min(at, &range->min); --*from)
            at = at == first ? NULL : nd_pack_prev(p, nd_pack_prev(p, at));
        return;
    }
    size_t rank = 0;
    nd_pack_at at = first;
    for (; at != NULL && !above_min(at, &range->min); rank++)
        at = nd_pack_next(p, nd_pack_next(p, at));
    *from = *to = rank;
    for (; at != NULL && below_max(at, &range->max); ++*to)
        at = nd_pack_next(p, nd_pack_next(p, at));
}

bool zpack_is_sorted(const struct nd_pack *p)
{
    struct slice last = {0};
    double last_score = 0;
    char last_tmp[ND_PACK_INT_TEXT], tmp[ND_PACK_INT_TEXT];
    for (nd_pack_at at = nd_pack_first(p), score; at != NULL; at = nd_pack_next(p, score)) {
        score = nd_pack_next(p, at);
        if (score == NULL)
            return false;
        int64_t whole;
        double v;
        if (nd_pack_number(score, &whole))
            v = (double)whole;
        else if (!nd_number_double(nd_pack_get(score, tmp), &v))
            return false;
        struct slice member = nd_pack_get(at, tmp);
        if (at != nd_pack_first(p) && nd_zmember_compare(last_score, last, v, member) >= 0)
            return false;
        last = nd_pack_get(at, last_tmp);
        last_score = v;
    }
    return true;
}
