/* bench-model PAIRS [cluster]: listens on two ports for each pair and on a control port, prints the control port, and
 * runs until it is killed. */
#include "common/base/mem.h"
#include "common/base/text.h"
#include "tests/bench/model/model.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PAIRS_MAX 5000
/* Below the ports from which the system takes those of outgoing connections. */
#define PORT_FIRST 11000
#define PORT_LAST 32000
#define SUPERVISORS 4 /* room for so many, with two connections to each server */
#define BACKLOG 511

int64_t model_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void fail(const char *what)
{
    fprintf(stderr, "bench-model: %s: %s\n", what, strerror(errno));
    exit(1);
}

static bool bind_to(int fd, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) == 0)
        return true;
    if (errno != EADDRINUSE)
        fail("a port of 127.0.0.1 cannot be bound");
    return false;
}

/* The next free port from *port on, listening. A port that was asked for by number stays ours when the listening ends;
 * one that the system chose would not. */
static int listen_next(int *port)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("no socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    for (; *port <= PORT_LAST; (*port)++)
        if (bind_to(fd, *port) && listen(fd, BACKLOG) == 0)
            return fd;
    fprintf(stderr, "bench-model: no free port of 127.0.0.1 is left between %d and %d\n", PORT_FIRST, PORT_LAST);
    exit(1);
}

static void on_server(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop;
    (void)events;
    struct server *s = w->data;
    conn_accept(s->model, s, s->fd);
}

static void on_control(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop;
    (void)events;
    struct model *m = w->data;
    conn_accept(m, NULL, m->control_fd);
}

static void on_turn_end(struct ev_loop *loop, ev_prepare *w, int events)
{
    (void)loop;
    (void)events;
    conn_flush_all(w->data);
}

static void open_server(struct model *m, size_t i, int *port)
{
    struct server *s = &m->servers[i];
    s->model = m;
    s->pair = i < m->npairs ? i : i - m->npairs;
    s->partner = &m->servers[i < m->npairs ? i + m->npairs : i - m->npairs];
    s->fd = listen_next(port);
    s->port = (*port)++;
    s->alive = true;
    s->started_us = model_now();
    s->second_offset = -1;
    runid_draw(&m->rng, s->run_id);
    runid_draw(&m->rng, s->replid);
    if (i >= m->npairs) {
        server_follow(s, s->partner);
        s->link_up_us = s->started_us;
    }
    ev_io_init(&s->accepting, on_server, s->fd, EV_READ);
    s->accepting.data = s;
    ev_io_start(m->loop, &s->accepting);
}

static void raise_file_limit(size_t npairs)
{
    rlim_t wanted = 256 + 2 * npairs * (1 + 2 * SUPERVISORS);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        fail("the limit of open files is not known");
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < wanted) {
        fprintf(stderr, "bench-model: %zu pairs want %llu open files, the hard limit is %llu: raise it or take fewer\n",
                npairs, (unsigned long long)wanted, (unsigned long long)limit.rlim_max);
        exit(1);
    }
    limit.rlim_cur = wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        fail("the limit of open files cannot be raised");
}

int main(int argc, char **argv)
{
    int64_t pairs;
    bool cluster = argc == 3 && strcmp(argv[2], "cluster") == 0;
    if ((argc != 2 && !cluster) || !text_range(slice_of(argv[1]), 1, PAIRS_MAX, &pairs)) {
        fprintf(stderr, "usage: bench-model PAIRS [cluster]   (1 to %d)\n", PAIRS_MAX);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit((size_t)pairs);
    struct model m = {.loop = ev_default_loop(EVFLAG_AUTO), .npairs = (size_t)pairs};
    if (m.loop == NULL)
        fail("the system gives no event mechanism");
    rng_seed(&m.rng, (uint64_t)model_now() ^ (uint64_t)getpid());
    m.servers = mem_zalloc(2 * m.npairs * sizeof *m.servers);
    int port = PORT_FIRST;
    for (size_t i = 0; i < 2 * m.npairs; i++)
        open_server(&m, i, &port);
    if (cluster)
        cluster_begin(&m);
    m.control_fd = listen_next(&port);
    m.control_port = port;
    ev_io_init(&m.control, on_control, m.control_fd, EV_READ);
    m.control.data = &m;
    ev_io_start(m.loop, &m.control);
    ev_prepare_init(&m.turn_end, on_turn_end);
    m.turn_end.data = &m;
    ev_prepare_start(m.loop, &m.turn_end);
    printf("%d\n", m.control_port);
    fflush(stdout);
    ev_run(m.loop, 0);
    return 0;
}
