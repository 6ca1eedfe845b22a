#include "common/base/idmap.h"

#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define IDS 3000

static void an_empty_one_has_nothing(void **state)
{
    (void)state;
    struct idmap m = {.cap = 0};
    size_t it = 0;
    assert_null(idmap_get(&m, 1));
    assert_null(idmap_del(&m, 1));
    assert_null(idmap_next(&m, &it));
    idmap_free(&m);
}

static void a_value_is_replaced(void **state)
{
    (void)state;
    struct idmap m = {.cap = 0};
    int a, b;
    idmap_put(&m, UINT64_MAX, &a);
    idmap_put(&m, 0, &b);
    idmap_put(&m, UINT64_MAX, &b);
    assert_int_equal(m.used, 2);
    assert_ptr_equal(idmap_get(&m, UINT64_MAX), &b);
    assert_ptr_equal(idmap_del(&m, 0), &b);
    assert_null(idmap_get(&m, 0));
    assert_int_equal(m.used, 1);
    idmap_free(&m);
}

/* Against an array that says the same, with numbers that share their low bits. */
static void it_is_what_was_put(void **state)
{
    (void)state;
    static int values[IDS];
    static bool there[IDS];
    struct idmap m = {.cap = 0};
    struct rng rng;
    size_t used = 0;
    rng_seed(&rng, 3);
    memset(there, 0, sizeof there);
    for (int round = 0; round < 60000; round++) {
        size_t k = rng_below(&rng, IDS);
        uint64_t id = (uint64_t)k << (k % 3 * 16); /* some are 2^16 and 2^32 apart */
        bool put = rng_below(&rng, round < 30000 ? 3 : 5) < 2;
        if (put) {
            idmap_put(&m, id, &values[k]);
            used += !there[k];
            there[k] = true;
        } else {
            assert_ptr_equal(idmap_del(&m, id), there[k] ? &values[k] : NULL);
            used -= there[k];
            there[k] = false;
        }
        assert_int_equal(m.used, used);
        assert_ptr_equal(idmap_get(&m, id), put ? &values[k] : NULL);
    }
    size_t seen = 0;
    int *v;
    for (size_t it = 0; (v = idmap_next(&m, &it)) != NULL; seen++)
        assert_true(there[v - values]);
    assert_int_equal(seen, used);
    idmap_free(&m);
}

/* A few old numbers beside ever new ones, as links are. */
static void it_stays_small(void **state)
{
    (void)state;
    struct idmap m = {.cap = 0};
    int value;
    for (uint64_t id = 1; id <= 100000; id++) {
        idmap_put(&m, id, &value);
        if (id > 100)
            assert_ptr_equal(idmap_del(&m, id - 50), &value);
    }
    assert_in_range(m.cap, 64, 1024);
    for (uint64_t old = 1; old <= 50; old++)
        assert_ptr_equal(idmap_get(&m, old), &value);
    idmap_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_one_has_nothing),
        cmocka_unit_test(a_value_is_replaced),
        cmocka_unit_test(it_is_what_was_put),
        cmocka_unit_test(it_stays_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
