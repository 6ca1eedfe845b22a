#include "noded/cmd/latency.h"

#include "common/base/rng.h"
#include "tests/unit/cmd/engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MANY 20000

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t rank(double percent, size_t n)
{
    uint64_t r = (uint64_t)(percent / 100 * (double)n + 0.5);
    return r > 0 ? r - 1 : 0;
}

/* Against all that was noted, in order: what is told is the value or its bucket's end. */
static void percentiles_are_as_exact_as_promised(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 5);
    for (int round = 0; round < 8; round++) {
        struct nd_histogram *h = nd_histogram_new();
        uint64_t *all = malloc(MANY * sizeof *all);
        unsigned bits = 4 + 4 * (unsigned)round;
        for (size_t i = 0; i < MANY; i++) {
            uint64_t v = rng_u64(&rng) >> (64 - bits);
            nd_histogram_note(h, v);
            all[i] = v == 0 ? 1 : v > ND_HISTOGRAM_MAX_NS ? ND_HISTOGRAM_MAX_NS : v;
        }
        qsort(all, MANY, sizeof *all, by_size);
        static const double percents[] = {0.001, 1, 25, 50, 75, 90, 99, 99.9, 99.99, 100};
        for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
            uint64_t exact = all[rank(percents[i], MANY)], told = nd_histogram_percentile(h, percents[i]);
            assert_true(told >= exact);
            assert_true(told - exact <= exact / 128);
        }
        uint64_t least = nd_histogram_percentile(h, 0);
        assert_true(least <= all[0] && all[0] - least <= all[0] / 128);
        nd_histogram_free(h);
        free(all);
    }
}

/* As redis-server tells the same durations. */
static void buckets_end_where_they_do_in_redis(void **state)
{
    (void)state;
    static const uint64_t pairs[][2] = {
        {1000, 1003},     {2000, 2007},     {8000, 8031},         {14000, 14015},         {88000, 88063},
        {228000, 228351}, {806000, 806911}, {10092544, 10158079}, {600000000, 603979775}, {5000000000, 1002438655}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct nd_histogram *h = nd_histogram_new();
        assert_int_equal(nd_histogram_percentile(h, 50), 0);
        nd_histogram_note(h, pairs[i][0]);
        assert_int_equal(nd_histogram_percentile(h, 50), pairs[i][1]);
        nd_histogram_free(h);
    }
}

static void levels_count_what_is_below_them(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 6);
    struct nd_histogram *h = nd_histogram_new();
    struct nd_histogram_level at = {0};
    assert_false(nd_histogram_next(h, &at));
    for (size_t i = 0; i < MANY; i++)
        nd_histogram_note(h, 1000 * (rng_u64(&rng) >> (44 + rng_u64(&rng) % 20)));
    uint64_t before = 0;
    while (nd_histogram_next(h, &at)) {
        assert_true(at.count > before);
        before = at.count;
    }
    assert_int_equal(before, MANY);
    nd_histogram_note(h, 1 << 30);
    assert_true(nd_histogram_next(h, &at));
    assert_int_equal(at.up_to_ns, (1 << 30) - 1);
    assert_int_equal(at.count, MANY + 1);
    nd_histogram_free(h);
}

static void events_are_kept_by_second(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    nd_latency_note(f->e, "fork", 1000);
    assert_string_equal(run(f, "LATENCY LATEST"), "*0\r\n"); /* without a threshold nothing is kept */
    run(f, "CONFIG SET latency-monitor-threshold 10");
    nd_latency_note(f->e, "fork", 9);
    assert_string_equal(run(f, "LATENCY LATEST"), "*0\r\n");
    nd_latency_note(f->e, "fork", 12);
    nd_latency_note(f->e, "fork", 40);
    nd_latency_note(f->e, "fork", 20);
    fixture_forward_ms(f, 1000);
    nd_latency_note(f->e, "fork", 15);
    long long now_s = (long long)f->unix_ms / 1000;
    char wanted[200];
    snprintf(wanted, sizeof wanted, "*1\r\n*4\r\n$4\r\nfork\r\n:%lld\r\n:15\r\n:40\r\n", now_s);
    assert_string_equal(run(f, "LATENCY LATEST"), wanted);
    snprintf(wanted, sizeof wanted, "*2\r\n*2\r\n:%lld\r\n:40\r\n*2\r\n:%lld\r\n:15\r\n", now_s - 1, now_s);
    assert_string_equal(run(f, "LATENCY HISTORY fork"), wanted);
    assert_string_equal(run(f, "LATENCY HISTORY command"), "*0\r\n");
    assert_string_equal(run(f, "LATENCY GRAPH command"), "-ERR No samples available for event 'command'\r\n");
    assert_string_equal(run(f, "LATENCY RESET command fork fork"), ":1\r\n");
    assert_string_equal(run(f, "LATENCY LATEST"), "*0\r\n");
    nd_latency_note(f->e, "a", 20);
    nd_latency_note(f->e, "b", 20);
    assert_string_equal(run(f, "LATENCY RESET"), ":2\r\n");
    fixture_free(f);
}

static void the_oldest_of_many_samples_goes(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "CONFIG SET latency-monitor-threshold 1");
    for (int i = 1; i <= 3 * ND_LATENCY_SAMPLES / 2; i++) {
        fixture_forward_ms(f, 1000);
        nd_latency_note(f->e, "fork", i);
    }
    const struct nd_latency_event *event = nd_latency_find(f->e->latency, slice_of("fork"));
    assert_int_equal(event->n, ND_LATENCY_SAMPLES);
    for (unsigned i = 0; i < event->n; i++)
        assert_int_equal(nd_latency_sample(event, i)->ms, ND_LATENCY_SAMPLES / 2 + 1 + (int)i);
    fixture_free(f);
}

/* Drawn by redis-server from the same samples. */
static void the_graph(void **state)
{
    (void)state;
    static const int ms[] = {60, 10, 30, 90, 50}, later_ms[] = {1000, 1000, 1000, 51000, 0};
    struct fixture *f = fixture_new();
    run(f, "CONFIG SET latency-monitor-threshold 1");
    for (size_t i = 0; i < 5; i++) {
        nd_latency_note(f->e, "command", ms[i]);
        fixture_forward_ms(f, later_ms[i]);
    }
    struct buf out = {0};
    nd_latency_graph(&out, nd_latency_find(f->e->latency, slice_of("command")), f->e->now_ms / 1000);
    assert_string_equal(buf_str(&out),
                        "command - high 90 ms, low 10 ms (all time high 90 ms)\n"
                        "--------------------------------------------------------------------------------\n"
                        "   # \n"
                        "o  |_\n"
                        "| _||\n"
                        "|_|||\n"
                        "     \n"
                        "55550\n"
                        "4321s\n"
                        "ssss \n");
    buf_free(&out);
    fixture_free(f);
}

static void the_doctor_names_what_was_slow(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    assert_non_null(strstr(run(f, "LATENCY DOCTOR"), "latency-monitor-threshold is 0"));
    run(f, "CONFIG SET latency-monitor-threshold 10");
    assert_non_null(strstr(run(f, "LATENCY DOCTOR"), "nothing that is watched has taken 10 ms"));
    nd_latency_note(f->e, "expire-del", 20);
    nd_latency_note(f->e, "expire-cycle", 20);
    fixture_forward_ms(f, 2000);
    nd_latency_note(f->e, "expire-cycle", 40);
    const char *text = run(f, "LATENCY DOCTOR");
    assert_non_null(strstr(text, "1. expire-del: seen in 1 second, 20 ms on average (give or take 0 ms), at worst 20 "
                                 "ms.\n"));
    assert_non_null(strstr(text, "2. expire-cycle: seen in 2 seconds, 30 ms on average (give or take 10 ms), at worst "
                                 "40 ms, every 2.00 s.\n"));
    const char *advice = strstr(text, "lazyfree-lazy-expire");
    assert_non_null(advice);
    assert_null(strstr(advice + 1, "lazyfree-lazy-expire")); /* once for both events */
    fixture_free(f);
}

static void histograms_of_commands(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    run(f, "CONFIG RESETSTAT");
    run(f, "SET a b");
    run(f, "SET a b");
    run(f, "CLIENT ID");
    /* The fixture's clock stands still: nothing takes any time. */
    assert_string_equal(run(f, "LATENCY HISTOGRAM set nosuch"),
                        "*2\r\n$3\r\nset\r\n*4\r\n$5\r\ncalls\r\n:2\r\n$14\r\nhistogram_usec\r\n*2\r\n:1\r\n:2\r\n");
    assert_string_equal(run(f, "LATENCY HISTOGRAM client"),
                        "*2\r\n$9\r\nclient|id\r\n*4\r\n$5\r\ncalls\r\n:1\r\n$14\r\nhistogram_usec\r\n*2\r\n:1\r\n:1"
                        "\r\n");
    assert_non_null(strstr(run(f, "INFO latencystats"), "latency_percentiles_usec_set:p50=0.001,p99=0.001,p99.9="));
    run(f, "CONFIG SET latency-tracking-info-percentiles \"50.0 1e1\"");
    assert_non_null(strstr(run(f, "INFO latencystats"), "latency_percentiles_usec_set:p50=0.001,p10=0.001\r\n"));
    run(f, "CONFIG SET latency-tracking no");
    run(f, "SET a b");
    assert_null(strstr(run(f, "INFO latencystats"), "usec_set"));
    assert_non_null(strstr(run(f, "LATENCY HISTOGRAM set"), "calls\r\n:2\r\n"));
    run(f, "CONFIG RESETSTAT");
    assert_string_equal(run(f, "LATENCY HISTOGRAM set"), "*0\r\n");
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_as_exact_as_promised), cmocka_unit_test(buckets_end_where_they_do_in_redis),
        cmocka_unit_test(levels_count_what_is_below_them),      cmocka_unit_test(events_are_kept_by_second),
        cmocka_unit_test(the_oldest_of_many_samples_goes),      cmocka_unit_test(the_graph),
        cmocka_unit_test(the_doctor_names_what_was_slow),       cmocka_unit_test(histograms_of_commands),
    };
    return cmocka_run_group_tests_name("cmd/latency", tests, NULL, NULL);
}
