#include "sentineld/shell/wire.h"

#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef01234567"
#define OTHER "fedcba9876543210fedcba9876543210fedcba98"

static struct addr address(const char *host, int port)
{
    struct addr a;
    assert_true(addr_set(&a, slice_of(host), port));
    return a;
}

/* What hiredis makes of the bytes of a reply. */
static redisReply *parsed(const struct buf *out)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    assert_int_equal(redisReaderFeed(reader, out->p, out->n), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    redisReaderFree(reader);
    return reply;
}

static redisReply *parsed_text(const char *text)
{
    struct buf out = {.n = 0};
    buf_puts(&out, text);
    redisReply *r = parsed(&out);
    buf_free(&out);
    return r;
}

static void ballot_request_comes_back_whole(void **state)
{
    (void)state;
    const struct sn_ballot sent[] = {
        {.verb = SN_BALLOT_DOWN, .down = true, .group = "orders", .master = address("10.0.0.1", 6379)},
        {.verb = SN_BALLOT_UP, .group = "a", .master = address("::1", 1)},
        {.verb = SN_BALLOT_VOTE,
         .down = true,
         .ordered = true,
         .group = "b",
         .master = address("db.example", 65535),
         .epoch = INT64_MAX,
         .candidate = address("10.0.0.2", 6380)},
        {.verb = SN_BALLOT_CANCEL, .group = "c", .master = address("10.0.0.9", 7), .epoch = 12},
    };
    struct wire_request q = {.n = 0};
    struct wire_ballots got;
    wire_ballot_request(&q, ID, 41, sent, 4);
    const struct slice *argv = wire_argv(&q);
    assert_int_equal(q.n, 4 + 4 * 8);
    assert_true(slice_is(argv[0], "SENTINEL") && slice_is(argv[1], "BALLOT"));
    assert_null(wire_ballot_decode(argv + 2, q.n - 2, &got));
    assert_string_equal(got.id, ID);
    assert_int_equal(got.epoch, 41);
    assert_int_equal(got.n, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(got.ballots[i].verb, sent[i].verb);
        assert_int_equal(got.ballots[i].down, sent[i].down);
        assert_int_equal(got.ballots[i].ordered, sent[i].ordered);
        assert_string_equal(got.ballots[i].group, sent[i].group);
        assert_true(addr_eq(&got.ballots[i].master, &sent[i].master));
        assert_true(got.ballots[i].epoch == sent[i].epoch);
        assert_int_equal(got.ballots[i].candidate.port, sent[i].candidate.port);
        assert_string_equal(got.ballots[i].candidate.host, sent[i].candidate.host);
    }
    wire_ballots_free(&got);
    wire_request_free(&q);
}

static void probe_is_a_ballot_request_without_ballots(void **state)
{
    (void)state;
    struct wire_request q = {.n = 0};
    struct wire_ballots got;
    wire_ballot_request(&q, ID, 7, NULL, 0);
    assert_null(wire_ballot_decode(wire_argv(&q) + 2, q.n - 2, &got));
    assert_int_equal(got.n, 0);
    assert_int_equal(got.epoch, 7);
    wire_ballots_free(&got);
    wire_request_free(&q);
}

static void ask_request_is_the_stock_form(void **state)
{
    (void)state;
    struct sn_ballot b = {.verb = SN_BALLOT_DOWN, .group = "g", .master = address("10.0.0.1", 6379), .epoch = 9};
    struct wire_request q = {.n = 0};
    struct wire_ballots got;
    wire_ask_request(&q, ID, 5, &b);
    const struct slice *argv = wire_argv(&q);
    assert_int_equal(q.n, 6);
    assert_true(slice_is(argv[1], "IS-MASTER-DOWN-BY-ADDR"));
    assert_true(slice_is(argv[4], "5") && slice_is(argv[5], "*"));
    assert_null(wire_ask_decode(argv + 2, 4, &got));
    assert_int_equal(got.ballots[0].verb, SN_BALLOT_DOWN);
    assert_null(got.ballots[0].group);
    assert_string_equal(got.id, "");
    wire_ballots_free(&got);
    wire_request_free(&q);

    b.verb = SN_BALLOT_VOTE;
    wire_ask_request(&q, ID, 5, &b);
    argv = wire_argv(&q);
    assert_true(slice_is(argv[4], "9") && slice_is(argv[5], ID));
    assert_null(wire_ask_decode(argv + 2, 4, &got));
    assert_int_equal(got.ballots[0].verb, SN_BALLOT_VOTE);
    assert_int_equal(got.ballots[0].epoch, 9);
    assert_int_equal(got.epoch, 9);
    assert_string_equal(got.id, ID);
    assert_string_equal(got.ballots[0].master.host, "10.0.0.1");
    wire_ballots_free(&got);
    wire_request_free(&q);
}

static void ask_about_an_impossible_address_is_no_error(void **state)
{
    (void)state;
    struct slice argv[4] = {slice_of("10.0.0.1"), slice_of("99999"), slice_of("1"), slice_of("*")};
    struct wire_ballots got;
    assert_null(wire_ask_decode(argv, 4, &got));
    assert_int_equal(got.n, 1);
    assert_false(addr_is_set(&got.ballots[0].master));
    wire_ballots_free(&got);
}

static void ballot_reply_comes_back_whole(void **state)
{
    (void)state;
    struct sn_opinion sent[2] = {{.down = true, .leader = OTHER, .leader_epoch = INT64_MAX}, {.down = false}};
    for (int proto = 2; proto <= 3; proto++) {
        struct buf out = {.n = 0};
        struct reply r = {&out, proto};
        struct wire_answer got;
        wire_ballot_reply(&r, ID, 77, sent, 2);
        redisReply *reply = parsed(&out);
        assert_true(wire_ballot_answer(reply, &got));
        assert_string_equal(got.id, ID);
        assert_int_equal(got.epoch, 77);
        assert_int_equal(got.n, 2);
        assert_true(got.opinions[0].down && !got.opinions[1].down);
        assert_string_equal(got.opinions[0].leader, OTHER);
        assert_string_equal(got.opinions[1].leader, "");
        assert_true(got.opinions[0].leader_epoch == INT64_MAX);
        wire_answer_free(&got);
        freeReplyObject(reply);
        buf_free(&out);
    }
}

static void ask_reply_of_stock_is_read(void **state)
{
    (void)state;
    redisReply *reply = parsed_text("*3\r\n:1\r\n$1\r\n*\r\n:0\r\n");
    struct wire_answer got;
    assert_true(wire_ask_answer(reply, &got));
    assert_int_equal(got.n, 1);
    assert_true(got.opinions[0].down);
    assert_string_equal(got.opinions[0].leader, "");
    wire_answer_free(&got);
    freeReplyObject(reply);
}

static void replies_of_another_shape_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "-ERR Unknown sentinel subcommand 'BALLOT'\r\n",
        "+OK\r\n",
        "$-1\r\n",
        "*0\r\n",
        "*3\r\n:1\r\n:2\r\n:3\r\n",
        "*3\r\n$1\r\nx\r\n:2\r\n*0\r\n",
        "*3\r\n$40\r\n" ID "\r\n:-1\r\n*0\r\n",
        "*3\r\n$40\r\n" ID "\r\n:1\r\n+no list\r\n",
        "*3\r\n$40\r\n" ID "\r\n:1\r\n*1\r\n*2\r\n:1\r\n$1\r\n*\r\n",
        "*3\r\n$40\r\n" ID "\r\n:1\r\n*2\r\n*3\r\n:1\r\n$1\r\n*\r\n:0\r\n*3\r\n:1\r\n$3\r\nbad\r\n:0\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        redisReply *reply = parsed_text(texts[i]);
        struct wire_answer got;
        assert_false(wire_ballot_answer(reply, &got));
        assert_int_equal(got.n, 0);
        assert_false(wire_ask_answer(reply, &got));
        wire_answer_free(&got);
        freeReplyObject(reply);
    }
}

/* One word of a good request replaced by a bad one, each with the error that names what is wrong. */
static void bad_words_are_refused_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        const char *word, *says;
    } cases[] = {
        {0, "short", "supervisor id"},
        {1, "-1", "epoch"},
        {1, "9223372036854775808", "epoch"},
        {2, "MAYBE", "verb"},
        {3, "4", "down flag"},
        {4, "", "group name"},
        {5, "", "master address"},
        {6, "0", "master address"},
        {6, "65536", "master address"},
        {7, "x", "epoch"},
        {8, "10.0.0.2", "candidate"},
        {9, "6380", "candidate"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice argv[10] = {slice_of(ID),  slice_of("1"), slice_of("vote"), slice_of("1"), slice_of("g"),
                                 slice_of("h"), slice_of("1"), slice_of("3"),    slice_of(""),  slice_of("0")};
        struct wire_ballots got;
        assert_null(wire_ballot_decode(argv, 10, &got));
        wire_ballots_free(&got);
        argv[cases[i].at] = slice_of(cases[i].word);
        const char *why = wire_ballot_decode(argv, 10, &got);
        if (why == NULL || strstr(why, cases[i].says) == NULL)
            fail_msg("word %zu as \"%s\": %s", cases[i].at, cases[i].word, why == NULL ? "taken" : why);
        assert_int_equal(got.n, 0);
        assert_null(got.ballots);
    }
}

static void bad_counts_of_words_are_refused(void **state)
{
    (void)state;
    struct slice argv[20];
    struct wire_ballots got;
    for (size_t i = 0; i < 20; i++)
        argv[i] = slice_of(ID);
    for (size_t n = 0; n < 20; n++)
        if (n < 2 || (n - 2) % 8 != 0)
            assert_string_equal(wire_ballot_decode(argv, n, &got),
                                "wrong number of arguments for 'sentinel|ballot' command");
    for (size_t n = 0; n < 8; n++)
        if (n != 4)
            assert_non_null(wire_ask_decode(argv, n, &got));
    argv[1] = slice_of("x");
    assert_string_equal(wire_ask_decode(argv, 4, &got), "value is not an integer or out of range");
}

static void too_many_ballots_are_refused(void **state)
{
    (void)state;
    size_t n = 2 + 8 * (size_t)(WIRE_BALLOTS_MAX + 1);
    struct slice *argv = calloc(n, sizeof *argv);
    struct wire_ballots got;
    for (size_t i = 0; i < n; i++)
        argv[i] = slice_of("1");
    argv[0] = slice_of(ID);
    assert_non_null(strstr(wire_ballot_decode(argv, n, &got), "Too many"));
    free(argv);
}

/* Any bytes: an answer or an error, never a fault; under the sanitizers this is what finds one. */
static void random_words_do_no_harm(void **state)
{
    (void)state;
    static const char *const words[] = {ID,   "*",      "1", "0",        "",     "VOTE", "DOWN",
                                        "UP", "CANCEL", "g", "10.0.0.1", "6379", "-3",   "x y"};
    struct rng rng;
    size_t taken = 0;
    rng_seed(&rng, 20260101);
    for (int round = 0; round < 200000; round++) {
        struct slice argv[18];
        struct wire_ballots got;
        size_t n = rng_below(&rng, 2) == 0 ? 10 : rng_below(&rng, 19);
        for (size_t i = 0; i < n; i++)
            argv[i] = slice_of(words[rng_below(&rng, sizeof words / sizeof words[0])]);
        if (n > 0 && rng_below(&rng, 2) == 0)
            argv[0] = slice_of(ID);
        taken += wire_ballot_decode(argv, n, &got) == NULL;
        wire_ballots_free(&got);
        taken += wire_ask_decode(argv, n, &got) == NULL;
        wire_ballots_free(&got);
    }
    assert_true(taken > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ballot_request_comes_back_whole),
        cmocka_unit_test(probe_is_a_ballot_request_without_ballots),
        cmocka_unit_test(ask_request_is_the_stock_form),
        cmocka_unit_test(ask_about_an_impossible_address_is_no_error),
        cmocka_unit_test(ballot_reply_comes_back_whole),
        cmocka_unit_test(ask_reply_of_stock_is_read),
        cmocka_unit_test(replies_of_another_shape_are_refused),
        cmocka_unit_test(bad_words_are_refused_with_the_reason),
        cmocka_unit_test(bad_counts_of_words_are_refused),
        cmocka_unit_test(too_many_ballots_are_refused),
        cmocka_unit_test(random_words_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
