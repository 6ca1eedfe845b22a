/* Links to nodes that are gone. */
#include "tests/unit/cluster/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NODES 40
#define GONE 20
#define SECOND INT64_C(1000000)

static unsigned tries[NODES];

static void count(struct world *w, struct world_node *n, const struct cl_effects *fx)
{
    (void)w;
    for (size_t i = 0; i < fx->n; i++)
        tries[n->number] += fx->v[i].kind == CL_FX_CONNECT;
}

/* Half of a cluster dies: whoever lives has better things to do just then than to try each of them ten times. */
static void many_that_are_gone_are_tried_in_turn(void **state)
{
    (void)state;
    struct world *w = world_new(7, NODES, 5000);
    assert_true(world_form(w, NODES, 0));
    w->watch = count;
    for (int i = 0; i < GONE; i++)
        world_kill(w, i);
    world_run(w, SECOND);
    for (int i = GONE; i < NODES; i++)
        assert_in_range(tries[i], GONE, 3 * GONE);
    for (int i = 0; i < GONE; i++)
        world_start(w, i);
    world_run(w, 4 * SECOND);
    for (int i = GONE; i < NODES; i++)
        tries[i] = 0;
    world_run(w, SECOND);
    for (int i = GONE; i < NODES; i++)
        assert_int_equal(tries[i], 0); /* all are linked again */
    assert_true(world_until(w, world_agrees, NULL, 20 * SECOND));
    world_free(w);
}

/* One that is back soon is reached soon. */
static void one_that_is_gone_is_tried_at_once(void **state)
{
    (void)state;
    struct world *w = world_new(8, 6, 5000);
    assert_true(world_form(w, 6, 0));
    for (int i = 0; i < 6; i++)
        tries[i] = 0;
    w->watch = count;
    world_kill(w, 0);
    world_run(w, SECOND / 10);
    for (int i = 1; i < 6; i++)
        assert_in_range(tries[i], 3, 5);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_that_are_gone_are_tried_in_turn),
        cmocka_unit_test(one_that_is_gone_is_tried_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
