/* A connection of the bus. Links are read before clients, so that a busy node is not taken for a dead one. */
#include "common/base/mem.h"
#include "common/io/listener.h"
#include "common/io/log.h"
#include "noded/cluster/wire.h"
#include "noded/shell/bus_inner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define OUT_MAX ((size_t)256 * 1024 * 1024) /* when cluster-link-sendbuf-limit is 0 */
#define KEPT_BYTES ((size_t)16 * 1024)      /* of a buffer that is empty */
#define READS_PER_TURN 16

struct bus_link {
    struct bus *b;
    cl_link id;
    int fd;
    bool connecting;
    bool doomed;  /* LINK_DOWN is on its way */
    bool *closed; /* set while its messages are shown */
    struct ev_io reader, writer;
    struct buf in, out; /* a message that is not whole yet; what the kernel has not taken yet */
    size_t sent;        /* of out */
};

static struct ev_loop *loop_of(const struct bus_link *l)
{
    return io_loop_ev(l->b->node->loop);
}

static struct idmap *map_of(struct bus *b, cl_link id)
{
    return (id & CL_INCOMING) != 0 ? &b->ins : &b->outs;
}

struct bus_link *bus_link_find(const struct bus *b, cl_link id)
{
    return idmap_get((id & CL_INCOMING) != 0 ? &b->ins : &b->outs, id & ~CL_INCOMING);
}

void bus_link_close(struct bus_link *l)
{
    idmap_del(map_of(l->b, l->id), l->id & ~CL_INCOMING);
    ev_io_stop(loop_of(l), &l->reader);
    ev_io_stop(loop_of(l), &l->writer);
    if (l->fd >= 0)
        close(l->fd);
    if (l->closed != NULL)
        *l->closed = true;
    buf_free(&l->in);
    buf_free(&l->out);
    free(l);
}

/* Its end is told in a step of its own. Nothing is read or sent any more. */
static void doom(struct bus_link *l)
{
    if (l->doomed)
        return;
    l->doomed = true;
    ev_io_stop(loop_of(l), &l->reader);
    ev_io_stop(loop_of(l), &l->writer);
    struct cl_event e = {.kind = CL_EV_LINK_DOWN, .link = l->id};
    bus_step_later(l->b, &e);
}

/* ---- sending ---- */

static size_t limit_of(const struct bus_link *l)
{
    int64_t set = l->b->node->engine->config.cluster_link_sendbuf_limit;
    return set > 0 ? (size_t)set : OUT_MAX;
}

/* How many bytes the kernel took; -1: the link is broken. */
static ssize_t send_some(int fd, const char *p, size_t n)
{
    size_t at = 0;
    while (at < n) {
        ssize_t some = send(fd, p + at, n - at, MSG_NOSIGNAL);
        if (some < 0 && errno == EINTR)
            continue;
        if (some < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (some < 0)
            return -1;
        at += (size_t)some;
    }
    return (ssize_t)at;
}

static void flush(struct bus_link *l)
{
    ssize_t n = send_some(l->fd, l->out.p + l->sent, l->out.n - l->sent);
    if (n < 0) {
        doom(l);
        return;
    }
    l->sent += (size_t)n;
    if (l->sent == l->out.n) {
        buf_clear(&l->out);
        l->sent = 0;
        if (l->out.cap > KEPT_BYTES)
            buf_free(&l->out);
        ev_io_stop(loop_of(l), &l->writer);
    } else if (l->sent > l->out.n / 2) {
        buf_drop(&l->out, l->sent);
        l->sent = 0;
    }
}

void bus_link_send(struct bus_link *l, struct slice bytes)
{
    if (l->doomed)
        return;
    size_t taken = 0;
    if (l->out.n == 0 && !l->connecting) {
        ssize_t n = send_some(l->fd, bytes.p, bytes.n);
        if (n < 0) {
            doom(l);
            return;
        }
        taken = (size_t)n;
    }
    if (taken == bytes.n)
        return;
    if (l->out.n - l->sent + bytes.n - taken > limit_of(l)) {
        io_log(IO_WARNING, "A link of the bus is closed: %zu bytes were not read by the other side",
               l->out.n - l->sent + bytes.n - taken);
        l->b->over_limit++;
        doom(l);
        return;
    }
    buf_put(&l->out, bytes.p + taken, bytes.n - taken);
    if (!l->connecting)
        ev_io_start(loop_of(l), &l->writer);
}

/* ---- reading ---- */

/* false: the link is no more, or is about to go. */
static bool show_one(struct bus_link *l, struct slice message)
{
    bool closed = false;
    struct cl_event e = {.kind = CL_EV_MESSAGE, .link = l->id, .bytes = message};
    l->closed = &closed;
    bus_step(l->b, &e);
    if (closed)
        return false;
    l->closed = NULL;
    return !l->doomed;
}

/* Shows whole messages at the front. Returns how many bytes they were; -1: the link is no more. */
static ptrdiff_t show(struct bus_link *l, const char *p, size_t n)
{
    size_t at = 0;
    while (at < n) {
        const char *why = NULL;
        int64_t length = cl_wire_length(p + at, n - at, &why);
        if (length < 0) {
            io_log(IO_WARNING, "A link of the bus is closed: %s", why != NULL ? why : "these are no messages");
            doom(l);
            return -1;
        }
        if (length == 0 || (size_t)length > n - at)
            break;
        if (!show_one(l, (struct slice){p + at, (size_t)length}))
            return -1;
        at += (size_t)length;
    }
    return (ptrdiff_t)at;
}

/* false: the link is no more. */
static bool take(struct bus_link *l, const char *p, size_t n)
{
    if (l->in.n == 0) {
        ptrdiff_t used = show(l, p, n);
        if (used >= 0 && (size_t)used < n)
            buf_put(&l->in, p + used, n - (size_t)used);
        return used >= 0;
    }
    /* The bytes belong to the link from here on: a message may close it. */
    buf_put(&l->in, p, n);
    struct buf in = l->in;
    l->in = (struct buf){0};
    ptrdiff_t used = show(l, in.p, in.n);
    if (used < 0) {
        buf_free(&in);
        return false;
    }
    buf_drop(&in, (size_t)used);
    if (in.n == 0 && in.cap > KEPT_BYTES)
        buf_free(&in);
    l->in = in;
    return true;
}

static void on_readable(struct ev_loop *ev, ev_io *w, int events)
{
    (void)ev;
    (void)events;
    struct bus_link *l = w->data;
    struct bus *b = l->b;
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t n = read(l->fd, b->shared, BUS_READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n <= 0) {
            doom(l);
            return;
        }
        if (!take(l, b->shared, (size_t)n) || (size_t)n < BUS_READ_BYTES)
            return;
    }
}

/* ---- connecting ---- */

/* The address of "1.2.3.4:5" or "[::1]:5", without the port; "" when there is none that fits. */
static void ip_of(const char *text, char out[CL_IP_MAX])
{
    const char *from = text[0] == '[' ? text + 1 : text, *end = strrchr(text, text[0] == '[' ? ']' : ':');
    size_t n = end != NULL ? (size_t)(end - from) : 0;
    if (n >= CL_IP_MAX)
        n = 0;
    memcpy(out, from, n);
    out[n] = '\0';
}

static void local_ip(int fd, char out[CL_IP_MAX])
{
    char text[80];
    io_local_text(fd, text, sizeof text);
    ip_of(text, out);
}

static void connected(struct bus_link *l)
{
    int error = 0;
    socklen_t room = sizeof error;
    if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &room) != 0 || error != 0) {
        doom(l);
        return;
    }
    l->connecting = false;
    ev_io_stop(loop_of(l), &l->writer);
    ev_io_start(loop_of(l), &l->reader);
    char ip[CL_IP_MAX];
    local_ip(l->fd, ip);
    struct cl_event e = {.kind = CL_EV_LINK_UP, .link = l->id, .local_ip = ip};
    bus_step(l->b, &e);
}

static void on_writable(struct ev_loop *ev, ev_io *w, int events)
{
    (void)ev;
    (void)events;
    struct bus_link *l = w->data;
    if (l->connecting)
        connected(l);
    else
        flush(l);
}

static struct bus_link *link_new(struct bus *b, cl_link id, int fd)
{
    struct bus_link *l = mem_zalloc(sizeof *l);
    *l = (struct bus_link){.b = b, .id = id, .fd = fd};
    ev_io_init(&l->reader, on_readable, fd, EV_READ);
    ev_io_init(&l->writer, on_writable, fd, EV_WRITE);
    ev_set_priority(&l->reader, IO_PRIORITY_LINK);
    ev_set_priority(&l->writer, IO_PRIORITY_LINK);
    l->reader.data = l->writer.data = l;
    idmap_put(map_of(b, id), id & ~CL_INCOMING, l);
    return l;
}

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* 0: this is no address. */
static socklen_t read_address(const char *ip, uint16_t port, union address *out)
{
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, ip, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        return sizeof out->v4;
    }
    if (inet_pton(AF_INET6, ip, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        return sizeof out->v6;
    }
    return 0;
}

/* From bind-source-addr, where it is one of this family; otherwise the system chooses. */
static void bind_source(int fd, const char *ip, int family)
{
    union address from;
    socklen_t n = ip[0] != '\0' ? read_address(ip, 0, &from) : 0;
    if (n > 0 && from.any.sa_family == family && bind(fd, &from.any, n) != 0)
        io_log(IO_WARNING, "A link of the bus does not come from bind-source-addr %s: %s", ip, strerror(errno));
}

void bus_link_connect(struct bus *b, cl_link id, const char *ip, uint16_t port)
{
    union address to;
    socklen_t n = read_address(ip, port, &to);
    int fd = n > 0 ? socket(to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;
    struct bus_link *l = link_new(b, id, fd);
    if (fd < 0) {
        doom(l);
        return;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    bind_source(fd, b->node->engine->config.bind_source_addr, to.any.sa_family);
    if (connect(fd, &to.any, n) != 0 && errno != EINPROGRESS) {
        doom(l);
        return;
    }
    l->connecting = true;
    ev_io_start(loop_of(l), &l->writer);
}

void bus_link_accept(struct bus *b, int fd, const char *peer)
{
    char ip[CL_IP_MAX], own[CL_IP_MAX];
    ip_of(peer, ip);
    if (ip[0] == '\0') {
        close(fd);
        return;
    }
    struct bus_link *l = link_new(b, CL_INCOMING | ++b->last_in, fd);
    local_ip(fd, own);
    ev_io_start(loop_of(l), &l->reader);
    struct cl_event e = {.kind = CL_EV_ACCEPTED, .link = l->id, .ip = ip, .local_ip = own};
    bus_step(b, &e);
}

/* ---- all of them ---- */

void bus_links_close(struct bus *b)
{
    struct idmap *both[] = {&b->outs, &b->ins};
    for (size_t i = 0; i < 2; i++) {
        struct bus_link *l;
        for (size_t it = 0; (l = idmap_next(both[i], &it)) != NULL; it = 0)
            bus_link_close(l);
        idmap_free(both[i]);
    }
}

void bus_link_buffers(const struct bus_link *l, size_t *used, size_t *allocated)
{
    *used = l->out.n - l->sent;
    *allocated = l->out.cap;
}

void bus_count_links(const struct bus *b, struct nd_facts *out)
{
    out->cluster_links = out->cluster_links_memory = 0;
    if (b == NULL)
        return;
    const struct idmap *both[] = {&b->outs, &b->ins};
    for (size_t i = 0; i < 2; i++) {
        struct bus_link *l;
        for (size_t it = 0; (l = idmap_next(both[i], &it)) != NULL;) {
            out->cluster_links++;
            out->cluster_links_memory += sizeof *l + l->in.cap + l->out.cap;
        }
    }
}
