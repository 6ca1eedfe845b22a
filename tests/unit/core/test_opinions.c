/* What supervisors hold each other to have said: an answer and a word of the peer's own come over two connections, in
 * any order; and one in tilt says nothing of masters. */
#include "tests/unit/core/lease_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct sn_group *first(void)
{
    return lab_shard(FIRST);
}

/* The first master is dead and S_DOWN here. What the peers answer is said by the test. */
static void begin(void)
{
    lease_begin(&(struct lease_begin){.supervised = true, .version = 1, .counted = true});
    lab_run(1000);
    lease.peers[0].silent = lease.peers[1].silent = true;
    lab_kill(0);
    while (!first()->master->s_down)
        lab_run(1);
    lab_forget_logs();
}

/* What a peer says by itself, and who that was. */
static const struct sn_seat *word(enum sn_ballot_verb verb)
{
    lease_ballot(0, verb, 0, 3);
    for (size_t k = 0; k < first()->nseats; k++)
        if (first()->seats[k]->word_us == lab.now_us)
            return first()->seats[k];
    fail_msg("nobody has said it");
    return NULL;
}

static void answer(const struct sn_seat *s, bool down, int64_t asked_us)
{
    struct sn_opinion o = {
        .group = first()->name, .master = first()->master->node->addr, .down = down, .asked_us = asked_us};
    struct sn_event e = {.kind = SN_EV_OPINIONS, .link = s->peer->cmd.link, .opinions = &o, .count = 1};
    lab_step(&e);
}

/* The peer finds the master down while its answer is on the way. A vote that is asked for meanwhile makes that answer
 * no newer. */
static void an_answer_from_before_its_word_does_not_end_odown(void **state)
{
    (void)state;
    begin();
    int64_t asked_us = lab.now_us;
    lab_run(1);
    const struct sn_seat *s = word(SN_BALLOT_DOWN);
    assert_true(first()->o_down);
    lab_run(2);
    answer(s, false, asked_us);
    assert_true(first()->o_down);
    assert_true(s->down);
    assert_int_equal(lab_count(&lab.events, "-odown"), 0);
    answer(s, false, lab.now_us);
    assert_false(first()->o_down);
}

/* The answer waited for the disk, and the master came back meanwhile. */
static void an_answer_from_before_its_word_does_not_make_odown(void **state)
{
    (void)state;
    begin();
    int64_t asked_us = lab.now_us;
    lab_run(1);
    const struct sn_seat *s = word(SN_BALLOT_UP);
    lab_run(2);
    answer(s, true, asked_us);
    assert_false(first()->o_down);
    answer(s, true, lab.now_us);
    assert_true(first()->o_down);
}

static void where_answer_and_word_differ_it_is_asked_anew(void **state)
{
    (void)state;
    begin();
    int64_t asked_us = lab.now_us;
    lab_run(1);
    const struct sn_seat *s = word(SN_BALLOT_DOWN);
    lab_run(2);
    lab_forget_logs();
    answer(s, false, asked_us);
    assert_int_equal(lab_count(&lab.sent, "DOWN peer0"), 1);
    answer(s, true, asked_us);
    assert_int_equal(lab_count(&lab.sent, "DOWN peer0"), 1);
}

/* Some time that no step has seen. */
static void stall(int64_t ms)
{
    struct sn_event tick = {.kind = SN_EV_TICK};
    lab.now_us += LAB_MS(ms);
    lab_step(&tick);
}

static void in_tilt_a_master_that_is_down_is_not_called_so(void **state)
{
    (void)state;
    begin();
    stall(2500);
    assert_true(lab.core->tilt);
    assert_true(first()->master->s_down);
    assert_int_equal(lab_count(&lab.sent, "UP peer0"), 1);
    assert_int_equal(lab_count(&lab.sent, "UP peer1"), 1);
    lab_forget_logs();
    while (lab.core->tilt) {
        assert_int_equal(lab_count(&lab.sent, "DOWN "), 0);
        lab_run(1);
    }
    lab_run(150);
    assert_int_equal(lab_count(&lab.sent, "DOWN peer0"), 1);
    assert_int_equal(lab_count(&lab.sent, "DOWN peer1"), 1);
}

/* The ballot is written down while the process stands still. */
static void in_tilt_no_vote_is_asked_for_a_dead_masters_replica(void **state)
{
    (void)state;
    begin();
    lab.disk_holds = true;
    word(SN_BALLOT_DOWN);
    while (lab_count(&lab.records, "VOTE") == 0 && first()->fo.state != SN_FO_WAIT_START)
        lab_run(1);
    lab_run(1);
    assert_int_equal(lab_count(&lab.sent, "VOTE peer"), 0);
    lab.core->params.tilt_trigger_ms = 200; /* less than a ballot lives */
    stall(300);
    assert_true(lab.core->tilt);
    lab.disk_holds = false;
    lease_disk(true);
    lab_run(50);
    assert_true(lab.core->tilt);
    assert_int_equal(lab_count(&lab.sent, "VOTE peer"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_answer_from_before_its_word_does_not_end_odown, lease_end),
        cmocka_unit_test_teardown(an_answer_from_before_its_word_does_not_make_odown, lease_end),
        cmocka_unit_test_teardown(where_answer_and_word_differ_it_is_asked_anew, lease_end),
        cmocka_unit_test_teardown(in_tilt_a_master_that_is_down_is_not_called_so, lease_end),
        cmocka_unit_test_teardown(in_tilt_no_vote_is_asked_for_a_dead_masters_replica, lease_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
