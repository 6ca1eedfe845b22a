/* Words about swaps of databases between supervisors: what is said is what is heard, and nothing else is believed. */
#include "sentineld/shell/wire_swap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef01234567"
#define LISTS "10.0.0.1:26379,10.0.0.2:26379;10.0.0.2:26379,[::1]:26379"
#define NODE "1111111111111111111111111111111111111111"
#define RECORD "1,9,8,2,1,4,7,1,2,3,5,0,9,77," NODE

static struct sn_swap_word word(void)
{
    return (struct sn_swap_word){.verb = SN_SWAP_ACCEPT,
                                 .list = 3,
                                 .epoch = 8,
                                 .config = 6,
                                 .lists = slice_of(LISTS),
                                 .has = {.blank = true,
                                         .promised = 9,
                                         .accepted = 8,
                                         .entry = {.value = SN_SWAP_COMMIT,
                                                   .decided = true,
                                                   .step = {.version = 4, .begun = 7, .a = 1, .b = 2},
                                                   .before = {.version = 3, .begun = 5, .a = 0, .b = 9},
                                                   .asker = NODE,
                                                   .request = 77}}};
}

static void assert_same(const struct sn_swap *a, const struct sn_swap *b)
{
    assert_true(a->blank == b->blank && a->promised == b->promised && a->accepted == b->accepted &&
                a->entry.value == b->entry.value && a->entry.decided == b->entry.decided &&
                a->entry.request == b->entry.request);
    assert_memory_equal(&a->entry.step, &b->entry.step, sizeof a->entry.step);
    assert_memory_equal(&a->entry.before, &b->entry.before, sizeof a->entry.before);
    assert_string_equal(a->entry.asker, b->entry.asker);
}

static void a_question_comes_as_it_was_said(void **state)
{
    (void)state;
    struct wire_request q = {.n = 0};
    struct sn_swap_word w = word();
    struct wire_swap got;
    wire_swap_request(&q, ID, 12, "orders", &w);
    const struct slice *argv = wire_argv(&q);
    assert_int_equal(q.n, 11);
    assert_true(slice_is(argv[1], "MAPPING") && slice_is(argv[5], "ACCEPT") && slice_is(argv[9], RECORD) &&
                slice_is(argv[10], LISTS));
    assert_null(wire_swap_decode(argv + 2, q.n - 2, &got));
    assert_string_equal(got.id, ID);
    assert_true(slice_is(got.fleet, "orders") && slice_is(got.word.lists, LISTS));
    assert_true(got.epoch == 12 && got.word.verb == SN_SWAP_ACCEPT && got.word.list == 3 && got.word.epoch == 8 &&
                got.word.config == 6);
    assert_same(&got.word.has, &w.has);
    wire_request_free(&q);
}

/* Why a swap was given up goes with the record, commas and all. */
static void the_reason_of_an_abort_comes_along(void **state)
{
    (void)state;
    struct wire_request q = {.n = 0};
    struct sn_swap_word w = word();
    struct wire_swap got;
    const char *why = "10.0.0.1:7001 refuses: slots are moved, wait";
    w.has.entry.value = SN_SWAP_ABORT;
    snprintf(w.has.entry.why, sizeof w.has.entry.why, "%s", why);
    wire_swap_request(&q, ID, 12, "orders", &w);
    assert_null(wire_swap_decode(wire_argv(&q) + 2, q.n - 2, &got));
    assert_same(&got.word.has, &w.has);
    assert_string_equal(got.word.has.entry.why, why);
    wire_request_free(&q);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    static const char *const good[] = {ID, "12", "orders", "STAND", "3", "8", "6", RECORD, LISTS};
    static const struct {
        int at;
        const char *text;
    } bad[] = {
        {0, "short"},
        {1, "-1"},
        {3, "SIT"},
        {4, "x"},
        {5, "18446744073709551615"},
        {6, ""},
        {7, ""},
        {7, "1,9,8,2,1,4,7,1,2,3,5,0,9,77"},
        {7, "2,9,8,2,1,4,7,1,2,3,5,0,9,77,-"}, /* neither blank nor not */
        {7, "0,9,8,4,1,4,7,1,2,3,5,0,9,77,-"}, /* no such value */
        {7, "0,7,8,2,1,4,7,1,2,3,5,0,9,77,-"}, /* accepted what was not promised */
        {7, "0,9,8,1,1,4,7,1,2,3,5,0,9,77,-"}, /* begun and decided */
        {7, "0,9,8,2,1,5,7,1,2,3,5,0,9,77,-"}, /* not the next step */
        {7, "0,9,8,2,1,4,7,1,1,3,5,0,9,77,-"}, /* with itself */
        {7, "0,9,8,2,1,4,9,1,2,3,5,0,9,77,-"}, /* begun after it was accepted */
        {7, "0,9,8,2,1,4,7,1,2,3,5,0,9,77,zz"},
    };
    struct slice argv[9];
    struct wire_swap got;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        for (int k = 0; k < 9; k++)
            argv[k] = slice_of(k == bad[i].at ? bad[i].text : good[k]);
        if (wire_swap_decode(argv, 9, &got) == NULL)
            fail_msg("'%s' was taken", bad[i].text);
    }
    for (int k = 0; k < 9; k++)
        argv[k] = slice_of(good[k]);
    assert_null(wire_swap_decode(argv, 9, &got));
    assert_non_null(wire_swap_decode(argv, 8, &got));
    argv[8] = (struct slice){"a;\0b", 4};
    assert_non_null(wire_swap_decode(argv, 9, &got));
}

static bool answered(const char *p, size_t n, struct wire_swap *out, char *fleet)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    assert_int_equal(redisReaderFeed(reader, p, n), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    bool good = wire_swap_answer(reply, out);
    if (good)
        memcpy(fleet, out->fleet.p, out->fleet.n);
    freeReplyObject(reply);
    redisReaderFree(reader);
    return good;
}

static void an_answer_comes_as_it_was_said(void **state)
{
    (void)state;
    struct buf out = {0};
    struct reply r = {&out, 2};
    struct sn_swap_word w = word();
    struct wire_swap got;
    char fleet[16] = "";
    w.yes = true;
    wire_swap_reply(&r, ID, 13, "orders", &w);
    assert_true(answered(out.p, out.n, &got, fleet));
    assert_string_equal(fleet, "orders");
    assert_true(got.epoch == 13 && got.word.yes && got.word.list == 3 && got.word.epoch == 8);
    assert_same(&got.word.has, &w.has);
    assert_false(answered("-ERR unknown\r\n", 14, &got, fleet));
    assert_false(answered("*1\r\n$1\r\nx\r\n", 11, &got, fleet));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_comes_as_it_was_said),
        cmocka_unit_test(the_reason_of_an_abort_comes_along),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(an_answer_comes_as_it_was_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
