/* Masters that were replaced by force: what becomes of the hand-overs that they know of, and of themselves. */
#include "tests/unit/cluster/moves.h"
#include "tests/unit/cluster/world.h"

#include "noded/cluster/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000)
#define SLOT 7

static struct world *form(uint64_t seed)
{
    struct world *w = world_new(seed, 6, 1000);
    assert_true(world_form(w, 3, 1));
    world_run(w, 2000 * MS);
    return w;
}

static void cut_pair(struct world *w, int a, int b, bool cut)
{
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2; k++)
            world_cut(w, a + i, b + k, cut);
}

static bool is_granted(struct world *w, void *unused)
{
    (void)unused;
    return w->grants > 0;
}

static bool is_replica(struct world *w, void *arg)
{
    return !cl_is_master(w->nodes[*(int *)arg].core);
}

static bool takes_over(struct world *w, int node)
{
    return world_command(w, node, &(struct cl_command){.verb = CL_FAILOVER, .takeover = true});
}

/* The replica of a source comes back with what its disk had before the hand-over, and is made the master. It knows that
 * the slots are not claimed, and not why. */
static void replaced_without_a_word(struct world *w)
{
    struct buf old = {NULL, 0, 0};
    struct world_node *replica = &w->nodes[1];
    struct cl_id source = world_id(w, 0);
    buf_put(&old, replica->disk.p, replica->disk.n);
    assert_true(migrate(w, 0, 2, 0, 99));
    assert_true(world_until(w, is_granted, NULL, 2000 * MS));
    cut_pair(w, 0, 2, true);
    world_cut(w, 0, 1, true);
    world_kill(w, 1);
    buf_clear(&replica->disk);
    buf_put(&replica->disk, old.p, old.n);
    buf_free(&old);
    world_start(w, 1);
    cl_slots_not_claimed(replica->core, cl_node_find(replica->core, &source), w->nodes[0].core->claim.slots);
    assert_true(takes_over(w, 1));
    assert_int_equal(replica->core->shard.nrecords, 0);
}

static void who_replaced_a_source_by_force_asks_in_its_place(void **state)
{
    (void)state;
    int source = 0, successor = 1;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct world *w = form(seed);
        w->data = WORLD_LOSES_GRANTS;
        replaced_without_a_word(w);
        world_cut(w, 0, 1, false);
        assert_true(world_until(w, has_a_record, &successor, 8000 * MS));
        assert_true(world_until(w, is_replica, &source, 8000 * MS));
        assert_false(cl_bit(w->nodes[1].core->claim.slots, SLOT));
        cut_pair(w, 0, 2, false);
        assert_true(world_until(w, world_agrees, NULL, 15000 * MS));
        assert_int_equal(world_owner(w, 4, SLOT), 1);
        assert_int_equal(w->nodes[1].core->shard.nrecords, 0);
        world_free(w);
    }
}

/* It does not even know that the slots were its master's: its disk says whose they were before. That one has got a new
 * epoch since, for what it has still. */
static void an_owner_from_before_has_not_taken_the_slots(void **state)
{
    (void)state;
    int source = 0, successor = 1, before = 4;
    struct world *w = form(22);
    w->data = WORLD_LOSES_GRANTS;
    replaced_without_a_word(w);
    struct cl_core *c = w->nodes[successor].core;
    struct cl_id id = world_id(w, before);
    struct cl_node *owner = cl_node_find(c, &id);
    struct cl_effects fx = {NULL, 0, 0};
    c->fx = &fx;
    for (int slot = 0; slot < 100; slot++)
        cl_slot_give(c, slot, owner);
    c->fx = NULL;
    cl_effects_free(&fx);
    while (w->nodes[before].core->me->config_epoch < w->nodes[source].core->shard.records[0].r.epoch)
        assert_true(world_command(w, before, &(struct cl_command){.verb = CL_BUMPEPOCH}));
    world_run(w, 2000 * MS);
    assert_true(owner->config_epoch >= w->nodes[source].core->shard.records[0].r.epoch);
    assert_int_equal(world_owner(w, successor, SLOT), before);
    world_cut(w, 0, 1, false);
    assert_true(world_until(w, has_a_record, &successor, 8000 * MS));
    assert_true(world_until(w, is_replica, &source, 8000 * MS));
    cut_pair(w, 0, 2, false);
    assert_true(world_until(w, world_agrees, NULL, 15000 * MS));
    assert_int_equal(world_owner(w, before, SLOT), successor);
    world_free(w);
}

static void what_its_target_took_is_the_target_s(void **state)
{
    (void)state;
    struct world *w = form(11);
    w->data = WORLD_TAKES_GRANTS;
    replaced_without_a_word(w);
    world_cut(w, 0, 1, false);
    world_run(w, 4000 * MS);
    cut_pair(w, 0, 2, false);
    assert_true(world_until(w, world_agrees, NULL, 15000 * MS));
    assert_int_equal(world_owner(w, 4, SLOT), 2);
    assert_int_equal(w->nodes[1].core->shard.nrecords, 0);
    world_free(w);
}

static void a_master_without_slots_follows_who_has_those_of_its_shard(void **state)
{
    (void)state;
    int old = 0;
    uint8_t slots[CL_SLOT_BYTES];
    struct world *w = form(12);
    for (int i = 1; i < 6; i++)
        world_cut(w, 0, i, true);
    assert_true(takes_over(w, 1));
    /* It gives up by itself what the other one claims: there is nothing left to be taken from it. */
    memcpy(slots, w->nodes[0].core->me->slots, sizeof slots);
    assert_true(world_command(w, 0, &(struct cl_command){.verb = CL_DELSLOTS, .slots = slots}));
    assert_int_equal(w->nodes[0].core->me->nslots, 0);
    for (int i = 1; i < 6; i++)
        world_cut(w, 0, i, false);
    assert_true(world_until(w, is_replica, &old, 15000 * MS));
    assert_true(world_until(w, world_agrees, NULL, 15000 * MS));
    assert_int_equal(world_owner(w, 0, SLOT), 1);
    world_free(w);
}

static bool shares_its_shard(struct world *w, void *arg)
{
    const struct cl_id *shard = &w->nodes[0].core->me->shard;
    (void)arg;
    return cl_id_eq(&w->nodes[1].core->me->shard, shard) && !cl_id_is_none(shard);
}

static void a_replica_hears_the_name_of_its_shard(void **state)
{
    (void)state;
    struct world *w = form(13);
    assert_true(shares_its_shard(w, NULL));
    memset(&w->nodes[1].core->me->shard, 0, sizeof(struct cl_id));
    assert_true(world_until(w, shares_its_shard, NULL, 3000 * MS));
    world_free(w);
}

/* Somebody of another shard says that he is of theirs, with slots and a newer epoch. */
static void joins_the_shard(struct world *w, int node, int whose)
{
    struct cl_core *c = w->nodes[node].core;
    assert_true(c->me->config_epoch > w->nodes[whose].core->me->config_epoch);
    c->me->shard = w->nodes[whose].core->me->shard;
    cl_durable(c);
}

static void a_target_with_slots_speaks_for_itself(void **state)
{
    (void)state;
    struct world *w = form(14);
    assert_true(takes_over(w, 5));
    assert_true(world_until(w, world_agrees, NULL, 5000 * MS));
    w->data = WORLD_LOSES_GRANTS;
    assert_true(migrate(w, 0, 2, 0, 99));
    assert_true(world_until(w, is_granted, NULL, 2000 * MS));
    cut_pair(w, 0, 2, true);
    joins_the_shard(w, 5, 2);
    for (int i = 0; i < 30; i++) {
        world_run(w, 100 * MS);
        assert_int_equal(w->nodes[0].core->shard.nrecords, 1);
        assert_false(cl_bit(w->nodes[0].core->claim.slots, SLOT));
    }
    cut_pair(w, 0, 2, false);
    assert_true(world_until(w, world_agrees, NULL, 15000 * MS));
    assert_int_equal(world_owner(w, 4, SLOT), 0);
    world_free(w);
}

static void two_masters_with_slots_are_two_shards(void **state)
{
    (void)state;
    struct world *w = form(15);
    assert_true(takes_over(w, 5));
    assert_true(world_until(w, world_agrees, NULL, 5000 * MS));
    joins_the_shard(w, 5, 2);
    struct cl_id name = w->nodes[2].core->me->shard;
    world_run(w, 6000 * MS);
    assert_true(cl_id_eq(&w->nodes[5].core->me->shard, &name));
    assert_false(cl_id_eq(&w->nodes[2].core->me->shard, &name));
    assert_true(cl_id_eq(&w->nodes[2].core->me->shard, &w->nodes[3].core->me->shard));
    assert_true(cl_state_agreed(w->nodes[2].core));
    world_free(w);
}

static void a_source_that_claims_its_slots_again_has_the_answer(void **state)
{
    (void)state;
    int master = 0, slot = 6000;
    struct world *w = form(16);
    struct cl_core *c = w->nodes[0].core;
    struct cl_record r = {.source = world_id(w, 2), .target = world_id(w, 4), .epoch = 100};
    cl_id_draw(&w->rng, &r.job);
    cl_bit_set(r.slots, slot);
    assert_int_equal(world_owner(w, 0, slot), 2);
    struct cl_effects fx = {NULL, 0, 0};
    c->fx = &fx;
    struct cl_job *j = cl_job_new(c, &r.job, false, &r.source, &r.target, r.slots);
    cl_job_enter(c, j, CL_JOB_GRANTED, HEAP_NEVER);
    cl_record_open(c, &r);
    c->fx = NULL;
    cl_effects_free(&fx);
    world_run(w, 2000 * MS);
    assert_true(has_a_record(w, &master)); /* its claim is older than the hand-over */
    assert_true(world_command(w, 2, &(struct cl_command){.verb = CL_BUMPEPOCH}));
    assert_true(w->nodes[2].core->me->config_epoch > r.epoch);
    world_run(w, 2000 * MS);
    assert_false(has_a_record(w, &master));
    assert_int_equal(c->jobs[c->njobs - 1]->state, CL_JOB_FAILED);
    assert_int_equal(world_owner(w, 0, slot), 2);
    world_free(w);
}

static void a_shared_epoch_is_raised(void **state)
{
    (void)state;
    struct world *w = form(17);
    struct cl_core *c = w->nodes[0].core;
    struct cl_id other = world_id(w, 2);
    assert_true(world_command(w, 0, &(struct cl_command){.verb = CL_BUMPEPOCH}));
    assert_true(world_command(w, 0, &(struct cl_command){.verb = CL_BUMPEPOCH}));
    assert_memory_equal(w->nodes[0].answer, "STILL", 5);
    cl_node_find(c, &other)->config_epoch = c->me->config_epoch;
    assert_true(world_command(w, 0, &(struct cl_command){.verb = CL_BUMPEPOCH}));
    assert_memory_equal(w->nodes[0].answer, "BUMPED", 6);
    world_free(w);
}

/* The target has become a replica of the source, and somebody else is the master of what was its shard. */
static void who_was_left_behind_by_the_target_is_asked(void **state)
{
    (void)state;
    for (int took = 0; took < 2; took++) {
        struct world *w = form(18);
        struct cl_core *c = w->nodes[0].core;
        w->data = WORLD_LOSES_GRANTS;
        assert_true(migrate(w, 0, 2, 0, 99));
        assert_true(world_until(w, is_granted, NULL, 2000 * MS));
        world_cut(w, 0, 2, true);
        world_cut(w, 0, 3, true); /* it does not hear what becomes of the slots */
        assert_true(takes_over(w, 3));
        world_run(w, 300 * MS);
        if (took) { /* in place of its master, who was granted them */
            uint8_t slots[CL_SLOT_BYTES] = {0};
            for (int slot = 0; slot < 100; slot++)
                cl_bit_set(slots, slot);
            struct cl_core *other = w->nodes[3].core;
            while (other->current_epoch < c->shard.records[0].r.epoch)
                assert_true(world_command(w, 3, &(struct cl_command){.verb = CL_BUMPEPOCH}));
            for (int slot = 0; slot < 100; slot++)
                cl_slot_give(other, slot, other->me);
            assert_true(cl_bump_epoch(other, true));
        }
        assert_true(world_replicate(w, 2, 0));
        world_cut(w, 0, 2, false);
        for (int i = 0; i < 30; i++) {
            world_run(w, 100 * MS);
            assert_false(cl_bit(c->claim.slots, SLOT));
        }
        world_cut(w, 0, 3, false);
        int source = 0;
        assert_true(world_until(w, has_no_record, &source, 5000 * MS));
        assert_true(world_until(w, world_agrees, NULL, 15000 * MS));
        assert_int_equal(world_owner(w, 4, SLOT), took ? 3 : 0);
        world_free(w);
    }
}

static bool does_not_know(struct world *w, void *arg)
{
    return !cl_state_known(w->nodes[*(int *)arg].core);
}

static void force_is_refused_while_a_hand_over_is_open(void **state)
{
    (void)state;
    int replica = 1;
    for (int open = 0; open < 2; open++) {
        struct world *w = form(19);
        struct cl_settings s = w->settings;
        s.no_failover = true;
        world_settings(w, 1, &s);
        world_run(w, 500 * MS);
        w->data = WORLD_LOSES_GRANTS;
        if (open) {
            assert_true(migrate(w, 0, 2, 0, 99));
            assert_true(world_until(w, is_granted, NULL, 30000 * MS));
            cut_pair(w, 0, 2, true);
            assert_int_equal(w->nodes[1].core->shard.nrecords, 1);
        }
        world_kill(w, 0);
        assert_true(world_until(w, does_not_know, &replica, 60000 * MS));
        struct cl_command force = {.verb = CL_FAILOVER, .force = true};
        assert_int_equal(world_command(w, 1, &force), open == 0);
        assert_true(open == 0 || strstr(w->nodes[1].answer, "ERR A hand-over of slots") != NULL);
        if (open)
            assert_true(takes_over(w, 1));
        world_free(w);
    }
}

static void reset_forgets_the_mapping(void **state)
{
    (void)state;
    for (int node = 0; node < 2; node++) {
        struct world *w = form(20);
        struct cl_command all = {.verb = CL_FLUSHSLOTS};
        w->nodes[node].mapping_epoch = w->nodes[0].mapping_epoch = 7;
        world_run(w, 100 * MS);
        assert_true(node != 0 || world_command(w, 0, &all));
        assert_true(world_command(w, node, &(struct cl_command){.verb = CL_RESET}));
        assert_int_equal(w->nodes[node].mapping_epoch, 0);
        world_free(w);
    }
}

/* Its link to the target's data has gone between the answer to DRAIN and the record; all was there before. */
static bool knows_it_is_taking(struct world *w, void *unused)
{
    (void)unused;
    return w->nodes[3].core->shard.nrecords == 1;
}

static bool is_promoted(struct world *w, void *arg)
{
    return w->nodes[*(int *)arg].promotions > 0;
}

static void a_replica_without_its_link_takes_the_slots(void **state)
{
    (void)state;
    int replica = 3;
    struct world *w = form(21);
    assert_true(migrate(w, 0, 2, 0, 99));
    assert_true(world_until(w, is_granted, NULL, 2000 * MS));
    w->nodes[3].link_up = false;
    w->nodes[3].followed_us = w->now_us + 60000 * MS; /* it does not come back for long */
    assert_true(world_until(w, knows_it_is_taking, NULL, 1000 * MS));
    world_kill(w, 2);
    assert_true(world_until(w, is_promoted, &replica, 8000 * MS));
    assert_true(cl_bit(w->nodes[3].shown, SLOT));
    world_start(w, 2);
    assert_true(world_until(w, world_agrees, NULL, 15000 * MS));
    assert_int_equal(world_owner(w, 0, SLOT), 3);
    world_free(w);
}

/* It was not away, so it never thought that it might have been replaced; and what its successor is handing over just
 * now that one does not claim. */
static void who_was_replaced_keeps_no_slot_that_its_successor_gives_away(void **state)
{
    (void)state;
    struct world *w = form(21);
    struct cl_core *c = w->nodes[0].core;
    struct cl_id id = world_id(w, 1);
    struct cl_node *successor = cl_node_find(c, &id);
    struct cl_effects fx = {NULL, 0, 0};
    uint8_t slots[CL_SLOT_BYTES];
    memcpy(slots, c->me->slots, sizeof slots);
    for (int slot = 0; slot < 100; slot++)
        cl_bit_clear(slots, slot);
    assert_true(cl_is_sure(c));
    c->fx = &fx;
    cl_role_set(c, successor, NULL);
    successor->config_epoch = successor->claim_epoch = 50;
    cl_slots_claimed(c, successor, 50, slots);
    assert_int_equal(c->me->nslots, 0);
    assert_ptr_equal(c->me->master, successor);
    assert_int_equal(world_owner(w, 0, SLOT), 1);
    cl_effects_free(&fx);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_replaced_a_source_by_force_asks_in_its_place),
        cmocka_unit_test(who_was_replaced_keeps_no_slot_that_its_successor_gives_away),
        cmocka_unit_test(an_owner_from_before_has_not_taken_the_slots),
        cmocka_unit_test(what_its_target_took_is_the_target_s),
        cmocka_unit_test(a_master_without_slots_follows_who_has_those_of_its_shard),
        cmocka_unit_test(a_replica_hears_the_name_of_its_shard),
        cmocka_unit_test(a_target_with_slots_speaks_for_itself),
        cmocka_unit_test(two_masters_with_slots_are_two_shards),
        cmocka_unit_test(a_source_that_claims_its_slots_again_has_the_answer),
        cmocka_unit_test(a_shared_epoch_is_raised),
        cmocka_unit_test(who_was_left_behind_by_the_target_is_asked),
        cmocka_unit_test(force_is_refused_while_a_hand_over_is_open),
        cmocka_unit_test(reset_forgets_the_mapping),
        cmocka_unit_test(a_replica_without_its_link_takes_the_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
