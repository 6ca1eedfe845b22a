/* Hand-overs that cross each other, failovers and cut networks: what a rule of one of them must not do to another. */
#include "tests/unit/cluster/moves.h"
#include "tests/unit/cluster/world.h"

#include "noded/cluster/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000)
#define SLOT 7

/* So many masters with a replica each: node 2 * i is a master, and the next its replica. */
static struct world *form(uint64_t seed, int masters, enum world_data data)
{
    struct world *w = world_new(seed, 2 * masters, 1000);
    assert_true(world_form(w, masters, 1));
    world_run(w, 2000 * MS);
    w->data = data;
    return w;
}

static bool is_granted(struct world *w, void *arg)
{
    return w->grants >= *(uint64_t *)arg;
}

static bool grants(struct world *w, uint64_t count)
{
    return world_until(w, is_granted, &count, 2000 * MS);
}

static bool is_promoted(struct world *w, void *arg)
{
    return w->nodes[*(int *)arg].promotions > 0;
}

static void cut_from_all_but(struct world *w, int node, int kept, bool cut)
{
    for (int i = 0; i < w->nnodes; i++)
        if (i != node && i != kept)
            world_cut(w, node, i, cut);
}

static bool claims(const struct world *w, int node, int slot)
{
    const struct cl_core *c = w->nodes[node].core;
    return cl_is_master(c) && cl_bit(c->claim.slots, slot);
}

static void a_source_that_gives_all_its_slots_has_succeeded(void **state)
{
    (void)state;
    struct world *w = form(1, 3, WORLD_TAKES_GRANTS);
    assert_true(migrate(w, 0, 2, 0, 5460));
    assert_true(reaches(w, 2, CL_JOB_SUCCESS, 3000 * MS));
    assert_true(world_until(w, world_agrees, NULL, 5000 * MS));
    assert_false(cl_is_master(w->nodes[0].core));
    assert_int_equal(last_job(w, 0)->state, CL_JOB_SUCCESS);
    world_free(w);
}

static void a_source_stays_while_one_target_is_silent(void **state)
{
    (void)state;
    struct world *w = form(2, 3, WORLD_LOSES_GRANTS);
    assert_true(migrate(w, 0, 4, 0, 99));
    assert_true(grants(w, 1));
    world_cut(w, 0, 4, true);
    world_cut(w, 0, 5, true);
    /* All else goes to another one: nobody has replaced the source, which still answers for the first hundred. */
    w->data = WORLD_TAKES_GRANTS;
    assert_true(migrate(w, 0, 2, 100, 5460));
    assert_true(reaches(w, 2, CL_JOB_SUCCESS, 3000 * MS));
    world_run(w, 1000 * MS);
    for (int i = 0; i < 2; i++)
        assert_int_equal(w->nodes[i].core->shard.nrecords, 1);
    assert_true(cl_is_master(w->nodes[0].core));
    assert_false(cl_is_master(w->nodes[1].core));
    world_cut(w, 0, 4, false);
    world_cut(w, 0, 5, false);
    int source = 0;
    assert_true(world_until(w, has_no_record, &source, 10000 * MS));
    assert_true(world_until(w, world_agrees, NULL, 10000 * MS));
    assert_int_equal(world_owner(w, 2, SLOT), 0);
    assert_true(claims(w, 0, SLOT));
    world_free(w);
}

static void slots_that_moved_on_do_not_come_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world *w = form(seed, 3, WORLD_TAKES_GRANTS);
        assert_true(migrate(w, 0, 2, 0, 99));
        assert_true(grants(w, 1));
        world_kill(w, 0);
        assert_true(reaches(w, 2, CL_JOB_SUCCESS, 500 * MS));
        assert_true(migrate(w, 2, 4, 0, 99));
        assert_true(reaches(w, 4, CL_JOB_SUCCESS, 300 * MS));
        /* It comes back, and does not see who has them now, but only to whom it gave them. */
        world_cut(w, 0, 4, true);
        world_cut(w, 0, 5, true);
        world_start(w, 0);
        for (int i = 0; i < 100; i++) {
            world_run(w, 100 * MS);
            assert_false(claims(w, 0, SLOT) || claims(w, 1, SLOT));
            assert_int_equal(world_owner(w, 2, SLOT), 4);
        }
        world_cut(w, 0, 4, false);
        world_cut(w, 0, 5, false);
        assert_true(world_until(w, world_agrees, NULL, 10000 * MS));
        assert_int_equal(world_owner(w, 0, SLOT), 4);
        world_free(w);
    }
}

/* With its replica, from all but the source. */
static void target_is_cut_off(struct world *w, bool cut)
{
    for (int i = 1; i < w->nnodes; i++)
        for (int k = 2; k < 4; k++)
            if (i != 2 && i != 3)
                world_cut(w, k, i, cut);
}

static void a_successor_does_not_take_what_its_master_gave_away(void **state)
{
    (void)state;
    int replica = 1;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world *w = form(seed, 5, WORLD_TAKES_GRANTS);
        assert_true(migrate(w, 0, 2, 0, 99));
        assert_true(grants(w, 1));
        /* Nobody but the source hears of the target's claim. */
        target_is_cut_off(w, true);
        assert_true(reaches(w, 0, CL_JOB_SUCCESS, 1000 * MS));
        assert_true(world_until(w, has_no_record, &replica, 100 * MS));
        world_kill(w, 0);
        assert_true(world_until(w, is_promoted, &replica, 5000 * MS));
        for (int i = 0; i < 30; i++) {
            world_run(w, 100 * MS);
            assert_false(claims(w, 1, SLOT));
        }
        target_is_cut_off(w, false);
        world_start(w, 0);
        assert_true(world_until(w, world_agrees, NULL, 15000 * MS));
        int owner = world_owner(w, 4, SLOT);
        assert_true(owner == 2 || owner == 3);
        world_free(w);
    }
}

static void of_two_masters_of_the_source_one_is_left(void **state)
{
    (void)state;
    int replica = 1;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world *w = form(seed, 3, WORLD_LOSES_GRANTS);
        assert_true(migrate(w, 0, 2, 0, 5460));
        assert_true(grants(w, 1));
        world_kill(w, 0);
        world_cut(w, 1, 2, true);
        world_cut(w, 0, 2, true); /* the target does not answer them for a while */
        world_cut(w, 1, 3, true);
        world_cut(w, 0, 3, true);
        /* Its successor claims nothing, for all is being handed over. */
        if (!world_until(w, is_promoted, &replica, 8000 * MS)) {
            world_cut(w, 1, 2, false);
            assert_true(world_until(w, is_promoted, &replica, 8000 * MS));
            world_cut(w, 1, 2, true);
        }
        world_start(w, 0);
        world_run(w, 6000 * MS);
        assert_false(cl_is_master(w->nodes[0].core));
        for (int i = 0; i < 2; i++)
            for (int k = 2; k < 4; k++)
                world_cut(w, i, k, false);
        assert_true(world_until(w, world_agrees, NULL, 10000 * MS));
        assert_int_equal(world_owner(w, 4, SLOT), 1);
        world_free(w);
    }
}

static void a_version_that_reached_no_disk_stops_no_successor(void **state)
{
    (void)state;
    int replica = 1;
    struct world *w = form(5, 3, WORLD_TAKES_GRANTS);
    assert_true(migrate(w, 0, 2, 0, 99));
    w->nodes[0].disk_fails = true;
    assert_true(reaches(w, 0, CL_JOB_FAILED, 30000 * MS));
    assert_int_equal(w->grants, 0);
    world_run(w, 3000 * MS);
    world_kill(w, 0);
    assert_true(world_until(w, is_promoted, &replica, 5000 * MS));
    world_free(w);
}

static void nobody_takes_slots_in_a_minority(void **state)
{
    (void)state;
    struct world *w = form(6, 3, WORLD_TAKES_GRANTS);
    assert_true(migrate(w, 0, 2, 0, 99));
    assert_true(reaches(w, 2, CL_JOB_GRANTED, 2000 * MS));
    cut_from_all_but(w, 2, 2, true);
    for (int i = 0; i < 400; i++) {
        world_run(w, 100 * MS);
        assert_false(claims(w, 2, SLOT));
    }
    cut_from_all_but(w, 2, 2, false);
    assert_true(world_until(w, world_agrees, NULL, 10000 * MS));
    assert_int_equal(w->nodes[0].core->shard.nrecords, 0);
    world_free(w);
}

/* What a master says to its replica, over the link that it came on. */
static void hear(struct world *w, int replica, int master, struct buf *message)
{
    struct cl_id id = world_id(w, master);
    const struct cl_node *n = cl_node_find(w->nodes[replica].core, &id);
    struct cl_event e = {.kind = CL_EV_MESSAGE, .link = n->incoming, .bytes = buf_slice(message)};
    assert_true(n->incoming != 0);
    world_step(w, &w->nodes[replica], &e);
    buf_free(message);
}

static void a_state_that_comes_late_takes_nothing_back(void **state)
{
    (void)state;
    struct world *w = form(7, 3, WORLD_LOSES_GRANTS);
    struct buf message = {NULL, 0, 0};
    struct cl_header head;
    assert_true(migrate(w, 0, 2, 0, 99));
    assert_true(grants(w, 1));
    world_cut(w, 0, 2, true);
    const struct cl_shard_state *s = &w->nodes[1].core->shard;
    assert_int_equal(s->nrecords, 1);
    cl_head(w->nodes[0].core, CL_HANDOVER, &head);
    struct cl_handover old = {.say = CL_SAY_STATE, .version = s->version - 1};
    cl_wire_handover(&message, &head, &old, NULL);
    hear(w, 1, 0, &message);
    assert_int_equal(s->nrecords, 1);
    world_run(w, 1000 * MS);
    assert_int_equal(s->nrecords, 1);
    world_free(w);
}

static void a_state_that_no_disk_could_keep_is_not_taken(void **state)
{
    (void)state;
    struct world *w = form(9, 3, WORLD_TAKES_GRANTS);
    struct cl_core *c = w->nodes[1].core;
    uint64_t version = c->shard.version, epoch = c->current_epoch;
    for (int i = 0; i < 4; i++) {
        struct buf message = {NULL, 0, 0};
        struct cl_header head;
        struct cl_record r = {.job = world_id(w, 2), .source = world_id(w, 0), .target = world_id(w, 2), .epoch = 9};
        struct cl_handover h = {.say = CL_SAY_STATE, .version = version + 1, .records = 1};
        if (i == 0)
            r.epoch = CL_EPOCH_MAX;
        else if (i == 1)
            memset(&r.job, 0, sizeof r.job);
        else if (i == 2)
            memset(&r.target, 0, sizeof r.target);
        else
            h.swap_epoch = CL_EPOCH_MAX;
        cl_head(w->nodes[0].core, CL_HANDOVER, &head);
        cl_wire_handover(&message, &head, &h, &r);
        hear(w, 1, 0, &message);
        assert_int_equal(c->shard.nrecords, 0);
        assert_int_equal(c->shard.version, version);
        assert_int_equal(c->current_epoch, epoch);
    }
    world_free(w);
}

static bool is_ready_to_win(struct world *w, void *arg)
{
    const struct cl_core *c = w->nodes[*(int *)arg].core;
    return cl_is_master(c) && c->promoting;
}

static void nothing_is_dropped_before_the_promotion(void **state)
{
    (void)state;
    int replica = 1;
    struct world *w = form(10, 3, WORLD_TAKES_GRANTS);
    struct cl_core *c = w->nodes[1].core;
    struct buf message = {NULL, 0, 0};
    struct cl_header head;
    world_kill(w, 0);
    assert_true(world_until(w, is_ready_to_win, &replica, 5000 * MS));
    /* Somebody claims one of its slots in that moment. */
    uint8_t slots[CL_SLOT_BYTES] = {0};
    cl_bit_set(slots, SLOT);
    struct cl_id by = world_id(w, 2);
    cl_head(w->nodes[4].core, CL_UPDATE, &head);
    cl_wire_update(&message, &head, c->current_epoch + 10, &by, slots);
    hear(w, 1, 4, &message);
    assert_true(c->promoting);
    assert_false(cl_bit(w->nodes[1].dropped, SLOT));
    assert_true(world_until(w, is_promoted, &replica, 1000 * MS));
    assert_true(cl_bit(w->nodes[1].dropped, SLOT));
    world_free(w);
}

static void whoever_was_counted_long_ago_does_not_stand(void **state)
{
    (void)state;
    struct world *w = form(8, 3, WORLD_TAKES_GRANTS);
    struct cl_core *c = w->nodes[1].core;
    struct buf message = {NULL, 0, 0};
    struct cl_header head;
    int64_t then = c->now_us;
    assert_true(cl_state_known(c));
    cl_head(w->nodes[0].core, CL_PONG, &head);
    cl_wire_begin(&message, &head);
    struct cl_state_told told = {.version = c->shard.version, .counted = true, .stamp = (uint64_t)then};
    cl_wire_put_state(&message, &told);
    cl_wire_end(&message);
    cut_from_all_but(w, 1, 1, true);
    world_run(w, 60000 * MS);
    assert_false(cl_state_known(c));
    /* It has waited all the time in a socket. */
    hear(w, 1, 0, &message);
    assert_false(cl_state_known(c));
    cut_from_all_but(w, 1, 1, false);
    world_run(w, 5000 * MS);
    assert_true(cl_state_known(c));
    world_free(w);
}

static void open_asking(struct world *w, int source, int target, uint64_t epoch)
{
    struct cl_core *c = w->nodes[source].core;
    struct cl_record r = {.source = world_id(w, source), .target = world_id(w, target), .epoch = epoch};
    cl_id_draw(&w->rng, &r.job);
    cl_bit_set(r.slots, SLOT);
    cl_record_open(c, &r);
    cl_record_find(c, &r.job)->ask_us = c->now_us;
}

/* 0 gave the slot to 2, which has it to give back. Of the latter, and of the end of its own record, 0 has lost all with
 * its disk: each waits for the other's claim. */
static void a_later_record_answers_for_an_earlier_one(void **state)
{
    (void)state;
    struct world *w = form(9, 3, WORLD_TAKES_GRANTS);
    struct cl_core *zero = w->nodes[0].core;
    int nodes[2] = {0, 2};
    assert_true(migrate(w, 0, 2, SLOT, SLOT));
    assert_true(reaches(w, 2, CL_JOB_SUCCESS, 3000 * MS));
    assert_true(world_until(w, world_agrees, NULL, 5000 * MS));
    uint64_t taken = w->nodes[2].core->me->config_epoch;
    open_asking(w, 2, 0, taken + 5);
    world_cut(w, 0, 2, true);
    world_run(w, 500 * MS);
    cl_slot_give(zero, SLOT, zero->me);
    open_asking(w, 0, 2, taken);
    world_cut(w, 0, 2, false);
    for (int i = 0; i < 2; i++)
        assert_true(world_until(w, has_no_record, &nodes[i], 10000 * MS));
    assert_true(world_until(w, world_agrees, NULL, 5000 * MS));
    assert_int_equal(world_owner(w, 4, SLOT), 2);
    assert_true(claims(w, 2, SLOT));
    assert_false(claims(w, 0, SLOT));
    world_free(w);
}

/* The first gives slots to the source, which gives them on; the target does not hear that it was granted them. */
static void go_on_and_lose_the_grant(struct world *w, int first, int source, int target)
{
    assert_true(migrate(w, first, source, 16000, 16099));
    assert_true(reaches(w, source, CL_JOB_SUCCESS, 3000 * MS));
    world_run(w, 300 * MS);
    w->data = WORLD_LOSES_GRANTS;
    uint64_t sent = w->grants;
    assert_true(migrate(w, source, target, 16000, 16099));
    assert_true(grants(w, sent + 1));
}

/* The target has lost what it knew, and takes for the owner one that had the slots before the source: that one has a
 * higher epoch by now, and does not claim them. They have not moved on from the target, which never had them. */
static void an_earlier_owner_is_no_later_one(void **state)
{
    (void)state;
    int source = 0, target = 2, first = 4;
    struct world *w = form(9, 3, WORLD_TAKES_GRANTS);
    struct buf old = {NULL, 0, 0};
    buf_put(&old, w->nodes[target].disk.p, w->nodes[target].disk.n);
    go_on_and_lose_the_grant(w, first, source, target);
    world_kill(w, target);
    buf_clear(&w->nodes[target].disk);
    buf_put(&w->nodes[target].disk, old.p, old.n);
    while (w->nodes[first].core->me->config_epoch < w->nodes[source].core->shard.records[0].r.epoch)
        assert_true(world_command(w, first, &(struct cl_command){.verb = CL_BUMPEPOCH}));
    world_start(w, target);
    assert_true(world_until(w, has_no_record, &source, 10000 * MS));
    assert_true(world_until(w, world_agrees, NULL, 10000 * MS));
    assert_int_equal(world_owner(w, target, 16000), source);
    buf_free(&old);
    world_free(w);
}

/* The same of who stands in the target's place by force, with a disk from before. */
static void an_heir_takes_no_earlier_owner_for_a_later_one(void **state)
{
    (void)state;
    int source = 0, target = 2, heir = 3, first = 4;
    struct world *w = form(10, 3, WORLD_TAKES_GRANTS);
    struct buf old = {NULL, 0, 0};
    buf_put(&old, w->nodes[heir].disk.p, w->nodes[heir].disk.n);
    go_on_and_lose_the_grant(w, first, source, target);
    world_kill(w, target);
    world_kill(w, heir);
    buf_clear(&w->nodes[heir].disk);
    buf_put(&w->nodes[heir].disk, old.p, old.n);
    buf_free(&old);
    while (w->nodes[first].core->me->config_epoch < w->nodes[source].core->shard.records[0].r.epoch)
        assert_true(world_command(w, first, &(struct cl_command){.verb = CL_BUMPEPOCH}));
    world_run(w, 500 * MS);
    world_start(w, heir);
    world_run(w, 500 * MS);
    assert_true(world_command(w, heir, &(struct cl_command){.verb = CL_FAILOVER, .takeover = true}));
    assert_true(world_until(w, has_no_record, &source, 15000 * MS));
    world_run(w, 2000 * MS);
    assert_true(claims(w, source, 16000));
    assert_int_equal(world_owner(w, heir, 16000), source);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_that_gives_all_its_slots_has_succeeded),
        cmocka_unit_test(a_source_stays_while_one_target_is_silent),
        cmocka_unit_test(slots_that_moved_on_do_not_come_back),
        cmocka_unit_test(a_successor_does_not_take_what_its_master_gave_away),
        cmocka_unit_test(of_two_masters_of_the_source_one_is_left),
        cmocka_unit_test(a_version_that_reached_no_disk_stops_no_successor),
        cmocka_unit_test(nobody_takes_slots_in_a_minority),
        cmocka_unit_test(a_state_that_comes_late_takes_nothing_back),
        cmocka_unit_test(a_state_that_no_disk_could_keep_is_not_taken),
        cmocka_unit_test(nothing_is_dropped_before_the_promotion),
        cmocka_unit_test(a_later_record_answers_for_an_earlier_one),
        cmocka_unit_test(whoever_was_counted_long_ago_does_not_stand),
        cmocka_unit_test(an_earlier_owner_is_no_later_one),
        cmocka_unit_test(an_heir_takes_no_earlier_owner_for_a_later_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
