/* What a supervisor grants in a shard under leases, and when (SAFETY L2, L3, E5). */
#include "tests/unit/core/lease_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- adoption ---- */

static void the_first_lease_brings_no_stamp(void **state)
{
    (void)state;
    lease_begin(&(struct lease_begin){.version = 1});
    while (!lease.nodes[0].asked)
        lab_run(1);
    assert_int_equal(lease.nodes[0].granted, 0);
    lab_run(LEASE_MS - 1); /* nobody has waited for a former life to end */
    assert_true(lease.nodes[0].granted > 1);
    lab_run(1000);
    for (int k = 0; k < 3; k++)
        assert_true(lease.nodes[k].granted > 10);
    assert_int_equal(lease.nodes[0].stamp.incarnation, 100);
    assert_in_range(lab.now_us + lease.nodes[0].clock_us - lease.nodes[0].stamp.clock_us, 0, LAB_MS(2 * LEASE_MS));
    assert_int_equal(lease.nodes[0].epoch, lease_first()->config_epoch);
    assert_true(lease.nodes[3].asked > 10);
    assert_int_equal(lease.nodes[3].granted, 0); /* a replica */
    assert_string_equal(lease_first()->lease.grantee, lab.nodes[0].id);
}

/* Not a quarter of a lease later, which may be seconds. */
static void the_second_lease_comes_at_once(void **state)
{
    (void)state;
    lease_adopted();
    lab_kill(0);
    lab_start(0);
    while (!lease.nodes[0].asked)
        lab_run(1);
    lab_run(12);
    assert_true(lease.nodes[0].granted > 0);
    lease_forget();
    lab_run(LEASE_MS);
    assert_in_range(lease.nodes[0].asked, 3, 6);
}

static void with_an_empty_state_a_lease_passes_first(void **state)
{
    (void)state;
    lease_begin(&(struct lease_begin){.empty_state = true, .supervised = true, .version = 1});
    lab_run(LEASE_MS);
    assert_true(lease.nodes[0].asked > 1);
    assert_int_equal(lease.nodes[0].granted, 0);
    lab_run(LEASE_MS);
    assert_true(lease.nodes[0].granted > 0);
}

static void nothing_is_granted_before_it_is_on_disk(void **state)
{
    (void)state;
    lease_begin(&(struct lease_begin){.version = 1});
    while (!lease_first())
        lab_run(1);
    lab.disk_holds = true;
    size_t written = 0;
    for (int ms = 0; ms < 2000; ms++) {
        lab_run(1);
        written += lab_count(&lab.records, "LEASE orders/" FIRST " - - gone 4b079c18 200000");
    }
    assert_int_equal(lease.nodes[0].granted, 0);
    assert_true(written > 0);
    lab.disk_holds = false;
    lease_disk(true);
    lab_run(LEASE_MS);
    assert_true(lease.nodes[0].granted > 0);
}

static void a_disk_that_fails_grants_nothing_new(void **state)
{
    (void)state;
    lease_begin(&(struct lease_begin){.version = 1});
    lab.disk_fails = true;
    lab_run(3000);
    assert_true(lease.nodes[0].asked > 10);
    assert_int_equal(lease.nodes[0].granted, 0);
    lab.disk_fails = false;
    lab_run(3000);
    assert_true(lease.nodes[0].granted > 0);
    lab.disk_fails = true; /* what is on it already lasts */
    lease_forget();
    lab_run(3000);
    assert_true(lease.nodes[0].granted > 10);
}

static void four_leases_within_a_lease(void **state)
{
    (void)state;
    lease_adopted();
    lab_run(10 * LEASE_MS);
    assert_in_range(lease.nodes[0].granted, 40, 60);
    assert_int_equal(lab_count(&lab.events, "down"), 0);
}

/* Its request is as old as the stamp that comes with the answer may be. */
static void one_lease_waits_for_the_answer_to_the_last(void **state)
{
    (void)state;
    lease_adopted();
    lease.nodes[0].deaf = true;
    lab_run(LEASE_MS);
    assert_in_range(lease.nodes[0].asked, 1, 2);
}

/* ---- nodes that restart, move and refuse ---- */

static void a_new_incarnation_is_judged_first(void **state)
{
    (void)state;
    lease_adopted();
    lease_restart_node(0, false);
    while (lease.nodes[0].stamp.incarnation != 1100) {
        assert_true(lease.nodes[0].granted == 0 || lease.nodes[0].stamp.incarnation != 100);
        lease.nodes[0].granted = 0;
        lab_run(1);
    }
    const struct sn_node *n = sn_node_find(lab.core, "127.0.0.1", 7001);
    assert_false(n->unjudged);
    assert_true(n->info_us > n->cmd.since_us);
}

static void a_master_that_comes_back_empty_gets_nothing(void **state)
{
    (void)state;
    lease_adopted();
    lease.peers[0].votes = lease.peers[1].votes = false;
    lease_restart_node(0, true);
    lab_run(1500);
    assert_true(lease.nodes[0].asked > 3);
    assert_int_equal(lease.nodes[0].granted, 0);
    assert_true(lab_is_down(lease_first(), 7001));
}

static void another_process_at_its_address_gets_nothing(void **state)
{
    (void)state;
    lease_adopted();
    lab.nodes[6].alive = lab.nodes[6].alone = true;
    lab_kill(0);
    lab.nodes[0].reads_as = 6;
    lab_start(0);
    lab_run(5000);
    assert_true(lease.nodes[6].asked > 3);
    assert_int_equal(lease.nodes[0].granted + lease.nodes[6].granted, 0);
}

static void a_lost_link_loses_its_stamp(void **state)
{
    (void)state;
    lease_adopted();
    lab_kill(0);
    lab_start(0);
    while (!lease.nodes[0].asked)
        lab_run(1);
    assert_int_equal(lease.nodes[0].granted, 0);
    lab_run(LEASE_MS);
    assert_true(lease.nodes[0].granted > 0);
}

/* It elects by itself unless it is told not to, and PING is what it knows. */
static void who_does_not_know_leases_is_pinged(void **state)
{
    (void)state;
    lease_begin(&(struct lease_begin){.version = 1});
    lease.nodes[3].error = "ERR unknown subcommand 'LEASE'. Try CLUSTER HELP.";
    lab_run(2000);
    assert_int_equal(lease.nodes[3].asked, 1);
    assert_false(lab_is_down(lease_first(), 7004));
    assert_true(lab.nodes[3].no_failover);
    assert_false(lab.nodes[0].no_failover);
    assert_true(lease.nodes[0].granted > 0);
    lease.nodes[3].error = NULL; /* and is asked again by the next link */
    lab_kill(3);
    lab_start(3);
    lab_run(1000);
    assert_true(lease.nodes[3].asked > 3);
}

static void a_refusal_for_another_reason_is_not_stock(void **state)
{
    (void)state;
    lease_adopted();
    lease.nodes[0].error = "LOADING the dataset is being loaded";
    lab_run(300);
    assert_true(lease.nodes[0].asked > 3);
    lease.nodes[0].error = "NOPERM this user has no permissions";
    lab_run(300);
    lease.nodes[0].error = NULL;
    lease_forget();
    lab_run(300);
    assert_true(lease.nodes[0].granted > 0);
    assert_false(lab.nodes[0].no_failover);
}

static const char *answer_to_set(const char *option, const char *value)
{
    const struct slice argv[] = {slice_of(option), slice_of(value)};
    struct sn_event e = {.kind = SN_EV_SET, .token = 5, .group = slice_of("orders/" FIRST), .argv = argv, .count = 2};
    lab_step(&e);
    lab_run(10);
    assert_non_null(lab.answer);
    return lab.answer->answer == SN_ANSWER_OK ? "OK" : lab.answer->text;
}

/* SAFETY L7: by SET no more than by the file. */
static void down_after_stays_above_the_lease(void **state)
{
    (void)state;
    lease_adopted();
    assert_non_null(strstr(answer_to_set("down-after-milliseconds", "200"), "above lease_ms of the cluster (200)"));
    int64_t before_ms = lease_first()->set.down_after_ms;
    assert_string_equal(answer_to_set("failover-timeout", "7000"), "OK");
    assert_int_equal(lease_first()->set.down_after_ms, before_ms);
    assert_string_equal(answer_to_set("down-after-milliseconds", "201"), "OK");
    assert_int_equal(lease_first()->set.down_after_ms, 201);
}

/* ---- the list of supervisors ---- */

static void an_uncounted_list_goes_above_what_nodes_count(void **state)
{
    (void)state;
    lease_begin(&(struct lease_begin){.version = 1});
    for (int k = 0; k < 6; k++)
        lease.nodes[k].error = "STALESUPERVISORS This node counts version 4 of the list: 10.0.0.5:26379,10.0.0.7:26379";
    lab_run(500);
    assert_int_equal(lab.core->ours.version, 5);
    assert_string_equal(lab.core->ours.speaker, "5:0:" LEASE_LIST);
    assert_false(lab.core->ours.counted);
    for (int k = 0; k < 6; k++) {
        lease.nodes[k].error = NULL;
        lease.nodes[k].version = 5;
        lease.nodes[k].lease_ms = LEASE_MS;
    }
    lab_run(500);
    assert_true(lab.core->ours.counted);
    assert_int_equal(lab_count(&lab.events, "-supervisors-list"), 0);
    assert_true(lease.nodes[0].granted > 0);
}

static void the_same_list_under_another_version_is_ours(void **state)
{
    (void)state;
    lease_begin(&(struct lease_begin){.version = 1});
    lease.nodes[0].error = "STALESUPERVISORS This node counts version 7 of the list: " LEASE_LIST;
    lab_run(200);
    assert_int_equal(lab.core->ours.version, 7);
    assert_true(lab.core->ours.counted);
}

static void a_counted_list_that_was_replaced_is_told_once(void **state)
{
    (void)state;
    lease_adopted();
    for (int k = 0; k < 6; k++)
        lease.nodes[k].error = "STALESUPERVISORS This node counts version 2 of the list: 10.0.0.5:26379,10.0.0.6:26379";
    lab_run(3000);
    assert_int_equal(lab_count(&lab.events, "-supervisors-list"), 1);
    assert_int_equal(lab.core->ours.version, 1);
    assert_false(lab_is_down(lease_first(), 7001)); /* they answer, and elect nobody by themselves */
    assert_false(lab.nodes[0].no_failover);
}

/* Another new list speaks already: two of them do not climb over each other. */
static void a_list_that_is_only_heard_of_goes_first(void **state)
{
    (void)state;
    lease_begin(&(struct lease_begin){.version = 3});
    for (int k = 0; k < 6; k++)
        lease.nodes[k].error =
            "STALESUPERVISORS This node has heard of version 3 of the list: 10.0.0.5:26379,10.0.0.7:26379";
    lab_run(5000);
    assert_int_equal(lab.core->ours.version, 3);
    assert_int_equal(lab_count(&lab.events, "-supervisors-list"), 0);
    lab_run(10000);
    assert_int_equal(lab_count(&lab.events, "-supervisors-list"), 1);
}

/* We had an older list when the others came with this one, and made a version of that. No node refuses ours: it waits
 * for a majority that speaks for it, and there is none. */
static void our_list_is_counted_under_a_lower_version(void **state)
{
    (void)state;
    lease_begin(&(struct lease_begin){.version = 4});
    for (int k = 0; k < 6; k++) {
        lease.nodes[k].version = 2;
        lease.nodes[k].lease_ms = LEASE_MS;
    }
    lab_run(1500);
    assert_int_equal(lab.core->ours.version, 4);
    assert_false(lab.core->ours.counted);
    lab_run(3000);
    assert_int_equal(lab.core->ours.version, 2);
    assert_true(lab.core->ours.counted);
    assert_int_equal(lab_count(&lab.events, "-supervisors-list"), 0);
}

static void a_list_that_nobody_counts_is_told(void **state)
{
    (void)state;
    lease_begin(&(struct lease_begin){.supervised = true, .version = 2});
    for (int k = 0; k < 6; k++)
        lease.nodes[k].stale = "STALESUPERVISORS This node counts version 1 of the list: 10.0.0.5:26379,10.0.0.7:26379";
    lab_run(9000);
    assert_int_equal(lab_count(&lab.events, "-supervisors-list"), 0);
    lab_run(60000);
    assert_int_equal(lab_count(&lab.events, "-supervisors-list"), 1);
    assert_int_equal(lab.core->ours.version, 2);
    assert_false(lab.core->ours.counted);
}

/* The supervisors that the nodes count may promote another one meanwhile: two majorities with nobody in common. */
static void under_a_list_that_no_node_counts_nobody_stands(void **state)
{
    (void)state;
    lease_begin(&(struct lease_begin){.supervised = true, .version = 2});
    for (int k = 0; k < LAB_NODES; k++)
        lease.nodes[k].stale = "STALESUPERVISORS This node counts version 2 of the list: 10.0.0.5:26379,10.0.0.7:26379";
    for (int k = 0; k < LAB_NODES; k++)
        lease.nodes[k].version = 9;
    lab_run(1000);
    lease_peers_see(true);
    lab_kill(0);
    lab_forget_logs();
    lab_run(3000);
    assert_true(lease_first()->o_down);
    assert_int_equal(lab_count(&lab.sent, "VOTE"), 0);
    struct sn_event e = {.kind = SN_EV_FAILOVER, .token = 5, .group = slice_of("orders/" FIRST)};
    lab_step(&e);
    lab_run(300);
    assert_int_equal(lab_count(&lab.sent, "VOTE"), 0);
    for (int k = 0; k < LAB_NODES; k++) {
        lease.nodes[k].stale = NULL;
        lease.nodes[k].version = lab.core->ours.version;
    }
    lab_run(3000);
    assert_true(lab.core->ours.counted);
    assert_int_equal(lab_master(lease_first()), 7004);
}

static void odd_versions_change_nothing(void **state)
{
    (void)state;
    lease_begin(&(struct lease_begin){.version = 1});
    static const char *const odd[] = {"STALESUPERVISORS", "STALESUPERVISORS This node counts version",
                                      "STALESUPERVISORS This node counts version x of the list: a",
                                      "STALESUPERVISORS This node counts version 9 of the list:",
                                      "STALESUPERVISORS version 18446744073709551615 of the list: a:1,b:2"};
    for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
        lease.nodes[0].error = odd[k];
        lab_kill(0);
        lab_start(0);
        lab_run(300);
        assert_int_equal(lab.core->ours.version, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_first_lease_brings_no_stamp, lease_end),
        cmocka_unit_test_teardown(the_second_lease_comes_at_once, lease_end),
        cmocka_unit_test_teardown(with_an_empty_state_a_lease_passes_first, lease_end),
        cmocka_unit_test_teardown(nothing_is_granted_before_it_is_on_disk, lease_end),
        cmocka_unit_test_teardown(a_disk_that_fails_grants_nothing_new, lease_end),
        cmocka_unit_test_teardown(four_leases_within_a_lease, lease_end),
        cmocka_unit_test_teardown(one_lease_waits_for_the_answer_to_the_last, lease_end),
        cmocka_unit_test_teardown(a_new_incarnation_is_judged_first, lease_end),
        cmocka_unit_test_teardown(a_master_that_comes_back_empty_gets_nothing, lease_end),
        cmocka_unit_test_teardown(another_process_at_its_address_gets_nothing, lease_end),
        cmocka_unit_test_teardown(a_lost_link_loses_its_stamp, lease_end),
        cmocka_unit_test_teardown(who_does_not_know_leases_is_pinged, lease_end),
        cmocka_unit_test_teardown(a_refusal_for_another_reason_is_not_stock, lease_end),
        cmocka_unit_test_teardown(down_after_stays_above_the_lease, lease_end),
        cmocka_unit_test_teardown(an_uncounted_list_goes_above_what_nodes_count, lease_end),
        cmocka_unit_test_teardown(the_same_list_under_another_version_is_ours, lease_end),
        cmocka_unit_test_teardown(a_counted_list_that_was_replaced_is_told_once, lease_end),
        cmocka_unit_test_teardown(a_list_that_is_only_heard_of_goes_first, lease_end),
        cmocka_unit_test_teardown(our_list_is_counted_under_a_lower_version, lease_end),
        cmocka_unit_test_teardown(a_list_that_nobody_counts_is_told, lease_end),
        cmocka_unit_test_teardown(under_a_list_that_no_node_counts_nobody_stands, lease_end),
        cmocka_unit_test_teardown(odd_versions_change_nothing, lease_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
