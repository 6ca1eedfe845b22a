/* replica-guard: which empty dataset of a master its replica is told to let in, and which it is not (SAFETY section 4).
 * Nodes 0 and 3 are a shard, 0 its master; node 3 was away, has keys, and is offered an empty dataset. */
#include "tests/unit/core/lease_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OLD \
    "0000000000000000000000000000000000000001" /* the histories of lease_lab.c: what the master has had always, */
#define NEW "0000000000000000000000000000000000000002" /* and what it has when it is empty from the start */

static size_t accepted(const char *history)
{
    char line[64];
    snprintf(line, sizeof line, "ACCEPT 7004 %s", history);
    return lab_count(&lab.sent, line);
}

static void an_emptied_master_is_let_in(void **state)
{
    (void)state;
    lease_adopted();
    lease.nodes[0].emptied = lease.nodes[0].word = true;
    lease.nodes[3].guarded = OLD;
    lab_run(2500);
    assert_in_range(accepted(OLD), 1, 3); /* one a second, until it follows */
    assert_in_range(lab_count(&lab.events, "+accept-empty"), 1, 3);
    lease.nodes[3].guarded = NULL; /* it follows */
    lab_run(1000);
    lab_forget_logs();
    lab_run(3000);
    assert_int_equal(accepted(""), 0);
}

/* The words of a master that cannot tell, but was seen with keys by us in this life. */
static void one_that_was_seen_with_keys_is_let_in(void **state)
{
    (void)state;
    lease_adopted();
    lease.nodes[0].emptied = true;
    lease.nodes[3].guarded = OLD;
    lab_run(2500);
    assert_in_range(accepted(OLD), 1, 3); /* one a second, until it follows */
}

/* Nobody knows why it is empty: it may have lost its data before we came. */
static void one_that_was_never_seen_with_keys_is_not(void **state)
{
    (void)state;
    lease_begin(&(struct lease_begin){.supervised = true, .version = 1, .counted = true});
    lease.nodes[0].empty = true;
    lease.nodes[3].guarded = NEW;
    lab_run(8000);
    assert_true(lease.nodes[0].granted > 0);
    assert_int_equal(accepted(""), 0);
    lease.nodes[0].word = true;
    lab_run(2500);
    assert_in_range(accepted(NEW), 1, 3);
}

/* What the replica was offered was another life of the master, or another master. */
static void another_history_is_not(void **state)
{
    (void)state;
    lease_adopted();
    lease.nodes[0].emptied = lease.nodes[0].word = true;
    lease.nodes[3].guarded = NEW;
    lab_run(5000);
    assert_int_equal(accepted(""), 0);
}

/* It lost its data while its replica was away, so nobody could replace it: that it had keys was in another life. */
static void a_reborn_master_is_not(void **state)
{
    (void)state;
    lease_adopted();
    lab_kill(3);
    lab_run(1000);
    lease_restart_node(0, true);
    lab_run(1000);
    lease.nodes[3].guarded = NEW;
    lab_start(3);
    lab_run(8000);
    assert_int_equal(lab_master(lease_first()), 7001);
    assert_int_equal(accepted(""), 0);
}

static void a_reborn_master_is_where_that_is_wanted(void **state)
{
    (void)state;
    lease_adopted();
    ((struct sn_group *)(uintptr_t)lease_first())->set.reborn_empty = SN_REBORN_FOLLOW;
    lease.nodes[3].guarded = NEW;
    lease_restart_node(0, true);
    lab_run(3000);
    assert_int_equal(lab_master(lease_first()), 7001);
    assert_true(accepted(NEW) > 0);
}

/* One that most of the supervisors do not grant to any more may have been replaced without our knowing. */
static void a_master_without_lease_is_not(void **state)
{
    (void)state;
    lease_adopted();
    lease.nodes[0].emptied = lease.nodes[0].word = true;
    lease.nodes[0].lease_ms = 0;
    lease.peers[0].votes = lease.peers[1].votes = false; /* nor does it get one anew by a ballot */
    lease.nodes[3].guarded = OLD;
    lab_run(3000);
    assert_int_equal(accepted(""), 0);
    lease.nodes[0].lease_ms = LEASE_MS;
    lab_run(1500);
    assert_true(accepted(OLD) > 0);
}

/* What it kept may be all that is left, or was deleted while it was away: the operator decides. */
static void a_guarded_replica_is_promoted_by_order_only(void **state)
{
    (void)state;
    lease_adopted();
    lease.nodes[0].empty = true;
    lease.nodes[3].guarded = OLD; /* of another life of the master: it is not let in */
    lab_run(2000);
    lease_peers_see(true);
    lab_kill(0);
    lab_run(4000);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER"), 0);
    assert_true(lab_count(&lab.events, "-failover-needs-operator") > 0);
    struct sn_event e = {.kind = SN_EV_FAILOVER, .token = 5, .group = slice_of("orders/" FIRST)};
    lab_step(&e);
    lab_run(2000);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER 7004"), 1);
    assert_int_equal(lab_master(lease_first()), 7004);
}

static void who_refuses_is_not_asked_each_second(void **state)
{
    (void)state;
    lease_adopted();
    lease.nodes[0].emptied = lease.nodes[0].word = true;
    lease.nodes[3].guarded = OLD;
    lease.nodes[3].refuses_accept = "NOPERM";
    lab_run(30000);
    assert_int_equal(accepted(OLD), 1);
    assert_int_equal(lab_count(&lab.events, "-accept-empty-refused"), 1);
    lease.nodes[3].refuses_accept = NULL;
    lab_run(40000);
    assert_true(accepted(OLD) > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_emptied_master_is_let_in, lease_end),
        cmocka_unit_test_teardown(one_that_was_seen_with_keys_is_let_in, lease_end),
        cmocka_unit_test_teardown(one_that_was_never_seen_with_keys_is_not, lease_end),
        cmocka_unit_test_teardown(another_history_is_not, lease_end),
        cmocka_unit_test_teardown(a_reborn_master_is_not, lease_end),
        cmocka_unit_test_teardown(a_reborn_master_is_where_that_is_wanted, lease_end),
        cmocka_unit_test_teardown(a_master_without_lease_is_not, lease_end),
        cmocka_unit_test_teardown(a_guarded_replica_is_promoted_by_order_only, lease_end),
        cmocka_unit_test_teardown(who_refuses_is_not_asked_each_second, lease_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
