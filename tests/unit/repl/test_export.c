/* The source of a migration: its greeting, its snapshot, and which writes go out. */
#include "tests/unit/repl/export_world.h"

#include "common/base/heap.h"
#include "common/base/mem.h"
#include "noded/cmd/effects.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Slots of the keys that are used here: hello 866, b 3300, bar 5061, foo 12182, a 15495. */
#define HALF 8191

static int setup(void **state)
{
    *state = xworld_new();
    return 0;
}

static int teardown(void **state)
{
    xworld_free(*state);
    return 0;
}

static void set_text(char **setting, const char *value)
{
    free(*setting);
    *setting = mem_strdup(value);
}

/* ---- the greeting ---- */

static void test_says_who_and_what(void **state)
{
    struct xworld *w = *state;
    uint8_t slots[CL_SLOT_BYTES] = {0};
    struct cl_id job = job_id(0), source = {.b = {0xab}}, target = {.b = {0xcd}};
    int some[] = {0, 1, 2, 7, 100, 101, 16383};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        cl_bit_set(slots, some[i]);
    w->f->e->keys.mapping_epoch = 9;
    nd_export_begin(w->r, &job, "10.0.0.1", 7000, slots, &source, &target);
    struct wire *l = &w->wires[0];
    assert_string_equal(l->address, "10.0.0.1:7000");
    assert_string_equal(wire_hears(l), "");
    nd_export_connected(l->x);
    assert_string_equal(wire_hears(l), "CLUSTER SYNCSLOTS ESTABLISH 0100000000000000000000000000000000000000 "
                                       "ab00000000000000000000000000000000000000 "
                                       "cd00000000000000000000000000000000000000 9 16 "
                                       "SLOTSRANGE 0 2 7 7 100 101 16383 16383\n");
    assert_false(w->child);
}

static void test_gives_its_password(void **state)
{
    struct xworld *w = *state;
    set_text(&w->f->e->config.masterauth, "secret");
    struct wire *l = xworld_begin(w, 0, HALF);
    nd_export_connected(l->x);
    assert_string_equal(wire_hears(l), "AUTH secret\n");
    wire_says(l, "+OK\r\n");
    assert_memory_equal(wire_hears(l), "CLUSTER SYNCSLOTS ESTABLISH", 27);
    wire_says(l, "+OK\r\n");
    set_text(&w->f->e->config.masteruser, "mover");
    l = xworld_begin(w, 0, HALF);
    nd_export_connected(l->x);
    assert_string_equal(wire_hears(l), "AUTH mover secret\n");
    wire_says(l, "-WRONGPASS invalid username-password pair\r\n");
    assert_true(l->closed);
    assert_string_equal(xworld_news(w), "1 LOST the target refuses: WRONGPASS invalid username-password pair\n");
}

static void test_address_that_is_none(void **state)
{
    struct xworld *w = *state;
    w->no_address = true;
    xworld_begin(w, 0, HALF);
    assert_string_equal(xworld_news(w), "0 LOST no such address\n");
    assert_true(nd_exports_deadline(w->r) == HEAP_NEVER);
}

/* ---- the snapshot ---- */

static void test_writes_wait_behind_the_snapshot(void **state)
{
    struct xworld *w = *state;
    run(w->f, "SET hello old");
    run(w->f, "SET foo old");
    struct wire *l = xworld_begin_to(w, 0, HALF, "waiting");
    run(w->f, "SET b old");
    assert_false(w->r->exporting);
    xworld_forward_ms(w, 0);
    assert_true(w->child && w->kind == ND_CHILD_SLOTS);
    assert_string_equal(xworld_news(w), "0 SNAPSHOTTING\n");
    assert_string_equal(wire_hears(l), "SELECT 0\nSET hello old\nSET b old\n");
    run(w->f, "SET hello new");
    run(w->f, "SET foo new");
    run(w->f, "DEL b");
    wire_says(l, "+ACK 10\r\n");
    assert_string_equal(wire_hears(l), "");
    struct nd_export_progress progress;
    struct cl_id job = job_id(0);
    nd_persist_child_progress(w->p, 1, 0);
    assert_true(nd_export_progress(w->r, &job, &progress));
    assert_int_equal(progress.snapshot_keys, 1);
    assert_int_equal(progress.ack_ms, w->f->unix_ms);
    xworld_child_ends(w, true);
    assert_string_equal(wire_hears(l), "CLUSTER SYNCSLOTS SNAPSHOT-END\nSELECT 0\nSET hello new\nDEL b\n");
    assert_string_equal(xworld_news(w), "0 STREAMING 2\n");
    assert_true(nd_export_progress(w->r, &job, &progress));
    assert_int_equal(progress.sent_bytes, wire_offset(l));
    assert_int_equal(progress.left_bytes, wire_offset(l) - 10);
    assert_int_equal(progress.snapshot_keys, 2);
}

static void rewrite_ended(void *owner, const struct nd_child_end *end)
{
    *(bool *)owner = end->ok;
}

static void test_snapshots_one_after_the_other(void **state)
{
    struct xworld *w = *state;
    struct nd_child_spec other = {.kind = ND_CHILD_REWRITE, .path = "x"};
    struct buf why = {0};
    bool ended = false;
    assert_true(nd_persist_start(w->p, &other, rewrite_ended, &ended, &why));
    struct wire *first = xworld_begin_to(w, 0, 99, "waiting"), *second = xworld_begin_to(w, 100, 199, "waiting");
    xworld_forward_ms(w, 1000);
    assert_true(w->kind == ND_CHILD_REWRITE && !first->lent && !second->lent);
    xworld_child_ends(w, true);
    assert_true(ended);
    xworld_forward_ms(w, 0);
    assert_true(first->lent && !second->lent);
    xworld_forward_ms(w, 1000);
    assert_false(second->lent);
    xworld_child_ends(w, true);
    assert_true(!first->lent && !second->lent);
    xworld_forward_ms(w, 0);
    assert_true(second->lent);
    xworld_child_ends(w, true);
    assert_string_equal(xworld_news(w), "0 SNAPSHOTTING\n0 STREAMING\n1 SNAPSHOTTING\n1 STREAMING\n");
    buf_free(&why);
}

/* What stands before the child's bytes would come behind them. */
static void test_snapshot_waits_for_an_empty_link(void **state)
{
    struct xworld *w = *state;
    struct wire *l = xworld_begin_to(w, 0, HALF, "asking");
    l->stuck = true;
    buf_puts(&l->waiting, "x");
    wire_says(l, "+OK\r\n");
    xworld_forward_ms(w, 100);
    assert_false(w->child);
    l->stuck = false;
    buf_clear(&l->waiting);
    xworld_forward_ms(w, 100);
    assert_true(w->child);
}

static void test_waiting_link_shows_life(void **state)
{
    struct xworld *w = *state;
    w->p->child = ND_CHILD_SAVE;
    struct wire *l = xworld_begin_to(w, 0, HALF, "waiting");
    xworld_forward_ms(w, 9000);
    assert_string_equal(wire_hears(l), "");
    xworld_forward_ms(w, 2000);
    assert_string_equal(wire_hears(l), "PING\n");
    wire_says(l, "+ACK 14\r\n");
    xworld_forward_ms(w, 11000);
    assert_string_equal(wire_hears(l), "PING\n");
    xworld_forward_ms(w, 60000);
    assert_string_equal(xworld_news(w), "0 LOST 1 the target did not answer for longer than repl-timeout\n");
    w->p->child = ND_CHILD_NONE;
}

static void test_child_that_fails(void **state)
{
    struct xworld *w = *state;
    struct wire *l = xworld_begin_to(w, 0, HALF, "snapshot");
    xworld_news(w);
    xworld_child_ends(w, false);
    assert_true(l->closed && !l->gently);
    assert_string_equal(xworld_news(w), "0 LOST the snapshot was not written: it was killed\n");
    assert_false(w->r->exporting);
    w->refuse = true;
    l = xworld_begin_to(w, 0, HALF, "snapshot");
    assert_true(l->closed);
    assert_string_equal(xworld_news(w), "1 LOST no snapshot can be made: no memory\n");
}

static void test_stopped_while_the_child_writes(void **state)
{
    struct xworld *w = *state;
    struct cl_id job = job_id(0);
    struct wire *l = xworld_begin_to(w, 0, HALF, "snapshot"), *next = xworld_begin_to(w, 0, HALF, "waiting");
    xworld_news(w);
    nd_export_stop(w->r, &job, false, slice_of("cancelled"));
    assert_true(l->closed && !l->gently && w->stopped);
    assert_int_equal(l->waiting.n, strlen("*3\r\n$7\r\nCLUSTER\r\n$9\r\nSYNCSLOTS\r\n$12\r\nSNAPSHOT-END\r\n"));
    xworld_forward_ms(w, 100);
    assert_false(next->lent);
    xworld_child_ends(w, false);
    assert_string_equal(xworld_news(w), "");
    xworld_forward_ms(w, 0);
    assert_true(next->lent);
    assert_string_equal(xworld_news(w), "1 SNAPSHOTTING\n");
}

static void test_error_while_the_child_writes(void **state)
{
    struct xworld *w = *state;
    struct wire *l = xworld_begin_to(w, 0, HALF, "snapshot");
    xworld_news(w);
    wire_says(l, "-OOM command not allowed\x01\r\n+ACK 3\r\n");
    assert_true(l->closed && w->stopped);
    assert_string_equal(xworld_news(w), "0 LOST the target refuses: OOM command not allowed?\n");
    xworld_child_ends(w, false);
    assert_string_equal(xworld_news(w), "");
}

/* ---- the writes ---- */

static void test_which_writes_go_out(void **state)
{
    struct xworld *w = *state;
    struct wire *l = xworld_begin_to(w, 0, HALF, "streaming");
    run(w->f, "SET bar 1");
    run(w->f, "SET foo 1");
    run(w->f, "GET bar");
    run(w->f, "PUBLISH bar hello");
    run(w->f, "SELECT 3");
    run(w->f, "SET foo 1");
    run(w->f, "RPUSH hello x y");
    run(w->f, "SORT hello ALPHA STORE {hello}2");
    run(w->f, "EVAL x 0");
    run(w->f, "LMPOP 1 hello LEFT");
    run(w->f, "MOVE hello 4");
    assert_string_equal(wire_hears(l),
                        "SELECT 0\nSET bar 1\nSELECT 3\nRPUSH hello x y\nSORT hello ALPHA STORE {hello}2\n"
                        "LPOP hello 1\nMOVE hello 4\n");
    assert_string_equal(xworld_news(w), "");
}

static void test_units(void **state)
{
    struct xworld *w = *state;
    struct wire *l = xworld_begin_to(w, 0, HALF, "streaming"), *other = xworld_begin_to(w, 12182, 12182, "streaming");
    wire_hears(l);
    run(w->f, "MULTI");
    run(w->f, "SET bar 1");
    run(w->f, "SET foo 2");
    run(w->f, "SELECT 1");
    run(w->f, "INCR b");
    run(w->f, "EXEC");
    assert_string_equal(wire_hears(l), "SELECT 0\nMULTI\nSET bar 1\nSELECT 1\nINCR b\nEXEC\n");
    assert_string_equal(wire_hears(other), "SELECT 0\nSET foo 2\n");
    run(w->f, "SET b 5 PX 50");
    assert_string_equal(wire_hears(l), "SET b 5 PXAT 1700000000050\n");
    fixture_forward_ms(w->f, 100);
    run(w->f, "GET b");
    assert_string_equal(wire_hears(l), "DEL b\n");
}

/* What lies in shadows is on its way to this node; what belongs to no database changes nothing. */
static void test_shadows_stay_here(void **state)
{
    struct xworld *w = *state;
    struct wire *l = xworld_begin_to(w, 0, HALF, "streaming");
    struct slice set[] = {{"SET", 3}, {"bar", 3}, {"1", 1}}, flush[] = {{"FLUSHDB", 7}}, unknown[] = {{"NOSUCH", 6}};
    struct nd_effect_row rows[] = {{16, 3, set}, {-1, 3, set}, {17, 1, flush}, {0, 1, unknown}};
    nd_repl_feed(w->r, rows, 4);
    assert_string_equal(wire_hears(l), "");
    rows[0].db = 15;
    nd_repl_feed(w->r, rows, 1);
    assert_string_equal(wire_hears(l), "SELECT 15\nSET bar 1\n");
    assert_string_equal(xworld_news(w), "");
}

static void test_too_much_to_keep(void **state)
{
    struct xworld *w = *state;
    w->f->e->config.slot_migration_buffer_limit = 1000;
    struct wire *l = xworld_begin_to(w, 0, HALF, "snapshot");
    char command[600] = "SET bar ";
    memset(command + 8, 'x', 500);
    xworld_news(w);
    run(w->f, command);
    assert_int_equal(nd_exports_memory(w->r), l->waiting.n);
    assert_string_equal(xworld_news(w), "");
    run(w->f, command);
    assert_string_equal(xworld_news(w), "0 LOST source buffer overflow\n");
    assert_true(l->closed && !l->gently && w->stopped);
    assert_int_equal(nd_exports_memory(w->r), 0);
    xworld_child_ends(w, false);
    w->f->e->config.slot_migration_buffer_limit = 0;
    xworld_begin_to(w, 0, HALF, "snapshot");
    for (int i = 0; i < 100; i++)
        run(w->f, command);
    xworld_child_ends(w, true);
    assert_string_equal(xworld_news(w), "1 SNAPSHOTTING\n1 STREAMING 1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        CASE(test_says_who_and_what),
        CASE(test_gives_its_password),
        CASE(test_address_that_is_none),
        CASE(test_writes_wait_behind_the_snapshot),
        CASE(test_snapshots_one_after_the_other),
        CASE(test_snapshot_waits_for_an_empty_link),
        CASE(test_waiting_link_shows_life),
        CASE(test_child_that_fails),
        CASE(test_stopped_while_the_child_writes),
        CASE(test_error_while_the_child_writes),
        CASE(test_which_writes_go_out),
        CASE(test_units),
        CASE(test_shadows_stay_here),
        CASE(test_too_much_to_keep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
