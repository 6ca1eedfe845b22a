/* A supervisor that comes back with what it has on disk: whom it granted to, and what it voted (SAFETY L3, E5). */
#include "tests/unit/core/lease_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct stored {
    int grantee; /* node */
    int64_t max_ms;
    bool settled;
    uint64_t vote_epoch; /* 0: none */
    const char *leader;  /* whose ballot that was */
    bool forgotten;      /* nothing is stored, and this life goes on for long */
};

#define LIVING "ffffffffffffffffffffffffffffffffffffffb2" /* one of the peers */
#define NOBODY "dddddddddddddddddddddddddddddddddddddddd"

/* The first shard as the state has it; the others are found. */
static void begin(const struct stored *s)
{
    lease_begin(&(struct lease_begin){.no_fleet = true, .supervised = true, .version = 1, .counted = true});
    if (s->forgotten)
        lab_run(5000);
    struct sn_settings set;
    struct addr seed;
    sn_settings_init(&set);
    set.quorum = 2;
    set.down_after_ms = 500;
    addr_set(&seed, slice_of("127.0.0.1"), 7001);
    struct sn_record_node nodes[2];
    for (int k = 0; k < 2; k++) {
        memcpy(nodes[k].id, lab.nodes[3 * k].id, sizeof nodes[k].id);
        addr_set(&nodes[k].addr, slice_of("127.0.0.1"), lab.nodes[3 * k].port);
    }
    struct sn_core_shard shard = {.group = {.name = "orders/" FIRST,
                                            .settings = &set,
                                            .config_epoch = 1,
                                            .vote_epoch = s->vote_epoch,
                                            .lease_max_us = LAB_MS(s->max_ms),
                                            .lease_settled = s->settled,
                                            .master = nodes[0].addr},
                                  .nodes = nodes,
                                  .nnodes = 2};
    if (!s->forgotten)
        memcpy(shard.group.lease_grantee, lab.nodes[s->grantee].id, sizeof shard.group.lease_grantee);
    if (s->vote_epoch)
        memcpy(shard.group.vote_leader, s->leader, sizeof shard.group.vote_leader);
    struct sn_core_fleet f = {.name = "orders",
                              .settings = &set,
                              .lease_ms = LEASE_MS,
                              .seeds = &seed,
                              .nseeds = 1,
                              .shards = &shard,
                              .nshards = 1};
    assert_true(sn_core_add_fleet(lab.core, &f, lab.now_us, &lab.fx));
    sn_settings_free(&set);
    struct sn_event tick = {.kind = SN_EV_TICK};
    lab_step(&tick);
}

static void the_same_master_is_renewed_at_once(void **state)
{
    (void)state;
    begin(&(struct stored){.grantee = 0, .max_ms = 10000, .settled = true});
    lab_run(100);
    assert_true(lease.nodes[0].granted > 0);
}

/* It was watched before, and released here alone: whom it was granted to then is forgotten, and may not be who is the
 * master now. */
static void one_that_is_adopted_again_waits_for_the_leases_of_before(void **state)
{
    (void)state;
    begin(&(struct stored){.grantee = 3, .max_ms = LEASE_MS, .settled = true, .forgotten = true});
    lab_run(LEASE_MS);
    assert_true(lease.nodes[0].asked > 2);
    assert_int_equal(lease.nodes[0].granted, 0);
    lab_run(LEASE_MS / 2);
    assert_true(lease.nodes[0].granted > 0);
}

/* Whom it came after is forgotten, and may have a grant still. */
static void an_unsettled_one_waits_for_the_longest_lease(void **state)
{
    (void)state;
    begin(&(struct stored){.grantee = 0, .max_ms = 1000, .settled = false});
    lab_run(1000);
    assert_true(lease.nodes[0].asked > 5);
    assert_int_equal(lease.nodes[0].granted, 0);
    lab_run(200);
    assert_true(lease.nodes[0].granted > 0);
    lab_run(200);
    assert_true(lab_shard(FIRST)->lease.settled);
}

/* The vote was given, its promotion may be hidden; the grant that came with it may be out. */
static void a_vote_from_before_keeps_the_master_waiting_for_a_ballot(void **state)
{
    (void)state;
    begin(&(struct stored){.grantee = 3, .max_ms = LEASE_MS, .vote_epoch = 10, .leader = LIVING});
    while (lab_shard(FIRST)->config_epoch == 1) {
        assert_int_equal(lease.nodes[0].granted, 0);
        assert_true(lab.now_us < LAB_MS(9000));
        lab_run(10);
    }
    assert_true(lab_shard(FIRST)->config_epoch > 10);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER 7001"), 1);
    lab_run(500);
    assert_true(lease.nodes[0].granted > 0);
}

/* As long as the ballot of before may live nobody stands against it. */
static void a_vote_from_before_is_kept(void **state)
{
    (void)state;
    begin(&(struct stored){.grantee = 3, .max_ms = LEASE_MS, .vote_epoch = 10, .leader = LIVING});
    lab_run(500);
    lease_ballot(0, SN_BALLOT_VOTE, 10, 3);
    lab_run(5);
    assert_non_null(lease_answer());
    assert_string_not_equal(lease_answer()->leader, "00000000000000000000000000000000000000b1");
    assert_string_equal(lease_answer()->grant, "");
    lab_run(400);
    assert_int_equal(lab_count(&lab.sent, "VOTE peer"), 0);
}

/* Who led it is none of those that live: what it began is finished, at once and by whoever can. */
static void a_vote_for_somebody_who_is_gone_is_inherited(void **state)
{
    (void)state;
    begin(&(struct stored){.grantee = 3, .max_ms = LEASE_MS, .vote_epoch = 10, .leader = NOBODY});
    lab.nodes[3].offset = lab.nodes[0].offset;
    lab_run(700);
    assert_int_equal(lab_count(&lab.sent, "RETURN 7001"), 1);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER 7004"), 1);
    assert_int_equal(lab_master(lab_shard(FIRST)), 7004);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_same_master_is_renewed_at_once, lease_end),
        cmocka_unit_test_teardown(one_that_is_adopted_again_waits_for_the_leases_of_before, lease_end),
        cmocka_unit_test_teardown(an_unsettled_one_waits_for_the_longest_lease, lease_end),
        cmocka_unit_test_teardown(a_vote_from_before_keeps_the_master_waiting_for_a_ballot, lease_end),
        cmocka_unit_test_teardown(a_vote_from_before_is_kept, lease_end),
        cmocka_unit_test_teardown(a_vote_for_somebody_who_is_gone_is_inherited, lease_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
