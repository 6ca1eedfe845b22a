/* What the tests of the clients share: connections over real sockets and the real loop, and the other side of them. The
 * core is there to be looked at; the daemon's part is played here, so that the test decides when an answer comes. */
#ifndef TEST_CLIENT_SIDE_H
#define TEST_CLIENT_SIDE_H

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

static inline void open_daemon(const char *users)
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
    d.users = users_new(d.config, &(struct state_options){.n = 0});
    d.clients = clients_open(&d, error, sizeof error);
    if (d.clients == NULL)
        fail_msg("%s", error);
    assert_true(d.port > 0);
}

static inline int setup(void **state)
{
    (void)state;
    open_daemon("");
    return 0;
}

static inline int setup_users(void **state)
{
    (void)state;
    open_daemon("users = ( { name = \"default\"; password = \"secret\"; access = \"all\"; }, "
                "{ name = \"viewer\"; password = \"look\"; access = \"read\"; } );");
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    clients_close(d.clients);
    users_free(d.users);
    sn_core_free(d.core);
    config_free(d.config);
    io_loop_free(d.loop);
    return 0;
}

/* ---- the other side ---- */

static inline int join(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)d.port)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

static inline void turn(void)
{
    ev_run(io_loop_ev(d.loop), EVRUN_NOWAIT);
}

static inline void say(int fd, const char *p, size_t n)
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

static inline void says(int fd, const char *text)
{
    say(fd, text, strlen(text));
}

/* Waits for exactly these bytes: too few, others, or an end in between are failures. */
static inline void hears(int fd, const char *expected)
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

static inline void hears_the_end(int fd)
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
static inline void hears_nothing(int fd)
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

static inline void wait_for_events(size_t n)
{
    int64_t end_us = io_now_us() + PATIENCE_US;
    while (seen.n < n && io_now_us() < end_us)
        turn();
    assert_int_equal(seen.n, n);
}

static inline void wait_for_clients(size_t n)
{
    int64_t end_us = io_now_us() + PATIENCE_US;
    while (clients_count(d.clients) != n && io_now_us() < end_us)
        turn();
    assert_int_equal(clients_count(d.clients), n);
}

static inline void answer_ok(size_t i)
{
    clients_answer(d.clients,
                   &(struct sn_effect){.kind = SN_FX_ANSWER, .token = seen.token[i], .answer = SN_ANSWER_OK});
}

static inline void answer_error(size_t i, char *text)
{
    clients_answer(
        d.clients,
        &(struct sn_effect){.kind = SN_FX_ANSWER, .token = seen.token[i], .answer = SN_ANSWER_ERROR, .text = text});
}

#define FLUSH "SENTINEL FLUSHCONFIG\r\n"

#endif
