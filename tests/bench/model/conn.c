/* Connections: read, run, write once at the end of the turn. */
#include "common/base/mem.h"
#include "tests/bench/model/model.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char arriving[65536]; /* one read at a time: what is not used moves into the connection */

void conn_queue_clear(struct conn *c)
{
    for (size_t i = 0; i < c->nqueued; i++)
        buf_free(&c->queue[i].text);
    free(c->queue);
    c->queue = NULL;
    c->nqueued = 0;
    c->in_multi = c->multi_failed = false;
}

static void unlink_conn(struct conn *c)
{
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    if (c->subscribed) {
        *c->subscriber_link = c->next_subscriber;
        if (c->next_subscriber != NULL)
            c->next_subscriber->subscriber_link = c->subscriber_link;
        c->server->nsubscribers--;
    }
    if (c->server != NULL)
        c->server->nconns--;
    for (struct conn **f = &c->model->flush; c->flushing && *f != NULL; f = &(*f)->next_flush)
        if (*f == c) {
            *f = c->next_flush;
            break;
        }
}

void conn_free(struct conn *c)
{
    unlink_conn(c);
    ev_io_stop(c->model->loop, &c->reading);
    ev_io_stop(c->model->loop, &c->writing);
    close(c->fd);
    conn_queue_clear(c);
    resp_parser_free(c->parser);
    buf_free(&c->in);
    buf_free(&c->out);
    free(c);
}

void conn_reply(struct conn *c)
{
    if (c->flushing)
        return;
    c->flushing = true;
    c->next_flush = c->model->flush;
    c->model->flush = c;
}

void conn_doom(struct conn *c)
{
    c->doomed = true;
    conn_reply(c);
}

void conn_subscribe(struct conn *c)
{
    struct server *s = c->server;
    if (c->subscribed)
        return;
    c->subscribed = true;
    c->next_subscriber = s->subscribers;
    c->subscriber_link = &s->subscribers;
    if (s->subscribers != NULL)
        s->subscribers->subscriber_link = &c->next_subscriber;
    s->subscribers = c;
    s->nsubscribers++;
}

static void flush(struct conn *c)
{
    if (c->doomed) {
        conn_free(c);
        return;
    }
    while (c->out.n > 0) {
        ssize_t n = write(c->fd, c->out.p, c->out.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            ev_io_start(c->model->loop, &c->writing);
            return;
        }
        if (n < 0) {
            conn_free(c);
            return;
        }
        if (c->server != NULL)
            c->server->bytes_out += (uint64_t)n;
        buf_drop(&c->out, (size_t)n);
    }
    ev_io_stop(c->model->loop, &c->writing);
    if (c->leaving)
        conn_free(c);
    else
        buf_free(&c->out); /* twelve thousand connections keep no buffers */
}

void conn_flush_all(struct model *m)
{
    while (m->flush != NULL) {
        struct conn *c = m->flush;
        m->flush = c->next_flush;
        c->flushing = false;
        flush(c);
    }
}

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop;
    (void)events;
    conn_reply(w->data);
}

/* Runs all whole requests of the bytes; returns how many bytes they took. */
static size_t run(struct conn *c, const char *p, size_t n)
{
    size_t used = 0;
    while (used < n && !c->doomed && !c->leaving) {
        struct resp_request q;
        enum resp_status got = resp_parse(c->parser, p + used, n - used, &q);
        if (got == RESP_MORE)
            break;
        if (got == RESP_ERROR) {
            buf_printf(&c->out, "-ERR %s\r\n", q.error);
            c->leaving = true;
            conn_reply(c);
            return n;
        }
        if (q.argc > 0 && c->server != NULL)
            command_run(c, q.argv, q.argc);
        else if (q.argc > 0)
            control_run(c, q.argv, q.argc);
        used += q.consumed;
    }
    return used;
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop;
    (void)events;
    struct conn *c = w->data;
    ssize_t n = read(c->fd, arriving, sizeof arriving);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_free(c);
        return;
    }
    if (c->server != NULL)
        c->server->bytes_in += (uint64_t)n;
    if (c->in.n == 0) {
        size_t used = run(c, arriving, (size_t)n);
        buf_put(&c->in, arriving + used, (size_t)n - used);
    } else {
        buf_put(&c->in, arriving, (size_t)n);
        buf_drop(&c->in, run(c, c->in.p, c->in.n));
    }
    if (c->in.n == 0)
        buf_free(&c->in);
}

static void open_conn(struct model *m, struct server *s, int fd)
{
    struct conn *c = mem_zalloc(sizeof *c);
    struct conn **list = s != NULL ? &s->conns : &m->control_conns;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->model = m;
    c->server = s;
    c->fd = fd;
    c->id = ++m->last_conn;
    c->parser = resp_parser_new(&resp_limits_control);
    c->next = *list;
    c->link = list;
    if (*list != NULL)
        (*list)->link = &c->next;
    *list = c;
    if (s != NULL) {
        s->nconns++;
        s->conns_seen++;
    }
    ev_io_init(&c->reading, on_readable, fd, EV_READ);
    ev_io_init(&c->writing, on_writable, fd, EV_WRITE);
    c->reading.data = c->writing.data = c;
    ev_io_start(m->loop, &c->reading);
}

void conn_accept(struct model *m, struct server *s, int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        open_conn(m, s, fd);
    }
}
