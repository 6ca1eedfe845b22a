/* Nodes that came into a shard, or into another's place, while the supervisor did not look. */
#include "sentineld/core/inner.h"
#include "tests/unit/core/fleet_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FIRST "2310d2c1"

static void begin(void)
{
    lab_begin(&(struct lab_options){.quorum = 2}); /* alone we cannot promote */
    lab_run(3000);
    lab_kill(0);
    lab_kill(3);
    lab_run(2000);
    lab_forget_logs();
}

/* The whole first shard, at a node that was never heard of. */
static void the_stranger_takes_all(void)
{
    lab.nodes[0].first = -1;
    lab.nodes[6].alive = lab.nodes[6].listed = true;
    lab.nodes[6].first = 0;
    lab.nodes[6].last = 5460;
    lab.nodes[6].epoch = 17;
}

static void a_stranger_with_all_the_slots_is_the_master_of_that_shard(void **state)
{
    (void)state;
    begin();
    the_stranger_takes_all();
    lab_run(4000);
    assert_int_equal(lab.core->ngroups, 3);
    assert_int_equal(lab_master(lab_shard(FIRST)), 7007);
    assert_int_equal(lab_shard(FIRST)->config_epoch, 17);
    assert_int_equal(lab_count(&lab.events, "+switch-master orders/" FIRST " 127.0.0.1 7001 127.0.0.1 7007"), 1);
    assert_int_equal(lab_count(&lab.events, "+monitor"), 0);
    assert_int_equal(lab_count(&lab.notes, "config orders/" FIRST), 1);
}

/* A container that was started anew, was taken in again and promoted: its address is the master's, its id is not. */
static void a_stranger_in_the_masters_place(void **state)
{
    (void)state;
    begin();
    the_stranger_takes_all();
    lab.nodes[0].listed = false;
    lab.nodes[0].port = 7101;
    lab.nodes[6].port = 7001;
    lab_run(4000);
    assert_int_equal(lab.core->ngroups, 3);
    const struct sn_group *g = lab_shard(FIRST);
    assert_int_equal(lab_master(g), 7001);
    assert_string_equal(g->master->member->id, lab.nodes[6].id);
    assert_int_equal(g->config_epoch, 17);
    assert_false(g->master->s_down);
    assert_int_equal(lab_count(&lab.events, "+switch-master"), 0);
    assert_int_equal(lab_count(&lab.events, "+monitor"), 0);
}

/* After a restart the slots of a shard are not known before its master is heard, and it is never heard again. */
static void a_stranger_in_a_replicas_place_of_a_shard_that_the_state_tells_of(void **state)
{
    (void)state;
    begin();
    struct sn_shard *s = lab_shard(FIRST)->shard;
    the_stranger_takes_all();
    s->nslots = 0;
    memset(&s->slots, 0, sizeof s->slots);
    lab.nodes[0].listed = lab.nodes[3].listed = false;
    lab.nodes[3].port = 7104;
    lab.nodes[6].port = 7004;
    lab_run(4000);
    assert_int_equal(lab.core->ngroups, 3);
    assert_int_equal(lab_master(lab_shard(FIRST)), 7004);
    assert_int_equal(lab_shard(FIRST)->config_epoch, 17);
}

/* Some of the slots only: that is a shard of its own, to which they were moved. */
static void a_stranger_with_some_of_the_slots_is_a_shard_of_its_own(void **state)
{
    (void)state;
    begin();
    the_stranger_takes_all();
    lab.nodes[0].first = 5000;
    lab.nodes[0].last = 5460;
    lab.nodes[6].last = 4999;
    lab_run(4000);
    assert_int_equal(lab.core->ngroups, 4);
    assert_int_equal(lab_master(lab_shard(FIRST)), 7001);
}

/* Others list the id that was there before for a while: who answers has the place. */
static void two_ids_at_one_address_do_not_take_turns(void **state)
{
    (void)state;
    lab_begin(&(struct lab_options){0});
    lab_run(3000);
    lab_kill(3);
    lab.nodes[3].reads_as = 6;
    lab.nodes[6].port = 7004;
    lab.nodes[6].master = 0;
    lab.nodes[6].alive = lab.nodes[6].listed = true;
    lab_run(3000);
    lab_forget_logs();
    lab_run(10000);
    assert_int_equal(lab_shard(FIRST)->ninsts, 2);
    assert_string_equal(lab_shard(FIRST)->insts[1]->member->id, lab.nodes[6].id);
    assert_int_equal(lab_count(&lab.events, "-slave"), 0);
    assert_int_equal(lab_count(&lab.events, "+slave"), 0);
}

/* Every node was replaced, one after the other, while this supervisor was down: another one names the place. */
static void all_ids_are_new(void **state)
{
    (void)state;
    begin();
    for (int k = 0; k < 6; k++) {
        lab_kill(k);
        lab.nodes[k].listed = false;
        lab.nodes[k].port += 100;
    }
    the_stranger_takes_all();
    lab.nodes[6].port = 7004;
    lab_run(3000);
    assert_string_not_equal(lab_shard(FIRST)->master->member->id, lab.nodes[6].id);
    assert_int_equal(lab_count(&lab.events, "-cluster-foreign-node"), 1);
    struct sn_group *g = lab_shard(FIRST)->shard->group;
    assert_int_equal(g->insts[1]->node->addr.port, 7004);
    sn_group_switch(g, g->insts[1], 17); /* as its hello has it */
    lab_run(3000);
    assert_int_equal(lab_master(lab_shard(FIRST)), 7004);
    assert_string_equal(lab_shard(FIRST)->master->member->id, lab.nodes[6].id);
}

/* Who was away tells of the id that was at this address before, with all the slots. */
static void an_old_word_makes_no_shard_at_an_address_that_is_taken(void **state)
{
    (void)state;
    begin();
    the_stranger_takes_all();
    lab.nodes[6].alive = false;
    lab.nodes[6].port = 7004;
    lab.nodes[6].epoch = 1;
    lab_run(4000);
    assert_int_equal(lab.core->ngroups, 3);
    assert_int_equal(lab_master(lab_shard(FIRST)), 7001);
    assert_int_equal(lab_count(&lab.events, "+monitor"), 0);
}

/* Its slots were taken from it long ago, and who has them died and was forgotten: for the nodes they are its own again.
 * As a shard of its own it would have a lease beside the one that is to be promoted there. */
static void an_old_master_is_no_shard_of_its_own(void **state)
{
    (void)state;
    lab_begin(&(struct lab_options){.quorum = 2});
    lab_run(3000);
    lab_kill(1);
    lab_kill(4);
    lab_run(2000);
    lab_forget_logs();
    lab.nodes[1].first = -1;
    lab.nodes[6].alive = lab.nodes[6].listed = true;
    lab.nodes[6].first = 5461;
    lab.nodes[6].last = 10922;
    lab.nodes[6].epoch = 1;
    lab_run(4000);
    assert_int_equal(lab.core->ngroups, 3);
    assert_int_equal(lab_count(&lab.events, "+monitor"), 0);
    lab.nodes[1].listed = lab.nodes[4].listed = false; /* the whole shard is forgotten: they are its own */
    lab_run(20000);
    assert_int_equal(lab_count(&lab.events, "-monitor"), 1);
    assert_int_equal(lab_count(&lab.events, "+monitor"), 1);
    assert_int_equal(lab.core->ngroups, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_stranger_with_all_the_slots_is_the_master_of_that_shard, lab_end),
        cmocka_unit_test_teardown(a_stranger_in_the_masters_place, lab_end),
        cmocka_unit_test_teardown(a_stranger_in_a_replicas_place_of_a_shard_that_the_state_tells_of, lab_end),
        cmocka_unit_test_teardown(a_stranger_with_some_of_the_slots_is_a_shard_of_its_own, lab_end),
        cmocka_unit_test_teardown(all_ids_are_new, lab_end),
        cmocka_unit_test_teardown(an_old_word_makes_no_shard_at_an_address_that_is_taken, lab_end),
        cmocka_unit_test_teardown(an_old_master_is_no_shard_of_its_own, lab_end),
        cmocka_unit_test_teardown(two_ids_at_one_address_do_not_take_turns, lab_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
