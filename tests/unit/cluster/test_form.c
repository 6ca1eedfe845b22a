#include "tests/unit/cluster/world.h"

#include "noded/cluster/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define MS INT64_C(1000)

static void forms_by_meet(void **state)
{
    (void)state;
    struct world *w = world_new(1, 6, 1000);
    assert_true(world_form(w, 3, 1));
    assert_int_equal(world_owner(w, 5, 0), 0);
    assert_int_equal(world_owner(w, 1, 16383), 4);
    world_free(w);
}

struct promoted {
    int node;
};

static bool is_promoted(struct world *w, void *arg)
{
    return w->nodes[((struct promoted *)arg)->node].promotions > 0;
}

static void a_killed_master_is_replaced(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world *w = world_new(seed, 6, 1000);
        struct promoted p = {3};
        assert_true(world_form(w, 3, 1));
        world_run(w, (int64_t)seed * 130 * MS);
        int64_t killed = w->now_us;
        world_kill(w, 2);
        assert_true(world_until(w, is_promoted, &p, 20000 * MS));
        int64_t took = w->now_us - killed;
        if (took > 1100 * MS)
            fprintf(stderr, "seed %d took %d ms\n", (int)seed, (int)(took / 1000));
        assert_true(took <= 1100 * MS);
        assert_true(world_until(w, world_agrees, NULL, 20000 * MS));
        assert_int_equal(world_owner(w, 0, 6000), 3);
        /* The old one comes back and follows. */
        world_start(w, 2);
        assert_true(world_until(w, world_agrees, NULL, 20000 * MS));
        assert_int_equal(world_owner(w, 2, 6000), 3);
        assert_false(w->nodes[2].master);
        assert_int_equal(w->nodes[2].following, 3);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_by_meet),
        cmocka_unit_test(a_killed_master_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
