#include "noded/store/number.h"

#include "common/base/rng.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define INF ((double)INFINITY)

/* What redis-server 7.0.15 answered to ZADD and ZSCORE with this text. */
static void doubles_that_are_taken(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double v;
        const char *shown;
    } rows[] = {
        {"1", 1, "1"},
        {"-1", -1, "-1"},
        {"+5", 5, "5"},
        {".5", 0.5, "0.5"},
        {"5.", 5, "5"},
        {"0.1", 0.1, "0.10000000000000001"},
        {"3.1", 3.1, "3.1000000000000001"},
        {"1e16", 1e16, "10000000000000000"},
        {"99999999999999984", 99999999999999984., "99999999999999984"},
        {"1e17", 1e17, "1e+17"},
        {"123456789012345678", 123456789012345678., "1.2345678901234568e+17"},
        {"9007199254740993", 9007199254740992., "9007199254740992"},
        {"2251799813685248.5", 2251799813685248.5, "2251799813685248.5"},
        {"1e-7", 1e-7, "9.9999999999999995e-08"},
        {"1e-310", 1e-310, "9.9999999999999694e-311"},
        {"5e-324", 5e-324, "4.9406564584124654e-324"},
        {"1.7976931348623157e308", 1.7976931348623157e308, "1.7976931348623157e+308"},
        {"0x10", 16, "16"},
        {"0x1p3", 8, "8"},
        {"0x0p5", 0, "0"},
        {"-0", -0., "-0"},
        {"-0.0", -0., "-0"},
        {"0e400", 0, "0"},
        {"inf", INF, "inf"},
        {"+inf", INF, "inf"},
        {"-inf", -INF, "-inf"},
        {"INF", INF, "inf"},
        {"-Infinity", -INF, "-inf"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double v = 77;
        char shown[ND_DOUBLE_TEXT];
        if (!nd_number_double(slice_of(rows[i].text), &v) || v != rows[i].v || signbit(v) != signbit(rows[i].v))
            fail_msg("%s gave %.17g", rows[i].text, v);
        struct slice s = {shown, nd_number_double_text(v, shown)};
        if (!slice_is(s, rows[i].shown))
            fail_msg("%s is shown as %.*s", rows[i].text, (int)s.n, s.p);
    }
}

static void doubles_that_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {"",      " 1",     "1 ",     "\t1",  "nan", "-nan",  "nan(1)",
                                       "1e400", "-1e400", "1e-400", "1e",   "--1", "1.2.3", ".",
                                       "-",     "+",      "0x",     "infi", "1,5", "e5"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double v = 77;
        if (nd_number_double(slice_of(rows[i]), &v) || v != 77)
            fail_msg("\"%s\" was taken", rows[i]);
    }
    double v = 77;
    assert_false(nd_number_double((struct slice){"1\0", 2}, &v));
    assert_false(nd_number_double((struct slice){NULL, 0}, &v));
}

/* What ZCOUNT made of this end. */
static void ends_of_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double v;
    } rows[] = {{"", 0},          {" 1", 1},     {"1.5", 1.5},  {"1e400", INF},
                {"-1e400", -INF}, {"1e-400", 0}, {"+inf", INF}, {"0x10", 16}};
    double v;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        v = 77;
        if (!nd_number_bound(slice_of(rows[i].text), &v) || v != rows[i].v)
            fail_msg("\"%s\" gave %.17g", rows[i].text, v);
    }
    assert_true(nd_number_bound((struct slice){"1\0x", 3}, &v) && v == 1);
    static const char *const bad[] = {"1 ", "nan", "x", "(1", "1x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(nd_number_bound(slice_of(bad[i]), &v));
}

static void length_is_no_obstacle(void **state)
{
    (void)state;
    struct buf b = {0};
    for (int i = 0; i < 6000; i++)
        buf_putc(&b, '0');
    buf_puts(&b, "3.25");
    double v;
    long double l;
    assert_true(nd_number_double(buf_slice(&b), &v));
    assert_true(v == 3.25);
    assert_false(nd_number_long_double(buf_slice(&b), &l));
    assert_true(nd_number_long_double((struct slice){b.p + b.n - 5119, 5119}, &l));
    assert_true(l == 3.25L);
    assert_false(nd_number_long_double((struct slice){b.p + b.n - 5120, 5120}, &l));
    buf_free(&b);
}

/* The quick way for short decimals is rounded like strtod(). */
static void random_decimals_are_read_as_strtod_reads_them(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 5);
    for (int i = 0; i < 300000; i++) {
        char text[64];
        int digits = (int)rng_below(&rng, 18), n = 0;
        if (rng_below(&rng, 3) == 0)
            text[n++] = '-';
        int point = (int)rng_below(&rng, 20);
        for (int d = 0; d <= digits; d++) {
            if (d == point)
                text[n++] = '.';
            text[n++] = (char)('0' + rng_below(&rng, 10));
        }
        text[n] = '\0';
        double v = 0, expected = strtod(text, NULL);
        if (!nd_number_double(slice_of(text), &v) || v != expected || signbit(v) != signbit(expected))
            fail_msg("%s gave %.17g instead of %.17g", text, v, expected);
    }
}

static void random_doubles_read_back(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 6);
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = rng_u64(&rng);
        double v, back = 0;
        memcpy(&v, &bits, sizeof v);
        if (rng_below(&rng, 2) == 0)
            v = (double)(int64_t)(bits >> rng_below(&rng, 64)) * (rng_below(&rng, 2) == 0 ? 1 : -1);
        if (!isfinite(v))
            continue;
        char text[ND_DOUBLE_TEXT], expected[64];
        struct slice s = {text, nd_number_double_text(v, text)};
        snprintf(expected, sizeof expected, "%.17g", v);
        if (!slice_is(s, expected))
            fail_msg("%s was written as %.*s", expected, (int)s.n, s.p);
        assert_true(nd_number_double(s, &back));
        assert_true(back == v);
    }
}

static void whole_numbers(void **state)
{
    (void)state;
    int64_t n = 77;
    assert_true(nd_number_whole(-0., &n) && n == 0);
    assert_true(nd_number_whole(0x1p62, &n) && n == (int64_t)1 << 62);
    assert_true(nd_number_whole(-0x1p62, &n) && n == -((int64_t)1 << 62));
    assert_false(nd_number_whole(4611686018427388928., &n));
    assert_false(nd_number_whole(0.5, &n));
    assert_false(nd_number_whole(INF, &n));
    assert_false(nd_number_whole((double)NAN, &n));
}

/* What INCRBYFLOAT of a key that is not there answered. */
static void long_doubles(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shown;
    } rows[] = {
        {"1", "1"},
        {"0.1", "0.1"},
        {"1e20", "100000000000000000000"},
        {"5.0e3", "5000"},
        {"1e-20", "0"},
        {"-1e-20", "0"},
        {"3.0000", "3"},
        {"-0", "0"},
        {"0x10", "16"},
        {"+5", "5"},
        {"1e-4940", "0"},
        {"1e-4950", "0"},
        {"0.00000000000000001", "0.00000000000000001"},
        {"0.000000000000000001", "0"},
        {"99999999999999999999.5", "100000000000000000000"},
        {"123456789.123456789", "123456789.12345678899873747"},
        {"-10.25", "-10.25"},
    };
    char shown[ND_LONG_DOUBLE_TEXT];
    long double v;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(nd_number_long_double(slice_of(rows[i].text), &v));
        size_t n = nd_number_long_double_text(v, shown);
        struct slice s = {shown, n};
        if (!slice_is(s, rows[i].shown))
            fail_msg("%s is shown as %.*s", rows[i].text, (int)s.n, s.p);
    }
    assert_true(nd_number_long_double(slice_of("1e4932"), &v));
    assert_int_equal(nd_number_long_double_text(v, shown), 4933);
    assert_true(nd_number_long_double(slice_of("-inf"), &v) && isinf(v));
    static const char *const bad[] = {"", " 5", "5 ", "nan", "1e5000", "1e-4990", "x", "1.5x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (nd_number_long_double(slice_of(bad[i]), &v))
            fail_msg("\"%s\" was taken", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_that_are_taken),
        cmocka_unit_test(doubles_that_are_refused),
        cmocka_unit_test(ends_of_ranges),
        cmocka_unit_test(length_is_no_obstacle),
        cmocka_unit_test(random_decimals_are_read_as_strtod_reads_them),
        cmocka_unit_test(random_doubles_read_back),
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(long_doubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
