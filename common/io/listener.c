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
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 64
#define BACKLOG 511
#define KEEPALIVE_S 60
#define PAUSE_S 1.0 /* without descriptors: how long until accepting is tried again */

struct io_listener {
    struct io_loop *loop;
    ev_io watcher;
    ev_timer pause;
    char text[ADDR_TEXT_MAX];
    int port;
    char *path; /* of a Unix socket; else NULL */
    int keepalive_s;
    bool complained; /* about missing descriptors, until one is accepted again */
    bool *closed;    /* set while accepted() runs, so that the callee may close the listener */
    io_accept_fn *accepted;
    void *owner;
};

void io_tcp_keepalive(int fd, int keepalive_s)
{
    int on = keepalive_s > 0, interval = keepalive_s / 3 > 0 ? keepalive_s / 3 : 1, count = 3;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (!on)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &keepalive_s, sizeof keepalive_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

static void tune(const struct io_listener *l, int fd)
{
    int on = 1;
    if (l->path != NULL)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (l->keepalive_s > 0)
        io_tcp_keepalive(fd, l->keepalive_s);
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

void io_local_text(int fd, char *out, size_t room)
{
    struct sockaddr_storage sa;
    socklen_t n = sizeof sa;
    if (getsockname(fd, (struct sockaddr *)&sa, &n) == 0)
        peer_text(&sa, n, out, room);
    else
        snprintf(out, room, "?:0");
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
    tune(l, fd);
    char peer[NI_MAXHOST + NI_MAXSERV + 4];
    if (l->path != NULL)
        snprintf(peer, sizeof peer, "%s:0", l->path);
    else
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
static int open_socket(const struct addrinfo *ai, int backlog)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (ai->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, backlog) == 0)
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

static int open_tcp(const struct addr *address, const struct io_listener_options *o, const char *text,
                    struct buf *error)
{
    char port[16];
    snprintf(port, sizeof port, "%d", address->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *ai = NULL;
    if (!o->names)
        hints.ai_flags |= AI_NUMERICHOST;
    if (getaddrinfo(address->host, port, &hints, &ai) != 0) {
        buf_printf(error, "cannot listen on %s: %s", text,
                   o->names ? "no such address, and no host of that name is known"
                            : "not an IPv4 or IPv6 address; names are not looked up here");
        errno = EADDRNOTAVAIL;
        return -1;
    }
    int fd = open_socket(ai, o->backlog > 0 ? o->backlog : BACKLOG);
    int why = errno;
    freeaddrinfo(ai);
    if (fd < 0)
        buf_printf(error, "cannot listen on %s: %s%s", text, strerror(why), advice(why));
    errno = why;
    return fd;
}

/* A socket that nobody listens on any more is left by a process that was killed. Anything but a socket stays. */
static void remove_old_socket(const char *path)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
}

static int open_unix(const struct io_listener_options *o, struct buf *error)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (strlen(o->path) >= sizeof sa.sun_path) {
        buf_printf(error, "cannot listen on %s: the path has more than %zu bytes", o->path, sizeof sa.sun_path - 1);
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(sa.sun_path, o->path, strlen(o->path) + 1);
    remove_old_socket(o->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0 &&
        (o->permissions == 0 || chmod(o->path, o->permissions) == 0) &&
        listen(fd, o->backlog > 0 ? o->backlog : BACKLOG) == 0)
        return fd;
    int why = errno;
    buf_printf(error, "cannot listen on %s: %s", o->path, strerror(why));
    if (fd >= 0)
        close(fd);
    errno = why;
    return -1;
}

struct io_listener *io_listener_open_with(struct io_loop *loop, const struct addr *address,
                                          const struct io_listener_options *o, io_accept_fn *accepted, void *owner,
                                          struct buf *error)
{
    char text[ADDR_TEXT_MAX] = "";
    if (o->path == NULL)
        addr_text(address, text);
    int fd = o->path != NULL ? open_unix(o, error) : open_tcp(address, o, text, error);
    if (fd < 0)
        return NULL;
    struct io_listener *l = mem_zalloc(sizeof *l);
    l->loop = loop;
    if (o->path != NULL) {
        l->path = mem_strdup(o->path);
        snprintf(l->text, sizeof l->text, "%s", o->path);
    } else {
        struct addr bound = *address;
        l->port = bound.port = bound_port(fd);
        addr_text(&bound, l->text);
    }
    l->keepalive_s = o->keepalive_s;
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

struct io_listener *io_listener_open(struct io_loop *loop, const struct addr *address, io_accept_fn *accepted,
                                     void *owner, struct buf *error)
{
    struct io_listener_options plain = {.keepalive_s = KEEPALIVE_S};
    return io_listener_open_with(loop, address, &plain, accepted, owner, error);
}

void io_listener_set_keepalive(struct io_listener *l, int keepalive_s)
{
    l->keepalive_s = keepalive_s;
}

void io_listener_close(struct io_listener *l)
{
    if (l == NULL)
        return;
    ev_io_stop(io_loop_ev(l->loop), &l->watcher);
    ev_timer_stop(io_loop_ev(l->loop), &l->pause);
    close(l->watcher.fd);
    if (l->path != NULL)
        remove_old_socket(l->path);
    if (l->closed != NULL)
        *l->closed = true;
    free(l->path);
    free(l);
}

int io_listener_port(const struct io_listener *l)
{
    return l->port;
}
