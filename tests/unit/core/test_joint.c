/* A cluster that all supervisors of the list give up, or take on again, by a word to one of them. */
#include "tests/unit/core/lease_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void say(enum sn_event_kind kind, bool alone)
{
    struct sn_event e = {.kind = kind, .token = 9, .group = slice_of("orders"), .alone = alone};
    lab_step(&e);
}

static void peer_dies(int k)
{
    for (size_t i = 0; i < lab.core->npeers; i++) {
        const struct sn_peer *p = lab.core->peers[i];
        struct sn_event e = {.kind = SN_EV_LINK_DOWN, .link = p->cmd.link, .why = SN_WHY_CLOSED};
        if (strcmp(p->addr.host, k == 0 ? "10.0.0.8" : "10.0.0.9") != 0)
            continue;
        lease.peers[k].up = false;
        lab_step(&e);
    }
}

static void answered(enum sn_answer answer, const char *text)
{
    assert_non_null(lab.answer);
    assert_int_equal(lab.answer->answer, answer);
    if (text == NULL)
        return;
    if (strstr(lab.answer->text, text) == NULL)
        print_message("%s\n", lab.answer->text);
    assert_non_null(strstr(lab.answer->text, text));
}

static void the_others_are_told_and_the_nodes(void **state)
{
    (void)state;
    lease_adopted();
    say(SN_EV_RELEASE, false);
    assert_int_equal(lab_count(&lab.sent, "GIVE-UP peer0 orders"), 1);
    assert_int_equal(lab_count(&lab.sent, "GIVE-UP peer1 orders"), 1);
    assert_int_equal(lab_count(&lab.sent, "RELEASE 7001"), 0); /* it is on disk first */
    lab_run(500);
    answered(SN_ANSWER_OK, NULL);
    assert_int_equal(lab.core->nfleets, 0);
    assert_int_equal(lab_count(&lab.sent, "RELEASE 7001 1:0:" LEASE_LIST), 2); /* until it says that it is free */
    assert_int_equal(lab_count(&lab.sent, "RELEASE 7004 1:0:" LEASE_LIST), 2);
    assert_int_equal(lease.nodes[0].granted, 0);
}

static void nobody_is_told_before_the_disk_has_it(void **state)
{
    (void)state;
    lease_adopted();
    lab.disk_holds = true;
    say(SN_EV_RELEASE, true);
    lab_run(1000);
    assert_int_equal(lab_count(&lab.sent, "RELEASE"), 0);
    assert_int_equal(lease.nodes[0].granted, 0);
    lease_disk(false); /* written again */
    lab.disk_holds = false;
    lab_run(1500);
    assert_true(lab_count(&lab.sent, "RELEASE 7001") > 0);
}

static void alone_the_word_is_given_once(void **state)
{
    (void)state;
    lease_adopted();
    lease.nodes[0].holds_on = lease.nodes[3].holds_on = true;
    say(SN_EV_RELEASE, true);
    lab_run(200);
    answered(SN_ANSWER_OK, NULL);
    assert_int_equal(lab_count(&lab.sent, "GIVE-UP"), 0);
    assert_int_equal(lab_count(&lab.sent, "RELEASE 7001"), 1);
}

static void who_does_not_is_named(void **state)
{
    (void)state;
    lease_adopted();
    peer_dies(0);
    lease.nodes[3].holds_on = true;
    say(SN_EV_RELEASE, false);
    lab_run(1000);
    assert_int_equal(lab_count(&lab.sent, "GIVE-UP"), 0); /* it may connect again */
    lab_run(6000);
    answered(SN_ANSWER_ERROR,
             "PARTIAL orders was released by 2 of 3 supervisors. Not by 10.0.0.8:26379 (not connected)");
    answered(SN_ANSWER_ERROR, "Nodes that did not confirm it: 127.0.0.1:7004");
    assert_int_equal(lab.core->nfleets, 0);
}

static void too_few_are_named(void **state)
{
    (void)state;
    lease_adopted();
    lease.peers[0].refuses = "NOPERM this user has no permissions";
    lease.peers[1].refuses = "ERR No such cluster with that name"; /* released there before */
    say(SN_EV_RELEASE, false);
    lab_run(6000);
    answered(SN_ANSWER_ERROR, "released by 2 of 3 supervisors. Not by 10.0.0.8:26379 (NOPERM");
}

static void without_a_majority_nothing_is_done(void **state)
{
    (void)state;
    lease_adopted();
    peer_dies(0);
    peer_dies(1);
    say(SN_EV_RELEASE, false);
    lab_run(2000);
    answered(SN_ANSWER_ERROR, "ERR Nothing was done: 1 of the 3 supervisors can be reached, and it takes 2");
    assert_int_equal(lab.core->nfleets, 1);
    assert_int_equal(lab_count(&lab.sent, "RELEASE"), 0);
    assert_true(lease.nodes[0].granted > 5);
}

static void an_adoption_is_told(void **state)
{
    (void)state;
    lease_adopted();
    lease.peers[1].refuses = "ERR The configuration file names no such cluster";
    say(SN_EV_ADOPTED, false);
    assert_int_equal(lab_count(&lab.sent, "TAKE-ON peer0 orders"), 1);
    lab_run(100);
    answered(SN_ANSWER_ERROR, "PARTIAL orders was adopted by 2 of 3 supervisors. Not by 10.0.0.9:26379 (ERR The conf");
    say(SN_EV_ADOPTED, true);
    answered(SN_ANSWER_OK, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_others_are_told_and_the_nodes, lease_end),
        cmocka_unit_test_teardown(nobody_is_told_before_the_disk_has_it, lease_end),
        cmocka_unit_test_teardown(alone_the_word_is_given_once, lease_end),
        cmocka_unit_test_teardown(who_does_not_is_named, lease_end),
        cmocka_unit_test_teardown(too_few_are_named, lease_end),
        cmocka_unit_test_teardown(without_a_majority_nothing_is_done, lease_end),
        cmocka_unit_test_teardown(an_adoption_is_told, lease_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
