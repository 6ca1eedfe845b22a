#include "common/io/listener.h"

#include "tests/unit/io/harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct accepted {
    struct io_listener *listener;
    int n, fds[300];
    char peer[100];
    bool close_at_first;
};

static void on_accept(void *owner, int fd, const char *peer)
{
    struct accepted *a = owner;
    snprintf(a->peer, sizeof a->peer, "%s", peer);
    a->fds[a->n++] = fd;
    if (a->close_at_first) {
        io_listener_close(a->listener);
        a->listener = NULL;
    }
}

static struct addr any_port(const char *host)
{
    struct addr a;
    assert_true(addr_set(&a, slice_of(host), 1));
    a.port = 0;
    return a;
}

static void listen_on(struct accepted *a, const char *host)
{
    struct buf error = {0};
    struct addr where = any_port(host);
    a->listener = io_listener_open(loop, &where, on_accept, a, &error);
    if (a->listener == NULL)
        fail_msg("%s", buf_str(&error));
    buf_free(&error);
}

static int dial(int port)
{
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

static void close_all(const int *fds, int n)
{
    for (int i = 0; i < n; i++)
        close(fds[i]);
}

static void test_accept(void **state)
{
    (void)state;
    struct accepted a = {0};
    int nodelay = 0, keepalive = 0;
    socklen_t n = sizeof nodelay;
    listen_on(&a, "127.0.0.1");
    int fd = dial(io_listener_port(a.listener));
    harness_wait(&a.n, 1);
    assert_memory_equal(a.peer, "127.0.0.1:", 10);
    assert_true(fcntl(a.fds[0], F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(a.fds[0], F_GETFD) & FD_CLOEXEC);
    assert_int_equal(getsockopt(a.fds[0], IPPROTO_TCP, TCP_NODELAY, &nodelay, &n), 0);
    assert_int_equal(getsockopt(a.fds[0], SOL_SOCKET, SO_KEEPALIVE, &keepalive, &n), 0);
    assert_true(nodelay && keepalive);
    close(fd);
    close_all(a.fds, a.n);
    io_listener_close(a.listener);
}

static int dial_unix(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

/* A socket that a killed process left does not stand in the way, anything else does; the path goes with the listener.
 */
static void test_unix(void **state)
{
    (void)state;
    char folder[] = "/tmp/test_listener_XXXXXX", path[64];
    struct accepted a = {0};
    struct buf error = {0};
    struct stat st;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/socket", folder);
    struct io_listener_options o = {.path = path, .permissions = 0600};
    int left = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path);
    assert_int_equal(bind(left, (struct sockaddr *)&sa, sizeof sa), 0);
    close(left);
    a.listener = io_listener_open_with(loop, NULL, &o, on_accept, &a, &error);
    assert_non_null(a.listener);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    int fd = dial_unix(path);
    harness_wait(&a.n, 1);
    assert_int_equal(memcmp(a.peer, path, strlen(path)), 0);
    assert_string_equal(a.peer + strlen(path), ":0");
    close(fd);
    close_all(a.fds, a.n);
    io_listener_close(a.listener);
    assert_int_equal(stat(path, &st), -1);
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(file);
    assert_null(io_listener_open_with(loop, NULL, &o, on_accept, &a, &error));
    assert_int_equal(errno, EADDRINUSE);
    assert_non_null(strstr(buf_str(&error), path));
    unlink(path);
    rmdir(folder);
    buf_free(&error);
}

static void test_options(void **state)
{
    (void)state;
    struct accepted a = {0};
    struct buf error = {0};
    struct addr where = any_port("localhost");
    struct io_listener_options o = {.backlog = 5, .names = true, .keepalive_s = 90};
    int keepalive = 0, idle = 0;
    socklen_t n = sizeof idle;
    char mine[64], text[64];
    a.listener = io_listener_open_with(loop, &where, &o, on_accept, &a, &error);
    assert_non_null(a.listener);
    int port = io_listener_port(a.listener);
    int first = dial(port);
    harness_wait(&a.n, 1);
    assert_int_equal(getsockopt(a.fds[0], IPPROTO_TCP, TCP_KEEPIDLE, &idle, &n), 0);
    assert_int_equal(idle, 90);
    io_local_text(a.fds[0], mine, sizeof mine);
    snprintf(text, sizeof text, "127.0.0.1:%d", port);
    assert_string_equal(mine, text);
    io_listener_set_keepalive(a.listener, 0);
    int second = dial(port);
    harness_wait(&a.n, 2);
    assert_int_equal(getsockopt(a.fds[1], SOL_SOCKET, SO_KEEPALIVE, &keepalive, &n), 0);
    assert_int_equal(keepalive, 0);
    close(first);
    close(second);
    close_all(a.fds, a.n);
    io_listener_close(a.listener);
    buf_free(&error);
}

static void test_many_at_once(void **state)
{
    (void)state;
    struct accepted a = {0};
    int fds[200];
    listen_on(&a, "127.0.0.1");
    for (int i = 0; i < 200; i++)
        fds[i] = dial(io_listener_port(a.listener));
    io_loop_once(loop);
    assert_in_range(a.n, 1, 100); /* a crowd at the door does not hold up the turn */
    harness_wait(&a.n, 200);
    close_all(fds, 200);
    close_all(a.fds, a.n);
    io_listener_close(a.listener);
}

static void test_close_in_callback(void **state)
{
    (void)state;
    struct accepted a = {.close_at_first = true};
    listen_on(&a, "127.0.0.1");
    int port = io_listener_port(a.listener);
    int fds[2] = {dial(port), dial(port)};
    harness_wait(&a.n, 1);
    harness_run_ms(10);
    assert_int_equal(a.n, 1);
    close_all(fds, 2);
    close_all(a.fds, a.n);
}

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Out of descriptors: no turning at full speed, and it goes on by itself when there are some again. */
static void test_no_descriptors(void **state)
{
    (void)state;
    struct accepted a = {0};
    struct rlimit old, low;
    listen_on(&a, "127.0.0.1");
    int fd = dial(io_listener_port(a.listener));
    int lowest_free = dup(fd);
    close(lowest_free);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = (rlim_t)lowest_free; /* not one more */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    double before = cpu_s();
    harness_run_ms(300);
    double used = cpu_s() - before;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(a.n, 0);
    assert_true(used < 0.1);
    harness_wait(&a.n, 1);
    close(fd);
    close_all(a.fds, a.n);
    io_listener_close(a.listener);
}

static void refused_with(const struct addr *a, const char *expected)
{
    struct buf error = {0};
    struct accepted dummy = {0};
    assert_null(io_listener_open(loop, a, on_accept, &dummy, &error));
    if (strstr(buf_str(&error), expected) == NULL)
        fail_msg("'%s' does not say '%s'", buf_str(&error), expected);
    buf_free(&error);
}

static void test_errors(void **state)
{
    (void)state;
    struct accepted a = {0};
    struct addr where;
    char text[ADDR_TEXT_MAX];
    listen_on(&a, "127.0.0.1");
    addr_set(&where, slice_of("127.0.0.1"), io_listener_port(a.listener));
    refused_with(&where, "Address already in use; another process listens there");
    refused_with(&where, addr_text(&where, text));
    addr_set(&where, slice_of("192.0.2.1"), 4000);
    refused_with(&where, "this host does not have that address");
    addr_set(&where, slice_of("localhost"), 4000);
    refused_with(&where, "not an IPv4 or IPv6 address");
    io_listener_close(a.listener);
    io_listener_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_accept, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_unix, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_options, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_many_at_once, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_close_in_callback, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_no_descriptors, harness_start, harness_end),
        cmocka_unit_test_setup_teardown(test_errors, harness_start, harness_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
