#include "common/base/runid.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#define A "0123456789abcdefABCDEF0123456789abcdef01"
#define A_LOW "0123456789abcdefabcdef0123456789abcdef01"

static void only_forty_hex_digits_are_an_id(void **state)
{
    (void)state;
    runid id = "kept";
    assert_false(runid_parse(slice_of(""), id));
    assert_false(runid_parse((struct slice){A, 39}, id));
    assert_false(runid_parse(slice_of(A "0"), id));
    for (size_t i = 0; i < RUNID_LEN; i++) {
        const char *bad = "g/:@G` \n";
        for (; *bad != '\0'; bad++) {
            char text[] = A;
            text[i] = *bad;
            assert_false(runid_parse(slice_of(text), id));
        }
    }
    assert_string_equal(id, "kept");
    assert_true(runid_parse(slice_of(A), id));
    assert_string_equal(id, A_LOW);
}

static void drawn_ids_are_ids_and_differ(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 5);
    runid a, b, parsed;
    unsigned seen[128] = {0};
    for (int i = 0; i < 1000; i++) {
        runid_draw(&r, a);
        runid_draw(&r, b);
        assert_true(runid_parse(slice_of(a), parsed));
        assert_string_equal(a, parsed);
        assert_int_not_equal(runid_cmp(a, b), 0);
        for (int j = 0; j < RUNID_LEN; j++)
            seen[(unsigned char)a[j]]++;
    }
    /* 40,000 digits, 16 kinds: each about 2,500 times. */
    for (const char *c = "0123456789abcdef"; *c != '\0'; c++)
        assert_in_range(seen[(unsigned char)*c], 2200, 2800);
}

static void order_ignores_case_and_puts_unknown_last(void **state)
{
    (void)state;
    assert_int_equal(runid_cmp(A, A_LOW), 0);
    assert_true(runid_cmp("aa", "AB") < 0);
    assert_true(runid_cmp("Ab", "aA") > 0);
    assert_true(runid_cmp("9", "a") < 0);
    assert_true(runid_cmp("ff", "") < 0);
    assert_true(runid_cmp("", "ff") > 0);
    assert_int_equal(runid_cmp("", ""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_forty_hex_digits_are_an_id),
        cmocka_unit_test(drawn_ids_are_ids_and_differ),
        cmocka_unit_test(order_ignores_case_and_puts_unknown_last),
    };
    return cmocka_run_group_tests_name("runid", tests, NULL, NULL);
}
