/* How a supervisor finds a cluster and follows it. */
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

static void begin(void)
{
    lab_begin(&(struct lab_options){0});
    lab_run(200);
}

static void shards_are_found_from_one_seed(void **state)
{
    (void)state;
    begin();
    assert_int_equal(lab.core->ngroups, 3);
    assert_int_equal(lab_master(lab_shard(FIRST)), 7001);
    assert_int_equal(lab_master(lab_shard(SECOND)), 7002);
    assert_int_equal(lab_master(lab_shard(THIRD)), 7003);
    assert_true(lab_has(lab_shard(FIRST), 7004));
    assert_int_equal(lab_shard(FIRST)->ninsts, 2);
    assert_int_equal(lab_shard(FIRST)->config_epoch, 1);
    assert_int_equal(lab_shard(THIRD)->config_epoch, 3);
    assert_int_equal(lab_shard(SECOND)->shard->nslots, 5462);
    assert_int_equal(lab_count(&lab.events, "+monitor master orders/" FIRST " 127.0.0.1 7001 quorum 1"), 1);
    unsigned assigned;
    assert_int_equal(sn_fleet_covered(lab.core->fleets[0], &assigned), SN_SLOTS);
    assert_int_equal(assigned, SN_SLOTS);
    assert_true(sn_fleet_agrees(lab.core->fleets[0]));
    assert_int_equal(lab.core->current_epoch, 3); /* ballots are above the cluster's epochs */
}

static void its_own_election_is_switched_off_on_every_connection(void **state)
{
    (void)state;
    begin();
    for (int k = 0; k < 6; k++)
        assert_true(lab.nodes[k].no_failover);
    assert_int_equal(lab_count(&lab.sent, "NO-FAILOVER"), 6);
    lab_kill(4);
    lab_run(300);
    lab.nodes[4].no_failover = false;
    lab_start(4);
    lab_run(2000);
    assert_true(lab.nodes[4].no_failover);
    assert_int_equal(lab_count(&lab.sent, "NO-FAILOVER 7005"), 2);
}

static void a_quiet_cluster_is_asked_once_a_second(void **state)
{
    (void)state;
    begin();
    lab_run(10000);
    lab_forget_logs();
    lab_run(10000);
    size_t asked = lab_count(&lab.sent, "NODES ");
    assert_in_range(asked, 9, 11);
    assert_int_equal(lab.events.n, 0);
    assert_int_equal(lab.records.n, 0);
}

static void hello_is_said_once_for_all_shards(void **state)
{
    (void)state;
    begin();
    lab_run(5000);
    lab_forget_logs();
    lab_run(20000);
    assert_in_range(lab_count(&lab.sent, "HELLO"), 9, 11);
    size_t subscribed = 0;
    for (size_t it = 0, k = 0; k < 6; k++, it++) {
        const struct sn_node *n = sn_node_find(lab.core, "127.0.0.1", 7001 + (int)k);
        assert_non_null(n);
        subscribed += n->sub.state == SN_CONN_UP;
    }
    assert_int_equal(subscribed, 2);
}

static void with_declared_supervisors_nothing_is_published(void **state)
{
    (void)state;
    lab_begin(&(struct lab_options){.declared = true});
    lab_run(10000);
    assert_int_equal(lab.core->ngroups, 3);
    assert_int_equal(lab_count(&lab.sent, "HELLO"), 0);
    assert_int_equal(lab_shard(FIRST)->nseats, 2);
    for (int k = 0; k < 6; k++)
        assert_int_equal(sn_node_find(lab.core, "127.0.0.1", 7001 + k)->sub.state, SN_CONN_IDLE);
}

static void new_replicas_and_shards_are_followed(void **state)
{
    (void)state;
    begin();
    lab.nodes[6].alive = lab.nodes[6].listed = true; /* met: a master of nothing */
    lab_run(8000);
    assert_int_equal(lab.core->ngroups, 3);
    lab.nodes[6].master = 1;
    lab_run(8000);
    assert_int_equal(lab_shard(SECOND)->ninsts, 3);
    assert_true(lab_has(lab_shard(SECOND), 7007));
    lab.nodes[7].alive = lab.nodes[7].listed = true;
    lab.nodes[7].first = 16000;
    lab.nodes[7].last = 16383;
    lab.nodes[7].epoch = 9;
    lab.nodes[2].last = 15999;
    lab_run(8000);
    assert_int_equal(lab.core->ngroups, 4);
    assert_int_equal(lab_master(lab_shard("88cc9f9c")), 7008);
    assert_int_equal(lab_shard("88cc9f9c")->shard->nslots, 384);
    assert_int_equal(lab_shard(THIRD)->shard->nslots, 16000 - 10923);
    assert_int_equal(lab.core->current_epoch, 9);
}

static void a_replica_that_moves_changes_its_shard(void **state)
{
    (void)state;
    begin();
    lab_forget_logs();
    lab.nodes[3].master = 2;
    lab_run(8000);
    assert_false(lab_has(lab_shard(FIRST), 7004));
    assert_true(lab_has(lab_shard(THIRD), 7004));
    assert_int_equal(lab_count(&lab.events, "-slave slave 127.0.0.1:7004 127.0.0.1 7004 @ orders/" FIRST), 1);
    assert_int_equal(lab_count(&lab.events, "+slave slave 127.0.0.1:7004 127.0.0.1 7004 @ orders/" THIRD), 1);
    assert_int_equal(lab_count(&lab.sent, "REPLICATE"), 0);
    assert_non_null(lab_shard(FIRST)); /* whose name was made of the id that has left */
}

/* Their slots are given to others, then all forget them. */
static void a_removed_shard_is_dropped(void **state)
{
    (void)state;
    begin();
    lab_run(3000);
    lab.nodes[1].last = 16383;
    lab.nodes[1].epoch = 8;
    lab.nodes[2].first = -1;
    lab_run(8000);
    assert_non_null(lab_shard(THIRD)); /* it has a replica */
    lab_forget_logs();
    lab.nodes[2].listed = lab.nodes[5].listed = false;
    lab.nodes[2].alone = lab.nodes[5].alone = true;
    lab.nodes[5].master = -1;
    lab_run(30000);
    assert_null(lab_shard(THIRD));
    assert_int_equal(lab.core->ngroups, 2);
    assert_int_equal(lab_count(&lab.events, "-monitor"), 1);
    assert_int_equal(lab_count(&lab.events, "+sdown"), 0);
    assert_int_equal(lab.core->fleets[0]->nmembers, 4);
    assert_null(sn_node_find(lab.core, "127.0.0.1", 7003));
}

static void a_forgotten_replica_is_dropped(void **state)
{
    (void)state;
    begin();
    lab_run(3000);
    lab_kill(5);
    lab_run(30000);
    assert_true(lab_has(lab_shard(THIRD), 7006)); /* it is down, and may come back */
    lab.nodes[5].listed = false;
    lab_run(30000);
    assert_false(lab_has(lab_shard(THIRD), 7006));
    assert_int_equal(lab.core->fleets[0]->nmembers, 5);
}

/* It is linked as a seed, and goes on to list everybody. */
static void a_seed_that_was_forgotten_stays_away(void **state)
{
    (void)state;
    begin();
    lab_run(3000);
    lab.nodes[3].first = lab.nodes[0].first;
    lab.nodes[3].last = lab.nodes[0].last;
    lab.nodes[3].epoch = 8;
    lab.nodes[3].master = -1;
    lab.nodes[0].first = -1;
    lab.nodes[0].master = 3;
    lab_run(8000);
    assert_true(lab_has(lab_shard(FIRST), 7001));
    lab.nodes[0].listed = false;
    lab_run(30000);
    assert_false(lab_has(lab_shard(FIRST), 7001));
    assert_int_equal(lab.core->fleets[0]->nmembers, 5);
    lab_forget_logs();
    lab_run(30000);
    assert_int_equal(lab_count(&lab.events, "+slave"), 0);
    lab.nodes[0].listed = true; /* it was met again */
    lab_run(8000);
    assert_true(lab_has(lab_shard(FIRST), 7001));
}

static void a_shard_that_is_only_unreachable_stays(void **state)
{
    (void)state;
    begin();
    for (int k = 0; k < 6; k++)
        lab_kill(k);
    lab_run(120000);
    assert_int_equal(lab.core->ngroups, 3);
    assert_int_equal(lab.core->fleets[0]->nmembers, 6);
    unsigned assigned;
    assert_int_equal(sn_fleet_covered(lab.core->fleets[0], &assigned), 0);
    assert_int_equal(assigned, SN_SLOTS);
    for (int k = 0; k < 6; k++)
        lab_start(k);
    lab_run(5000);
    assert_int_equal(sn_fleet_covered(lab.core->fleets[0], &assigned), SN_SLOTS);
}

static void a_node_at_a_new_address_is_the_same(void **state)
{
    (void)state;
    begin();
    lab_kill(3);
    lab_run(5000);
    assert_int_equal(lab_count(&lab.events, "+sdown slave 127.0.0.1:7004"), 1);
    lab.nodes[3].port = 7104;
    lab_start(3);
    lab_run(5000);
    assert_true(lab_has(lab_shard(FIRST), 7104));
    assert_false(lab_has(lab_shard(FIRST), 7004));
    assert_int_equal(lab_shard(FIRST)->ninsts, 2);
    assert_false(lab_shard(FIRST)->insts[1]->s_down);
    assert_null(sn_node_find(lab.core, "127.0.0.1", 7004));
    assert_int_equal(lab.core->fleets[0]->nmembers, 6);
}

/* Redis tells a restarted node's new address when it has met it: a master that comes back in time is not replaced. */
static void a_master_at_a_new_address_is_told_to_clients(void **state)
{
    (void)state;
    begin();
    lab_kill(1);
    lab.nodes[1].port = 7102;
    lab_start(1);
    lab_run(5000);
    assert_int_equal(lab_master(lab_shard(SECOND)), 7102);
    assert_int_equal(lab_count(&lab.events, "+switch-master orders/" SECOND " 127.0.0.1 7002 127.0.0.1 7102"), 1);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER"), 0);
    assert_int_equal(lab_shard(SECOND)->config_epoch, 2);
}

/* The configuration file is read again, and has the cluster with these seeds. */
static void reload(int one, int other)
{
    struct sn_reload *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->fleets = calloc(1, sizeof *r->fleets);
    assert_non_null(r->fleets);
    r->nfleets = 1;
    struct sn_reload_fleet *f = r->fleets;
    f->name = strdup("orders");
    f->seeds = calloc(2, sizeof(struct addr));
    assert_non_null(f->seeds);
    f->nseeds = 2;
    addr_set(&f->seeds[0], slice_of("127.0.0.1"), one);
    addr_set(&f->seeds[1], slice_of("127.0.0.1"), other);
    sn_settings_init(&f->settings);
    f->settings.down_after_ms = 500;
    f->settings.quorum = 1;
    struct sn_event e = {.kind = SN_EV_RELOAD, .token = 4, .reload = r};
    lab_step(&e);
}

static void a_seed_of_another_cluster_is_left_alone(void **state)
{
    (void)state;
    begin();
    lab.nodes[6].alive = lab.nodes[6].alone = true;
    lab.nodes[6].first = 0;
    lab.nodes[6].last = 16383;
    lab.nodes[6].epoch = 99;
    reload(7002, 7007);
    lab_run(20000);
    assert_int_equal(lab.answer->answer, SN_ANSWER_OK);
    assert_int_equal(lab.core->fleets[0]->nmembers, 6);
    assert_false(lab.nodes[6].no_failover);
    assert_int_equal(lab.core->current_epoch, 3);
    assert_int_equal(lab_count(&lab.events, "-cluster-foreign-node"), 1);
    assert_non_null(sn_node_find(lab.core, "127.0.0.1", 7001)); /* no seed any more, a member still */
}

/* A list of `supervisors` that names oneself only says that there is nobody to be met first. */
static void the_only_one_of_a_list_waits_for_nobody(void **state)
{
    (void)state;
    lab_begin(&(struct lab_options){.no_fleet = true, .list = {.text = "10.0.0.7:26379", .version = 1}});
    reload(7001, 7002);
    lab_run(1000);
    lab_kill(0);
    lab_run(2000);
    assert_int_equal(lab_master(lab_shard(FIRST)), 7004);
}

static void a_released_cluster_helps_itself_again(void **state)
{
    (void)state;
    begin();
    lab_kill(5);
    lab_run(100);
    struct sn_event e = {.kind = SN_EV_RELEASE, .token = 9, .group = slice_of("orders")};
    lab_step(&e);
    assert_int_equal(lab.core->ngroups, 0);
    assert_int_equal(lab_count(&lab.records, "FLEET - orders - gone"), 1);
    assert_int_equal(lab_count(&lab.records, "GROUP orders/" FIRST " - - gone"), 1);
    assert_int_equal(lab_count(&lab.records, "SHARD orders/" FIRST " orders - gone"), 1);
    lab_run(4000);
    for (int k = 0; k < 5; k++)
        assert_false(lab.nodes[k].no_failover);
    assert_int_equal(lab.answer->answer, SN_ANSWER_OK);
    assert_int_equal(lab.answer->token, 9);
    assert_int_equal(lab.core->nfleets, 0);
    assert_null(sn_node_find(lab.core, "127.0.0.1", 7001));
}

static void a_shard_is_neither_monitored_nor_removed_by_hand(void **state)
{
    (void)state;
    begin();
    struct sn_event add = {.kind = SN_EV_MONITOR, .token = 1, .group = slice_of("orders/12345678"), .number = 1};
    addr_set(&add.addr, slice_of("127.0.0.1"), 7001);
    lab_step(&add);
    assert_int_equal(lab.answer->answer, SN_ANSWER_ERROR);
    struct sn_event gone = {.kind = SN_EV_REMOVE, .token = 2, .group = slice_of("orders/" FIRST)};
    lab_step(&gone);
    assert_int_equal(lab.answer->answer, SN_ANSWER_ERROR);
    lab_run(100);
    assert_non_null(lab_shard(FIRST));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(shards_are_found_from_one_seed, lab_end),
        cmocka_unit_test_teardown(its_own_election_is_switched_off_on_every_connection, lab_end),
        cmocka_unit_test_teardown(a_quiet_cluster_is_asked_once_a_second, lab_end),
        cmocka_unit_test_teardown(hello_is_said_once_for_all_shards, lab_end),
        cmocka_unit_test_teardown(with_declared_supervisors_nothing_is_published, lab_end),
        cmocka_unit_test_teardown(new_replicas_and_shards_are_followed, lab_end),
        cmocka_unit_test_teardown(a_replica_that_moves_changes_its_shard, lab_end),
        cmocka_unit_test_teardown(a_removed_shard_is_dropped, lab_end),
        cmocka_unit_test_teardown(a_forgotten_replica_is_dropped, lab_end),
        cmocka_unit_test_teardown(a_seed_that_was_forgotten_stays_away, lab_end),
        cmocka_unit_test_teardown(a_shard_that_is_only_unreachable_stays, lab_end),
        cmocka_unit_test_teardown(a_node_at_a_new_address_is_the_same, lab_end),
        cmocka_unit_test_teardown(a_master_at_a_new_address_is_told_to_clients, lab_end),
        cmocka_unit_test_teardown(a_seed_of_another_cluster_is_left_alone, lab_end),
        cmocka_unit_test_teardown(the_only_one_of_a_list_waits_for_nobody, lab_end),
        cmocka_unit_test_teardown(a_released_cluster_helps_itself_again, lab_end),
        cmocka_unit_test_teardown(a_shard_is_neither_monitored_nor_removed_by_hand, lab_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
