#include "sentineld/shell/clients.h"

#include "tests/unit/shell/client_side.h"

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
