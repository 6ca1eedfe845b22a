/* The screen of `fleet watch` at any size, the tree of `fleet topology`, and points in time of `shard switchover`. */
#include "nodectl/shard/at.h"
#include "nodectl/view/topology.h"
#include "nodectl/view/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *group_of(int number)
{
    char name[40];
    snprintf(name, sizeof name, "orders/%04d", number);
    return json_pack("{s:s, s:s, s:b, s:b, s:i, s:i, s:s, s:{s:s, s:s, s:i, s:i, s:i, s:i}, s:[{s:s, s:s, s:i, s:s}],"
                     " s:[]}",
                     "name", name, "state", number == 2 ? "o_down" : "ok", "agreed", 1, "quorum_ok", 1, "config_epoch",
                     number, "slots", 100, "slot_ranges", "0-99", "master", "address", "10.0.0.1:7001", "state", "ok",
                     "ops_per_s", number * 10, "used_memory", 1500000, "lease_ms", 200, "lease_grants", 3, "replicas",
                     "address", "10.0.0.1:7002", "state", "ok", "lag_bytes", number == 1 ? 4000 : 0, "master_link",
                     "ok", "supervisors");
}

static json_t *status_of(int groups)
{
    json_t *list = json_array();
    for (int i = 0; i < groups; i++)
        json_array_append_new(list, group_of(i));
    return json_pack("{s:b, s:[{s:s, s:s, s:i, s:i, s:i}], s:[{s:s, s:s, s:b}], s:o, s:[s], s:[]}", "ok", 0, "clusters",
                     "name", "orders", "state", "down", "epoch", 7, "slots_covered", 16000, "keys", 12345,
                     "supervisors", "address", "10.0.0.2:5001", "id", "0123456789", "reachable", 1, "groups", list,
                     "problems", "orders/0002: it is \033[2J down", "notes");
}

static struct screen s;
static struct buf row;

static const char *at(int number)
{
    buf_clear(&row);
    screen_row(&s, number, &row);
    return buf_str(&row);
}

static void draw(struct watch *w, int width, int height)
{
    screen_begin(&s, width, height);
    watch_draw(w, &s);
    for (size_t i = 0; i < s.n; i++) {
        assert_in_range(s.v[i].row, 0, height - 1);
        assert_in_range(s.v[i].column, 0, width - 1);
        assert_null(strchr(s.v[i].text, '\033'));
    }
}

static void test_wide(void **state)
{
    (void)state;
    json_t *status = status_of(3), *events = json_pack("[{s:I, s:s, s:s}]", "wall_ms", (json_int_t)0, "event", "+sdown",
                                                       "text", "master orders/0002");
    struct watch w = {.status = status, .events = events};
    draw(&w, 120, 20);
    assert_non_null(strstr(at(0), "orders  down  16000 of 16384 slots  12345 keys"));
    assert_string_equal(at(1), "30 ops/s  4.5 MB in use  worst lag 4.0 KB  1 of 1 supervisors");
    assert_string_equal(at(2), "1 problem: orders/0002: it is ?[2J down");
    assert_string_equal(at(3), "SHARD        STATE   MASTER         SLOTS   LEASE  REPLICAS     LAG  OPS/S  MEMORY");
    assert_string_equal(at(4), "orders/0000  ok      10.0.0.1:7001    100  200 ms  1/1          0 B      0  1.5 MB");
    assert_non_null(strstr(at(19), "q quit"));
    bool seen = false;
    for (int i = 7; i < 19; i++)
        seen |= strstr(at(i), "+sdown master orders/0002") != NULL;
    assert_true(seen);
    json_decref(status);
    json_decref(events);
}

static void test_narrow_and_low(void **state)
{
    (void)state;
    json_t *status = status_of(3);
    struct watch w = {.status = status};
    draw(&w, 44, 9);
    assert_string_equal(at(3), "SHARD        STATE      LAG  OPS/S");
    for (int width = 1; width < 130; width += 3)
        for (int height = 1; height < 12; height++)
            draw(&w, width, height);
    w.status = NULL;
    draw(&w, 80, 24);
    assert_string_equal(at(0), "asking the supervisors ...");
    screen_begin(&s, 10, 1);
    screen_put(&s, 0, 0, PAINT_NONE,
               "\x82\x82"
               "a");
    assert_string_equal(at(0), "a");
    json_decref(status);
}

static void test_order_and_scrolling(void **state)
{
    (void)state;
    json_t *status = status_of(100);
    struct watch w = {.status = status, .order = WATCH_BY_TROUBLE};
    draw(&w, 80, 24);
    assert_true(strncmp(at(4), "orders/0002  o_down", 19) == 0);
    assert_true(strncmp(at(5), "orders/0000  ok", 15) == 0);
    w.order = WATCH_BY_LAG;
    draw(&w, 80, 24);
    assert_true(strncmp(at(4), "orders/0001", 11) == 0);
    w.order = WATCH_BY_OPS;
    draw(&w, 80, 24);
    assert_true(strncmp(at(4), "orders/0099", 11) == 0);
    w.order = WATCH_BY_NAME;
    w.first = 1 << 24;
    draw(&w, 80, 24);
    assert_int_equal(w.first, 100 - w.page);
    assert_true(strncmp(at(22), "orders/0099", 11) == 0);
    assert_non_null(strstr(at(23), "82-100 of 100"));
    w.first = -5;
    draw(&w, 80, 24);
    assert_int_equal(w.first, 0);
    json_decref(status);
}

/* ---- topology ---- */

static void test_topology(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n;
    json_t *status = status_of(2), *zones = json_pack("{s:s}", "10.0.0.1", "east");
    json_t *topology = topology_document(status, zones);
    assert_int_equal(json_array_size(json_object_get(topology, "hosts")), 2);
    FILE *out = open_memstream(&text, &n);
    struct topology_style style = {.hosts = true};
    topology_print(topology, &style, out);
    fclose(out);
    assert_non_null(strstr(text, "orders  down  epoch 7  16000 of 16384 slots\n"
                                 "|- orders/0000  ok  slots 0-99 (100)  epoch 0\n"
                                 "|  |- 10.0.0.1:7001          master   ok  leased by 3 for 200 ms  0 ops/s\n"
                                 "|  `- 10.0.0.1:7002          replica  ok  0 bytes behind\n"
                                 "`- orders/0001  ok  slots 0-99 (100)  epoch 1\n"
                                 "   |- "));
    assert_non_null(strstr(text, "host 10.0.0.1  zone east\n|- 2 masters: orders/0000 orders/0001\n"));
    assert_non_null(strstr(text, "orders/0000: its master and all of its replicas are in zone east\n"));
    assert_null(strchr(text, '\033'));
    free(text);
    json_decref(topology);
    json_decref(zones);
    json_decref(status);
}

/* ---- points in time ---- */

static void test_at(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    const time_t now = 1795370400; /* 2026-11-22 18:00:00 UTC */
    static const struct {
        const char *text;
        long long after;
    } right[] = {{"18:30", 1800},
                 {"18:00", 0},
                 {"18:00:05", 5},
                 {"17:59", 86400 - 60},
                 {"2026-11-22 18:00:01", 1},
                 {"2026-11-23T18:00", 86400},
                 {"+10m", 600},
                 {"+0", 0}};
    static const char *const wrong[] = {
        "",           "25:00", "18:60", "18", "18:30:", "+", "18:3x", "2026-11-22 17:00", "2026-11-31 18:00",
        "2026-11-22", "-5m",   "now"};
    time_t found;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        assert_true(at_parse(right[i].text, now, &found));
        assert_int_equal(found - now, right[i].after);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(at_parse(wrong[i], now, &found));
    char text[AT_LEFT_MAX];
    assert_string_equal(at_left(5, text), "0:05");
    assert_string_equal(at_left(3723, text), "1:02:03");
    assert_string_equal(at_left(90061, text), "1d 01:01:01");
    assert_string_equal(at_left(-4, text), "0:00");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wide),
        cmocka_unit_test(test_narrow_and_low),
        cmocka_unit_test(test_order_and_scrolling),
        cmocka_unit_test(test_topology),
        cmocka_unit_test(test_at),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    screen_free(&s);
    buf_free(&row);
    return failed;
}
