/* Availability out of the supervisors' events. */
#include "nodectl/supervisor/availability.h"

#include "nodectl/past.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define T0 INT64_C(1700000000000)

static json_t *records;

static int begin(void **state)
{
    (void)state;
    records = json_array();
    return 0;
}

static int end(void **state)
{
    (void)state;
    json_decref(records);
    return 0;
}

static json_t *record(const char *by)
{
    json_t *r = json_pack("{s:s, s:[], s:i, s:b}", "by", by, "events", "down_after_ms", 500, "down_now", 0);
    json_array_append_new(records, r);
    return r;
}

static void event(json_t *r, int64_t at_ms, const char *name, const char *text)
{
    json_array_append_new(json_object_get(r, "events"), json_pack("{s:s, s:s, s:I}", "event", name, "text", text,
                                                                  "wall_ms", (json_int_t)(T0 + at_ms)));
}

static void outage(json_t *r, int64_t sdown_ms, int64_t end_ms, const char *how)
{
    event(r, sdown_ms, "+sdown", "master m 127.0.0.1 1");
    event(r, sdown_ms + 20, "+odown", "master m 127.0.0.1 1 #quorum 2/2");
    event(r, end_ms, how, strcmp(how, "+switch-master") == 0 ? "m 127.0.0.1 1 127.0.0.1 2" : "master m 127.0.0.1 1");
}

static void nothing_happened(void **state)
{
    (void)state;
    json_t *r = record("a");
    event(r, 0, "+monitor", "master m 127.0.0.1 1 quorum 2");
    event(r, 5000, "+sdown", "slave x 127.0.0.1 2 @ m 127.0.0.1 1");
    event(r, 6000, "+switch-master", "m 127.0.0.1 1 127.0.0.1 2"); /* planned */
    json_t *d = availability_of(records, T0 - 1000, T0 + 100000);
    assert_int_equal(json_int(d, "failures", -1), 0);
    assert_int_equal(json_int(d, "switches", -1), 1);
    assert_int_equal(json_int(d, "down_ms", -1), 0);
    assert_int_equal(json_int(d, "between_ms", 0), -1);
    assert_int_equal(json_int(d, "nines", 0), -1);
    assert_int_equal(json_int(d, "recorded_since_ms", 0), T0);
    json_decref(d);
}

/* Three supervisors tell one outage, a little differently: it lasted from the first sign to the first new master. */
static void one_outage_is_counted_once(void **state)
{
    (void)state;
    for (int k = 0; k < 3; k++) {
        json_t *r = record("a");
        event(r, 0, "+monitor", "master m 127.0.0.1 1 quorum 2");
        outage(r, 10000 + k, 10100 + 7 * k, "+switch-master");
        outage(r, 50000 + k, 52000 + k, "-odown");
    }
    json_t *d = availability_of(records, T0, T0 + 1000000);
    assert_int_equal(json_int(d, "failures", -1), 2);
    assert_int_equal(json_int(d, "switches", -1), 0);
    assert_int_equal(json_int(d, "down_ms", -1), 600 + 2500);
    assert_int_equal(json_int(d, "longest_ms", -1), 2500);
    assert_int_equal(json_int(d, "between_ms", -1), (1000000 - 3100) / 2);
    assert_int_equal(json_int(d, "nines", -1), 2); /* 99.69 % */
    assert_string_equal(availability_percent(json_real_value(json_object_get(d, "available"))), "99.6900 %");
    json_decref(d);
}

static void a_single_opinion_is_no_outage(void **state)
{
    (void)state;
    json_t *r = record("a");
    event(r, 1000, "+sdown", "master m 127.0.0.1 1");
    event(r, 9000, "-sdown", "master m 127.0.0.1 1");
    json_t *d = availability_of(records, T0, T0 + 100000);
    assert_int_equal(json_int(d, "failures", -1), 0);
    json_decref(d);
}

static void open_ends(void **state)
{
    (void)state;
    json_t *a = record("a"), *b = record("b");
    event(a, 0, "+monitor", "master m 127.0.0.1 1 quorum 2");
    event(a, 10000, "+sdown", "master m 127.0.0.1 1");
    event(a, 10020, "+odown", "master m 127.0.0.1 1 #quorum 2/2"); /* and then it was restarted */
    json_t *d = availability_of(records, T0, T0 + 100000);
    assert_int_equal(json_int(d, "down_ms", -1), 520);
    assert_true(json_yes(json_array_get(json_object_get(d, "outages"), 0), "open"));
    json_decref(d);
    json_object_set_new(a, "down_now", json_true());
    d = availability_of(records, T0, T0 + 100000);
    assert_int_equal(json_int(d, "down_ms", -1), 90500);
    json_decref(d);
    outage(b, 10001, 11000, "+switch-master"); /* another one knows its end */
    d = availability_of(records, T0, T0 + 100000);
    assert_int_equal(json_int(d, "failures", -1), 1);
    assert_int_equal(json_int(d, "down_ms", -1), 1500);
    json_decref(d);
}

static void only_since_then(void **state)
{
    (void)state;
    json_t *r = record("a");
    outage(r, 1000, 2000, "+switch-master");
    outage(r, 50000, 60000, "+switch-master");
    json_t *d = availability_of(records, T0 + 55000, T0 + 155000);
    assert_int_equal(json_int(d, "failures", -1), 1);
    assert_int_equal(json_int(d, "down_ms", -1), 5000);
    assert_int_equal(json_int(d, "nines", -1), 1);
    json_decref(d);
    d = availability_of(records, T0 + 60001, T0 + 155000);
    assert_int_equal(json_int(d, "failures", -1), 0);
    json_decref(d);
    assert_string_equal(availability_percent(1), "100 %");
    assert_string_equal(availability_percent(0.5), "50.00 %");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_happened, begin, end),
        cmocka_unit_test_setup_teardown(one_outage_is_counted_once, begin, end),
        cmocka_unit_test_setup_teardown(a_single_opinion_is_no_outage, begin, end),
        cmocka_unit_test_setup_teardown(open_ends, begin, end),
        cmocka_unit_test_setup_teardown(only_since_then, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
