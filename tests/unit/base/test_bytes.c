#include "common/base/bytes.h"

#include "common/base/rng.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void slices_compare_byte_for_byte(void **state)
{
    (void)state;
    struct slice none = slice_of(NULL);
    assert_null(none.p);
    assert_int_equal(none.n, 0);
    assert_true(slice_eq(none, slice_of("")));
    assert_true(slice_eq((struct slice){"a\0b", 3}, (struct slice){"a\0b", 3}));
    assert_false(slice_eq((struct slice){"a\0b", 3}, (struct slice){"a\0c", 3}));
    assert_false(slice_eq(slice_of("ab"), slice_of("abc")));
    assert_false(slice_eq(slice_of("ab"), slice_of("AB")));
    assert_true(slice_is(slice_of("ab"), "ab"));
    assert_false(slice_is(slice_of("ab"), "a"));
    assert_false(slice_is(slice_of("ab"), "abc"));
    assert_true(slice_is(none, ""));
}

static void letters_compare_without_case(void **state)
{
    (void)state;
    assert_true(slice_ieq(slice_of("Get-Master_9"), "gET-mASTER_9"));
    assert_true(slice_ieq(slice_of(""), ""));
    assert_false(slice_ieq(slice_of("get"), "gets"));
    assert_false(slice_ieq(slice_of("gets"), "get"));
    /* '@' and '`', '[' and '{' differ by the same bit as letters of different case, and are none. */
    assert_false(slice_ieq(slice_of("@"), "`"));
    assert_false(slice_ieq(slice_of("["), "{"));
    /* A NUL in the slice does not match the end of the C string. */
    assert_false(slice_ieq((struct slice){"get\0", 4}, "get"));
    assert_false(slice_ieq(slice_of("\xc4"), "\xe4"));
}

static void cut_gives_every_part(void **state)
{
    (void)state;
    struct slice rest = slice_of("a,,bc,");
    assert_true(slice_is(slice_cut(&rest, ','), "a"));
    assert_true(slice_is(slice_cut(&rest, ','), ""));
    assert_true(slice_is(slice_cut(&rest, ','), "bc"));
    assert_non_null(rest.p); /* one more part, which is empty */
    assert_int_equal(rest.n, 0);
    assert_true(slice_is(slice_cut(&rest, ','), ""));
    assert_null(rest.p);
    assert_int_equal(rest.n, 0);
    assert_true(slice_is(slice_cut(&rest, ','), ""));
    assert_null(rest.p);
}

static void lines_end_in_lf_or_cr_lf(void **state)
{
    (void)state;
    struct slice rest = slice_of("a\r\n\nb\rc\r");
    assert_true(slice_is(slice_cut_line(&rest), "a"));
    assert_true(slice_is(slice_cut_line(&rest), ""));
    assert_true(slice_is(slice_cut_line(&rest), "b\rc"));
    assert_null(rest.p);
    rest = slice_of("last\n");
    assert_true(slice_is(slice_cut_line(&rest), "last"));
    assert_int_equal(rest.n, 0);
}

static void trim_takes_white_space_off_both_ends(void **state)
{
    (void)state;
    assert_true(slice_is(slice_trim(slice_of(" \t\r\n\v\f a b \n")), "a b"));
    assert_true(slice_is(slice_trim(slice_of("   ")), ""));
    assert_true(slice_is(slice_trim(slice_of("")), ""));
    assert_int_equal(slice_trim(slice_of(NULL)).n, 0);
    /* A byte past 127 is no white space, whatever the sign of char. */
    assert_true(slice_is(slice_trim(slice_of("\xa0x\x85")), "\xa0x\x85"));
}

static void dup_is_terminated(void **state)
{
    (void)state;
    char *p = slice_dup((struct slice){"abcdef", 3});
    assert_string_equal(p, "abc");
    free(p);
    p = slice_dup((struct slice){NULL, 0});
    assert_string_equal(p, "");
    free(p);
}

static void a_buffer_holds_what_was_put(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_int_equal(buf_slice(&b).n, 0);
    assert_string_equal(buf_str(&b), "");
    assert_int_equal(b.n, 0);
    buf_puts(&b, "one");
    buf_putc(&b, ' ');
    buf_put(&b, "t\0o", 3);
    buf_put(&b, NULL, 0);
    buf_puts(&b, "");
    buf_printf(&b, " %d%s", 3, "!");
    assert_int_equal(b.n, 10);
    assert_memory_equal(buf_str(&b), "one t\0o 3!", 11);
    assert_int_equal(b.n, 10);
    assert_true(slice_eq(buf_slice(&b), (struct slice){"one t\0o 3!", 10}));
    buf_drop(&b, 4);
    assert_memory_equal(b.p, "t\0o 3!", 6);
    buf_drop(&b, 0);
    buf_drop(&b, 6);
    assert_int_equal(b.n, 0);
    buf_puts(&b, "x");
    const char *kept = b.p;
    buf_clear(&b);
    assert_int_equal(b.n, 0);
    assert_ptr_equal(b.p, kept);
    buf_free(&b);
    assert_null(b.p);
    assert_int_equal(b.n + b.cap, 0);
    buf_free(&b);
}

/* Lengths around the room that is there, where a terminator too much or too few would show. */
static void printf_fits_any_length(void **state)
{
    (void)state;
    char expected[400];
    for (int before = 0; before < 130; before++) {
        for (int len = 0; len < 200; len++) {
            struct buf b = {0};
            for (int i = 0; i < before; i++)
                buf_putc(&b, '.');
            buf_printf(&b, "%*s|", len, "");
            snprintf(expected, sizeof expected, "%*s|", len, "");
            assert_int_equal(b.n, before + len + 1);
            assert_memory_equal(b.p + before, expected, (size_t)len + 1);
            buf_free(&b);
        }
    }
}

static void random_puts_and_drops_agree_with_an_array(void **state)
{
    (void)state;
    static char model[1 << 16];
    size_t n = 0;
    struct rng r;
    rng_seed(&r, 7);
    struct buf b = {0};
    for (int i = 0; i < 20000; i++) {
        char piece[300];
        size_t len = rng_below(&r, sizeof piece);
        if (n + len > sizeof model || rng_chance(&r, 300000)) {
            size_t drop = rng_below(&r, n + 1);
            buf_drop(&b, drop);
            memmove(model, model + drop, n - drop);
            n -= drop;
        } else {
            for (size_t j = 0; j < len; j++)
                piece[j] = (char)rng_u64(&r);
            buf_put(&b, piece, len);
            memcpy(model + n, piece, len);
            n += len;
        }
        assert_int_equal(b.n, n);
        assert_true(b.cap >= b.n);
        assert_true(slice_eq(buf_slice(&b), (struct slice){model, n}));
    }
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_compare_byte_for_byte),
        cmocka_unit_test(letters_compare_without_case),
        cmocka_unit_test(cut_gives_every_part),
        cmocka_unit_test(lines_end_in_lf_or_cr_lf),
        cmocka_unit_test(trim_takes_white_space_off_both_ends),
        cmocka_unit_test(dup_is_terminated),
        cmocka_unit_test(a_buffer_holds_what_was_put),
        cmocka_unit_test(printf_fits_any_length),
        cmocka_unit_test(random_puts_and_drops_agree_with_an_array),
    };
    return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}
