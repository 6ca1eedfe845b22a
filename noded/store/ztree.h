/* The members of a large sorted set in order: a B+ tree that counts. What OBJECT ENCODING calls a skip list.
 *
 * A member stands in an allocation of its own with its score; a leaf has the scores of its members side by side, so
 * that most of a search reads memory in a row. Every inner node knows how many members each child has: rank and "the
 * member at this rank" cost one way down. Nothing is random. */
#ifndef STORE_ZTREE_H
#define STORE_ZTREE_H

#include "common/base/bytes.h"

struct nd_zmember {
    double score; /* never NaN */
    uint32_t n;
    char p[];
};

static inline struct slice nd_zmember_slice(const struct nd_zmember *m)
{
    return (struct slice){.p = m->p, .n = m->n};
}

/* Order of a sorted set: by score, then by the bytes of the member. */
int nd_zmember_compare(double score, struct slice member, double other_score, struct slice other);

struct nd_zleaf;
struct nd_ztree {
    void *root;      /* a leaf when height is 0, else an inner node; NULL when empty */
    unsigned height; /* inner nodes above each leaf */
    size_t count;
};

/* A zeroed tree is an empty one. The members are the caller's. */
void nd_ztree_free(struct nd_ztree *t);
void nd_ztree_insert(struct nd_ztree *t, struct nd_zmember *m); /* no equal one is there */
void nd_ztree_remove(struct nd_ztree *t, struct nd_zmember *m); /* it is there; not freed */
/* Gives a member that is there another score, and the place that goes with it. */
void nd_ztree_move(struct nd_ztree *t, struct nd_zmember *m, double score);

/* How many members stand before this place. */
size_t nd_ztree_rank(const struct nd_ztree *t, double score, struct slice member);
size_t nd_ztree_below_score(const struct nd_ztree *t, double score, bool or_equal);         /* score < or <= this */
size_t nd_ztree_below_member(const struct nd_ztree *t, struct slice member, bool or_equal); /* all have one score */

/* A place in the tree, good until the tree changes. */
struct nd_ztree_at {
    const struct nd_zleaf *leaf; /* NULL: outside */
    unsigned index;
};
struct nd_ztree_at nd_ztree_index(const struct nd_ztree *t, size_t rank);
struct nd_zmember *nd_ztree_get(struct nd_ztree_at at); /* NULL: outside */
void nd_ztree_next(struct nd_ztree_at *at);
void nd_ztree_prev(struct nd_ztree_at *at);

size_t nd_ztree_memory(const struct nd_ztree *t); /* bytes of the nodes, without the members */
bool nd_ztree_check(const struct nd_ztree *t);    /* for tests: order, counts, links, fill */

#endif
