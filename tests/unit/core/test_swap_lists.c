/* Swaps of databases behind a change of the list of supervisors, in the whole core of one of them: what the old list
 * has decided the new one knows before it decides anything. */
#include "tests/unit/core/lease_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* We are at 7, the others of the present list are at 8 and 9. */
#define OLD "10.0.0.6:26379,10.0.0.7:26379,10.0.0.8:26379"
#define OLDER "10.0.0.7:26379,10.0.0.8:26379"
#define OTHER "10.0.0.5:26379,10.0.0.8:26379,10.0.0.9:26379"

enum { AT_8, AT_9 };

static const char *const peers[PEERS] = {"00000000000000000000000000000000000000b1",
                                         "ffffffffffffffffffffffffffffffffffffffb2"};

static const struct sn_swap nothing = {.promised = 0}, blank = {.blank = true};

static const struct sn_swapping *swap(void)
{
    return &lab.core->fleets[0]->swap;
}

static void begin(const struct sn_swap *has, const char *lists)
{
    lease_begin(&(struct lease_begin){
        .supervised = true, .version = 1, .counted = true, .empty_state = !lists, .swap = *has, .swap_lists = lists});
    lab_run(1000);
    for (int k = 0; k < PEERS; k++) /* with an empty state directory nobody votes before that */
        lease_ballot(k, SN_BALLOT_DOWN, 0, 3);
    lease_forget();
}

static struct sn_swap accepted(enum sn_swap_value value, uint64_t epoch)
{
    return (struct sn_swap){.promised = epoch,
                            .accepted = epoch,
                            .entry = {.value = value, .step = {.version = 1, .begun = 50, .a = 1, .b = 2}}};
}

static const struct sn_swap_word *hear(int peer, enum sn_swap_verb verb, uint64_t epoch, const struct sn_swap *has,
                                       const char *lists)
{
    struct sn_swap_word q = {.verb = verb, .list = 1, .epoch = epoch, .config = 1000, .has = *has};
    struct sn_event e = {.kind = SN_EV_SWAP, .token = 8, .text = slice_of(peers[peer]), .epoch = epoch, .swap = &q};
    e.group = slice_of("orders");
    q.lists = slice_of(lists);
    if (lab.answer)
        sn_effect_free(lab.answer);
    free(lab.answer);
    lab.answer = NULL;
    lab_step(&e);
    lab_run(5);
    return lab.answer && lab.answer->kind == SN_FX_ANSWER_SWAP ? lab.answer->swap : NULL;
}

static void tell(int peer, const struct sn_swap *has, const char *lists)
{
    assert_non_null(hear(peer, SN_SWAP_TELL, 0, has, lists));
}

/* 9 wants our vote: whether it gets it. What it has does not matter. */
static bool vote(uint64_t epoch)
{
    return hear(AT_9, SN_SWAP_STAND, epoch, &nothing, "")->yes;
}

/* 6 led, and has told the masters to commit what it and 8 had accepted; we had heard of the beginning alone. 6 is on
 * the list no more, and 9, who never heard of that, is a majority of the new one with us. */
static void a_decision_of_the_old_list_is_not_undone(void **state)
{
    (void)state;
    struct sn_swap begun = accepted(SN_SWAP_BEGUN, 50), committed = accepted(SN_SWAP_COMMIT, 50);
    begin(&begun, OLD);
    assert_false(vote(60));
    tell(AT_8, &begun, OLD); /* it may accept something there yet */
    assert_false(vote(61));
    tell(AT_8, &committed, OLD ";" LEASE_LIST);
    assert_true(vote(62));
    assert_int_equal(lab.answer->swap->has.entry.value, SN_SWAP_COMMIT);
    assert_string_equal(swap()->lists, LEASE_LIST);
}

static void who_has_a_new_list_ends_nothing_by_itself(void **state)
{
    (void)state;
    struct sn_swap begun = accepted(SN_SWAP_BEGUN, 50), committed = accepted(SN_SWAP_COMMIT, 50);
    begin(&begun, OLD);
    uint64_t epoch = swap()->has.promised;
    lab_run(5000);
    assert_int_equal(swap()->has.promised, epoch); /* it would be aborted */
    tell(AT_8, &committed, OLD ";" LEASE_LIST);
    lab_run(3000);
    assert_true(swap()->has.promised > epoch);
    assert_int_equal(swap()->lead.latest.entry.value, SN_SWAP_COMMIT);
}

/* On another list than ours it may go on as if there were no other. */
static void who_is_on_another_new_list_has_not_left_the_old_one_for_ours(void **state)
{
    (void)state;
    struct sn_swap begun = accepted(SN_SWAP_BEGUN, 50);
    begin(&begun, OLD);
    tell(AT_8, &begun, OLD ";" OTHER);
    tell(AT_9, &nothing, "");
    assert_false(vote(60));
    tell(AT_8, &blank, LEASE_LIST); /* nor does one count that has lost its memory */
    assert_false(vote(61));
}

/* We were away while another list came and went: 8 has spoken under it. */
static void lists_that_others_had_in_between_are_asked_too(void **state)
{
    (void)state;
    struct sn_swap made = accepted(SN_SWAP_COMMIT, 70);
    begin(&nothing, OLDER);
    assert_false(vote(60));
    tell(AT_8, &nothing, OTHER ";" LEASE_LIST);
    assert_false(vote(61));
    tell(AT_9, &made, LEASE_LIST);
    assert_true(vote(80));
    assert_int_equal(swap()->has.accepted, 70);
}

static void under_a_new_list_nothing_is_told_before_that_is_stored(void **state)
{
    (void)state;
    struct sn_swap begun = accepted(SN_SWAP_BEGUN, 50);
    lease_begin(
        &(struct lease_begin){.supervised = true, .version = 1, .counted = true, .swap = begun, .swap_lists = OLD});
    assert_int_equal(lab_count(&lab.records, "SWAP"), 1);
    assert_string_equal(swap()->lists, OLD ";" LEASE_LIST);
    assert_true(swap()->seq > 0);
    lease_end(state);
    lease_begin(&(struct lease_begin){
        .supervised = true, .version = 1, .counted = true, .swap = begun, .swap_lists = LEASE_LIST});
    assert_int_equal(lab_count(&lab.records, "SWAP"), 0);
    assert_string_equal(swap()->lists, LEASE_LIST);
    lease_end(state);
    /* As an earlier version of this program has left it. */
    lease_begin(&(struct lease_begin){.supervised = true, .version = 1, .counted = true, .swap = begun});
    assert_int_equal(lab_count(&lab.records, "SWAP - orders " LEASE_LIST), 1);
    assert_true(sn_swap_may_decide(lab.core->fleets[0]));
}

/* A majority of the list may be as new as we are. */
static void who_is_new_asks_those_who_are_not(void **state)
{
    (void)state;
    struct sn_swap committed = accepted(SN_SWAP_COMMIT, 50);
    begin(&nothing, NULL);
    assert_true(swap()->has.blank);
    tell(AT_9, &blank, LEASE_LIST);
    tell(AT_8, &committed, ""); /* of a list that we are not on: its answer to a newcomer */
    assert_false(vote(60));
    tell(AT_8, &committed, OTHER ";" LEASE_LIST);
    assert_false(vote(61)); /* 9 has told us that it knows nothing: 5 might know more */
    tell(AT_9, &nothing, OTHER ";" LEASE_LIST);
    assert_true(vote(62));
    assert_int_equal(lab.answer->swap->has.entry.value, SN_SWAP_COMMIT);
}

static void where_all_are_new_nothing_was_decided(void **state)
{
    (void)state;
    begin(&nothing, NULL);
    tell(AT_8, &blank, LEASE_LIST);
    assert_false(vote(60));
    tell(AT_9, &blank, LEASE_LIST);
    assert_true(vote(61));
    assert_false(swap()->has.blank);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_decision_of_the_old_list_is_not_undone, lease_end),
        cmocka_unit_test_teardown(who_has_a_new_list_ends_nothing_by_itself, lease_end),
        cmocka_unit_test_teardown(who_is_on_another_new_list_has_not_left_the_old_one_for_ours, lease_end),
        cmocka_unit_test_teardown(lists_that_others_had_in_between_are_asked_too, lease_end),
        cmocka_unit_test_teardown(under_a_new_list_nothing_is_told_before_that_is_stored, lease_end),
        cmocka_unit_test_teardown(who_is_new_asks_those_who_are_not, lease_end),
        cmocka_unit_test_teardown(where_all_are_new_nothing_was_decided, lease_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
