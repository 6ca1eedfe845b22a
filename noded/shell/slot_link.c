#include "noded/shell/slot_link.h"

#include "common/base/mem.h"
#include "common/io/loop.h"
#include "noded/repl/backlog.h"
#include "noded/shell/dial.h"

#include <errno.h>
#include <ev.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define READ_BYTES ((size_t)16 * 1024)
#define PIECES 32                            /* of one system call */
#define SEND_BYTES ((size_t)4 * 1024 * 1024) /* at once; then others have their turn */
#define GENTLE_S 1.

struct slot_link {
    struct slot_links *all;
    struct slot_link *next;
    struct nd_export *x; /* NULL: nobody wants to hear of it any more */
    int fd;              /* -1: closed; freed at the end of the turn */
    bool connecting, lent;
    ev_io reader, writer;
    ev_timer patience; /* of a gentle end */
    /* What is to be sent: a history of which nothing is kept once it is read. */
    struct nd_backlog *out;
    struct nd_backlog_cursor at;
    struct buf in;
};

struct slot_links {
    struct node *node;
    struct slot_link *first;
    struct io_turn_end turn_end;
};

static struct ev_loop *loop_of(const struct slot_link *l)
{
    return io_loop_ev(l->all->node->loop);
}

/* ---- the end ---- */

static void hang_up(struct slot_link *l)
{
    if (l->fd < 0)
        return;
    ev_io_stop(loop_of(l), &l->reader);
    ev_io_stop(loop_of(l), &l->writer);
    ev_timer_stop(loop_of(l), &l->patience);
    if (l->lent) /* a child would go on with its copy: the connection itself is ended */
        shutdown(l->fd, SHUT_RDWR);
    close(l->fd);
    l->fd = -1;
    l->x = NULL;
    io_at_turn_end(l->all->node->loop, &l->all->turn_end);
}

static void free_link(struct slot_link *l)
{
    nd_backlog_close(&l->at);
    nd_backlog_free(l->out);
    buf_free(&l->in);
    free(l);
}

static void lost(struct slot_link *l, const char *why)
{
    if (l->x == NULL) {
        hang_up(l);
        return;
    }
    node_time(l->all->node);
    nd_export_lost(l->x, why); /* closes it */
    node_touch(l->all->node);
}

static void on_patience(struct ev_loop *ev, ev_timer *w, int events)
{
    (void)ev;
    (void)events;
    hang_up(w->data);
}

/* ---- sending ---- */

static bool may_send(const struct slot_link *l)
{
    return l->fd >= 0 && !l->connecting && !l->lent;
}

/* false: nothing more can be sent now. */
static bool send_piece(struct slot_link *l, size_t *done)
{
    struct slice pieces[PIECES];
    struct iovec v[PIECES];
    size_t count = nd_backlog_peek(&l->at, pieces, PIECES);
    for (size_t i = 0; i < count; i++)
        v[i] = (struct iovec){(void *)pieces[i].p, pieces[i].n};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = count};
    ssize_t n = sendmsg(l->fd, &m, MSG_NOSIGNAL);
    if (n < 0 && l->x == NULL && errno != EAGAIN && errno != EINTR)
        hang_up(l);
    if (n < 0)
        return errno == EINTR; /* what is wrong with a link that somebody reads from is found there */
    struct nd_stats *stats = &l->all->node->engine->stats;
    stats->writes_processed++;
    stats->net_output += (uint64_t)n;
    stats->repl_output += (uint64_t)n;
    nd_backlog_pass(&l->at, (size_t)n);
    *done += (size_t)n;
    return true;
}

static void flush(struct slot_link *l)
{
    size_t done = 0;
    if (!may_send(l))
        return;
    while (nd_backlog_unread(&l->at) > 0 && done < SEND_BYTES && send_piece(l, &done)) {}
    if (l->fd >= 0 && nd_backlog_unread(&l->at) > 0)
        ev_io_start(loop_of(l), &l->writer);
    else
        ev_io_stop(loop_of(l), &l->writer);
}

static void on_turn_end(struct io_turn_end *t)
{
    struct slot_links *all = (struct slot_links *)((char *)t - offsetof(struct slot_links, turn_end));
    for (struct slot_link **at = &all->first; *at != NULL;) {
        struct slot_link *l = *at;
        flush(l);
        if (l->fd >= 0) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        free_link(l);
    }
}

/* ---- what comes of the socket ---- */

static void on_readable(struct ev_loop *ev, ev_io *w, int events)
{
    (void)ev;
    (void)events;
    struct slot_link *l = w->data;
    buf_reserve(&l->in, READ_BYTES);
    ssize_t n = recv(l->fd, l->in.p + l->in.n, READ_BYTES, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        lost(l, n == 0 ? "it was closed" : strerror(errno));
        return;
    }
    l->in.n += (size_t)n;
    l->all->node->engine->stats.net_input += (uint64_t)n;
    l->all->node->engine->stats.reads_processed++;
    struct slice in = buf_slice(&l->in);
    node_time(l->all->node);
    nd_export_bytes(l->x, &in);
    node_touch(l->all->node);
    buf_drop(&l->in, l->in.n - in.n);
}

static void on_writable(struct ev_loop *ev, ev_io *w, int events)
{
    (void)events;
    struct slot_link *l = w->data;
    if (!l->connecting) {
        flush(l);
        if (l->x == NULL && nd_backlog_unread(&l->at) == 0)
            hang_up(l);
        return;
    }
    int error = dial_ended(l->fd);
    ev_io_stop(ev, &l->writer);
    if (error != 0) {
        lost(l, strerror(error));
        return;
    }
    l->connecting = false;
    ev_io_start(ev, &l->reader);
    node_time(l->all->node);
    nd_export_connected(l->x);
    node_touch(l->all->node);
}

/* ---- what the data side asks for ---- */

static void *host_connect(void *owner, struct nd_export *x, const char *ip, int port, struct buf *why)
{
    struct slot_links *all = owner;
    int fd = dial(&all->node->engine->config, ip, port);
    if (fd < 0) {
        buf_printf(why, "%s:%d cannot be connected to: %s", ip, port, strerror(errno));
        return NULL;
    }
    struct slot_link *l = mem_zalloc(sizeof *l);
    l->all = all;
    l->next = all->first;
    all->first = l;
    l->x = x;
    l->fd = fd;
    l->connecting = true;
    l->out = nd_backlog_new(0, 0);
    nd_backlog_open(l->out, 1, &l->at);
    ev_io_init(&l->reader, on_readable, fd, EV_READ);
    ev_io_init(&l->writer, on_writable, fd, EV_WRITE);
    ev_timer_init(&l->patience, on_patience, GENTLE_S, 0.);
    ev_set_priority(&l->reader, IO_PRIORITY_LINK);
    ev_set_priority(&l->writer, IO_PRIORITY_LINK);
    l->reader.data = l->writer.data = l->patience.data = l;
    ev_io_start(loop_of(l), &l->writer);
    return l;
}

static void host_send(void *owner, void *link, const char *p, size_t n)
{
    struct slot_links *all = owner;
    struct slot_link *l = link;
    nd_backlog_append(l->out, p, n);
    if (may_send(l))
        io_at_turn_end(all->node->loop, &all->turn_end);
}

static size_t host_unsent(void *owner, const void *link)
{
    (void)owner;
    const struct slot_link *l = link;
    return nd_backlog_unread(&l->at);
}

static bool host_flush(void *owner, void *link)
{
    flush(link);
    return host_unsent(owner, link) == 0;
}

static int host_lend(void *owner, void *link, bool lent)
{
    struct slot_links *all = owner;
    struct slot_link *l = link;
    l->lent = lent;
    if (lent)
        ev_io_stop(loop_of(l), &l->writer);
    else
        io_at_turn_end(all->node->loop, &all->turn_end);
    return l->fd;
}

static void host_close(void *owner, void *link, bool gently)
{
    (void)owner;
    struct slot_link *l = link;
    flush(l);
    if (!gently || !may_send(l) || nd_backlog_unread(&l->at) == 0) {
        hang_up(l);
        return;
    }
    l->x = NULL;
    ev_io_stop(loop_of(l), &l->reader);
    ev_now_update(loop_of(l));
    ev_timer_start(loop_of(l), &l->patience);
}

/* ---- all of them ---- */

struct slot_links *slot_links_open(struct node *n,
                                   void (*news)(void *owner, const struct cl_id *job, enum cl_job_news news,
                                                uint64_t seq, struct slice why),
                                   void *owner)
{
    struct slot_links *all = mem_zalloc(sizeof *all);
    all->node = n;
    all->turn_end.run = on_turn_end;
    struct nd_export_host host = {
        .owner = all,
        .news_owner = owner,
        .connect = host_connect,
        .send = host_send,
        .flush = host_flush,
        .unsent = host_unsent,
        .lend = host_lend,
        .close = host_close,
        .news = news,
    };
    nd_exports_new(n->repl, &host);
    return all;
}

void slot_links_close(struct slot_links *all)
{
    if (all == NULL)
        return;
    nd_exports_free(all->node->repl);
    while (all->first != NULL) {
        struct slot_link *l = all->first;
        all->first = l->next;
        hang_up(l);
        free_link(l);
    }
    io_turn_end_cancel(all->node->loop, &all->turn_end);
    free(all);
}

size_t slot_links_memory(const struct slot_links *all)
{
    size_t n = 0;
    for (const struct slot_link *l = all != NULL ? all->first : NULL; l != NULL; l = l->next)
        n += sizeof *l + nd_backlog_memory(l->out) + l->in.cap;
    return n;
}
