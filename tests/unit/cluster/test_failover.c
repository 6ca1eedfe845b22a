#include "tests/unit/cluster/world.h"

#include "noded/cluster/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000)

static bool is_promoted(struct world *w, void *arg)
{
    return w->nodes[*(int *)arg].promotions > 0;
}

static bool is_ok(struct world *w, void *arg)
{
    return cl_ok(w->nodes[*(int *)arg].core);
}

static bool is_not_ok(struct world *w, void *arg)
{
    return !is_ok(w, arg);
}

static struct cl_node *seen_by(const struct world *w, int node, int other)
{
    struct cl_id id = world_id(w, other);
    return cl_node_find(w->nodes[node].core, &id);
}

static bool named(struct world *w, int node, enum cl_verb verb, int other)
{
    char text[CL_ID_DIGITS + 1];
    struct cl_id id = world_id(w, other);
    return world_command(w, node, &(struct cl_command){.verb = verb, .node = slice_of(cl_id_text(&id, text))});
}

static void many_masters_fail_at_once(void **state)
{
    (void)state;
    struct world *w = world_new(3, 80, 1000);
    assert_true(world_form(w, 40, 1));
    world_run(w, 1000 * MS);
    int64_t killed = w->now_us;
    for (int m = 0; m < 19; m++)
        world_kill(w, m * 4);
    world_run(w, 1400 * MS);
    int64_t last = 0;
    for (int m = 0; m < 19; m++) {
        struct world_node *replica = &w->nodes[m * 4 + 1];
        assert_int_equal(replica->promotions, 1);
        last = replica->promoted_us > last ? replica->promoted_us : last;
    }
    print_message("19 of 40 masters at once: the last replica was promoted %d ms after\n",
                  (int)((last - killed) / 1000));
    assert_true(world_until(w, world_agrees, NULL, 10000 * MS));
    world_free(w);
}

static void the_replica_with_most_data_is_promoted(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world *w = world_new(seed, 12, 1000);
        int best = 2;
        assert_true(world_form(w, 3, 3));
        w->nodes[0].offset = 5000;
        world_run(w, 200 * MS);
        /* The others lose the stream, and then more is written. */
        world_cut(w, 0, 1, true);
        world_cut(w, 0, 3, true);
        world_run(w, 50 * MS);
        w->nodes[0].offset = 6000;
        world_run(w, 50 * MS);
        world_kill(w, 0);
        assert_true(world_until(w, is_promoted, &best, 3000 * MS));
        assert_int_equal(w->nodes[2].offset, 6000);
        world_cut(w, 0, 1, false);
        world_cut(w, 0, 3, false);
        assert_true(world_until(w, world_agrees, NULL, 10000 * MS));
        assert_int_equal(w->nodes[1].promotions + w->nodes[3].promotions, 0);
        assert_int_equal(w->nodes[1].following, 2);
        world_free(w);
    }
}

/* Planted bug 8. */
static void a_master_without_majority_stops_and_waits_when_it_is_back(void **state)
{
    (void)state;
    struct world *w = world_new(4, 6, 1000);
    int cut = 0, replica = 1;
    assert_true(world_form(w, 3, 1));
    for (int i = 1; i < 6; i++)
        world_cut(w, 0, i, true);
    int64_t from = w->now_us;
    assert_true(world_until(w, is_not_ok, &cut, 5000 * MS));
    assert_true(w->now_us - from <= 1100 * MS);
    assert_true(world_until(w, is_promoted, &replica, 5000 * MS));
    for (int i = 1; i < 6; i++)
        world_cut(w, 0, i, false);
    assert_true(world_until(w, world_agrees, NULL, 10000 * MS));
    assert_false(w->nodes[0].master);
    /* All alone: nobody takes its slots, and it waits all the same. */
    world_kill(w, 5);
    int alone = 4;
    for (int i = 0; i < 6; i++)
        if (i != 4)
            world_cut(w, 4, i, true);
    assert_true(world_until(w, is_not_ok, &alone, 5000 * MS));
    world_run(w, 100 * MS);
    for (int i = 0; i < 6; i++)
        if (i != 4)
            world_cut(w, 4, i, false);
    from = w->now_us;
    assert_true(world_until(w, is_ok, &alone, 10000 * MS));
    assert_true(w->now_us - from >= 900 * MS);
    world_free(w);
}

/* An operator gives it all slots of those that it does not reach: they may be somebody's there by now. */
static void slots_by_hand_do_not_end_the_wait(void **state)
{
    (void)state;
    struct world *w = world_new(7, 3, 1000);
    int alone = 2;
    uint8_t all[CL_SLOT_BYTES];
    memset(all, 0xff, sizeof all);
    w->nnodes = 2; /* the third one has no slots */
    assert_true(world_form(w, 2, 0));
    w->nnodes = 3;
    assert_true(world_meet(w, alone, 0));
    assert_true(world_until(w, world_agrees, NULL, 5000 * MS));
    for (int i = 0; i < alone; i++)
        world_cut(w, i, alone, true);
    assert_true(world_until(w, is_not_ok, &alone, 5000 * MS));
    assert_true(world_command(w, alone, &(struct cl_command){.verb = CL_DELSLOTS, .slots = all}));
    assert_true(world_command(w, alone, &(struct cl_command){.verb = CL_ADDSLOTS, .slots = all}));
    int64_t from = w->now_us;
    assert_true(world_until(w, is_ok, &alone, 3000 * MS));
    assert_true(w->now_us - from >= 900 * MS);
    world_free(w);
}

/* Planted bug 10. */
static void old_data_does_not_stand(void **state)
{
    (void)state;
    struct world *w = world_new(5, 6, 1000);
    int replica = 1;
    w->settings.validity_factor = 2;
    for (int i = 0; i < 6; i++)
        w->nodes[i].core->set.validity_factor = 2;
    assert_true(world_form(w, 3, 1));
    w->nodes[1].following = -1; /* its stream is broken for a reason of its own */
    w->nodes[1].link_up = false;
    world_run(w, (1000 + 10000 + 2 * 1000 + 500) * MS);
    world_kill(w, 0);
    assert_false(world_until(w, is_promoted, &replica, 5000 * MS));
    w->nodes[1].core->set.validity_factor = 0;
    world_run(w, 100 * MS);
    assert_true(world_until(w, is_promoted, &replica, 5000 * MS));
    world_free(w);
}

static bool asks(struct world *w, void *arg)
{
    return w->nodes[*(int *)arg].core->election.stand == CL_STAND_ASKING;
}

/* A voter is asked again when its link comes up, but not by one whose data has become too old since its last step. */
static void old_data_does_not_ask_again(void **state)
{
    (void)state;
    struct world *w = world_new(6, 6, 1000);
    int replica = 1;
    assert_true(world_form(w, 3, 1));
    struct cl_core *c = w->nodes[replica].core;
    world_run(w, 2000 * MS);
    world_cut(w, replica, 4, true);
    world_run(w, 1500 * MS); /* the dead link is closed, and another one tried */
    world_kill(w, 0);
    world_run(w, 1500 * MS);
    cl_flags_set(c, c->me->master, CL_FAILED, 0);
    assert_true(world_until(w, asks, &replica, 1000 * MS));
    struct cl_event up = {.kind = CL_EV_LINK_UP, .link = seen_by(w, replica, 4)->link};
    assert_int_equal(seen_by(w, replica, 4)->link_state, CL_LINK_CONNECTING);
    uint64_t sent = c->sent[CL_AUTH_REQUEST];
    w->nodes[replica].link_up = false;
    w->nodes[replica].following = -1;
    w->nodes[replica].old_since_us = -1;
    world_step(w, &w->nodes[replica], &up);
    assert_int_equal(c->sent[CL_AUTH_REQUEST], sent);
    assert_int_equal(c->election.stand, CL_STAND_NOT);
    world_free(w);
}

static void manual_failover_waits_for_all_data(void **state)
{
    (void)state;
    struct world *w = world_new(6, 6, 1000);
    int replica = 1;
    assert_true(world_form(w, 3, 1));
    w->nodes[0].offset = 777;
    assert_true(world_command(w, 1, &(struct cl_command){.verb = CL_FAILOVER}));
    assert_true(world_until(w, is_promoted, &replica, 1000 * MS));
    assert_int_equal(w->nodes[1].offset, 777);
    assert_true(world_until(w, world_agrees, NULL, 5000 * MS));
    assert_false(w->nodes[0].master);
    assert_false(w->nodes[0].paused);
    assert_int_equal(world_owner(w, 3, 0), 1);
    world_free(w);
}

/* cluster-replica-no-failover keeps a replica from standing by itself, not from a switch that it is told to make. */
static void manual_failover_of_one_that_does_not_stand(void **state)
{
    (void)state;
    struct world *w = world_new(6, 6, 1000);
    int replica = 1;
    assert_true(world_form(w, 3, 1));
    for (int i = 0; i < 6; i++) {
        struct cl_settings set = w->nodes[i].core->set;
        set.no_failover = true;
        world_step(w, &w->nodes[i], &(struct cl_event){.kind = CL_EV_SETTINGS, .settings = &set});
    }
    world_run(w, 5000 * MS);
    assert_true(cl_has(seen_by(w, 0, 1), CL_NOFAILOVER));
    assert_true(world_command(w, 1, &(struct cl_command){.verb = CL_FAILOVER}));
    assert_true(world_until(w, is_promoted, &replica, 1000 * MS));
    assert_true(world_until(w, world_agrees, NULL, 5000 * MS));
    world_kill(w, 1);
    world_run(w, 5000 * MS);
    assert_int_equal(w->nodes[0].promotions, 0);
    world_free(w);
}

static void manual_failover_that_cannot_end_gives_up(void **state)
{
    (void)state;
    struct world *w = world_new(7, 6, 60000);
    assert_true(world_form(w, 3, 1));
    /* It never reads so far. */
    w->nodes[0].offset = 1000;
    w->nodes[1].following = -1;
    assert_true(world_command(w, 1, &(struct cl_command){.verb = CL_FAILOVER}));
    world_run(w, 500 * MS);
    assert_true(w->nodes[0].paused);
    world_run(w, 5000 * MS);
    assert_false(w->nodes[0].paused);
    assert_int_equal(w->nodes[1].promotions, 0);
    world_free(w);
}

static void takeover_and_force_need_no_master(void **state)
{
    (void)state;
    struct world *w = world_new(8, 6, 10000);
    int forced = 1, taken = 3;
    assert_true(world_form(w, 3, 1));
    world_kill(w, 0);
    world_run(w, 50 * MS);
    assert_false(world_command(w, 1, &(struct cl_command){.verb = CL_FAILOVER}));
    assert_string_equal(w->nodes[1].answer, "ERR Master is down or failed, please use CLUSTER FAILOVER FORCE");
    assert_true(world_command(w, 1, &(struct cl_command){.verb = CL_FAILOVER, .force = true}));
    assert_true(world_until(w, is_promoted, &forced, 1000 * MS));
    uint64_t epoch = w->nodes[1].core->me->config_epoch;
    world_run(w, 50 * MS);
    assert_true(world_command(w, 3, &(struct cl_command){.verb = CL_FAILOVER, .takeover = true}));
    assert_true(world_until(w, is_promoted, &taken, 1000 * MS));
    assert_true(w->nodes[3].core->me->config_epoch > epoch);
    world_run(w, 100 * MS);
    assert_int_equal(w->nodes[2].following, 3);
    world_free(w);
}

static void an_orphan_gets_a_replica(void **state)
{
    (void)state;
    struct world *w = world_new(9, 7, 1000);
    /* Three masters; 0 has three replicas, 4 has one, 6 has none and never had. */
    assert_true(world_add_slots(w, 0, 0, 5000) && world_add_slots(w, 4, 5001, 10000) &&
                world_add_slots(w, 6, 10001, 16383));
    for (int i = 1; i < 7; i++)
        assert_true(world_meet(w, 0, i));
    world_run(w, 3000 * MS);
    assert_true(world_replicate(w, 1, 0) && world_replicate(w, 2, 0) && world_replicate(w, 3, 0) &&
                world_replicate(w, 5, 4));
    assert_true(world_until(w, world_agrees, NULL, 20000 * MS));
    world_run(w, 10000 * MS);
    assert_int_equal(cl_replicas_of(w->nodes[6].core, w->nodes[6].core->me, false), 0);
    world_kill(w, 5);
    world_run(w, 10000 * MS);
    assert_int_equal(cl_replicas_of(w->nodes[4].core, w->nodes[4].core->me, true), 1);
    assert_int_equal(cl_replicas_of(w->nodes[0].core, w->nodes[0].core->me, true), 2);
    world_free(w);
}

static void the_forgotten_stay_away_for_a_minute(void **state)
{
    (void)state;
    struct world *w = world_new(10, 6, 1000);
    assert_true(world_form(w, 3, 1));
    struct cl_id gone = world_id(w, 5);
    world_kill(w, 5);
    world_run(w, 2000 * MS);
    char text[CL_ID_DIGITS + 1];
    struct cl_command forget = {.verb = CL_FORGET, .node = slice_of(cl_id_text(&gone, text))};
    assert_true(world_command(w, 0, &forget));
    /* Told once: nodes of ours tell it on. */
    world_run(w, 3000 * MS);
    for (int i = 0; i < 5; i++)
        assert_null(cl_node_find(w->nodes[i].core, &gone));
    /* Who tells it to each finds those that have heard of it already. */
    for (int i = 0; i < 5; i++)
        assert_true(world_command(w, i, &forget));
    world_run(w, 61000 * MS);
    assert_false(world_command(w, 0, &forget));
    assert_int_equal(strncmp(w->nodes[0].answer, "ERR Unknown node ", 17), 0);
    assert_false(named(w, 1, CL_FORGET, 1));
    assert_string_equal(w->nodes[1].answer, "ERR I tried hard but I can't forget myself...");
    assert_false(named(w, 1, CL_FORGET, 0));
    assert_string_equal(w->nodes[1].answer, "ERR Can't forget my master!");
    world_free(w);
}

static void reset_leaves_the_cluster(void **state)
{
    (void)state;
    struct world *w = world_new(11, 6, 1000);
    assert_true(world_form(w, 3, 1));
    struct cl_id before = world_id(w, 5), after;
    assert_true(world_command(w, 5, &(struct cl_command){.verb = CL_RESET, .hard = true}));
    after = world_id(w, 5);
    assert_false(cl_id_eq(&before, &after));
    assert_int_equal(w->nodes[5].core->known, 1);
    assert_true(w->nodes[5].master);
    assert_int_equal(w->nodes[5].core->current_epoch, 0);
    w->nodes[0].has_keys = true;
    assert_false(world_command(w, 0, &(struct cl_command){.verb = CL_RESET}));
    assert_string_equal(w->nodes[0].answer, "ERR CLUSTER RESET can't be called with master nodes containing keys");
    world_free(w);
}

static void a_slot_moves_by_hand(void **state)
{
    (void)state;
    struct world *w = world_new(12, 6, 1000);
    assert_true(world_form(w, 3, 1));
    char from[CL_ID_DIGITS + 1], to[CL_ID_DIGITS + 1];
    struct cl_id id = world_id(w, 0);
    struct slice source = slice_of(cl_id_text(&id, from));
    id = world_id(w, 2);
    struct slice target = slice_of(cl_id_text(&id, to));
    assert_true(world_command(w, 2, &(struct cl_command){.verb = CL_SETSLOT_IMPORTING, .slot = 7, .node = source}));
    assert_true(world_command(w, 0, &(struct cl_command){.verb = CL_SETSLOT_MIGRATING, .slot = 7, .node = target}));
    assert_false(world_command(
        w, 0, &(struct cl_command){.verb = CL_SETSLOT_NODE, .slot = 7, .node = target, .slot_has_keys = true}));
    assert_string_equal(w->nodes[0].answer, "ERR Can't assign hashslot 7 to a different node while I still hold keys "
                                            "for this hash slot.");
    uint64_t epoch = cl_greatest_epoch(w->nodes[2].core);
    assert_true(world_command(
        w, 2, &(struct cl_command){.verb = CL_SETSLOT_NODE, .slot = 7, .node = target, .slot_has_keys = true}));
    assert_true(w->nodes[2].core->me->config_epoch > epoch);
    assert_true(world_until(w, world_agrees, NULL, 5000 * MS));
    for (int i = 0; i < 6; i++)
        assert_int_equal(world_owner(w, i, 7), 2);
    assert_false(cl_bit(w->nodes[0].dropped, 7)); /* there was nothing left */
    assert_int_equal(w->nodes[0].core->nopen, 0);
    world_free(w);
}

static void equal_epochs_are_resolved(void **state)
{
    (void)state;
    struct world *w = world_new(13, 4, 1000);
    for (int i = 0; i < 4; i++)
        assert_true(world_add_slots(w, i, i * 4096, i * 4096 + 4095));
    for (int i = 1; i < 4; i++)
        assert_true(world_meet(w, 0, i));
    assert_true(world_until(w, world_agrees, NULL, 20000 * MS));
    world_run(w, 5000 * MS);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++)
            assert_int_not_equal(w->nodes[i].core->me->config_epoch, w->nodes[k].core->me->config_epoch);
    world_free(w);
}

static void what_is_published_is_spread(void **state)
{
    (void)state;
    struct world *w = world_new(14, 6, 1000);
    assert_true(world_form(w, 3, 1));
    world_publish(w, 2, "news", "good");
    world_run(w, 100 * MS);
    for (int i = 0; i < 6; i++) {
        const char *heard = buf_str(&w->nodes[i].heard);
        assert_string_equal(heard, i == 2 ? "" : "news good\n");
    }
    world_free(w);
}

static void a_full_disk_gives_no_promise(void **state)
{
    (void)state;
    struct world *w = world_new(15, 6, 1000);
    int replica = 1;
    assert_true(world_form(w, 3, 1));
    w->nodes[2].disk_fails = w->nodes[4].disk_fails = true;
    uint64_t epoch = w->nodes[2].disk_epoch;
    assert_false(world_command(w, 2, &(struct cl_command){.verb = CL_BUMPEPOCH}) && w->nodes[2].answer_ok);
    assert_string_equal(w->nodes[2].answer, "ERR error saving the cluster node config: no space left");
    world_kill(w, 0);
    /* Nobody can vote. */
    assert_false(world_until(w, is_promoted, &replica, 4000 * MS));
    assert_true(seen_by(w, 1, 2)->config_epoch <= epoch);
    w->nodes[2].disk_fails = w->nodes[4].disk_fails = false;
    assert_true(world_until(w, is_promoted, &replica, 6000 * MS));
    world_free(w);
}

static void all_are_ours(void **state)
{
    (void)state;
    struct world *w = world_new(16, 6, 1000);
    assert_true(world_form(w, 3, 1));
    assert_false(cl_shard_has_stock(w->nodes[0].core, NULL));
    seen_by(w, 0, 1)->ours = false; /* as after a header without our mark */
    struct cl_id who, one = world_id(w, 1);
    assert_true(cl_shard_has_stock(w->nodes[0].core, &who));
    assert_true(cl_id_eq(&who, &one));
    seen_by(w, 2, 1)->ours = false;
    assert_false(cl_shard_has_stock(w->nodes[2].core, NULL));
    world_free(w);
}

static void all_start_again_from_their_disks(void **state)
{
    (void)state;
    struct world *w = world_new(17, 9, 1000);
    assert_true(world_form(w, 3, 2));
    for (int i = 0; i < 9; i++)
        world_kill(w, i);
    world_run(w, 5000 * MS);
    for (int i = 0; i < 9; i++)
        world_start(w, i);
    int64_t from = w->now_us;
    assert_true(world_until(w, world_agrees, NULL, 20000 * MS));
    /* A restarted master may have been replaced: it waits. */
    assert_true(w->now_us - from >= 1900 * MS);
    assert_int_equal(w->nodes[0].promotions, 0);
    assert_int_equal(w->nodes[8].following, 6);
    world_free(w);
}

/* The line that a node's file has of itself names another one as its master. */
static void file_follows(struct world_node *n, const struct cl_id *from, const struct cl_id *to)
{
    char text[2][CL_ID_DIGITS + 1];
    char *myself = strstr(n->disk.p, "myself,slave ");
    assert_non_null(myself);
    myself += strlen("myself,slave ");
    assert_memory_equal(myself, cl_id_text(from, text[0]), CL_ID_DIGITS);
    memcpy(myself, cl_id_text(to, text[1]), CL_ID_DIGITS);
}

/* They were restarted at a moment at which their files had the master of before: 3 follows 2, 2 follows 1, and 1 the
 * master. Whether those that they follow live or not. */
static void replicas_of_replicas_follow_the_master(void **state)
{
    (void)state;
    for (int dead = 0; dead < 2; dead++) {
        struct world *w = world_new(18, 12, 1000);
        assert_true(world_form(w, 3, 3));
        struct cl_id zero = world_id(w, 0), one = world_id(w, 1), two = world_id(w, 2);
        for (int i = 1; i <= 3; i++)
            world_kill(w, i);
        file_follows(&w->nodes[2], &zero, &one);
        file_follows(&w->nodes[3], &zero, &two);
        for (int i = 1 + dead; i <= 3; i++)
            world_start(w, i);
        world_run(w, 3000 * MS);
        for (int i = 1 + dead; i <= 3; i++) {
            assert_ptr_equal(w->nodes[i].core->me->master, seen_by(w, i, 0));
            assert_int_equal(w->nodes[i].following, 0);
            assert_ptr_equal(seen_by(w, 4, i)->master, seen_by(w, 4, 0));
        }
        world_free(w);
    }
}

/* A node that was forgotten by mistake is met again before its minute is over: it is not told on then that it was to be
 * forgotten, to those who have not heard of it yet. */
static void the_forgotten_are_met_again(void **state)
{
    (void)state;
    struct world *w = world_new(11, 6, 1000);
    assert_true(world_form(w, 3, 1));
    struct cl_id back = world_id(w, 3);
    char text[CL_ID_DIGITS + 1], ip[32];
    struct cl_command forget = {.verb = CL_FORGET, .node = slice_of(cl_id_text(&back, text))};
    struct cl_command meet = {.verb = CL_MEET_NODE, .ip = slice_of(world_ip(3, ip)), .port = 7000};
    for (int i = 0; i < 6; i++) /* the replica 1 hears of nobody else for a while */
        w->cut[1][i] = w->cut[i][1] = i != 3;
    world_run(w, 5000 * MS);
    assert_true(world_command(w, 1, &forget));
    assert_null(cl_node_find(w->nodes[1].core, &back));
    assert_true(world_command(w, 1, &meet));
    world_run(w, 1000 * MS);
    for (int i = 0; i < 6; i++)
        w->cut[1][i] = w->cut[i][1] = false;
    for (int s = 0; s < 20; s++) {
        world_run(w, 1000 * MS);
        for (int i = 0; i < 6; i++)
            assert_non_null(cl_node_find(w->nodes[i].core, &back));
    }
    /* A word that is said to it after that counts again. */
    assert_true(world_command(w, 1, &forget));
    assert_null(cl_node_find(w->nodes[1].core, &back));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_masters_fail_at_once),
        cmocka_unit_test(the_replica_with_most_data_is_promoted),
        cmocka_unit_test(a_master_without_majority_stops_and_waits_when_it_is_back),
        cmocka_unit_test(slots_by_hand_do_not_end_the_wait),
        cmocka_unit_test(old_data_does_not_stand),
        cmocka_unit_test(old_data_does_not_ask_again),
        cmocka_unit_test(manual_failover_waits_for_all_data),
        cmocka_unit_test(manual_failover_of_one_that_does_not_stand),
        cmocka_unit_test(manual_failover_that_cannot_end_gives_up),
        cmocka_unit_test(takeover_and_force_need_no_master),
        cmocka_unit_test(an_orphan_gets_a_replica),
        cmocka_unit_test(the_forgotten_stay_away_for_a_minute),
        cmocka_unit_test(the_forgotten_are_met_again),
        cmocka_unit_test(reset_leaves_the_cluster),
        cmocka_unit_test(replicas_of_replicas_follow_the_master),
        cmocka_unit_test(a_slot_moves_by_hand),
        cmocka_unit_test(equal_epochs_are_resolved),
        cmocka_unit_test(what_is_published_is_spread),
        cmocka_unit_test(a_full_disk_gives_no_promise),
        cmocka_unit_test(all_are_ours),
        cmocka_unit_test(all_start_again_from_their_disks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
