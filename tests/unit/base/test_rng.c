#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void same_seed_same_numbers(void **state)
{
    (void)state;
    struct rng a, b, c;
    rng_seed(&a, 42);
    rng_seed(&b, 42);
    rng_seed(&c, 43);
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t v = rng_u64(&a);
        assert_true(v == rng_u64(&b));
        same += v == rng_u64(&c);
    }
    assert_int_equal(same, 0);
}

/* The published first outputs: xoshiro256** from the state 1, 2, 3, 4, and splitmix64 from 0 as its seed. */
static void the_algorithms_are_the_named_ones(void **state)
{
    (void)state;
    struct rng r = {{1, 2, 3, 4}};
    assert_true(rng_u64(&r) == 11520U);
    assert_true(rng_u64(&r) == 0U);
    assert_true(rng_u64(&r) == 1509978240U);
    assert_true(rng_u64(&r) == 1215971899390074240U);
    rng_seed(&r, 0);
    assert_true(r.s[0] == 0xe220a8397b1dcdafU);
    assert_true(r.s[1] == 0x6e789e6aa1b965f4U);
}

static void below_is_uniform_and_in_bounds(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 1);
    int count[7] = {0};
    for (int i = 0; i < 70000; i++) {
        uint64_t v = rng_below(&r, 7);
        assert_true(v < 7);
        count[v]++;
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(count[i], 9500, 10500);
    for (int i = 0; i < 100; i++)
        assert_true(rng_below(&r, 1) == 0);
    /* Just above half of the range a plain modulo would give the low values twice as often. */
    uint64_t below = ((uint64_t)1 << 63) + ((uint64_t)1 << 62);
    int low = 0;
    for (int i = 0; i < 10000; i++) {
        uint64_t v = rng_below(&r, below);
        assert_true(v < below);
        low += v < below / 3;
    }
    assert_in_range(low, 3100, 3570);
}

static void ranges_include_both_ends(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 2);
    int ends = 0;
    for (int i = 0; i < 1000; i++) {
        int64_t v = rng_range(&r, -2, 2);
        assert_true(v >= -2 && v <= 2);
        ends |= v == -2 ? 1 : v == 2 ? 2 : 0;
    }
    assert_int_equal(ends, 3);
    assert_true(rng_range(&r, INT64_MIN, INT64_MIN) == INT64_MIN);
    assert_true(rng_range(&r, INT64_MAX, INT64_MAX) == INT64_MAX);
    int negative = 0;
    for (int i = 0; i < 1000; i++)
        negative += rng_range(&r, INT64_MIN, INT64_MAX) < 0;
    assert_in_range(negative, 400, 600);
}

static void chance_keeps_to_its_probability(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 3);
    int hits = 0;
    for (int i = 0; i < 100000; i++) {
        assert_false(rng_chance(&r, 0));
        assert_true(rng_chance(&r, 1000000));
        hits += rng_chance(&r, 10000);
    }
    assert_in_range(hits, 850, 1150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_same_numbers),          cmocka_unit_test(the_algorithms_are_the_named_ones),
        cmocka_unit_test(below_is_uniform_and_in_bounds),  cmocka_unit_test(ranges_include_both_ends),
        cmocka_unit_test(chance_keeps_to_its_probability),
    };
    return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}
