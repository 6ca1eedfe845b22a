#include "noded/shell/master_link.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/io/log.h"
#include "common/io/loop.h"
#include "common/io/resolve.h"
#include "noded/shell/dial.h"
#include "noded/shell/sync_file.h"

#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES ((size_t)256 * 1024)
#define KEPT_BYTES ((size_t)1024 * 1024) /* of memory that an idle link keeps */
#define TURN_US 2000                     /* of work for its stream in one turn */
#define RESOLVER_THREADS 1
#define RESOLVER_WAITING_MAX 16

struct master_link {
    struct node *node;
    struct io_resolver *resolver; /* made when first needed */
    struct io_resolve *resolving;
    int port;
    char (*ips)[IO_IP_MAX]; /* still to be tried, the next one first */
    size_t nips, ip;
    int fd; /* -1: not connected */
    bool connecting;
    ev_io reader, writer;
    ev_timer again; /* there is more to be done with what was read */
    struct buf in, out;
    size_t used;       /* of in */
    char *killed;      /* to be closed in a later step: why */
    bool is_replica;   /* what the log says of the node's role */
    uint64_t closings; /* tells whether the link that a call began with is still there */
    struct sync_file *file;
};

static struct ev_loop *loop_of(const struct master_link *l)
{
    return io_loop_ev(l->node->loop);
}

static void hang_up(struct master_link *l)
{
    l->closings++;
    if (l->resolving != NULL)
        io_resolve_cancel(l->resolver, l->resolving);
    l->resolving = NULL;
    ev_io_stop(loop_of(l), &l->reader);
    ev_io_stop(loop_of(l), &l->writer);
    ev_timer_stop(loop_of(l), &l->again);
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    l->connecting = false;
    buf_free(&l->out);
    free(l->killed);
    l->killed = NULL;
}

static void lost(struct master_link *l, const char *why)
{
    hang_up(l);
    node_time(l->node);
    nd_follow_lost(l->node->repl, why);
    node_touch(l->node);
}

/* ---- sending ---- */

static void flush(struct master_link *l)
{
    size_t sent = 0;
    while (sent < l->out.n) {
        ssize_t n = send(l->fd, l->out.p + sent, l->out.n - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break; /* what is wrong with the link is found by reading from it */
        sent += (size_t)n;
    }
    buf_drop(&l->out, sent);
    if (l->out.n > 0)
        ev_io_start(loop_of(l), &l->writer);
    else
        ev_io_stop(loop_of(l), &l->writer);
}

static void host_send(void *owner, const char *p, size_t n)
{
    struct master_link *l = owner;
    if (l->fd < 0)
        return;
    buf_put(&l->out, p, n);
    flush(l);
}

/* ---- reading ---- */

static void do_again(struct master_link *l)
{
    if (ev_is_active(&l->again))
        return;
    ev_timer_set(&l->again, 0., 0.);
    ev_timer_start(loop_of(l), &l->again);
}

/* Shows the machine what was read. false: the link is no more. */
static bool show(struct master_link *l, int64_t budget_us)
{
    uint64_t closings = l->closings;
    struct slice in = {l->in.p + l->used, l->in.n - l->used};
    node_time(l->node);
    bool more = nd_follow_bytes(l->node->repl, &in, budget_us);
    node_touch(l->node);
    if (closings != l->closings) {
        buf_free(&l->in);
        l->used = 0;
        return false;
    }
    l->used = l->in.n - in.n;
    if (in.n == 0) {
        l->used = 0;
        buf_clear(&l->in);
        if (l->in.cap > KEPT_BYTES)
            buf_free(&l->in);
    }
    if (more)
        do_again(l);
    /* What comes while a file is loaded stays with the system. */
    if (more || !nd_follow_wants_bytes(l->node->repl))
        ev_io_stop(loop_of(l), &l->reader);
    else
        ev_io_start(loop_of(l), &l->reader);
    return true;
}

static void on_again(struct ev_loop *ev, ev_timer *w, int events)
{
    (void)ev;
    (void)events;
    struct master_link *l = w->data;
    char *why = l->killed;
    l->killed = NULL;
    if (why != NULL)
        lost(l, why);
    else if (l->fd >= 0 && !l->connecting)
        show(l, TURN_US);
    free(why);
}

static void on_readable(struct ev_loop *ev, ev_io *w, int events)
{
    (void)ev;
    (void)events;
    struct master_link *l = w->data;
    if (l->used > 0) {
        buf_drop(&l->in, l->used);
        l->used = 0;
    }
    /* A request longer than what is read at once gets more room each time. */
    size_t room = l->in.n > READ_BYTES ? l->in.n : READ_BYTES;
    buf_reserve(&l->in, room);
    ssize_t n = recv(l->fd, l->in.p + l->in.n, room, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        lost(l, n == 0 ? "it closed the connection" : strerror(errno));
        return;
    }
    l->in.n += (size_t)n;
    l->node->engine->stats.net_input += (uint64_t)n;
    l->node->engine->stats.reads_processed++;
    show(l, TURN_US);
}

void master_link_turn_end(struct master_link *l)
{
    if (l->is_replica != l->node->engine->is_replica) {
        l->is_replica = l->node->engine->is_replica;
        io_log_set_role(l->is_replica ? 'S' : 'M');
    }
    if (l->fd < 0 || l->connecting || ev_is_active(&l->again) || ev_is_active(&l->reader) ||
        !nd_follow_wants_bytes(l->node->repl))
        return;
    do_again(l);
}

/* ---- connecting ---- */

static bool connect_next(struct master_link *l)
{
    while (l->ip < l->nips) {
        int fd = dial(&l->node->engine->config, l->ips[l->ip++], l->port);
        if (fd < 0)
            continue;
        l->fd = fd;
        l->connecting = true;
        ev_io_set(&l->reader, fd, EV_READ);
        ev_io_set(&l->writer, fd, EV_WRITE);
        ev_io_start(loop_of(l), &l->writer);
        return true;
    }
    return false;
}

static void connected(struct master_link *l)
{
    int why = dial_ended(l->fd);
    ev_io_stop(loop_of(l), &l->writer);
    if (why == 0) {
        l->connecting = false;
        ev_io_start(loop_of(l), &l->reader);
        node_time(l->node);
        nd_follow_connected(l->node->repl);
        node_touch(l->node);
        return;
    }
    close(l->fd);
    l->fd = -1;
    l->connecting = false;
    if (!connect_next(l))
        lost(l, strerror(why));
}

static void on_writable(struct ev_loop *ev, ev_io *w, int events)
{
    (void)ev;
    (void)events;
    struct master_link *l = w->data;
    if (l->connecting)
        connected(l);
    else
        flush(l);
}

static void on_resolved(void *owner, const struct io_resolved *answer)
{
    struct master_link *l = owner;
    l->resolving = NULL;
    if (answer->error != NULL) {
        lost(l, answer->error);
        return;
    }
    l->nips = answer->n;
    l->ip = 0;
    l->ips = mem_array(l->ips, answer->n, sizeof *l->ips);
    memcpy(l->ips, answer->ips, answer->n * sizeof *l->ips);
    if (!connect_next(l))
        lost(l, "none of its addresses can be connected to");
}

static void host_connect(void *owner, const char *host, int port)
{
    struct master_link *l = owner;
    hang_up(l);
    buf_clear(&l->in);
    l->used = 0;
    l->port = port;
    if (l->resolver == NULL)
        l->resolver = io_resolver_new(l->node->loop, RESOLVER_THREADS, RESOLVER_WAITING_MAX);
    l->resolving = io_resolve(l->resolver, host, on_resolved, l);
}

static void host_close(void *owner)
{
    hang_up(owner);
}

/* ---- the file ---- */

static void on_flushed(void *owner, const char *error)
{
    struct master_link *l = owner;
    node_time(l->node);
    nd_follow_flushed(l->node->repl, error);
    node_touch(l->node);
}

static bool host_file_open(void *owner, struct buf *why)
{
    struct master_link *l = owner;
    return sync_file_open(l->file, why);
}

static bool host_file_write(void *owner, const char *p, size_t n, struct buf *why)
{
    struct master_link *l = owner;
    return sync_file_write(l->file, p, n, why);
}

static void host_file_flush(void *owner)
{
    struct master_link *l = owner;
    sync_file_flush(l->file);
}

static ptrdiff_t host_file_read(void *owner, char *p, size_t n)
{
    struct master_link *l = owner;
    return sync_file_read(l->file, p, n);
}

static void host_file_rewind(void *owner)
{
    struct master_link *l = owner;
    sync_file_rewind(l->file);
}

static void host_file_keep(void *owner)
{
    struct master_link *l = owner;
    sync_file_keep(l->file);
}

static void host_file_drop(void *owner)
{
    struct master_link *l = owner;
    sync_file_drop(l->file);
}

struct nd_follow_host master_link_host(struct master_link *l)
{
    return (struct nd_follow_host){
        .owner = l,
        .connect = host_connect,
        .send = host_send,
        .close = host_close,
        .file_open = host_file_open,
        .file_write = host_file_write,
        .file_flush = host_file_flush,
        .file_read = host_file_read,
        .file_rewind = host_file_rewind,
        .file_keep = host_file_keep,
        .file_drop = host_file_drop,
    };
}

/* ---- life ---- */

struct master_link *master_link_open(struct node *n)
{
    struct master_link *l = mem_zalloc(sizeof *l);
    l->node = n;
    l->fd = -1;
    l->file = sync_file_new(n, on_flushed, l);
    ev_io_init(&l->reader, on_readable, -1, EV_READ);
    ev_io_init(&l->writer, on_writable, -1, EV_WRITE);
    ev_timer_init(&l->again, on_again, 0., 0.);
    ev_set_priority(&l->reader, IO_PRIORITY_LINK);
    ev_set_priority(&l->writer, IO_PRIORITY_LINK);
    l->reader.data = l->writer.data = l->again.data = l;
    return l;
}

void master_link_close(struct master_link *l)
{
    if (l == NULL)
        return;
    hang_up(l);
    io_resolver_free(l->resolver);
    sync_file_free(l->file);
    buf_free(&l->in);
    free(l->ips);
    free(l);
}

void master_link_start(struct master_link *l)
{
    struct slice port = slice_of(l->node->engine->config.replicaof);
    struct slice host = slice_cut(&port, ' ');
    int64_t n;
    if (host.n == 0 || !text_range(slice_trim(port), 0, 65535, &n))
        return;
    char *name = slice_dup(host);
    nd_follow_set(l->node->repl, name, (int)n, false);
    free(name);
}

void master_link_kill(struct master_link *l, const char *why)
{
    if (l->fd < 0 || l->killed != NULL)
        return;
    l->killed = mem_strdup(why != NULL ? why : "a client asked for it (CLIENT KILL)");
    do_again(l);
}

size_t master_link_memory(const struct master_link *l)
{
    return l->in.cap + l->out.cap;
}
