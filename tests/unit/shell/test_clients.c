#include "sentineld/shell/clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <ev.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/io/clock.h"
#include "sentineld/shell/client.h"
#include "sentineld/shell/config.h"
#include "sentineld/shell/daemon.h"

/* Connections over real sockets and the real loop; the core is there to be looked at, and its answers are given by the
 * test. */

#define PATIENCE_US ((int64_t)10 * 1000 * 1000)
#define ID "0123456789abcdef0123456789abcdef01234567"

static struct daemon d;
static struct {
    enum sn_event_kind kind[1024];
    sn_token token[1024];
    size_t n;
    char text[256]; /* of the last hello */
} seen;
static int stopped;

/* The daemon's part is played here, so that the test decides when an answer comes. */
void daemon_step(struct daemon *daemon, struct sn_event *e)
{
    assert_ptr_equal(daemon, &d);
    assert_true(seen.n < sizeof seen.kind / sizeof seen.kind[0]);
    seen.kind[seen.n] = e->kind;
    seen.token[seen.n++] = e->token;
    if (e->kind == SN_EV_HELLO)
        snprintf(seen.text, sizeof seen.text, "%.*s", (int)e->text.n, e->text.p);
}

void daemon_publish(struct daemon *daemon, enum sn_level level, const char *name, const char *text)
{
    (void)daemon, (void)level, (void)name, (void)text;
}

void daemon_stop(struct daemon *daemon, int exit_status)
{
    assert_ptr_equal(daemon, &d);
    assert_int_equal(exit_status, 0);
    stopped++;
}

static void open_daemon(const char *users)
{
    char text[512], error[256] = "";
    snprintf(text, sizeof text, "listen = [ \"127.0.0.1:1\" ]; state_dir = \"/nowhere\"; %s", users);
    struct conf_problems problems = {.count = 0};
    memset(&d, 0, sizeof d);
    memset(&seen, 0, sizeof seen);
    stopped = 0;
    d.config = config_parse("test.conf", slice_of(text), &problems);
    if (d.config == NULL)
        fail_msg("%s", buf_str(&problems.text));
    d.config->listen.v[0].port = 0; /* the system chooses */
    d.loop = io_loop_new();
    struct sn_core_options o = {.id = ID, .seed = 1, .port = 1, .joined = true};
    o.globals = (struct sn_globals){.announce_ip = "", .user = "", .pass = "", .loglevel = "notice"};
    sn_params_default(&o.params);
    d.core = sn_core_new(&o, io_now_us());
    d.config_path = "/test.conf";
    d.executable = "/test";
    d.clients = clients_open(&d, error, sizeof error);
    if (d.clients == NULL)
        fail_msg("%s", error);
    assert_true(d.port > 0);
}

static int setup(void **state)
{
    (void)state;
    open_daemon("");
    return 0;
}

static int setup_users(void **state)
{
    (void)state;
    open_daemon("users = ( { name = \"default\"; password = \"secret\"; access = \"all\"; }, "
                "{ name = \"viewer\"; password = \"look\"; access = \"read\"; } );");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    clients_close(d.clients);
    sn_core_free(d.core);
    config_free(d.config);
    io_loop_free(d.loop);
    return 0;
}

/* ---- the other side ---- */

static int join(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)d.port)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

static void turn(void)
{
    ev_run(io_loop_ev(d.loop), EVRUN_NOWAIT);
}

static void say(int fd, const char *p, size_t n)
{
    int64_t end_us = io_now_us() + PATIENCE_US;
    while (n > 0) {
        ssize_t took = send(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (took > 0) {
            p += took;
            n -= (size_t)took;
        } else {
            assert_true(errno == EAGAIN);
        }
        turn();
        assert_true(io_now_us() < end_us);
    }
}

static void says(int fd, const char *text)
{
    say(fd, text, strlen(text));
}

/* Waits for exactly these bytes: too few, others, or an end in between are failures. */
static void hears(int fd, const char *expected)
{
    size_t n = strlen(expected), got = 0;
    char *text = mem_zalloc(n + 1);
    int64_t end_us = io_now_us() + PATIENCE_US;
    while (got < n) {
        ssize_t more = recv(fd, text + got, n - got, MSG_DONTWAIT);
        if (more > 0)
            got += (size_t)more;
        else if (more == 0 || errno != EAGAIN || io_now_us() > end_us)
            break;
        turn();
    }
    assert_string_equal(text, expected);
    free(text);
}

static void hears_the_end(int fd)
{
    char byte;
    int64_t end_us = io_now_us() + PATIENCE_US;
    for (;;) {
        ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            break;
        assert_true(n < 0 && errno == EAGAIN);
        assert_true(io_now_us() < end_us);
        turn();
    }
    close(fd);
}

/* Nothing more is on its way: an own request on another connection was answered in full, and this one got no byte. */
static void hears_nothing(int fd)
{
    int other = join();
    says(other, "PING\r\n");
    char byte = 0;
    int64_t end_us = io_now_us() + PATIENCE_US;
    while (byte != '\n' && io_now_us() < end_us) {
        if (recv(other, &byte, 1, MSG_DONTWAIT) < 0)
            turn();
    }
    assert_int_equal(byte, '\n');
    close(other);
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
    assert_true(n < 0 && errno == EAGAIN);
}

static void wait_for_events(size_t n)
{
    int64_t end_us = io_now_us() + PATIENCE_US;
    while (seen.n < n && io_now_us() < end_us)
        turn();
    assert_int_equal(seen.n, n);
}

static void wait_for_clients(size_t n)
{
    int64_t end_us = io_now_us() + PATIENCE_US;
    while (clients_count(d.clients) != n && io_now_us() < end_us)
        turn();
    assert_int_equal(clients_count(d.clients), n);
}

static void answer_ok(size_t i)
{
    clients_answer(d.clients,
                   &(struct sn_effect){.kind = SN_FX_ANSWER, .token = seen.token[i], .answer = SN_ANSWER_OK});
}

static void answer_error(size_t i, char *text)
{
    clients_answer(
        d.clients,
        &(struct sn_effect){.kind = SN_FX_ANSWER, .token = seen.token[i], .answer = SN_ANSWER_ERROR, .text = text});
}

#define FLUSH "SENTINEL FLUSHCONFIG\r\n"

/* ---- requests and replies ---- */

static void requests_in_pieces_and_pipelines(void **state)
{
    (void)state;
    static const char two[] = "*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nping\r\n$5\r\nhello\r\n";
    int fd = join();
    for (size_t i = 0; i < sizeof two - 1; i++)
        say(fd, two + i, 1);
    hears(fd, "+PONG\r\n$5\r\nhello\r\n");
    struct buf many = {.n = 0}, pongs = {.n = 0};
    for (int i = 0; i < 5000; i++) {
        buf_puts(&many, "PING\r\n");
        buf_puts(&pongs, "+PONG\r\n");
    }
    say(fd, many.p, many.n);
    hears(fd, buf_str(&pongs));
    buf_free(&many);
    buf_free(&pongs);
    close(fd);
    wait_for_clients(0);
}

static void broken_requests_end_the_connection(void **state)
{
    (void)state;
    int fd = join();
    says(fd, "PING\r\n*x\r\nPING\r\n");
    hears(fd, "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n");
    hears_the_end(fd);
    fd = join();
    says(fd, "POST /x HTTP/1.1\r\nSENTINEL REMOVE a\r\n");
    hears_the_end(fd);
    assert_int_equal(seen.n, 0);
    wait_for_clients(0);
}

static void answers_keep_the_order_of_requests(void **state)
{
    (void)state;
    int fd = join();
    says(fd, "PING a\r\n" FLUSH "PING b\r\n" FLUSH "PING c\r\n");
    wait_for_events(2);
    hears(fd, "$1\r\na\r\n");
    answer_error(1, "ERR no disk");
    hears_nothing(fd);
    answer_ok(0);
    hears(fd, "+OK\r\n$1\r\nb\r\n-ERR no disk\r\n$1\r\nc\r\n");
    says(fd, "PING d\r\n");
    hears(fd, "$1\r\nd\r\n");
    close(fd);
}

static void an_answer_to_nobody_is_dropped(void **state)
{
    (void)state;
    int fd = join();
    says(fd, FLUSH);
    wait_for_events(1);
    close(fd);
    wait_for_clients(0);
    answer_ok(0);
    fd = join();
    says(fd, "PING\r\n");
    hears(fd, "+PONG\r\n");
    close(fd);
}

static void too_many_open_answers_hold_the_input(void **state)
{
    (void)state;
    struct buf many = {.n = 0}, oks = {.n = 0};
    int fd = join();
    for (int i = 0; i < 3 * CLIENT_WAITING_MAX; i++) {
        buf_puts(&many, FLUSH);
        buf_puts(&oks, "+OK\r\n");
    }
    say(fd, many.p, many.n);
    wait_for_events(CLIENT_WAITING_MAX);
    hears_nothing(fd);
    assert_int_equal(seen.n, CLIENT_WAITING_MAX);
    for (size_t i = 0; i < 3 * CLIENT_WAITING_MAX; i++) {
        wait_for_events(i < 2 * CLIENT_WAITING_MAX ? CLIENT_WAITING_MAX + i : 3 * CLIENT_WAITING_MAX);
        answer_ok(i);
    }
    hears(fd, buf_str(&oks));
    buf_free(&many);
    buf_free(&oks);
    close(fd);
}

static void reply_modes(void **state)
{
    (void)state;
    int fd = join();
    says(fd, "CLIENT REPLY SKIP\r\nPING a\r\nPING b\r\nCLIENT REPLY OFF\r\nPING c\r\nCLIENT REPLY SKIP\r\nPING d\r\n"
             "CLIENT REPLY ON\r\nPING e\r\n");
    hears(fd, "$1\r\nb\r\n+OK\r\n$1\r\ne\r\n");
    says(fd, "CLIENT REPLY SKIP\r\n" FLUSH "PING f\r\n");
    wait_for_events(1);
    answer_ok(0);
    hears(fd, "$1\r\nf\r\n");
    close(fd);
}

static void ballots_are_answered_in_their_form(void **state)
{
    (void)state;
    int fd = join();
    says(fd, "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 6379 3 *\r\nSENTINEL BALLOT " ID " 3\r\n"
             "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 x 3 *\r\n");
    wait_for_events(2);
    assert_int_equal(seen.kind[0], SN_EV_BALLOTS);
    struct sn_opinion opinion = {.down = true, .leader = ID, .leader_epoch = 9};
    clients_answer(d.clients, &(struct sn_effect){.kind = SN_FX_ANSWER_BALLOTS,
                                                  .token = seen.token[0],
                                                  .opinions = &opinion,
                                                  .count = 1,
                                                  .text = ID,
                                                  .epoch = 9});
    clients_answer(d.clients,
                   &(struct sn_effect){.kind = SN_FX_ANSWER_BALLOTS, .token = seen.token[1], .text = ID, .epoch = 9});
    hears(fd, "*3\r\n:1\r\n$40\r\n" ID "\r\n:9\r\n*3\r\n$40\r\n" ID "\r\n:9\r\n*0\r\n"
              "-ERR value is not an integer or out of range\r\n");
    close(fd);
}

/* ---- subscriptions ---- */

static void publish(const char *channel, const char *text)
{
    clients_publish(d.clients, channel, slice_of(text));
}

static void messages_reach_channels_and_patterns(void **state)
{
    (void)state;
    int two = join(), three = join();
    says(two, "SUBSCRIBE +sdown\r\n");
    hears(two, "*3\r\n$9\r\nsubscribe\r\n$6\r\n+sdown\r\n:1\r\n");
    says(two, "PSUBSCRIBE *down -*\r\n");
    hears(two, "*3\r\n$10\r\npsubscribe\r\n$5\r\n*down\r\n:2\r\n*3\r\n$10\r\npsubscribe\r\n$2\r\n-*\r\n:3\r\n");
    says(three, "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n*2\r\n$9\r\nSUBSCRIBE\r\n$6\r\n+sdown\r\n");
    hears(
        three,
        "%6\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:2\r\n"
        "$4\r\nmode\r\n$8\r\nsentinel\r\n$7\r\nmodules\r\n*0\r\n>3\r\n$9\r\nsubscribe\r\n$6\r\n+sdown\r\n:1\r\n");
    assert_int_equal(clients_publish(d.clients, "+sdown", slice_of("x")), 3);
    assert_int_equal(clients_publish(d.clients, "other", slice_of("x")), 0);
    hears(two, "*3\r\n$7\r\nmessage\r\n$6\r\n+sdown\r\n$1\r\nx\r\n"
               "*4\r\n$8\r\npmessage\r\n$5\r\n*down\r\n$6\r\n+sdown\r\n$1\r\nx\r\n");
    hears(three, ">3\r\n$7\r\nmessage\r\n$6\r\n+sdown\r\n$1\r\nx\r\n");
    says(three, "PING\r\n"); /* a RESP3 client may go on with commands */
    hears(three, "+PONG\r\n");
    says(two, "SENTINEL MYID\r\nUNSUBSCRIBE\r\nPUNSUBSCRIBE *down\r\nPING\r\nPUNSUBSCRIBE\r\nPING\r\n");
    hears(
        two,
        "-ERR Can't execute 'sentinel|myid': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed "
        "in this "
        "context\r\n*3\r\n$11\r\nunsubscribe\r\n$6\r\n+sdown\r\n:2\r\n*3\r\n$12\r\npunsubscribe\r\n$5\r\n*down\r\n"
        ":1\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n*3\r\n$12\r\npunsubscribe\r\n$2\r\n-*\r\n:0\r\n+PONG\r\n");
    close(two);
    close(three);
    wait_for_clients(0);
    assert_int_equal(clients_publish(d.clients, "+sdown", slice_of("x")), 0);
}

static void messages_queue_behind_an_open_answer(void **state)
{
    (void)state;
    int fd = join();
    says(fd, "HELLO 3 AUTH default x\r\n");
    char hello[256];
    int64_t end_us = io_now_us() + PATIENCE_US;
    while (recv(fd, hello, sizeof hello, MSG_DONTWAIT) <= 0 && io_now_us() < end_us)
        turn();
    says(fd, "SUBSCRIBE c\r\n" FLUSH "PING\r\n");
    wait_for_events(1);
    hears(fd, ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    publish("c", "m");
    hears_nothing(fd);
    answer_ok(0);
    hears(fd, "+OK\r\n+PONG\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n");
    close(fd);
}

static void a_subscriber_that_does_not_read_is_closed(void **state)
{
    (void)state;
    int deaf = join(), reader = join();
    says(deaf, "SUBSCRIBE c\r\n");
    hears(deaf, "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    size_t size = (size_t)1024 * 1024;
    char *text = mem_alloc(size);
    memset(text, 'x', size);
    int sent = 0;
    for (; clients_count(d.clients) == 2 && sent < 200; sent++) {
        clients_publish(d.clients, "c", (struct slice){text, size});
        turn();
    }
    assert_in_range(sent, CLIENT_OUT_MAX / size, 100);
    free(text);
    says(reader, "PING\r\n");
    hears(reader, "+PONG\r\n");
    close(deaf);
    close(reader);
}

static void only_hellos_are_taken(void **state)
{
    (void)state;
    int fd = join();
    says(fd, "PUBLISH __sentinel__:hello hi\r\nPUBLISH +sdown hi\r\n");
    hears(fd, ":1\r\n-ERR Only HELLO messages are accepted by Sentinel instances.\r\n");
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.kind[0], SN_EV_HELLO);
    assert_string_equal(seen.text, "hi");
    close(fd);
}

static void subscriptions_of_one_client_are_bounded(void **state)
{
    (void)state;
    struct buf q = {.n = 0};
    buf_puts(&q, "SUBSCRIBE");
    for (int i = 0; i < 10001; i++)
        buf_printf(&q, " %d", i);
    buf_puts(&q, "\r\nPING\r\n");
    int fd = join();
    say(fd, q.p, q.n);
    hears(fd,
          "-ERR too many subscriptions of one client: at most 10000 channels and patterns of 4194304 bytes together\r\n"
          "+PONG\r\n");
    buf_free(&q);
    close(fd);
}

/* ---- who may do what ---- */

#define NOAUTH "-NOAUTH Authentication required.\r\n"

static void nothing_before_the_login(void **state)
{
    (void)state;
    int fd = join();
    says(fd, "PING\r\nSENTINEL FLUSHCONFIG\r\nAUTH wrong\r\nAUTH nobody secret\r\nAUTH viewer secret\r\nPING\r\n"
             "AUTH secret\r\nPING\r\nACL WHOAMI\r\n");
    hears(fd, NOAUTH NOAUTH "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
                            "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
                            "-WRONGPASS invalid username-password pair or user is disabled.\r\n" NOAUTH
                            "+OK\r\n+PONG\r\n$7\r\ndefault\r\n");
    assert_int_equal(seen.n, 0);
    close(fd);
}

static void a_login_does_not_stretch_the_limits_before_it(void **state)
{
    (void)state;
    int fd = join();
    says(fd, "*11\r\n");
    hears(fd, "-ERR Protocol error: invalid multibulk length\r\n");
    hears_the_end(fd);
    fd = join();
    says(fd, "AUTH secret\r\n*11\r\n$4\r\nping\r\n");
    hears(fd, "+OK\r\n");
    hears_nothing(fd);
    close(fd);
}

static void a_viewer_views(void **state)
{
    (void)state;
    int fd = join();
    says(fd, "AUTH viewer look\r\nSENTINEL MASTERS\r\nSENTINEL FLUSHCONFIG\r\nCLIENT LIST\r\nSUBSCRIBE a\r\n");
    hears(fd, "+OK\r\n*0\r\n-NOPERM this user has no permissions to run the 'sentinel|flushconfig' command\r\n"
              "-NOPERM this user has no permissions to run the 'client|list' command\r\n"
              "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    assert_int_equal(seen.n, 0);
    close(fd);
}

/* ---- ending and holding ---- */

static void kill_closes_others_and_oneself(void **state)
{
    (void)state;
    int one = join(), two = join();
    says(one, "CLIENT ID\r\n");
    hears(one, ":1\r\n");
    says(two, "CLIENT ID\r\nCLIENT KILL ID 1\r\nCLIENT KILL ID 1\r\nCLIENT KILL TYPE normal\r\n");
    hears(two, ":2\r\n:1\r\n:0\r\n:0\r\n");
    hears_the_end(one);
    says(two, "CLIENT KILL TYPE normal SKIPME no\r\n");
    hears(two, ":1\r\n");
    hears_the_end(two);
    wait_for_clients(0);
}

static void a_pause_holds_clients_and_not_supervisors(void **state)
{
    (void)state;
    int boss = join(), client = join(), peer = join();
    says(boss, "CLIENT PAUSE 60000\r\n");
    hears(boss, "+OK\r\n");
    says(client, "PING\r\nPING\r\n");
    says(peer, "PUBLISH __sentinel__:hello hi\r\n");
    hears(peer, ":1\r\n");
    char byte;
    assert_true(recv(client, &byte, 1, MSG_DONTWAIT) < 0);
    says(boss, "CLIENT UNPAUSE\r\n");
    hears(boss, "+OK\r\n");
    hears(client, "+PONG\r\n+PONG\r\n");
    says(boss, "CLIENT PAUSE 30\r\nPING\r\n");
    hears(boss, "+OK\r\n+PONG\r\n");
    close(boss);
    close(client);
    close(peer);
}

static void shutdown_stops_the_daemon(void **state)
{
    (void)state;
    int fd = join();
    says(fd, "SHUTDOWN NOSAVE SAVE\r\nSHUTDOWN ABORT\r\n");
    hears(fd, "-ERR syntax error\r\n-ERR No shutdown in progress.\r\n");
    assert_int_equal(stopped, 0);
    says(fd, "SHUTDOWN\r\n");
    hears_the_end(fd);
    assert_int_equal(stopped, 1);
}

static void a_busy_port_is_told(void **state)
{
    (void)state;
    struct daemon other = d;
    struct addr busy = {.host = "127.0.0.1", .port = d.port};
    struct sentineld_config config = *d.config;
    config.listen.v = &busy;
    other.config = &config;
    char error[256] = "";
    assert_null(clients_open(&other, error, sizeof error));
    assert_non_null(strstr(error, "127.0.0.1"));
    assert_non_null(strstr(error, "another process listens there"));
}

/* ---- limits ---- */

static void one_client_too_many_is_told_so(void **state)
{
    (void)state;
    int one = join(), two = join();
    wait_for_clients(2);
    d.clients->max = 2;
    int three = join();
    hears(three, "-ERR max number of clients reached\r\n");
    hears_the_end(three);
    close(one);
    wait_for_clients(1);
    int four = join();
    says(four, "PING\r\n");
    hears(four, "+PONG\r\n");
    assert_int_equal(d.clients->rejected_connections, 1);
    close(two);
    close(four);
}

/* The clock is not waited for: the client's own marks are set back, and the next look at them closes it. */
static void a_request_that_never_ends_is_given_up(void **state)
{
    (void)state;
    int slow = join(), idle = join();
    says(slow, "*1\r\n$4\r\nPI");
    wait_for_clients(2);
    struct client *c = d.clients->first;
    int64_t end_us = io_now_us() + PATIENCE_US;
    while (c->begun_us == 0 && io_now_us() < end_us)
        turn();
    assert_true(c->begun_us != 0);
    c->begun_us -= CLIENT_STALL_US + 1;
    d.clients->last->created_us -= 10 * CLIENT_STALL_US; /* idle and logged in: stays */
    d.clients->last->active_us -= 10 * CLIENT_STALL_US;
    hears_the_end(slow);
    wait_for_clients(1);
    says(idle, "PING\r\n");
    hears(idle, "+PONG\r\n");
    close(idle);
}

static void a_login_that_never_comes_is_given_up(void **state)
{
    (void)state;
    int fd = join();
    wait_for_clients(1);
    d.clients->first->created_us -= CLIENT_STALL_US + 1;
    d.clients->first->active_us -= CLIENT_STALL_US + 1;
    hears_the_end(fd);
}

static void a_subscriber_that_stays_behind_is_closed(void **state)
{
    (void)state;
    int deaf = join();
    says(deaf, "SUBSCRIBE c\r\n");
    hears(deaf, "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    struct client *c = d.clients->first;
    size_t size = (size_t)1024 * 1024;
    char *text = mem_zalloc(size);
    while (client_unsent(c) <= CLIENT_OUT_SOFT) {
        clients_publish(d.clients, "c", (struct slice){text, size});
        turn();
    }
    free(text);
    int64_t end_us = io_now_us() + PATIENCE_US;
    while (c->soft_us == 0 && io_now_us() < end_us)
        turn();
    assert_true(c->soft_us != 0);
    assert_int_equal(clients_count(d.clients), 1);
    c->soft_us -= CLIENT_OUT_SOFT_US + 1;
    wait_for_clients(0);
    close(deaf);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TU(f) cmocka_unit_test_setup_teardown(f, setup_users, teardown)
    const struct CMUnitTest tests[] = {
        T(requests_in_pieces_and_pipelines),
        T(broken_requests_end_the_connection),
        T(answers_keep_the_order_of_requests),
        T(an_answer_to_nobody_is_dropped),
        T(too_many_open_answers_hold_the_input),
        T(reply_modes),
        T(ballots_are_answered_in_their_form),
        T(messages_reach_channels_and_patterns),
        T(messages_queue_behind_an_open_answer),
        T(a_subscriber_that_does_not_read_is_closed),
        T(only_hellos_are_taken),
        T(subscriptions_of_one_client_are_bounded),
        TU(nothing_before_the_login),
        TU(a_login_does_not_stretch_the_limits_before_it),
        TU(a_viewer_views),
        T(kill_closes_others_and_oneself),
        T(a_pause_holds_clients_and_not_supervisors),
        T(shutdown_stops_the_daemon),
        T(a_busy_port_is_told),
        T(one_client_too_many_is_told_so),
        T(a_request_that_never_ends_is_given_up),
        TU(a_login_that_never_comes_is_given_up),
        T(a_subscriber_that_stays_behind_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
