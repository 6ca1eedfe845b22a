/* Pauses of automatic failovers: the list and its text, and what a supervisor with one does and refuses. */
#include "sentineld/core/pause.h"
#include "tests/unit/core/lease_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WALL_MS INT64_C(1700000000000)
#define MINUTE INT64_C(60000000)

/* ---- the list ---- */

static void set(struct sn_pauses *p, const char *target, int64_t minutes)
{
    sn_pauses_set(p, slice_of(target), slice_of("ann"), slice_of("new kernels"), minutes * MINUTE,
                  WALL_MS + minutes * 60000);
}

static void the_longest_that_holds_is_told(void **state)
{
    (void)state;
    struct sn_pauses p = {.n = 0};
    assert_null(sn_pauses_find(&p, "a", NULL, 0));
    set(&p, "a", 1);
    set(&p, "orders", 2);
    set(&p, "*", 3);
    assert_string_equal(sn_pauses_find(&p, "a", NULL, 0)->target, "*");
    assert_string_equal(sn_pauses_find(&p, "orders/1", "orders", 0)->target, "*");
    set(&p, "a", 9);
    assert_int_equal(p.n, 3);
    assert_string_equal(sn_pauses_find(&p, "a", NULL, 0)->target, "a");
    assert_int_equal(sn_pauses_end(&p, slice_of("*")), 3);
    set(&p, "orders", 2);
    assert_null(sn_pauses_find(&p, "orders/1", NULL, 0));
    assert_non_null(sn_pauses_find(&p, NULL, "orders", 0));
    assert_null(sn_pauses_find(&p, NULL, "orders", 2 * MINUTE)); /* over */
    assert_int_equal(sn_pauses_end(&p, slice_of("others")), 0);
    assert_int_equal(sn_pauses_end(&p, slice_of("orders")), 1);
    sn_pauses_free(&p);
}

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    struct sn_pauses p = {.n = 0}, q;
    struct buf text = {0};
    set(&p, "orders", 1);
    set(&p, "my master", 5);
    sn_pauses_write(&p, &text);
    assert_true(
        sn_pauses_read(&q, buf_slice(&text), 7, WALL_MS + 120000)); /* two minutes later, the clock begins at 7 */
    assert_int_equal(q.n, 1);
    assert_string_equal(q.v[0].target, "my master");
    assert_string_equal(q.v[0].owner, "ann");
    assert_string_equal(q.v[0].reason, "new kernels");
    assert_int_equal(q.v[0].until_us, 7 + 3 * MINUTE);
    assert_int_equal(q.v[0].until_ms, WALL_MS + 300000);
    sn_pauses_free(&q);
    sn_pauses_free(&p);
    buf_free(&text);
}

static void other_texts_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"x\ta\tb\tc\n",  "5\ta\tb\n",     "5\t\tb\tc\n",    "5\ta\tb b\tc\n",
                                        "-1\ta\tb\tc\n", "5\ta\tb\tc\n7", "5\ta\tb\tc\td\n"};
    struct sn_pauses p;
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        assert_false(sn_pauses_read(&p, slice_of(texts[k]), 0, 0));
        assert_int_equal(p.n, 0);
    }
    assert_true(sn_pauses_read(&p, (struct slice){NULL, 0}, 0, 0));
    assert_false(sn_pause_word_ok(slice_of("a\nb"), 9, true));
    assert_false(sn_pause_word_ok(slice_of("abc"), 2, true));
    assert_true(sn_pause_word_ok(slice_of("a b"), 9, true));
}

/* ---- in the core ---- */

static void begin(void)
{
    lease_begin(&(struct lease_begin){.supervised = true, .version = 1, .counted = true});
    for (int k = 0; k < PEERS; k++)
        lease.peers[k].votes = true;
    lab_run(1000);
    lease_forget();
    lab_forget_logs();
}

static void pause_for(const char *target, int64_t ms)
{
    const struct slice argv[] = {slice_of("ann"), slice_of("new kernels")};
    struct sn_event e = {.kind = SN_EV_PAUSE,
                         .token = 1,
                         .group = slice_of(target),
                         .number = ms,
                         .wall_ms = WALL_MS,
                         .argv = argv,
                         .count = 2};
    lab_step(&e);
}

static enum sn_answer answered(void)
{
    assert_non_null(lab.answer);
    assert_int_equal(lab.answer->kind, SN_FX_ANSWER);
    return lab.answer->answer;
}

static void resume(const char *target)
{
    struct sn_event e = {.kind = SN_EV_RESUME, .token = 1, .group = slice_of(target)};
    lab_step(&e);
    lab_run(2);
}

static void nobody_is_promoted_until_it_is_over(void **state)
{
    (void)state;
    begin();
    pause_for("orders", 5000);
    lab_run(2);
    assert_int_equal(answered(), SN_ANSWER_OK);
    assert_int_equal(lab_count(&lab.events, "+failover-paused orders 1700000005000 ann new kernels"), 1);
    lease_peers_see(true);
    lab_kill(0);
    lab_run(4000);
    assert_true(lab_shard(FIRST)->o_down);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER"), 0);
    assert_int_equal(lab_count(&lab.notes, "waiting orders/" FIRST), 1);
    lab_run(1500);
    assert_int_equal(lab_count(&lab.events, "-failover-paused orders"), 1);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER 7004"), 1);
    assert_int_equal(lab.core->pauses.n, 0);
}

static void an_operator_resumes(void **state)
{
    (void)state;
    begin();
    pause_for("*", 3600000);
    lab_run(2);
    lease_peers_see(true);
    lab_kill(0);
    lab_run(2000);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER"), 0);
    resume("orders"); /* there is no pause of that name */
    assert_int_equal(answered(), SN_ANSWER_INT);
    assert_int_equal(lab.answer->number, 0);
    lab_run(1000);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER"), 0);
    resume("*");
    assert_int_equal(lab.answer->number, 1);
    lab_run(500);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER 7004"), 1);
}

static void what_an_operator_orders_goes_on(void **state)
{
    (void)state;
    begin();
    pause_for("orders/" FIRST, 3600000);
    lab_run(2);
    lease_peers_see(true);
    lab_kill(0);
    lab_run(2000);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER"), 0);
    struct sn_event e = {.kind = SN_EV_FAILOVER, .token = 1, .group = slice_of("orders/" FIRST)};
    lab_step(&e);
    lab_run(500);
    assert_int_equal(lab_count(&lab.sent, "TAKEOVER 7004"), 1);
}

/* A ballot of a peer for the first shard's replica. */
static const struct sn_opinion *asked(bool down, bool ordered, uint64_t epoch)
{
    struct sn_ballot b = {
        .verb = SN_BALLOT_VOTE, .down = down, .ordered = ordered, .group = "orders/" FIRST, .epoch = epoch};
    addr_set(&b.master, slice_of("127.0.0.1"), 7001);
    addr_set(&b.candidate, slice_of("127.0.0.1"), 7004);
    const struct sn_peer *p = lab.core->peers[0];
    struct sn_event e = {
        .kind = SN_EV_BALLOTS, .token = 2, .text = slice_of(p->id), .epoch = epoch, .ballots = &b, .count = 1};
    lab_step(&e);
    lab_run(2);
    return lease_answer();
}

static void no_vote_for_what_nobody_ordered(void **state)
{
    (void)state;
    begin();
    pause_for("orders", 3600000);
    lab_run(2);
    assert_int_not_equal(asked(true, false, 10)->leader_epoch, 10);
    assert_int_equal(asked(true, true, 11)->leader_epoch, 11);
}

static void a_vote_for_what_was_planned(void **state)
{
    (void)state;
    begin();
    pause_for("orders", 3600000);
    lab_run(2);
    assert_int_equal(asked(false, false, 10)->leader_epoch, 10);
}

static void told_when_it_is_on_disk(void **state)
{
    (void)state;
    begin();
    lab.disk_holds = true;
    pause_for("orders", 3600000);
    lab_run(2);
    assert_int_equal(lab.core->pauses.n, 0);
    assert_int_equal(lab_count(&lab.records, "OPTION"), 1);
    lease_disk(false);
    assert_int_equal(answered(), SN_ANSWER_ERROR);
    assert_int_equal(lab.core->pauses.n, 0);
    assert_int_equal(lab_count(&lab.events, "+failover-paused"), 0);
    lab.disk_holds = false;
    pause_for("nobody", 1000);
    assert_int_equal(answered(), SN_ANSWER_ERROR);
}

/* Two that wait for the disk at once: the second one is written with the first one in it. */
static void two_at_once(void **state)
{
    (void)state;
    begin();
    lab.disk_holds = true;
    pause_for("orders", 3600000);
    pause_for("*", 1000);
    lease_disk(true);
    lab_run(2);
    assert_int_equal(lab.core->pauses.n, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_that_holds_is_told),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test_teardown(nobody_is_promoted_until_it_is_over, lease_end),
        cmocka_unit_test_teardown(an_operator_resumes, lease_end),
        cmocka_unit_test_teardown(what_an_operator_orders_goes_on, lease_end),
        cmocka_unit_test_teardown(no_vote_for_what_nobody_ordered, lease_end),
        cmocka_unit_test_teardown(a_vote_for_what_was_planned, lease_end),
        cmocka_unit_test_teardown(told_when_it_is_on_disk, lease_end),
        cmocka_unit_test_teardown(two_at_once, lease_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
