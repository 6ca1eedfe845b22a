/* What the nodes of a shard under leases get by ballots, or are told by their supervisors, while they move slots:
 * config epochs (SAFETY E2), migrations that wait for a failover. */
#include "tests/unit/core/lease_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- epochs that a master wants ---- */

static void a_master_that_wants_an_epoch_gets_a_ballot(void **state)
{
    (void)state;
    lease_adopted();
    lease.nodes[0].own_epoch = true;
    lease.nodes[0].wants_epoch = 9;
    lab_run(200);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER 7001"), 1);
    assert_int_equal(strncmp(buf_str(&lease.takeover), "7001 9 4b079c18", 15), 0);
    assert_int_equal(lease_first()->config_epoch, 9);
    assert_int_equal(lab_count(&lab.events, "+master-confirmed"), 1);
    assert_int_equal(lab_count(&lab.events, "+switch-master"), 0);
    lab_run(3000);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER 7001"), 1); /* what it says late is served already */
    lease.nodes[0].wants_epoch = 0;
    lease_forget();
    lab_run(1000);
    assert_true(lease.nodes[0].granted > 10);
    assert_int_equal(lease.nodes[0].epoch, 9);
}

static void without_a_majority_no_epoch_is_given(void **state)
{
    (void)state;
    lease_adopted();
    lease.peers[0].votes = lease.peers[1].votes = false;
    lease.nodes[0].own_epoch = true;
    lease.nodes[0].wants_epoch = 9;
    lab_run(3000);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER"), 0);
    assert_true(lease.nodes[0].granted > 10); /* and it keeps its lease */
}

static void a_replica_wants_nothing(void **state)
{
    (void)state;
    lease_adopted();
    lease.nodes[3].wants_epoch = 9;
    lab_run(1000);
    assert_int_equal(lab_count(&lab.sent, "VOTE peer"), 0);
}

/* ---- migrations with a shard that is replaced ---- */

static void migrations_with_a_failing_shard_are_frozen(void **state)
{
    (void)state;
    lease_adopted();
    lease.nodes[1].migrating = 1;
    lab_run(100);
    assert_int_equal(lab_count(&lab.sent, "FREEZE"), 0);
    lease_peers_see(true);
    lease.peers[0].votes = lease.peers[1].votes = false;
    lab_kill(0);
    lab_run(2500);
    assert_true(lease_first()->o_down);
    size_t told = lab_count(&lab.sent, "FREEZE 7002 4b079c18");
    assert_in_range(told, 2, 3);                            /* again and again */
    assert_int_equal(lab_count(&lab.sent, "FREEZE"), told); /* nobody else migrates anything */
    assert_int_equal(lab_count(&lab.events, "+migrations-frozen"), 1);
    lease.nodes[1].migrating = 0;
    lab_run(200); /* until it has said so */
    told = lab_count(&lab.sent, "FREEZE");
    lab_run(2500);
    assert_int_equal(lab_count(&lab.sent, "FREEZE"), told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_master_that_wants_an_epoch_gets_a_ballot, lease_end),
        cmocka_unit_test_teardown(without_a_majority_no_epoch_is_given, lease_end),
        cmocka_unit_test_teardown(a_replica_wants_nothing, lease_end),
        cmocka_unit_test_teardown(migrations_with_a_failing_shard_are_frozen, lease_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
