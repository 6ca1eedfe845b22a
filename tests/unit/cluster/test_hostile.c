/* Messages with bytes that nobody meant, from senders that are known: whatever they make a node believe, it stays in
 * one piece. */
#include "noded/cluster/state.h"
#include "tests/unit/cluster/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000)
#define KEPT 64

static struct buf kept[KEPT];
static size_t seen;

static void watch(struct world *w, struct world_node *n, const struct cl_effects *fx)
{
    (void)n;
    for (size_t i = 0; i < fx->n; i++) {
        struct slice text = cl_effect_text(&fx->v[i]);
        if (fx->v[i].kind != CL_FX_SEND || rng_below(&w->rng, 4) != 0)
            continue;
        struct buf *b = &kept[seen++ % KEPT];
        buf_clear(b);
        buf_put(b, text.p, text.n);
    }
}

/* The map of owners, the bitmaps and the counts are three views of one thing. */
static void whole(const struct cl_core *c)
{
    const struct cl_node *n;
    int assigned = 0, sum = 0;
    size_t known = 0;
    for (int s = 0; s < CL_SLOTS; s++) {
        const struct cl_node *owner = cl_owner(c, s);
        assigned += owner != NULL ? 1 : 0;
        assert_true(owner == NULL || cl_bit(owner->slots, s));
    }
    for (size_t it = 0; (n = cl_each(c, &it)) != NULL; known++) {
        int bits = 0;
        for (int s = 0; n->slots != NULL && s < CL_SLOTS; s++)
            bits += cl_bit(n->slots, s) ? 1 : 0;
        assert_int_equal(bits, n->nslots);
        assert_ptr_equal(cl_node_find(c, &n->id), n);
        assert_true(n->master == NULL || cl_node_find(c, &n->master->id) == n->master);
        sum += bits;
    }
    assert_int_equal(assigned, c->assigned);
    assert_int_equal(sum, c->assigned);
    assert_int_equal(known, c->known);
}

static void mutate(struct rng *rng, struct buf *b)
{
    for (uint64_t k = 1 + rng_below(rng, 6); k > 0; k--) {
        size_t at = rng_below(rng, b->n);
        switch (rng_below(rng, 4)) {
        case 0: at = 12 + rng_below(rng, 28); break;    /* type, counts, epochs */
        case 1: at = 2128 + rng_below(rng, 128); break; /* master, address, flags */
        case 2: at = b->n > CL_WIRE_HEADER ? CL_WIRE_HEADER + rng_below(rng, b->n - CL_WIRE_HEADER) : at; break;
        default: break;
        }
        b->p[at] = rng_below(rng, 2) == 0 ? (char)rng_below(rng, 12) : (char)rng_u64(rng);
    }
}

static cl_link some_link(struct world *w, const struct cl_core *c)
{
    const struct cl_node *n = NULL;
    cl_link link = 0;
    for (size_t it = 0, left = 1 + rng_below(&w->rng, c->known); left > 0; left--)
        if ((n = cl_each(c, &it)) != NULL)
            link = rng_below(&w->rng, 2) == 0 && n->incoming != 0 ? n->incoming : n->link;
    return link;
}

static void changed_messages_do_no_harm(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct world *w = world_new(seed, 6, 1000);
        w->watch = watch;
        assert_true(world_form(w, 3, 1));
        for (int i = 0; i < 1500; i++) {
            struct world_node *n = &w->nodes[rng_below(&w->rng, 6)];
            struct buf b = {NULL, 0, 0};
            const struct buf *from = &kept[rng_below(&w->rng, KEPT)];
            const char *why;
            if (from->n == 0)
                continue;
            buf_put(&b, from->p, from->n);
            mutate(&w->rng, &b);
            if (cl_wire_length(b.p, b.n, &why) == (int64_t)b.n) {
                struct cl_event e = {.kind = CL_EV_MESSAGE, .link = some_link(w, n->core), .bytes = buf_slice(&b)};
                world_step(w, n, &e);
            }
            buf_free(&b);
            if (i % 20 == 0) {
                world_run(w, 20 * MS);
                for (int k = 0; k < 6; k++)
                    whole(w->nodes[k].core);
            }
        }
        world_run(w, 3000 * MS);
        /* What was written meanwhile can be read. */
        for (int k = 0; k < 6; k++) {
            world_kill(w, k);
            world_start(w, k);
            whole(w->nodes[k].core);
        }
        world_free(w);
    }
    for (size_t i = 0; i < KEPT; i++)
        buf_free(&kept[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(changed_messages_do_no_harm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
