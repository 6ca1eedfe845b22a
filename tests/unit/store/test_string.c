#include "noded/store/string.h"

#include "common/base/rng.h"
#include "noded/store/value.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_text(const struct nd_value *v, const char *text)
{
    char tmp[ND_INT_TEXT];
    struct slice s = nd_string_slice(v, tmp);
    assert_int_equal(s.n, strlen(text));
    assert_memory_equal(s.p, text, s.n);
    assert_int_equal(nd_string_length(v), s.n);
}

/* What `OBJECT ENCODING` of a real server says after SET. */
static void text_gets_the_encoding_of_redis(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum nd_encoding enc;
    } rows[] = {
        {"0", ND_ENC_INT},
        {"-1", ND_ENC_INT},
        {"12345678901", ND_ENC_INT},
        {"9223372036854775807", ND_ENC_INT},
        {"-9223372036854775808", ND_ENC_INT},
        {"9223372036854775808", ND_ENC_EMBSTR},
        {"-9223372036854775809", ND_ENC_EMBSTR},
        {"-0", ND_ENC_EMBSTR},
        {"01", ND_ENC_EMBSTR},
        {"+1", ND_ENC_EMBSTR},
        {" 1", ND_ENC_EMBSTR},
        {"1.0", ND_ENC_EMBSTR},
        {"", ND_ENC_EMBSTR},
        {"12345678901234567890123456789012345678901234", ND_ENC_EMBSTR},
        {"123456789012345678901234567890123456789012345", ND_ENC_RAW},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct nd_value v = nd_string_make(slice_of(rows[i].text), true);
        assert_int_equal(v.enc, rows[i].enc);
        assert_text(&v, rows[i].text);
        struct nd_value copy = nd_value_dup(&v);
        assert_int_equal(copy.enc, rows[i].enc);
        assert_text(&copy, rows[i].text);
        nd_value_free(&copy);
        nd_value_free(&v);
        v = nd_string_make(slice_of(rows[i].text), false);
        assert_int_equal(v.enc, strlen(rows[i].text) <= 44 ? ND_ENC_EMBSTR : ND_ENC_RAW);
        assert_text(&v, rows[i].text);
        nd_value_free(&v);
    }
}

static void numbers_are_written_as_printf_writes_them(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 1);
    for (int i = 0; i < 200000; i++) {
        char text[32];
        int64_t n = (int64_t)rng_u64(&rng) >> rng_below(&rng, 64), read;
        if (i < 2000)
            n = i - 1000;
        struct nd_value v = {.type = ND_STRING, .enc = ND_ENC_INT, .num = n};
        snprintf(text, sizeof text, "%lld", (long long)n);
        assert_text(&v, text);
        assert_true(nd_string_number(&v, &read) && read == n);
        assert_int_equal(nd_string_memory(&v), 0);
    }
}

static void text_may_be_a_number(void **state)
{
    (void)state;
    int64_t n = 0;
    struct nd_value v = nd_string_make(slice_of("1234"), false);
    assert_true(nd_string_number(&v, &n) && n == 1234);
    nd_value_free(&v);
    v = nd_string_make(slice_of("1234 "), false);
    assert_false(nd_string_number(&v, &n));
    assert_true(nd_string_memory(&v) >= 5 + sizeof(struct nd_str));
    nd_value_free(&v);
}

/* Writing, growing and appending against a plain array of bytes, from text and from numbers. */
static void changes_agree_with_an_array(void **state)
{
    (void)state;
    enum { MOST = 5000 };
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct rng rng;
        char model[MOST * 2] = {0}, first[32];
        rng_seed(&rng, seed);
        size_t n = (size_t)snprintf(first, sizeof first, "%llu", (unsigned long long)rng_below(&rng, 1000000));
        memcpy(model, first, n);
        struct nd_value v = nd_string_make((struct slice){first, n}, seed % 2 == 0);
        while (n < MOST) {
            size_t more = rng_below(&rng, 40), at = rng_below(&rng, n + 30);
            char bytes[40], *p;
            for (size_t i = 0; i < more; i++)
                bytes[i] = (char)rng_below(&rng, 256);
            switch (rng_below(&rng, 3)) {
            case 0:
                nd_string_append(&v, (struct slice){bytes, more});
                memcpy(model + n, bytes, more);
                n += more;
                break;
            case 1:
                p = nd_string_writable(&v, at + more, rng_below(&rng, MOST));
                memcpy(p + at, bytes, more);
                memcpy(model + at, bytes, more);
                n = at + more > n ? at + more : n;
                break;
            default:
                p = nd_string_grow(&v, at + more);
                memcpy(p + at, bytes, more);
                memcpy(model + at, bytes, more);
                n = at + more > n ? at + more : n;
                break;
            }
            assert_int_equal(v.enc, ND_ENC_RAW);
            char tmp[ND_INT_TEXT];
            struct slice s = nd_string_slice(&v, tmp);
            assert_int_equal(s.n, n);
            assert_memory_equal(s.p, model, n);
        }
        nd_value_free(&v);
    }
}

/* Appending a little many times does not copy all of it each time. */
static void room_is_kept_for_more(void **state)
{
    (void)state;
    struct nd_value v = nd_string_make(slice_of(""), false);
    size_t moves = 0;
    for (int i = 0; i < 3000000; i++) {
        const void *before = v.ptr;
        nd_string_append(&v, (struct slice){"x", 1});
        moves += v.ptr != before;
        assert_true(((struct nd_str *)v.ptr)->cap <= 2 * nd_string_length(&v) + (1U << 20));
    }
    assert_true(moves < 40);
    nd_value_free(&v);
}

static void every_type_and_encoding_has_a_name(void **state)
{
    (void)state;
    static const char *const types[ND_TYPES] = {"string", "list", "set", "zset", "hash"};
    static const char *const encodings[] = {"raw",    "embstr",    "int",       "listpack",
                                            "intset", "quicklist", "hashtable", "skiplist"};
    for (int i = 0; i < ND_TYPES; i++)
        assert_string_equal(nd_type_name((enum nd_type)i), types[i]);
    for (int i = 0; i <= ND_ENC_SKIPLIST; i++)
        assert_string_equal(nd_encoding_name((enum nd_encoding)i), encodings[i]);
    struct nd_value v = nd_string_make(slice_of("abc"), true);
    assert_int_equal(nd_value_length(&v), 3);
    assert_int_equal(nd_value_free_effort(&v), 1);
    assert_true(nd_value_memory(&v, 5) >= 3);
    nd_value_free(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_gets_the_encoding_of_redis),
        cmocka_unit_test(numbers_are_written_as_printf_writes_them),
        cmocka_unit_test(text_may_be_a_number),
        cmocka_unit_test(changes_agree_with_an_array),
        cmocka_unit_test(room_is_kept_for_more),
        cmocka_unit_test(every_type_and_encoding_has_a_name),
    };
    return cmocka_run_group_tests_name("string", tests, NULL, NULL);
}
