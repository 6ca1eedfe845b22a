/* Links that behave: coming up, commands, subscriptions, and every way to end. */
#include "common/io/link.h"

#include "tests/unit/io/harness.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct watch {
    struct io_link *link;
    int up, downs, auth_refusals, subscriptions, messages, replies, dead_replies;
    enum io_link_down why;
    char text[300], ip[64], auth_text[100], last_reply[100], payload[100];
    /* In which callback the link is freed. */
    enum { NOWHERE, IN_UP, IN_DOWN, IN_AUTH, IN_REPLY, IN_MESSAGE } free_in;
};

static void free_if(struct watch *w, struct io_link *l, int where)
{
    if ((int)w->free_in != where)
        return;
    w->link = NULL;
    io_link_free(l);
}

static void on_up(void *owner, struct io_link *l, const char *ip)
{
    struct watch *w = owner;
    w->up++;
    snprintf(w->ip, sizeof w->ip, "%s", ip);
    free_if(w, l, IN_UP);
}

static void on_down(void *owner, struct io_link *l, enum io_link_down why, const char *text)
{
    struct watch *w = owner;
    w->downs++;
    w->why = why;
    snprintf(w->text, sizeof w->text, "%s", text);
    assert_false(io_link_is_up(l));
    assert_false(io_link_command(l, NULL, NULL, "PING", NULL));
    assert_int_equal(io_link_pending(l), 0);
    free_if(w, l, IN_DOWN);
}

static void on_auth_refused(void *owner, struct io_link *l, const char *text)
{
    struct watch *w = owner;
    w->auth_refusals++;
    snprintf(w->auth_text, sizeof w->auth_text, "%s", text);
    free_if(w, l, IN_AUTH);
}

static void on_subscribed(void *owner, struct io_link *l, struct slice channel)
{
    struct watch *w = owner;
    (void)l;
    assert_true(slice_is(channel, "__sentinel__:hello"));
    w->subscriptions++;
}

static void on_message(void *owner, struct io_link *l, struct slice channel, struct slice payload)
{
    struct watch *w = owner;
    assert_true(slice_is(channel, "__sentinel__:hello"));
    snprintf(w->payload, sizeof w->payload, "%.*s", (int)payload.n, payload.p);
    w->messages++;
    free_if(w, l, IN_MESSAGE);
}

static void on_reply(void *owner, struct io_link *l, const redisReply *reply, void *arg)
{
    struct watch *w = owner;
    assert_ptr_equal(arg, w);
    if (reply == NULL) {
        w->dead_replies++;
        return;
    }
    w->replies++;
    if (reply->str != NULL)
        snprintf(w->last_reply, sizeof w->last_reply, "%s", reply->str);
    free_if(w, l, IN_REPLY);
}

static const struct io_link_events events = {on_up, on_down, on_auth_refused, on_subscribed, on_message};

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

static void open_link(struct watch *w, const struct io_link_options *options)
{
    static const struct io_link_options none;
    w->link = io_link_open(loop, NULL, &server.addr, options != NULL ? options : &none, &events, w);
    assert_non_null(w->link);
    assert_int_equal(w->up + w->downs, 0); /* nothing is told from inside */
}

static void open_up(struct watch *w, const struct io_link_options *options)
{
    open_link(w, options);
    harness_wait(&w->up, 1);
    harness_wait(&server.clients, 1);
}

static bool ping(struct watch *w)
{
    return io_link_command(w->link, on_reply, w, "PING", NULL);
}

static void test_command(void **state)
{
    (void)state;
    struct watch w = {0};
    open_up(&w, NULL);
    assert_string_equal(w.ip, "127.0.0.1");
    char local[IO_IP_MAX];
    assert_true(io_link_local_ip(w.link, local));
    assert_string_equal(local, "127.0.0.1");
    assert_true(ping(&w));
    assert_int_equal(io_link_pending(w.link), 1);
    harness_wait(&server.got_bytes, 14);
    assert_string_equal(buf_str(&server.got), "*1\r\n$4\r\nPING\r\n");
    server_sends(&server, 0, "+PO");
    harness_run_ms(20);
    assert_int_equal(w.replies, 0);
    server_sends(&server, 0, "NG\r\n");
    harness_wait(&w.replies, 1);
    assert_string_equal(w.last_reply, "PONG");
    assert_int_equal(io_link_pending(w.link), 0);
    io_link_free(w.link);
    assert_int_equal(w.downs, 0);
}

static void test_binary_arguments(void **state)
{
    (void)state;
    struct watch w = {0};
    struct slice argv[] = {slice_of("SET"), {"a\0b", 3}, {NULL, 0}};
    open_up(&w, NULL);
    assert_true(io_link_send(w.link, 3, argv, on_reply, &w));
    harness_wait(&server.got_bytes, 28);
    assert_memory_equal(server.got.p, "*3\r\n$3\r\nSET\r\n$3\r\na\0b\r\n$0\r\n\r\n", 28);
    io_link_free(w.link);
    assert_int_equal(w.dead_replies, 1);
}

/* All commands of a turn leave in one write: the server sees them in one segment. */
static void test_many_commands(void **state)
{
    (void)state;
    struct watch w = {0};
    open_up(&w, NULL);
    for (int i = 0; i < 1000; i++)
        assert_true(ping(&w));
    assert_int_equal(server.got_bytes, 0);
    harness_wait(&server.got_bytes, 14000);
    for (int i = 0; i < 1000; i++)
        server_sends(&server, 0, "+PONG\r\n");
    harness_wait(&w.replies, 1000);
    assert_int_equal(w.dead_replies, 0);
    io_link_free(w.link);
}

static void test_reply_in_single_bytes(void **state)
{
    (void)state;
    struct watch w = {0};
    const char *reply = "*3\r\n:1\r\n$5\r\nhello\r\n*-1\r\n+done\r\n";
    open_up(&w, NULL);
    ping(&w);
    ping(&w);
    for (const char *p = reply; *p != '\0'; p++) {
        server_send(&server, 0, p, 1);
        harness_run_ms(1);
    }
    harness_wait(&w.replies, 2);
    assert_string_equal(w.last_reply, "done");
    io_link_free(w.link);
}

static void test_auth_goes_first(void **state)
{
    (void)state;
    struct watch w = {0};
    struct io_link_options o = {.user = "u", .password = "p w", .client_name = "me"};
    open_up(&w, &o);
    ping(&w);
    const char *expected =
        "*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$3\r\np w\r\n*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$2\r\nme\r\n"
        "*1\r\n$4\r\nPING\r\n";
    harness_wait(&server.got_bytes, (int)strlen(expected));
    assert_string_equal(buf_str(&server.got), expected);
    server_sends(&server, 0, "-WRONGPASS no\r\n-NOAUTH\r\n-NOAUTH ping\r\n");
    harness_wait(&w.replies, 1);
    assert_int_equal(w.auth_refusals, 1);
    assert_string_equal(w.auth_text, "WRONGPASS no");
    assert_string_equal(w.last_reply, "NOAUTH ping");
    assert_true(io_link_is_up(w.link));
    io_link_free(w.link);
}

static void test_auth_of_default_user(void **state)
{
    (void)state;
    struct watch w = {0};
    struct io_link_options o = {.user = "", .password = "x"};
    open_up(&w, &o);
    harness_wait(&server.got_bytes, 21);
    assert_string_equal(buf_str(&server.got), "*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n");
    io_link_free(w.link);
}

static void test_subscribe(void **state)
{
    (void)state;
    struct watch w = {0};
    struct io_link_options o = {.password = "x"};
    open_up(&w, &o);
    assert_true(io_link_subscribe(w.link, "__sentinel__:hello"));
    assert_false(ping(&w)); /* its answer could not be told from a message */
    server_sends(&server, 0, "+OK\r\n*3\r\n$9\r\nsubscribe\r\n$18\r\n__sentinel__:hello\r\n:1\r\n");
    harness_wait(&w.subscriptions, 1);
    server_sends(&server, 0, "*3\r\n$7\r\nmessage\r\n$18\r\n__sentinel__:hello\r\n$3\r\na,b\r\n");
    harness_wait(&w.messages, 1);
    assert_string_equal(w.payload, "a,b");
    server_close(&server, 0);
    harness_wait(&w.downs, 1);
    assert_int_equal(w.why, IO_LINK_CLOSED);
    io_link_free(w.link);
}

static void test_subscribe_refused(void **state)
{
    (void)state;
    struct watch w = {0};
    open_up(&w, NULL);
    io_link_subscribe(w.link, "__sentinel__:hello");
    server_sends(&server, 0, "-NOPERM no channel\r\n");
    harness_wait(&w.downs, 1);
    assert_int_equal(w.why, IO_LINK_CLOSED);
    assert_non_null(strstr(w.text, "NOPERM no channel"));
    io_link_free(w.link);
}

static void test_commands_that_change_replies(void **state)
{
    (void)state;
    struct watch w = {0};
    open_up(&w, NULL);
    assert_false(io_link_command(w.link, on_reply, &w, "subscribe", "x", NULL));
    assert_false(io_link_command(w.link, on_reply, &w, "MONITOR", NULL));
    assert_true(ping(&w));
    io_link_free(w.link);
    assert_int_equal(w.dead_replies, 1);
}

static void test_refused(void **state)
{
    (void)state;
    struct watch w = {0};
    int fd;
    struct addr a = unused_port(&fd);
    struct io_link_options o = {0};
    w.link = io_link_open(loop, NULL, &a, &o, &events, &w);
    assert_false(ping(&w));
    harness_wait(&w.downs, 1);
    assert_int_equal(w.why, IO_LINK_REFUSED);
    assert_non_null(strstr(w.text, "Connection refused"));
    assert_int_equal(w.up, 0);
    io_link_free(w.link);
    close(fd);
}

/* A listener whose queue is full does not answer: the connection hangs. */
static void test_no_answer_to_connect(void **state)
{
    (void)state;
    struct watch w = {0};
    int fd, fillers[4];
    struct addr a = unused_port(&fd);
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons((uint16_t)a.port)};
    assert_int_equal(listen(fd, 0), 0);
    for (int i = 0; i < 4; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fillers[i], (struct sockaddr *)&sa, sizeof sa);
    }
    struct io_link_options o = {.connect_timeout_us = 100000};
    w.link = io_link_open(loop, NULL, &a, &o, &events, &w);
    harness_wait(&w.downs, 1);
    assert_int_equal(w.why, IO_LINK_TIMEOUT);
    assert_int_equal(w.up, 0);
    io_link_free(w.link);
    for (int i = 0; i < 4; i++)
        close(fillers[i]);
    close(fd);
}

static void test_closed_with_pending_commands(void **state)
{
    (void)state;
    struct watch w = {0};
    open_up(&w, NULL);
    ping(&w);
    ping(&w);
    ping(&w);
    server_sends(&server, 0, "+one\r\n$100\r\nhalf");
    harness_wait(&w.replies, 1);
    server_close(&server, 0);
    harness_wait(&w.downs, 1);
    assert_int_equal(w.why, IO_LINK_CLOSED);
    assert_int_equal(w.dead_replies, 2);
    io_link_free(w.link);
    assert_int_equal(w.dead_replies, 2);
}

static void test_reset(void **state)
{
    (void)state;
    struct watch w = {0};
    open_up(&w, NULL);
    ping(&w);
    harness_wait(&server.got_bytes, 14);
    server_reset(&server, 0);
    harness_wait(&w.downs, 1);
    assert_int_equal(w.why, IO_LINK_CLOSED);
    assert_int_equal(w.dead_replies, 1);
    io_link_free(w.link);
}

static void test_write_after_close(void **state)
{
    (void)state;
    struct watch w = {0};
    open_up(&w, NULL);
    server_close(&server, 0);
    ping(&w); /* queued before the loop saw the end */
    harness_wait(&w.downs, 1);
    assert_int_equal(w.dead_replies, 1);
    io_link_free(w.link);
}

static void test_unsent_is_bounded(void **state)
{
    (void)state;
    struct watch w = {0};
    static char big[1024 * 1024];
    struct slice argv[] = {slice_of("ECHO"), {big, sizeof big}};
    server.deaf = true;
    open_up(&w, NULL);
    int taken = 0;
    while (taken < 1000 && io_link_send(w.link, 2, argv, on_reply, &w)) {
        taken++;
        harness_run_ms(1);
    }
    assert_in_range(taken, 16, 100);
    assert_true(io_link_is_up(w.link));
    io_link_free(w.link);
    assert_int_equal(w.dead_replies, taken);
}

static void test_free_in_callbacks(void **state)
{
    (void)state;
    for (int where = IN_UP; where <= IN_MESSAGE; where++) {
        struct watch w = {.free_in = where};
        struct io_link_options o = {.password = "x"};
        int client = server.clients, ended = server.ended;
        open_link(&w, &o);
        harness_wait(&w.up, 1);
        harness_wait(&server.clients, client + 1);
        if (where == IN_AUTH || where == IN_REPLY || where == IN_DOWN) {
            for (int i = 0; i < 3; i++)
                (void)(w.link != NULL && ping(&w));
            server_sends(&server, client, "-ERR auth\r\n+1\r\n+2\r\n+3\r\n");
        } else if (where == IN_MESSAGE) {
            io_link_subscribe(w.link, "__sentinel__:hello");
            server_sends(&server, client, "+OK\r\n");
            for (int i = 0; i < 3; i++)
                server_sends(&server, client, "*3\r\n$7\r\nmessage\r\n$18\r\n__sentinel__:hello\r\n$1\r\nx\r\n");
        }
        if (where == IN_DOWN) {
            harness_wait(&w.replies, 3);
            ping(&w);
            server_close(&server, client);
        }
        if (where != IN_DOWN)
            harness_wait(&server.ended, ended + 1);
        else
            harness_wait(&w.downs, 1);
        assert_null(w.link);
        assert_int_equal(w.downs, where == IN_DOWN);
        assert_int_equal(w.messages, where == IN_MESSAGE);
        assert_int_equal(w.auth_refusals, where >= IN_DOWN && where <= IN_REPLY);
        assert_int_equal(w.replies, where == IN_REPLY ? 1 : where == IN_DOWN ? 3 : 0);
        assert_int_equal(w.dead_replies, where == IN_AUTH ? 3 : where == IN_REPLY ? 2 : where == IN_DOWN ? 1 : 0);
    }
}

static void test_free_while_opening(void **state)
{
    (void)state;
    struct watch w = {0};
    open_link(&w, NULL);
    io_link_free(w.link);
    harness_run_ms(20);
    assert_int_equal(w.up + w.downs, 0);
    io_link_free(NULL);
}

static void test_names(void **state)
{
    (void)state;
    struct watch w = {0}, v = {0}, x = {0};
    struct io_resolver *resolver = io_resolver_new(loop, 2, 10);
    struct addr a = server.addr;
    struct io_link_options o = {0};
    addr_set(&a, slice_of("localhost"), server.addr.port);
    w.link = io_link_open(loop, resolver, &a, &o, &events, &w);
    harness_wait(&w.downs, 1);
    assert_int_equal(w.why, IO_LINK_RESOLVE);
    assert_non_null(strstr(w.text, "resolve_hostnames"));
    o.resolve = true;
    v.link = io_link_open(loop, resolver, &a, &o, &events, &v);
    harness_wait(&v.up, 1); /* also where localhost is ::1 first */
    assert_string_equal(v.ip, "127.0.0.1");
    x.link = io_link_open(loop, resolver, &a, &o, &events, &x);
    io_link_free(x.link); /* while its name is being looked up */
    harness_run_ms(20);
    assert_int_equal(x.up + x.downs, 0);
    io_link_free(w.link);
    io_link_free(v.link);
    io_resolver_free(resolver);
}

static void test_source_address(void **state)
{
    (void)state;
    struct watch w = {0}, v = {0};
    struct io_link_options o = {.source_ip = "127.0.0.9"};
    char local[IO_IP_MAX];
    open_up(&w, &o);
    assert_true(io_link_local_ip(w.link, local));
    assert_string_equal(local, "127.0.0.9");
    o.source_ip = "192.0.2.1"; /* not an address of this host */
    open_link(&v, &o);
    harness_wait(&v.downs, 1);
    assert_int_equal(v.why, IO_LINK_UNREACHED);
    io_link_free(w.link);
    io_link_free(v.link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_command, start, end),
        cmocka_unit_test_setup_teardown(test_binary_arguments, start, end),
        cmocka_unit_test_setup_teardown(test_many_commands, start, end),
        cmocka_unit_test_setup_teardown(test_reply_in_single_bytes, start, end),
        cmocka_unit_test_setup_teardown(test_auth_goes_first, start, end),
        cmocka_unit_test_setup_teardown(test_auth_of_default_user, start, end),
        cmocka_unit_test_setup_teardown(test_subscribe, start, end),
        cmocka_unit_test_setup_teardown(test_subscribe_refused, start, end),
        cmocka_unit_test_setup_teardown(test_commands_that_change_replies, start, end),
        cmocka_unit_test_setup_teardown(test_refused, start, end),
        cmocka_unit_test_setup_teardown(test_no_answer_to_connect, start, end),
        cmocka_unit_test_setup_teardown(test_closed_with_pending_commands, start, end),
        cmocka_unit_test_setup_teardown(test_reset, start, end),
        cmocka_unit_test_setup_teardown(test_write_after_close, start, end),
        cmocka_unit_test_setup_teardown(test_unsent_is_bounded, start, end),
        cmocka_unit_test_setup_teardown(test_free_in_callbacks, start, end),
        cmocka_unit_test_setup_teardown(test_free_while_opening, start, end),
        cmocka_unit_test_setup_teardown(test_names, start, end),
        cmocka_unit_test_setup_teardown(test_source_address, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
