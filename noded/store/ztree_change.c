#include "noded/store/ztree_nodes.h"

#include "common/base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The way from the root to a place in a leaf. node[0] is the parent of the leaf, index[0] which child the leaf is. */
struct way {
    struct nd_zleaf *leaf;
    unsigned at;
    struct nd_zinner *node[ZTREE_HEIGHT_MAX];
    unsigned index[ZTREE_HEIGHT_MAX];
};

static void go(const struct nd_ztree *t, const struct zplace *p, struct way *way)
{
    void *node = t->root;
    for (unsigned level = t->height; level-- > 0;) {
        struct nd_zinner *inner = node;
        way->node[level] = inner;
        way->index[level] = zplace_child(p, inner);
        node = inner->child[way->index[level]];
    }
    way->leaf = node;
    way->at = zplace_search(p, way->leaf->score, way->leaf->member, way->leaf->n);
}

/* To a member that is there. */
static void go_to(const struct nd_ztree *t, const struct nd_zmember *m, struct way *way)
{
    go(t, &(struct zplace){.kind = ZPLACE_BEHIND, .score = m->score, .member = nd_zmember_slice(m)}, way);
    assert(way->at > 0 && way->leaf->member[way->at - 1] == m);
    way->at--;
}

/* ---- nodes ---- */

static struct nd_zleaf *new_leaf(void)
{
    struct nd_zleaf *leaf = mem_alloc(sizeof *leaf);
    leaf->prev = leaf->next = NULL;
    leaf->n = 0;
    return leaf;
}

/* Moves `n` entries between leaves, or inside of one; the ranges may overlap. */
static void move_members(struct nd_zleaf *to, unsigned to_at, const struct nd_zleaf *from, unsigned at, unsigned n)
{
    memmove(to->score + to_at, from->score + at, n * sizeof *to->score);
    memmove(to->member + to_at, from->member + at, n * sizeof *to->member);
}

static void move_children(struct nd_zinner *to, unsigned to_at, const struct nd_zinner *from, unsigned at, unsigned n)
{
    memmove(to->score + to_at, from->score + at, n * sizeof *to->score);
    memmove(to->first + to_at, from->first + at, n * sizeof *to->first);
    memmove(to->count + to_at, from->count + at, n * sizeof *to->count);
    memmove(to->child + to_at, from->child + at, n * sizeof *to->child);
}

static size_t members_below(const void *node, unsigned level)
{
    if (level == 0)
        return ((const struct nd_zleaf *)node)->n;
    const struct nd_zinner *inner = node;
    size_t count = 0;
    for (unsigned i = 0; i < inner->n; i++)
        count += inner->count[i];
    return count;
}

/* Entry i of an inner node whose children are of `level`, said anew. */
static void describe(struct nd_zinner *node, unsigned i, void *child, unsigned level)
{
    node->child[i] = child;
    node->count[i] = members_below(child, level);
    node->first[i] = level == 0 ? ((struct nd_zleaf *)child)->member[0] : ((struct nd_zinner *)child)->first[0];
    node->score[i] = node->first[i]->score;
}

/* ---- inserting ---- */

/* How many entries a full node of `max` keeps when it is halved for a new entry at `at`. At the ends of its level it
 * keeps all or none: what comes in order leaves full nodes behind. */
static unsigned keep_of(unsigned at, unsigned max, bool first, bool last)
{
    if (at == max && last)
        return max;
    if (at == 0 && first)
        return 0;
    return max / 2;
}

/* Returns the new leaf to the right when it had to be halved, else NULL. */
static struct nd_zleaf *insert_member(struct nd_zleaf *leaf, unsigned at, struct nd_zmember *m)
{
    struct nd_zleaf *right = NULL;
    if (leaf->n == ZLEAF_MAX) {
        unsigned keep = keep_of(at, ZLEAF_MAX, leaf->prev == NULL, leaf->next == NULL);
        right = new_leaf();
        right->n = ZLEAF_MAX - keep;
        move_members(right, 0, leaf, keep, right->n);
        leaf->n = keep;
        right->next = leaf->next;
        right->prev = leaf;
        if (right->next != NULL)
            right->next->prev = right;
        leaf->next = right;
        if (at > keep || keep == ZLEAF_MAX) {
            leaf = right;
            at -= keep;
        }
    }
    move_members(leaf, at + 1, leaf, at, leaf->n - at);
    leaf->score[at] = m->score;
    leaf->member[at] = m;
    leaf->n++;
    return right;
}

static struct nd_zinner *insert_child(struct nd_zinner *node, unsigned at, void *child, unsigned level, bool last)
{
    struct nd_zinner *right = NULL;
    if (node->n == ZINNER_MAX) {
        unsigned keep = keep_of(at, ZINNER_MAX, false, last);
        right = mem_alloc(sizeof *right);
        right->n = ZINNER_MAX - keep;
        move_children(right, 0, node, keep, right->n);
        node->n = keep;
        if (at > keep || keep == ZINNER_MAX) {
            node = right;
            at -= keep;
        }
    }
    move_children(node, at + 1, node, at, node->n - at);
    describe(node, at, child, level);
    node->n++;
    return right;
}

/* Whether the node of `level` on the way is the last of its level. Asked before anything above it is changed. */
static bool is_last(const struct nd_ztree *t, const struct way *way, unsigned level)
{
    for (unsigned above = level; above < t->height; above++)
        if (way->index[above] != way->node[above]->n - 1)
            return false;
    return true;
}

void nd_ztree_insert(struct nd_ztree *t, struct nd_zmember *m)
{
    if (t->root == NULL)
        t->root = new_leaf();
    struct way way;
    go(t, &(struct zplace){.kind = ZPLACE_BEFORE, .score = m->score, .member = nd_zmember_slice(m)}, &way);
    void *right = insert_member(way.leaf, way.at, m), *child = way.leaf;
    t->count++;
    for (unsigned level = 0; level < t->height; level++) {
        struct nd_zinner *node = way.node[level];
        unsigned i = way.index[level];
        if (right != NULL) {
            bool last = is_last(t, &way, level + 1);
            describe(node, i, child, level);
            right = insert_child(node, i + 1, right, level, last);
        } else if (way.at == 0) {
            describe(node, i, child, level);
        } else {
            node->count[i]++;
        }
        child = node;
    }
    if (right == NULL)
        return;
    struct nd_zinner *root = mem_alloc(sizeof *root);
    root->n = 2;
    describe(root, 0, t->root, t->height);
    describe(root, 1, right, t->height);
    t->root = root;
    t->height++;
    assert(t->height < ZTREE_HEIGHT_MAX);
}

/* ---- removing ---- */

static unsigned entries(const void *node, unsigned level)
{
    return level == 0 ? ((const struct nd_zleaf *)node)->n : ((const struct nd_zinner *)node)->n;
}

/* Moves entries between two neighbours so that the left one has `keep`. */
static void share(void *left, void *right, unsigned level, unsigned keep)
{
    if (level == 0) {
        struct nd_zleaf *a = left, *b = right;
        unsigned total = a->n + b->n;
        if (keep >= a->n) {
            unsigned taken = keep - a->n;
            move_members(a, a->n, b, 0, taken);
            move_members(b, 0, b, taken, b->n - taken);
        } else {
            unsigned given = a->n - keep;
            move_members(b, given, b, 0, b->n);
            move_members(b, 0, a, keep, given);
        }
        a->n = keep;
        b->n = total - keep;
        return;
    }
    struct nd_zinner *a = left, *b = right;
    unsigned total = a->n + b->n;
    if (keep >= a->n) {
        unsigned taken = keep - a->n;
        move_children(a, a->n, b, 0, taken);
        move_children(b, 0, b, taken, b->n - taken);
    } else {
        unsigned given = a->n - keep;
        move_children(b, given, b, 0, b->n);
        move_children(b, 0, a, keep, given);
    }
    a->n = keep;
    b->n = total - keep;
}

/* Frees child i, which has no entries any more. */
static void drop_child(struct nd_zinner *node, unsigned i, unsigned level)
{
    if (level == 0) {
        struct nd_zleaf *leaf = node->child[i];
        if (leaf->prev != NULL)
            leaf->prev->next = leaf->next;
        if (leaf->next != NULL)
            leaf->next->prev = leaf->prev;
    }
    free(node->child[i]);
    move_children(node, i, node, i + 1, node->n - i - 1);
    node->n--;
}

/* Child i of `level` has too few entries: it is made one with a neighbour, or gets some of the neighbour's. */
static void mend(struct nd_zinner *node, unsigned i, unsigned level)
{
    if (node->n == 1) {
        if (entries(node->child[0], level) == 0)
            drop_child(node, 0, level);
        else
            describe(node, 0, node->child[0], level);
        return;
    }
    unsigned a = i + 1 < node->n ? i : i - 1;
    unsigned total = entries(node->child[a], level) + entries(node->child[a + 1], level);
    bool one = total <= (level == 0 ? ZLEAF_MAX : ZINNER_MAX);
    share(node->child[a], node->child[a + 1], level, one ? total : total / 2);
    describe(node, a, node->child[a], level);
    if (one)
        drop_child(node, a + 1, level);
    else
        describe(node, a + 1, node->child[a + 1], level);
}

static void remove_at(struct nd_ztree *t, const struct way *way)
{
    struct nd_zleaf *leaf = way->leaf;
    move_members(leaf, way->at, leaf, way->at + 1, leaf->n - way->at - 1);
    leaf->n--;
    t->count--;
    void *child = leaf;
    for (unsigned level = 0; level < t->height; level++) {
        struct nd_zinner *node = way->node[level];
        if (entries(child, level) < (level == 0 ? ZLEAF_MIN : ZINNER_MIN))
            mend(node, way->index[level], level);
        else if (way->at == 0)
            describe(node, way->index[level], child, level);
        else
            node->count[way->index[level]]--;
        child = node;
    }
    while (t->height > 0 && ((struct nd_zinner *)t->root)->n == 1) {
        void *only = ((struct nd_zinner *)t->root)->child[0];
        free(t->root);
        t->root = only;
        t->height--;
    }
    if (t->count == 0)
        nd_ztree_free(t);
}

void nd_ztree_remove(struct nd_ztree *t, struct nd_zmember *m)
{
    struct way way;
    go_to(t, m, &way);
    remove_at(t, &way);
}

/* ---- another score ---- */

/* Whether the place is in this leaf, of whose members k stand before it. Its neighbours are only looked at when it is
 * at an end. */
static bool belongs(const struct nd_zleaf *leaf, const struct zplace *p, unsigned k)
{
    const struct nd_zleaf *prev = leaf->prev, *next = leaf->next;
    if (k == 0)
        return prev == NULL || zplace_search(p, &prev->score[prev->n - 1], &prev->member[prev->n - 1], 1) == 1;
    if (k == leaf->n)
        return next == NULL || zplace_search(p, next->score, next->member, 1) == 0;
    return true;
}

void nd_ztree_move(struct nd_ztree *t, struct nd_zmember *m, double score)
{
    struct way way;
    go_to(t, m, &way);
    struct nd_zleaf *leaf = way.leaf;
    const struct zplace p = {.kind = ZPLACE_BEFORE, .score = score, .member = nd_zmember_slice(m)};
    unsigned old = way.at, at = zplace_search(&p, leaf->score, leaf->member, leaf->n);
    if (!belongs(leaf, &p, at)) {
        remove_at(t, &way);
        m->score = score;
        nd_ztree_insert(t, m);
        return;
    }
    if (at > old) { /* it stood before the place itself */
        at--;
        move_members(leaf, old, leaf, old + 1, at - old);
    } else {
        move_members(leaf, at + 1, leaf, at, old - at);
    }
    m->score = leaf->score[at] = score;
    leaf->member[at] = m;
    /* Its first member may be another now, or the same with another score. */
    void *child = leaf;
    for (unsigned level = 0; level < t->height && (old == 0 || at == 0); level++) {
        describe(way.node[level], way.index[level], child, level);
        child = way.node[level];
    }
}
