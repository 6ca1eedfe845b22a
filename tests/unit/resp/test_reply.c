#include "common/resp/reply.h"

#include "common/base/rng.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

static void check(struct reply *r, const char *expected, size_t n)
{
    if (r->out->n != n || memcmp(r->out->p, expected, n) != 0)
        fail_msg("RESP%d: wrote \"%s\" instead of \"%s\"", r->proto, buf_str(r->out), expected);
    buf_clear(r->out);
}

/* What the calls write in RESP2 and in RESP3. */
#define EXPECT(calls, resp2, resp3)                      \
    do {                                                 \
        struct buf out = {0};                            \
        struct reply two = {&out, 2}, three = {&out, 3}; \
        struct reply *r = &two;                          \
        calls;                                           \
        check(r, resp2, sizeof(resp2) - 1);              \
        r = &three;                                      \
        calls;                                           \
        check(r, resp3, sizeof(resp3) - 1);              \
        buf_free(&out);                                  \
    } while (0)
#define SAME(calls, text) EXPECT(calls, text, text)

static void scalars(void **state)
{
    (void)state;
    SAME(reply_status(r, "OK"), "+OK\r\n");
    SAME(reply_error(r, "ERR no such master '%s'", "a"), "-ERR no such master 'a'\r\n");
    SAME(reply_int(r, 0), ":0\r\n");
    SAME(reply_int(r, INT64_MIN), ":-9223372036854775808\r\n");
    SAME(reply_int(r, INT64_MAX), ":9223372036854775807\r\n");
    SAME(reply_bulk(r, "a\0\r\n", 4), "$4\r\na\0\r\n\r\n");
    SAME(reply_bulk(r, NULL, 0), "$0\r\n\r\n");
    SAME(reply_bulks(r, "abc"), "$3\r\nabc\r\n");
    SAME(reply_bulkf(r, "%s:%d", "h", 6379), "$6\r\nh:6379\r\n");
    SAME(reply_bulkf(r, "%s", ""), "$0\r\n\r\n");
    SAME(reply_bulk_int(r, -12), "$3\r\n-12\r\n");
    SAME(reply_bulk_int(r, INT64_MIN), "$20\r\n-9223372036854775808\r\n");
}

static void what_resp2_lacks(void **state)
{
    (void)state;
    EXPECT(reply_null(r), "$-1\r\n", "_\r\n");
    EXPECT(reply_null_array(r), "*-1\r\n", "_\r\n");
    EXPECT(reply_bool(r, true), ":1\r\n", "#t\r\n");
    EXPECT(reply_bool(r, false), ":0\r\n", "#f\r\n");
    EXPECT(reply_verbatim(r, "a\r\n", 3), "$3\r\na\r\n\r\n", "=7\r\ntxt:a\r\n\r\n");
    EXPECT(reply_map(r, 3), "*6\r\n", "%3\r\n");
    EXPECT(reply_set(r, 3), "*3\r\n", "~3\r\n");
    EXPECT(reply_push(r, 3), "*3\r\n", ">3\r\n");
    SAME(reply_array(r, 0), "*0\r\n");
    SAME(reply_array(r, SIZE_MAX), "*18446744073709551615\r\n");
}

static void no_argument_breaks_the_framing(void **state)
{
    (void)state;
    SAME(reply_error(r, "ERR unknown command '%s'", "a\r\n+OK\r\n"), "-ERR unknown command 'a  +OK  '\r\n");
    SAME(reply_status(r, "a\nb"), "+a b\r\n");
    /* What was written before is left alone. */
    SAME((reply_bulks(r, "\r\n"), reply_error(r, "x\n")), "$2\r\n\r\n\r\n-x \r\n");
}

static void doubles(void **state)
{
    (void)state;
    EXPECT(reply_double(r, 0), "$1\r\n0\r\n", ",0\r\n");
    EXPECT(reply_double(r, -1), "$2\r\n-1\r\n", ",-1\r\n");
    EXPECT(reply_double(r, 3.5), "$3\r\n3.5\r\n", ",3.5\r\n");
    EXPECT(reply_double(r, 0.1), "$19\r\n0.10000000000000001\r\n", ",0.10000000000000001\r\n");
    EXPECT(reply_double(r, 0.1 + 0.2), "$19\r\n0.30000000000000004\r\n", ",0.30000000000000004\r\n");
    EXPECT(reply_double(r, 1e15), "$16\r\n1000000000000000\r\n", ",1000000000000000\r\n");
    EXPECT(reply_double(r, -9007199254740993.0), "$17\r\n-9007199254740992\r\n", ",-9007199254740992\r\n");
    EXPECT(reply_double(r, 1e300), "$23\r\n1.0000000000000001e+300\r\n", ",1.0000000000000001e+300\r\n");
    EXPECT(reply_double(r, 5e-324), "$23\r\n4.9406564584124654e-324\r\n", ",4.9406564584124654e-324\r\n");
    EXPECT(reply_double(r, -0.0), "$2\r\n-0\r\n", ",-0\r\n");
    EXPECT(reply_double(r, 99999999999999984.0), "$17\r\n99999999999999984\r\n", ",99999999999999984\r\n");
    EXPECT(reply_double(r, 1e17), "$5\r\n1e+17\r\n", ",1e+17\r\n");
    EXPECT(reply_double(r, (double)INFINITY), "$3\r\ninf\r\n", ",inf\r\n");
    EXPECT(reply_double(r, (double)-INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
    EXPECT(reply_double(r, (double)NAN), "$3\r\nnan\r\n", ",nan\r\n");
    EXPECT(reply_double(r, -(double)NAN), "$3\r\nnan\r\n", ",nan\r\n");
}

static void random_doubles_read_back(void **state)
{
    (void)state;
    struct rng rng;
    struct buf out = {0};
    struct reply r = {&out, 3};
    rng_seed(&rng, 8);
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = rng_u64(&rng);
        double v;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v))
            continue;
        buf_clear(&out);
        reply_double(&r, v);
        assert_true(strtod(buf_str(&out) + 1, NULL) == v);
    }
    buf_free(&out);
}

static void a_length_that_comes_late(void **state)
{
    (void)state;
    struct buf out = {0};
    struct reply two = {&out, 2}, three = {&out, 3};
    reply_status(&two, "before");
    size_t outer = reply_begin(&two);
    reply_int(&two, 1);
    size_t inner = reply_begin(&two);
    reply_end_array(&two, inner, 0);
    inner = reply_begin(&two);
    for (int i = 0; i < 12; i++)
        reply_int(&two, 7);
    reply_end_map(&two, inner, 6);
    reply_end_array(&two, outer, 3);
    check(
        &two,
        "+before\r\n*3\r\n:1\r\n*0\r\n*12\r\n:7\r\n:7\r\n:7\r\n:7\r\n:7\r\n:7\r\n:7\r\n:7\r\n:7\r\n:7\r\n:7\r\n:7\r\n",
        9 + 4 + 4 + 4 + 5 + 48);
    outer = reply_begin(&three);
    reply_bulks(&three, "k");
    reply_int(&three, 1);
    reply_end_map(&three, outer, 1);
    check(&three, "%1\r\n$1\r\nk\r\n:1\r\n", 15);
    outer = reply_begin(&three);
    reply_int(&three, 1);
    reply_end_set(&three, outer, 1);
    check(&three, "~1\r\n:1\r\n", 8);
    outer = reply_begin(&two);
    reply_end_set(&two, outer, 0);
    check(&two, "*0\r\n", 4);
    buf_free(&out);
}

/* A random tree of replies, told a second time in words as it is written. */
static void write_random(struct reply *r, struct rng *rng, struct buf *words, int depth)
{
    char text[40];
    size_t n = rng_below(rng, sizeof text);
    int64_t v = (int64_t)rng_u64(rng);
    for (size_t i = 0; i < n; i++)
        text[i] = (char)rng_u64(rng);
    switch (rng_below(rng, depth > 0 ? 8 : 6)) {
    case 0:
        reply_status(r, "QUEUED");
        buf_puts(words, "s QUEUED ");
        break;
    case 1:
        reply_error(r, "ERR %" PRId64, v);
        buf_printf(words, "e ERR %" PRId64 " ", v);
        break;
    case 2:
        reply_int(r, v);
        buf_printf(words, "i %" PRId64 " ", v);
        break;
    case 3:
        reply_bulk(r, text, n);
        buf_puts(words, "b ");
        buf_put(words, text, n);
        buf_putc(words, ' ');
        break;
    case 4:
        reply_null(r);
        buf_puts(words, "n ");
        break;
    case 5:
        reply_bulk_int(r, v);
        buf_printf(words, "b %" PRId64 " ", v);
        break;
    case 6:
        n = rng_below(rng, 6);
        reply_array(r, n);
        buf_printf(words, "a %zu ", n);
        for (size_t i = 0; i < n; i++)
            write_random(r, rng, words, depth - 1);
        break;
    default: {
        size_t mark = reply_begin(r);
        n = rng_below(rng, 6);
        buf_printf(words, "a %zu ", n);
        for (size_t i = 0; i < n; i++)
            write_random(r, rng, words, depth - 1);
        reply_end_array(r, mark, n);
        break;
    }
    }
}

static void tell(const redisReply *reply, struct buf *words)
{
    switch (reply->type) {
    case REDIS_REPLY_STATUS: buf_printf(words, "s %s ", reply->str); break;
    case REDIS_REPLY_ERROR: buf_printf(words, "e %s ", reply->str); break;
    case REDIS_REPLY_INTEGER: buf_printf(words, "i %lld ", reply->integer); break;
    case REDIS_REPLY_NIL: buf_puts(words, "n "); break;
    case REDIS_REPLY_STRING:
        buf_puts(words, "b ");
        buf_put(words, reply->str, (size_t)reply->len);
        buf_putc(words, ' ');
        break;
    case REDIS_REPLY_ARRAY:
        buf_printf(words, "a %zu ", reply->elements);
        for (size_t i = 0; i < reply->elements; i++)
            tell(reply->element[i], words);
        break;
    default: fail_msg("hiredis read a reply of type %d", reply->type);
    }
}

static void hiredis_reads_what_was_written(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 12);
    for (int i = 0; i < 20000; i++) {
        struct buf out = {0}, words = {0}, told = {0};
        struct reply r = {&out, 2};
        write_random(&r, &rng, &words, 4);
        redisReader *reader = redisReaderCreate();
        assert_non_null(reader);
        void *reply = NULL;
        assert_int_equal(redisReaderFeed(reader, out.p, out.n), REDIS_OK);
        assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
        assert_non_null(reply);
        tell(reply, &told);
        assert_true(slice_eq(buf_slice(&words), buf_slice(&told)));
        freeReplyObject(reply);
        reply = NULL;
        assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
        assert_null(reply); /* nothing is left over */
        assert_int_equal(reader->len - reader->pos, 0);
        redisReaderFree(reader);
        buf_free(&out);
        buf_free(&words);
        buf_free(&told);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars),
        cmocka_unit_test(what_resp2_lacks),
        cmocka_unit_test(no_argument_breaks_the_framing),
        cmocka_unit_test(doubles),
        cmocka_unit_test(random_doubles_read_back),
        cmocka_unit_test(a_length_that_comes_late),
        cmocka_unit_test(hiredis_reads_what_was_written),
    };
    return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
