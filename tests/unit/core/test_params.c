/* The timers of SENTINEL DEBUG. */
#include "sentineld/core/params.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void defaults(void **state)
{
    (void)state;
    struct sn_params p;
    memset(&p, 0xff, sizeof p);
    sn_params_default(&p);
    assert_int_equal(p.info_period_ms, 10000);
    assert_int_equal(p.ping_period_ms, 1000);
    assert_int_equal(p.publish_period_ms, 2000);
    assert_int_equal(p.default_down_after_ms, 30000);
    assert_int_equal(p.default_failover_timeout_ms, 60000);
    assert_int_equal(p.election_timeout_ms, 10000);
    assert_int_equal(p.script_retry_delay_ms, 30000);
}

static void every_name_finds_its_field(void **state)
{
    (void)state;
    struct sn_params p;
    sn_params_default(&p);
#define X(name, field, value, min)                                  \
    assert_ptr_equal(sn_params_find(&p, slice_of(name)), &p.field); \
    assert_int_equal(p.field, value);                               \
    assert_true(p.field >= (min));
    SN_PARAMS(X)
#undef X
}

static void the_names_of_stock_are_all_there(void **state)
{
    (void)state;
    static const char *const names[] = {
        "info-period",          "ping-period",
        "ask-period",           "publish-period",
        "default-down-after",   "default-failover-timeout",
        "tilt-trigger",         "tilt-period",
        "slave-reconf-timeout", "min-link-reconnect-period",
        "election-timeout",     "script-max-runtime",
        "script-retry-delay",
    };
    struct sn_params p;
    int64_t *seen[sizeof names / sizeof names[0]];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        seen[i] = sn_params_find(&p, slice_of(names[i]));
        assert_non_null(seen[i]);
        for (size_t k = 0; k < i; k++)
            assert_ptr_not_equal(seen[i], seen[k]);
    }
    assert_int_equal(sizeof p, sizeof seen / sizeof seen[0] * sizeof(int64_t));
}

static void any_case(void **state)
{
    (void)state;
    struct sn_params p;
    assert_ptr_equal(sn_params_find(&p, slice_of("INFO-Period")), &p.info_period_ms);
}

static void unknown_names(void **state)
{
    (void)state;
    struct sn_params p;
    assert_null(sn_params_find(&p, slice_of("")));
    assert_null(sn_params_find(&p, slice_of("info-perio")));
    assert_null(sn_params_find(&p, slice_of("info-periods")));
    assert_null(sn_params_find(&p, slice_of("info_period")));
    assert_null(sn_params_find(&p, (struct slice){"info-period\0x", 13}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(every_name_finds_its_field),
        cmocka_unit_test(the_names_of_stock_are_all_there),
        cmocka_unit_test(any_case),
        cmocka_unit_test(unknown_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
