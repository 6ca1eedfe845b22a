/* Which drills exclude each other, and for how long. */
#include "sentineld/shell/drill_claims.h"

#include "common/base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct drill_claims claims;
static bool full;

/* NULL: it was taken; else the id of the one in the way, or "full". */
static const char *take(const char *id, const char *scope, int64_t ms, int64_t now_ms)
{
    const struct drill_claim *k = drill_claims_take(&claims, slice_of(id), slice_of(scope), slice_of("me@here"),
                                                    slice_of("kill-master"), ms, now_ms * 1000, &full);
    return k != NULL ? k->id : full ? "full" : NULL;
}

static int clear(void **state)
{
    (void)state;
    drill_claims_free(&claims);
    return 0;
}

static void one_at_a_time_concerns_a_cluster(void **state)
{
    (void)state;
    assert_null(take("a", "orders", 1000, 0));
    assert_string_equal(take("b", "orders", 1000, 10), "a");
    assert_null(take("c", "users", 1000, 10));
    assert_true(drill_claims_end(&claims, slice_of("a")));
    assert_false(drill_claims_end(&claims, slice_of("a")));
    assert_null(take("b", "orders", 1000, 20));
}

static void harm_to_a_supervisor_concerns_all(void **state)
{
    (void)state;
    assert_null(take("a", "orders", 1000, 0));
    assert_string_equal(take("s", DRILL_SCOPE_ALL, 1000, 10), "a");
    drill_claims_end(&claims, slice_of("a"));
    assert_null(take("s", DRILL_SCOPE_ALL, 1000, 10));
    assert_string_equal(take("t", DRILL_SCOPE_ALL, 1000, 20), "s");
    assert_string_equal(take("b", "users", 1000, 20), "s");
}

static void a_claim_ends_and_can_be_made_longer(void **state)
{
    (void)state;
    assert_null(take("a", "orders", 1000, 0));
    assert_string_equal(take("b", "orders", 1000, 999), "a");
    assert_null(take("a", "orders", 1000, 999)); /* until 1999, and it began at 0 */
    assert_int_equal(claims.v[0].began_us, 0);
    assert_string_equal(take("b", "orders", 1000, 1998), "a");
    assert_null(take("b", "orders", 1000, 1999));
    drill_claims_tidy(&claims, 2999000);
    assert_int_equal(claims.n, 0);
}

static void there_is_a_bound(void **state)
{
    (void)state;
    char name[16];
    for (int i = 0; i < DRILL_CLAIMS_MAX; i++) {
        snprintf(name, sizeof name, "%d", i);
        assert_null(take(name, name, 1000, 0));
    }
    assert_string_equal(take("x", "x", 1000, 0), "full");
    assert_null(take("3", "3", 1000, 0));
    assert_null(take("x", "x", 1000, 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(one_at_a_time_concerns_a_cluster, clear),
        cmocka_unit_test_teardown(harm_to_a_supervisor_concerns_all, clear),
        cmocka_unit_test_teardown(a_claim_ends_and_can_be_made_longer, clear),
        cmocka_unit_test_teardown(there_is_a_bound, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
