/* The source of a migration: how it comes to its end, and what ends it before. */
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

static void acks(struct wire *l, const char *word)
{
    char line[64];
    snprintf(line, sizeof line, "+%s %" PRId64 "\r\n", word, wire_offset(l));
    wire_says(l, line);
}

/* As far as NEAR was told: all is acknowledged and flushed. */
static void comes_near(struct xworld *w, struct wire *l)
{
    acks(l, "ACK");
    assert_string_equal(wire_hears(l), "CLUSTER SYNCSLOTS FLUSH\n");
    acks(l, "FLUSHED");
    assert_string_equal(xworld_news(w), "0 NEAR\n");
}

/* ---- the end comes near ---- */

static void test_near(void **state)
{
    struct xworld *w = *state;
    struct wire *l = xworld_begin_to(w, 0, HALF, "streaming");
    xworld_forward_ms(w, 0); /* nothing but the end of the snapshot is on its way: little */
    assert_string_equal(wire_hears(l), "CLUSTER SYNCSLOTS FLUSH\n");
    xworld_forward_ms(w, 10);
    assert_string_equal(wire_hears(l), "");
    assert_string_equal(xworld_news(w), "");
    run(w->f, "SET bar 1"); /* little more does not matter */
    wire_hears(l);
    char line[64];
    snprintf(line, sizeof line, "+FLUSHED %" PRId64 "\r\n", wire_offset(l) - 5);
    wire_says(l, line);
    assert_string_equal(xworld_news(w), "0 NEAR\n");
    /* It is told again while nothing comes of it. */
    xworld_forward_ms(w, 999);
    assert_string_equal(wire_hears(l), "");
    xworld_forward_ms(w, 1);
    assert_string_equal(wire_hears(l), "CLUSTER SYNCSLOTS FLUSH\n");
    acks(l, "FLUSHED");
    assert_string_equal(xworld_news(w), "0 NEAR\n");
}

/* Writes would wait for the disk of the target as FLUSH does: a better time is looked for, and not for ever. */
static void test_busy_target(void **state)
{
    struct xworld *w = *state;
    struct wire *l = xworld_begin_to(w, 0, HALF, "streaming");
    int64_t began_us = w->f->e->now_us;
    xworld_forward_ms(w, 0);
    assert_string_equal(wire_hears(l), "CLUSTER SYNCSLOTS FLUSH\n");
    for (int i = 0; i < 3; i++) {
        xworld_forward_ms(w, 30);
        acks(l, "FLUSHED");
        assert_string_equal(xworld_news(w), "");
        xworld_forward_ms(w, 19);
        assert_string_equal(wire_hears(l), "");
        xworld_forward_ms(w, 1);
        assert_string_equal(wire_hears(l), "CLUSTER SYNCSLOTS FLUSH\n");
    }
    const char *news = "";
    for (; news[0] == '\0'; news = xworld_news(w)) {
        xworld_forward_ms(w, 300);
        acks(l, "FLUSHED");
        xworld_forward_ms(w, 20);
    }
    assert_string_equal(news, "0 NEAR\n");
    assert_in_range(w->f->e->now_us - began_us, 1000000, 2000000);
}

static void write_bytes(struct xworld *w, size_t n)
{
    struct slice set[] = {{"SET", 3}, {"bar", 3}, {mem_zalloc(n), n}};
    struct nd_effect_row row = {0, 3, set};
    nd_repl_feed(w->r, &row, 1);
    free((char *)set[2].p);
}

static void test_much_is_left(void **state)
{
    struct xworld *w = *state;
    struct wire *l = xworld_begin_to(w, 0, HALF, "streaming");
    write_bytes(w, 2000000);
    xworld_forward_ms(w, 100);
    assert_memory_equal(wire_hears(l), "SELECT 0\nSET bar ", 17);
    wire_says(l, "+ACK 500000\r\n");
    assert_string_equal(wire_hears(l), "");
    wire_says(l, "+ACK 1000000\r\n"); /* a million bytes are left, which is less than 1 MiB */
    assert_string_equal(wire_hears(l), "CLUSTER SYNCSLOTS FLUSH\n");
    write_bytes(w, 100000); /* more again when the answer comes */
    wire_hears(l);
    wire_says(l, "+FLUSHED 1000000\r\n");
    assert_string_equal(xworld_news(w), "");
    comes_near(w, l);
}

/* 5 MB are on their way whenever something is acknowledged: more than the setting, for ever. */
static void test_load_gets_through(void **state)
{
    struct xworld *w = *state;
    struct wire *l = xworld_begin_to(w, 0, HALF, "streaming");
    int64_t rounds = 0;
    char line[64];
    write_bytes(w, 5000000);
    do {
        assert_true(rounds++ < 40);
        snprintf(line, sizeof line, "+ACK %" PRId64 "\r\n", wire_offset(l) - 5000000);
        write_bytes(w, 1000000);
        xworld_forward_ms(w, 100);
        snprintf(line, sizeof line, "+ACK %" PRId64 "\r\n", wire_offset(l) - 5000000);
        wire_says(l, line);
    } while (strstr(wire_hears(l), "FLUSH") == NULL);
    assert_true(rounds > 8); /* not at once */
    acks(l, "FLUSHED");
    assert_string_equal(xworld_news(w), "0 NEAR\n");
}

/* A backlog that becomes less by itself is waited for. */
static void test_shrinking_backlog_is_waited_for(void **state)
{
    struct xworld *w = *state;
    struct wire *l = xworld_begin_to(w, 0, HALF, "streaming");
    write_bytes(w, 9000000);
    wire_hears(l);
    for (int i = 1; i <= 7; i++) {
        char line[64];
        xworld_forward_ms(w, 300);
        snprintf(line, sizeof line, "+ACK %d\r\n", i * 1000000);
        wire_says(l, line);
        assert_string_equal(wire_hears(l), ""); /* two millions are left */
    }
    wire_says(l, "+ACK 8000000\r\n");
    assert_string_equal(wire_hears(l), "CLUSTER SYNCSLOTS FLUSH\n");
}

/* ---- the hand-over ---- */

static void test_drain_and_grant(void **state)
{
    struct xworld *w = *state;
    struct cl_id job = job_id(0);
    struct wire *l = xworld_begin_to(w, 0, HALF, "streaming");
    nd_export_grant(w->r, &job, 3); /* of a job that is not that far nothing is done */
    comes_near(w, l);
    run(w->f, "SET bar 1");
    nd_export_drain(w->r, &job);
    assert_string_equal(wire_hears(l), "SELECT 0\nSET bar 1\nCLUSTER SYNCSLOTS DRAIN\n");
    run(w->f, "DEL bar"); /* it expires, or is evicted */
    nd_export_drain(w->r, &job);
    assert_string_equal(wire_hears(l), "DEL bar\n");
    char line[64];
    snprintf(line, sizeof line, "+DRAINED %" PRId64 " 77\r\n", wire_offset(l));
    wire_says(l, line);
    assert_string_equal(xworld_news(w), "0 DRAINED 77\n");
    xworld_forward_ms(w, 100000); /* nothing is due: the core says what comes next */
    assert_string_equal(xworld_news(w), "");
    nd_export_grant(w->r, &job, 78);
    assert_string_equal(wire_hears(l), "CLUSTER SYNCSLOTS GRANT 78\n");
    assert_false(w->r->exporting);
    run(w->f, "FLUSHALL");
    nd_exports_upset(w->r, "whatever");
    xworld_forward_ms(w, 100000);
    assert_string_equal(xworld_news(w), "");
    assert_false(l->closed);
    nd_export_stop(w->r, &job, true, slice_of(""));
    assert_true(l->closed && l->gently);
    assert_string_equal(wire_hears(l), "");
    struct nd_export_progress progress;
    assert_false(nd_export_progress(w->r, &job, &progress));
    assert_string_equal(xworld_news(w), "");
}

static void says(struct wire *l, const char *word, const char *epoch)
{
    char line[64];
    snprintf(line, sizeof line, "+%s %" PRId64 "%s\r\n", word, wire_offset(l), epoch);
    wire_says(l, line);
}

static void test_drain_is_taken_back(void **state)
{
    struct xworld *w = *state;
    struct cl_id job = job_id(0);
    struct wire *l = xworld_begin_to(w, 0, HALF, "streaming");
    nd_export_resume(w->r, &job); /* it does not drain */
    comes_near(w, l);
    nd_export_drain(w->r, &job);
    wire_hears(l);
    char drained[64];
    snprintf(drained, sizeof drained, "+DRAINED %" PRId64 " 77\r\n", wire_offset(l));
    xworld_forward_ms(w, 500);
    nd_export_resume(w->r, &job);
    run(w->f, "SET bar 1");
    assert_string_equal(wire_hears(l), "CLUSTER SYNCSLOTS RESUME\nSELECT 0\nSET bar 1\n");
    /* What crosses it is no answer any more, and it comes not near before the target knows. */
    wire_says(l, drained);
    xworld_forward_ms(w, 5000);
    assert_string_equal(xworld_news(w), "");
    assert_string_equal(wire_hears(l), "");
    says(l, "RESUMED", "");
    assert_string_equal(wire_hears(l), "CLUSTER SYNCSLOTS FLUSH\n");
    says(l, "FLUSHED", "");
    assert_string_equal(xworld_news(w), "0 NEAR\n");
    nd_export_drain(w->r, &job);
    assert_string_equal(wire_hears(l), "CLUSTER SYNCSLOTS DRAIN\n");
    says(l, "DRAINED", " 78");
    assert_string_equal(xworld_news(w), "0 DRAINED 78\n");
    /* An answered one may be taken back too; who says so twice says what it should not. */
    nd_export_resume(w->r, &job);
    says(l, "RESUMED", "");
    says(l, "RESUMED", "");
    assert_true(l->closed);
    assert_memory_equal(xworld_news(w), "0 LOST the target says what it should not: +RESUMED", 51);
}

static void test_resume_is_not_answered(void **state)
{
    struct xworld *w = *state;
    struct cl_id job = job_id(0);
    struct wire *l = xworld_begin_to(w, 0, HALF, "streaming");
    comes_near(w, l);
    nd_export_drain(w->r, &job);
    nd_export_resume(w->r, &job);
    xworld_forward_ms(w, 61000);
    assert_true(l->closed);
    assert_memory_equal(xworld_news(w), "0 LOST 1 the target did not answer", 34);
}

static void test_granted_and_lost(void **state)
{
    struct xworld *w = *state;
    struct cl_id job = job_id(0);
    struct wire *l = xworld_begin_to(w, 0, HALF, "streaming");
    comes_near(w, l);
    nd_export_drain(w->r, &job);
    acks(l, "ACK");
    char line[64];
    snprintf(line, sizeof line, "+DRAINED %" PRId64 " 1\r\n", wire_offset(l));
    wire_says(l, line);
    nd_export_grant(w->r, &job, 2);
    xworld_news(w);
    nd_export_lost(l->x, "it was closed");
    assert_true(l->closed);
    assert_string_equal(xworld_news(w), "0 LOST 1 the link to the target is lost: it was closed\n");
    nd_export_stop(w->r, &job, false, slice_of("x"));
}

static void test_drained_of_less(void **state)
{
    struct xworld *w = *state;
    struct cl_id job = job_id(0);
    struct wire *l = xworld_begin_to(w, 0, HALF, "streaming");
    comes_near(w, l);
    run(w->f, "SET bar 1");
    int64_t before = wire_offset(l);
    nd_export_drain(w->r, &job);
    char line[64];
    snprintf(line, sizeof line, "+DRAINED %" PRId64 " 7\r\n", before - 1);
    wire_says(l, line);
    assert_true(l->closed);
    assert_memory_equal(xworld_news(w), "0 LOST the target says what it should not: +DRAINED", 51);
}

static void test_given_up(void **state)
{
    struct xworld *w = *state;
    struct cl_id job = job_id(0);
    struct wire *l = xworld_begin_to(w, 0, HALF, "streaming");
    nd_export_stop(w->r, &job, false, slice_of("a client wanted it"));
    assert_string_equal(wire_hears(l), "CLUSTER SYNCSLOTS ABORT a client wanted it\n");
    assert_true(l->closed && l->gently);
    assert_string_equal(xworld_news(w), "");
    nd_export_stop(w->r, &job, false, slice_of("again"));
    struct cl_id next = job_id(1);
    l = xworld_begin(w, 0, HALF); /* not connected: there is nobody to be told */
    nd_export_stop(w->r, &next, false, slice_of("x"));
    assert_true(l->closed && !l->gently);
    assert_string_equal(wire_hears(l), "");
}

/* ---- what ends it ---- */

static void test_flushes_end_it(void **state)
{
    struct xworld *w = *state;
    static const char *const commands[] = {"FLUSHALL", "FLUSHDB", "FLUSHALL ASYNC"};
    for (int i = 0; i < 3; i++) {
        struct wire *l = xworld_begin_to(w, 0, HALF, "streaming");
        run(w->f, commands[i]);
        assert_true(l->closed && l->gently);
        assert_string_equal(wire_hears(l), "CLUSTER SYNCSLOTS ABORT a database was emptied or exchanged\n");
        char text[100];
        snprintf(text, sizeof text, "%d LOST a database was emptied or exchanged\n", i);
        assert_string_equal(xworld_news(w), text);
    }
    struct wire *l = xworld_begin_to(w, 0, HALF, "snapshot");
    struct slice words[] = {{"SWAPDB", 6}, {"0", 1}, {"1", 1}, {"EPOCH", 5}, {"1", 1}};
    struct nd_effect_row row = {0, 5, words};
    nd_repl_feed(w->r, &row, 1);
    assert_true(l->closed && !l->gently && w->stopped);
    xworld_child_ends(w, false);
    /* One that has not begun its snapshot has nothing to lose by it. */
    l = xworld_begin_to(w, 0, HALF, "waiting");
    run(w->f, "FLUSHALL");
    assert_false(l->closed);
}

static void test_silence(void **state)
{
    struct xworld *w = *state;
    static const char *const states[] = {"asking", "streaming"};
    for (int i = 0; i < 2; i++) {
        struct wire *l = xworld_begin_to(w, 0, HALF, states[i]);
        xworld_forward_ms(w, 59000);
        assert_false(l->closed);
        xworld_forward_ms(w, 1100);
        assert_true(l->closed);
        char text[100];
        snprintf(text, sizeof text, "%d LOST 1 the target did not answer for longer than repl-timeout\n", i);
        assert_string_equal(xworld_news(w), text);
    }
    struct wire *l = xworld_begin(w, 0, HALF); /* no connection */
    xworld_forward_ms(w, 60100);
    assert_true(l->closed);
    xworld_news(w);
    /* Bytes are acknowledged, and the question is not answered. */
    l = xworld_begin_to(w, 0, HALF, "streaming");
    xworld_forward_ms(w, 0);
    for (int i = 0; i < 6; i++) {
        acks(l, "ACK");
        xworld_forward_ms(w, 9900);
    }
    assert_false(l->closed);
    xworld_forward_ms(w, 700);
    assert_true(l->closed);
    xworld_news(w);
    /* While the child writes it waits for the link, and not this side. */
    l = xworld_begin_to(w, 0, HALF, "snapshot");
    xworld_forward_ms(w, 100000);
    assert_false(l->closed);
    xworld_child_ends(w, true);
    xworld_forward_ms(w, 59000);
    assert_false(l->closed);
    xworld_forward_ms(w, 1100);
    assert_true(l->closed);
}

static void test_nonsense(void **state)
{
    struct xworld *w = *state;
    static const char *const lines[] = {
        "+ACK 999999\r\n", "+ACK\r\n",         "+ACK -1\r\n", "+ACK 1 2\r\n", "+OK\r\n",
        "+FLUSHED 1\r\n",  "+DRAINED 1 1\r\n", ":1\r\n",      "\r\n",         "+ACK 1x\r\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        w->wire_count = 0;
        buf_free(&w->wires[0].got);
        buf_free(&w->wires[0].waiting);
        w->wires[0] = (struct wire){.w = w};
        struct wire *l = xworld_begin_to(w, 0, HALF, "streaming");
        wire_says(l, lines[i]);
        assert_true(l->closed);
        assert_memory_equal(xworld_news(w), "0 LOST the target says what it should not: ", 43);
    }
    struct wire *l = xworld_begin_to(w, 0, HALF, "asking");
    wire_says(l, "+ACK 0\r\n");
    assert_true(l->closed);
    xworld_news(w);
    l = xworld_begin_to(w, 0, HALF, "streaming");
    char long_line[5000];
    memset(long_line, '+', sizeof long_line);
    struct slice in = {long_line, 4000};
    nd_export_bytes(l->x, &in);
    assert_false(l->closed);
    in = (struct slice){long_line, 5000};
    nd_export_bytes(l->x, &in);
    assert_true(l->closed);
    assert_string_equal(xworld_news(w), "2 LOST the target says a line without an end\n");
}

/* Its answer waited for a replica, and what came behind the question was acknowledged before. */
static void test_answer_behind_an_ack(void **state)
{
    struct xworld *w = *state;
    struct wire *l = xworld_begin_to(w, 0, HALF, "streaming");
    xworld_forward_ms(w, 1);
    wire_says(l, "+ACK 20\r\n+FLUSHED 10\r\n");
    assert_false(l->closed);
    wire_says(l, "+ACK 19\r\n");
    assert_true(l->closed);
}

/* An acknowledgement that goes back would make what was flushed unsure. */
static void test_acks_do_not_go_back(void **state)
{
    struct xworld *w = *state;
    struct wire *l = xworld_begin_to(w, 0, HALF, "streaming");
    wire_says(l, "+ACK 20\r\n+ACK 20\r\n");
    assert_false(l->closed);
    wire_says(l, "+ACK 19\r\n");
    assert_true(l->closed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        CASE(test_near),
        CASE(test_busy_target),
        CASE(test_much_is_left),
        CASE(test_load_gets_through),
        CASE(test_shrinking_backlog_is_waited_for),
        CASE(test_drain_and_grant),
        CASE(test_drain_is_taken_back),
        CASE(test_resume_is_not_answered),
        CASE(test_granted_and_lost),
        CASE(test_drained_of_less),
        CASE(test_given_up),
        CASE(test_flushes_end_it),
        CASE(test_silence),
        CASE(test_nonsense),
        CASE(test_answer_behind_an_ack),
        CASE(test_acks_do_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
