#include "common/resp/inline.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"

static void words_without_quotes_are_slices_of_the_line(void **state)
{
    (void)state;
    const char *text = "  set\tkey  value ";
    struct slice line = slice_of(text), word;
    assert_int_equal(inline_next_plain(&line, &word), INLINE_WORD);
    assert_ptr_equal(word.p, text + 2);
    assert_true(slice_is(word, "set"));
    assert_int_equal(inline_next_plain(&line, &word), INLINE_WORD);
    assert_true(slice_is(word, "key"));
    assert_int_equal(inline_next_plain(&line, &word), INLINE_WORD);
    assert_true(slice_is(word, "value"));
    assert_int_equal(inline_next_plain(&line, &word), INLINE_END);
    assert_int_equal(inline_next_plain(&line, &word), INLINE_END);
}

static void quotes_are_taken_off(void **state)
{
    (void)state;
    struct slice line = slice_of("a\"b c\" '' \"\\x00\\xfF\\\\\" x");
    struct buf out = {0};
    assert_int_equal(inline_next_quoted(&line, &out), INLINE_WORD);
    assert_true(slice_is(buf_slice(&out), "ab c"));
    buf_clear(&out);
    assert_int_equal(inline_next_quoted(&line, &out), INLINE_WORD);
    assert_int_equal(out.n, 0);
    assert_int_equal(inline_next_quoted(&line, &out), INLINE_WORD);
    assert_true(slice_eq(buf_slice(&out), (struct slice){"\0\xff\\", 3}));
    assert_int_equal(inline_next_quoted(&line, &out), INLINE_WORD);
    assert_int_equal(out.n, 4);
    assert_int_equal(inline_next_quoted(&line, &out), INLINE_END);
    buf_free(&out);
}

static void open_quotes_are_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {"\"",     "'",    "\"a",      "'a",   "\"a\\\"", "'a\\'",
                                        "\"a\"b", "'a'b", "\"a\"'b'", "\"\\", "x\""};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct slice line = slice_of(lines[i]);
        struct buf out = {0};
        if (inline_next_quoted(&line, &out) != INLINE_UNBALANCED)
            fail_msg("[%s] was taken", lines[i]);
        buf_free(&out);
    }
}

/* Where there is no quote both readings give the same words. */
static void both_readings_agree(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 6);
    for (int i = 0; i < 50000; i++) {
        char text[24];
        size_t n = rng_below(&r, sizeof text);
        for (size_t j = 0; j < n; j++)
            text[j] = "ab\\x0 \t\r\v\f\0"[rng_below(&r, 11)];
        struct slice a = {text, n}, b = {text, n}, word = {NULL, 0};
        struct buf out = {0};
        for (;;) {
            buf_clear(&out);
            enum inline_status st = inline_next_plain(&a, &word);
            assert_int_equal(st, inline_next_quoted(&b, &out));
            if (st != INLINE_WORD)
                break;
            assert_true(slice_eq(word, buf_slice(&out)));
            assert_int_equal(a.n, b.n);
        }
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_without_quotes_are_slices_of_the_line),
        cmocka_unit_test(quotes_are_taken_off),
        cmocka_unit_test(open_quotes_are_refused),
        cmocka_unit_test(both_readings_agree),
    };
    return cmocka_run_group_tests_name("inline", tests, NULL, NULL);
}
