/* Messages that go the short way, and all that makes them leave it: whole, in pieces, many at once, long, and mixed
 * with what is no message. */
#include "common/io/link.h"

#include "tests/unit/io/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANNEL "__sentinel__:hello"
#define CONFIRMED "*3\r\n$9\r\nsubscribe\r\n$18\r\n" CHANNEL "\r\n:1\r\n"
#define MESSAGE(length, payload) "*3\r\n$7\r\nmessage\r\n$18\r\n" CHANNEL "\r\n$" length "\r\n" payload "\r\n"

struct watch {
    struct io_link *link;
    int up, downs, confirmed, messages;
    enum io_link_down why;
    char text[300];
    struct buf payloads; /* "a,b;c;" */
    bool free_in_message;
};

static struct server server;

static void on_up(void *owner, struct io_link *l, const char *ip)
{
    (void)l;
    (void)ip;
    ((struct watch *)owner)->up++;
}

static void on_down(void *owner, struct io_link *l, enum io_link_down why, const char *text)
{
    struct watch *w = owner;
    (void)l;
    w->why = why;
    snprintf(w->text, sizeof w->text, "%s", text);
    w->downs++;
}

static void on_subscribed(void *owner, struct io_link *l, struct slice channel)
{
    (void)l;
    (void)channel;
    ((struct watch *)owner)->confirmed++;
}

static void on_message(void *owner, struct io_link *l, struct slice channel, struct slice payload)
{
    struct watch *w = owner;
    assert_true(slice_is(channel, CHANNEL) || slice_is(channel, "x"));
    w->messages++;
    buf_put(&w->payloads, payload.p, payload.n);
    buf_putc(&w->payloads, ';');
    if (w->free_in_message) {
        w->link = NULL;
        io_link_free(l);
    }
}

static const struct io_link_events events = {
    .up = on_up, .down = on_down, .subscribed = on_subscribed, .message = on_message};

static int start(void **state)
{
    if (harness_start(state) != 0)
        return -1;
    server_start(&server);
    return 0;
}

static int end(void **state)
{
    server_stop(&server);
    return harness_end(state);
}

static void open_subscribed(struct watch *w)
{
    static const struct io_link_options none;
    w->link = io_link_open(loop, NULL, &server.addr, &none, &events, w);
    harness_wait(&w->up, 1);
    harness_wait(&server.clients, 1);
    assert_true(io_link_subscribe(w->link, CHANNEL));
    server_sends(&server, 0, CONFIRMED);
    harness_wait(&w->confirmed, 1);
}

static void expect(struct watch *w, int messages, const char *payloads)
{
    harness_wait(&w->messages, messages);
    harness_run_ms(5);
    assert_int_equal(w->messages, messages);
    assert_string_equal(buf_str(&w->payloads), payloads);
    buf_clear(&w->payloads);
    w->messages = 0;
}

static void finish(struct watch *w)
{
    assert_int_equal(w->downs, 0);
    assert_true(io_link_is_up(w->link));
    io_link_free(w->link);
    buf_free(&w->payloads);
}

static void test_one_after_the_other(void **state)
{
    (void)state;
    struct watch w = {0};
    open_subscribed(&w);
    for (int i = 0; i < 5; i++) {
        server_sends(&server, 0, MESSAGE("3", "a,b"));
        expect(&w, 1, "a,b;");
    }
    server_sends(&server, 0, MESSAGE("0", ""));
    expect(&w, 1, ";");
    finish(&w);
}

static void test_with_the_confirmation(void **state)
{
    (void)state;
    struct watch w = {0};
    static const struct io_link_options none;
    w.link = io_link_open(loop, NULL, &server.addr, &none, &events, &w);
    harness_wait(&w.up, 1);
    harness_wait(&server.clients, 1);
    assert_true(io_link_subscribe(w.link, CHANNEL));
    server_sends(&server, 0, CONFIRMED MESSAGE("1", "a") MESSAGE("1", "b"));
    expect(&w, 2, "a;b;");
    assert_int_equal(w.confirmed, 1);
    finish(&w);
}

static void test_cut_at_every_byte(void **state)
{
    (void)state;
    static const char two[] = MESSAGE("3", "a\r\n") MESSAGE("11", "hello world");
    struct watch w = {0};
    open_subscribed(&w);
    for (size_t cut = 1; cut < sizeof two - 1; cut++) {
        server_send(&server, 0, two, cut);
        harness_run_ms(1);
        server_send(&server, 0, two + cut, sizeof two - 1 - cut);
        expect(&w, 2, "a\r\n;hello world;");
        server_sends(&server, 0, MESSAGE("1", "s")); /* and back on the short way */
        expect(&w, 1, "s;");
    }
    finish(&w);
}

static void test_many_at_once(void **state)
{
    (void)state;
    enum { N = 2000 };
    struct watch w = {0};
    struct buf all = {0}, expected = {0};
    open_subscribed(&w);
    for (int i = 0; i < N; i++) {
        buf_puts(&all, MESSAGE("4", ""));
        all.n -= 2;
        buf_printf(&all, "%04d\r\n", i);
        buf_printf(&expected, "%04d;", i);
    }
    server_send(&server, 0, all.p, all.n);
    expect(&w, N, buf_str(&expected));
    buf_free(&all);
    buf_free(&expected);
    finish(&w);
}

static void test_longer_than_one_reading(void **state)
{
    (void)state;
    enum { LONG = 100000 };
    struct watch w = {0};
    struct buf text = {0};
    open_subscribed(&w);
    buf_printf(&text, "*3\r\n$7\r\nmessage\r\n$18\r\n" CHANNEL "\r\n$%d\r\n", LONG);
    for (int i = 0; i < LONG; i++)
        buf_putc(&text, (char)('a' + i % 26));
    buf_puts(&text, "\r\n" MESSAGE("1", "z"));
    server_send(&server, 0, text.p, text.n);
    harness_wait(&w.messages, 2);
    assert_int_equal(w.payloads.n, LONG + 3);
    assert_memory_equal(w.payloads.p + LONG, ";z;", 3);
    buf_free(&text);
    finish(&w);
}

/* A second channel while messages of the first arrive. */
static void test_second_channel(void **state)
{
    (void)state;
    struct watch w = {0};
    open_subscribed(&w);
    server_sends(&server, 0, MESSAGE("1", "a"));
    expect(&w, 1, "a;");
    assert_true(io_link_subscribe(w.link, "x"));
    server_sends(&server, 0, MESSAGE("1", "b") "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:2\r\n" MESSAGE("1", "c"));
    expect(&w, 2, "b;c;");
    server_sends(&server, 0, "*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\nd\r\n" MESSAGE("1", "e"));
    expect(&w, 2, "d;e;");
    finish(&w);
}

static void test_what_is_no_message(void **state)
{
    static const char *const texts[] = {
        "+PONG\r\n",
        "*3\r\n$7\r\nmessage\r\n$5\r\nother\r\n$1\r\na\r\n",
        "*3\r\n$7\r\nmessage\r\n$18\r\n" CHANNEL "\r\n:1\r\n",
        "*3\r\n$7\r\nmessage\r\n$18\r\n" CHANNEL "\r\n$-2\r\n",
        "*3\r\n$7\r\nmessage\r\n$18\r\n" CHANNEL "\r\n$a\r\n",
        "*2\r\n$7\r\nmessage\r\n$18\r\n" CHANNEL "\r\n",
        "*3\r\n$8\r\npmessage\r\n$18\r\n" CHANNEL "\r\n$1\r\na\r\n",
        "HTTP/1.1 400 Bad Request\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (int after = 0; after < 2; after++) {
            struct watch w = {0};
            static const struct io_link_options none;
            int clients = server.clients;
            w.link = io_link_open(loop, NULL, &server.addr, &none, &events, &w);
            harness_wait(&w.up, 1);
            harness_wait(&server.clients, clients + 1);
            assert_true(io_link_subscribe(w.link, CHANNEL));
            server_sends(&server, clients, CONFIRMED);
            harness_wait(&w.confirmed, 1);
            if (after) /* in one reading with a message */
                server_sends(&server, clients, MESSAGE("1", "a"));
            server_sends(&server, clients, texts[i]);
            harness_wait(&w.downs, 1);
            assert_int_equal(w.why, IO_LINK_PROTOCOL);
            assert_int_equal(w.messages, after);
            io_link_free(w.link);
            buf_free(&w.payloads);
        }
}

static void test_ends(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        struct watch w = {0};
        static const struct io_link_options none;
        int clients = server.clients;
        w.link = io_link_open(loop, NULL, &server.addr, &none, &events, &w);
        harness_wait(&w.up, 1);
        harness_wait(&server.clients, clients + 1);
        assert_true(io_link_subscribe(w.link, CHANNEL));
        server_sends(&server, clients, CONFIRMED);
        harness_wait(&w.confirmed, 1);
        server_sends(&server, clients, MESSAGE("1", "a"));
        expect(&w, 1, "a;");
        if (reset)
            server_reset(&server, clients);
        else
            server_close(&server, clients);
        harness_wait(&w.downs, 1);
        assert_int_equal(w.why, IO_LINK_CLOSED);
        assert_non_null(strstr(w.text, reset ? "reset" : "closed"));
        io_link_free(w.link);
        buf_free(&w.payloads);
    }
}

static void test_freed_between_two(void **state)
{
    (void)state;
    struct watch w = {.free_in_message = true};
    open_subscribed(&w);
    server_sends(&server, 0, MESSAGE("1", "a") MESSAGE("1", "b"));
    harness_wait(&w.messages, 1);
    harness_wait(&server.ended, 1);
    assert_int_equal(w.messages, 1);
    assert_int_equal(w.downs, 0);
    buf_free(&w.payloads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_after_the_other, start, end),
        cmocka_unit_test_setup_teardown(test_with_the_confirmation, start, end),
        cmocka_unit_test_setup_teardown(test_cut_at_every_byte, start, end),
        cmocka_unit_test_setup_teardown(test_many_at_once, start, end),
        cmocka_unit_test_setup_teardown(test_longer_than_one_reading, start, end),
        cmocka_unit_test_setup_teardown(test_second_channel, start, end),
        cmocka_unit_test_setup_teardown(test_what_is_no_message, start, end),
        cmocka_unit_test_setup_teardown(test_ends, start, end),
        cmocka_unit_test_setup_teardown(test_freed_between_two, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
