/* Inside of the counting tree: its nodes, and the search that every way down makes. Looking is in ztree.c, changing in
 * ztree_change.c.
 *
 * All leaves are at the same depth and linked in order. Entry i of an inner node says of child i what its first member
 * is and how many it has below it. A node that is not at the left or right edge of its level is at least a quarter
 * full; at the edges one member is enough, so that members that come in order fill the nodes instead of halving them.
 */
#ifndef STORE_ZTREE_NODES_H
#define STORE_ZTREE_NODES_H

#include "noded/store/ztree.h"

/* Both kinds of node fill a kilobyte. */
#define ZLEAF_MAX 62
#define ZLEAF_MIN (ZLEAF_MAX / 4)
#define ZINNER_MAX 31
#define ZINNER_MIN (ZINNER_MAX / 4)
#define ZTREE_HEIGHT_MAX 24 /* a quarter of 31 to this power is beyond any memory */

struct nd_zleaf {
    struct nd_zleaf *prev, *next;
    unsigned n;
    double score[ZLEAF_MAX];
    struct nd_zmember *member[ZLEAF_MAX];
};

struct nd_zinner {
    unsigned n;
    double score[ZINNER_MAX]; /* of first[i] */
    struct nd_zmember *first[ZINNER_MAX];
    size_t count[ZINNER_MAX];
    void *child[ZINNER_MAX];
};

/* A place between two members, given by what stands before it. */
enum zplace_kind {
    ZPLACE_BEFORE, /* members less than (score, member) */
    ZPLACE_BEHIND, /* and that one too */
    ZPLACE_SCORE,  /* scores less than this */
    ZPLACE_SCORE_TOO,
    ZPLACE_MEMBER, /* member bytes less than these, whatever the score */
    ZPLACE_MEMBER_TOO
};
struct zplace {
    enum zplace_kind kind;
    double score;
    struct slice member;
};

int nd_zmember_order(struct slice a, struct slice b); /* as memcmp(), a prefix first */

static inline bool zplace_is_behind(const struct zplace *p, const struct nd_zmember *m)
{
    int order = nd_zmember_order(nd_zmember_slice(m), p->member);
    return p->kind == ZPLACE_BEHIND || p->kind == ZPLACE_MEMBER_TOO ? order <= 0 : order < 0;
}

/* How many of n rising scores are less than x, or not greater. Without a branch that depends on the scores: where it
 * would go cannot be foreseen. */
static inline unsigned zscores_below(const double *scores, unsigned n, double x, bool or_equal)
{
    const double *at = scores;
    for (; n > 1; n -= n / 2)
        at += (n / 2) * (or_equal ? at[n / 2 - 1] <= x : at[n / 2 - 1] < x);
    return (unsigned)(at - scores) + (n == 1 && (or_equal ? *at <= x : *at < x));
}

/* How many of n members in order stand before the place. */
static inline unsigned zplace_search(const struct zplace *p, const double *scores, struct nd_zmember *const *members,
                                     unsigned n)
{
    unsigned low = 0;
    bool of_scores = p->kind == ZPLACE_SCORE || p->kind == ZPLACE_SCORE_TOO;
    bool of_members = p->kind == ZPLACE_MEMBER || p->kind == ZPLACE_MEMBER_TOO;
    /* In a sorted set whose scores are all the same there is nothing to be learned from them. */
    if (n > 0 && !of_members && (of_scores || scores[0] != p->score || scores[n - 1] != p->score)) {
        low = zscores_below(scores, n, p->score, p->kind == ZPLACE_SCORE_TOO);
        if (of_scores || low == n || scores[low] != p->score)
            return low;
        n = zscores_below(scores + low, n - low, p->score, true);
    }
    while (n > 0) {
        unsigned half = n / 2;
        if (zplace_is_behind(p, members[low + half])) {
            low += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return low;
}

/* The child of an inner node in which the place is: the last whose first member is before it. */
static inline unsigned zplace_child(const struct zplace *p, const struct nd_zinner *node)
{
    return zplace_search(p, node->score + 1, node->first + 1, node->n - 1);
}

#endif
