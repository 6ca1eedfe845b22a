/* SETSLOT between cores: who takes a slot by hand asks its owner first whether it would cost keys. */
#include "tests/unit/cluster/world.h"

#include "noded/cluster/redirect.h"
#include "noded/cluster/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000)
#define NT_MS 1000
#define SLOT 7 /* of node 0 */

static struct world *form(uint64_t seed, int replicas)
{
    struct world *w = world_new(seed, 3 * (replicas + 1), NT_MS);
    assert_true(world_form(w, 3, replicas));
    world_run(w, 2000 * MS);
    return w;
}

/* Names of nodes, that stay good. */
static const char *name(const struct world *w, int node)
{
    static char text[WORLD_NODES][CL_ID_DIGITS + 1];
    struct cl_id id = world_id(w, node);
    return cl_id_text(&id, text[node]);
}

static struct cl_command setslot(const struct world *w, enum cl_verb verb, int node)
{
    return (struct cl_command){.verb = verb, .slot = SLOT, .node = slice_of(name(w, node))};
}

static bool command(struct world *w, int at, enum cl_verb verb, int node)
{
    struct cl_command m = setslot(w, verb, node);
    return world_command(w, at, &m);
}

static void open_both(struct world *w, int source, int target)
{
    assert_true(command(w, target, CL_SETSLOT_IMPORTING, source));
    assert_true(command(w, source, CL_SETSLOT_MIGRATING, target));
}

static void answer_is(const struct world *w, int node, const char *fmt, const char *who)
{
    char expected[256];
    const char *at = strstr(fmt, "<who>");
    assert_non_null(at);
    snprintf(expected, sizeof expected, "%.*s%s%s", (int)(at - fmt), fmt, who, at + 5);
    assert_string_equal(w->nodes[node].answer, expected);
}

static const char holds[] = "ERR Can't take hash slot 7: node <who> still holds 3 keys of it";
static const char silent[] = "ERR Node <who> does not say whether it still holds keys of hash slot 7: try again";

static bool nobody_waits(const struct world *w, int node)
{
    return w->nodes[node].core->nkeys_asks == 0;
}

static void keys_keep_a_slot_where_it_is(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world *w = form(seed, 0);
        open_both(w, 0, 1);
        w->nodes[0].keys = 3;
        uint64_t epoch = w->nodes[1].core->me->config_epoch;
        assert_false(command(w, 1, CL_SETSLOT_NODE, 1));
        answer_is(w, 1, holds, name(w, 0));
        world_run(w, 2000 * MS);
        assert_int_equal(w->nodes[1].core->me->config_epoch, epoch);
        for (int i = 0; i < 3; i++)
            assert_int_equal(world_owner(w, i, SLOT), 0);
        assert_non_null(cl_open_find(w->nodes[1].core, SLOT, true));
        assert_false(cl_bit(w->nodes[0].dropped, SLOT));
        /* When they are gone it goes on where it stood. */
        w->nodes[0].keys = 0;
        assert_true(command(w, 1, CL_SETSLOT_NODE, 1));
        assert_true(w->nodes[1].core->claim.config_epoch > epoch);
        assert_true(world_until(w, world_agrees, NULL, 3000 * MS));
        assert_int_equal(world_owner(w, 2, SLOT), 1);
        assert_true(nobody_waits(w, 1));
        world_free(w);
    }
}

static void who_says_nothing_keeps_it_too(void **state)
{
    (void)state;
    struct world *w = form(2, 0);
    open_both(w, 0, 1);
    w->nodes[0].counts_not = true;
    int64_t before_us = w->now_us;
    assert_false(command(w, 1, CL_SETSLOT_NODE, 1));
    answer_is(w, 1, silent, name(w, 0));
    assert_in_range(w->now_us - before_us, NT_MS * MS / 2, NT_MS * MS / 2 + 10 * MS);
    assert_int_equal(world_owner(w, 1, SLOT), 0);
    world_free(w);
}

/* An answer to an older question says how it was then. */
static void a_late_answer_is_none(void **state)
{
    (void)state;
    struct world *w = form(3, 0);
    struct cl_command m = setslot(w, CL_SETSLOT_NODE, 1);
    struct cl_event ask = {.kind = CL_EV_COMMAND, .token = 1, .command = &m};
    open_both(w, 0, 1);
    w->nodes[0].counts_not = true;
    world_step(w, &w->nodes[1], &ask);
    assert_int_equal(w->nodes[1].core->nkeys_asks, 1);
    struct cl_event late = {.kind = CL_EV_SLOT_KEYS, .node = world_id(w, 1), .slot = SLOT};
    late.token = w->nodes[1].core->keys_asks[0].question;
    world_run(w, 600 * MS);
    answer_is(w, 1, silent, name(w, 0));
    world_step(w, &w->nodes[1], &ask);
    uint64_t question = w->nodes[1].core->keys_asks[0].question;
    assert_true(question != late.token);
    world_step(w, &w->nodes[0], &late);
    world_run(w, 100 * MS);
    assert_int_equal(w->nodes[1].core->nkeys_asks, 1);
    assert_int_equal(world_owner(w, 1, SLOT), 0);
    /* Nor is one about another slot. */
    late.token = question;
    late.slot = SLOT + 1;
    world_step(w, &w->nodes[0], &late);
    world_run(w, 100 * MS);
    assert_int_equal(w->nodes[1].core->nkeys_asks, 1);
    late.slot = SLOT;
    world_step(w, &w->nodes[0], &late);
    world_run(w, 100 * MS);
    assert_true(nobody_waits(w, 1));
    assert_string_equal(w->nodes[1].answer, "OK");
    assert_int_equal(world_owner(w, 1, SLOT), 1);
    world_free(w);
}

static bool has_failed(struct world *w, void *arg)
{
    const struct cl_node *n = cl_node_find(w->nodes[1].core, arg);
    return cl_has(n, CL_FAILED);
}

static void one_that_is_gone_is_not_asked(void **state)
{
    (void)state;
    struct world *w = form(4, 0);
    struct cl_id id = world_id(w, 0);
    struct cl_command m = setslot(w, CL_SETSLOT_NODE, 1);
    struct cl_event ask = {.kind = CL_EV_COMMAND, .token = 1, .command = &m};
    open_both(w, 0, 1);
    char who[CL_ID_DIGITS + 1];
    cl_id_text(&id, who);
    w->nodes[0].counts_not = true;
    world_step(w, &w->nodes[1], &ask);
    world_kill(w, 0);
    world_run(w, 50 * MS);
    assert_true(nobody_waits(w, 1)); /* at once, not when the time is over */
    answer_is(w, 1, silent, who);
    /* It is not known yet whether it lives. */
    assert_false(world_command(w, 1, &m));
    answer_is(w, 1, silent, who);
    assert_true(world_until(w, has_failed, &id, 10000 * MS));
    assert_true(world_command(w, 1, &m));
    assert_int_equal(world_owner(w, 1, SLOT), 1);
    world_free(w);
}

static bool is_first_of_its_shard(struct world *w, void *arg)
{
    return world_owner(w, 2, SLOT + 1) == *(int *)arg && world_owner(w, 4, SLOT) == *(int *)arg;
}

static void its_successor_is_asked(void **state)
{
    (void)state;
    for (int planned = 0; planned < 2; planned++) {
        struct world *w = form(5, 1); /* 0 and its replica 1, 2 and 3, 4 and 5 */
        int next = 1;
        open_both(w, 0, 2);
        if (planned == 1)
            assert_true(world_command(w, 1, &(struct cl_command){.verb = CL_FAILOVER}));
        else
            world_kill(w, 0);
        w->nodes[1].keys = 3;
        assert_true(world_until(w, is_first_of_its_shard, &next, 10000 * MS));
        world_run(w, 500 * MS);
        /* Keys still come: the slot has an owner where it is imported. */
        const struct cl_request comes = {.slot = SLOT, .keys = 1, .write = true, .asking = true};
        assert_int_equal(world_owner(w, 2, SLOT), 1);
        assert_ptr_equal(cl_open_find(w->nodes[2].core, SLOT, true)->node, cl_owner(w->nodes[2].core, SLOT));
        assert_int_equal(cl_redirect(w->nodes[2].core, &comes, NULL), CL_HERE);
        assert_false(command(w, 2, CL_SETSLOT_NODE, 2));
        answer_is(w, 2, holds, name(w, 1));
        world_run(w, 1000 * MS);
        assert_int_equal(world_owner(w, 4, SLOT), 1);
        assert_false(cl_bit(w->nodes[1].dropped, SLOT));
        w->nodes[1].keys = 0;
        assert_true(command(w, 2, CL_SETSLOT_NODE, 2));
        world_run(w, 1000 * MS);
        assert_int_equal(world_owner(w, 4, SLOT), 2);
        world_free(w);
    }
}

static int answers_given;

static void count_answers(struct world *w, struct world_node *n, const struct cl_effects *fx)
{
    (void)w;
    (void)n;
    for (size_t i = 0; i < fx->n; i++)
        answers_given += fx->v[i].kind == CL_FX_ANSWER && fx->v[i].ok ? 1 : 0;
}

static void two_may_say_it_at_once(void **state)
{
    (void)state;
    struct world *w = form(6, 0);
    struct cl_command m = setslot(w, CL_SETSLOT_NODE, 1);
    open_both(w, 0, 1);
    w->watch = count_answers;
    answers_given = 0;
    for (cl_token token = 1; token <= 5; token++) {
        struct cl_event ask = {.kind = CL_EV_COMMAND, .token = token, .command = &m};
        world_step(w, &w->nodes[1], &ask);
    }
    assert_int_equal(w->nodes[1].core->nkeys_asks, 5);
    world_run(w, 200 * MS);
    assert_int_equal(answers_given, 5);
    assert_true(nobody_waits(w, 1));
    assert_int_equal(world_owner(w, 1, SLOT), 1);
    world_free(w);
}

/* Everybody who waits is answered, whatever becomes of the node meanwhile. */
static void who_waits_is_answered(void **state)
{
    (void)state;
    struct world *w = form(7, 0);
    struct cl_command m = setslot(w, CL_SETSLOT_NODE, 1), reset = {.verb = CL_RESET};
    struct cl_event ask = {.kind = CL_EV_COMMAND, .token = 1, .command = &m};
    open_both(w, 0, 1);
    w->nodes[0].counts_not = true;
    world_step(w, &w->nodes[1], &ask);
    char who[CL_ID_DIGITS + 1];
    memcpy(who, name(w, 0), sizeof who);
    struct cl_event e = {.kind = CL_EV_COMMAND, .token = 0, .command = &reset};
    world_step(w, &w->nodes[1], &e);
    assert_true(nobody_waits(w, 1));
    world_free(w);
}

static enum cl_verdict write_at(const struct world *w, int node)
{
    const struct cl_request r = {.slot = SLOT, .keys = 1, .write = true, .changes = true};
    return cl_redirect(w->nodes[node].core, &r, NULL);
}

static bool is_mine(struct world *w, void *unused)
{
    (void)unused;
    return world_owner(w, 1, SLOT) == 1;
}

/* A crash would give the slot back to its old owner, and with it what had been acknowledged here. */
static void nothing_is_written_to_a_slot_before_the_disk_knows_whose_it_is(void **state)
{
    (void)state;
    for (int crash = 0; crash < 2; crash++) {
        struct world *w = form(14, 0);
        struct cl_command m = setslot(w, CL_SETSLOT_NODE, 1);
        struct cl_event take = {.kind = CL_EV_COMMAND, .token = 1, .command = &m};
        open_both(w, 0, 1);
        w->disk_us = 1000 * MS;
        world_step(w, &w->nodes[1], &take);
        assert_true(world_until(w, is_mine, NULL, 1000 * MS));
        assert_int_equal(write_at(w, 1), CL_WAIT);
        const struct cl_request look = {.slot = SLOT, .keys = 1};
        assert_int_equal(cl_redirect(w->nodes[1].core, &look, NULL), CL_HERE);
        if (crash) {
            world_kill(w, 1);
            world_start(w, 1);
            assert_int_equal(world_owner(w, 1, SLOT), 0);
        } else {
            world_run(w, 5000 * MS);
            assert_int_equal(write_at(w, 1), CL_HERE);
        }
        assert_false(cl_some_slot_held(w->nodes[1].core));
        world_free(w);
    }
}

/* It is told why, as nobody knows how long that will last; and it ends when the disk takes it. */
static void a_slot_that_cannot_be_saved_takes_no_writes(void **state)
{
    (void)state;
    struct world *w = form(15, 0);
    open_both(w, 0, 1);
    w->nodes[1].disk_fails = true;
    assert_false(command(w, 1, CL_SETSLOT_NODE, 1));
    assert_int_equal(world_owner(w, 1, SLOT), 1);
    world_run(w, 3000 * MS);
    assert_int_equal(write_at(w, 1), CL_HELD);
    struct buf text = {0};
    cl_verdict_text(w->nodes[1].core, CL_HELD, SLOT, NULL, &text);
    assert_string_equal(buf_str(&text),
                        "CLUSTERDOWN Hash slot 7 has come to this node, which cannot save that in its cluster node "
                        "config: see its log, and whether its disk is full");
    buf_free(&text);
    w->nodes[1].disk_fails = false;
    world_run(w, 2000 * MS);
    assert_int_equal(write_at(w, 1), CL_HERE);
    assert_false(cl_some_slot_held(w->nodes[1].core));
    world_free(w);
}

static void stock_nodes_are_not_asked(void **state)
{
    (void)state;
    struct world *w = form(8, 0);
    struct cl_id id = world_id(w, 0);
    open_both(w, 0, 1);
    w->nodes[0].counts_not = true;
    cl_node_find(w->nodes[1].core, &id)->ours = false;
    assert_true(command(w, 1, CL_SETSLOT_NODE, 1));
    assert_int_equal(world_owner(w, 1, SLOT), 1);
    world_free(w);
}

static void other_databases_do_not_go_to_stock_nodes(void **state)
{
    (void)state;
    struct world *w = form(9, 0);
    struct cl_id id = world_id(w, 1);
    struct cl_command m = setslot(w, CL_SETSLOT_MIGRATING, 1);
    m.slot_has_keys = m.slot_in_others = true;
    assert_true(world_command(w, 0, &m)); /* it is ours: it may */
    assert_true(command(w, 0, CL_SETSLOT_STABLE, 1));
    cl_node_find(w->nodes[0].core, &id)->ours = false;
    assert_false(world_command(w, 0, &m));
    answer_is(w, 0, "ERR Node <who> knows database 0 only, and other databases hold keys of hash slot 7", name(w, 1));
    assert_int_equal(w->nodes[0].core->nopen, 0);
    cl_node_find(w->nodes[0].core, &id)->ours = false;
    m.slot_in_others = false;
    assert_true(world_command(w, 0, &m));
    world_free(w);
}

/* As redis-cli's fix does it: nobody is asked. What the old owner has stays there, and it shows. */
static void what_is_left_behind_is_kept(void **state)
{
    (void)state;
    for (uint64_t keys = 0; keys <= 3; keys += 3) {
        struct world *w = form(10, 0);
        uint8_t slots[CL_SLOT_BYTES] = {0};
        cl_bit_set(slots, SLOT);
        open_both(w, 0, 1);
        w->nodes[0].keys = keys;
        assert_true(command(w, 1, CL_SETSLOT_STABLE, 1));
        struct cl_command give_up = {.verb = CL_DELSLOTS, .slots = slots}, take = {.verb = CL_ADDSLOTS, .slots = slots};
        struct cl_command bump = {.verb = CL_BUMPEPOCH};
        const struct cl_command *all[] = {&give_up, &take, &bump};
        for (int i = 0; i < 3; i++) {
            struct cl_event e = {.kind = CL_EV_COMMAND, .token = 1, .command = all[i], .more = i < 2};
            world_step(w, &w->nodes[1], &e);
        }
        world_run(w, 1000 * MS);
        for (int i = 0; i < 3; i++)
            assert_int_equal(world_owner(w, i, SLOT), 1);
        assert_false(cl_bit(w->nodes[0].dropped, SLOT));
        const struct cl_open *o = cl_open_find(w->nodes[0].core, SLOT, true);
        assert_true((o != NULL) == (keys > 0));
        assert_null(cl_open_find(w->nodes[0].core, SLOT, false));
        world_free(w);
    }
}

static void what_goes_elsewhere_is_dropped(void **state)
{
    (void)state;
    struct world *w = form(11, 0);
    uint8_t slots[CL_SLOT_BYTES] = {0};
    cl_bit_set(slots, SLOT);
    assert_true(command(w, 0, CL_SETSLOT_MIGRATING, 1)); /* and 2 takes it */
    struct cl_command give_up = {.verb = CL_DELSLOTS, .slots = slots}, take = {.verb = CL_ADDSLOTS, .slots = slots};
    struct cl_command bump = {.verb = CL_BUMPEPOCH};
    const struct cl_command *all[] = {&give_up, &take, &bump};
    for (int i = 0; i < 3; i++) {
        struct cl_event e = {.kind = CL_EV_COMMAND, .token = 1, .command = all[i], .more = i < 2};
        world_step(w, &w->nodes[2], &e);
    }
    world_run(w, 1000 * MS);
    assert_int_equal(world_owner(w, 0, SLOT), 2);
    assert_true(cl_bit(w->nodes[0].dropped, SLOT));
    assert_int_equal(w->nodes[0].core->nopen, 0);
    world_free(w);
}

/* Without a word to the source's shard: SETSLOT NODE at a node that does not import the slot. */
static void who_does_not_import_asks_too(void **state)
{
    (void)state;
    struct world *w = form(12, 0);
    struct cl_command bump = {.verb = CL_BUMPEPOCH};
    assert_true(world_command(w, 1, &bump));
    w->nodes[0].keys = 3;
    assert_false(command(w, 1, CL_SETSLOT_NODE, 1));
    answer_is(w, 1, holds, name(w, 0));
    world_run(w, 1000 * MS);
    assert_int_equal(world_owner(w, 1, SLOT), 0);
    assert_false(cl_bit(w->nodes[0].dropped, SLOT));
    w->nodes[0].keys = 0;
    assert_true(command(w, 1, CL_SETSLOT_NODE, 1));
    world_run(w, 1000 * MS);
    assert_int_equal(world_owner(w, 0, SLOT), 1);
    world_free(w);
}

/* SETSLOT, ADDSLOTS and a new epoch in one step, as redis-cli's fix does it. */
static void grab(struct world *w, int node)
{
    uint8_t slots[CL_SLOT_BYTES] = {0};
    cl_bit_set(slots, SLOT);
    struct cl_command give_up = {.verb = CL_DELSLOTS, .slots = slots}, take = {.verb = CL_ADDSLOTS, .slots = slots};
    struct cl_command bump = {.verb = CL_BUMPEPOCH};
    const struct cl_command *all[] = {&give_up, &take, &bump};
    for (int i = 0; i < 3; i++) {
        struct cl_event e = {.kind = CL_EV_COMMAND, .token = 1, .command = all[i], .more = i < 2};
        world_step(w, &w->nodes[node], &e);
    }
    world_run(w, 1000 * MS);
}

/* Also where the source has not heard yet of which shard the two are, nor that the one follows the other. */
static void the_targets_successor_costs_no_keys(void **state)
{
    (void)state;
    for (int named = 0; named <= 1; named++) {
        struct world *w = form(13, 1); /* 0 and its replica 1, 2 and 3, 4 and 5 */
        open_both(w, 0, 2);
        world_cut(w, 0, 2, !named);
        assert_true(world_command(w, 3, &(struct cl_command){.verb = CL_FAILOVER}));
        world_run(w, 3000 * MS);
        assert_true(cl_has(w->nodes[3].core->me, CL_MASTER));
        w->nodes[0].keys = 3;
        assert_false(command(w, 3, CL_SETSLOT_NODE, 3));
        answer_is(w, 3, holds, name(w, 0));
        for (int i = 2; i <= 3 && !named; i++) {
            struct cl_id id = world_id(w, i);
            cl_node_find(w->nodes[0].core, &id)->shard = (struct cl_id){{0}};
        }
        grab(w, 3);
        assert_int_equal(world_owner(w, 4, SLOT), 3);
        assert_false(cl_bit(w->nodes[0].dropped, SLOT));
        assert_non_null(cl_open_find(w->nodes[0].core, SLOT, true));
        world_free(w);
    }
}

static void what_was_given_up_with_keys_is_kept(void **state)
{
    (void)state;
    for (uint64_t keys = 0; keys <= 3; keys += 3) {
        struct world *w = form(16, 0);
        uint8_t slots[CL_SLOT_BYTES] = {0};
        cl_bit_set(slots, SLOT);
        w->nodes[0].keys = keys;
        assert_true(world_command(w, 0, &(struct cl_command){.verb = CL_DELSLOTS, .slots = slots}));
        grab(w, 1);
        assert_int_equal(world_owner(w, 0, SLOT), 1);
        assert_false(cl_bit(w->nodes[0].dropped, SLOT));
        assert_null(cl_open_find(w->nodes[0].core, SLOT, true)); /* it is not to come back */
        world_free(w);
    }
}

static void question_and_answer_on_the_wire(void **state)
{
    (void)state;
    struct cl_header head = {.type = CL_HANDOVER, .sender = {{1}}};
    struct cl_handover h = {
        .say = CL_SAY_KEYS, .slot = CL_SLOTS - 1, .question = UINT64_MAX - 1, .keys = 1234567890123};
    struct cl_message m;
    struct buf b = {NULL, 0, 0};
    const char *why;
    cl_wire_handover(&b, &head, &h, NULL);
    assert_int_equal(cl_wire_read(b.p, b.n, &m, &why), CL_READ_OK);
    assert_int_equal(m.handover.say, CL_SAY_KEYS);
    assert_int_equal(m.handover.slot, h.slot);
    assert_true(m.handover.question == h.question && m.handover.keys == h.keys);
    assert_int_equal(cl_wire_read(b.p, b.n - 1, &m, &why), CL_READ_BAD);
    buf_clear(&b);
    h.slot = CL_SLOTS;
    cl_wire_handover(&b, &head, &h, NULL);
    assert_int_equal(cl_wire_read(b.p, b.n, &m, &why), CL_READ_BAD);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_keep_a_slot_where_it_is),
        cmocka_unit_test(who_says_nothing_keeps_it_too),
        cmocka_unit_test(a_late_answer_is_none),
        cmocka_unit_test(one_that_is_gone_is_not_asked),
        cmocka_unit_test(its_successor_is_asked),
        cmocka_unit_test(two_may_say_it_at_once),
        cmocka_unit_test(who_waits_is_answered),
        cmocka_unit_test(nothing_is_written_to_a_slot_before_the_disk_knows_whose_it_is),
        cmocka_unit_test(a_slot_that_cannot_be_saved_takes_no_writes),
        cmocka_unit_test(stock_nodes_are_not_asked),
        cmocka_unit_test(other_databases_do_not_go_to_stock_nodes),
        cmocka_unit_test(what_is_left_behind_is_kept),
        cmocka_unit_test(what_goes_elsewhere_is_dropped),
        cmocka_unit_test(who_does_not_import_asks_too),
        cmocka_unit_test(the_targets_successor_costs_no_keys),
        cmocka_unit_test(what_was_given_up_with_keys_is_kept),
        cmocka_unit_test(question_and_answer_on_the_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
