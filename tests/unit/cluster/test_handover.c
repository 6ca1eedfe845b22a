/* Migrations and swaps of databases between cores, with data sides that do at once what they are told. */
#include "tests/unit/cluster/moves.h"
#include "tests/unit/cluster/world.h"

#include "noded/cluster/redirect.h"
#include "noded/cluster/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000)
#define SLOT 7 /* of the first master's, among those that move */

static char text[CL_ID_DIGITS + 1];

/* Three masters with a replica each: 0 and 1, 2 and 3, 4 and 5. */
static struct world *form(uint64_t seed, enum world_data data)
{
    struct world *w = world_new(seed, 6, 1000);
    assert_true(world_form(w, 3, 1));
    world_run(w, 2000 * MS);
    w->data = data;
    return w;
}

/* Everybody that runs takes this node for the owner; arg: its number. */
static bool is_owner(struct world *w, void *arg)
{
    struct cl_id id = world_id(w, *(int *)arg);
    for (int i = 0; i < w->nnodes; i++) {
        const struct cl_core *c = w->nodes[i].core;
        const struct cl_node *owner = c != NULL ? cl_owner(c, SLOT) : NULL;
        if (c != NULL && (owner == NULL || !cl_id_eq(&owner->id, &id)))
            return false;
    }
    return true;
}

static bool all_agree_on(struct world *w, int owner, int64_t us)
{
    return world_until(w, is_owner, &owner, us);
}

static void slots_move(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world *w = form(seed, WORLD_TAKES_GRANTS);
        assert_true(migrate(w, 0, 2, 0, 99));
        assert_true(reaches(w, 0, CL_JOB_SUCCESS, 2000 * MS));
        assert_true(reaches(w, 2, CL_JOB_SUCCESS, 2000 * MS));
        assert_true(all_agree_on(w, 2, 2000 * MS));
        assert_true(cl_bit(w->nodes[2].shown, SLOT) && cl_bit(w->nodes[0].dropped, SLOT));
        assert_false(cl_some_slot_held(w->nodes[0].core) || cl_some_slot_held(w->nodes[2].core));
        assert_int_equal(w->nodes[0].core->shard.nrecords + w->nodes[2].core->shard.nrecords, 0);
        assert_true(world_until(w, world_agrees, NULL, 3000 * MS));
        world_free(w);
    }
}

static void writes_wait_from_the_pause_on(void **state)
{
    (void)state;
    struct world *w = form(3, WORLD_DRAINS_NOT);
    struct cl_core *c = w->nodes[0].core;
    assert_true(migrate(w, 0, 2, 0, 99));
    assert_true(reaches(w, 0, CL_JOB_PAUSED, 1000 * MS));
    assert_int_equal(cl_slot_hold(c, SLOT), CL_HOLD_WAIT);
    assert_int_equal(cl_slot_hold(c, 200), CL_HOLD_NOT);
    /* Nothing comes of it: the writes go on here, and it is tried again, less and less often, until it ends. */
    int64_t last_us = 0;
    for (int tries = 1; tries < 5; tries++) {
        int64_t paused_us = w->now_us;
        assert_int_equal(last_job(w, 0)->tries, tries);
        assert_true(reaches(w, 0, CL_JOB_STREAMING, 600 * MS));
        assert_int_equal(cl_slot_hold(c, SLOT), CL_HOLD_NOT);
        assert_true(reaches(w, 0, CL_JOB_PAUSED, 12000 * MS));
        assert_true(w->now_us - paused_us > last_us + 900 * MS);
        last_us = w->now_us - paused_us;
    }
    assert_true(reaches(w, 0, CL_JOB_FAILED, 2000 * MS));
    assert_int_equal(cl_slot_hold(c, SLOT), CL_HOLD_NOT);
    assert_true(reaches(w, 2, CL_JOB_FAILED, 1000 * MS));
    assert_true(cl_bit(w->nodes[2].forgotten, SLOT));
    assert_true(all_agree_on(w, 0, 1000 * MS));
    assert_int_equal(w->grants, 0);
    world_free(w);
}

static void a_pause_that_was_too_long_is_tried_again(void **state)
{
    (void)state;
    struct world *w = form(4, WORLD_DRAINS_NOT);
    assert_true(migrate(w, 0, 2, 0, 99));
    assert_true(reaches(w, 0, CL_JOB_PAUSED, 1000 * MS));
    assert_true(reaches(w, 0, CL_JOB_STREAMING, 600 * MS));
    /* What the target says to the first question comes late, and is no answer to the next one. */
    struct cl_event late = {.kind = CL_EV_JOB, .news = CL_JOB_IS_DRAINED, .job = w->jobs[0].name, .seq = 1};
    world_step(w, &w->nodes[0], &late);
    assert_int_equal(last_job(w, 0)->state, CL_JOB_STREAMING);
    w->data = WORLD_TAKES_GRANTS;
    assert_true(reaches(w, 0, CL_JOB_SUCCESS, 3000 * MS));
    assert_int_equal(last_job(w, 0)->tries, 2);
    assert_true(all_agree_on(w, 2, 2000 * MS));
    world_free(w);
}

static void a_record_that_takes_too_long_is_taken_back(void **state)
{
    (void)state;
    struct world *w = form(5, WORLD_TAKES_GRANTS);
    assert_true(migrate(w, 0, 2, 0, 99));
    world_cut(w, 0, 1, true); /* its replica does not hear of it */
    assert_true(reaches(w, 0, CL_JOB_RECORDING, 1000 * MS));
    assert_int_equal(w->nodes[0].core->shard.nrecords, 1);
    assert_true(reaches(w, 0, CL_JOB_STREAMING, 600 * MS));
    assert_int_equal(w->nodes[0].core->shard.nrecords, 0);
    assert_int_equal(cl_slot_hold(w->nodes[0].core, SLOT), CL_HOLD_NOT);
    assert_int_equal(w->grants, 0);
    world_cut(w, 0, 1, false);
    assert_true(reaches(w, 0, CL_JOB_SUCCESS, 8000 * MS));
    assert_true(last_job(w, 0)->tries >= 2);
    assert_true(all_agree_on(w, 2, 2000 * MS));
    world_free(w);
}

static void a_lost_grant_is_asked_for(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world *w = form(seed, WORLD_LOSES_GRANTS);
        assert_true(migrate(w, 0, 2, 0, 99));
        assert_true(reaches(w, 0, CL_JOB_FAILED, 3000 * MS));
        assert_int_equal(w->grants, 1);
        uint64_t epoch = w->nodes[2].core->refused_epoch;
        assert_true(epoch > 0 && w->nodes[0].core->me->config_epoch > epoch);
        assert_true(all_agree_on(w, 0, 2000 * MS));
        assert_int_equal(cl_slot_hold(w->nodes[0].core, SLOT), CL_HOLD_NOT);
        /* It comes late: it is not taken. */
        struct cl_event late = {.kind = CL_EV_JOB, .news = CL_JOB_IS_GRANTED, .job = w->jobs[0].name, .seq = epoch};
        world_step(w, &w->nodes[2], &late);
        world_run(w, 1000 * MS);
        assert_true(all_agree_on(w, 0, 1000 * MS));
        world_free(w);
    }
}

static bool waits_for_the_target(struct world *w, void *arg)
{
    (void)arg;
    return w->grants > 0;
}

static void nobody_goes_on_while_the_target_is_silent(void **state)
{
    (void)state;
    struct world *w = form(4, WORLD_LOSES_GRANTS);
    assert_true(migrate(w, 0, 2, 0, 99));
    assert_true(world_until(w, waits_for_the_target, NULL, 2000 * MS));
    /* The whole shard of the target is gone. */
    world_kill(w, 2);
    world_kill(w, 3);
    world_run(w, 20000 * MS);
    assert_int_equal(cl_slot_hold(w->nodes[0].core, SLOT), CL_HOLD_REFUSE);
    assert_int_equal(last_job(w, 0)->state, CL_JOB_GRANTED);
    assert_false(cl_bit(w->nodes[0].core->claim.slots, SLOT));
    /* An operator knows better. */
    struct cl_id id = world_id(w, 0);
    assert_true(world_command(
        w, 0, &(struct cl_command){.verb = CL_SETSLOT_NODE, .slot = SLOT, .node = slice_of(cl_id_text(&id, text))}));
    assert_true(reaches(w, 0, CL_JOB_FAILED, 1000 * MS));
    assert_int_equal(cl_slot_hold(w->nodes[0].core, SLOT), CL_HOLD_NOT);
    assert_true(cl_bit(w->nodes[0].core->claim.slots, SLOT));
    world_free(w);
}

static bool is_promoted(struct world *w, void *arg)
{
    return w->nodes[*(int *)arg].promotions > 0;
}

static void the_source_dies_when_it_has_granted(void **state)
{
    (void)state;
    for (int taken = 0; taken < 2; taken++)
        for (uint64_t seed = 1; seed <= 10; seed++) {
            struct world *w = form(seed, taken != 0 ? WORLD_TAKES_GRANTS : WORLD_LOSES_GRANTS);
            int replica = 1;
            assert_true(migrate(w, 0, 2, 0, 99));
            assert_true(world_until(w, waits_for_the_target, NULL, 2000 * MS));
            world_kill(w, 0);
            assert_true(world_until(w, is_promoted, &replica, 5000 * MS));
            assert_true(all_agree_on(w, taken != 0 ? 2 : 1, 5000 * MS));
            world_start(w, 0);
            assert_true(world_until(w, world_agrees, NULL, 10000 * MS));
            assert_true(all_agree_on(w, taken != 0 ? 2 : 1, 1000 * MS));
            assert_int_equal(w->nodes[1].core->shard.nrecords, 0);
            assert_false(cl_is_master(w->nodes[0].core));
            world_free(w);
        }
}

static void the_source_restarts_when_it_has_granted(void **state)
{
    (void)state;
    for (int taken = 0; taken < 2; taken++) {
        struct world *w = form(7, taken != 0 ? WORLD_TAKES_GRANTS : WORLD_LOSES_GRANTS);
        assert_true(migrate(w, 0, 2, 0, 99));
        assert_true(world_until(w, waits_for_the_target, NULL, 2000 * MS));
        world_kill(w, 0);
        world_start(w, 0);
        assert_int_equal(cl_slot_hold(w->nodes[0].core, SLOT), CL_HOLD_WAIT);
        assert_true(reaches(w, 0, taken != 0 ? CL_JOB_SUCCESS : CL_JOB_FAILED, 5000 * MS));
        assert_true(all_agree_on(w, taken != 0 ? 2 : 0, 5000 * MS));
        world_free(w);
    }
}

static bool is_taking(struct world *w, void *arg)
{
    (void)arg;
    const struct cl_shard_state *s = &w->nodes[3].core->shard;
    return s->nrecords > 0 && s->records[0].r.taking && w->nodes[3].core->claim.state_version == s->version;
}

static void the_target_dies_while_it_takes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world *w = form(seed, WORLD_TAKES_GRANTS);
        int replica = 3;
        assert_true(migrate(w, 0, 2, 0, 99));
        /* Its replica knows that it was taking them: it takes them in its place. */
        assert_true(world_until(w, is_taking, NULL, 2000 * MS));
        world_kill(w, 2);
        assert_true(world_until(w, is_promoted, &replica, 5000 * MS));
        assert_true(all_agree_on(w, 3, 5000 * MS));
        assert_true(cl_bit(w->nodes[3].shown, SLOT));
        assert_true(reaches(w, 0, CL_JOB_SUCCESS, 1000 * MS));
        world_start(w, 2);
        assert_true(world_until(w, world_agrees, NULL, 10000 * MS));
        world_free(w);
    }
}

static void the_target_restarts_while_it_takes(void **state)
{
    (void)state;
    struct world *w = form(5, WORLD_TAKES_GRANTS);
    assert_true(migrate(w, 0, 2, 0, 99));
    assert_true(world_until(w, is_taking, NULL, 2000 * MS));
    world_kill(w, 2);
    world_start(w, 2);
    /* What it had imported may be gone: it was as if it had not been granted. */
    assert_true(reaches(w, 0, CL_JOB_FAILED, 5000 * MS));
    assert_true(all_agree_on(w, 0, 5000 * MS));
    assert_true(cl_bit(w->nodes[2].forgotten, SLOT));
    assert_true(world_until(w, world_agrees, NULL, 10000 * MS));
    assert_int_equal(last_job(w, 2)->state, CL_JOB_FAILED);
    world_free(w);
}

static void a_dead_end_or_a_failover_ends_it_before_the_grant(void **state)
{
    (void)state;
    struct world *w = form(6, WORLD_IS_NEVER_NEAR);
    assert_true(migrate(w, 0, 2, 0, 99));
    assert_true(reaches(w, 0, CL_JOB_STREAMING, 2000 * MS));
    world_kill(w, 2);
    assert_true(reaches(w, 0, CL_JOB_FAILED, 5000 * MS));
    assert_true(world_until(w, world_agrees, NULL, 5000 * MS));
    assert_true(migrate(w, 0, 4, 0, 99));
    assert_true(reaches(w, 4, CL_JOB_RECEIVING, 2000 * MS));
    struct cl_id id = world_id(w, 0);
    (void)id;
    world_command(w, 1, &(struct cl_command){.verb = CL_FAILOVER});
    assert_true(reaches(w, 0, CL_JOB_FAILED, 5000 * MS));
    assert_true(reaches(w, 4, CL_JOB_FAILED, 5000 * MS));
    assert_true(all_agree_on(w, 1, 5000 * MS));
    world_free(w);
}

static void it_is_cancelled(void **state)
{
    (void)state;
    struct world *w = form(8, WORLD_IS_NEVER_NEAR);
    assert_true(migrate(w, 0, 2, 0, 99));
    assert_true(reaches(w, 0, CL_JOB_STREAMING, 2000 * MS));
    assert_false(migrate(w, 0, 4, 0, 99)); /* the same slots */
    char expected[200], source[CL_ID_DIGITS + 1];
    struct cl_id id = world_id(w, 0);
    cl_id_text(&id, source);
    const struct {
        int node;
        const char *says;
    } others[] = {{2, "ERR No migrations ongoing from here: slots come here from node %s, which can cancel that"},
                  {1, "ERR No migrations ongoing: this node is a replica, ask its master %s"},
                  {4, "ERR No migrations ongoing%.0s"}};
    for (size_t i = 0; i < 3; i++) {
        assert_false(world_command(w, others[i].node, &(struct cl_command){.verb = CL_CANCEL_MIGRATIONS}));
        snprintf(expected, sizeof expected, others[i].says, source);
        assert_string_equal(w->nodes[others[i].node].answer, expected);
    }
    assert_int_equal(last_job(w, 0)->state, CL_JOB_STREAMING);
    assert_true(world_command(w, 0, &(struct cl_command){.verb = CL_CANCEL_MIGRATIONS}));
    assert_int_equal(last_job(w, 0)->state, CL_JOB_CANCELLED);
    assert_true(reaches(w, 2, CL_JOB_FAILED, 2000 * MS));
    world_kill(w, 0);
    world_start(w, 0);
    assert_int_equal(last_job(w, 0)->state, CL_JOB_CANCELLED);
    assert_string_equal(last_job(w, 0)->message, "Cancelled by an operator");
    world_free(w);
}

/* ---- swaps ---- */

static bool swap_says(struct world *w, int node, enum cl_verb verb, int64_t epoch)
{
    return world_command(w, node,
                         &(struct cl_command){.verb = verb, .database_a = 1, .database_b = 2, .number = epoch});
}

static bool swap_holds(const struct world *w, int node)
{
    int a, b;
    return cl_databases_held(w->nodes[node].core, &a, &b) && a == 1 && b == 2;
}

static void supervise(struct world *w)
{
    for (int i = 0; i < w->nnodes; i++)
        w->nodes[i].core->supervised = true;
}

/* Its replica lost its disk and came back under another name: no majority ever says that the former one failed, as it
 * has no address. */
static void one_that_is_gone_without_an_address_is_not_waited_for(void **state)
{
    (void)state;
    struct world *w = form(9, WORLD_TAKES_GRANTS);
    supervise(w);
    struct cl_core *c = w->nodes[0].core;
    struct cl_id former = world_id(w, 1);
    world_kill(w, 1);
    for (int i = 0; i < w->nnodes; i++)
        if (i != 1)
            cl_node_find(w->nodes[i].core, &former)->flags |= CL_NOADDR;
    const struct cl_node *n = cl_node_find(c, &former);
    assert_false(swap_says(w, 0, CL_DBMAP_PREPARE, 1)); /* it may stand still */
    assert_true(n->counted_until_us > c->now_us);
    world_run(w, n->counted_until_us - c->now_us + MS);
    assert_false(cl_has(n, CL_FAILED));
    assert_true(swap_says(w, 0, CL_DBMAP_PREPARE, 1));
    world_free(w);
}

static void databases_are_swapped(void **state)
{
    (void)state;
    struct world *w = form(9, WORLD_TAKES_GRANTS);
    assert_false(swap_says(w, 0, CL_DBMAP_PREPARE, 1)); /* nobody supervises it */
    supervise(w);
    assert_false(swap_says(w, 1, CL_DBMAP_PREPARE, 1)); /* a replica */
    assert_false(swap_says(w, 0, CL_DBMAP_PREPARE, 2)); /* not next */
    assert_false(swap_says(w, 0, CL_DBMAP_APPLY, 2));
    assert_true(swap_says(w, 0, CL_DBMAP_PREPARE, 1));
    assert_int_equal(memcmp(w->nodes[0].answer, "YES ", 4), 0);
    assert_true(swap_holds(w, 0));
    assert_int_equal(w->nodes[1].core->claim.state_version, w->nodes[0].core->shard.version);
    assert_true(swap_says(w, 0, CL_DBMAP_PREPARE, 1)); /* again */
    assert_false(migrate(w, 0, 2, 0, 99));
    world_run(w, 60000 * MS);
    assert_true(swap_holds(w, 0));
    assert_true(swap_says(w, 0, CL_DBMAP_APPLY, 1));
    assert_true(swap_says(w, 0, CL_DBMAP_APPLY, 1));
    assert_int_equal(w->nodes[0].swaps, 1);
    assert_false(swap_holds(w, 0));
    assert_false(swap_says(w, 0, CL_DBMAP_ABORT, 1));
    assert_true(swap_says(w, 2, CL_DBMAP_PREPARE, 1));
    assert_true(swap_says(w, 2, CL_DBMAP_ABORT, 1));
    assert_false(swap_holds(w, 2));
    assert_false(migrate(w, 0, 2, 0, 99) && reaches(w, 0, CL_JOB_SUCCESS, 3000 * MS)); /* the mappings differ */
    world_free(w);
}

static void a_yes_survives_its_node(void **state)
{
    (void)state;
    struct world *w = form(10, WORLD_TAKES_GRANTS);
    int replica = 1;
    supervise(w);
    assert_true(swap_says(w, 0, CL_DBMAP_PREPARE, 1));
    world_kill(w, 0);
    world_start(w, 0);
    assert_true(swap_holds(w, 0));
    world_run(w, 2000 * MS);
    struct cl_id from = world_id(w, 0);
    world_kill(w, 0);
    struct cl_takeover t = {.epoch = 100, .from = &from, .nfrom = 1};
    assert_true(world_command(w, 1, &(struct cl_command){.verb = CL_TAKEOVER, .promotion = &t}));
    assert_true(is_promoted(w, &replica));
    assert_true(swap_holds(w, 1));
    assert_true(swap_says(w, 1, CL_DBMAP_APPLY, 1));
    assert_false(swap_holds(w, 1));
    world_free(w);
}

static void a_swap_excludes_migrations(void **state)
{
    (void)state;
    struct world *w = form(11, WORLD_IS_NEVER_NEAR);
    supervise(w);
    assert_true(migrate(w, 0, 2, 0, 99));
    assert_true(reaches(w, 2, CL_JOB_RECEIVING, 2000 * MS));
    assert_false(swap_says(w, 0, CL_DBMAP_PREPARE, 1));
    assert_false(swap_says(w, 2, CL_DBMAP_PREPARE, 1));
    assert_true(swap_says(w, 4, CL_DBMAP_PREPARE, 1));
    assert_true(swap_says(w, 4, CL_DBMAP_ABORT, 1));
    world_free(w);
}

static bool opens(struct world *w, int node, enum cl_verb verb, int slot, int other)
{
    char whom[CL_ID_DIGITS + 1];
    struct cl_id id = world_id(w, other);
    struct cl_command m = {.verb = verb, .slot = slot, .node = slice_of(cl_id_text(&id, whom))};
    return world_command(w, node, &m);
}

/* Keys that MIGRATE moves go by the number of their database. */
static void a_swap_excludes_keys_moved_by_hand(void **state)
{
    (void)state;
    struct world *w = form(13, WORLD_TAKES_GRANTS);
    supervise(w);
    assert_true(opens(w, 0, CL_SETSLOT_MIGRATING, 9, 2));
    assert_true(opens(w, 0, CL_SETSLOT_MIGRATING, 7, 2));
    w->nodes[2].core->supervised = false; /* it would wait for an epoch by ballot */
    assert_true(opens(w, 2, CL_SETSLOT_IMPORTING, 7, 0));
    w->nodes[2].core->supervised = true;
    assert_false(swap_says(w, 0, CL_DBMAP_PREPARE, 1));
    assert_non_null(strstr(w->nodes[0].answer, "Slot 7 is open (migrating to "));
    assert_false(swap_says(w, 2, CL_DBMAP_PREPARE, 1));
    assert_non_null(strstr(w->nodes[2].answer, "Slot 7 is open (importing from "));
    assert_true(opens(w, 0, CL_SETSLOT_STABLE, 7, 0) && opens(w, 0, CL_SETSLOT_STABLE, 9, 0));
    w->nodes[0].sends_keys = true;
    assert_false(swap_says(w, 0, CL_DBMAP_PREPARE, 1));
    assert_non_null(strstr(w->nodes[0].answer, "A MIGRATE is on its way"));
    w->nodes[0].sends_keys = false;
    assert_true(swap_says(w, 0, CL_DBMAP_PREPARE, 1));
    assert_false(opens(w, 0, CL_SETSLOT_MIGRATING, 7, 2));
    assert_string_equal(w->nodes[0].answer, "ERR Databases 1 and 2 are being swapped: try again when that is over");
    assert_true(swap_says(w, 0, CL_DBMAP_APPLY, 1));
    assert_true(opens(w, 0, CL_SETSLOT_MIGRATING, 7, 2));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_move),
        cmocka_unit_test(writes_wait_from_the_pause_on),
        cmocka_unit_test(a_pause_that_was_too_long_is_tried_again),
        cmocka_unit_test(a_record_that_takes_too_long_is_taken_back),
        cmocka_unit_test(a_lost_grant_is_asked_for),
        cmocka_unit_test(nobody_goes_on_while_the_target_is_silent),
        cmocka_unit_test(the_source_dies_when_it_has_granted),
        cmocka_unit_test(the_source_restarts_when_it_has_granted),
        cmocka_unit_test(the_target_dies_while_it_takes),
        cmocka_unit_test(the_target_restarts_while_it_takes),
        cmocka_unit_test(a_dead_end_or_a_failover_ends_it_before_the_grant),
        cmocka_unit_test(it_is_cancelled),
        cmocka_unit_test(one_that_is_gone_without_an_address_is_not_waited_for),
        cmocka_unit_test(databases_are_swapped),
        cmocka_unit_test(a_yes_survives_its_node),
        cmocka_unit_test(a_swap_excludes_migrations),
        cmocka_unit_test(a_swap_excludes_keys_moved_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
