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

/* Each of the two has the other by its name and a link to it. */
static bool know_each_other(const struct world *w, int a, int b)
{
    const struct cl_node *n = cl_node_find(w->nodes[a].core, &w->nodes[b].core->me->id);
    const struct cl_node *m = cl_node_find(w->nodes[b].core, &w->nodes[a].core->me->id);
    return n != NULL && m != NULL && n->link_state == CL_LINK_UP && m->link_state == CL_LINK_UP && n->heard && m->heard;
}

/* ... and whom each replica follows. */
static bool is_met_by_all(struct world *w, void *arg)
{
    const int *newcomer = arg;
    const struct cl_core *c = w->nodes[*newcomer].core;
    for (int i = 0; i < w->nnodes; i++) {
        if (i != *newcomer && !know_each_other(w, i, *newcomer))
            return false;
        const struct cl_node *n = cl_node_find(c, &w->nodes[i].core->me->id);
        const struct cl_node *follows = w->nodes[i].core->me->master;
        if (follows != NULL && (n->master == NULL || !cl_id_eq(&n->master->id, &follows->id)))
            return false;
    }
    return true;
}

/* A node that has just begun says nothing before its first nodes.conf is on disk, and it may hear of a replica before
 * it hears of its master. Nobody waits for the next exchange of each pair, which comes after half of the node
 * timeout. */
static void a_newcomer_is_met_while_it_starts(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        int newcomer = 6;
        struct world *w = world_new(seed, 7, 15000);
        w->nnodes = 6;
        assert_true(world_form(w, 3, 1));
        w->nnodes = 7;
        world_kill(w, newcomer);
        w->nodes[newcomer].has_disk = false;
        w->disk_us = (int64_t)(1 + seed % 8) * 5 * MS;
        int64_t began = w->now_us;
        world_start(w, newcomer);
        for (int i = 0; i < 6; i++)
            assert_true(world_meet(w, i, newcomer));
        assert_true(world_until(w, is_met_by_all, &newcomer, 60000 * MS));
        int64_t took = w->now_us - began;
        if (took > 500 * MS)
            fprintf(stderr, "seed %d took %d ms\n", (int)seed, (int)(took / 1000));
        assert_true(took <= 500 * MS);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_by_meet),
        cmocka_unit_test(a_killed_master_is_replaced),
        cmocka_unit_test(a_newcomer_is_met_while_it_starts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
