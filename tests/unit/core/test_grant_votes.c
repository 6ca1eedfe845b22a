/* Votes, ballots and planned switches in a shard under leases (SAFETY E4, E5, E7, E9). */
#include "sentineld/core/select.h"
#include "tests/unit/core/lease_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- votes for others ---- */

static void a_vote_grants_from_the_end_of_the_masters(void **state)
{
    (void)state;
    lease_adopted();
    int64_t end = lease_first()->lease.end_us;
    lease_ballot(0, SN_BALLOT_VOTE, 10, 3);
    assert_null(lease_answer());
    lab_run(2);
    const struct sn_opinion *o = lease_answer();
    assert_non_null(o);
    assert_int_equal(o->leader_epoch, 10);
    assert_int_equal(lease_number(o->grant, 0), 0);
    assert_int_equal(lease_number(o->grant, 1), 103);
    assert_int_equal(lease_number(o->grant, 3), LEASE_MS);
    /* In the node's clock it begins when what the master had has ended here, and not before. */
    int64_t stamp_us = lease_number(o->grant, 2) - lease.nodes[3].clock_us;
    assert_true(stamp_us + LAB_MS(lease_number(o->grant, 4)) >= end);
    assert_true(stamp_us + LAB_MS(lease_number(o->grant, 4)) < end + LAB_MS(60));
    lease_forget();
    lab_run(1000);
    assert_true(lease.nodes[0].asked > 5);
    assert_int_equal(lease.nodes[0].granted, 0); /* the master gets nothing more */
    assert_int_equal(lease.nodes[3].granted, 0); /* LEASE grants to masters of the configuration only */
}

/* It waits for a later swap, and has not made the one before: LEASE grants when it has. */
static void a_vote_grants_nothing_to_one_that_lacks_a_swap(void **state)
{
    (void)state;
    lease_adopted();
    struct sn_swapping *s = &lab.core->fleets[0]->swap;
    s->has.entry = (struct sn_swap_entry){.value = SN_SWAP_COMMIT, .decided = true};
    s->has.entry.step = (struct sn_swap_step){.version = 3, .begun = 1, .a = 1, .b = 2};
    s->decided_us = lab.now_us;
    lease.nodes[0].mapping = 3;
    lease.nodes[3].mapping = 2;
    lease.nodes[3].prepared = 4;
    lab_run(100);
    lease_ballot(0, SN_BALLOT_VOTE, 10, 3);
    lab_run(2);
    assert_int_equal(lease_answer()->leader_epoch, 10);
    assert_string_equal(lease_answer()->grant, "");
    lease.nodes[3].prepared = 3; /* for the attempt that came to be, it must be */
    lab_run(100);
    lease_ballot(0, SN_BALLOT_VOTE, 10, 3);
    lab_run(2);
    assert_string_equal(lease_answer()->grant, "");
    lease.nodes[3].ballot = 1;
    lab_run(100);
    lease_ballot(0, SN_BALLOT_VOTE, 10, 3);
    lab_run(2);
    assert_string_not_equal(lease_answer()->grant, "");
}

static void a_vote_is_told_when_vote_and_grantee_are_on_disk(void **state)
{
    (void)state;
    lease_adopted();
    lab.disk_holds = true;
    lease_ballot(0, SN_BALLOT_VOTE, 10, 3);
    assert_int_equal(lab_count(&lab.records, "LEASE orders/" FIRST " - - gone 2310d2c1"), 1);
    lab_run(50);
    assert_null(lease_answer());
    lease_disk(true);
    assert_non_null(lease_answer());
    assert_true(*lease_answer()->grant != '\0');
}

static void a_vote_that_is_not_on_disk_grants_nothing(void **state)
{
    (void)state;
    lease_adopted();
    lab.disk_holds = true;
    lease_ballot(0, SN_BALLOT_VOTE, 10, 3);
    lease_disk(false);
    assert_non_null(lease_answer());
    assert_string_equal(lease_answer()->leader, "");
    assert_string_equal(lease_answer()->grant, "");
    lab_run(500);
    assert_int_equal(lease.nodes[0].granted, 0); /* and yet it may be there */
}

static void a_cancelled_vote_frees_the_master(void **state)
{
    (void)state;
    lease_adopted();
    lease_ballot(0, SN_BALLOT_VOTE, 10, 3);
    lab_run(2);
    lease_ballot(0, SN_BALLOT_CANCEL, 10, 3);
    lease_forget();
    lab_run(LEASE_MS / 4 + 10); /* the candidate's grant never left the leader: nothing is waited for (E7) */
    assert_true(lease.nodes[0].granted > 0);
    assert_int_equal(lease.nodes[0].epoch, 1);
    assert_int_equal(lab_count(&lab.sent, "VOTE"), 0); /* without a ballot */
}

static void a_stranger_cancels_nothing(void **state)
{
    (void)state;
    lease_adopted();
    lease_ballot(0, SN_BALLOT_VOTE, 10, 3);
    lab_run(2);
    lease_ballot(1, SN_BALLOT_CANCEL, 10, 3);
    lease_ballot(0, SN_BALLOT_CANCEL, 9, 3);
    lease_forget();
    lab_run(1000);
    assert_int_equal(lease.nodes[0].granted, 0);
}

static void a_second_vote_waits_for_both_grants(void **state)
{
    (void)state;
    lease_adopted();
    lease_ballot(0, SN_BALLOT_VOTE, 10, 3);
    lab_run(2);
    int64_t end = lease_first()->lease.end_us;
    lease_ballot(0, SN_BALLOT_VOTE, 11, 0);
    lab_run(2);
    assert_non_null(lease_answer());
    int64_t stamp_us = lease_number(lease_answer()->grant, 2) - lease.nodes[0].clock_us;
    assert_true(stamp_us + LAB_MS(lease_number(lease_answer()->grant, 4)) >= end);
}

/* ---- a leader that is gone ---- */

static void peer_dies(int k)
{
    for (size_t i = 0; i < lab.core->npeers; i++) {
        const struct sn_peer *p = lab.core->peers[i];
        struct sn_event e = {.kind = SN_EV_LINK_DOWN, .link = p->cmd.link, .why = SN_WHY_CLOSED};
        if (strcmp(p->addr.host, k == 0 ? "10.0.0.8" : "10.0.0.9") != 0)
            continue;
        lease.peers[k].up = false;
        lab_step(&e);
    }
}

/* A vote binds as long as its leader may act. When it is gone another may lead the same node's promotion, and no
 * other's (SAFETY E9). */
static void the_heir_of_a_dead_leader_may_be_named_again(void **state)
{
    (void)state;
    lease_adopted();
    lease.peers[0].votes = lease.peers[1].votes = false;
    lease_ballot(1, SN_BALLOT_VOTE, 10, 3);
    lab_run(2);
    lease_ballot(0, SN_BALLOT_VOTE, 20, 3);
    lab_run(2);
    assert_int_equal(lease_answer()->leader_epoch, 10); /* it lives */
    peer_dies(1);
    lease_ballot(0, SN_BALLOT_VOTE, 21, 0);
    lab_run(2);
    assert_string_equal(lease_answer()->grant, "");
    lease_ballot(0, SN_BALLOT_VOTE, lab.core->current_epoch + 1, 3);
    lab_run(2);
    assert_true(*lease_answer()->grant != '\0');
    /* That one gives up: the first one's promotion may still be hidden. */
    lease_ballot(0, SN_BALLOT_CANCEL, lease_answer()->leader_epoch, 3);
    lease_ballot(0, SN_BALLOT_VOTE, lab.core->current_epoch + 1, 0);
    lab_run(2);
    assert_string_equal(lease_answer()->grant, "");
}

static void a_planned_switch_of_a_dead_leader_is_finished(void **state)
{
    (void)state;
    lease_adopted();
    lab.nodes[3].offset = lab.nodes[0].offset;
    lease_ballot(0, SN_BALLOT_VOTE, 10, 3);
    lab_run(2);
    lease_forget();
    peer_dies(0);
    lab_run(100);
    assert_int_equal(lab_count(&lab.sent, "RETURN 7001"), 1);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER 7004"), 1);
    assert_int_equal(lab_master(lease_first()), 7004);
}

static void a_failover_of_a_dead_leader_goes_on_with_its_replica(void **state)
{
    (void)state;
    lease_adopted();
    lease_peers_see(true);
    lab_kill(0);
    while (!lease_first()->master->s_down)
        lab_run(1);
    lease_ballot(0, SN_BALLOT_VOTE, lab.core->current_epoch + 5, 3);
    lab_run(2);
    int64_t died = lab.now_us;
    peer_dies(0);
    lab_run(100);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER 7004"), 1);
    assert_int_equal(lab_master(lease_first()), 7004);
    assert_true(lease_first()->switched_us - died < LAB_MS(50));
}

/* It is undone at once by who led it: the master has given its lease back. */
static void a_switch_that_is_given_up_is_undone_at_once(void **state)
{
    (void)state;
    lease_adopted();
    lab.nodes[0].offset = 1000;
    struct sn_event e = {.kind = SN_EV_FAILOVER, .token = 5, .group = slice_of("orders/" FIRST), .coordinated = true};
    lab_step(&e);
    while (!lab_count(&lab.events, "-failover-abort"))
        lab_run(1);
    lab_run(LEASE_MS);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER 7001"), 1);
    assert_int_equal(lab_master(lease_first()), 7001);
}

/* ---- a vote that came to nothing ---- */

static void a_hidden_promotion_is_gone_above_by_a_ballot(void **state)
{
    (void)state;
    lease_adopted();
    lease_ballot(0, SN_BALLOT_VOTE, 10, 3);
    lab_run(2);
    lease_forget();
    while (!lab_count(&lab.sent, "VOTE peer")) {
        assert_int_equal(lease.nodes[0].granted, 0);
        assert_true(lab.now_us < LAB_MS(8000)); /* the vote may lead to something for two lives of a ballot */
        lab_run(1);
    }
    uint64_t epoch = lab.core->current_epoch;
    assert_true(epoch > 10);
    while (lease_first()->config_epoch < epoch) {
        assert_true(lease.nodes[0].granted == 0);
        lab_run(1);
    }
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER 7001"), 1);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER"), 1);
    assert_int_equal(lab_count(&lab.events, "+switch-master"), 0);
    assert_int_equal(lab_count(&lab.events, "+master-confirmed"), 1);
    assert_int_equal(lab_count(&lease.takeover, "7001 11 4b079c184c2cb382ecbc55624b3cddfe3db9bdae,2310d2c1"), 1);
    assert_int_equal(lab_count(&lease.takeover, "1:0:" LEASE_LIST " 0/"), 1);
    lab_run(500);
    assert_true(lease.nodes[0].granted > 5);
    assert_int_equal(lease.nodes[0].epoch, epoch);
}

/* The grants that the ballot brings are the node's with its new epoch only. */
static void a_ballot_for_the_master_does_not_resume_the_old_epoch(void **state)
{
    (void)state;
    lease_adopted();
    lease.peers[0].votes = lease.peers[1].votes = false;
    lease_ballot(0, SN_BALLOT_VOTE, 10, 3);
    lab_run(4100);
    lease_forget();
    lease_ballot(1, SN_BALLOT_VOTE, 20, 0); /* somebody else stands for it, and dies with our vote */
    lab_run(2);
    assert_int_equal(lease_number(lease_answer()->grant, 1), 100);
    lab_run(1000);
    assert_int_equal(lease.nodes[0].granted, 0);
}

/* All that may be hidden is a newer epoch of the same master. */
static void without_doubt_a_ballot_for_the_master_ends_no_lease(void **state)
{
    (void)state;
    lease_adopted();
    lease.peers[0].votes = lease.peers[1].votes = false;
    lease_ballot(1, SN_BALLOT_VOTE, 20, 0); /* and whoever stands for it dies */
    lab_run(2);
    assert_int_equal(lease_answer()->leader_epoch, 20);
    lease_forget();
    lab_run(1000);
    assert_true(lease.nodes[0].granted > 10);
    lab_run(3200);
    lease_ballot(0, SN_BALLOT_VOTE, 30, 0); /* nor does a second one */
    lab_run(2);
    lease_forget();
    lab_run(1000);
    assert_true(lease.nodes[0].granted > 10);
    lab_run(3200);
    lease_ballot(0, SN_BALLOT_VOTE, 40, 3);
    lab_run(2);
    lease_forget();
    lab_run(1000);
    assert_int_equal(lease.nodes[0].granted, 0);
}

static void a_later_cancel_does_not_clear_an_earlier_vote(void **state)
{
    (void)state;
    lease_adopted();
    lease.peers[0].votes = lease.peers[1].votes = false;
    lease_ballot(0, SN_BALLOT_VOTE, 10, 3);
    lab_run(4100);
    lease_ballot(1, SN_BALLOT_VOTE, 20, 0);
    lab_run(2);
    lease_ballot(1, SN_BALLOT_CANCEL, 20, 0);
    lease_forget();
    lab_run(6000);
    assert_int_equal(lease.nodes[0].granted, 0);
    assert_true(lab_count(&lab.sent, "VOTE peer") > 0); /* it stands itself, and is not elected */
}

static void the_promoted_ones_configuration_ends_the_doubt(void **state)
{
    (void)state;
    lease_adopted();
    lease_ballot(0, SN_BALLOT_VOTE, 10, 3);
    lab_run(2);
    lab.nodes[3].master = -1;
    lab.nodes[3].first = lab.nodes[0].first;
    lab.nodes[3].last = lab.nodes[0].last;
    lab.nodes[3].epoch = 10;
    lab.nodes[0].first = -1;
    lab.nodes[0].master = 3;
    lease_forget();
    lab_run(3000);
    assert_int_equal(lab_master(lease_first()), 7004);
    assert_true(lease.nodes[3].granted > 5);
    assert_int_equal(lease.nodes[3].epoch, 10);
    assert_int_equal(lease.nodes[0].granted, 0);
}

/* It gave its lease back, and whoever led is gone: nobody has voted since. */
static void a_master_without_lease_gets_a_ballot(void **state)
{
    (void)state;
    lease_adopted();
    lease.nodes[0].lease_ms = 0;
    lab_run(2 * LEASE_MS);
    assert_int_equal(lab_count(&lab.sent, "VOTE"), 0);
    lab_run(3 * LEASE_MS);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER 7001"), 1);
    assert_true(lease_first()->config_epoch > 3);
}

static void without_voters_no_ballot_is_held_for_it(void **state)
{
    (void)state;
    lease_adopted();
    for (int k = 0; k < PEERS; k++) {
        const struct sn_peer *p = lab.core->peers[k];
        struct sn_event e = {.kind = SN_EV_LINK_DOWN, .link = p->cmd.link, .why = SN_WHY_CLOSED};
        lease.peers[k].up = false;
        lab_step(&e);
    }
    lease.nodes[0].lease_ms = 0;
    lab_run(10000);
    assert_int_equal(lab_count(&lab.events, "+try-confirm-master"), 0);
    assert_true(lease.nodes[0].granted > 10); /* for what it is worth */
}

/* ---- failovers of our own ---- */

static void a_dead_master_is_replaced_with_the_voters_grants(void **state)
{
    (void)state;
    lease_adopted();
    lease_peers_see(true);
    lab_kill(0);
    lab_run(2000);
    assert_int_equal(lab_master(lease_first()), 7004);
    uint64_t epoch = lease_first()->config_epoch;
    assert_true(epoch > 3);
    char expected[96];
    snprintf(expected, sizeof expected, "7004 %llu 4b079c18", (unsigned long long)epoch);
    assert_int_equal(lab_count(&lease.takeover, expected), 1);
    assert_int_equal(lab_count(&lease.takeover, " 1/0000000000000005/6/200/77"), 1); /* the peer's, as it came */
    assert_true(lease.nodes[3].granted > 3);
    assert_int_equal(lease.nodes[3].epoch, epoch);
}

/* The master dies while it is made the master anew. What it was told grants nothing that its successor would not wait
 * for. */
static void a_promotion_that_found_nobody_holds_up_no_other(void **state)
{
    (void)state;
    lease_adopted();
    lease_peers_see(true);
    lease.nodes[0].lease_ms = 0;
    while (lease_first()->fo.state != SN_FO_WAIT_PROMOTION)
        lab_run(1);
    lab_kill(0);
    lab_run(2000);
    assert_int_equal(lab_count(&lab.events, "-failover-abort-slave-timeout"), 1);
    assert_int_equal(lab_master(lease_first()), 7004);
}

static void a_lost_round_is_cancelled_and_renews_the_master(void **state)
{
    (void)state;
    lease_adopted();
    lease.peers[0].votes = lease.peers[1].votes = false;
    lease_peers_see(true);
    lab_kill(0);
    while (!lab_count(&lab.sent, "CANCEL"))
        lab_run(10);
    lease_peers_see(false);
    lab_start(0);
    lease_forget();
    lab_run(1500);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER"), 0);
    assert_true(lease.nodes[0].granted > 3);
    assert_int_equal(lease.nodes[0].epoch, 1);
}

static void a_refused_promotion_is_told_and_frees_the_votes(void **state)
{
    (void)state;
    lease_adopted();
    lease_peers_see(true);
    lab.nodes[3].refuses = true;
    lab_kill(0);
    lab_run(1200);
    assert_true(lab_count(&lab.events, "-promotion-refused") > 0);
    assert_true(lab_count(&lab.sent, "CANCEL") > 0);
    assert_int_equal(lab_master(lease_first()), 7001);
}

/* It would refuse: no ballot is held for it before an operator says so, and what has to be said is told. */
static void who_may_not_know_all_waits_for_an_operator(void **state)
{
    (void)state;
    lease_adopted();
    lease_peers_see(true);
    lease.nodes[3].in_the_dark = true;
    lab_run(200);
    lab_kill(0);
    lab_run(3000);
    assert_int_equal(lab_count(&lab.sent, "VOTE"), 0);
    assert_true(sn_needs_operator(lease_first()));
    assert_int_equal(lab_count(&lab.events, "-failover-needs-operator master orders/" FIRST " 127.0.0.1 7001"), 1);
    assert_int_equal(lab_count(&lab.events, "SENTINEL FAILOVER orders/" FIRST), 1);
    struct sn_event e = {.kind = SN_EV_FAILOVER, .token = 5, .group = slice_of("orders/" FIRST)};
    lab_step(&e);
    lab_run(300);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER 7004"), 1);
    assert_int_equal(lab_count(&lease.takeover, " FORCE"), 1);
    assert_int_equal(lab_master(lease_first()), 7004);
    assert_false(sn_needs_operator(lease_first()));
}

/* Its successor dies before it has heard of it: what that one has promised since it can't know. */
static void a_master_that_was_passed_over_waits_for_an_operator(void **state)
{
    (void)state;
    lease_adopted();
    lease_peers_see(true);
    uint64_t before = lab.nodes[0].epoch;
    lab_kill(0);
    lab_run(2000);
    assert_int_equal(lab_master(lease_first()), 7004);
    lab_forget_logs();
    lab_kill(3);
    lab_start(0);
    lab.nodes[0].master = -1;
    lab.nodes[0].epoch = before;
    lab_run(3000);
    assert_true(sn_needs_operator(lease_first()));
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER"), 0);
    assert_int_equal(lab_count(&lab.sent, "VOTE"), 0);
}

/* ---- planned switches ---- */

static void order(void)
{
    struct sn_event e = {.kind = SN_EV_FAILOVER, .token = 5, .group = slice_of("orders/" FIRST), .coordinated = true};
    lab_step(&e);
}

static void the_master_gives_its_lease_back_first(void **state)
{
    (void)state;
    lease_adopted();
    lab.nodes[3].offset = lab.nodes[0].offset;
    order();
    lab_run(500);
    assert_int_equal(lab_master(lease_first()), 7004);
    assert_int_equal(lab_count(&lab.sent, "RETURN 7001"), 1);
    assert_int_equal(lab_count(&lab.sent, "RETURNED peer"), 2);
    assert_int_equal(lab_count(&lease.takeover, " 1/0000000000000005/6/200/0"), 1); /* granted anew, without a wait */
    const char *own = strstr(buf_str(&lease.takeover), " 0/");
    assert_non_null(own);
    assert_int_equal(lease_number(own + 1, 4), 0);
}

static void behind_is_not_promoted(void **state)
{
    (void)state;
    lease_adopted();
    lab.nodes[0].offset = 1000;
    order();
    lab_run(1500);
    assert_int_equal(lab_count(&lab.sent, "RETURN 7001"), 1);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER 7004"), 0);
    lab_run(8000); /* given up: the master gets a ballot */
    assert_int_equal(lab_master(lease_first()), 7001);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER 7001"), 1);
}

static void a_master_that_does_not_answer_keeps_its_place(void **state)
{
    (void)state;
    lease_adopted();
    lease.nodes[0].no_return = true;
    lab.nodes[3].offset = lab.nodes[0].offset;
    order();
    lab_run(10000);
    assert_int_equal(lab_master(lease_first()), 7001);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER 7004"), 0);
    assert_int_equal(lab_count(&lab.sent, "RETURNED"), 0);
}

static void returned_is_the_leaders_word_only(void **state)
{
    (void)state;
    lease_adopted();
    lease_ballot(0, SN_BALLOT_VOTE, 10, 3);
    lab_run(2);
    lease_ballot(1, SN_BALLOT_RETURNED, 10, 3);
    assert_string_equal(lease_answer()->grant, "");
    lease_ballot(0, SN_BALLOT_RETURNED, 9, 3);
    assert_string_equal(lease_answer()->grant, "");
    assert_true(lease_first()->lease.old_end_us > lab.now_us);
    lease_ballot(0, SN_BALLOT_RETURNED, 10, 3);
    assert_true(*lease_answer()->grant != '\0');
    assert_int_equal(lease_number(lease_answer()->grant, 4), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_vote_grants_from_the_end_of_the_masters, lease_end),
        cmocka_unit_test_teardown(a_vote_grants_nothing_to_one_that_lacks_a_swap, lease_end),
        cmocka_unit_test_teardown(a_vote_is_told_when_vote_and_grantee_are_on_disk, lease_end),
        cmocka_unit_test_teardown(a_vote_that_is_not_on_disk_grants_nothing, lease_end),
        cmocka_unit_test_teardown(a_cancelled_vote_frees_the_master, lease_end),
        cmocka_unit_test_teardown(a_stranger_cancels_nothing, lease_end),
        cmocka_unit_test_teardown(a_second_vote_waits_for_both_grants, lease_end),
        cmocka_unit_test_teardown(the_heir_of_a_dead_leader_may_be_named_again, lease_end),
        cmocka_unit_test_teardown(a_planned_switch_of_a_dead_leader_is_finished, lease_end),
        cmocka_unit_test_teardown(a_failover_of_a_dead_leader_goes_on_with_its_replica, lease_end),
        cmocka_unit_test_teardown(a_switch_that_is_given_up_is_undone_at_once, lease_end),
        cmocka_unit_test_teardown(a_hidden_promotion_is_gone_above_by_a_ballot, lease_end),
        cmocka_unit_test_teardown(a_ballot_for_the_master_does_not_resume_the_old_epoch, lease_end),
        cmocka_unit_test_teardown(without_doubt_a_ballot_for_the_master_ends_no_lease, lease_end),
        cmocka_unit_test_teardown(a_later_cancel_does_not_clear_an_earlier_vote, lease_end),
        cmocka_unit_test_teardown(the_promoted_ones_configuration_ends_the_doubt, lease_end),
        cmocka_unit_test_teardown(a_master_without_lease_gets_a_ballot, lease_end),
        cmocka_unit_test_teardown(without_voters_no_ballot_is_held_for_it, lease_end),
        cmocka_unit_test_teardown(a_dead_master_is_replaced_with_the_voters_grants, lease_end),
        cmocka_unit_test_teardown(a_promotion_that_found_nobody_holds_up_no_other, lease_end),
        cmocka_unit_test_teardown(a_lost_round_is_cancelled_and_renews_the_master, lease_end),
        cmocka_unit_test_teardown(a_refused_promotion_is_told_and_frees_the_votes, lease_end),
        cmocka_unit_test_teardown(a_master_that_was_passed_over_waits_for_an_operator, lease_end),
        cmocka_unit_test_teardown(who_may_not_know_all_waits_for_an_operator, lease_end),
        cmocka_unit_test_teardown(the_master_gives_its_lease_back_first, lease_end),
        cmocka_unit_test_teardown(behind_is_not_promoted, lease_end),
        cmocka_unit_test_teardown(a_master_that_does_not_answer_keeps_its_place, lease_end),
        cmocka_unit_test_teardown(returned_is_the_leaders_word_only, lease_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
