/* Swaps of databases under leases, at a master whose replicas are away: what it says to its supervisors does not wait
 * for them. */
#include "tests/unit/cluster/supervised.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define WAITS (100 * MS) /* for replicas that are thought to work */

static struct cl_command step(enum cl_verb verb, int64_t epoch, uint64_t ballot)
{
    return (struct cl_command){
        .verb = verb, .database_a = 1, .database_b = 2, .number = epoch, .ballot = ballot, .text = slice_of("a test")};
}

/* How long it takes to a yes. */
static int64_t prepared_in(struct world *w, int node, int64_t epoch, uint64_t ballot)
{
    struct cl_command prepare = step(CL_DBMAP_PREPARE, epoch, ballot);
    int64_t before = w->now_us;
    lease(w, node);
    if (!world_command(w, node, &prepare))
        fail_msg("%s", w->nodes[node].answer);
    assert_int_equal(strncmp(w->nodes[node].answer, "YES ", 4), 0);
    return w->now_us - before;
}

static void apply(struct world *w, int node, int64_t epoch, uint64_t ballot)
{
    struct cl_command command = step(CL_DBMAP_APPLY, epoch, ballot);
    assert_true(world_command(w, node, &command));
}

static bool holds(const struct world *w, int node)
{
    int a, b;
    return cl_databases_held(w->nodes[node].core, &a, &b);
}

static bool is_back(struct world *w, void *arg)
{
    (void)arg;
    struct cl_id id = world_id(w, 1);
    return !cl_node_find(w->nodes[0].core, &id)->absent;
}

static void one_that_works_is_waited_for(void **state)
{
    (void)state;
    struct world *w = adopted(1, 1);
    world_run(w, 1000 * MS);
    assert_true(prepared_in(w, 0, 1, 10) < WAITS / 4);
    assert_true(holds(w, 1));
    world_free(w);
}

/* Nobody has noticed yet that it is gone. The first swap asks it long enough, the next one does not. */
static void one_that_is_dead_is_not_waited_for(void **state)
{
    (void)state;
    struct world *w = adopted(2, 1);
    world_run(w, 1000 * MS);
    world_kill(w, 1);
    int64_t took = prepared_in(w, 0, 1, 10);
    assert_true(took >= WAITS && took < WAITS + 10 * MS);
    apply(w, 0, 1, 10);
    took = prepared_in(w, 0, 2, 20);
    assert_true(took < WAITS / 4);
    apply(w, 0, 2, 20);
    /* It is counted still: a hand-over waits for it as ever. */
    assert_false(cl_state_agreed(w->nodes[0].core));
    world_start(w, 1);
    lease(w, 0);
    assert_true(world_until(w, is_back, NULL, 3000 * MS));
    took = prepared_in(w, 0, 3, 30);
    assert_true(took < WAITS / 4);
    assert_true(holds(w, 1)); /* it is back, and is waited for */
    world_free(w);
}

static void one_that_was_forgotten_is_not_waited_for(void **state)
{
    (void)state;
    struct world *w = adopted(3, 1);
    struct cl_id gone = world_id(w, 1);
    char text[CL_ID_DIGITS + 1];
    struct cl_command forget = {.verb = CL_FORGET, .node = slice_of(cl_id_text(&gone, text))};
    world_run(w, 1000 * MS);
    world_kill(w, 1);
    lease(w, 0);
    assert_true(world_command(w, 0, &forget));
    assert_true(prepared_in(w, 0, 1, 10) < WAITS / 4);
    world_free(w);
}

/* What it has promised is on its own disk first, whoever is away. */
static void its_own_disk_is_waited_for(void **state)
{
    (void)state;
    struct world *w = adopted(4, 1);
    struct cl_command prepare = step(CL_DBMAP_PREPARE, 1, 10);
    struct cl_event e = {.kind = CL_EV_COMMAND, .token = 1, .command = &prepare};
    world_kill(w, 1);
    lease(w, 0);
    w->nodes[0].disk_fails = true;
    w->nodes[0].answered = false;
    world_step(w, &w->nodes[0], &e);
    world_run(w, 1000 * MS);
    assert_false(w->nodes[0].answered);
    world_free(w);
}

/* It may lack a swap that its master has made: one of those who grant to it not knows. */
static void who_is_promoted_with_too_few_grants_doubts_its_mapping(void **state)
{
    (void)state;
    struct world *w = adopted(5, 1);
    struct cl_id zero = world_id(w, 0);
    assert_false(cl_mapping_doubted(w->nodes[0].core));
    world_kill(w, 0);
    assert_true(take_over(w, 1, 50, &zero, 1, 1, 0));
    assert_true(cl_mapping_doubted(w->nodes[1].core));
    world_run(w, 1000 * MS);
    assert_true(cl_mapping_doubted(w->nodes[1].core));
    lease(w, 1);
    assert_false(cl_mapping_doubted(w->nodes[1].core));
    world_run(w, 5000 * MS); /* the lease ends, and what it has stays right */
    assert_false(writes(w, 1));
    assert_false(cl_mapping_doubted(w->nodes[1].core));
    world_free(w);
}

/* The grants of a majority may begin later: that they are there is enough. */
static void who_is_promoted_with_enough_grants_does_not(void **state)
{
    (void)state;
    struct world *w = adopted(6, 1);
    struct cl_id zero = world_id(w, 0);
    world_kill(w, 0);
    assert_true(take_over(w, 1, 50, &zero, 1, 2, 500));
    assert_false(writes(w, 1));
    assert_false(cl_mapping_doubted(w->nodes[1].core));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_works_is_waited_for),
        cmocka_unit_test(one_that_is_dead_is_not_waited_for),
        cmocka_unit_test(one_that_was_forgotten_is_not_waited_for),
        cmocka_unit_test(its_own_disk_is_waited_for),
        cmocka_unit_test(who_is_promoted_with_too_few_grants_doubts_its_mapping),
        cmocka_unit_test(who_is_promoted_with_enough_grants_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
