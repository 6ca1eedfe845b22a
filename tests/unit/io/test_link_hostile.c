/* Links to a server that means harm, or speaks something else: each case must end the link as PROTOCOL (or CLOSED,
 * where the server only turned us away), keep memory bounded, and leave the program alive. */
#include "common/io/link.h"

#include "tests/unit/io/harness.h"

#include <stdio.h>
#include <string.h>

#define HELLO "$18\r\n__sentinel__:hello\r\n"

struct watch {
    struct io_link *link;
    int up, downs, replies, dead_replies, messages;
    enum io_link_down why;
    char text[300];
};

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

static void on_message(void *owner, struct io_link *l, struct slice channel, struct slice payload)
{
    (void)l;
    (void)channel;
    (void)payload;
    ((struct watch *)owner)->messages++;
}

static void on_reply(void *owner, struct io_link *l, const redisReply *reply, void *arg)
{
    struct watch *w = owner;
    (void)l;
    (void)arg;
    if (reply == NULL)
        w->dead_replies++;
    else
        w->replies++;
}

static const struct io_link_events events = {.up = on_up, .down = on_down, .message = on_message};
static struct server server;

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

static void open_up(struct watch *w, size_t reply_max)
{
    struct io_link_options o = {.reply_max = reply_max};
    int clients = server.clients;
    *w = (struct watch){0};
    w->link = io_link_open(loop, NULL, &server.addr, &o, &events, w);
    harness_wait(&w->up, 1);
    harness_wait(&server.clients, clients + 1);
}

static void expect_down(struct watch *w, enum io_link_down why)
{
    harness_wait(&w->downs, 1);
    if (w->why != why)
        fail_msg("expected %s, got %s: %s", io_link_down_name(why), io_link_down_name(w->why), w->text);
    io_link_free(w->link);
}

/* One command is waiting, or a PING that went the short way; then this comes. */
static void answer_with(const char *bytes, size_t n, enum io_link_down why)
{
    for (int alone = 0; alone < 2; alone++) {
        struct watch w;
        int before = server.got_bytes;
        open_up(&w, 1024 * 1024);
        assert_true(alone ? io_link_ping(w.link, on_reply, NULL)
                          : io_link_command(w.link, on_reply, NULL, "PING", NULL));
        harness_wait(&server.got_bytes, before + 14);
        server_send(&server, server.clients - 1, bytes, n);
        expect_down(&w, why);
        assert_int_equal(w.replies, 0);
        assert_int_equal(w.dead_replies, 1);
    }
}

static void test_garbage(void **state)
{
    (void)state;
    const char *const cases[] = {
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "\r\n",
        "\r\n\r\n\r\n",
        "$abc\r\n",
        "*x\r\n",
        "$-5\r\n",
        "*-7\r\n",
        "*2147483647\r\n", /* 16 GiB of pointers, were it believed */
        "*2147483648\r\n",
        "*99999999999999999999\r\n",
        "$99999999999999999999\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", /* deeper than hiredis goes */
        "*100\r\n*30000\r\n*30000\r\n*30000\r\n*30000\r\n*30000\r\n",         /* small headers that ask for much */
        "%1\r\n+a\r\n+b\r\n",                                                 /* RESP3 was not asked for */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        answer_with(cases[i], strlen(cases[i]), IO_LINK_PROTOCOL);
    answer_with("\0\0\0\0", 4, IO_LINK_PROTOCOL);
    answer_with("\x16\x03\x01\x02", 4, IO_LINK_PROTOCOL);
}

static void test_random_bytes(void **state)
{
    (void)state;
    uint32_t x = 12345;
    for (int round = 0; round < 200; round++) {
        struct watch w;
        char bytes[200];
        open_up(&w, 64 * 1024);
        if (round % 2 == 0)
            io_link_command(w.link, on_reply, NULL, "PING", NULL);
        else
            io_link_subscribe(w.link, "__sentinel__:hello");
        for (size_t i = 0; i < sizeof bytes; i++) {
            x = x * 1664525u + 1013904223u;
            bytes[i] = "*$:+-0123\r\n\r\nma"[(x >> 24) & 15];
        }
        server_send(&server, server.clients - 1, bytes, sizeof bytes);
        server_close(&server, server.clients - 1);
        harness_wait(&w.downs, 1);
        io_link_free(w.link);
        assert_int_equal(w.messages, 0);
        server.clients--; /* the place is used again */
    }
}

static void test_unasked_replies(void **state)
{
    (void)state;
    struct watch w;
    const char *const cases[] = {"+OK\r\n", ":1\r\n", "$-1\r\n", "*0\r\n", "$2\r\nhi\r\n", "*1\r\n+x\r\n"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        open_up(&w, 0);
        server_sends(&server, server.clients - 1, cases[i]);
        expect_down(&w, IO_LINK_PROTOCOL);
        assert_non_null(strstr(w.text, "nothing asked"));
    }
    /* Two answers to one command. */
    open_up(&w, 0);
    io_link_command(w.link, on_reply, NULL, "PING", NULL);
    server_sends(&server, server.clients - 1, "+one\r\n+two\r\n");
    expect_down(&w, IO_LINK_PROTOCOL);
    assert_int_equal(w.replies, 1);
}

static void test_turned_away(void **state)
{
    (void)state;
    struct watch w;
    open_up(&w, 0);
    server_sends(&server, 0, "-ERR max number of clients reached\r\n");
    expect_down(&w, IO_LINK_CLOSED);
    assert_non_null(strstr(w.text, "max number of clients"));
}

static void test_malformed_messages(void **state)
{
    (void)state;
    const char *const cases[] = {
        "+OK\r\n",
        ":1\r\n",
        "*0\r\n",
        "*-1\r\n",
        "$-1\r\n",
        "*1\r\n$7\r\nmessage\r\n",
        "*2\r\n$7\r\nmessage\r\n" HELLO,
        "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n" HELLO "$1\r\nx\r\n",
        "*3\r\n:1\r\n" HELLO "$1\r\nx\r\n",
        "*3\r\n$-1\r\n" HELLO "$1\r\nx\r\n",
        "*3\r\n*1\r\n+x\r\n" HELLO "$1\r\nx\r\n",
        "*3\r\n+message\r\n" HELLO "$1\r\nx\r\n",
        "*3\r\n$7\r\nmessage\r\n:1\r\n$1\r\nx\r\n",
        "*3\r\n$7\r\nmessage\r\n$5\r\nother\r\n$1\r\nx\r\n",
        "*3\r\n$7\r\nmessage\r\n" HELLO ":1\r\n",
        "*3\r\n$7\r\nmessage\r\n" HELLO "*1\r\n:1\r\n",
        "*3\r\n$7\r\nmessage\r\n" HELLO "$-1\r\n",
        "*3\r\n$9\r\nsubscribe\r\n" HELLO "$1\r\nx\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$5\r\nother\r\n:1\r\n",
        "*3\r\n$11\r\nunsubscribe\r\n" HELLO ":0\r\n",
        "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n",
        "*3\r\n$4\r\nwhat\r\n" HELLO ":0\r\n",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct watch w;
        open_up(&w, 0);
        assert_true(io_link_subscribe(w.link, "__sentinel__:hello"));
        server_sends(&server, server.clients - 1, cases[i]);
        expect_down(&w, IO_LINK_PROTOCOL);
        assert_int_equal(w.messages, 0);
    }
}

/* Sends chunks until the link is down. Returns how many bytes the link took. */
static size_t flood(struct watch *w, const char *chunk, size_t n, size_t most)
{
    size_t sent = 0;
    while (w->downs == 0 && sent < most) {
        server_send(&server, server.clients - 1, chunk, n);
        sent += n;
    }
    return sent;
}

static void test_bulk_without_end(void **state)
{
    (void)state;
    struct watch w;
    static char chunk[64 * 1024];
    open_up(&w, 1024 * 1024);
    io_link_command(w.link, on_reply, NULL, "PING", NULL);
    server_sends(&server, 0, "$1000000000\r\n");
    flood(&w, chunk, sizeof chunk, (size_t)64 * 1024 * 1024);
    expect_down(&w, IO_LINK_PROTOCOL);
    assert_non_null(strstr(w.text, "larger"));
}

static void test_line_without_end(void **state)
{
    (void)state;
    const char *const starts[] = {"+", "-", ":", "$", "*"};
    char chunk[4096];
    memset(chunk, '1', sizeof chunk);
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        struct watch w;
        open_up(&w, 0);
        io_link_command(w.link, on_reply, NULL, "PING", NULL);
        server_sends(&server, server.clients - 1, starts[i]);
        flood(&w, chunk, sizeof chunk, (size_t)64 * 1024 * 1024);
        expect_down(&w, IO_LINK_PROTOCOL);
    }
}

/* Elements that are parsed leave the buffer: only the account of the reply's memory bounds them. */
static void test_array_of_many_small_elements(void **state)
{
    (void)state;
    struct watch w;
    char chunk[4000];
    for (size_t i = 0; i < sizeof chunk; i += 4)
        memcpy(chunk + i, ":1\r\n", 4);
    open_up(&w, (size_t)4 * 1024 * 1024);
    io_link_command(w.link, on_reply, NULL, "PING", NULL);
    server_sends(&server, 0, "*400000\r\n");
    flood(&w, chunk, sizeof chunk, (size_t)16 * 1024 * 1024);
    expect_down(&w, IO_LINK_PROTOCOL);
    assert_non_null(strstr(w.text, "larger"));
}

/* The account is per reply, so a link does not wear out. */
static void test_many_large_replies(void **state)
{
    (void)state;
    struct watch w;
    static char body[300 * 1024];
    memset(body, 'x', sizeof body);
    open_up(&w, 1024 * 1024);
    for (int i = 0; i < 20; i++) {
        char head[32];
        io_link_command(w.link, on_reply, NULL, "INFO", NULL);
        snprintf(head, sizeof head, "$%zu\r\n", sizeof body);
        server_sends(&server, 0, head);
        server_send(&server, 0, body, sizeof body);
        server_sends(&server, 0, "\r\n");
        harness_wait(&w.replies, i + 1);
    }
    assert_int_equal(w.downs, 0);
    io_link_free(w.link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_garbage, start, end),
        cmocka_unit_test_setup_teardown(test_random_bytes, start, end),
        cmocka_unit_test_setup_teardown(test_unasked_replies, start, end),
        cmocka_unit_test_setup_teardown(test_turned_away, start, end),
        cmocka_unit_test_setup_teardown(test_malformed_messages, start, end),
        cmocka_unit_test_setup_teardown(test_bulk_without_end, start, end),
        cmocka_unit_test_setup_teardown(test_line_without_end, start, end),
        cmocka_unit_test_setup_teardown(test_array_of_many_small_elements, start, end),
        cmocka_unit_test_setup_teardown(test_many_large_replies, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
