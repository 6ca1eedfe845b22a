/* Times as the command line takes them. */
#include "nodectl/duration.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int64_t parsed(const char *text)
{
    int64_t ms = -1;
    return duration_parse(text, 1, INT64_MAX, &ms) ? ms : -1;
}

static void units(void **state)
{
    (void)state;
    assert_int_equal(parsed("500ms"), 500);
    assert_int_equal(parsed("2s"), 2000);
    assert_int_equal(parsed("90"), 90000);
    assert_int_equal(parsed("10m"), 600000);
    assert_int_equal(parsed("2h"), 7200000);
    assert_int_equal(parsed("7d"), 604800000);
}

static void no_times(void **state)
{
    static const char *const texts[] = {"",
                                        "s",
                                        "ms",
                                        "1w",
                                        "1 s",
                                        "-1s",
                                        "+1s",
                                        "1.5s",
                                        "0",
                                        "1S",
                                        "01s",
                                        "9223372036854775807s",
                                        "18446744073709551616"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(parsed(texts[i]), -1);
}

static void bounds(void **state)
{
    int64_t ms = 7;
    (void)state;
    assert_true(duration_parse("1ms", 1, 10, &ms) && ms == 1);
    assert_true(duration_parse("10ms", 1, 10, &ms) && ms == 10);
    assert_false(duration_parse("11ms", 1, 10, &ms));
    assert_int_equal(ms, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units),
        cmocka_unit_test(no_times),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
