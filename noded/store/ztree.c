#include "noded/store/ztree.h"

#include "noded/store/ztree_nodes.h"

#include <stdlib.h>
#include <string.h>

int nd_zmember_order(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

int nd_zmember_compare(double score, struct slice member, double other_score, struct slice other)
{
    if (score != other_score)
        return score < other_score ? -1 : 1;
    return nd_zmember_order(member, other);
}

static void free_node(void *node, unsigned height)
{
    if (height > 0) {
        struct nd_zinner *inner = node;
        for (unsigned i = 0; i < inner->n; i++)
            free_node(inner->child[i], height - 1);
    }
    free(node);
}

void nd_ztree_free(struct nd_ztree *t)
{
    if (t->root != NULL)
        free_node(t->root, t->height);
    *t = (struct nd_ztree){0};
}

/* ---- ranks ---- */

static size_t rank_of(const struct nd_ztree *t, const struct zplace *p)
{
    if (t->root == NULL)
        return 0;
    const void *node = t->root;
    size_t rank = 0;
    for (unsigned height = t->height; height > 0; height--) {
        const struct nd_zinner *inner = node;
        unsigned i = zplace_child(p, inner);
        for (unsigned before = 0; before < i; before++)
            rank += inner->count[before];
        node = inner->child[i];
    }
    const struct nd_zleaf *leaf = node;
    return rank + zplace_search(p, leaf->score, leaf->member, leaf->n);
}

size_t nd_ztree_rank(const struct nd_ztree *t, double score, struct slice member)
{
    return rank_of(t, &(struct zplace){.kind = ZPLACE_BEFORE, .score = score, .member = member});
}

size_t nd_ztree_below_score(const struct nd_ztree *t, double score, bool or_equal)
{
    return rank_of(t, &(struct zplace){.kind = or_equal ? ZPLACE_SCORE_TOO : ZPLACE_SCORE, .score = score});
}

size_t nd_ztree_below_member(const struct nd_ztree *t, struct slice member, bool or_equal)
{
    return rank_of(t, &(struct zplace){.kind = or_equal ? ZPLACE_MEMBER_TOO : ZPLACE_MEMBER, .member = member});
}

/* ---- walking ---- */

struct nd_ztree_at nd_ztree_index(const struct nd_ztree *t, size_t rank)
{
    if (rank >= t->count)
        return (struct nd_ztree_at){0};
    const void *node = t->root;
    for (unsigned height = t->height; height > 0; height--) {
        const struct nd_zinner *inner = node;
        unsigned i = 0;
        for (; rank >= inner->count[i]; i++)
            rank -= inner->count[i];
        node = inner->child[i];
    }
    return (struct nd_ztree_at){.leaf = node, .index = (unsigned)rank};
}

struct nd_zmember *nd_ztree_get(struct nd_ztree_at at)
{
    return at.leaf != NULL ? at.leaf->member[at.index] : NULL;
}

void nd_ztree_next(struct nd_ztree_at *at)
{
    if (++at->index < at->leaf->n)
        return;
    at->leaf = at->leaf->next;
    at->index = 0;
}

void nd_ztree_prev(struct nd_ztree_at *at)
{
    if (at->index-- > 0)
        return;
    at->leaf = at->leaf->prev;
    at->index = at->leaf != NULL ? at->leaf->n - 1 : 0;
}

/* ---- the tree itself ---- */

static size_t node_memory(const void *node, unsigned height)
{
    if (height == 0)
        return sizeof(struct nd_zleaf);
    const struct nd_zinner *inner = node;
    size_t bytes = sizeof *inner;
    if (height == 1)
        return bytes + inner->n * sizeof(struct nd_zleaf);
    for (unsigned i = 0; i < inner->n; i++)
        bytes += node_memory(inner->child[i], height - 1);
    return bytes;
}

size_t nd_ztree_memory(const struct nd_ztree *t)
{
    return t->root != NULL ? node_memory(t->root, t->height) : 0;
}

struct checking {
    const struct nd_zleaf *last_leaf;
    const struct nd_zmember *last;
    size_t count;
    bool good;
};

static void check_leaf(struct checking *c, const struct nd_zleaf *leaf, bool edge)
{
    c->good = c->good && leaf->prev == c->last_leaf && (c->last_leaf == NULL || c->last_leaf->next == leaf) &&
              leaf->n >= (edge ? 1 : ZLEAF_MIN) && leaf->n <= ZLEAF_MAX;
    for (unsigned i = 0; c->good && i < leaf->n; i++) {
        const struct nd_zmember *m = leaf->member[i];
        c->good = leaf->score[i] == m->score &&
                  (c->last == NULL ||
                   nd_zmember_compare(c->last->score, nd_zmember_slice(c->last), m->score, nd_zmember_slice(m)) < 0);
        c->last = m;
        c->count++;
    }
    c->last_leaf = leaf;
}

static void check_node(struct checking *c, const void *node, unsigned height, bool left, bool right)
{
    if (height == 0) {
        check_leaf(c, node, left || right);
        return;
    }
    const struct nd_zinner *inner = node;
    c->good = c->good && inner->n >= (left || right ? 1 : ZINNER_MIN) && inner->n <= ZINNER_MAX;
    for (unsigned i = 0; c->good && i < inner->n; i++) {
        size_t before = c->count;
        const struct nd_zmember *first = height == 1 ? ((const struct nd_zleaf *)inner->child[i])->member[0]
                                                     : ((const struct nd_zinner *)inner->child[i])->first[0];
        c->good = inner->first[i] == first && inner->score[i] == first->score;
        if (c->good)
            check_node(c, inner->child[i], height - 1, left && i == 0, right && i == inner->n - 1);
        c->good = c->good && inner->count[i] == c->count - before;
    }
}

bool nd_ztree_check(const struct nd_ztree *t)
{
    struct checking c = {.good = true};
    if (t->root == NULL)
        return t->count == 0 && t->height == 0;
    if (t->height > 0 && ((const struct nd_zinner *)t->root)->n < 2)
        return false;
    check_node(&c, t->root, t->height, true, true);
    return c.good && c.count == t->count && c.last_leaf->next == NULL;
}
