#include "sentineld/shell/info_sums.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct info_sums sums = {.stalest_us = -1};

static int clean(void **state)
{
    (void)state;
    info_sums_free(&sums);
    return 0;
}

static void add(const char *text, int64_t age_us)
{
    info_sums_add(&sums, slice_of(text), age_us);
}

static void test_sums(void **state)
{
    (void)state;
    add("# Memory\r\nused_memory:1000\r\nused_memory_human:1K\r\n# Keyspace\r\n"
        "db0:keys=5,expires=1,avg_ttl=7\r\ndb12:keys=3,expires=0,avg_ttl=0\r\n",
        50);
    add("used_memory:200\n# Keyspace\ndb0:keys=10,expires=2,avg_ttl=7\ndb3:keys=1,expires=1,avg_ttl=9\n", 20);
    assert_int_equal(sums.servers, 2);
    assert_int_equal(sums.memory, 1200);
    assert_int_equal(sums.stalest_us, 50);
    assert_int_equal(sums.n, 3);
    assert_int_equal(sums.databases[0].number, 0);
    assert_int_equal(sums.databases[0].keys, 15);
    assert_int_equal(sums.databases[0].expires, 3);
    assert_int_equal(sums.databases[1].number, 3);
    assert_int_equal(sums.databases[1].keys, 1);
    assert_int_equal(sums.databases[2].number, 12);
    assert_int_equal(sums.databases[2].keys, 3);
}

static void test_odd_lines(void **state)
{
    (void)state;
    add("", 0);
    add("db0\r\ndb:keys=1\r\ndbx:keys=1\r\ndb-1:keys=1\r\ndb1:expires=3\r\ndb2:keys=-4\r\ndb3:keys=1,expires=z\r\n"
        "db99999999999:keys=1\r\nused_memory:many\r\nused_memory",
        0);
    assert_int_equal(sums.n, 0);
    assert_int_equal(sums.memory, 0);
    add("db1:keys=9223372036854775807,expires=1\r\nused_memory:9223372036854775807\r\n", 1);
    add("db1:keys=9223372036854775807,expires=1\r\nused_memory:9223372036854775807\r\n", 1);
    assert_true(sums.databases[0].keys == INT64_MAX && sums.memory == INT64_MAX);
    assert_int_equal(sums.databases[0].expires, 2);
}

static void test_many_databases(void **state)
{
    (void)state;
    struct buf text = {.n = 0};
    for (int i = INFO_SUMS_DATABASES_MAX + 10; i > 0; i--)
        buf_printf(&text, "db%d:keys=1,expires=0\r\n", i % 97 == 0 ? i : INFO_SUMS_DATABASES_MAX + 11 - i);
    info_sums_add(&sums, buf_slice(&text), 0);
    buf_free(&text);
    assert_true(sums.n > 0 && sums.n <= INFO_SUMS_DATABASES_MAX);
    for (size_t i = 1; i < sums.n; i++)
        assert_true(sums.databases[i - 1].number < sums.databases[i].number);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_sums, clean),
        cmocka_unit_test_teardown(test_odd_lines, clean),
        cmocka_unit_test_teardown(test_many_databases, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
