/* What of a cluster outlives the process, and what supervisors tell each other about it: names, seats, configurations.
 */
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
    lab_begin(&(struct lab_options){.quorum = 2});
    lab_run(200);
}

static void node_of(struct sn_record_node *r, int k)
{
    memcpy(r->id, lab.nodes[k].id, sizeof r->id);
    addr_set(&r->addr, slice_of("127.0.0.1"), lab.nodes[k].port);
}

/* As the state has it: one shard with its replica, one that is alone; under names that nobody would give today. */
static void begin_from_state(bool seeds)
{
    lab_begin(&(struct lab_options){.no_fleet = true, .epoch = 30});
    struct sn_settings set;
    struct addr seed;
    sn_settings_init(&set);
    set.quorum = 1;
    set.down_after_ms = 500;
    addr_set(&seed, slice_of("127.0.0.1"), 7001);
    struct sn_record_node first[2], third[1];
    node_of(&first[0], 0);
    node_of(&first[1], 3);
    node_of(&third[0], 2);
    struct sn_core_shard shards[2] = {
        {.group = {.name = "orders/old-name", .settings = &set, .config_epoch = 1, .vote_epoch = 25},
         .nodes = first,
         .nnodes = 2},
        {.group = {.name = "orders/zzz", .settings = &set, .config_epoch = 3}, .nodes = third, .nnodes = 1},
    };
    shards[0].group.master = first[0].addr;
    shards[1].group.master = third[0].addr;
    struct sn_core_fleet f = {.name = "orders", .settings = &set, .seeds = &seed, .nseeds = seeds, .shards = shards};
    f.nshards = 2;
    f.vote_epoch = 28;
    assert_true(sn_core_add_fleet(lab.core, &f, lab.now_us, &lab.fx));
    sn_settings_free(&set);
    struct sn_event tick = {.kind = SN_EV_TICK};
    lab_step(&tick);
}

static void shards_are_known_after_a_restart_with_all_nodes_down(void **state)
{
    (void)state;
    lab_model();
    begin_from_state(true);
    for (int k = 0; k < 6; k++)
        lab.nodes[k].alive = false;
    lab_run(60000);
    assert_int_equal(lab.core->ngroups, 2);
    const struct sn_group *g = lab_shard("old-name");
    assert_int_equal(lab_master(g), 7001);
    assert_int_equal(g->ninsts, 2);
    assert_int_equal(lab.core->fleets[0]->vote_epoch, 28);
    assert_int_equal(lab_count(&lab.events, "+sdown master orders/old-name"), 1);
    for (int k = 0; k < 6; k++)
        lab_start(k);
    lab_run(8000);
    assert_int_equal(lab.core->ngroups, 3);
    assert_ptr_equal(lab_shard("old-name"), g); /* the name is fixed */
    assert_int_equal(lab_master(lab_shard("zzz")), 7003);
    assert_true(lab_has(lab_shard("zzz"), 7006));
    assert_int_equal(lab_master(lab_shard(SECOND)), 7002);
}

/* It died while nobody looked, and the cluster replaced it. */
static void what_changed_meanwhile_is_adopted(void **state)
{
    (void)state;
    lab_model();
    begin_from_state(true);
    lab.nodes[3] = (struct lab_node){.id = lab.nodes[3].id,
                                     .port = 7004,
                                     .alive = true,
                                     .listed = true,
                                     .first = 0,
                                     .last = 5460,
                                     .epoch = 9,
                                     .master = -1,
                                     .reads_as = 3};
    lab.nodes[0].first = -1;
    lab.nodes[0].master = 3;
    lab_run(1000);
    assert_int_equal(lab_master(lab_shard("old-name")), 7004);
    assert_int_equal(lab_shard("old-name")->config_epoch, 9);
    assert_int_equal(lab_count(&lab.events, "+switch-master orders/old-name 127.0.0.1 7001 127.0.0.1 7004"), 1);
}

static void a_fleet_that_the_file_has_no_more_is_released(void **state)
{
    (void)state;
    lab_model();
    begin_from_state(false);
    lab.nodes[0].no_failover = lab.nodes[2].no_failover = true;
    lab.nodes[3].alive = false;
    struct sn_event e = {.kind = SN_EV_RELEASE, .token = 9, .group = slice_of("orders")};
    lab_step(&e);
    lab_run(5000);
    assert_false(lab.nodes[0].no_failover);
    assert_false(lab.nodes[2].no_failover);
    assert_int_equal(lab.core->nfleets, 0);
    assert_non_null(lab.answer);
}

static void hello(const char *id, const char *host, const char *name, int master, uint64_t epoch)
{
    char text[300];
    snprintf(text, sizeof text, "%s,26379,%s,7,%s,127.0.0.1,%d,%llu", host, id, name, master,
             (unsigned long long)epoch);
    struct sn_event e = {.kind = SN_EV_HELLO, .text = slice_of(text)};
    lab_step(&e);
}

static void who_watches_one_shard_watches_all(void **state)
{
    (void)state;
    begin();
    hello(PEER, "10.0.0.8", "orders/" SECOND, 7002, 2);
    assert_int_equal(lab_shard(FIRST)->nseats, 1);
    assert_int_equal(lab_shard(THIRD)->nseats, 1);
    assert_int_equal(lab.core->npeers, 1);
    assert_int_equal(lab_count(&lab.events, "+sentinel sentinel " PEER), 3);
    lab.nodes[6].alive = lab.nodes[6].listed = true;
    lab.nodes[6].first = lab.nodes[6].last = 16383;
    lab.nodes[6].epoch = 7;
    lab.nodes[2].last = 16382;
    lab_run(8000);
    assert_int_equal(lab_shard("77bc9f9c")->nseats, 1);
}

static void of_two_new_names_the_smaller_one_stays(void **state)
{
    (void)state;
    begin();
    hello(PEER, "10.0.0.8", "orders/99999999", 7001, 1);
    assert_non_null(lab_shard(FIRST));
    hello(PEER, "10.0.0.8", "orders/00000001", 7001, 1);
    assert_null(lab_shard(FIRST));
    assert_int_equal(lab_master(lab_shard("00000001")), 7001);
    assert_int_equal(lab_count(&lab.records, "RENAME orders/" FIRST " - orders/00000001"), 1);
    assert_int_equal(lab_count(&lab.records, "SHARD orders/00000001 orders - monitored 4b079c18:7001 2310d2c1:7004"),
                     1);
    assert_int_equal(lab_count(&lab.events, "+shard-renamed orders/" FIRST " orders/00000001"), 1);
    hello(PEER, "10.0.0.8", "orders/00000000", 7001, 1);
    assert_non_null(lab_shard("00000001")); /* which is fixed now */
}

static void who_is_new_takes_the_name_of_long_ago(void **state)
{
    (void)state;
    begin();
    hello(PEER, "10.0.0.8", "orders/99999999", 7001, 1);
    lab_run(1500);
    hello(PEER, "10.0.0.8", "orders/99999999", 7001, 1);
    assert_null(lab_shard(FIRST));
    assert_int_equal(lab_master(lab_shard("99999999")), 7001);
}

static void a_name_that_nobody_contradicted_stays(void **state)
{
    (void)state;
    begin();
    lab_run(10000);
    hello(PEER, "10.0.0.8", "orders/99999999", 7001, 1);
    lab_run(3000);
    hello(PEER, "10.0.0.8", "orders/99999999", 7001, 1);
    assert_non_null(lab_shard(FIRST));
}

static void a_configuration_comes_by_hello(void **state)
{
    (void)state;
    begin();
    hello(PEER, "10.0.0.8", "orders/" FIRST, 7004, 12);
    assert_int_equal(lab_master(lab_shard(FIRST)), 7004);
    assert_int_equal(lab_shard(FIRST)->config_epoch, 12);
    assert_int_equal(lab_count(&lab.events, "+config-update-from"), 1);
    hello(PEER, "10.0.0.8", "orders/" SECOND, 7099, 12); /* no node that the cluster has told of */
    assert_int_equal(lab_master(lab_shard(SECOND)), 7002);
    assert_false(lab_has(lab_shard(SECOND), 7099));
}

/* The answer of the disk is not the model's here: it fails. */
static void what_is_gone_is_written_until_it_is_on_disk(void **state)
{
    (void)state;
    begin();
    lab_run(8000);
    uint64_t seq = lab.core->issued + 1;
    struct sn_event e = {.kind = SN_EV_RELEASE, .token = 9, .group = slice_of("orders"), .now_us = lab.now_us};
    sn_step(lab.core, &e, &lab.fx);
    sn_effects_clear(&lab.fx);
    struct sn_event failed = {
        .kind = SN_EV_PERSIST_FAILED, .seq = seq, .text = slice_of("disk full"), .now_us = lab.now_us};
    sn_step(lab.core, &failed, &lab.fx);
    sn_effects_clear(&lab.fx);
    lab_forget_logs();
    lab_run(1000); /* the lab has the records of the last write */
    assert_int_equal(lab_count(&lab.records, "GROUP orders/" FIRST " - - gone"), 1);
    assert_int_equal(lab_count(&lab.records, "FLEET - orders - gone"), 1);
    lab_run(100);
    assert_int_equal(lab.core->nextra, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(shards_are_known_after_a_restart_with_all_nodes_down, lab_end),
        cmocka_unit_test_teardown(what_changed_meanwhile_is_adopted, lab_end),
        cmocka_unit_test_teardown(a_fleet_that_the_file_has_no_more_is_released, lab_end),
        cmocka_unit_test_teardown(who_watches_one_shard_watches_all, lab_end),
        cmocka_unit_test_teardown(of_two_new_names_the_smaller_one_stays, lab_end),
        cmocka_unit_test_teardown(who_is_new_takes_the_name_of_long_ago, lab_end),
        cmocka_unit_test_teardown(a_name_that_nobody_contradicted_stays, lab_end),
        cmocka_unit_test_teardown(a_configuration_comes_by_hello, lab_end),
        cmocka_unit_test_teardown(what_is_gone_is_written_until_it_is_on_disk, lab_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
