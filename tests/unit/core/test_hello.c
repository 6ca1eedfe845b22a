/* The hello message, reference section 5. */
#include "sentineld/core/hello.h"

#include "common/base/mem.h"
#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "cf68502e3e9d28f1a387fe18cbffd86ede40da69"
#define STOCK "127.0.0.1,26379," ID ",12,mymaster,127.0.0.1,6379,9"

static bool parse(const char *text, struct sn_hello *out)
{
    return sn_hello_parse(slice_of(text), out);
}

static void stock_message(void **state)
{
    (void)state;
    struct sn_hello h;
    assert_true(parse(STOCK, &h));
    assert_string_equal(h.from.host, "127.0.0.1");
    assert_int_equal(h.from.port, 26379);
    assert_string_equal(h.id, ID);
    assert_int_equal(h.current_epoch, 12);
    assert_true(slice_is(h.group, "mymaster"));
    assert_string_equal(h.master.host, "127.0.0.1");
    assert_int_equal(h.master.port, 6379);
    assert_int_equal(h.config_epoch, 9);
}

static void names_and_ipv6(void **state)
{
    (void)state;
    struct sn_hello h;
    assert_true(parse("sentinel-1.example.org,26379," ID ",0,a/b:c#1,2001:db8::7,6379,0", &h));
    assert_string_equal(h.from.host, "sentinel-1.example.org");
    assert_string_equal(h.master.host, "2001:db8::7");
    assert_true(slice_is(h.group, "a/b:c#1"));
    assert_int_equal(h.current_epoch, 0);
}

static void ids_are_lower_case(void **state)
{
    (void)state;
    struct sn_hello h;
    assert_true(parse("h,1,CF68502E3E9D28F1A387FE18CBFFD86EDE40DA69,0,g,h,1,0", &h));
    assert_string_equal(h.id, ID);
}

static void largest_numbers(void **state)
{
    (void)state;
    struct sn_hello h;
    assert_true(parse("h,65535," ID ",18446744073709551615,g,h,65535,18446744073709551615", &h));
    assert_true(h.current_epoch == UINT64_MAX);
    assert_true(h.config_epoch == UINT64_MAX);
}

static void refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        ",",
        ",,,,,,,",
        ",,,,,,,,",
        STOCK ",",
        STOCK ",1",
        "," STOCK,
        STOCK " ",
        " " STOCK,
        STOCK "\r\n",
        "127.0.0.1,26379," ID ",12,mymaster,127.0.0.1,6379",    /* seven */
        "127.0.0.1,26379," ID ",12,my,master,127.0.0.1,6379,9", /* nine */
        ",26379," ID ",12,g,h,6379,9",                          /* no host */
        "h,0," ID ",12,g,h,6379,9",
        "h,65536," ID ",12,g,h,6379,9",
        "h,x," ID ",12,g,h,6379,9",
        "h,-1," ID ",1,g,h,1,9",
        "h,1,,12,g,h,6379,9",
        "h,1,abc,12,g,h,6379,9",
        "h,1,x" ID ",12,g,h,6379,9",
        "h,1,zf68502e3e9d28f1a387fe18cbffd86ede40da69,12,g,h,6379,9",
        "h,1," ID ",,g,h,1,9",
        "h,1," ID ",-1,g,h,1,9",
        "h,1," ID ",1x,g,h,1,9",
        "h,1," ID ",18446744073709551616,g,h,1,9",
        "h,1," ID ",1,,h,1,9", /* no name */
        "h,1," ID ",1,g,,1,9",
        "h,1," ID ",1,g,h,0,9",
        "h,1," ID ",1,g,h,,9",
        "h,1," ID ",1,g,h i,1,9",
        "h,1," ID ",1,g,h,1,",
        "h,1," ID ",1,g,h,1,-9",
        "h,1," ID ",1,g,h,1,9.5",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct sn_hello h;
        memset(&h, 0x5a, sizeof h);
        if (parse(texts[i], &h))
            fail_msg("accepted: %s", texts[i]);
        assert_int_equal(h.from.port, 0x5a5a5a5a); /* untouched */
    }
}

static void cut_at_every_byte(void **state)
{
    (void)state;
    size_t whole = strlen(STOCK);
    for (size_t n = 0; n < whole; n++) {
        char *copy = mem_strndup(STOCK, n);
        struct sn_hello h;
        assert_false(sn_hello_parse((struct slice){copy, n}, &h));
        free(copy);
    }
}

static void write_as_stock(void **state)
{
    (void)state;
    struct sn_hello h;
    struct buf out = {0};
    assert_true(parse(STOCK, &h));
    buf_puts(&out, "before ");
    sn_hello_write(&out, &h);
    assert_string_equal(buf_str(&out), "before " STOCK);
    buf_free(&out);
}

static void draw_addr(struct rng *r, struct addr *a)
{
    static const char *const hosts[] = {"10.1.2.3", "::1", "2001:db8::ff", "a", "node-7.rack_2.example"};
    assert_true(addr_set(a, slice_of(hosts[rng_below(r, 5)]), rng_range(r, 1, 65535)));
}

static void round_trips(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 7);
    for (int i = 0; i < 2000; i++) {
        struct sn_hello h, back;
        struct buf out = {0};
        draw_addr(&r, &h.from);
        draw_addr(&r, &h.master);
        runid_draw(&r, h.id);
        h.current_epoch = rng_u64(&r) >> rng_below(&r, 64);
        h.config_epoch = rng_u64(&r) >> rng_below(&r, 64);
        h.group = slice_of(i % 2 ? "g" : "orders/0123abcd");
        sn_hello_write(&out, &h);
        assert_true(sn_hello_parse(buf_slice(&out), &back));
        assert_true(addr_eq(&back.from, &h.from));
        assert_true(addr_eq(&back.master, &h.master));
        assert_string_equal(back.id, h.id);
        assert_true(slice_eq(back.group, h.group));
        assert_true(back.current_epoch == h.current_epoch && back.config_epoch == h.config_epoch);
        buf_free(&out);
    }
}

static void random_bytes(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 8);
    for (int i = 0; i < 20000; i++) {
        char text[] = STOCK;
        size_t n = 1 + (size_t)rng_below(&r, sizeof text - 1);
        for (uint64_t k = rng_below(&r, 4) + 1; k > 0; k--)
            text[rng_below(&r, n)] = (char)rng_below(&r, 256);
        char *copy = mem_alloc(n);
        struct sn_hello h;
        memcpy(copy, text, n);
        if (sn_hello_parse((struct slice){copy, n}, &h)) {
            assert_true(addr_is_set(&h.from) && addr_is_set(&h.master));
            assert_int_equal(strlen(h.id), RUNID_LEN);
            assert_true(h.group.n > 0 && h.group.p > copy && h.group.p + h.group.n < copy + n);
        }
        free(copy);
    }
}

static void sender(void **state)
{
    static const char *const others[] = {
        "", ",", ",,", "," ID, ID, ID ",1," ID "0,", "h,1," ID "0,0,g,h,1,0", "h,1,x,0,g,h,1,0", ",," ID "x",
    };
    (void)state;
    assert_true(sn_hello_is_from(slice_of(STOCK), ID));
    assert_true(sn_hello_is_from(slice_of("h,1," ID), ID)); /* the rest is not looked at */
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(sn_hello_is_from(slice_of(others[i]), ID));
    for (size_t n = 0; n < strlen("127.0.0.1,26379," ID); n++)
        assert_false(sn_hello_is_from((struct slice){STOCK, n}, ID));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stock_message),   cmocka_unit_test(names_and_ipv6), cmocka_unit_test(ids_are_lower_case),
        cmocka_unit_test(largest_numbers), cmocka_unit_test(refused),        cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(write_as_stock),  cmocka_unit_test(round_trips),    cmocka_unit_test(random_bytes),
        cmocka_unit_test(sender),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
