/* Leases at one node: what its supervisors say, and until when it may write. */
#include "tests/unit/cluster/leased.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000)
#define SUPERVISED "3,1,0," LIST3

static struct leased *n;

static int alone(void **state)
{
    (void)state;
    n = leased_new("");
    leased_pass(n, 3000 * MS); /* just restarted it would not be sure that it is still the master */
    return 0;
}

static int supervised(void **state)
{
    (void)state;
    n = leased_new(SUPERVISED);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    leased_free(n);
    return 0;
}

/* ---- grants ---- */

static void a_majority_lasts_as_long_as_its_shorter_half(void **state)
{
    (void)state;
    assert_false(leased_writes(n));
    assert_int_equal(cl_lease_until(n->core), 0);
    assert_true(leased_grant(n, 0, 1000, 0));
    assert_false(leased_writes(n));
    assert_true(leased_grant(n, 0, 1000, 0)); /* one voice, however often it speaks */
    assert_false(leased_writes(n));
    assert_true(leased_grant(n, 2, 500, 0));
    assert_true(leased_writes(n));
    assert_int_equal(cl_lease_until(n->core), n->boot_us + 495 * MS); /* x 0.99 */
    assert_int_equal(leased_state(n).grants, 2);
    assert_int_equal(leased_state(n).needed, 2);
    leased_pass(n, 494 * MS);
    assert_true(leased_writes(n));
    leased_pass(n, 1 * MS);
    assert_false(leased_writes(n));
    assert_int_equal(leased_state(n).grants, 1);
    assert_true(leased_grant(n, 1, 500, 0));
    assert_true(leased_writes(n));
}

static void the_clock_decides_without_a_step(void **state)
{
    (void)state;
    leased_grant(n, 0, 1000, 0);
    leased_grant(n, 1, 1000, 0);
    n->boot_us += 990 * MS - 1;
    assert_true(leased_writes(n));
    n->boot_us++;
    assert_false(leased_writes(n));
    assert_int_equal(leased_state(n).grants, 0);
}

/* Stopped or suspended, with leases unread in its sockets. */
static void what_waited_in_a_socket_revives_nothing(void **state)
{
    (void)state;
    struct cl_stamp before = leased_stamp(n);
    leased_grant(n, 0, 1000, 0);
    leased_grant(n, 1, 1000, 0);
    n->now_us += 1; /* suspended: only the boot clock has gone on */
    n->boot_us += 2000 * MS;
    for (int i = 0; i < 3; i++) {
        assert_true(leased_say(n, (struct said){i, 1000, 0, before, 1, LIST3, false}));
        assert_false(leased_writes(n));
    }
    struct cl_stamp after = leased_stamp(n), other = after;
    other.incarnation++;
    struct cl_stamp later = {after.incarnation, after.clock_us + 1}, none = {0, 0};
    for (int i = 0; i < 3; i++) {
        leased_say(n, (struct said){i, 1000, 0, other, 1, LIST3, false});
        leased_say(n, (struct said){i, 1000, 0, later, 1, LIST3, false});
        leased_say(n, (struct said){i, 1000, 0, none, 1, LIST3, false});
    }
    assert_false(leased_writes(n));
    leased_say(n, (struct said){0, 1000, 0, after, 1, LIST3, false});
    leased_say(n, (struct said){1, 1000, 0, after, 1, LIST3, false});
    assert_true(leased_writes(n));
}

static void a_late_message_does_not_shorten_a_lease(void **state)
{
    (void)state;
    struct cl_stamp old = leased_stamp(n);
    leased_pass(n, 300 * MS);
    leased_grant(n, 0, 1000, 0);
    leased_grant(n, 1, 1000, 0);
    int64_t until = cl_lease_until(n->core);
    leased_say(n, (struct said){0, 1000, 0, old, 1, LIST3, false});
    assert_int_equal(cl_lease_until(n->core), until);
}

static void what_is_taken_back_does_not_come_back(void **state)
{
    (void)state;
    leased_grant(n, 0, 1000, 0);
    leased_grant(n, 1, 1000, 0);
    struct cl_stamp on_its_way = leased_stamp(n);
    leased_pass(n, 1 * MS);
    assert_true(leased_grant(n, 1, 0, 0));
    assert_false(leased_writes(n));
    leased_say(n, (struct said){1, 1000, 0, on_its_way, 1, LIST3, false});
    assert_false(leased_writes(n));
    leased_pass(n, 1);
    leased_grant(n, 1, 1000, 0);
    assert_true(leased_writes(n));
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    struct cl_stamp now = leased_stamp(n);
    assert_false(leased_say(n, (struct said){3, 1000, 0, now, 1, LIST3, false}));
    assert_string_equal(n->answer, "ERR The list of supervisors has no position 3");
    assert_false(leased_say(n, (struct said){0, 1000, CL_EPOCH_MAX, now, 1, LIST3, false}));
    assert_false(leased_say(n, (struct said){0, -1, 0, now, 1, LIST3, false}));
    assert_false(leased_say(n, (struct said){0, CL_LEASE_MS_MAX + 1, 0, now, 1, LIST3, false}));
    assert_int_equal(leased_state(n).grants, 0);
}

static void a_restart_takes_no_write_until_it_is_leased(void **state)
{
    (void)state;
    struct cl_stamp before = leased_stamp(n);
    leased_grant(n, 0, 1000, 0);
    leased_grant(n, 1, 1000, 0);
    assert_true(leased_writes(n));
    leased_restart(n);
    assert_true(leased_state(n).supervised);
    assert_int_equal(leased_state(n).generation, 3);
    assert_true(leased_state(n).incarnation != before.incarnation);
    assert_false(leased_writes(n));
    leased_say(n, (struct said){0, 1000, 0, before, 1, LIST3, false});
    leased_say(n, (struct said){1, 1000, 0, before, 1, LIST3, false});
    assert_false(leased_writes(n));
    leased_grant(n, 0, 1000, 0);
    leased_grant(n, 1, 1000, 0);
    assert_true(leased_writes(n));
}

/* ---- who supervises it ---- */

static void a_master_is_adopted_without_a_refused_write(void **state)
{
    (void)state;
    n->slow = true;
    struct cl_stamp none = {0, 0};
    for (int i = 0; i < 3; i++)
        assert_true(leased_say(n, (struct said){i, 1000, 0, none, 1, LIST3, false}));
    assert_false(n->core->supervised);
    assert_true(leased_grant(n, 0, 1000, 0));
    assert_false(n->core->supervised);
    assert_int_equal(cl_lease_until(n->core), INT64_MAX);
    assert_true(leased_grant(n, 1, 1000, 0));
    assert_true(n->core->supervised);
    /* Not before it is on disk. */
    assert_int_equal(cl_lease_until(n->core), INT64_MAX);
    assert_false(leased_state(n).supervised);
    leased_pass(n, 600 * MS);
    leased_grant(n, 0, 1000, 0);
    leased_grant(n, 1, 1000, 0);
    leased_pass(n, 600 * MS);
    leased_written(n);
    assert_true(leased_state(n).supervised);
    assert_true(leased_writes(n));
    assert_int_equal(leased_state(n).until_us, n->boot_us + 390 * MS);
    assert_true(leased_says(n, "1,1,0," LIST3));
    assert_true(slice_is(cl_lease_list(n->core), LIST3));
    leased_pass(n, 400 * MS);
    assert_false(leased_writes(n));
}

static void one_version_counts(void **state)
{
    (void)state;
    struct cl_stamp now = leased_stamp(n);
    assert_false(leased_say(n, (struct said){0, 1000, 0, now, 1, "10.0.0.1:26379", false}));
    assert_string_equal(n->answer, "STALESUPERVISORS This node counts version 1 of the list: " LIST3);
    leased_free(n);
    n = leased_new("3,7,0," LIST3);
    assert_false(leased_grant(n, 0, 1000, 0));
    assert_string_equal(n->answer, "STALESUPERVISORS This node counts version 7 of the list: " LIST3);
}

#define LIST_NEW "10.0.0.3:26379,10.0.0.4:26379,10.0.0.5:26379,10.0.0.2:26379"

static bool say_new(int position, int64_t ttl_ms)
{
    return leased_say(n, (struct said){position, ttl_ms, 0, leased_stamp(n), 2, LIST_NEW, false});
}

/* It moves when majorities of the old list and of the new one have said so: here 2 of 3, and 3 of 4. */
static void a_new_version_needs_both_majorities(void **state)
{
    (void)state;
    leased_grant(n, 0, 1000, 0);
    leased_grant(n, 1, 1000, 0);
    leased_grant(n, 2, 1000, 0);
    assert_true(say_new(1, 1000)); /* 4 and 5 are new */
    assert_true(say_new(2, 1000));
    assert_true(say_new(0, 1000)); /* 3 is of both: three of the new list, one of the old one */
    assert_int_equal(leased_state(n).version, 1);
    leased_pass(n, 5100 * MS);
    assert_false(leased_writes(n));
    assert_true(say_new(3, 1000)); /* too long ago */
    assert_int_equal(leased_state(n).version, 1);
    assert_true(leased_grant(n, 0, 1000, 0));
    assert_true(leased_grant(n, 1, 1000, 0));
    assert_true(leased_writes(n));
    assert_true(say_new(0, 0)); /* without a grant: it would lose its lease */
    assert_true(say_new(1, 1000));
    assert_true(say_new(2, 1000));
    assert_int_equal(leased_state(n).version, 1); /* 3 and 2 of the old list; 2, 4 and 5 grant */
    leased_pass(n, MS);
    assert_true(say_new(0, 1000));
    assert_int_equal(leased_state(n).version, 2);
    assert_true(leased_writes(n));
    assert_int_equal(leased_state(n).generation, 4);
    assert_true(leased_says(n, "4,2,0," LIST_NEW));
    assert_false(leased_grant(n, 0, 1000, 0));
}

/* Of four supervisors three grant, and would be a majority; those of the list that counts may be with another node. */
static void a_list_that_is_only_heard_of_leases_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(say_new(i, 1000));
    assert_int_equal(leased_state(n).version, 1);
    assert_int_equal(leased_state(n).until_us, 0);
    assert_false(leased_writes(n));
}

static void it_keeps_its_lease_while_the_list_changes(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        leased_grant(n, i, 1000, 0);
    struct cl_stamp none = {0, 0};
    for (int i = 0; i < 4; i++)
        leased_say(n, (struct said){i, 1000, 0, none, 2, LIST_NEW, false});
    assert_int_equal(leased_state(n).version, 1);
    assert_true(leased_writes(n));
    /* The old ones have all become new ones, and what they gave before ends. */
    leased_pass(n, 990 * MS);
    assert_int_equal(leased_state(n).version, 1);
    assert_false(leased_writes(n));
    leased_pass(n, 3000 * MS);
    for (int i = 0; i < 4; i++)
        leased_say(n, (struct said){i, 1000, 0, none, 2, LIST_NEW, false});
    leased_pass(n, 1000 * MS);
    assert_int_equal(leased_state(n).version, 1);
    leased_pass(n, 20 * MS);
    assert_int_equal(leased_state(n).version, 2);
    assert_false(leased_writes(n));
}

/* A majority of the old list has promoted another node, and one of it was then started with the new list: it speaks to
 * this node too and does not grant. Those who are new know nothing of that node. */
static void who_knows_of_another_lease_has_a_say_in_the_new_list(void **state)
{
    (void)state;
    assert_true(say_new(0, 0));
    for (int i = 1; i < 4; i++)
        assert_true(say_new(i, 1000));
    assert_int_equal(leased_state(n).version, 1);
    assert_false(leased_writes(n));
    leased_pass(n, 900 * MS);
    assert_true(say_new(0, 1000)); /* what it granted to the other one has ended */
    assert_int_equal(leased_state(n).version, 2);
    assert_true(leased_writes(n));
}

/* He went over for good: the new list is not without leases for ever because he did not live to grant. */
static void who_went_over_and_died_has_agreed(void **state)
{
    (void)state;
    assert_true(say_new(0, 0));
    assert_true(say_new(3, 0));
    for (int at_ms = 0; at_ms < 5000; at_ms += 1000) {
        leased_pass(n, 1000 * MS);
        for (int i = 1; i < 4; i++)
            assert_true(say_new(i, 1000));
        assert_int_equal(leased_state(n).version, at_ms < 4000 ? 1 : 2);
    }
    leased_pass(n, MS); /* stamps of before the change are void */
    for (int i = 1; i < 4; i++)
        assert_true(say_new(i, 1000));
    assert_true(leased_writes(n));
}

/* Nobody grants what nobody elects, and nobody stands under a list that no node counts. */
static void a_long_grant_is_waited_for(void **state)
{
    (void)state;
    struct cl_stamp none = {0, 0};
    for (int at_ms = 0; at_ms <= 20000; at_ms += 4000) {
        for (int i = 0; i < 4; i++)
            leased_say(n, (struct said){i, 10000, 0, none, 2, LIST_NEW, false});
        assert_int_equal(leased_state(n).version, 1);
        leased_pass(n, 4000 * MS);
    }
    for (int i = 0; i < 4; i++)
        leased_say(n, (struct said){i, 10000, 0, none, 2, LIST_NEW, false});
    assert_int_equal(leased_state(n).version, 2);
}

static void other_candidates_do_not_mix(void **state)
{
    (void)state;
    assert_true(say_new(0, 1000));
    assert_false(leased_say(n, (struct said){0, 1000, 0, leased_stamp(n), 2, LIST3, false}));
    assert_int_equal(memcmp(n->answer, "STALESUPERVISORS This node has heard of version 2", 49), 0);
    assert_true(leased_say(n, (struct said){0, 1000, 0, leased_stamp(n), 3, LIST3, false}));
    leased_pass(n, 5100 * MS);
    assert_true(say_new(0, 1000)); /* nobody speaks of version 3 any more */
}

static void released(void **state)
{
    (void)state;
    assert_true(leased_command(n, &(struct cl_command){.verb = CL_RELEASE}));
    assert_int_equal(cl_lease_until(n->core), INT64_MAX);
    assert_false(n->core->supervised);
    assert_true(leased_says(n, "4,0,0,"));
    assert_false(leased_command(n, &(struct cl_command){.verb = CL_RELEASE}));
    leased_restart(n);
    assert_int_equal(cl_lease_until(n->core), INT64_MAX);
    assert_int_equal(leased_state(n).generation, 4);
    leased_grant(n, 0, 5000, 0);
    leased_grant(n, 1, 5000, 0);
    assert_false(n->core->supervised);
    leased_pass(n, 3000 * MS);
    assert_true(leased_says(n, "5,1,0," LIST3));
}

/* ---- epochs ---- */

/* Those who grant may be a majority only by now, of a list that has changed since they voted: the epoch that they name
 * may be another node's. Where the disk was lost it is a former life's. */
static void no_epoch_is_taken_by_a_lease_and_no_lease_above_it(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        leased_grant(n, i, 1000, LEASED_EPOCH + 1);
    assert_false(leased_writes(n));
    assert_int_equal(n->core->me->config_epoch, LEASED_EPOCH);
    for (int i = 0; i < 3; i++)
        leased_grant(n, i, 1000, LEASED_EPOCH);
    assert_true(leased_writes(n));
}

static void a_lease_that_is_given_back_is_over(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        leased_grant(n, i, 1000, 5);
    struct cl_stamp on_its_way = leased_stamp(n);
    leased_pass(n, 1);
    struct said back = {.give_back = true, .version = 1, .list = LIST3, .epoch = 5};
    assert_false(leased_say(n, back)); /* it claims its slots with that */
    assert_true(leased_writes(n));
    back.epoch = 6;
    n->slow = true;
    leased_say(n, back);
    assert_false(leased_writes(n)); /* at once; */
    assert_false(n->answered);      /* told when it is on disk */
    leased_written(n);
    assert_true(n->answered && n->answer_ok);
    n->slow = false;
    assert_true(leased_says(n, "3,1,6," LIST3));
    leased_pass(n, 1);
    for (int i = 0; i < 3; i++) {
        leased_say(n, (struct said){i, 1000, 6, on_its_way, 1, LIST3, false});
        leased_grant(n, i, 1000, 5);
    }
    assert_false(leased_writes(n));
    leased_restart(n);
    for (int i = 0; i < 3; i++)
        leased_grant(n, i, 1000, 5);
    assert_false(leased_writes(n));
    for (int i = 0; i < 3; i++)
        leased_grant(n, i, 1000, 6);
    assert_false(leased_writes(n)); /* nobody has made it the master at that epoch yet */
    struct cl_id own = cl_my_id(n->core);
    struct cl_takeover t = {.epoch = 6, .from = &own, .nfrom = 1};
    assert_true(leased_command(n, &(struct cl_command){.verb = CL_TAKEOVER, .promotion = &t}));
    for (int i = 0; i < 3; i++)
        leased_grant(n, i, 1000, 6);
    assert_true(leased_writes(n));
    assert_int_equal(leased_state(n).config_epoch, 6);
}

static void without_a_lease_it_claims_nothing(void **state)
{
    (void)state;
    uint8_t slots[CL_SLOT_BYTES] = {1};
    assert_true(leased_command(n, &(struct cl_command){.verb = CL_DELSLOTS, .slots = slots}));
    assert_false(leased_command(n, &(struct cl_command){.verb = CL_ADDSLOTS, .slots = slots}));
    assert_false(leased_command(n, &(struct cl_command){.verb = CL_BUMPEPOCH}));
    leased_grant(n, 0, 1000, 0);
    leased_grant(n, 1, 1000, 0);
    assert_true(leased_command(n, &(struct cl_command){.verb = CL_ADDSLOTS, .slots = slots}));
    assert_true(leased_command(n, &(struct cl_command){.verb = CL_BUMPEPOCH}));
}

static bool writes_with(const char *supervised_and_more)
{
    leased_free(n);
    n = leased_new(supervised_and_more);
    assert_true(leased_grant(n, 0, 1000, 0));
    assert_true(leased_grant(n, 1, 1000, 0));
    return leased_writes(n);
}

/* It knows that the second swap was prepared, and lacks the first one: its replica's dataset was that far behind. */
static void whoever_lacks_a_swap_before_the_last_one_takes_no_write(void **state)
{
    (void)state;
    assert_true(writes_with(SUPERVISED " swap 0,1,1,0"));
    assert_true(writes_with(SUPERVISED " swap 0,1,1,1"));
    assert_false(writes_with(SUPERVISED " swap 0,1,2,0"));
    assert_int_equal(leased_state(n).grants, 2);
    assert_false(writes_with(SUPERVISED " swap 0,1,2,1"));
}

#define ON(set_up, test) cmocka_unit_test_setup_teardown(test, set_up, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON(supervised, a_majority_lasts_as_long_as_its_shorter_half),
        ON(supervised, the_clock_decides_without_a_step),
        ON(supervised, what_waited_in_a_socket_revives_nothing),
        ON(supervised, a_late_message_does_not_shorten_a_lease),
        ON(supervised, what_is_taken_back_does_not_come_back),
        ON(supervised, what_makes_no_sense_is_refused),
        ON(supervised, a_restart_takes_no_write_until_it_is_leased),
        ON(alone, a_master_is_adopted_without_a_refused_write),
        ON(supervised, one_version_counts),
        ON(supervised, a_new_version_needs_both_majorities),
        ON(supervised, a_list_that_is_only_heard_of_leases_nothing),
        ON(supervised, it_keeps_its_lease_while_the_list_changes),
        ON(supervised, who_knows_of_another_lease_has_a_say_in_the_new_list),
        ON(supervised, who_went_over_and_died_has_agreed),
        ON(supervised, a_long_grant_is_waited_for),
        ON(supervised, other_candidates_do_not_mix),
        ON(supervised, released),
        ON(supervised, no_epoch_is_taken_by_a_lease_and_no_lease_above_it),
        ON(supervised, a_lease_that_is_given_back_is_over),
        ON(supervised, without_a_lease_it_claims_nothing),
        ON(supervised, whoever_lacks_a_swap_before_the_last_one_takes_no_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
