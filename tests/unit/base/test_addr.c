#include "common/base/addr.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"

static void parse_takes_names_and_literals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        int port;
        const char *shown;
    } rows[] = {
        {"127.0.0.1:6379", "127.0.0.1", 6379, "127.0.0.1:6379"},
        {"redis-1.example.org:1", "redis-1.example.org", 1, "redis-1.example.org:1"},
        {"my_host:65535", "my_host", 65535, "my_host:65535"},
        {"[::1]:6379", "::1", 6379, "[::1]:6379"},
        {"::1:6379", "::1", 6379, "[::1]:6379"},
        {"2001:db8::5:26379", "2001:db8::5", 26379, "[2001:db8::5]:26379"},
        {"[fe80::1%eth0]:7000", "fe80::1%eth0", 7000, "[fe80::1%eth0]:7000"},
        {"[::ffff:10.0.0.1]:7000", "::ffff:10.0.0.1", 7000, "[::ffff:10.0.0.1]:7000"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct addr a, again;
        char text[ADDR_TEXT_MAX];
        assert_true(addr_parse(slice_of(rows[i].text), &a));
        assert_string_equal(a.host, rows[i].host);
        assert_int_equal(a.port, rows[i].port);
        assert_string_equal(addr_text(&a, text), rows[i].shown);
        assert_true(addr_parse(slice_of(text), &again));
        assert_true(addr_eq(&a, &again));
        assert_true(addr_is_set(&a));
    }
}

static void parse_refuses_what_is_no_address(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",           ":",
        "host",       "host:",
        ":6379",      "host:0",
        "host:65536", "host:-1",
        "host:+1",    "host:06379",
        "host: 6379", "host:6379 ",
        "ho st:1",    "host\n:1",
        "a:b:1",      "[]:1",
        "[::1]",      "[::1]6379",
        "[::1:6379",  "::1]:6379",
        "[host]:1",   "[127.0.0.1]:1",
        "[[::1]]:1",  "host:1x",
        "a/b:1",      "a@b:1",
        "a\"b:1",     "1:2:3:4:5:6:7",
        "fe80::1%:1", "host%eth0:1",
        "\xc3\xa4:1", "h:99999999999999999999",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct addr a = {"kept", 7};
        if (addr_parse(slice_of(texts[i]), &a))
            fail_msg("\"%s\" was taken for an address", texts[i]);
        assert_string_equal(a.host, "kept");
        assert_int_equal(a.port, 7);
    }
    struct addr a;
    assert_false(addr_parse((struct slice){"a\0b:1", 5}, &a));
    assert_false(addr_parse((struct slice){NULL, 0}, &a));
}

static void the_longest_host_fits(void **state)
{
    (void)state;
    char text[ADDR_HOST_MAX + 16];
    struct addr a;
    memset(text, 'h', sizeof text);
    assert_true(addr_set(&a, (struct slice){text, ADDR_HOST_MAX}, 65535));
    assert_int_equal(strlen(a.host), ADDR_HOST_MAX);
    assert_false(addr_set(&a, (struct slice){text, ADDR_HOST_MAX + 1}, 65535));
    char out[ADDR_TEXT_MAX];
    assert_int_equal(strlen(addr_text(&a, out)), ADDR_HOST_MAX + 6);
    /* The longest that is written in brackets: an IPv6 address with a long zone. */
    memcpy(text, "fe80::1%", 8);
    assert_true(addr_set(&a, (struct slice){text, ADDR_HOST_MAX}, 65535));
    assert_int_equal(strlen(addr_text(&a, out)), ADDR_HOST_MAX + 8);
    assert_int_equal(strlen(out), ADDR_TEXT_MAX - 1);
}

static void parts_get_the_same_checks(void **state)
{
    (void)state;
    struct addr a = {"kept", 7};
    assert_false(addr_set(&a, slice_of(""), 1));
    assert_false(addr_set(&a, slice_of("h"), 0));
    assert_false(addr_set(&a, slice_of("h"), 65536));
    assert_false(addr_set(&a, slice_of("h"), INT64_C(4294967297)));
    assert_false(addr_set(&a, slice_of("h"), -1));
    assert_false(addr_set(&a, slice_of("[::1]"), 1));
    assert_false(addr_set(&a, slice_of("h:1"), 1));
    assert_string_equal(a.host, "kept");
    assert_true(addr_set(&a, slice_of("::1"), 1));
    /* A part of itself. */
    assert_true(addr_set(&a, slice_of("longer-name"), 1));
    assert_true(addr_set(&a, (struct slice){a.host + 7, 4}, 2));
    assert_string_equal(a.host, "name");
}

static void equality_ignores_case_and_counts_the_port(void **state)
{
    (void)state;
    struct addr a = {"Redis-A", 6379}, b = {"rEDIS-a", 6379}, c = {"redis-a", 6380}, d = {"redis-ab", 6379},
                none = {"", 0};
    assert_true(addr_eq(&a, &b));
    assert_false(addr_eq(&a, &c));
    assert_false(addr_eq(&a, &d));
    assert_false(addr_eq(&d, &a));
    assert_true(addr_eq(&none, &none));
    assert_false(addr_is_set(&none));
}

static bool system_says_ip(const char *host)
{
    unsigned char out[16];
    return inet_pton(AF_INET, host, out) == 1 || inet_pton(AF_INET6, host, out) == 1;
}

static void known_literals(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0.0.0.0",
        "255.255.255.255",
        "256.1.1.1",
        "1.2.3",
        "1.2.3.4.5",
        "01.2.3.4",
        "1.2.3.4 ",
        "1.2.3.4.",
        "1.2..4",
        "1.2.3.",
        ".1.2.3",
        "1.2.3.00",
        "1.2.3.0004",
        "1.2.3.999",
        "1,2.3.4",
        "1..2.3",
        "",
        "a",
        "localhost",
        "::",
        ":::",
        ":",
        "1::",
        "::1",
        "1::1::1",
        "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7::",
        "::2:3:4:5:6:7:8",
        "1::3:4:5:6:7:8",
        "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8",
        "12345::",
        "g::",
        "1:",
        ":1",
        "1::2:",
        "::1.2.3.4",
        "1:2:3:4:5:6:1.2.3.4",
        "1:2:3:4:5:6:7:1.2.3.4",
        "1.2.3.4::",
        "::1.2.3",
        "::1.2.3.4:5",
        "::ffff:1.2.3.256",
        "ABCD:ef01::",
        "::%",
        "1:::2",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (addr_is_ip(texts[i]) != system_says_ip(texts[i]))
            fail_msg("\"%s\": inet_pton() says %d", texts[i], system_says_ip(texts[i]));
    assert_true(addr_is_ip("fe80::1%eth0"));
    assert_false(addr_is_ip("fe80::1%"));
    assert_false(addr_is_ip("10.0.0.1%eth0"));
}

/* Random strings of the bytes that addresses are made of, and true addresses with one byte changed. */
static void literals_are_judged_as_by_the_system(void **state)
{
    (void)state;
    static const char bytes[] = "0123456789abcdefABCDEF::::....g";
    struct rng r;
    rng_seed(&r, 11);
    int yes = 0;
    for (int i = 0; i < 400000; i++) {
        char text[INET6_ADDRSTRLEN + 8] = "";
        if (i % 2 == 0) {
            size_t n = rng_below(&r, 24);
            for (size_t j = 0; j < n; j++)
                text[j] = bytes[rng_below(&r, sizeof bytes - 1)];
        } else {
            unsigned char raw[16] = {0};
            for (int j = 0; j < 16; j++)
                raw[j] = rng_chance(&r, 500000) ? 0 : (unsigned char)rng_u64(&r);
            int family = i % 4 == 1 ? AF_INET6 : AF_INET;
            assert_non_null(inet_ntop(family, raw, text, sizeof text));
            if (rng_chance(&r, 700000))
                text[rng_below(&r, strlen(text))] = bytes[rng_below(&r, sizeof bytes - 1)];
        }
        bool system = system_says_ip(text);
        yes += system;
        if (addr_is_ip(text) != system)
            fail_msg("\"%s\": inet_pton() says %d", text, system);
    }
    assert_true(yes > 50000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_takes_names_and_literals),
        cmocka_unit_test(parse_refuses_what_is_no_address),
        cmocka_unit_test(the_longest_host_fits),
        cmocka_unit_test(parts_get_the_same_checks),
        cmocka_unit_test(equality_ignores_case_and_counts_the_port),
        cmocka_unit_test(known_literals),
        cmocka_unit_test(literals_are_judged_as_by_the_system),
    };
    return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
