/* Masters that were replaced under supervisors, while slots of theirs were on their way or when they had none left:
 * they get no lease again, so whoever has their place has to end what they began. */
#include "tests/unit/cluster/moves.h"
#include "tests/unit/cluster/supervised.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SLOT 7 /* of node 0, which has 0 to 5460 */
#define LAST 5460

static void cut_off(struct world *w, int node, bool cut)
{
    for (int i = 0; i < w->nnodes; i++)
        if (i != node)
            world_cut(w, node, i, cut);
}

/* What a ballot comes to that names the master at hand. */
static bool confirmed(struct world *w, int node, uint64_t epoch)
{
    struct cl_id id = world_id(w, node);
    return take_over(w, node, epoch, &id, 1, 2, 0);
}

static bool wants_epoch(struct world *w, void *arg)
{
    struct cl_lease_state s;
    cl_lease_state(w->nodes[*(int *)arg].core, w->now_us, &s);
    return s.wants_epoch > 0;
}

static bool follows_the_next(struct world *w, void *arg)
{
    int node = *(int *)arg;
    struct cl_id next = world_id(w, node + 1);
    const struct cl_node *master = w->nodes[node].core->me->master;
    return master != NULL && cl_id_eq(&master->id, &next);
}

/* The target refuses, the source has its slots again and dies; its replica knows only that they were granted, and is
 * promoted before it hears of anything else. */
static void slots_that_came_back_to_a_dead_source(void **state)
{
    (void)state;
    int source = 0, heir = 1;
    struct world *w = adopted(1, 1);
    struct cl_id from = world_id(w, source);
    assert_true(confirmed(w, 2, 10));
    world_run(w, 300 * MS);
    w->data = WORLD_LOSES_GRANTS;
    assert_true(migrate(w, source, 2, 0, LAST));
    assert_true(reaches(w, source, CL_JOB_GRANTED, 1000 * MS));
    assert_true(has_a_record(w, &heir));
    cut_off(w, heir, true);
    assert_true(world_until(w, wants_epoch, &source, 1000 * MS));
    assert_true(confirmed(w, source, 11));
    assert_true(world_until(w, has_no_record, &source, 1000 * MS));
    world_run(w, 100 * MS);
    world_kill(w, source);
    assert_true(take_over(w, heir, 12, &from, 1, 2, 0));
    assert_true(world_until(w, is_promoted, &heir, 1000 * MS));
    assert_true(has_a_record(w, &heir));
    assert_int_equal(w->nodes[heir].core->me->nslots, 0);
    /* The target, which would answer it, is still out of reach when the source comes back with its claim. */
    world_start(w, source);
    world_cut(w, heir, source, false);
    assert_true(world_until(w, has_no_record, &heir, 1000 * MS));
    assert_int_equal(w->nodes[heir].core->me->nslots, LAST + 1);
    assert_false(cl_bit(w->nodes[heir].dropped, SLOT));
    cut_off(w, heir, false);
    assert_true(world_until(w, follows_the_next, &source, 5000 * MS));
    assert_true(world_until(w, world_agrees, NULL, 5000 * MS));
    assert_int_equal(world_owner(w, 4, SLOT), heir);
    world_free(w);
}

static bool has_nothing(struct world *w, void *arg)
{
    return w->nodes[*(int *)arg].core->me->nslots == 0;
}

/* false: the source lost the link before it heard why; then the migration has failed, and has to be asked for again. */
static bool goes_on_to_the_heir(uint64_t seed)
{
    int old = 0, heir = 1, seen = 2;
    struct world *w = adopted(seed, 1);
    struct cl_id from = world_id(w, old);
    struct cl_settings stay = w->nodes[old].core->set;
    stay.allow_migration = false;
    world_settings(w, old, &stay);
    world_settings(w, heir, &stay);
    assert_true(confirmed(w, 2, 10));
    world_run(w, 300 * MS);
    assert_true(migrate(w, old, 2, 0, LAST));
    assert_true(reaches(w, old, CL_JOB_SUCCESS, 1500 * MS));
    assert_true(world_until(w, has_nothing, &old, 1000 * MS));
    world_run(w, 200 * MS);
    assert_true(cl_is_master(w->nodes[old].core));
    cut_off(w, old, true);
    assert_true(take_over(w, heir, 12, &from, 1, 2, 0));
    assert_true(world_until(w, is_promoted, &heir, 1000 * MS));
    world_run(w, 3000 * MS);
    cut_off(w, old, false);
    world_run(w, 500 * MS);
    lease(w, 2);
    lease(w, heir);
    assert_true(migrate(w, 2, old, 0, 99));
    for (int i = 0; i < 80 && world_owner(w, seen, SLOT) != heir; i++) {
        lease(w, 2);
        lease(w, heir);
        world_run(w, 100 * MS);
    }
    bool went_on = world_owner(w, seen, SLOT) == heir;
    if (!went_on)
        assert_string_equal(last_job(w, 2)->message, "The link was lost");
    assert_true(follows_the_next(w, &old));
    world_free(w);
    return went_on;
}

/* Neither it nor its successor has slots: nothing that the other claims tells it. What is on its way to it goes on to
 * who has its place. */
static void a_master_that_is_replaced_without_slots(void **state)
{
    (void)state;
    uint64_t seed = 2;
    while (!goes_on_to_the_heir(seed))
        assert_true(++seed < 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_that_came_back_to_a_dead_source),
        cmocka_unit_test(a_master_that_is_replaced_without_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
