#include "common/base/heap.h"

#include "common/base/mem.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

void heap_node_init(struct heap_node *n)
{
    *n = (struct heap_node){.at = HEAP_NEVER, .place = 0, .turn = 0};
}

void heap_free(struct heap *h)
{
    free(h->v);
    *h = (struct heap){0};
}

static bool before(const struct heap_entry *a, const struct heap_entry *b)
{
    return a->at != b->at ? a->at < b->at : a->turn < b->turn;
}

/* Places are 1-based, so that the children of place p are 2p and 2p + 1, and 0 can mean "not in the heap". */
static void put_at(struct heap *h, struct heap_entry e, size_t place)
{
    h->v[place - 1] = e;
    e.node->place = place;
}

static void sift_up(struct heap *h, struct heap_entry e, size_t place)
{
    while (place > 1 && before(&e, &h->v[place / 2 - 1])) {
        put_at(h, h->v[place / 2 - 1], place);
        place /= 2;
    }
    put_at(h, e, place);
}

static void sift_down(struct heap *h, struct heap_entry e, size_t place)
{
    for (;;) {
        size_t child = place * 2;
        if (child > h->n)
            break;
        if (child < h->n && before(&h->v[child], &h->v[child - 1]))
            child++;
        if (!before(&h->v[child - 1], &e))
            break;
        put_at(h, h->v[child - 1], place);
        place = child;
    }
    put_at(h, e, place);
}

/* Where e belongs that stands at place or is to stand there. */
static void settle(struct heap *h, struct heap_entry e, size_t place)
{
    if (place > 1 && before(&e, &h->v[place / 2 - 1]))
        sift_up(h, e, place);
    else
        sift_down(h, e, place);
}

static void take_out(struct heap *h, struct heap_node *n)
{
    size_t hole = n->place;
    struct heap_entry last = h->v[--h->n];
    heap_node_init(n);
    if (last.node != n)
        settle(h, last, hole);
}

void heap_set(struct heap *h, struct heap_node *n, int64_t at)
{
    assert(n->place == 0 || (n->place <= h->n && h->v[n->place - 1].node == n));
    if (at == HEAP_NEVER) {
        if (n->place != 0)
            take_out(h, n);
        return;
    }
    if (n->place != 0 && n->at == at)
        return;
    n->at = at;
    n->turn = h->turns++;
    size_t place = n->place;
    if (place == 0) {
        h->v = mem_grow(h->v, h->n, &h->cap, sizeof *h->v);
        place = ++h->n;
    }
    settle(h, (struct heap_entry){.at = n->at, .turn = n->turn, .node = n}, place);
}

struct heap_node *heap_top(const struct heap *h)
{
    return h->n > 0 ? h->v[0].node : NULL;
}

/* Nothing below a node is due before it: only the due ones and their children are looked at. */
static void each_due(const struct heap *h, size_t place, int64_t now, void (*f)(struct heap_node *))
{
    if (place > h->n || h->v[place - 1].at > now)
        return;
    f(h->v[place - 1].node);
    each_due(h, 2 * place, now, f);
    each_due(h, 2 * place + 1, now, f);
}

void heap_each_due(const struct heap *h, int64_t now, void (*f)(struct heap_node *))
{
    each_due(h, 1, now, f);
}
