/* Config epochs under supervisors (SAFETY E2): a node asks for one, and gets it by TAKEOVER. Nodes 0, 2 and 4 are
 * masters with a replica each; all are supervised and leased, but for what a test joins later. */
#include "noded/cluster/redirect.h"
#include "noded/cluster/state.h"
#include "tests/unit/cluster/leased.h"
#include "tests/unit/cluster/moves.h"
#include "tests/unit/cluster/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000)
#define TTL_MS 60000
#define SLOT 7 /* of node 0 */

static char text[CL_ID_DIGITS + 1];

static struct cl_lease_state state_of(struct world *w, int node)
{
    struct cl_lease_state s;
    cl_lease_state(w->nodes[node].core, w->now_us, &s);
    return s;
}

static bool say(struct world *w, int node, int supervisor, int64_t ttl_ms)
{
    struct cl_lease_ask a = {.speaker = {1, supervisor, slice_of(LIST3)},
                             .ttl_ms = ttl_ms,
                             .stamp = {state_of(w, node).incarnation, w->now_us}};
    return world_command(w, node, &(struct cl_command){.verb = CL_LEASE, .lease = &a});
}

static bool is_supervised(struct world *w, void *arg)
{
    (void)arg;
    for (int i = 0; i < 6; i++)
        if (!cl_fenced(w->nodes[i].core))
            return false;
    return true;
}

static struct world *adopted(uint64_t seed, int more)
{
    struct world *w = world_new(seed, 6 + more, 1000);
    w->nnodes = 6; /* the others stand apart */
    assert_true(world_form(w, 3, 1));
    w->nnodes += more;
    for (int i = 0; i < 6; i += 2)
        assert_true(say(w, i, 0, TTL_MS) && say(w, i, 1, TTL_MS));
    assert_true(world_until(w, is_supervised, NULL, 3000 * MS));
    world_run(w, 2000 * MS);
    return w;
}

/* What a ballot comes to: the master that it names has the epoch, and a lease. */
static bool give(struct world *w, int node, uint64_t epoch)
{
    struct cl_speaker s = {1, 0, slice_of(LIST3)};
    struct cl_id id = world_id(w, node);
    struct cl_grant grants[2];
    for (int i = 0; i < 2; i++)
        grants[i] = (struct cl_grant){i, {state_of(w, node).incarnation, w->now_us}, TTL_MS, 0};
    struct cl_takeover t = {.epoch = epoch, .from = &id, .nfrom = 1, .speaker = &s, .grants = grants, .ngrants = 2};
    return world_command(w, node, &(struct cl_command){.verb = CL_TAKEOVER, .promotion = &t});
}

static uint64_t epoch_of(const struct world *w, int node)
{
    return w->nodes[node].core->me->config_epoch;
}

static uint64_t greatest(const struct world *w)
{
    uint64_t max = 0;
    for (int i = 0; i < w->nnodes; i++)
        max = cl_greatest_epoch(w->nodes[i].core) > max ? cl_greatest_epoch(w->nodes[i].core) : max;
    return max;
}

/* Its data side finds once more that little is left. */
static void near(struct world *w, int node)
{
    struct cl_event e = {.kind = CL_EV_JOB, .job = last_job(w, node)->name, .news = CL_JOB_IS_NEAR};
    world_step(w, &w->nodes[node], &e);
}

static bool wants(struct world *w, void *arg)
{
    return state_of(w, *(int *)arg).wants_epoch > 0;
}

static bool node_wants(struct world *w, int node)
{
    return world_until(w, wants, &node, 1000 * MS);
}

/* The master with the lowest epoch cannot get slots without a ballot. */
static void a_target_needs_an_epoch_above_the_sources(void **state)
{
    (void)state;
    struct world *w = adopted(1, 0);
    assert_true(give(w, 0, greatest(w) + 1));
    world_run(w, 1000 * MS);
    uint64_t before = epoch_of(w, 2), source = epoch_of(w, 0);
    assert_true(migrate(w, 0, 2, 0, 99));
    assert_true(reaches(w, 0, CL_JOB_STREAMING, 1000 * MS));
    world_run(w, 5000 * MS);
    assert_int_equal(last_job(w, 0)->state, CL_JOB_STREAMING);
    assert_int_equal(last_job(w, 0)->tries, 0); /* nobody's writes have waited */
    assert_int_equal(epoch_of(w, 2), before);
    assert_int_equal(state_of(w, 2).wants_epoch, source + 1);
    assert_false(cl_ready_to_take(w->nodes[2].core, &last_job(w, 2)->name));
    struct cl_job_row row;
    size_t it = 0;
    assert_true(cl_next_job(w->nodes[0].core, &it, &row));
    assert_non_null(strstr(row.message, "by a ballot of the supervisors"));
    assert_true(give(w, 2, source + 3));
    assert_int_equal(state_of(w, 2).wants_epoch, 0);
    world_run(w, 100 * MS);
    near(w, 0);
    assert_true(reaches(w, 0, CL_JOB_SUCCESS, 3000 * MS));
    assert_int_equal(epoch_of(w, 2), source + 3);
    assert_int_equal(epoch_of(w, 0), source);
    world_run(w, 1000 * MS);
    for (int i = 0; i < w->nnodes; i++)
        assert_int_equal(world_owner(w, i, SLOT), 2);
    world_free(w);
}

static void one_that_is_above_already_needs_none(void **state)
{
    (void)state;
    struct world *w = adopted(2, 0);
    assert_true(give(w, 2, greatest(w) + 1));
    world_run(w, 1000 * MS);
    uint64_t epochs[] = {epoch_of(w, 0), epoch_of(w, 2), epoch_of(w, 4)};
    assert_true(migrate(w, 0, 2, 0, 99));
    assert_true(reaches(w, 0, CL_JOB_SUCCESS, 2000 * MS));
    for (int i = 0; i < 3; i++)
        assert_int_equal(epoch_of(w, 2 * i), epochs[i]);
    world_free(w);
}

/* The grant is lost: the target says that it never takes the slots, and the source has them again, above the epoch that
 * it granted, when a ballot has given it one. */
static void a_source_comes_back_by_a_ballot(void **state)
{
    (void)state;
    struct world *w = adopted(3, 0);
    assert_true(give(w, 2, greatest(w) + 1));
    world_run(w, 1000 * MS);
    w->data = WORLD_LOSES_GRANTS;
    uint64_t granted = epoch_of(w, 2), before = epoch_of(w, 0);
    assert_true(migrate(w, 0, 2, 0, 99));
    assert_true(reaches(w, 0, CL_JOB_GRANTED, 2000 * MS));
    assert_true(node_wants(w, 0));
    world_run(w, 3000 * MS);
    assert_int_equal(last_job(w, 0)->state, CL_JOB_GRANTED);
    assert_int_equal(epoch_of(w, 0), before);
    assert_int_equal(state_of(w, 0).wants_epoch, granted + 1);
    assert_int_not_equal(cl_slot_hold(w->nodes[0].core, SLOT), CL_HOLD_NOT);
    assert_true(give(w, 0, granted + 1));
    assert_true(reaches(w, 0, CL_JOB_FAILED, 1000 * MS));
    world_run(w, 1000 * MS);
    assert_int_equal(cl_slot_hold(w->nodes[0].core, SLOT), CL_HOLD_NOT);
    for (int i = 0; i < w->nnodes; i++)
        assert_int_equal(world_owner(w, i, SLOT), 0);
    world_free(w);
}

static void an_unleased_target_takes_nothing(void **state)
{
    (void)state;
    struct world *w = adopted(4, 0);
    assert_true(give(w, 2, greatest(w) + 1));
    world_run(w, 1000 * MS);
    for (int i = 0; i < 3; i++)
        assert_true(say(w, 2, i, 0)); /* taken back */
    assert_true(migrate(w, 0, 2, 0, 99));
    world_run(w, 3000 * MS);
    assert_int_equal(last_job(w, 0)->state, CL_JOB_FAILED);
    assert_int_equal(world_owner(w, 2, SLOT), 0);
    world_free(w);
}

static void frozen_migrations_do_not_pause(void **state)
{
    (void)state;
    struct world *w = adopted(5, 0);
    assert_true(give(w, 2, greatest(w) + 1));
    world_run(w, 1000 * MS);
    struct cl_id target = world_id(w, 2);
    struct cl_command freeze = {.verb = CL_FREEZE, .number = 4000};
    char name[CL_ID_DIGITS + 1];
    freeze.node = slice_of(cl_id_text(&target, name));
    assert_true(world_command(w, 0, &freeze));
    assert_true(migrate(w, 0, 2, 0, 99));
    world_run(w, 3000 * MS);
    assert_int_equal(last_job(w, 0)->state, CL_JOB_STREAMING);
    assert_int_equal(last_job(w, 0)->tries, 0);
    struct cl_job_row row;
    size_t it = 0;
    assert_true(cl_next_job(w->nodes[0].core, &it, &row));
    assert_int_equal(strncmp(row.message, "Frozen:", 7), 0);
    near(w, 0);
    assert_int_equal(last_job(w, 0)->tries, 0);
    world_run(w, 1100 * MS); /* it ends by itself */
    near(w, 0);
    assert_true(reaches(w, 0, CL_JOB_SUCCESS, 3000 * MS));
    freeze.number = 70000;
    assert_false(world_command(w, 0, &freeze));
    assert_false(world_command(w, 2, &(struct cl_command){.verb = CL_FREEZE, .node = freeze.node}));
    world_free(w);
}

static bool restarted(struct world *w, void *arg)
{
    (void)arg;
    return w->nodes[0].core->njobs > 1;
}

static void a_dead_target_is_waited_for(void **state)
{
    (void)state;
    struct world *w = adopted(6, 0);
    w->data = WORLD_IS_NEVER_NEAR;
    assert_true(migrate(w, 0, 2, 0, 99));
    assert_true(reaches(w, 0, CL_JOB_STREAMING, 1000 * MS));
    struct cl_id from[] = {world_id(w, 2)}, promoted = world_id(w, 3);
    uint64_t epoch = greatest(w) + 1;
    world_kill(w, 2);
    assert_true(world_until(w, restarted, NULL, 20000 * MS));
    const struct cl_core *c = w->nodes[0].core;
    assert_int_equal(c->jobs[0]->state, CL_JOB_FAILED);
    assert_non_null(strstr(c->jobs[0]->message, cl_id_text(&c->jobs[1]->name, text)));
    assert_int_equal(c->jobs[1]->state, CL_JOB_CONNECTING);
    assert_false(c->jobs[1]->begun);
    w->data = WORLD_TAKES_GRANTS;
    struct cl_speaker s = {1, 0, slice_of(LIST3)};
    struct cl_grant grants[2];
    for (int i = 0; i < 2; i++)
        grants[i] = (struct cl_grant){i, {state_of(w, 3).incarnation, w->now_us}, TTL_MS, 0};
    struct cl_takeover t = {.epoch = epoch, .from = from, .nfrom = 1, .speaker = &s, .grants = grants, .ngrants = 2};
    assert_true(world_command(w, 3, &(struct cl_command){.verb = CL_TAKEOVER, .promotion = &t}));
    assert_true(reaches(w, 0, CL_JOB_SUCCESS, 20000 * MS));
    assert_true(cl_id_eq(&last_job(w, 0)->target, &promoted));
    world_run(w, 1000 * MS);
    assert_int_equal(world_owner(w, 4, SLOT), 3);
    world_free(w);
}

/* ---- by hand ---- */

static void slots_by_hand_wait_for_a_ballot(void **state)
{
    (void)state;
    struct world *w = adopted(7, 0);
    assert_true(give(w, 0, greatest(w) + 1));
    world_run(w, 1000 * MS);
    struct cl_id one = world_id(w, 0), two = world_id(w, 2);
    char first[CL_ID_DIGITS + 1], second[CL_ID_DIGITS + 1];
    struct cl_command import = {.verb = CL_SETSLOT_IMPORTING, .slot = SLOT, .node = slice_of(cl_id_text(&one, first))};
    struct cl_command take = {.verb = CL_SETSLOT_NODE, .slot = SLOT, .node = slice_of(cl_id_text(&two, second))};
    uint64_t before = epoch_of(w, 2);
    assert_true(world_command(w, 2, &import));
    assert_false(world_command(w, 2, &take)); /* nobody gave it one in time */
    assert_non_null(strstr(w->nodes[2].answer, "try again"));
    assert_int_equal(world_owner(w, 2, SLOT), 0);
    assert_int_equal(epoch_of(w, 2), before);
    struct cl_event e = {.kind = CL_EV_COMMAND, .token = 99, .command = &take};
    w->nodes[2].answered = false;
    world_step(w, &w->nodes[2], &e);
    assert_int_equal(state_of(w, 2).wants_epoch, epoch_of(w, 0) + 1);
    uint64_t given = epoch_of(w, 0) + 1;
    assert_true(give(w, 2, given));
    world_run(w, 1000 * MS);
    assert_int_equal(world_owner(w, 2, SLOT), 2);
    assert_int_equal(world_owner(w, 4, SLOT), 2);
    assert_int_equal(epoch_of(w, 2), given);
    /* The next one needs no other. */
    import.slot = take.slot = SLOT + 1;
    assert_true(world_command(w, 2, &import) && world_command(w, 2, &take));
    assert_int_equal(epoch_of(w, 2), given);
    world_free(w);
}

static void an_epoch_by_hand_is_a_ballots_too(void **state)
{
    (void)state;
    struct world *w = adopted(8, 0);
    struct cl_command bump = {.verb = CL_BUMPEPOCH}, set = {.verb = CL_SET_CONFIG_EPOCH, .number = 100};
    uint64_t above = greatest(w);
    struct cl_event e = {.kind = CL_EV_COMMAND, .token = 99, .command = &bump};
    world_step(w, &w->nodes[0], &e);
    assert_int_equal(state_of(w, 0).wants_epoch, above + 1);
    assert_true(give(w, 0, above + 1));
    world_run(w, 100 * MS);
    snprintf(text, sizeof text, "BUMPED %llu", (unsigned long long)above + 1);
    assert_string_equal(w->nodes[0].answer, text);
    assert_true(world_command(w, 0, &bump));
    assert_int_equal(strncmp(w->nodes[0].answer, "STILL", 5), 0);
    assert_false(world_command(w, 0, &set));
    world_free(w);
}

/* ---- a node that joins ---- */

static bool knows_all(struct world *w, void *arg)
{
    (void)arg;
    return w->nodes[6].core->known == 7 && w->nodes[0].core->known == 7;
}

static void join(struct world *w)
{
    assert_true(world_meet(w, 6, 0));
    assert_true(world_until(w, knows_all, NULL, 10000 * MS));
    world_run(w, 1000 * MS);
}

static void one_that_joins_waits_for_the_supervisors_too(void **state)
{
    (void)state;
    struct world *w = adopted(9, 1);
    join(w);
    assert_true(migrate(w, 0, 6, 0, 99));
    assert_true(node_wants(w, 6));
    world_run(w, 3000 * MS);
    assert_int_equal(epoch_of(w, 6), 0);
    assert_int_equal(last_job(w, 0)->state, CL_JOB_STREAMING);
    assert_int_equal(last_job(w, 0)->tries, 0);
    assert_true(give(w, 6, greatest(w) + 1));
    world_run(w, 100 * MS);
    near(w, 0);
    assert_true(reaches(w, 0, CL_JOB_SUCCESS, 3000 * MS));
    assert_true(cl_fenced(w->nodes[6].core));
    world_run(w, 1000 * MS);
    assert_int_equal(world_owner(w, 2, SLOT), 6);
    world_free(w);
}

/* It follows the source now: nobody else will ever speak for it. */
static void a_target_that_comes_into_the_shard_ends_the_job(void **state)
{
    (void)state;
    /* Of a seed with which the source hears of it before the link is lost. */
    struct world *w = adopted(9, 1);
    w->data = WORLD_IS_NEVER_NEAR;
    join(w);
    assert_true(migrate(w, 0, 6, 0, 99));
    assert_true(reaches(w, 0, CL_JOB_STREAMING, 1000 * MS));
    assert_true(world_replicate(w, 6, 0));
    assert_true(world_until(w, restarted, NULL, 3000 * MS));
    assert_true(reaches(w, 0, CL_JOB_FAILED, 1000 * MS));
    assert_string_equal(last_job(w, 0)->message, "The target has come into this shard");
    assert_int_equal(w->nodes[0].core->live_jobs, 0);
    world_free(w);
}

static bool is_with_the_source(struct world *w, void *arg)
{
    struct cl_id target = world_id(w, 6);
    (void)arg;
    return cl_has(cl_node_find(w->nodes[0].core, &target), CL_REPLICA);
}

/* The target comes into the shard before it has answered: the source answers itself, and waits for the ballot like any
 * other, without a step for each moment of it. */
static void a_source_that_answers_itself_waits_for_the_ballot(void **state)
{
    (void)state;
    struct world *w = adopted(10, 1);
    w->data = WORLD_LOSES_GRANTS;
    join(w);
    assert_true(give(w, 6, greatest(w) + 1));
    world_run(w, 100 * MS);
    assert_true(migrate(w, 0, 6, 0, 99));
    assert_true(reaches(w, 0, CL_JOB_GRANTED, 3000 * MS));
    world_cut(w, 0, 6, true);
    assert_true(world_replicate(w, 6, 0));
    world_cut(w, 0, 6, false);
    assert_true(world_until(w, is_with_the_source, NULL, 10000 * MS));
    assert_true(world_until(w, wants, &(int){0}, 10000 * MS));
    uint64_t steps = w->nodes[0].steps, wanted = state_of(w, 0).wants_epoch;
    world_run(w, 1000 * MS);
    assert_true(w->nodes[0].steps - steps < 2000);
    assert_int_equal(last_job(w, 0)->state, CL_JOB_GRANTED);
    assert_true(give(w, 0, wanted));
    assert_true(reaches(w, 0, CL_JOB_FAILED, 3000 * MS));
    world_run(w, 1000 * MS);
    assert_int_equal(world_owner(w, 4, SLOT), 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_needs_an_epoch_above_the_sources),
        cmocka_unit_test(one_that_is_above_already_needs_none),
        cmocka_unit_test(a_source_comes_back_by_a_ballot),
        cmocka_unit_test(an_unleased_target_takes_nothing),
        cmocka_unit_test(frozen_migrations_do_not_pause),
        cmocka_unit_test(a_dead_target_is_waited_for),
        cmocka_unit_test(slots_by_hand_wait_for_a_ballot),
        cmocka_unit_test(an_epoch_by_hand_is_a_ballots_too),
        cmocka_unit_test(one_that_joins_waits_for_the_supervisors_too),
        cmocka_unit_test(a_target_that_comes_into_the_shard_ends_the_job),
        cmocka_unit_test(a_source_that_answers_itself_waits_for_the_ballot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
