/* Nodes that die, come back, and are cut off from each other at random; the rules hold after every step, and when the
 * faults end all agree again. */
#include "tests/unit/cluster/rules.h"

#include "noded/cluster/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MS INT64_C(1000)

static void fault(struct world *w)
{
    int i = (int)rng_below(&w->rng, (uint64_t)w->nnodes), k = (int)rng_below(&w->rng, (uint64_t)w->nnodes);
    switch (rng_below(&w->rng, 8)) {
    case 0:
    case 1:
        if (w->nodes[i].core != NULL)
            world_kill(w, i);
        break;
    case 2:
    case 3:
    case 4:
        if (w->nodes[i].core == NULL)
            world_start(w, i);
        break;
    case 5:
        if (i != k)
            world_cut(w, i, k, true);
        break;
    case 6: /* one against all */
        for (int o = 0; o < w->nnodes; o++)
            if (o != i)
                world_cut(w, i, o, true);
        break;
    default:
        for (int o = 0; o < w->nnodes; o++)
            if (o != i)
                world_cut(w, i, o, false);
        break;
    }
    for (int n = 0; n < w->nnodes; n++)
        if (w->nodes[n].core != NULL && w->nodes[n].master)
            w->nodes[n].offset += (int64_t)rng_below(&w->rng, 1000);
}

static void heal(struct world *w)
{
    for (int i = 0; i < w->nnodes; i++) {
        for (int k = 0; k < i; k++)
            world_cut(w, i, k, false);
        if (w->nodes[i].core == NULL)
            world_start(w, i);
    }
}

static void rules_hold_under_faults(void **state)
{
    (void)state;
    const char *from = getenv("SEED"), *count = getenv("SEEDS");
    uint64_t first = from != NULL ? strtoull(from, NULL, 10) : 1, n = count != NULL ? strtoull(count, NULL, 10) : 15;
    for (uint64_t seed = first; seed < first + n; seed++) {
        int masters = 3 + (int)(seed % 3), replicas = 1 + (int)(seed % 2);
        struct world *w = world_new(seed, masters * (replicas + 1), 1000);
        struct rules *r = rules_watch(w);
        assert_true(world_form(w, masters, replicas));
        for (int i = 0; i < 60; i++) {
            fault(w);
            world_run(w, (int64_t)rng_below(&w->rng, 1500) * MS);
            if (w->broken != NULL)
                fail_msg("seed %d: %s", (int)seed, w->broken);
        }
        heal(w);
        bool agreed = world_until(w, world_agrees, NULL, 60000 * MS);
        if (w->broken != NULL)
            fail_msg("seed %d: %s", (int)seed, w->broken);
        if (!agreed) {
            for (int i = 0; i < w->nnodes; i++) {
                struct buf text = {NULL, 0, 0};
                cl_nodes_text(w->nodes[i].core, &text);
                fprintf(stderr, "node %d ok %d\n%s", i, cl_ok(w->nodes[i].core), buf_str(&text));
                buf_free(&text);
            }
            fail_msg("seed %d: no agreement", (int)seed);
        }
        world_run(w, 3000 * MS);
        assert_true(rules_epochs_differ(w));
        world_free(w);
        rules_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rules_hold_under_faults)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
