#include "tests/unit/cmd/engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void commands_are_queued_and_run(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    assert_string_equal(run(f, "MULTI"), "+OK\r\n");
    assert_string_equal(run(f, "SET a 1"), "+QUEUED\r\n");
    assert_string_equal(run(f, "GET a"), "+QUEUED\r\n");
    assert_string_equal(run(f, "EXEC"), "*2\r\n+OK\r\n$1\r\n1\r\n");
    assert_string_equal(fixture_effects(f), "0 SET a 1\n");
    fixture_assert_copied(f);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_queued_and_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
