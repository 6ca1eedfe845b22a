/* PINGs that go the short way, and all that makes them leave it: whatever is sent and whatever comes back, the answers
 * are the same, in the same order, as those of any other command. */
#include "common/io/link.h"

#include "tests/unit/io/harness.h"

#include <stdio.h>
#include <string.h>

#define PING "*1\r\n$4\r\nPING\r\n"
#define PING_BYTES 14

struct watch {
    struct io_link *link;
    int up, downs, replies, dead_replies;
    enum io_link_down why;
    char text[300], order[200]; /* of the answers: "1PONG;2x;" */
    bool free_in_reply, ping_in_reply;
};

static struct server server;
static char first[] = "1", second[] = "2", third[] = "3";

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

static void on_reply(void *owner, struct io_link *l, const redisReply *reply, void *arg)
{
    struct watch *w = owner;
    if (reply == NULL) {
        w->dead_replies++;
        return;
    }
    w->replies++;
    size_t n = strlen(w->order);
    snprintf(w->order + n, sizeof w->order - n, "%s%.20s;", (char *)arg, reply->str != NULL ? reply->str : "?");
    if (w->ping_in_reply) {
        w->ping_in_reply = false;
        assert_true(io_link_ping(l, on_reply, second));
    }
    if (w->free_in_reply) {
        w->link = NULL;
        io_link_free(l);
    }
}

static const struct io_link_events events = {.up = on_up, .down = on_down};

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

static void open_up(struct watch *w)
{
    static const struct io_link_options none;
    w->link = io_link_open(loop, NULL, &server.addr, &none, &events, w);
    harness_wait(&w->up, 1);
    harness_wait(&server.clients, 1);
}

/* A PING leaves, alone. */
static void open_and_ping(struct watch *w)
{
    open_up(w);
    assert_true(io_link_ping(w->link, on_reply, first));
    assert_int_equal(io_link_pending(w->link), 1);
    assert_int_equal(server.got_bytes, 0); /* at the end of the turn */
    harness_wait(&server.got_bytes, PING_BYTES);
    assert_string_equal(buf_str(&server.got), PING);
}

static void expect_replies(struct watch *w, const char *order)
{
    int n = 0;
    for (const char *p = order; *p != '\0'; p++)
        n += *p == ';';
    harness_wait(&w->replies, n);
    assert_string_equal(w->order, order);
    assert_int_equal(io_link_pending(w->link), 0);
    assert_true(io_link_is_up(w->link));
    io_link_free(w->link);
    assert_int_equal(w->downs + w->dead_replies, 0);
}

static void test_again_and_again(void **state)
{
    (void)state;
    struct watch w = {0};
    open_up(&w);
    for (int i = 1; i <= 10; i++) {
        assert_true(io_link_ping(w.link, on_reply, first));
        harness_wait(&server.got_bytes, i * PING_BYTES);
        server_sends(&server, 0, "+PONG\r\n");
        harness_wait(&w.replies, i);
    }
    expect_replies(&w, "1PONG;1PONG;1PONG;1PONG;1PONG;1PONG;1PONG;1PONG;1PONG;1PONG;");
}

static void test_from_the_answer(void **state)
{
    (void)state;
    struct watch w = {.ping_in_reply = true};
    open_and_ping(&w);
    server_sends(&server, 0, "+PONG\r\n");
    harness_wait(&server.got_bytes, 2 * PING_BYTES);
    server_sends(&server, 0, "+PONG\r\n");
    expect_replies(&w, "1PONG;2PONG;");
}

static void test_commands_of_the_same_turn(void **state)
{
    (void)state;
    struct watch w = {0};
    open_up(&w);
    assert_true(io_link_ping(w.link, on_reply, first));
    assert_true(io_link_command(w.link, on_reply, second, "INFO", NULL));
    assert_true(io_link_ping(w.link, on_reply, third));
    harness_wait(&server.got_bytes, 3 * PING_BYTES);
    assert_string_equal(buf_str(&server.got), PING "*1\r\n$4\r\nINFO\r\n" PING);
    server_sends(&server, 0, "+PONG\r\n$1\r\nx\r\n+PONG\r\n");
    expect_replies(&w, "1PONG;2x;3PONG;");
}

static void test_commands_before_the_answer(void **state)
{
    (void)state;
    struct watch w = {0};
    open_and_ping(&w);
    assert_true(io_link_command(w.link, on_reply, second, "INFO", NULL));
    assert_true(io_link_ping(w.link, on_reply, third));
    harness_wait(&server.got_bytes, 3 * PING_BYTES);
    assert_string_equal(buf_str(&server.got), PING "*1\r\n$4\r\nINFO\r\n" PING); /* the first is not sent twice */
    server_sends(&server, 0, "+PONG\r\n$1\r\nx\r\n+PONG\r\n");
    expect_replies(&w, "1PONG;2x;3PONG;");
}

static void test_two_pings_under_way(void **state)
{
    (void)state;
    struct watch w = {0};
    open_and_ping(&w);
    assert_true(io_link_ping(w.link, on_reply, second));
    harness_wait(&server.got_bytes, 2 * PING_BYTES);
    server_sends(&server, 0, "+PONG\r\n");
    harness_wait(&w.replies, 1);
    server_sends(&server, 0, "-LOADING\r\n");
    expect_replies(&w, "1PONG;2LOADING;");
}

static void test_other_answers(void **state)
{
    static const char *const answers[][2] = {
        {"-LOADING wait\r\n", "1LOADING wait;"},
        {"+OK\r\n", "1OK;"},
        {"+PONGS\r\n", "1PONGS;"},
        {"$4\r\nPONG\r\n", "1PONG;"},
        {":1\r\n", "1?;"},
        {"*2\r\n+a\r\n+b\r\n", "1?;"},
        {"$0\r\n\r\n", "1;"},
        {"$-1\r\n", "1?;"},
        {"+\r\n", "1;"},
        {"-MASTERDOWN\r\n", "1MASTERDOWN;"},
        {"+PONG \r\n", "1PONG ;"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        for (int whole = 0; whole < 2; whole++) {
            struct watch w = {0};
            int client = server.clients, bytes = server.got_bytes;
            static const struct io_link_options none;
            w.link = io_link_open(loop, NULL, &server.addr, &none, &events, &w);
            harness_wait(&w.up, 1);
            harness_wait(&server.clients, client + 1);
            assert_true(io_link_ping(w.link, on_reply, first));
            harness_wait(&server.got_bytes, bytes + PING_BYTES);
            for (const char *p = answers[i][0]; whole && *p != '\0'; p++) {
                server_send(&server, client, p, 1);
                harness_run_ms(1);
            }
            if (!whole)
                server_sends(&server, client, answers[i][0]);
            expect_replies(&w, answers[i][1]);
        }
}

static void test_answer_in_pieces(void **state)
{
    (void)state;
    struct watch w = {0};
    open_and_ping(&w);
    server_sends(&server, 0, "+PO");
    harness_run_ms(20);
    assert_int_equal(w.replies, 0);
    assert_int_equal(io_link_pending(w.link), 1);
    server_sends(&server, 0, "NG\r\n");
    harness_wait(&w.replies, 1);
    assert_true(io_link_ping(w.link, on_reply, second));
    harness_wait(&server.got_bytes, 2 * PING_BYTES);
    server_sends(&server, 0, "+PONG\r\n");
    expect_replies(&w, "1PONG;2PONG;");
}

/* A second answer to one PING is what nothing asked for. */
static void test_an_answer_too_many(void **state)
{
    (void)state;
    struct watch w = {0};
    open_and_ping(&w);
    server_sends(&server, 0, "+PONG\r\n+PONG\r\n");
    harness_wait(&w.downs, 1);
    assert_int_equal(w.why, IO_LINK_PROTOCOL);
    assert_int_equal(w.replies, 1);
    io_link_free(w.link);
    assert_int_equal(w.dead_replies, 0);
}

static void test_closed(void **state)
{
    (void)state;
    struct watch w = {0};
    open_and_ping(&w);
    server_close(&server, 0);
    harness_wait(&w.downs, 1);
    assert_int_equal(w.why, IO_LINK_CLOSED);
    assert_int_equal(w.dead_replies, 1);
    assert_false(io_link_ping(w.link, on_reply, second));
    io_link_free(w.link);
    assert_int_equal(w.dead_replies, 1);
}

static void test_reset(void **state)
{
    (void)state;
    struct watch w = {0};
    open_and_ping(&w);
    server_reset(&server, 0);
    harness_wait(&w.downs, 1);
    assert_int_equal(w.why, IO_LINK_CLOSED);
    assert_non_null(strstr(w.text, "reset"));
    assert_int_equal(w.dead_replies, 1);
    io_link_free(w.link);
}

static void test_closed_before_it_leaves(void **state)
{
    (void)state;
    struct watch w = {0};
    open_up(&w);
    server_close(&server, 0);
    assert_true(io_link_ping(w.link, on_reply, first));
    harness_wait(&w.downs, 1);
    assert_int_equal(w.why, IO_LINK_CLOSED);
    assert_int_equal(w.dead_replies, 1);
    io_link_free(w.link);
}

/* When the socket takes nothing more, a PING waits with what was sent before it. */
static void test_socket_is_full(void **state)
{
    (void)state;
    struct watch w = {0};
    static char big[1024 * 1024];
    struct slice argv[] = {slice_of("ECHO"), {big, sizeof big}};
    server.deaf = true;
    open_up(&w);
    int taken = 0;
    for (; taken < 8; taken++) {
        assert_true(io_link_send(w.link, 2, argv, on_reply, first));
        harness_run_ms(1);
    }
    assert_true(io_link_ping(w.link, on_reply, second));
    harness_run_ms(20);
    assert_true(io_link_is_up(w.link));
    assert_int_equal(io_link_pending(w.link), taken + 1);
    io_link_free(w.link);
    assert_int_equal(w.dead_replies, taken + 1);
}

static void test_freed(void **state)
{
    (void)state;
    struct watch due = {0}, sent = {0}, in_reply = {.free_in_reply = true};
    open_up(&due);
    assert_true(io_link_ping(due.link, on_reply, first));
    io_link_free(due.link);
    assert_int_equal(due.dead_replies, 1);
    server_close(&server, 0);
    for (int i = 1; i < 3; i++) {
        struct watch *w = i == 1 ? &sent : &in_reply;
        static const struct io_link_options none;
        w->link = io_link_open(loop, NULL, &server.addr, &none, &events, w);
        harness_wait(&w->up, 1);
        harness_wait(&server.clients, i + 1);
        assert_true(io_link_ping(w->link, on_reply, first));
        harness_wait(&server.got_bytes, i * PING_BYTES);
    }
    io_link_free(sent.link);
    assert_int_equal(sent.dead_replies, 1);
    server_sends(&server, 2, "+PONG\r\n");
    harness_wait(&in_reply.replies, 1);
    assert_null(in_reply.link);
    harness_run_ms(20);
    assert_int_equal(in_reply.downs + in_reply.dead_replies, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_again_and_again, start, end),
        cmocka_unit_test_setup_teardown(test_from_the_answer, start, end),
        cmocka_unit_test_setup_teardown(test_commands_of_the_same_turn, start, end),
        cmocka_unit_test_setup_teardown(test_commands_before_the_answer, start, end),
        cmocka_unit_test_setup_teardown(test_two_pings_under_way, start, end),
        cmocka_unit_test_setup_teardown(test_other_answers, start, end),
        cmocka_unit_test_setup_teardown(test_answer_in_pieces, start, end),
        cmocka_unit_test_setup_teardown(test_an_answer_too_many, start, end),
        cmocka_unit_test_setup_teardown(test_closed, start, end),
        cmocka_unit_test_setup_teardown(test_reset, start, end),
        cmocka_unit_test_setup_teardown(test_closed_before_it_leaves, start, end),
        cmocka_unit_test_setup_teardown(test_socket_is_full, start, end),
        cmocka_unit_test_setup_teardown(test_freed, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
