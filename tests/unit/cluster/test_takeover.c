/* A supervised cluster: it is adopted, its replicas inherit that, nobody elects or votes, masters are made by the
 * supervisors' word alone. Nodes 0, 2 and 4 are masters, each with the replica behind it; with two replicas each they
 * are 0, 3 and 6. */
#include "noded/cluster/redirect.h"
#include "noded/cluster/state.h"
#include "tests/unit/cluster/supervised.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct owned {
    int slot, by;
};

static bool all_see(struct world *w, void *arg)
{
    const struct owned *o = arg;
    for (int i = 0; i < w->nnodes; i++)
        if (w->nodes[i].core != NULL && world_owner(w, i, o->slot) != o->by)
            return false;
    return true;
}

/* ---- who is supervised ---- */

static void a_replica_inherits(void **state)
{
    (void)state;
    struct world *w = adopted(1, 1);
    struct cl_lease_state master, replica;
    cl_lease_state(w->nodes[0].core, w->now_us, &master);
    cl_lease_state(w->nodes[1].core, w->now_us, &replica);
    assert_int_equal(master.generation, replica.generation);
    assert_true(slice_is(cl_lease_list(w->nodes[1].core), LIST3));
    world_kill(w, 1);
    world_start(w, 1);
    assert_true(cl_fenced(w->nodes[1].core));
    assert_false(writes(w, 1));
    world_free(w);
}

static void nobody_is_elected(void **state)
{
    (void)state;
    struct world *w = adopted(2, 1);
    int replica = 1;
    world_kill(w, 0);
    assert_false(world_until(w, is_promoted, &replica, 15000 * MS));
    world_free(w);
}

static void nobody_votes(void **state)
{
    (void)state;
    struct world *w = formed(3, 1);
    int replica = 1;
    lease(w, 2);
    lease(w, 4);
    world_kill(w, 0);
    assert_false(w->nodes[1].core->supervised);
    assert_false(world_until(w, is_promoted, &replica, 15000 * MS));
    assert_true(w->nodes[1].core->current_epoch > w->nodes[2].core->last_vote_epoch);
    world_free(w);
}

/* Two words of three within five seconds, whatever they grant. */
static void a_replica_is_adopted_by_words(void **state)
{
    (void)state;
    struct world *w = formed(4, 1);
    assert_true(say(w, 1, 2, 0, 0));
    assert_true(say(w, 0, 2, 0, 0));
    assert_true(say(w, 0, 1, 0, 0));
    world_run(w, 5100 * MS);
    assert_true(say(w, 1, 0, 0, 0));
    assert_false(w->nodes[1].core->supervised);
    assert_true(say(w, 1, 1, 0, 0));
    assert_true(supervised(w, 1));
    assert_false(w->nodes[0].core->supervised);
    lease(w, 0);
    assert_true(supervised(w, 0));
    world_free(w);
}

/* It may have been replaced: grants alone don't make it take the writes that it refuses. */
static void a_master_in_a_minority_is_not_adopted(void **state)
{
    (void)state;
    struct world *w = formed(21, 1);
    for (int i = 1; i < 6; i++)
        world_cut(w, 0, i, true);
    world_run(w, 5000 * MS);
    assert_false(cl_ok(w->nodes[0].core));
    lease(w, 0);
    assert_false(w->nodes[0].core->supervised);
    assert_false(cl_ok(w->nodes[0].core));
    /* Unless it is named. */
    struct cl_id zero = world_id(w, 0);
    assert_true(take_over(w, 0, 50, &zero, 1, 2, 0));
    assert_true(cl_fenced(w->nodes[0].core));
    assert_true(cl_ok(w->nodes[0].core));
    world_free(w);
}

static void operators_are_told_whom_to_ask(void **state)
{
    (void)state;
    struct world *w = adopted(7, 1);
    struct cl_command all[] = {
        {.verb = CL_FAILOVER}, {.verb = CL_FAILOVER, .force = true}, {.verb = CL_FAILOVER, .takeover = true}};
    for (size_t i = 0; i < 3; i++) {
        assert_false(world_command(w, 1, &all[i]));
        assert_non_null(strstr(w->nodes[1].answer, "SENTINEL FAILOVER"));
    }
    assert_int_equal(w->nodes[1].promotions, 0);
    world_free(w);
}

/* ---- leases alone decide (L5) ---- */

static void no_minority_overrides_a_lease(void **state)
{
    (void)state;
    struct world *w = adopted(8, 1);
    world_kill(w, 2);
    world_kill(w, 4);
    world_run(w, 4000 * MS);
    assert_true(w->nodes[0].core->in_minority);
    lease(w, 0);
    assert_true(cl_ok(w->nodes[0].core));
    assert_true(writes(w, 0));
    world_kill(w, 0);
    world_start(w, 0);
    world_run(w, 10 * MS);
    assert_true(cl_ok(w->nodes[0].core)); /* reads go on; */
    assert_false(writes(w, 0));           /* writes need a lease, and nothing else */
    lease(w, 0);
    assert_true(writes(w, 0));
    world_free(w);
}

/* ---- TAKEOVER EPOCH ---- */

static void a_replica_takes_over(void **state)
{
    (void)state;
    struct world *w = adopted(9, 1);
    struct cl_id from = world_id(w, 0);
    struct owned o = {0, 1};
    world_kill(w, 0);
    world_run(w, 3000 * MS);
    assert_true(take_over(w, 1, 50, &from, 1, 2, 0));
    assert_int_equal(w->nodes[1].promotions, 1);
    assert_true(writes(w, 1));
    assert_int_equal(w->nodes[1].core->claim.config_epoch, 50);
    assert_true(world_until(w, all_see, &o, 2000 * MS));
    /* Again: the answer may have been lost. */
    assert_true(take_over(w, 1, 50, &from, 1, 2, 0));
    assert_int_equal(w->nodes[1].promotions, 1);
    world_start(w, 0);
    assert_false(writes(w, 0));
    assert_true(world_until(w, all_see, &o, 3000 * MS));
    world_run(w, 1000 * MS);
    assert_true(cl_has(w->nodes[0].core->me, CL_REPLICA));
    assert_false(writes(w, 0));
    world_free(w);
}

static void what_was_granted_to_another_is_waited_for(void **state)
{
    (void)state;
    struct world *w = adopted(10, 1);
    struct cl_id from = world_id(w, 0);
    world_kill(w, 0);
    int64_t begins_us = w->now_us + 500 * 1010;
    assert_true(take_over(w, 1, 50, &from, 1, 2, 500));
    assert_int_equal(w->nodes[1].promotions, 1);
    world_run(w, begins_us - 1 * MS - w->now_us);
    assert_false(writes(w, 1));
    world_run(w, 2 * MS); /* nobody says anything: its own timer */
    assert_true(writes(w, 1));
    world_free(w);
}

static void an_unsupervised_one_is_adopted_by_it(void **state)
{
    (void)state;
    struct world *w = formed(11, 1);
    struct cl_id from = world_id(w, 0);
    world_kill(w, 0);
    assert_true(take_over(w, 1, 50, &from, 1, 2, 0));
    assert_int_equal(w->nodes[1].promotions, 1);
    assert_true(cl_fenced(w->nodes[1].core));
    assert_true(writes(w, 1));
    world_run(w, TTL_MS * MS);
    assert_false(writes(w, 1));
    world_free(w);
    /* Too few grants: promoted, and still nobody's. */
    w = formed(11, 1);
    from = world_id(w, 0);
    world_kill(w, 0);
    assert_true(take_over(w, 1, 50, &from, 1, 1, 0));
    assert_false(cl_fenced(w->nodes[1].core));
    world_free(w);
}

static void the_incumbent_may_be_named(void **state)
{
    (void)state;
    struct world *w = adopted(12, 1);
    struct cl_id from[2] = {world_id(w, 1), world_id(w, 0)};
    assert_true(take_over(w, 0, 50, from, 2, 2, 0)); /* 1 follows it: it was not promoted, or has come back */
    assert_int_equal(w->nodes[0].core->claim.config_epoch, 50);
    assert_int_equal(w->nodes[0].promotions, 0);
    assert_true(cl_has(w->nodes[1].core->me, CL_REPLICA));
    world_free(w);
}

/* Whoever came after it may have given slots away, and it has not heard of that. */
static void a_master_that_was_passed_over_is_refused(void **state)
{
    (void)state;
    struct world *w = adopted(22, 1);
    struct cl_id from[2] = {world_id(w, 1), world_id(w, 0)};
    world_kill(w, 0);
    assert_true(take_over(w, 1, 50, &from[1], 1, 2, 0));
    world_kill(w, 1);
    world_start(w, 0);
    for (int i = 1; i < 6; i++)
        world_cut(w, 0, i, true);
    world_run(w, 100 * MS);
    assert_true(cl_is_master(w->nodes[0].core));
    assert_false(take_over(w, 0, 60, from, 2, 2, 0));
    assert_non_null(strstr(w->nodes[0].answer, "ERR This master was passed over: "));
    assert_false(writes(w, 0));
    struct cl_takeover t = {.epoch = 60, .from = from, .nfrom = 2, .force = true};
    assert_true(world_command(w, 0, &(struct cl_command){.verb = CL_TAKEOVER, .promotion = &t}));
    assert_int_equal(w->nodes[0].core->claim.config_epoch, 60);
    world_free(w);
}

static bool releases(struct world *w, int node, int supervisor)
{
    struct cl_lease_ask a = {.speaker = {1, supervisor, slice_of(LIST3)}};
    return world_command(w, node, &(struct cl_command){.verb = CL_RELEASE, .lease = &a});
}

static void a_majority_releases(void **state)
{
    (void)state;
    struct world *w = adopted(23, 1);
    lease(w, 0);
    assert_true(releases(w, 0, 0));
    assert_true(releases(w, 0, 0));
    assert_true(cl_fenced(w->nodes[0].core));
    assert_true(writes(w, 0)); /* one word changes nothing */
    world_run(w, 61000 * MS);
    assert_true(releases(w, 0, 1)); /* the other one is too old */
    assert_true(cl_fenced(w->nodes[0].core));
    struct cl_lease_ask other = {.speaker = {1, 0, slice_of("10.0.0.9:1")}};
    assert_false(world_command(w, 0, &(struct cl_command){.verb = CL_RELEASE, .lease = &other}));
    assert_true(releases(w, 0, 2));
    assert_false(cl_fenced(w->nodes[0].core));
    int replica = 1;
    assert_true(world_until(w, is_free, &replica, 3000 * MS));
    world_free(w);
}

/* A sibling that has not heard of it may be named next: nothing is given away that it would not know of. */
static void a_promoted_one_waits_for_the_siblings(void **state)
{
    (void)state;
    struct world *w = adopted(24, 2);
    struct cl_id zero = world_id(w, 0);
    for (int i = 0; i < w->nnodes; i++)
        if (i != 2)
            world_cut(w, i, 2, true);
    world_kill(w, 0);
    assert_true(take_over(w, 1, 50, &zero, 1, 2, 0));
    cl_state_changed(w->nodes[1].core, true); /* as a hand-over does */
    world_run(w, 3000 * MS);
    assert_false(cl_state_agreed(w->nodes[1].core));
    world_kill(w, 1);
    world_start(w, 1);
    world_run(w, 3000 * MS);
    assert_false(cl_state_agreed(w->nodes[1].core));
    for (int i = 0; i < w->nnodes; i++)
        if (i != 2)
            world_cut(w, i, 2, false);
    world_run(w, 5000 * MS);
    assert_true(w->nodes[2].core->me->master != NULL);
    assert_true(cl_state_agreed(w->nodes[1].core));
    world_free(w);
}

static void force_makes_up_for_what_is_unknown(void **state)
{
    (void)state;
    struct world *w = adopted(25, 1);
    struct cl_id zero = world_id(w, 0);
    world_kill(w, 0);
    world_kill(w, 1);
    world_start(w, 1);
    w->nodes[1].old_since_us = -1;
    struct cl_takeover t = {.epoch = 50, .from = &zero, .nfrom = 1};
    assert_false(world_command(w, 1, &(struct cl_command){.verb = CL_TAKEOVER, .promotion = &t}));
    t.force = true;
    t.epoch = 1;
    assert_false(world_command(w, 1, &(struct cl_command){.verb = CL_TAKEOVER, .promotion = &t}));
    t.epoch = 50;
    assert_true(world_command(w, 1, &(struct cl_command){.verb = CL_TAKEOVER, .promotion = &t}));
    assert_int_equal(w->nodes[1].promotions, 1);
    world_free(w);
}

static void refused(struct world *w, int node, uint64_t epoch, const struct cl_id *from, const char *why)
{
    int promotions = w->nodes[node].promotions;
    assert_false(take_over(w, node, epoch, from, 1, 2, 0));
    if (strstr(w->nodes[node].answer, why) == NULL)
        print_message("%s\n", w->nodes[node].answer);
    assert_non_null(strstr(w->nodes[node].answer, why));
    assert_int_equal(w->nodes[node].promotions, promotions);
}

static void what_was_passed_over_is_refused(void **state)
{
    (void)state;
    struct world *w = adopted(13, 1);
    struct cl_id zero = world_id(w, 0), two = world_id(w, 2);
    uint64_t claimed = w->nodes[0].core->me->config_epoch;
    char text[128], id[CL_ID_DIGITS + 1];
    assert_true(claimed > 0);
    refused(w, 1, 0, &zero, "ERR Invalid epoch 0");
    refused(w, 1, CL_EPOCH_MAX, &zero, "ERR Invalid epoch");
    snprintf(text, sizeof text, "ERR Epoch %d is not above %d, which %s claims slots of this shard with", (int)claimed,
             (int)claimed, cl_id_text(&zero, id));
    refused(w, 1, claimed, &zero, text);
    refused(w, 1, 50, &two, "ERR This node belongs to another shard");
    refused(w, 0, 50, &two, "ERR This node belongs to another shard");
    /* Another list. */
    struct cl_speaker s = {1, 0, slice_of("10.0.0.9:1")};
    struct cl_takeover t = {.epoch = 50, .from = &zero, .nfrom = 1, .speaker = &s};
    assert_false(world_command(w, 1, &(struct cl_command){.verb = CL_TAKEOVER, .promotion = &t}));
    assert_int_equal(memcmp(w->nodes[1].answer, "STALESUPERVISORS ", 17), 0);
    assert_int_equal(w->nodes[1].promotions, 0);
    assert_true(take_over(w, 0, 50, &zero, 1, 2, 0));
    refused(w, 0, 49, &zero, "ERR Epoch 49 is not above 50");
    world_run(w, 1000 * MS);
    refused(w, 1, 50, &zero, "ERR Epoch 50 is not above 50");
    world_free(w);
}

/* It was a master once, of slots or not: a claim of it at an epoch below that one nobody would believe (SAFETY E10). */
static void its_own_epoch_is_above_it(void **state)
{
    (void)state;
    struct world *w = adopted(21, 1);
    struct cl_id zero = world_id(w, 0);
    uint64_t claimed = w->nodes[0].core->me->config_epoch;
    w->nodes[1].core->me->config_epoch = claimed + 5;
    refused(w, 1, claimed + 4, &zero, "which this node has had as a master");
    refused(w, 1, claimed + 5, &zero, "which this node has had as a master");
    assert_true(take_over(w, 1, claimed + 6, &zero, 1, 2, 0));
    assert_int_equal(w->nodes[1].core->me->config_epoch, claimed + 6);
    world_free(w);
}

/* A hidden promotion: its epoch is known, although it is not named. */
static void a_sibling_that_was_promoted_is_seen(void **state)
{
    (void)state;
    struct world *w = adopted(14, 2);
    struct cl_id zero = world_id(w, 0);
    world_kill(w, 0);
    assert_true(take_over(w, 1, 50, &zero, 1, 2, 0));
    world_run(w, 2000 * MS);
    refused(w, 2, 40, &zero, "ERR Epoch 40 is not above 50");
    refused(w, 2, 60, &zero, "ERR This node belongs to another shard"); /* it follows 1 by now */
    world_free(w);
}

static void who_lacks_the_state_or_the_data_is_refused(void **state)
{
    (void)state;
    struct world *w = adopted(15, 1);
    struct cl_id zero = world_id(w, 0);
    world_cut(w, 0, 1, true);
    world_kill(w, 1);
    world_start(w, 1);
    w->nodes[1].old_since_us = w->now_us;
    world_run(w, 100 * MS);
    refused(w, 1, 50, &zero, "ERR This replica may not know what its master has promised");
    w->nodes[1].old_since_us = -1;
    refused(w, 1, 50, &zero, "ERR This replica has never had the data of its master");
    world_cut(w, 0, 1, false);
    world_run(w, 3000 * MS);
    assert_true(take_over(w, 1, 50, &zero, 1, 2, 0));
    world_free(w);
}

static void an_open_hand_over_is_above_it(void **state)
{
    (void)state;
    struct world *w = adopted(16, 1);
    struct cl_id zero = world_id(w, 0);
    struct cl_record r = {.source = zero, .target = world_id(w, 2), .epoch = 70};
    cl_id_draw(&w->rng, &r.job);
    cl_bit_set(r.slots, 3);
    cl_record_open(w->nodes[1].core, &r);
    refused(w, 1, 70, &zero, "ERR Epoch 70 is not above 70, at which slots of this shard are handed over");
    world_free(w);
}

/* 0 dies, 1 is promoted and dies, and 2 has heard of that or not. */
static void a_chain_of_failovers(void **state)
{
    (void)state;
    for (int heard = 0; heard < 2; heard++) {
        struct world *w = adopted(17 + (uint64_t)heard, 2);
        struct cl_id from[2] = {world_id(w, 1), world_id(w, 0)};
        struct owned o = {0, 2};
        world_kill(w, 0);
        for (int i = 0; i < w->nnodes && heard == 0; i++)
            if (i != 2)
                world_cut(w, i, 2, true);
        assert_true(take_over(w, 1, 50, &from[1], 1, 2, 0));
        world_run(w, 1000 * MS);
        world_kill(w, 1);
        for (int i = 0; i < w->nnodes && heard == 0; i++)
            if (i != 2)
                world_cut(w, i, 2, false);
        assert_true(cl_id_eq(&cl_owner(w->nodes[2].core, 0)->id, &from[heard == 0 ? 1 : 0]));
        assert_true(take_over(w, 2, 60, from, 2, 2, 0));
        assert_int_equal(world_owner(w, 2, 0), 2);
        assert_true(world_until(w, all_see, &o, 5000 * MS));
        world_free(w);
    }
}

static void a_stopped_disk_promotes_nobody(void **state)
{
    (void)state;
    struct world *w = adopted(20, 1);
    struct cl_id zero = world_id(w, 0);
    world_kill(w, 0);
    w->nodes[1].disk_fails = true;
    assert_false(take_over(w, 1, 50, &zero, 1, 2, 0));
    assert_int_equal(w->nodes[1].promotions, 0);
    assert_false(writes(w, 1));
    w->nodes[1].disk_fails = false;
    world_run(w, 1500 * MS);
    assert_true(take_over(w, 1, 50, &zero, 1, 2, 0));
    assert_int_equal(w->nodes[1].promotions, 1);
    assert_true(writes(w, 1));
    world_free(w);
}

/* W3: until then its former may write, to the databases as they were. */
static void who_waits_for_its_lease_says_no_to_a_swap(void **state)
{
    (void)state;
    struct world *w = adopted(1, 1);
    struct cl_id from = world_id(w, 0);
    const struct cl_command prepare = {.verb = CL_DBMAP_PREPARE, .database_a = 1, .database_b = 2, .number = 1};
    assert_true(take_over(w, 1, 50, &from, 1, 2, 500));
    assert_false(writes(w, 1));
    assert_false(world_command(w, 1, &prepare));
    assert_non_null(strstr(w->nodes[1].answer, "holds no lease now"));
    world_run(w, 600 * MS);
    assert_true(writes(w, 1));
    assert_true(world_command(w, 1, &prepare));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replica_inherits),
        cmocka_unit_test(nobody_is_elected),
        cmocka_unit_test(nobody_votes),
        cmocka_unit_test(a_replica_is_adopted_by_words),
        cmocka_unit_test(a_master_in_a_minority_is_not_adopted),
        cmocka_unit_test(operators_are_told_whom_to_ask),
        cmocka_unit_test(no_minority_overrides_a_lease),
        cmocka_unit_test(a_replica_takes_over),
        cmocka_unit_test(what_was_granted_to_another_is_waited_for),
        cmocka_unit_test(an_unsupervised_one_is_adopted_by_it),
        cmocka_unit_test(the_incumbent_may_be_named),
        cmocka_unit_test(a_master_that_was_passed_over_is_refused),
        cmocka_unit_test(a_majority_releases),
        cmocka_unit_test(a_promoted_one_waits_for_the_siblings),
        cmocka_unit_test(force_makes_up_for_what_is_unknown),
        cmocka_unit_test(what_was_passed_over_is_refused),
        cmocka_unit_test(its_own_epoch_is_above_it),
        cmocka_unit_test(a_sibling_that_was_promoted_is_seen),
        cmocka_unit_test(who_lacks_the_state_or_the_data_is_refused),
        cmocka_unit_test(an_open_hand_over_is_above_it),
        cmocka_unit_test(a_chain_of_failovers),
        cmocka_unit_test(who_waits_for_its_lease_says_no_to_a_swap),
        cmocka_unit_test(a_stopped_disk_promotes_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
