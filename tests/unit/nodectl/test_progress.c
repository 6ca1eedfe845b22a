/* The line of long work: rate, time left, and that it never is wider than the terminal. */
#include "nodectl/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define CAP 1024

static struct progress at(const char *unit, int64_t done, int64_t total)
{
    struct progress p = {.what = "moving slots", .unit = unit, .done = done, .total = total, .begin_ms = 1000};
    return p;
}

static void rate_and_time_left(void **state)
{
    char line[CAP];
    struct progress p = at("slots", 250, 1000);
    (void)state;
    progress_line(&p, 11000, 100, line, CAP);
    assert_string_equal(line, "moving slots [=======                       ] 25%  250 slots of 1000 slots, "
                              "25 slots/s, 0:30 left");
}

static void bytes(void **state)
{
    char line[CAP];
    struct progress p = at("bytes", 5000000, 0);
    (void)state;
    progress_line(&p, 2000, 80, line, CAP);
    assert_string_equal(line, "moving slots  5.0 MB, 5.0 MB/s");
}

static void note(void **state)
{
    char line[CAP];
    struct progress p = at("keys", 250, 1000);
    (void)state;
    progress_note(&p, "2 of 8 slots; db0 20%, db5 30%");
    progress_line(&p, 11000, 130, line, CAP);
    assert_string_equal(line, "moving slots [=======                        ] 25%  250 keys of 1000 keys, "
                              "25 keys/s, 0:30 left; 2 of 8 slots; db0 20%, db5 30%");
    progress_line(&p, 11000, 90, line, CAP); /* the bar is more than that */
    assert_non_null(strchr(line, '['));
    assert_null(strstr(line, "db0"));
}

static void nothing_yet(void **state)
{
    char line[CAP];
    struct progress p = at("keys", 0, 10);
    (void)state;
    progress_line(&p, 1000, 60, line, CAP);
    assert_string_equal(line, "moving slots 0%  0 keys of 10 keys, 0 keys/s");
}

static void every_width(void **state)
{
    char line[CAP];
    (void)state;
    for (int width = 1; width <= 200; width++)
        for (int64_t done = 0; done <= 1200; done += 100) {
            struct progress p = at("slots", done, 1000);
            int n = progress_line(&p, 3601000, width, line, CAP);
            assert_int_equal(n, strlen(line));
            assert_true(n < width || n == 0);
        }
}

static void what_has_no_amount(void **state)
{
    char line[CAP];
    struct waiting w = {.begin_ms = 1000};
    (void)state;
    waiting_line(&w, 13500, 0, "supervisor 10.0.0.1:26379 still knows it", line, CAP);
    assert_string_equal(line, "waiting, 12 s: supervisor 10.0.0.1:26379 still knows it");
    waiting_line(&w, 13500, 20, "supervisor 10.0.0.1:26379 still knows it", line, CAP);
    assert_string_equal(line, "waiting, 12 s: supe");
    waiting_line(&w, 13500, 1, "it", line, CAP);
    assert_string_equal(line, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rate_and_time_left), cmocka_unit_test(bytes),       cmocka_unit_test(note),
        cmocka_unit_test(nothing_yet),        cmocka_unit_test(every_width), cmocka_unit_test(what_has_no_amount),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
