/* Promotions in a cluster: by takeover, confirmed by the node's own word, alone or many at once. */
#include "tests/unit/core/fleet_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FIRST "2310d2c1" /* the smallest ids of the three shards */
#define SECOND "23a4c6f0"
#define THIRD "144649a3"
#define PEER "00000000000000000000000000000000000000bb"

static void begin(void)
{
    lab_begin(&(struct lab_options){0});
    lab_run(6000);
    lab_forget_logs();
}

static void a_dead_master_is_replaced(void **state)
{
    (void)state;
    begin();
    lab_kill(0);
    lab_run(490);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER"), 0); /* down-after is a floor */
    lab_run(100);
    const struct sn_group *g = lab_shard(FIRST);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER 7004"), 1);
    assert_int_equal(lab_master(g), 7004);
    assert_int_equal(lab_count(&lab.events, "+switch-master orders/" FIRST " 127.0.0.1 7001 127.0.0.1 7004"), 1);
    assert_int_equal(g->config_epoch, lab.nodes[3].epoch);
    assert_int_equal(g->shard->nslots, 5461);
    lab_run(3000);
    assert_int_equal(g->fo.state, SN_FO_NONE);
    assert_int_equal(lab_count(&lab.notes, "agreed orders/" FIRST), 1);
    assert_int_equal(lab_count(&lab.notes, "switched orders/" FIRST), 1);
    assert_true(sn_fleet_agrees(lab.core->fleets[0]));
    assert_int_equal(lab_count(&lab.sent, "REPLICAOF"), 0);
    assert_int_equal(lab_count(&lab.sent, "REPLICATE"), 0);
    lab.nodes[0].master = 3; /* the bus turns it */
    lab_start(0);
    lab_run(5000);
    assert_int_equal(g->ninsts, 2);
    assert_true(lab_has(g, 7001));
    assert_false(lab_is_down(g, 7001));
    assert_int_equal(lab_count(&lab.sent, "REPLICATE"), 0);
}

static void a_majority_of_the_masters_at_once(void **state)
{
    (void)state;
    begin();
    lab_kill(0);
    lab_kill(1);
    lab_kill(2);
    lab_run(700);
    assert_int_equal(lab_master(lab_shard(FIRST)), 7004);
    assert_int_equal(lab_master(lab_shard(SECOND)), 7005);
    assert_int_equal(lab_master(lab_shard(THIRD)), 7006);
    uint64_t a = lab.nodes[3].epoch, b = lab.nodes[4].epoch, c = lab.nodes[5].epoch;
    assert_true(a != b && b != c && a != c);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER"), 3);
    lab_run(3000);
    assert_int_equal(lab_count(&lab.notes, "agreed"), 3);
    unsigned assigned;
    assert_int_equal(sn_fleet_covered(lab.core->fleets[0], &assigned), SN_SLOTS);
}

/* Each of them has an epoch of its own: one grant per fleet and epoch (SAFETY E1). */
static void ballots_of_one_step_have_different_epochs(void **state)
{
    (void)state;
    lab_begin(&(struct lab_options){.declared = true, .quorum = 1});
    lab_run(6000);
    for (int k = 0; k < 3; k++)
        lab_kill(k);
    lab_run(700);
    uint64_t e[3];
    static const char *const names[] = {FIRST, SECOND, THIRD};
    for (int k = 0; k < 3; k++) {
        e[k] = lab_shard(names[k])->vote_epoch;
        assert_string_equal(lab_shard(names[k])->vote_leader, LAB_ID);
        assert_true(e[k] > 3);
    }
    assert_true(e[0] != e[1] && e[1] != e[2] && e[0] != e[2]);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER"), 0); /* no majority of the declared ones answers */
}

static bool gives_its_vote(const char *digits, int master, int candidate, uint64_t epoch)
{
    char name[64];
    snprintf(name, sizeof name, "orders/%s", digits);
    struct sn_ballot ballot = {.verb = SN_BALLOT_VOTE, .down = true, .epoch = epoch, .group = name};
    addr_set(&ballot.master, slice_of("127.0.0.1"), master);
    addr_set(&ballot.candidate, slice_of("127.0.0.1"), candidate);
    struct sn_event e = {.kind = SN_EV_BALLOTS, .token = 1, .ballots = &ballot, .count = 1, .text = slice_of(PEER)};
    lab_step(&e);
    lab_run(5);
    assert_int_equal(lab.answer->kind, SN_FX_ANSWER_BALLOTS);
    return lab.answer->opinions[0].leader_epoch == epoch && strcmp(lab.answer->opinions[0].leader, PEER) == 0;
}

static void one_vote_for_an_epoch_in_all_shards(void **state)
{
    (void)state;
    begin();
    assert_true(gives_its_vote(FIRST, 7001, 7004, 20));
    assert_int_equal(lab.core->fleets[0]->vote_epoch, 20);
    assert_false(gives_its_vote(SECOND, 7002, 7005, 20));
    assert_false(gives_its_vote(SECOND, 7002, 7005, 19));
    assert_true(gives_its_vote(SECOND, 7002, 7005, 21));
    assert_int_equal(lab_count(&lab.records, "FLEET - orders"), 1);
}

static void an_epoch_that_is_not_above_all_is_raised(void **state)
{
    (void)state;
    begin();
    lab.nodes[3].takes_epoch = 1; /* as that of its old master */
    lab_kill(0);
    lab_run(1500);
    assert_int_equal(lab_count(&lab.sent, "BUMPEPOCH 7004"), 1);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER"), 1);
    assert_int_equal(lab_master(lab_shard(FIRST)), 7004);
    assert_int_equal(lab_shard(FIRST)->config_epoch, 4);
}

/* A replica that was restarted has its master's epoch for its own, and when that is the greatest it keeps it. */
static void a_tie_at_the_top_is_broken_by_another_node(void **state)
{
    (void)state;
    begin();
    lab.nodes[5].takes_epoch = 3;
    lab_kill(2);
    lab_run(1500);
    assert_int_equal(lab_count(&lab.sent, "BUMPEPOCH 7001"), 1);
    assert_int_equal(lab_count(&lab.sent, "BUMPEPOCH 7006"), 1);
    assert_int_equal(lab_master(lab_shard(THIRD)), 7006);
    assert_int_equal(lab_shard(THIRD)->config_epoch, 5);
    assert_int_equal(lab.nodes[5].epoch, 5);
}

/* Nobody else lives. Later the old master is back, and the cluster's rule for equal epochs gives it the slots. */
static void a_tie_that_nobody_can_break(void **state)
{
    (void)state;
    begin();
    lab.nodes[5].takes_epoch = 3;
    for (int k = 0; k < 5; k++)
        lab_kill(k);
    lab_run(1500);
    const struct sn_group *g = lab_shard(THIRD);
    assert_int_equal(lab_master(g), 7006);
    assert_true(g->config_epoch > 3);
    uint64_t ours = g->config_epoch;
    lab_run(3000);
    lab.nodes[2].first = lab.nodes[5].first;
    lab.nodes[2].last = lab.nodes[5].last;
    lab.nodes[2].epoch = ours;
    lab.nodes[5].first = -1;
    lab.nodes[5].master = 2;
    lab_start(2);
    lab_run(5000);
    assert_int_equal(lab_master(g), 7003);
    assert_true(g->config_epoch > ours);
    assert_false(g->master->s_down);
}

static void who_refuses_is_not_asked_again_before_others(void **state)
{
    (void)state;
    begin();
    lab.nodes[6].alive = lab.nodes[6].listed = true;
    lab.nodes[6].master = 0;
    lab.nodes[6].offset = 50; /* less data, but it can */
    lab_run(10000);
    assert_int_equal(lab_shard(FIRST)->ninsts, 3);
    lab.nodes[3].refuses = true;
    lab_kill(0);
    lab_run(3000);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER 7004"), 1);
    assert_int_equal(lab_master(lab_shard(FIRST)), 7007);
    assert_int_equal(lab_count(&lab.sent, "REPLICATE"), 0);
}

static void a_replica_that_the_bus_forgot_is_told(void **state)
{
    (void)state;
    begin();
    lab.nodes[6].alive = lab.nodes[6].listed = true;
    lab.nodes[6].master = 0;
    lab_run(10000);
    lab.nodes[3].offset = 5000;
    lab.nodes[6].stubborn = true; /* it goes on with the dead one */
    lab_kill(0);
    lab_run(1000);
    assert_int_equal(lab_master(lab_shard(FIRST)), 7004);
    assert_int_equal(lab_count(&lab.sent, "REPLICATE"), 0);
    lab_run(1500);
    assert_int_equal(lab_shard(FIRST)->fo.state, SN_FO_NONE);
    assert_int_equal(lab_count(&lab.sent, "REPLICATE 7007 2310d2c1122cf79d36b9acf730d1222b0951a3bb"), 1);
}

static void an_election_that_the_cluster_won_is_adopted(void **state)
{
    (void)state;
    lab_begin(&(struct lab_options){.quorum = 2}); /* alone we cannot */
    lab_run(6000);
    lab_kill(0);
    lab_run(2000);
    assert_int_equal(lab_master(lab_shard(FIRST)), 7001);
    lab.nodes[3].first = 0;
    lab.nodes[3].last = 5460;
    lab.nodes[3].epoch = 17;
    lab.nodes[3].master = -1;
    lab.nodes[0].first = -1;
    lab_run(1000);
    assert_int_equal(lab_master(lab_shard(FIRST)), 7004);
    assert_int_equal(lab_shard(FIRST)->config_epoch, 17);
    assert_int_equal(lab_count(&lab.events, "+switch-master orders/" FIRST), 1);
    assert_int_equal(lab_count(&lab.notes, "config orders/" FIRST), 1);
    assert_int_equal(lab.core->current_epoch, 17);
    assert_int_equal(lab.core->ngroups, 3);
}

/* It comes back with what it had, before it hears of the other. */
static void an_old_master_is_not_believed(void **state)
{
    (void)state;
    begin();
    lab_kill(0);
    lab_run(2000);
    assert_int_equal(lab_master(lab_shard(FIRST)), 7004);
    lab.nodes[0].says = "4b079c184c2cb382ecbc55624b3cddfe3db9bdae 127.0.0.1:7001@17001 myself,master - 0 0 1 connected "
                        "0-5460\n2310d2c1122cf79d36b9acf730d1222b0951a3bb 127.0.0.1:7004@17004 slave "
                        "4b079c184c2cb382ecbc55624b3cddfe3db9bdae 0 0 1 connected\n";
    lab_forget_logs();
    lab_start(0);
    lab_run(4000);
    assert_int_equal(lab_master(lab_shard(FIRST)), 7004);
    assert_int_equal(lab.core->ngroups, 3);
    assert_int_equal(lab_count(&lab.events, "+switch-master"), 0);
    lab.nodes[0].says = NULL;
    lab.nodes[0].master = 3;
    lab_run(4000);
    assert_int_equal(lab_shard(FIRST)->ninsts, 2);
    assert_int_equal(lab_count(&lab.events, "+monitor"), 0);
}

/* A container that is started anew at the address of a dead one. */
static void a_master_whose_address_another_node_has_is_down(void **state)
{
    (void)state;
    begin();
    lab_kill(0);
    lab.nodes[0].reads_as = 6;
    lab.nodes[6].alive = lab.nodes[6].alone = true;
    lab_run(1500);
    assert_int_equal(lab_count(&lab.events, "+sdown master orders/" FIRST), 1);
    assert_int_equal(lab_master(lab_shard(FIRST)), 7004);
    lab_run(3000);
    assert_int_equal(lab_count(&lab.sent, "NO-FAILOVER 7001"), 0);
}

static void a_planned_switch_is_the_clusters_own(void **state)
{
    (void)state;
    begin();
    struct sn_event e = {.kind = SN_EV_FAILOVER, .token = 3, .group = slice_of("orders/" SECOND)};
    lab_step(&e);
    assert_int_equal(lab.answer->answer, SN_ANSWER_OK);
    lab_run(1000);
    assert_int_equal(lab_count(&lab.sent, "CLUSTER-FAILOVER 7005"), 1);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER"), 0);
    assert_int_equal(lab_count(&lab.sent, "PAUSE"), 0);
    assert_int_equal(lab_master(lab_shard(SECOND)), 7005);
    assert_int_equal(lab_shard(SECOND)->config_epoch, lab.nodes[4].epoch);
    lab_run(4000);
    assert_int_equal(lab_shard(SECOND)->fo.state, SN_FO_NONE);
    assert_true(lab_has(lab_shard(SECOND), 7002));
    /* The cluster's masters do not vote again so soon. */
    lab.nodes[1].offset = lab.nodes[4].offset;
    lab_run(20000);
    lab_forget_logs();
    lab_step(&e);
    lab_run(1500);
    assert_int_equal(lab_count(&lab.sent, "CLUSTER-FAILOVER"), 0);
    assert_int_equal(lab_count(&lab.sent, "PAUSE 7005 yes"), 1);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER 7002"), 1);
    assert_int_equal(lab_master(lab_shard(SECOND)), 7002);
    lab_run(70000);
    lab_forget_logs();
    lab_step(&e);
    lab_run(1500);
    assert_int_equal(lab_count(&lab.sent, "CLUSTER-FAILOVER 7005"), 1);
}

static void a_refused_planned_switch_leaves_the_master(void **state)
{
    (void)state;
    begin();
    lab.nodes[4].refuses = true;
    struct sn_event e = {.kind = SN_EV_FAILOVER, .token = 3, .group = slice_of("orders/" SECOND)};
    lab_step(&e);
    lab_run(1000);
    assert_int_equal(lab_count(&lab.events, "-failover-abort-refused"), 1);
    assert_int_equal(lab_master(lab_shard(SECOND)), 7002);
    assert_int_equal(lab_shard(SECOND)->fo.state, SN_FO_NONE);
}

/* Two of three masters are gone, so the cluster's own vote cannot be had: writes are paused and the replica waited for.
 */
static void a_planned_switch_without_the_clusters_majority(void **state)
{
    (void)state;
    lab_begin(&(struct lab_options){.quorum = 1});
    for (int k = 3; k < 6; k++)
        lab.nodes[k].offset = 100;
    for (int k = 0; k < 3; k++)
        lab.nodes[k].offset = 100;
    lab_run(6000);
    lab_kill(0);
    lab_kill(3);
    lab_kill(1);
    lab_kill(4);
    lab_run(2000);
    lab_forget_logs();
    struct sn_event e = {.kind = SN_EV_FAILOVER, .token = 3, .group = slice_of("orders/" THIRD), .coordinated = true};
    lab_step(&e);
    assert_int_equal(lab.answer->answer, SN_ANSWER_OK);
    lab_run(2000);
    assert_int_equal(lab_count(&lab.sent, "CLUSTER-FAILOVER"), 0);
    assert_int_equal(lab_count(&lab.sent, "PAUSE 7003 yes"), 1);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER 7006"), 1);
    assert_int_equal(lab_master(lab_shard(THIRD)), 7006);
    assert_int_equal(lab_count(&lab.sent, "UNPAUSE 7003"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_dead_master_is_replaced, lab_end),
        cmocka_unit_test_teardown(a_majority_of_the_masters_at_once, lab_end),
        cmocka_unit_test_teardown(ballots_of_one_step_have_different_epochs, lab_end),
        cmocka_unit_test_teardown(one_vote_for_an_epoch_in_all_shards, lab_end),
        cmocka_unit_test_teardown(an_epoch_that_is_not_above_all_is_raised, lab_end),
        cmocka_unit_test_teardown(a_tie_at_the_top_is_broken_by_another_node, lab_end),
        cmocka_unit_test_teardown(a_tie_that_nobody_can_break, lab_end),
        cmocka_unit_test_teardown(who_refuses_is_not_asked_again_before_others, lab_end),
        cmocka_unit_test_teardown(a_replica_that_the_bus_forgot_is_told, lab_end),
        cmocka_unit_test_teardown(an_election_that_the_cluster_won_is_adopted, lab_end),
        cmocka_unit_test_teardown(an_old_master_is_not_believed, lab_end),
        cmocka_unit_test_teardown(a_master_whose_address_another_node_has_is_down, lab_end),
        cmocka_unit_test_teardown(a_planned_switch_is_the_clusters_own, lab_end),
        cmocka_unit_test_teardown(a_refused_planned_switch_leaves_the_master, lab_end),
        cmocka_unit_test_teardown(a_planned_switch_without_the_clusters_majority, lab_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
