/* Lists: changes in the middle. Nodes are split where they would grow past their limit and joined again when their
 * parts have become small. */
#include "noded/store/list.h"
#include "noded/store/list_node.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* pack.h's functions want a pack that is a block of its own. `at` stays at its element; may be NULL. */
static struct nd_pack *to_block(struct nd_list_node *node, nd_pack_at *at)
{
    if (node->front > 0) {
        memmove(node->block, nd_list_pack(node), nd_pack_bytes(nd_list_pack(node)));
        if (at != NULL)
            *at -= node->front;
        node->front = 0;
    }
    return nd_list_pack(node);
}

static void from_block(struct nd_list_node *node, struct nd_pack *p)
{
    size_t n = malloc_usable_size(p);
    node->block = (unsigned char *)p;
    node->front = 0;
    node->cap = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static void to_end(struct nd_list_at *at, struct nd_list_node *node, bool last)
{
    at->node = node;
    if (node == NULL || node->plain)
        at->at = NULL;
    else
        at->at = last ? nd_pack_last(nd_list_pack(node)) : nd_pack_first(nd_list_pack(node));
}

bool nd_list_remove(struct nd_value *v, struct nd_list_at *at, bool backwards)
{
    struct nd_list *l = nd_list_of(v);
    struct nd_list_node *node = at->node, *neighbour = backwards ? node->prev : node->next;
    l->length--;
    if (node->count == 1) {
        nd_list_node_free(l, node);
        to_end(at, neighbour, backwards);
        return neighbour != NULL;
    }
    struct nd_pack *p = nd_pack_remove(to_block(node, &at->at), &at->at, 1);
    from_block(node, p);
    node->count--;
    if (backwards)
        at->at = at->at != NULL ? nd_pack_prev(p, at->at) : nd_pack_last(p);
    if (at->at == NULL)
        to_end(at, neighbour, backwards);
    return at->node != NULL;
}

/* ---- insertion ---- */

static bool joinable(const struct nd_list *l, const struct nd_list_node *a, const struct nd_list_node *b)
{
    if (a == NULL || b == NULL || a->plain || b->plain)
        return false;
    size_t bytes = nd_pack_bytes(nd_list_pack(a)) + nd_pack_bytes(nd_list_pack(b)) - ND_PACK_EMPTY_BYTES;
    if (bytes > nd_list_node_limit(l))
        return false;
    return l->fill < 0 || (int64_t)a->count + b->count <= l->fill;
}

/* Joins the node with the next one when both are small enough. Returns the node that has the elements of `node`. */
static struct nd_list_node *join_with_next(struct nd_list *l, struct nd_list_node *node)
{
    struct nd_list_node *next = node->next;
    if (!joinable(l, node, next))
        return node;
    from_block(node, nd_pack_concat(to_block(node, NULL), nd_list_pack(next)));
    node->count += next->count;
    nd_list_node_free(l, next);
    return node;
}

/* After a split at `node`: neighbours that fit together become one, two on each side at most. */
static void join_around(struct nd_list *l, struct nd_list_node *node)
{
    if (node->prev != NULL && node->prev->prev != NULL)
        join_with_next(l, node->prev->prev);
    if (node->next != NULL)
        join_with_next(l, node->next);
    if (node->prev != NULL && joinable(l, node->prev, node))
        node = join_with_next(l, node->prev);
    join_with_next(l, node);
}

static void insert_in_node(struct nd_list_node *node, nd_pack_at at, bool after, struct slice s)
{
    struct nd_pack *p = to_block(node, &at);
    if (after)
        at = nd_pack_next(p, at);
    from_block(node, nd_pack_insert(p, &at, s));
    node->count++;
}

/* Cuts a packed node in two; `at`, which is not its first element, begins the second part. Returns that part's node. */
static struct nd_list_node *split(struct nd_list *l, struct nd_list_node *node, nd_pack_at at)
{
    struct nd_pack *p = to_block(node, &at);
    size_t offset = (size_t)(at - (unsigned char *)p), bytes = nd_pack_bytes(p);
    struct nd_pack *right = nd_pack_new(bytes - offset + ND_PACK_EMPTY_BYTES);
    uint32_t moved = 0;
    char tmp[ND_PACK_INT_TEXT];
    for (nd_pack_at e = at; e != NULL; e = nd_pack_next(p, e), moved++)
        right = nd_pack_append(right, nd_pack_get(e, tmp));
    from_block(node, nd_pack_shrink(nd_pack_remove(p, &at, moved)));
    node->count -= moved;
    return nd_list_node_around(l, node, right, moved);
}

/* Is there no element of the node beyond this one? */
static bool at_edge(const struct nd_list_at *at, bool after)
{
    if (at->node->plain)
        return true;
    struct nd_pack *p = nd_list_pack(at->node);
    return (after ? nd_pack_next(p, at->at) : nd_pack_prev(p, at->at)) == NULL;
}

void nd_list_insert(struct nd_value *v, const struct nd_list_at *at, bool after, struct slice s)
{
    struct nd_list *l = nd_list_of(v);
    struct nd_list_node *node = at->node;
    l->length++;
    if (nd_list_fits(l, node, s.n)) {
        insert_in_node(node, at->at, after, s);
        return;
    }
    if (at_edge(at, after)) {
        struct nd_list_node *neighbour = after ? node->next : node->prev;
        if (nd_list_fits(l, neighbour, s.n))
            nd_list_node_push(l, neighbour, after, s);
        else
            nd_list_node_new(l, after ? node : node->prev, !after, s);
        return;
    }
    struct nd_pack *p = nd_list_pack(node);
    struct nd_list_node *right = split(l, node, after ? nd_pack_next(p, at->at) : at->at);
    struct nd_list_node *with = after ? right : node;
    if (nd_list_fits(l, with, s.n))
        nd_list_node_push(l, with, after, s);
    else
        with = nd_list_node_new(l, node, false, s);
    join_around(l, with);
}

/* May s stand where the element `at` is now? An element that becomes smaller may, also in a node past its limit. */
static bool fits_instead(const struct nd_list *l, const struct nd_list_node *node, nd_pack_at at, struct slice s)
{
    if (s.n >= ND_LIST_PLAIN_MIN)
        return false;
    char tmp[ND_PACK_INT_TEXT];
    size_t old = nd_pack_get(at, tmp).n;
    return s.n <= old || nd_pack_bytes(nd_list_pack(node)) - old + s.n <= nd_list_node_limit(l);
}

void nd_list_replace(struct nd_value *v, const struct nd_list_at *at, struct slice s)
{
    struct nd_list *l = nd_list_of(v);
    struct nd_list_node *node = at->node;
    struct nd_list_at here = *at;
    if (!node->plain && fits_instead(l, node, at->at, s)) {
        from_block(node, nd_pack_replace(to_block(node, &here.at), &here.at, s));
        return;
    }
    if (node->count == 1) {
        nd_list_node_new(l, node, false, s);
        nd_list_node_free(l, node);
        return;
    }
    /* It would outgrow its node. The element is taken out first, so that what is left may have room for the new one. */
    bool last = at_edge(at, true);
    nd_list_remove(v, &here, last);
    nd_list_insert(v, &here, last, s);
}

/* Takes `count` elements out of a packed node that keeps others. At its ends nothing else moves. */
static void cut_node(struct nd_list_node *node, size_t start, size_t count)
{
    node->count -= (uint32_t)count;
    if (start == 0) {
        struct nd_pack *p = nd_list_pack(node);
        while (count-- > 0)
            p = nd_pack_drop_front(p);
        node->front = (uint32_t)((unsigned char *)p - node->block);
        nd_list_node_shrink(node);
    } else if (start == node->count) {
        while (count-- > 0)
            nd_pack_drop_back(nd_list_pack(node));
        nd_list_node_shrink(node);
    } else {
        nd_pack_at at = nd_pack_index(nd_list_pack(node), (int64_t)start);
        from_block(node, nd_pack_remove(to_block(node, &at), &at, count));
    }
}

void nd_list_remove_range(struct nd_value *v, size_t start, size_t count)
{
    struct nd_list *l = nd_list_of(v);
    assert(start <= l->length && count <= l->length - start);
    if (count == 0)
        return;
    struct nd_list_node *node;
    if (start <= l->length / 2) {
        for (node = l->head; start >= node->count; node = node->next)
            start -= node->count;
    } else {
        size_t behind = l->length - start;
        for (node = l->tail; behind > node->count; node = node->prev)
            behind -= node->count;
        start = node->count - behind;
    }
    l->length -= count;
    while (count > 0) {
        struct nd_list_node *next = node->next;
        size_t here = node->count - start < count ? node->count - start : count;
        count -= here;
        if (here == node->count)
            nd_list_node_free(l, node);
        else
            cut_node(node, start, here);
        start = 0;
        node = next;
    }
}
