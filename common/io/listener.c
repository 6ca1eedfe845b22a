#include "common/io/listener.h"

#include "common/base/mem.h"
#include "common/io/log.h"

#include <errno.h>
#include <ev.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 64
#define BACKLOG 511
#define PAUSE_S 1.0 /* without descriptors: how long until accepting is tried again */

struct io_listener {
    struct io_loop *loop;
    ev_io watcher;
    ev_timer pause;
    char text[ADDR_TEXT_MAX];
    int port;
    bool complained; /* about missing descriptors, until one is accepted again */
    bool *closed;    /* set while accepted() runs, so that the callee may close the listener */
    io_accept_fn *accepted;
    void *owner;
};

static void tune(int fd)
{
    int on = 1, idle = 60, interval = 20, count = 3;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

static void peer_text(const struct sockaddr_storage *sa, socklen_t n, char *out, size_t room)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getnameinfo((const struct sockaddr *)sa, n, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(out, room, "?:0");
    else
        snprintf(out, room, strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host, port);
}

/* Without a free descriptor the listener stays readable: watching it further would turn the loop at full speed. */
static void take_a_pause(struct io_listener *l, int why)
{
    if (!l->complained)
        io_log(IO_WARNING,
               "New connections to %s have to wait: %s. Raise the limit of open files (ulimit -n), or close "
               "clients; accepting is tried again every second.",
               l->text, strerror(why));
    l->complained = true;
    ev_io_stop(io_loop_ev(l->loop), &l->watcher);
    ev_timer_set(&l->pause, PAUSE_S, 0.);
    ev_timer_start(io_loop_ev(l->loop), &l->pause);
}

static void on_pause_over(struct ev_loop *ev, ev_timer *w, int revents)
{
    (void)revents;
    struct io_listener *l = w->data;
    ev_io_start(ev, &l->watcher);
}

/* false: nothing more to accept in this turn. */
static bool accept_one(struct io_listener *l)
{
    struct sockaddr_storage sa;
    socklen_t n = sizeof sa;
    int fd = accept4(l->watcher.fd, (struct sockaddr *)&sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            take_a_pause(l, errno);
        /* Errors of the one connection (it was reset before we came to it) say nothing about the next. */
        return errno == ECONNABORTED || errno == EINTR || errno == EPROTO || errno == EPERM;
    }
    l->complained = false;
    tune(fd);
    char peer[NI_MAXHOST + NI_MAXSERV + 4];
    peer_text(&sa, n, peer, sizeof peer);
    l->accepted(l->owner, fd, peer);
    return true;
}

static void on_readable(struct ev_loop *ev, ev_io *w, int revents)
{
    (void)ev;
    (void)revents;
    struct io_listener *l = w->data;
    bool closed = false;
    l->closed = &closed;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        bool more = accept_one(l);
        if (closed)
            return;
        if (!more)
            break;
    }
    l->closed = NULL;
}

static const char *advice(int why)
{
    switch (why) {
    case EADDRINUSE: return "; another process listens there: stop it, or choose another port";
    case EACCES: return "; ports below 1024 need a privilege (CAP_NET_BIND_SERVICE): choose a higher port";
    case EADDRNOTAVAIL: return "; this host does not have that address: use one of its own, or 0.0.0.0 for all";
    case EMFILE:
    case ENFILE: return "; raise the limit of open files (ulimit -n)";
    default: return "";
    }
}

/* -1 with errno when it cannot be. */
static int open_socket(const struct addrinfo *ai)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (ai->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static int bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } sa = {.any = {0}};
    socklen_t n = sizeof sa;
    if (getsockname(fd, &sa.any, &n) != 0)
        return 0;
    return ntohs(sa.any.sa_family == AF_INET6 ? sa.v6.sin6_port : sa.v4.sin_port);
}

struct io_listener *io_listener_open(struct io_loop *loop, const struct addr *address, io_accept_fn *accepted,
                                     void *owner, struct buf *error)
{
    char text[ADDR_TEXT_MAX], port[16];
    addr_text(address, text);
    snprintf(port, sizeof port, "%d", address->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *ai = NULL;
    if (getaddrinfo(address->host, port, &hints, &ai) != 0) {
        buf_printf(error, "cannot listen on %s: not an IPv4 or IPv6 address; names are not looked up here", text);
        return NULL;
    }
    int fd = open_socket(ai);
    freeaddrinfo(ai);
    if (fd < 0) {
        buf_printf(error, "cannot listen on %s: %s%s", text, strerror(errno), advice(errno));
        return NULL;
    }
    struct io_listener *l = mem_zalloc(sizeof *l);
    l->loop = loop;
    struct addr bound = *address;
    l->port = bound.port = bound_port(fd);
    addr_text(&bound, l->text);
    l->accepted = accepted;
    l->owner = owner;
    ev_io_init(&l->watcher, on_readable, fd, EV_READ);
    ev_set_priority(&l->watcher, IO_PRIORITY_ACCEPT);
    l->watcher.data = l;
    ev_timer_init(&l->pause, on_pause_over, PAUSE_S, 0.);
    l->pause.data = l;
    ev_io_start(io_loop_ev(loop), &l->watcher);
    return l;
}

void io_listener_close(struct io_listener *l)
{
    if (l == NULL)
        return;
    ev_io_stop(io_loop_ev(l->loop), &l->watcher);
    ev_timer_stop(io_loop_ev(l->loop), &l->pause);
    close(l->watcher.fd);
    if (l->closed != NULL)
        *l->closed = true;
    free(l);
}

int io_listener_port(const struct io_listener *l)
{
    return l->port;
}
