/* The end of supervision, by an operator or by a reset, and what replicas hear of it. */
#include "tests/unit/cluster/supervised.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void release_is_inherited_and_ends_it(void **state)
{
    (void)state;
    struct world *w = adopted(5, 1);
    int replica = 1;
    /* Released by itself it is supervised again by its master's word. */
    assert_true(world_command(w, 1, &(struct cl_command){.verb = CL_RELEASE}));
    assert_true(supervised(w, 1));
    assert_true(w->nodes[1].core->lease.generation > 1);
    for (int i = 0; i < 6; i += 2)
        assert_true(world_command(w, i, &(struct cl_command){.verb = CL_RELEASE}));
    assert_true(world_until(w, is_free, &replica, 3000 * MS));
    assert_false(say(w, 0, 0, TTL_MS, 0) && w->nodes[0].core->supervised);
    /* Words to the replica alone don't undo it, while its master says that it is released. */
    say(w, 1, 0, 0, 0);
    say(w, 1, 1, 0, 0);
    assert_false(w->nodes[1].core->supervised);
    world_kill(w, 0);
    assert_true(world_until(w, is_promoted, &replica, 10000 * MS));
    world_free(w);
}

/* A replica that was released by itself, more often than its master was adopted: its master's word holds, at once. */
static void a_replica_follows_its_masters_word(void **state)
{
    (void)state;
    struct world *w = adopted(22, 1);
    int replica = 1;
    struct cl_command release = {.verb = CL_RELEASE};
    world_run(w, 100 * MS);
    w->nodes[1].core->lease.generation += 3;
    assert_true(world_command(w, 1, &release));
    assert_true(world_until(w, is_supervised, &replica, 1500 * MS)); /* the next PING */
    world_run(w, 100 * MS);
    w->nodes[1].core->lease.generation += 3;
    assert_true(world_command(w, 1, &release));
    assert_true(world_command(w, 0, &(struct cl_command){.verb = CL_RELEASE}));
    assert_false(is_supervised(w, &replica));
    world_run(w, 10 * MS);
    lease(w, 0);
    assert_true(world_until(w, is_supervised, &replica, 50 * MS)); /* its adoption is told, and answered */
    world_free(w);
}

static void a_reset_ends_it(void **state)
{
    (void)state;
    struct world *w = adopted(6, 1);
    uint64_t before = w->nodes[1].core->lease.generation;
    assert_true(world_command(w, 1, &(struct cl_command){.verb = CL_RESET}));
    assert_false(w->nodes[1].core->supervised);
    assert_int_equal(cl_lease_until(w->nodes[1].core), INT64_MAX);
    assert_true(w->nodes[1].core->lease.generation > before);
    world_free(w);
}

/* It was held for failed while it was supervised, and has come back: its replica has no reason to stand for it when the
 * nodes are on their own again. */
static void a_judgement_of_before_replaces_nobody(void **state)
{
    (void)state;
    struct world *w = adopted(23, 1);
    int replica = 1;
    for (int i = 1; i < 6; i++)
        cl_failed(w->nodes[i].core, cl_node_find(w->nodes[i].core, &w->nodes[0].core->me->id), false);
    world_run(w, 1000 * MS);
    for (int i = 0; i < 6; i += 2)
        assert_true(world_command(w, i, &(struct cl_command){.verb = CL_RELEASE}));
    assert_true(world_until(w, is_free, &replica, 3000 * MS));
    assert_false(world_until(w, is_promoted, &replica, 1000 * MS));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(release_is_inherited_and_ends_it),
        cmocka_unit_test(a_replica_follows_its_masters_word),
        cmocka_unit_test(a_reset_ends_it),
        cmocka_unit_test(a_judgement_of_before_replaces_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
