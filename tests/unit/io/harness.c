#include "tests/unit/io/harness.h"

#include "common/base/mem.h"
#include "common/io/clock.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_US 10000000

struct io_loop *loop;
static int descriptors_before;

static int open_descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

int harness_start(void **state)
{
    (void)state;
    descriptors_before = open_descriptors();
    loop = io_loop_new();
    return loop != NULL ? 0 : -1;
}

int harness_end(void **state)
{
    (void)state;
    io_loop_free(loop);
    assert_int_equal(open_descriptors(), descriptors_before);
    return 0;
}

static void nothing(struct ev_loop *ev, ev_timer *w, int revents)
{
    (void)ev;
    (void)w;
    (void)revents;
}

void harness_wait(const int *condition, int wanted)
{
    ev_timer tick; /* ends turns in which nothing happens, so that the deadline is seen */
    int64_t until = io_now_us() + PATIENCE_US;
    ev_timer_init(&tick, nothing, 0.05, 0.05);
    ev_timer_start(io_loop_ev(loop), &tick);
    while (*condition < wanted && io_now_us() < until)
        io_loop_once(loop);
    ev_timer_stop(io_loop_ev(loop), &tick);
    if (*condition < wanted)
        fail_msg("waited for %d, came to %d", wanted, *condition);
}

static void stop(struct ev_loop *ev, ev_timer *w, int revents)
{
    (void)ev;
    (void)revents;
    *(int *)w->data = 1;
}

void harness_run_ms(int ms)
{
    ev_timer t;
    int over = 0;
    ev_now_update(io_loop_ev(loop));
    ev_timer_init(&t, stop, ms / 1000., 0.);
    t.data = &over;
    ev_timer_start(io_loop_ev(loop), &t);
    harness_wait(&over, 1);
}

struct client_watcher {
    ev_io io;
    struct server *server;
    int client;
};

static void forget(struct server *s, int client)
{
    struct client_watcher *w = s->watchers[client];
    if (w == NULL)
        return;
    ev_io_stop(io_loop_ev(loop), &w->io);
    free(w);
    s->watchers[client] = NULL;
}

static void on_bytes(struct ev_loop *ev, ev_io *io, int revents)
{
    (void)ev;
    (void)revents;
    struct client_watcher *w = io->data;
    struct server *s = w->server;
    char bytes[65536];
    if (s->deaf) {
        forget(s, w->client);
        return;
    }
    ssize_t n = read(io->fd, bytes, sizeof bytes);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        s->ended++;
        forget(s, w->client);
        return;
    }
    buf_put(&s->got, bytes, (size_t)n);
    s->got_bytes += (int)n;
}

static void on_accept(void *owner, int fd, const char *peer)
{
    struct server *s = owner;
    assert_non_null(strstr(peer, "127.0.0."));
    assert_true(s->clients < SERVER_CLIENTS_MAX);
    struct client_watcher *w = mem_zalloc(sizeof *w);
    w->server = s;
    w->client = s->clients;
    s->fds[s->clients] = fd;
    s->watchers[s->clients++] = w;
    ev_io_init(&w->io, on_bytes, fd, EV_READ);
    w->io.data = w;
    ev_io_start(io_loop_ev(loop), &w->io);
}

void server_start(struct server *s)
{
    struct buf error = {0};
    struct addr a;
    addr_set(&a, slice_of("127.0.0.1"), 1);
    a.port = 0;
    *s = (struct server){.clients = 0};
    s->listener = io_listener_open(loop, &a, on_accept, s, &error);
    assert_non_null(s->listener);
    buf_free(&error);
    s->addr = a;
    s->addr.port = io_listener_port(s->listener);
}

void server_close(struct server *s, int client)
{
    if (s->fds[client] < 0)
        return;
    forget(s, client);
    close(s->fds[client]);
    s->fds[client] = -1;
}

void server_reset(struct server *s, int client)
{
    struct linger now = {1, 0};
    setsockopt(s->fds[client], SOL_SOCKET, SO_LINGER, &now, sizeof now);
    server_close(s, client);
}

void server_stop(struct server *s)
{
    for (int i = 0; i < s->clients; i++)
        server_close(s, i);
    io_listener_close(s->listener);
    buf_free(&s->got);
}

void server_send(struct server *s, int client, const void *p, size_t n)
{
    const char *at = p;
    int64_t until = io_now_us() + PATIENCE_US;
    while (n > 0) {
        ssize_t w = send(s->fds[client], at, n, MSG_NOSIGNAL);
        if (w > 0) {
            at += w;
            n -= (size_t)w;
            continue;
        }
        if (w < 0 && errno != EAGAIN)
            return; /* the tested side has closed: what the test expects of hostile input */
        assert_true(io_now_us() < until);
        harness_run_ms(1);
    }
}

void server_sends(struct server *s, int client, const char *text)
{
    server_send(s, client, text, strlen(text));
}

struct addr unused_port(int *fd)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof sa;
    struct addr a;
    *fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(*fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(getsockname(*fd, (struct sockaddr *)&sa, &n), 0);
    assert_true(addr_set(&a, slice_of("127.0.0.1"), ntohs(sa.sin_port)));
    return a;
}
