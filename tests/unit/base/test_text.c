#include "common/base/text.h"

#include "common/base/rng.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void integers_at_the_ends_of_their_range(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t v;
    } good[] = {
        {"0", 0},
        {"1", 1},
        {"-1", -1},
        {"10", 10},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
        {"-9223372036854775807", -INT64_MAX},
    };
    static const char *const bad[] = {
        "",
        "-",
        "+1",
        " 1",
        "1 ",
        "01",
        "-0",
        "-01",
        "00",
        "1.0",
        "1e3",
        "0x1",
        "a",
        "--1",
        "9223372036854775808",
        "1\n",
        "-9223372036854775809",
        "18446744073709551616",
        "99999999999999999999999",
        "-99999999999999999999999",
    };
    int64_t v;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(text_i64(slice_of(good[i].text), &v));
        assert_true(v == good[i].v);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        v = 77;
        if (text_i64(slice_of(bad[i]), &v))
            fail_msg("\"%s\" was taken for a number", bad[i]);
        assert_int_equal(v, 77);
    }
    assert_false(text_i64((struct slice){"1\0", 2}, &v));
    uint64_t u = 77;
    assert_true(text_u64(slice_of("18446744073709551615"), &u));
    assert_true(u == UINT64_MAX);
    u = 77;
    assert_false(text_u64(slice_of("18446744073709551616"), &u));
    assert_false(text_u64(slice_of("-1"), &u));
    assert_int_equal(u, 77);
}

static void hexadecimal(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "A", "g", "0x1", " 1", "1 ", "10000000000000000"};
    uint64_t u = 77;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(text_hex_u64(slice_of(bad[i]), &u));
    assert_int_equal(u, 77);
    assert_true(text_hex_u64(slice_of("0"), &u) && u == 0);
    assert_true(text_hex_u64(slice_of("00ab"), &u) && u == 0xab);
    assert_true(text_hex_u64(slice_of("ffffffffffffffff"), &u) && u == UINT64_MAX);
}

static void random_integers_read_back(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 1);
    for (int i = 0; i < 200000; i++) {
        int64_t want = (int64_t)(rng_u64(&r) >> rng_below(&r, 64)), v;
        want = rng_chance(&r, 500000) ? want : (int64_t)(0 - (uint64_t)want);
        char text[32];
        snprintf(text, sizeof text, "%" PRId64, want);
        assert_true(text_i64(slice_of(text), &v));
        assert_true(v == want);
        /* One digit more: the C library says whether it still fits. */
        size_t n = strlen(text);
        text[n] = (char)('0' + rng_below(&r, 10));
        text[n + 1] = '\0';
        errno = 0;
        long long more = strtoll(text, NULL, 10);
        if (errno == ERANGE) {
            assert_false(text_i64(slice_of(text), &v));
        } else if (want != 0) {
            assert_true(text_i64(slice_of(text), &v));
            assert_true(v == more);
        }
    }
}

static void ranges_include_their_ends(void **state)
{
    (void)state;
    int64_t v = 77;
    assert_true(text_range(slice_of("1"), 1, 3, &v) && v == 1);
    assert_true(text_range(slice_of("3"), 1, 3, &v) && v == 3);
    v = 77;
    assert_false(text_range(slice_of("0"), 1, 3, &v));
    assert_false(text_range(slice_of("4"), 1, 3, &v));
    assert_false(text_range(slice_of("x"), 1, 3, &v));
    assert_int_equal(v, 77);
}

static void sizes_have_the_units_of_redis_conf(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t v;
    } good[] = {
        {"0", 0},
        {"1024", 1024},
        {"1b", 1},
        {"1k", 1000},
        {"1KB", 1024},
        {"2m", 2000000},
        {"2Mb", 2097152},
        {"1g", 1000000000},
        {"1gb", 1073741824},
        {"17179869183gb", UINT64_C(17179869183) << 30},
        {"18446744073709551615", UINT64_MAX},
    };
    static const char *const bad[] = {
        "", "k", "-1", "1 kb", "1kib", "1t", "1.5g", "17179869184gb", "18446744073709551615k", "1kbx"};
    uint64_t v;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(text_size(slice_of(good[i].text), &v));
        assert_true(v == good[i].v);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        v = 77;
        assert_false(text_size(slice_of(bad[i]), &v));
        assert_int_equal(v, 77);
    }
}

static void truth_has_eight_names(void **state)
{
    (void)state;
    bool v;
    const char *const yes[] = {"yes", "TRUE", "On", "1"}, *const no[] = {"no", "False", "OFF", "0"};
    for (int i = 0; i < 4; i++) {
        v = false;
        assert_true(text_bool(slice_of(yes[i]), &v) && v);
        assert_true(text_bool(slice_of(no[i]), &v) && !v);
    }
    assert_false(text_bool(slice_of(""), &v));
    assert_false(text_bool(slice_of("ye"), &v));
    assert_false(text_bool(slice_of("yess"), &v));
    assert_false(text_bool(slice_of("2"), &v));
}

static void the_nearest_name_is_found_or_none(void **state)
{
    (void)state;
    static const char *const names[] = {
        "down_after_ms", "failover_timeout_ms", "parallel_syncs", "quorum", "name", "on"};
    size_t n = sizeof names / sizeof names[0];
    assert_string_equal(text_nearest("quorm", names, n), "quorum");
    assert_string_equal(text_nearest("qourum", names, n), "quorum");
    assert_string_equal(text_nearest("QUORUM", names, n), "quorum");
    assert_string_equal(text_nearest("down_after", names, n), "down_after_ms");
    assert_string_equal(text_nearest("downafter_ms", names, n), "down_after_ms");
    assert_string_equal(text_nearest("parallel-syncs", names, n), "parallel_syncs");
    assert_string_equal(text_nearest("nmae", names, n), "name");
    assert_string_equal(text_nearest("no", names, n), "on");
    assert_null(text_nearest("master_reboot", names, n));
    assert_null(text_nearest("xy", names, n));
    assert_null(text_nearest("", names, n));
    assert_null(text_nearest("quorum", names, 0));
    char longest[200];
    memset(longest, 'q', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_null(text_nearest(longest, names, n));
    const char *const huge[] = {longest};
    assert_null(text_nearest("q", huge, 1));
    /* Of two as near the first counts, of a nearer one the nearer. */
    static const char *const two[] = {"abcd", "abce", "abcf"};
    assert_string_equal(text_nearest("abcx", two, 3), "abcd");
    assert_string_equal(text_nearest("abcf", two, 3), "abcf");
}

static void quoted_bytes_are_visible(void **state)
{
    (void)state;
    struct buf b = {0};
    text_quote(&b, (struct slice){"a\n\r\t\a\b\"'\\\0\x7f\xff~ ", 14}, 100);
    assert_string_equal(buf_str(&b), "a\\n\\r\\t\\a\\b\\\"\\'\\\\\\x00\\x7f\\xff~ ");
    buf_clear(&b);
    text_quote(&b, slice_of("abcdef"), 6);
    text_quote(&b, slice_of("abcdef"), 3);
    text_quote(&b, slice_of("abcdef"), 0);
    text_quote(&b, slice_of(""), 0);
    assert_string_equal(buf_str(&b), "abcdefabc......");
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_at_the_ends_of_their_range), cmocka_unit_test(hexadecimal),
        cmocka_unit_test(random_integers_read_back),           cmocka_unit_test(ranges_include_their_ends),
        cmocka_unit_test(sizes_have_the_units_of_redis_conf),  cmocka_unit_test(truth_has_eight_names),
        cmocka_unit_test(the_nearest_name_is_found_or_none),   cmocka_unit_test(quoted_bytes_are_visible),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
