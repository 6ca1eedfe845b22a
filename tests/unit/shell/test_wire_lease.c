#include "sentineld/shell/wire_lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef01234567"
#define NODE "1111111111111111111111111111111111111111"
#define MASTER "2222222222222222222222222222222222222222"
#define SPEAKER "3:1:10.0.0.1:26379,10.0.0.2:26379,10.0.0.3:26379"

static void expect_words(struct wire_request *q, const char *const *words)
{
    const struct slice *argv = wire_argv(q);
    size_t n = 0;
    for (; words[n] != NULL; n++) {
        assert_true(n < q->n);
        if (!slice_is(argv[n], words[n]))
            fail_msg("word %zu is '%.*s', not '%s'", n, (int)argv[n].n, argv[n].p, words[n]);
    }
    assert_int_equal(q->n, n);
    wire_request_clear(q);
}

static void requests(void **state)
{
    (void)state;
    struct wire_request q = {.n = 0};
    struct sn_stamp stamp = {.incarnation = 0xabc, .clock_us = 123456789};
    wire_lease_request(&q, ID, SPEAKER, 500000, 7, &stamp);
    expect_words(
        &q, (const char *const[]){"CLUSTER", "LEASE", ID, SPEAKER, "500", "7", "0000000000000abc", "123456789", NULL});
    stamp.incarnation = 0;
    wire_lease_request(&q, ID, SPEAKER, 0, 0, &stamp);
    expect_words(&q, (const char *const[]){"CLUSTER", "LEASE", ID, SPEAKER, "0", "0", NULL});
    wire_lease_request(&q, ID, SPEAKER, 999, 0, NULL); /* less than a millisecond is nothing */
    expect_words(&q, (const char *const[]){"CLUSTER", "LEASE", ID, SPEAKER, "0", "0", NULL});
    wire_lease_return(&q, ID, SPEAKER, 12);
    expect_words(&q, (const char *const[]){"CLUSTER", "LEASE", "RETURN", ID, SPEAKER, "12", NULL});
    wire_takeover_request(&q, 9, NODE "," MASTER, false, SPEAKER, NULL, 0);
    expect_words(&q,
                 (const char *const[]){"CLUSTER", "FAILOVER", "TAKEOVER", "EPOCH", "9", "FROM", NODE "," MASTER, NULL});
    char one[SN_GRANT_TEXT], two[SN_GRANT_TEXT], *grants[] = {one, two};
    sn_grant_text(one, 0, &(struct sn_grant){{UINT64_MAX, INT64_MAX, 0}, INT64_MAX, INT64_MAX - 999});
    sn_grant_text(two, 30, &(struct sn_grant){{1, 5, 0}, 1999, 1});
    assert_string_equal(two, "30/0000000000000001/5/1/1"); /* shorter to last, longer to wait */
    wire_takeover_request(&q, 9, NODE, true, SPEAKER, grants, 2);
    expect_words(&q, (const char *const[]){"CLUSTER", "FAILOVER", "TAKEOVER", "EPOCH", "9", "FROM", NODE, "FORCE",
                                           "GRANTS", SPEAKER, one, two, NULL});
    wire_request_free(&q);
}

static bool answered(const char *text, struct sn_lease_told *out)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    assert_int_equal(redisReaderFeed(reader, text, strlen(text)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    bool good = wire_lease_answer(reply, out);
    freeReplyObject(reply);
    redisReaderFree(reader);
    return good;
}

#define STAMP "$11\r\nincarnation\r\n$16\r\nfedcba9876543210\r\n$5\r\nclock\r\n:987654321\r\n"
#define NAMED "$4\r\nnode\r\n$40\r\n" NODE "\r\n"

static void an_answer(void **state)
{
    (void)state;
    struct sn_lease_told t;
    assert_true(answered("*48\r\n" NAMED "$5\r\nshard\r\n$40\r\n" ID "\r\n$4\r\nrole\r\n$7\r\nreplica\r\n"
                         "$12\r\nconfig_epoch\r\n:5\r\n$13\r\ncurrent_epoch\r\n:6\r\n$6\r\nmaster\r\n$40\r\n" MASTER
                         "\r\n$5\r\nslots\r\n:0\r\n$4\r\nlink\r\n$2\r\nup\r\n$7\r\nlink_ms\r\n:1500\r\n"
                         "$6\r\nreplid\r\n$40\r\n" ID "\r\n$6\r\noffset\r\n:4711\r\n$8\r\npriority\r\n:100\r\n"
                         "$7\r\nloading\r\n:0\r\n$4\r\nkeys\r\n:12\r\n$13\r\nmapping_epoch\r\n:2\r\n"
                         "$10\r\nsupervised\r\n:3\r\n$7\r\nversion\r\n:4\r\n$8\r\nlease_ms\r\n:0\r\n"
                         "$6\r\ngrants\r\n:1\r\n$11\r\nstate_known\r\n:1\r\n$9\r\nmigrating\r\n:0\r\n"
                         "$11\r\nwants_epoch\r\n:7\r\n" STAMP,
                         &t));
    assert_string_equal(t.node, NODE);
    assert_string_equal(t.shard, ID);
    assert_string_equal(t.master, MASTER);
    assert_string_equal(t.replid, ID);
    assert_int_equal(t.role, SN_ROLE_REPLICA);
    assert_true(t.link_up && t.state_known && !t.loading);
    assert_int_equal(t.config_epoch, 5);
    assert_int_equal(t.wants_epoch, 7);
    assert_int_equal(t.current_epoch, 6);
    assert_int_equal(t.link_ms, 1500);
    assert_int_equal(t.offset, 4711);
    assert_int_equal(t.keys, 12);
    assert_int_equal(t.mapping_epoch, 2);
    assert_int_equal(t.generation, 3);
    assert_int_equal(t.version, 4);
    assert_int_equal(t.grants, 1);
    assert_true(t.incarnation == UINT64_C(0xfedcba9876543210));
    assert_int_equal(t.clock_us, 987654321);
}

static void short_answers_and_later_ones(void **state)
{
    (void)state;
    struct sn_lease_told t;
    assert_true(answered("*8\r\n" STAMP "$4\r\nrole\r\n$6\r\nmaster\r\n" NAMED, &t)); /* in any order */
    assert_int_equal(t.role, SN_ROLE_MASTER);
    assert_string_equal(t.master, "");
    assert_true(answered("*10\r\n" STAMP "$4\r\nrole\r\n$6\r\nmaster\r\n$3\r\nnew\r\n*1\r\n:5\r\n" NAMED, &t));
}

static void no_answers(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "-ERR unknown subcommand\r\n",
        "+OK\r\n",
        "*0\r\n",
        "*6\r\n" STAMP "$4\r\nrole\r\n$6\r\nmaster\r\n",                                      /* whose? */
        "*6\r\n" STAMP NAMED,                                                                 /* no role */
        "*4\r\n$4\r\nrole\r\n$6\r\nmaster\r\n" NAMED,                                         /* no stamp */
        "*8\r\n" STAMP "$4\r\nrole\r\n$5\r\nqueen\r\n" NAMED,                                 /* no such role */
        "*8\r\n" STAMP "$4\r\nrole\r\n$6\r\nmaster\r\n$4\r\nnode\r\n$3\r\nabc\r\n",           /* no id */
        "*10\r\n" STAMP "$4\r\nrole\r\n$6\r\nmaster\r\n" NAMED "$6\r\noffset\r\n$1\r\n5\r\n", /* no number */
        "*10\r\n" STAMP "$4\r\nrole\r\n$6\r\nmaster\r\n" NAMED "$12\r\nconfig_epoch\r\n:-1\r\n",
        "*8\r\n$11\r\nincarnation\r\n$3\r\nxyz\r\n$5\r\nclock\r\n:1\r\n$4\r\nrole\r\n$6\r\nmaster\r\n" NAMED,
        "*7\r\n" STAMP "$4\r\nrole\r\n$6\r\nmaster\r\n$4\r\nnode\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct sn_lease_told t = {.slots = 1};
        if (answered(texts[i], &t))
            fail_msg("answer %zu was taken", i);
        assert_int_equal(t.slots, 0);
        assert_string_equal(t.node, "");
    }
    struct sn_lease_told t;
    assert_false(wire_lease_answer(NULL, &t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(an_answer),
        cmocka_unit_test(short_answers_and_later_ones),
        cmocka_unit_test(no_answers),
    };
    return cmocka_run_group_tests_name("wire_lease", tests, NULL, NULL);
}
