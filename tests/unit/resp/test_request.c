#include "common/resp/request.h"

#include "common/base/mem.h"
#include "common/base/rng.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct resp_limits small = {.max_args = 8, .max_bulk = 16, .max_query = 120, .max_inline = 40};

/* What came out of a stream: every request as its arguments in text, then how it ended. */
static void show(struct buf *out, const struct resp_request *q)
{
    buf_printf(out, "%zu:", q->argc);
    for (size_t i = 0; i < q->argc; i++) {
        buf_printf(out, "<%zu>", q->argv[i].n);
        buf_put(out, q->argv[i].p, q->argv[i].n);
    }
    buf_putc(out, '\n');
}

/* Feeds the stream in pieces. Each call sees its bytes in memory of exactly that size and at another place, so that the
 * sanitizer sees a byte read too much and a slice that was kept too long. `next` says how many bytes more come now. */
static enum resp_status feed(const struct resp_limits *limits, struct slice stream, size_t (*next)(void *, size_t),
                             void *arg, struct buf *out)
{
    struct resp_parser *p = resp_parser_new(limits);
    enum resp_status st = RESP_MORE;
    size_t start = 0, have = 0;
    while (st != RESP_ERROR) {
        char *copy = mem_strndup(stream.p + start, have - start);
        char *exact = mem_alloc(have - start);
        memcpy(exact, copy, have - start);
        free(copy);
        struct resp_request q;
        st = resp_parse(p, exact, have - start, &q);
        if (st == RESP_READY) {
            assert_true(q.consumed > 0 && q.consumed <= have - start);
            show(out, &q);
            start += q.consumed;
        } else if (st == RESP_ERROR) {
            assert_int_equal(q.argc, 0);
            buf_printf(out, "error %s\n", q.error);
            const char *first = q.error;
            assert_int_equal(resp_parse(p, exact, have - start, &q), RESP_ERROR); /* and it stays so */
            assert_ptr_equal(q.error, first);
        } else {
            assert_int_equal(q.argc, 0);
            assert_int_equal(q.consumed, 0);
        }
        free(exact);
        if (st == RESP_MORE) {
            if (have == stream.n)
                break;
            size_t more = next(arg, stream.n - have);
            assert_in_range(more, 1, stream.n - have);
            have += more;
        }
    }
    if (st != RESP_ERROR)
        buf_printf(out, "rest %zu\n", stream.n - start);
    resp_parser_free(p);
    return st;
}

static size_t next_all(void *arg, size_t left)
{
    (void)arg;
    return left;
}

static size_t next_byte(void *arg, size_t left)
{
    (void)arg;
    (void)left;
    return 1;
}

static size_t next_first(void *arg, size_t left)
{
    size_t n = *(size_t *)arg;
    *(size_t *)arg = left;
    return n < left ? n : left;
}

static size_t next_random(void *arg, size_t left)
{
    return 1 + rng_below(arg, rng_chance(arg, 500000) ? left : left < 4 ? left : 4);
}

#define L(text)                \
    {                          \
        text, sizeof(text) - 1 \
    }
#define S(text) ((struct slice)L(text))

/* What redis-server 7.0.15 answered on a raw socket: ECHO and PING replied these arguments, or the error after
 * "-ERR ". */
static const struct {
    struct slice stream;
    struct slice expected;
} corpus[] = {
    {L("*1\r\n$4\r\nPING\r\n"), L("1:<4>PING\nrest 0\n")},
    {L("*2\r\n$4\r\nECHO\r\n$0\r\n\r\n"), L("2:<4>ECHO<0>\nrest 0\n")},
    {L("*2\r\n$4\r\nECHO\r\n$4\r\na\r\nb\r\n*1\r\n$4\r\nPING\r\n"), L("2:<4>ECHO<4>a\r\nb\n1:<4>PING\nrest 0\n")},
    {L("*0\r\n*-1\r\n*-9223372036854775808\r\nPING\r\n"), L("0:\n0:\n0:\n1:<4>PING\nrest 0\n")},
    {L("PING\r\nPING\n"), L("1:<4>PING\n1:<4>PING\nrest 0\n")},
    {L("\r\n\n   \r\n  PING  \r\n"), L("0:\n0:\n0:\n1:<4>PING\nrest 0\n")},
    {L("ECHO\ta\vb\r\n"), L("2:<4>ECHO<3>a\vb\nrest 0\n")},
    {L("\vPING\r\n"), L("1:<4>PING\nrest 0\n")},
    {L("PING\rx\r\n"), L("2:<4>PING<1>x\nrest 0\n")},
    {L("ECHO a\\ b\r\n"), L("3:<4>ECHO<2>a\\<1>b\nrest 0\n")},
    {L("ECHO \"a\\x41\\n\\r\\t\\b\\a\\q\\\"\\xZZ\"\r\n"), L("2:<4>ECHO<12>aA\n\r\t\b\aq\"xZZ\nrest 0\n")},
    {L("ECHO \"a\\x4\"\r\n"), L("2:<4>ECHO<3>ax4\nrest 0\n")},
    {L("ECHO 'a\\'b\\n'\r\n"), L("2:<4>ECHO<5>a'b\\n\nrest 0\n")},
    {L("ECHO foo\"bar\"\r\n"), L("2:<4>ECHO<6>foobar\nrest 0\n")},
    {L("ECHO a'b c'\r\n"), L("2:<4>ECHO<4>ab c\nrest 0\n")},
    {L("ECHO \"\"\r\n"), L("2:<4>ECHO<0>\nrest 0\n")},
    {L("\"\"\n"), L("1:<0>\nrest 0\n")},
    {L("ECHO \"a\"\v\r\n"), L("2:<4>ECHO<1>a\nrest 0\n")},
    {L("$1\r\n"), L("1:<2>$1\nrest 0\n")},
    {L("ECHO \xff\xfe\r\n"), L("2:<4>ECHO<2>\xff\xfe\nrest 0\n")},
    {L("ECHO \"\\"), L("rest 7\n")},
    {L("*1\r\n$4\r\nPIN"), L("rest 11\n")},
    {L("*1\r"), L("rest 3\n")},
    {L(""), L("rest 0\n")},
    {L("*\r\n"), L("error Protocol error: invalid multibulk length\n")},
    {L("*abc\r\n"), L("error Protocol error: invalid multibulk length\n")},
    {L("*01\r\n"), L("error Protocol error: invalid multibulk length\n")},
    {L("* 1\r\n"), L("error Protocol error: invalid multibulk length\n")},
    {L("*+1\r\n"), L("error Protocol error: invalid multibulk length\n")},
    {L("*3\n$4\r\n"), L("error Protocol error: invalid multibulk length\n")},
    {L("*9223372036854775808\r\n"), L("error Protocol error: invalid multibulk length\n")},
    {L("*1\r\nPING\r\n"), L("error Protocol error: expected '$', got 'P'\n")},
    {L("*1\r\n\r\n"), L("error Protocol error: expected '$', got ' '\n")},
    {L("*1\r\n\n\r\n"), L("error Protocol error: expected '$', got ' '\n")},
    {L("*3\r\n$4\r\nECHO\r\n$1\r\na\r\n#1\r\n"), L("error Protocol error: expected '$', got '#'\n")},
    {L("*1\r\n$\r\n"), L("error Protocol error: invalid bulk length\n")},
    {L("*1\r\n$-1\r\n"), L("error Protocol error: invalid bulk length\n")},
    {L("*1\r\n$abc\r\n"), L("error Protocol error: invalid bulk length\n")},
    {L("*1\r\n$04\r\nPING\r\n"), L("error Protocol error: invalid bulk length\n")},
    {L("PING\r\n*1\r\n$536870913\r\n"), L("1:<4>PING\nerror Protocol error: invalid bulk length\n")},
    {L("ECHO \"abc\r\n"), L("error Protocol error: unbalanced quotes in request\n")},
    {L("ECHO 'abc\r\n"), L("error Protocol error: unbalanced quotes in request\n")},
    {L("ECHO \"a\"b\r\n"), L("error Protocol error: unbalanced quotes in request\n")},
    {L("ECHO 'a'b\r\n"), L("error Protocol error: unbalanced quotes in request\n")},
    {L("ECHO a\\\"\r\n"), L("error Protocol error: unbalanced quotes in request\n")},
    {L("ECHO \"\\\r\n"), L("error Protocol error: unbalanced quotes in request\n")},
    /* From here on ours alone: Redis takes what is no CRLF for one, shows control bytes raw, and waits for ever after
       NUL. */
    {L("*1\rX$4\r\nPING\r\n"), L("error Protocol error: invalid multibulk length\n")},
    {L("*1\r\n$4\rXPING\r\n"), L("error Protocol error: invalid bulk length\n")},
    {L("*1\r\n$4\r\nPINGxx"), L("error Protocol error: bulk is not followed by CRLF\n")},
    {L("*1\r\n$4\r\nPING\rx"), L("error Protocol error: bulk is not followed by CRLF\n")},
    {L("*1\r\n\x01\r\n"), L("error Protocol error: expected '$', got '\\x01'\n")},
    {L("*1\r\n\0\r\n"), L("error Protocol error: expected '$', got '\\x00'\n")},
    {L("*1\0\r\n"), L("error Protocol error: invalid multibulk length\n")},
    {L("PI\0NG a\r\n"), L("2:<5>PI\0NG<1>a\nrest 0\n")},
};

enum { CORPUS = sizeof corpus / sizeof corpus[0] };

static void expect(const struct resp_limits *limits, struct slice stream, struct slice expected,
                   size_t (*next)(void *, size_t), void *arg)
{
    struct buf out = {0};
    feed(limits, stream, next, arg, &out);
    if (!slice_eq(buf_slice(&out), expected))
        fail_msg("stream:\n%.*s\ngave:\n%s\ninstead of:\n%.*s", (int)stream.n, stream.p, buf_str(&out), (int)expected.n,
                 expected.p);
    buf_free(&out);
}

static void redis_answers_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < CORPUS; i++)
        expect(&resp_limits_default, corpus[i].stream, corpus[i].expected, next_all, NULL);
}

static void every_split_gives_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < CORPUS; i++) {
        struct slice expected = corpus[i].expected;
        expect(&resp_limits_default, corpus[i].stream, expected, next_byte, NULL);
        for (size_t at = 1; at < corpus[i].stream.n; at++) {
            size_t first = at;
            expect(&resp_limits_default, corpus[i].stream, expected, next_first, &first);
        }
    }
}

static void all_pairs_of_good_streams_follow_each_other(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 1);
    for (size_t i = 0; i < CORPUS; i++) {
        for (size_t j = 0; j < CORPUS; j++) {
            struct slice a = corpus[i].expected, b = corpus[j].expected;
            if (a.n < 7 || memcmp(a.p + a.n - 7, "rest 0\n", 7) != 0)
                continue;
            struct buf stream = {0}, expected = {0};
            buf_put(&stream, corpus[i].stream.p, corpus[i].stream.n);
            buf_put(&stream, corpus[j].stream.p, corpus[j].stream.n);
            buf_put(&expected, a.p, a.n - 7);
            buf_put(&expected, b.p, b.n);
            expect(&resp_limits_default, buf_slice(&stream), buf_slice(&expected), next_all, NULL);
            expect(&resp_limits_default, buf_slice(&stream), buf_slice(&expected), next_random, &r);
            buf_free(&stream);
            buf_free(&expected);
        }
    }
}

/* Damaged streams under small limits: whatever comes out, it is the same for every split, and within the limits. */
static void damaged_streams_give_the_same_in_any_split(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 2);
    for (int i = 0; i < 60000; i++) {
        struct buf stream = {0}, whole = {0};
        size_t pieces = 1 + rng_below(&r, 3);
        for (size_t j = 0; j < pieces; j++) {
            struct slice s = corpus[rng_below(&r, CORPUS)].stream;
            buf_put(&stream, s.p, s.n);
        }
        size_t damage = rng_below(&r, 4);
        for (size_t j = 0; j < damage && stream.n > 0; j++) {
            static const char bytes[] = "*$\r\n0123456789-\"'\\ x";
            size_t at = rng_below(&r, stream.n);
            if (rng_chance(&r, 300000)) {
                size_t cut = rng_below(&r, stream.n - at) + 1;
                memmove(stream.p + at, stream.p + at + cut, stream.n - at - cut);
                stream.n -= cut;
            } else {
                stream.p[at] = rng_chance(&r, 200000) ? (char)rng_u64(&r) : bytes[rng_below(&r, sizeof bytes - 1)];
            }
        }
        feed(&small, buf_slice(&stream), next_all, NULL, &whole);
        expect(&small, buf_slice(&stream), buf_slice(&whole), next_byte, NULL);
        expect(&small, buf_slice(&stream), buf_slice(&whole), next_random, &r);
        buf_free(&stream);
        buf_free(&whole);
    }
}

static void random_requests_come_back_as_they_were(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 3);
    for (int i = 0; i < 3000; i++) {
        struct buf stream = {0}, expected = {0};
        size_t requests = 1 + rng_below(&r, 4);
        for (size_t j = 0; j < requests; j++) {
            size_t argc = rng_below(&r, 20);
            buf_printf(&stream, "*%zu\r\n", argc);
            buf_printf(&expected, "%zu:", argc);
            for (size_t k = 0; k < argc; k++) {
                char arg[300];
                size_t n = rng_below(&r, rng_chance(&r, 200000) ? sizeof arg : 10);
                for (size_t b = 0; b < n; b++)
                    arg[b] = rng_chance(&r, 200000) ? "\r\n$*"[rng_below(&r, 4)] : (char)rng_u64(&r);
                buf_printf(&stream, "$%zu\r\n", n);
                buf_put(&stream, arg, n);
                buf_puts(&stream, "\r\n");
                buf_printf(&expected, "<%zu>", n);
                buf_put(&expected, arg, n);
            }
            buf_putc(&expected, '\n');
        }
        buf_puts(&expected, "rest 0\n");
        expect(&resp_limits_control, buf_slice(&stream), buf_slice(&expected), next_all, NULL);
        expect(&resp_limits_control, buf_slice(&stream), buf_slice(&expected), next_random, &r);
        buf_free(&stream);
        buf_free(&expected);
    }
}

static void expect_text(const struct resp_limits *limits, const char *stream, const char *expected)
{
    expect(limits, slice_of(stream), slice_of(expected), next_all, NULL);
    expect(limits, slice_of(stream), slice_of(expected), next_byte, NULL);
}

static void every_limit_holds_and_what_is_just_within_passes(void **state)
{
    (void)state;
    expect_text(&small, "*8\r\n", "rest 4\n");
    expect_text(&small, "*9\r\n", "error Protocol error: invalid multibulk length\n");
    expect_text(&small, "*1\r\n$16\r\n0123456789abcdef\r\n", "1:<16>0123456789abcdef\nrest 0\n");
    expect_text(&small, "*1\r\n$17\r\n", "error Protocol error: invalid bulk length\n");
    expect_text(&small, "a b c d e f g h\n", "8:<1>a<1>b<1>c<1>d<1>e<1>f<1>g<1>h\nrest 0\n");
    expect_text(&small, "a b c d e f g h i\n", "error Protocol error: too big inline request\n");
    expect_text(&small, "0123456789abcdef\n", "1:<16>0123456789abcdef\nrest 0\n");
    expect_text(&small, "0123456789abcdefg\n", "error Protocol error: too big inline request\n");
    expect_text(&small, "\"0123456789abcdefg\"\n", "error Protocol error: too big inline request\n");
    expect_text(&small, "a 56789 123456789 123456789 123456789  \r\n",
                "5:<1>a<5>56789<9>123456789<9>123456789<9>123456789\nrest 0\n");
    expect_text(&small, "a 56789 123456789 123456789 123456789    \n",
                "error Protocol error: too big inline request\n");
    expect_text(&small, "a 56789 123456789 123456789 123456789    ", "error Protocol error: too big inline request\n");
    expect_text(&small, "*1111111111111111111111111111111111111111",
                "error Protocol error: too big mbulk count string\n");
    expect_text(&small, "*1\r\n$111111111111111111111111111111111111111\r",
                "error Protocol error: invalid bulk length\n"); /* 40 bytes of line are read */
    expect_text(&small, "*1\r\n$1111111111111111111111111111111111111111",
                "error Protocol error: too big bulk count string\n");
}

static void a_whole_request_is_bounded(void **state)
{
    (void)state;
    /* Four bytes, then 23 for each argument of 16 bytes: five fit into 120 bytes, the sixth is refused when announced.
     */
    struct buf stream = {0};
    buf_puts(&stream, "*6\r\n");
    for (int i = 0; i < 5; i++)
        buf_puts(&stream, "$16\r\n0123456789abcdef\r\n");
    expect_text(&small, buf_str(&stream), "rest 119\n");
    buf_puts(&stream, "$1\r\n");
    expect_text(&small, buf_str(&stream), "error Protocol error: request is longer than 120 bytes\n");
    buf_free(&stream);
    /* A length line that would end past it counts too. */
    const struct resp_limits tight = {.max_args = 8, .max_bulk = 16, .max_query = 20, .max_inline = 40};
    expect_text(&tight, "*1\r\n$00000000000000000000000000", "error Protocol error: request is longer than 20 bytes\n");
    expect_text(&tight, "PING 0123456789 01234567890\r\n", "error Protocol error: request is longer than 20 bytes\n");
    expect_text(&tight, "PING 0123456789abc\r\n", "2:<4>PING<13>0123456789abc\nrest 0\n");
}

static void the_default_limits_are_those_of_redis(void **state)
{
    (void)state;
    expect(&resp_limits_default, S("*1\r\n$536870912\r\n"), S("rest 16\n"), next_all, NULL);
    struct buf stream = {0};
    for (int i = 0; i < 64 * 1024; i++)
        buf_putc(&stream, 'x');
    expect(&resp_limits_default, buf_slice(&stream), S("rest 65536\n"), next_all, NULL);
    buf_putc(&stream, 'x');
    expect(&resp_limits_default, buf_slice(&stream), S("error Protocol error: too big inline request\n"), next_all,
           NULL);
    buf_free(&stream);
}

static void who_has_not_logged_in_is_told_so(void **state)
{
    (void)state;
    struct resp_limits l = resp_limits_default;
    l.max_args = 10;
    l.max_bulk = 16384;
    l.unauthenticated = true;
    expect_text(&l, "*10\r\n$16384\r\n", "rest 13\n");
    expect_text(&l, "*11\r\n", "error Protocol error: unauthenticated multibulk length\n");
    expect_text(&l, "*1\r\n$16385\r\n", "error Protocol error: unauthenticated bulk length\n");
    expect_text(&l, "*x\r\n", "error Protocol error: invalid multibulk length\n");
    expect_text(&l, "*99999999999\r\n", "error Protocol error: invalid multibulk length\n");
    expect_text(&l, "*1\r\n$-1\r\n", "error Protocol error: invalid bulk length\n");
    expect_text(&l, "*1\r\n$4\r\nPING\r\n", "1:<4>PING\nrest 0\n");
}

/* What is seen ahead is what resp_parse() gives one by one; what it leaves is what resp_parse() has to look at. */
static void ahead_is_the_same(void **state)
{
    (void)state;
    struct buf stream = {0};
    struct resp_request ahead[32], q;
    struct rng r;
    rng_seed(&r, 7);
    for (int round = 0; round < 2000; round++) {
        buf_clear(&stream);
        size_t requests = rng_below(&r, 20);
        for (size_t i = 0; i < requests; i++) {
            size_t args = rng_below(&r, 8);
            if (rng_below(&r, 30) == 0)
                buf_puts(&stream, "PING inline\r\n");
            buf_printf(&stream, "*%zu\r\n", args);
            for (size_t k = 0; k < args; k++)
                buf_printf(&stream, "$%d\r\n%s\r\n", k % 2 == 0 ? 3 : 12, k % 2 == 0 ? "abc" : "\r\n$3\r\nx\r\n*1");
        }
        size_t n = stream.n > 0 ? rng_below(&r, stream.n + 1) : 0, at = 0;
        char *exact = mem_alloc(n);
        memcpy(exact, stream.p != NULL ? stream.p : "", n);
        struct resp_parser *a = resp_parser_new(&resp_limits_default), *b = resp_parser_new(&resp_limits_default);
        size_t got = resp_parse_ahead(a, exact, n, ahead, 32);
        for (size_t i = 0; i < got; i++) {
            assert_int_equal(resp_parse(b, exact + at, n - at, &q), RESP_READY);
            assert_int_equal(q.argc, ahead[i].argc);
            assert_int_equal(q.consumed, ahead[i].consumed);
            for (size_t k = 0; k < q.argc; k++)
                assert_true(q.argv[k].p == ahead[i].argv[k].p && q.argv[k].n == ahead[i].argv[k].n);
            at += q.consumed;
        }
        assert_int_equal(resp_parse(a, exact + at, n - at, &q), resp_parse(b, exact + at, n - at, &q));
        free(exact);
        resp_parser_free(a);
        resp_parser_free(b);
    }
    buf_free(&stream);
}

static void what_is_wanted_is_known(void **state)
{
    (void)state;
    static const char text[] = "*2\r\n$3\r\nGET\r\n$1000\r\nabc";
    struct resp_parser *p = resp_parser_new(&resp_limits_default);
    struct resp_request q;
    assert_int_equal(resp_parse(p, text, sizeof text - 1, &q), RESP_MORE);
    assert_int_equal(resp_wanted(p), sizeof text - 1 - 3 + 1000 + 2);
    resp_parser_free(p);
}

/* A client that announces a million arguments and sends few costs the few. mem_fail() is not ours here, so the proof is
 * that parsing as many parsers as would need 32 GiB goes through. */
static void announced_arguments_cost_nothing(void **state)
{
    (void)state;
    enum { N = 1000 };
    static struct resp_parser *p[N];
    struct resp_request q;
    for (int i = 0; i < N; i++) {
        p[i] = resp_parser_new(&resp_limits_default);
        static const char text[] = "*1048576\r\n$536870912\r\nabc";
        assert_int_equal(resp_parse(p[i], text, sizeof text - 1, &q), RESP_MORE);
    }
    for (int i = 0; i < N; i++)
        resp_parser_free(p[i]);
    resp_parser_free(NULL);
}

/* After a request of many arguments a small one works, with slices of the new bytes. */
static void a_huge_request_is_forgotten(void **state)
{
    (void)state;
    struct buf big = {0};
    buf_puts(&big, "*5000\r\n");
    for (int i = 0; i < 5000; i++)
        buf_puts(&big, "$1\r\nx\r\n");
    struct resp_parser *p = resp_parser_new(&resp_limits_default);
    struct resp_request q;
    assert_int_equal(resp_parse(p, big.p, big.n, &q), RESP_READY);
    assert_int_equal(q.argc, 5000);
    assert_int_equal(q.consumed, big.n);
    for (int i = 0; i < 5000; i++)
        assert_true(slice_is(q.argv[i], "x"));
    buf_free(&big);
    const char *ping = "PING a\r\n";
    assert_int_equal(resp_parse(p, ping, strlen(ping), &q), RESP_READY);
    assert_int_equal(q.argc, 2);
    assert_ptr_equal(q.argv[0].p, ping);
    assert_ptr_equal(q.argv[1].p, ping + 5);
    resp_parser_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redis_answers_the_same),
        cmocka_unit_test(who_has_not_logged_in_is_told_so),
        cmocka_unit_test(ahead_is_the_same),
        cmocka_unit_test(what_is_wanted_is_known),
        cmocka_unit_test(every_split_gives_the_same),
        cmocka_unit_test(all_pairs_of_good_streams_follow_each_other),
        cmocka_unit_test(damaged_streams_give_the_same_in_any_split),
        cmocka_unit_test(random_requests_come_back_as_they_were),
        cmocka_unit_test(every_limit_holds_and_what_is_just_within_passes),
        cmocka_unit_test(a_whole_request_is_bounded),
        cmocka_unit_test(the_default_limits_are_those_of_redis),
        cmocka_unit_test(announced_arguments_cost_nothing),
        cmocka_unit_test(a_huge_request_is_forgotten),
    };
    return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
