/* Hand-overs that come to nothing: how soon their source hears of it, and what it has again. */
#include "tests/unit/cluster/moves.h"
#include "tests/unit/cluster/world.h"

#include "noded/cluster/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000)
#define SLOT 7

/* Five masters with a replica each: node 2 * i is a master, and the next its replica. */
static struct world *form(uint64_t seed)
{
    struct world *w = world_new(seed, 10, 1000);
    assert_true(world_form(w, 5, 1));
    world_run(w, 2000 * MS);
    return w;
}

/* A hundred slots of 0, to 2, which has not heard of it yet. */
static void grant(struct world *w)
{
    w->data = WORLD_LOSES_GRANTS;
    assert_true(migrate(w, 0, 2, 0, 99));
    assert_true(reaches(w, 0, CL_JOB_GRANTED, 2000 * MS));
}

/* Source and target, with their replicas, do not hear each other. */
static void cut(struct world *w, bool cut)
{
    for (int i = 0; i < 2; i++)
        for (int k = 2; k < 4; k++)
            world_cut(w, i, k, cut);
}

static bool is_promoted(struct world *w, void *arg)
{
    return w->nodes[*(int *)arg].promotions > 0;
}

static bool claims(const struct world *w, int node, int slot)
{
    const struct cl_core *c = w->nodes[node].core;
    return cl_is_master(c) && cl_bit(c->claim.slots, slot);
}

/* The source's successor was restarted, and found keys of slots that it does not own: it imports them. When they are
 * its own again, it would believe nobody who has them by a newer claim. */
static void what_has_come_back_is_imported_no_more(void **state)
{
    (void)state;
    int successor = 1;
    struct world *w = form(1);
    grant(w);
    uint8_t keys[CL_SLOT_BYTES] = {0};
    cut(w, true);
    world_kill(w, 0);
    assert_true(world_until(w, is_promoted, &successor, 8000 * MS));
    world_kill(w, successor);
    world_start(w, successor);
    struct cl_core *c = w->nodes[successor].core;
    cl_bit_set(keys, SLOT);
    assert_int_equal(cl_core_claim(c, keys), 1);
    assert_non_null(cl_open_find(c, SLOT, true));
    cut(w, false);
    assert_true(world_until(w, has_no_record, &successor, 10000 * MS));
    assert_true(claims(w, successor, SLOT));
    assert_int_equal(c->nopen, 0);
    w->data = WORLD_TAKES_GRANTS;
    world_start(w, 0);
    assert_true(world_until(w, world_agrees, NULL, 15000 * MS));
    assert_true(migrate(w, successor, 4, 0, 99));
    assert_true(reaches(w, 4, CL_JOB_SUCCESS, 3000 * MS));
    assert_true(world_until(w, world_agrees, NULL, 5000 * MS));
    assert_int_equal(world_owner(w, successor, SLOT), 4);
    world_free(w);
}

/* An operator has given one of the slots to the target, which refuses the others all the same. */
static void what_the_target_has_in_another_way_is_no_answer_for_the_rest(void **state)
{
    (void)state;
    int source = 0;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct world *w = form(seed);
        grant(w);
        uint8_t one[CL_SLOT_BYTES] = {0};
        cut(w, true);
        world_kill(w, 2);
        world_start(w, 2); /* without the job */
        cl_bit_set(one, SLOT);
        assert_true(world_command(w, 2, &(struct cl_command){.verb = CL_DELSLOTS, .slots = one}));
        assert_true(world_command(w, 2, &(struct cl_command){.verb = CL_ADDSLOTS, .slots = one}));
        cut(w, false);
        assert_true(world_until(w, has_no_record, &source, 15000 * MS));
        assert_true(world_until(w, world_agrees, NULL, 15000 * MS));
        assert_int_equal(last_job(w, 0)->state, CL_JOB_FAILED);
        assert_int_equal(world_owner(w, 4, SLOT), 2);
        assert_int_equal(world_owner(w, 4, SLOT + 1), 0);
        assert_true(claims(w, 0, SLOT + 1));
        assert_true(cl_bit(w->nodes[0].dropped, SLOT));
        assert_false(cl_bit(w->nodes[0].dropped, SLOT + 1));
        world_free(w);
    }
}

/* What the target has never begun to take no replica of it can take in its place. So the source does not wait until
 * one that is gone may not be promoted any more, while its writes are refused: the target was restarted, and does not
 * know what that one knows. */
static void a_replica_that_is_gone_holds_up_no_refusal(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct world *w = form(seed);
        assert_true(migrate(w, 4, 2, 7000, 7009)); /* this shard has had something to know */
        assert_true(reaches(w, 4, CL_JOB_SUCCESS, 3000 * MS));
        grant(w);
        world_kill(w, 2);
        world_kill(w, 3);
        world_start(w, 2);
        assert_true(reaches(w, 0, CL_JOB_FAILED, 2000 * MS));
        assert_true(claims(w, 0, SLOT));
        world_free(w);
    }
}

/* But one that has heard that the target takes the slots would take them too. */
static void a_replica_that_knows_of_it_does(void **state)
{
    (void)state;
    int replica = 3;
    struct world *w = form(3);
    assert_true(migrate(w, 0, 2, 0, 99));
    assert_true(reaches(w, 2, CL_JOB_GRANTED, 2000 * MS));
    assert_true(world_until(w, has_a_record, &replica, 1000 * MS));
    assert_int_equal(w->nodes[2].core->shard.nrecords, 1); /* it has not heard yet that its replica knows */
    world_kill(w, 2);
    world_kill(w, replica);
    world_start(w, 2);
    assert_true(w->nodes[2].core->refused_epoch > 0);
    for (int i = 0; i < 50; i++) {
        world_run(w, 100 * MS);
        assert_false(claims(w, 0, SLOT));
    }
    world_start(w, replica);
    assert_true(world_until(w, world_agrees, NULL, 15000 * MS));
    world_free(w);
}

static void a_reset_does_not_hide_what_replicas_know(void **state)
{
    (void)state;
    int replica = 3;
    struct world *w = form(4);
    assert_true(migrate(w, 0, 2, 0, 99));
    assert_true(reaches(w, 2, CL_JOB_GRANTED, 2000 * MS));
    assert_true(world_until(w, has_a_record, &replica, 1000 * MS));
    struct cl_core *c = w->nodes[2].core;
    uint64_t epoch = c->shard.records[0].r.epoch;
    assert_true(epoch > c->untaken_epoch);
    assert_true(world_command(w, 2, &(struct cl_command){.verb = CL_RESET}));
    assert_int_equal(c->shard.nrecords, 0);
    assert_int_equal(c->untaken_epoch, epoch);
    world_free(w);
}

/* The target is gone for good, and was forgotten before the source could ask who has its place. */
static void the_heir_of_a_forgotten_target_answers(void **state)
{
    (void)state;
    int source = 0, heir = 3;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct world *w = form(seed);
        char text[CL_ID_DIGITS + 1];
        struct cl_id target = world_id(w, 2);
        grant(w);
        cut(w, true);
        world_kill(w, 2);
        assert_true(world_until(w, is_promoted, &heir, 8000 * MS));
        world_run(w, 1000 * MS);
        for (int i = 0; i < w->nnodes; i++)
            if (i != 2 && cl_node_find(w->nodes[i].core, &target) != NULL)
                assert_true(world_command(
                    w, i, &(struct cl_command){.verb = CL_FORGET, .node = slice_of(cl_id_text(&target, text))}));
        assert_true(has_a_record(w, &source));
        if (seed % 2 == 0) { /* its disk says which shard the target's was */
            world_kill(w, source);
            world_start(w, source);
        }
        cut(w, false);
        assert_true(world_until(w, has_no_record, &source, 10000 * MS));
        assert_true(world_until(w, world_agrees, NULL, 15000 * MS));
        assert_true(claims(w, source, SLOT));
        world_free(w);
    }
}

/* A replica that has come into the shard since has never heard of the target. */
static void replicas_hear_the_shard_of_a_target(void **state)
{
    (void)state;
    struct cl_message m;
    struct cl_record told[2] = {{.epoch = 3}, {.epoch = 4, .taking = true}}, heard;
    struct cl_header head = {.type = CL_HANDOVER, .sender = {{1}}};
    struct cl_handover h = {.say = CL_SAY_STATE, .records = 2};
    struct buf bytes = {0};
    const char *why;
    memset(told[0].shard.b, 5, sizeof told[0].shard.b);
    cl_wire_handover(&bytes, &head, &h, told);
    assert_int_equal(cl_wire_read(bytes.p, bytes.n, &m, &why), CL_READ_OK);
    for (size_t i = 0; i < 2; i++) {
        cl_wire_record(&m, i, &heard);
        assert_true(cl_id_eq(&heard.shard, &told[i].shard));
        assert_int_equal(heard.epoch, told[i].epoch);
    }
    /* Who tells none says nothing of it. */
    m.records.n -= 2 * sizeof told[0].shard.b;
    cl_wire_record(&m, 0, &heard);
    assert_true(cl_id_is_none(&heard.shard));
    buf_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_come_back_is_imported_no_more),
        cmocka_unit_test(what_the_target_has_in_another_way_is_no_answer_for_the_rest),
        cmocka_unit_test(a_replica_that_is_gone_holds_up_no_refusal),
        cmocka_unit_test(a_replica_that_knows_of_it_does),
        cmocka_unit_test(the_heir_of_a_forgotten_target_answers),
        cmocka_unit_test(replicas_hear_the_shard_of_a_target),
        cmocka_unit_test(a_reset_does_not_hide_what_replicas_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
