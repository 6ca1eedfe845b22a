#include "tests/virtual/time.h"

void happen(struct timeline *t, struct happening *h, int64_t at_us, void (*fire)(struct world *, struct happening *))
{
    h->fire = fire;
    heap_set(&t->heap, &h->at, at_us < t->now_us ? t->now_us : at_us);
}

void happen_not(struct timeline *t, struct happening *h)
{
    heap_set(&t->heap, &h->at, HEAP_NEVER);
}

struct happening *timeline_next(struct timeline *t, int64_t until_us)
{
    struct heap_node *top = heap_top(&t->heap);
    if (top == NULL || top->at > until_us) {
        t->now_us = until_us;
        return NULL;
    }
    t->now_us = top->at;
    t->happenings++;
    heap_set(&t->heap, top, HEAP_NEVER);
    return (struct happening *)top;
}

void timeline_free(struct timeline *t)
{
    heap_free(&t->heap);
}

void inbox_put(struct inbox *b, struct happening *h)
{
    if (b->first == NULL)
        b->last = &b->first;
    h->next = NULL;
    *b->last = h;
    b->last = &h->next;
}

void inbox_deliver(struct world *w, struct inbox *b)
{
    struct happening *h = b->first;
    *b = (struct inbox){NULL, NULL};
    while (h != NULL) {
        struct happening *next = h->next;
        h->fire(w, h);
        h = next;
    }
}

int64_t clock_local(const struct local_clock *c, int64_t world_us)
{
    int64_t passed = world_us - c->world_us;
    return c->local_us + passed + passed * c->rate_ppm / 1000000;
}

int64_t clock_world(const struct local_clock *c, int64_t local_us)
{
    int64_t wait = local_us - c->local_us;
    if (wait <= 0)
        return c->world_us;
    int64_t at = wait * 1000000 / (1000000 + c->rate_ppm);
    while (at + at * c->rate_ppm / 1000000 < wait)
        at++;
    return c->world_us + at;
}

void clock_drift(struct local_clock *c, int64_t world_us, int64_t rate_ppm)
{
    c->local_us = clock_local(c, world_us);
    c->world_us = world_us;
    c->rate_ppm = rate_ppm;
}

void clock_leap(struct local_clock *c, int64_t world_us, int64_t by_us)
{
    c->local_us = clock_local(c, world_us) + by_us;
    c->world_us = world_us;
}
